"""What AWS would show of a stack that a spec made, with fake ids, to be edited by test cases."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from alb_reconcile.engine.plan.limits import find_refusal
from alb_reconcile.engine.plan.planner import make_plan
from alb_reconcile.engine.plan.situation import situate
from alb_reconcile.kinds._health import target_key
from alb_reconcile.kinds.instance import Instance
from alb_reconcile.kinds.listener import Listener
from alb_reconcile.kinds.load_balancer import LoadBalancer
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.kinds.route_table import RouteTable
from alb_reconcile.kinds.rule import Rule
from alb_reconcile.kinds.security_group import SecurityGroup
from alb_reconcile.kinds.security_group_rules import SecurityGroupRules
from alb_reconcile.kinds.subnet import Subnet
from alb_reconcile.kinds.target_group import TargetGroup
from alb_reconcile.model import tags
from alb_reconcile.model.actions import Action
from alb_reconcile.model.address import Address
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.policy import Policy
from alb_reconcile.model.resource import Desired, Observed, bind
from alb_reconcile.model.service import Associations, Entrance, Foreign, Permission, ServedBy
from alb_reconcile.model.text import physical_name
from tests.harness import REGION, Spec, demo, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from alb_reconcile.engine.plan.situation import Situation
    from alb_reconcile.model.plan import Plan
    from alb_reconcile.model.resource import Properties
    from alb_reconcile.spec.stack import Stack

ACCOUNT = "123456789012"
PREFIXES = {
    "vpc": "vpc",
    "subnet": "subnet",
    "internet_gateway": "igw",
    "route_table": "rtb",
    "security_group": "sg",
    "instance": "i",
}
ARNS = {
    "load_balancer": "loadbalancer/app",
    "target_group": "targetgroup",
    "listener": "listener/app",
    "rule": "listener-rule/app",
}
IMAGES = {demo()["instances"]["web"]["image_id"]: "ami-newest"}
CREATED = "2026-01-01 00:00:00+00:00"


def situation_of(
    wanted: Stack,
    discovery: Discovery,
    *,
    destroy: bool = False,
    policy: Policy | None = None,
    now: datetime | None = None,
) -> Situation:
    """What becomes of what was read, if that is wanted."""
    desired = {} if destroy else wanted.desired
    return situate(
        DesiredStack(wanted.name, REGION, desired, destroy=destroy, policy=policy or Policy()), discovery, now
    )


def plan_for(
    wanted: Stack, discovery: Discovery, *, check: bool = True, allow: Mapping[str, int] | None = None, **how: Any
) -> Plan:
    """The plan for it. Raises PlanError, RefusedError; for what limits refuse only if they `check` it."""
    situation = situation_of(wanted, discovery, **how)
    plan = make_plan(situation)
    if check and (refusal := find_refusal(plan, situation.target, allow or {}, situation.now)):
        raise RefusedError(refusal)
    return plan


def fake_id(address: Address) -> str:
    """A readable id of the right sort."""
    if address.kind in ARNS:
        return f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:{ARNS[address.kind]}/{address.name}/1"
    return f"{PREFIXES.get(address.kind, address.kind)}-{address.name}"


def observe(stack: Stack) -> list[Observed]:
    """All resources of the stack, as the reads of a run would show them."""
    ids = {address: fake_id(address) for address, wish in stack.desired.items() if wish.state.service}
    return [_observed(stack, wish, ids, number) for number, wish in enumerate(stack.desired.values())]


def _observed(stack: Stack, wish: Desired, ids: Mapping[Address, str], number: int) -> Observed:
    state: Properties = bind(wish.creation, ids)
    details: object = None
    status, created = "", ""
    if isinstance(state, Instance):
        place = state.subnets[number % len(state.subnets)]
        state = replace(state, image_id=IMAGES.get(state.image_id, state.image_id), subnets=(place,))
        status, created = state.state or "running", CREATED
    elif isinstance(state, Registration):
        key = target_key(str(state.target_group), str(state.target), state.port)
        return Observed(wish.address, key, state, {}, stack.name, "healthy")
    elif isinstance(state, SecurityGroupRules):
        egress = (Permission("-1", -1, -1, "0.0.0.0/0", ""),) if state.egress is None else state.egress
        state = replace(state, ingress=_described(state.ingress), egress=_described(egress))
        return Observed(wish.address, f"{state.security_group}/rules", state, {}, stack.name)
    elif isinstance(state, RouteTable):
        state = replace(state, routes=state.routes or (), subnets=state.subnets or ())
        details = Associations(
            {str(subnet): f"rtbassoc-{subnet}-{wish.address.name}" for subnet in state.subnets or ()}
        )
    elif isinstance(state, Subnet):
        details = Foreign(state.vpc, state.availability_zone, state.size)
    elif isinstance(state, LoadBalancer):
        details = Entrance(f"{wish.address.name}.example", str(_vpc_of(stack, state, ids)))
        status, created = "active", CREATED
    elif isinstance(state, TargetGroup):
        details = ServedBy(_balancers_of(stack, wish.address, ids))
        state = replace(state, protocol_version=state.protocol_version or "HTTP1")
    found = tags.tags_of(wish, stack.name)
    item = Observed(wish.address, ids[wish.address], state, found, stack.name, status, created, details)
    return _named(item) if isinstance(state, LoadBalancer | TargetGroup | SecurityGroup) and not state.name else item


def _named(item: Observed) -> Observed:
    """With the name that its create gives it."""
    told = next(iter(item.state.named_after(item)))
    name = physical_name(str(item.owner), str(item.address), told, "", item.state.longest_name)
    state: Any = item.state
    return replace(item, state=replace(state, name=name))


def _described(permissions: Iterable[Any] | None) -> Any:
    return tuple(sorted((item._replace(description=item.description or "") for item in permissions or ()), key=str))


def _vpc_of(stack: Stack, state: LoadBalancer, ids: Mapping[Address, str]) -> str | None:
    names = {identifier: address for address, identifier in ids.items()}
    subnet = stack.desired.get(names.get(str(state.subnets[0]), Address("", "")))
    return str(bind(subnet.state.vpc, ids)) if subnet and isinstance(subnet.state, Subnet) else None


def _balancers_of(stack: Stack, group: Address, ids: Mapping[Address, str]) -> tuple[str, ...]:
    found = set()
    for wish in stack.desired.values():
        state = wish.state
        listener = stack.desired[cast("Address", state.listener)].state if isinstance(state, Rule) else state
        action = (
            state.action
            if isinstance(state, Rule)
            else state.default_action
            if isinstance(state, Listener)
            else Action()
        )
        if isinstance(listener, Listener) and group in {item.target_group for item in action.forward}:
            found.add(ids[cast("Address", listener.load_balancer)])
    return tuple(sorted(found))


def edited(spec: Spec, changes: Mapping[str, Any]) -> Spec:
    """A spec with other values at paths of keys (`target_groups/web/port`); null takes a key out."""
    for path, value in changes.items():
        *parents, last = path.split("/")
        place: Any = spec
        for key in parents:
            place = place.setdefault(key, {})
        if value is None:
            del place[last]
        else:
            place[last] = copy.deepcopy(value)
    return spec


class Account:
    """Observed resources by id, and what people have done to them."""

    def __init__(self, stack: Stack) -> None:
        self.resources = {item.id: item for item in observe(stack)}

    def find(self, address: str) -> Observed:
        """The first at an address."""
        return next(item for item in self.resources.values() if str(item.address) == address)

    def gone(self, addresses: list[str]) -> None:
        """Deleted by hand."""
        for address in addresses:
            del self.resources[self.find(address).id]

    def status(self, statuses: Mapping[str, str]) -> None:
        """In another state than the usual one; of an instance its own state follows."""
        for address, status in statuses.items():
            item = self.find(address)
            state = item.state
            if isinstance(state, Instance):
                state = replace(state, state={"pending": "running", "stopping": "stopped"}.get(status, status))
            self.resources[item.id] = replace(item, status=status, state=state)

    def set(self, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Properties changed by hand."""
        for address, fields in changes.items():
            item = self.find(address)
            self.resources[item.id] = replace(item, state=replace(item.state, **_tuples(fields)))

    def copies(self, copies: list[dict[str, Any]]) -> None:
        """Further resources like one that there is: `of` an address, with another `id`, `status`, `owner`, fields."""
        for other in copies:
            item = self.find(other["of"])
            state = replace(item.state, **_tuples(other.get("set", {})))
            identifier = other.get("id", "")
            if isinstance(state, Registration):
                identifier = target_key(str(state.target_group), str(state.target), state.port)
            if isinstance(state, Instance) and "status" in other:
                state = replace(state, state=other["status"])
            self.resources[identifier] = replace(
                item, id=identifier, state=state, status=other.get("status", item.status),
                owner=other.get("owner", item.owner), created=other.get("created", item.created),
                address=Address.parse(other.get("address", other["of"])),
            )  # fmt: skip

    def discovery(self) -> Discovery:
        """What a run would read."""
        return Discovery(ACCOUNT, tuple(self.resources.values()), IMAGES)


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


def base(*changes: Mapping[str, Any] | None) -> Stack:
    """The demo with changes, one after the other."""
    spec = demo()
    for part in changes:
        spec = edited(spec, part or {})
    return load(spec)
