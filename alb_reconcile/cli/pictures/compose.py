"""A stack's picture, made of a plan and what was read."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from alb_reconcile.cli.pictures.scene import Balancer, Door, Group, Net, Network, Node, Route, Scene, Share, Tally, Zone
from alb_reconcile.engine.stack import StackPlan
from alb_reconcile.kinds import is_in_order
from alb_reconcile.kinds.shown import short_id, show
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.actions import Action
from alb_reconcile.model.address import Address
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.resource import Change, Observed
from alb_reconcile.model.secrets import hide, redact_change
from alb_reconcile.model.service import Entrance
from alb_reconcile.model.text import printable

_DRAWN: Final = frozenset({
    "vpc", "subnet", "instance", "load_balancer", "listener", "rule", "target_group",
    "internet_gateway", "nat_gateway", "vpc_endpoint",
})  # fmt: skip
_GATEWAYS: Final = ("internet_gateway", "nat_gateway", "vpc_endpoint")
_MOST: Final = {
    "load_balancer": 6,
    "listener": 8,
    "rule": 20,
    "target_group": 24,
    "vpc": 4,
    "zone": 6,
    "subnet": 12,
    "instance": 96,
}
"""How many are drawn, each within what it is in: the rest is counted."""  # fmt: skip
_T = TypeVar("_T")


def _in_order(address: Address) -> tuple[str, tuple[tuple[int, str], ...]]:
    """For sorting: web-2 before web-10."""
    parts = re.findall(r"([0-9]{1,9})|([^0-9]+)", address.name)
    return address.kind, tuple((int(number or 0), text) for number, text in parts)


def make_scene(planned: StackPlan) -> Scene:
    """The picture of a stack as it will be, with what goes still in it."""
    return _Maker(planned).make()


class _Thing:
    """All that is known of the resource at one address."""

    def __init__(self, address: Address, plan: Plan) -> None:
        self.address, self.plan = address, plan
        self.wanted: Any = None
        self.found: Observed | None = None
        self.step: Step | None = None
        self.made: Any = None
        """Its properties as a step makes them."""

    def get(self, name: str) -> Any:
        """A property: as it is made, as it is, as it is wanted, whichever is first to say something; as it may be shown."""
        for state in (self.made, self.found.state if self.found else None, self.wanted):
            if (value := getattr(state, name, None)) is not None:
                wish = getattr(self.wanted, name, None)
                shown = redact_change(Change(name, value, value if wish is None else wish), self.plan.secret_headers)
                return value if isinstance(value, int) else shown.before
        return None

    @property
    def action(self) -> Action:
        """What becomes of requests in the end."""
        for state in (self.made, self.wanted, self.found.state if self.found else None):
            if state is not None:
                return action_of(state)
        return Action()


class _Maker:
    def __init__(self, planned: StackPlan) -> None:
        self.planned, self.plan = planned, planned.plan
        self.left_out: list[str] = []
        self.things: dict[Address, _Thing] = {}
        for address, wish in self.plan.desired.items():
            self._thing(address).wanted = wish.state
        self.names: dict[str, str] = {}
        for item in planned.discovery.resources:
            if not item.is_gone:
                thing = self._thing(item.address)
                # of two at one address the one that stays
                if thing.found is None or self.plan.ids.get(item.address) == item.id:
                    thing.found = item
                self.names[item.id] = str(item.address)
        for step in self.plan.steps:
            if step.part_of is None:
                thing = self._thing(step.address)
                thing.step = step if thing.step is None or step.changes else thing.step
                thing.made = step.state if step.action in ("create", "replace") and step.state else thing.made
            for address in step.also_deletes:
                self._thing(address).step = Step("delete", address)
        self.kinds: dict[str, list[_Thing]] = defaultdict(list)
        for address in sorted(self.things, key=_in_order):
            self.kinds[address.kind].append(self.things[address])
        self.subnets = {str(item.address): item for item in self.kinds["subnet"]}
        self.targets: dict[str, list[_Thing]] = defaultdict(list)
        for target in self.kinds["registration"]:
            self.targets[self._ref(target.get("target"))].append(target)
        self.rules: dict[str, list[_Thing]] = defaultdict(list)
        for rule in self.kinds["rule"]:
            self.rules[self._ref(rule.get("listener"))].append(rule)

    def _thing(self, address: Address) -> _Thing:
        return self.things.setdefault(address, _Thing(address, self.plan))

    def _ref(self, value: object) -> str:
        """The key of what a reference names: its address where it is the stack's, else its id."""
        return str(value) if isinstance(value, Address) else self.names.get(str(value), str(value or ""))

    def make(self) -> Scene:
        seats = {str(item.address): self._ref((item.get("subnets") or ("",))[0]) for item in self.kinds["instance"]}
        groups = [self._group(item, targets, seats) for item, targets in self._targets()]
        balancers = [self._balancer(item) for item in self.kinds["load_balancer"]]
        others = {
            kind: (len(items), sum(item.step is not None for item in items))
            for kind, items in sorted(self.kinds.items())
            if items and kind not in _DRAWN
        }
        plan = self.plan
        networks = tuple(self._networks(seats))
        return Scene(
            plan.stack, f"{plan.region} · account {plan.account}",
            tuple(self._some("load_balancer", balancers, "")[0]), tuple(self._some("target_group", groups, "")[0]),
            networks, others, tuple(self.left_out),
        )  # fmt: skip

    def _some(self, kind: str, items: Iterable[_T], where: str) -> tuple[list[_T], int]:
        """Those that are drawn, and how many more there are: first those that the plan changes."""
        every = list(items)
        most = _MOST[kind]
        if len(every) <= most:
            return every, 0
        changed = [item for item in every if self._changes(item)][:most]
        kept = {id(item) for item in [*changed, *(item for item in every if not self._changes(item))][:most]}
        more = len(every) - len(kept)
        self.left_out.append(f"{more} of {len(every)} {kind.replace('_', ' ')}s{where}")
        return [item for item in every if id(item) in kept], more

    @staticmethod
    def _changes(item: object) -> bool:
        node = item if isinstance(item, Node) else getattr(item, "node", None)
        return bool(node and node.change) or bool(getattr(item, "step", None))

    def _node(self, thing: _Thing, *lines: object) -> Node:
        found, step = thing.found, thing.step
        told: tuple[str, ...] = ()
        if step is not None:
            told = tuple(
                printable(
                    f"{change.path}  {show(change.before, self.plan.names)} → {show(change.after, self.plan.names)}"
                )
                for change in self.plan.shown(step)[:20]
            ) + ((printable(step.reason),) if step.reason else ())
        status = printable(found.status) if found else "not there yet"
        known = short_id(found.id) if found and thing.address.kind in ("vpc", "subnet", "instance") else ""
        stranger = found is not None and found.owner != self.plan.stack and thing.wanted is None
        said = [known, *lines, "not managed by this stack" if stranger else ""]
        return Node(
            str(thing.address), printable(thing.address.name), tuple(printable(hide(str(line))) for line in said if line),
            status, found is None or not found.status or is_in_order(found), step.action if step else "", told,
        )  # fmt: skip

    def _outside(self, key: str, *lines: str) -> Node:
        return Node(key, printable(short_id(key)) or "unknown", (*filter(None, lines), "not managed by this stack"))

    def _targets(self) -> Iterator[tuple[_Thing, list[_Thing]]]:
        members: dict[str, list[_Thing]] = defaultdict(list)
        for item in self.kinds["registration"]:
            members[self._ref(item.get("target_group"))].append(item)
        for group in self.kinds["target_group"]:
            yield group, members[str(group.address)]

    def _group(self, thing: _Thing, targets: list[_Thing], seats: Mapping[str, str]) -> Group:
        tallies: dict[str, Tally] = defaultdict(Tally)
        for item in targets:
            seat, found = seats.get(self._ref(item.get("target")), ""), item.found
            healthy, there, coming = tallies[seat]
            is_well = found is not None and is_in_order(found)
            tallies[seat] = Tally(healthy + is_well, there + (found is not None), coming + (found is None))
        port, protocol = thing.get("port"), thing.get("protocol")
        check = (thing.get("health_check") or {}).get("path")
        node = self._node(
            thing, f"{protocol} {port}" if port else thing.get("target_type"), f"checks {check}" if check else ""
        )
        elsewhere = tallies.pop("", Tally())
        return Group(node, dict(sorted(tallies.items())), elsewhere)

    def _balancer(self, thing: _Thing) -> Balancer:
        key = str(thing.address)
        listeners = [item for item in self.kinds["listener"] if self._ref(item.get("load_balancer")) == key]
        drawn, more = self._some("listener", sorted(listeners, key=lambda item: item.get("port") or 0), f" of {key}")
        doors = map(self._door, drawn)
        dns_name = printable(thing.found.detail(Entrance).dns_name) if thing.found else ""
        return Balancer(self._node(thing, thing.get("scheme")), dns_name, tuple(doors), more)

    def _door(self, thing: _Thing) -> Door:
        key = str(thing.address)
        rules = sorted(self.rules[key], key=lambda item: (item.get("priority") or 0, item.address))
        drawn, more = self._some("rule", rules, f" of {key}")
        last = self._route(thing, Node(f"{key} default action", "default"))
        title = f"{thing.get('protocol')} {thing.get('port')}"
        return Door(self._node(thing, title), (*(self._route(item) for item in drawn), last), more)

    def _route(self, thing: _Thing, node: Node | None = None) -> Route:
        action = thing.action
        if node is None:
            conditions = " and ".join(show(item, self.plan.names) for item in thing.get("conditions") or ())
            node = self._node(thing, f"{thing.get('priority')}  {conditions}")
        total = sum(item.weight for item in action.forward)
        shares = tuple(
            Share(self._ref(item.target_group), item.weight, self._part(item.weight, total, len(action.forward)))
            for item in action.forward
        )
        checks = action.authentication.type if action.authentication else ""
        rest = "" if action.forward else show(self.plan.redact(replace(action, authentication=None)), self.plan.names)
        if action.fixed_response and not action.unsupported:
            rest = f"fixed response {dict(action.fixed_response).get('status_code', '')}"  # its text would hide it
        return Route(node, ", then ".join(filter(None, [checks, rest])), shares)

    @staticmethod
    def _part(weight: int, total: int, groups: int) -> float:
        return 1.0 if groups == 1 else weight / total if total else 0.0

    def _networks(self, seats: Mapping[str, str]) -> Iterator[Network]:
        instances: dict[str, list[_Thing]] = defaultdict(list)
        for item in self.kinds["instance"]:
            instances[seats[str(item.address)]].append(item)
        nets: dict[str, dict[str, list[Net]]] = defaultdict(lambda: defaultdict(list))
        for key in sorted({*seats.values(), *(str(item.address) for item in self.kinds["subnet"])}):
            vpc, zone, node = self._seat(key)
            housed = [self._instance(item) for item in instances[key]]
            drawn, more = self._some("instance", housed, f" of {key or 'unknown subnets'}")
            nets[vpc][zone].append(Net(node, tuple(drawn), more))
        gateways: dict[str, list[_Thing]] = defaultdict(list)
        for item in (item for kind in _GATEWAYS for item in self.kinds[kind]):
            vpc = self._ref(item.get("vpc")) or self._seat(self._ref(item.get("subnet")))[0]
            gateways[vpc].append(item)
        keys = sorted({*nets, *(str(item.address) for item in self.kinds["vpc"])})
        known = {str(item.address): item for item in self.kinds["vpc"]}
        for key in self._some("vpc", keys, "")[0]:
            node = self._node(known[key], known[key].get("cidr_block")) if key in known else self._outside(key)
            zones = []
            for name in sorted(nets[key]):
                subnets, more = self._some("subnet", nets[key][name], f" of {name}")
                zones.append(Zone(name or "zone unknown", tuple(subnets), more))
            zones, more = self._some("zone", zones, f" of {key}")
            ways = [self._node(item, item.address.kind.replace("_", " ")) for item in gateways[key]]
            yield Network(node, tuple(ways[:12]), tuple(zones), more)

    def _instance(self, thing: _Thing) -> Node:
        """An instance, with its health in the target groups."""
        node = self._node(thing, thing.get("instance_type"))
        seen = [item.found for item in self.targets[node.key] if item.found]
        states = sorted({printable(item.status) for item in seen if item.status})
        is_well = node.is_well and all(is_in_order(item) for item in seen)
        return replace(node, status=", ".join([node.status, *states]), is_well=is_well)

    def _seat(self, key: str) -> tuple[str, str, Node]:
        """A subnet's VPC, zone and node."""
        thing = self.subnets.get(key)
        if thing is not None:
            node = self._node(thing, thing.get("cidr_block"))
            return self._ref(thing.get("vpc")), str(thing.get("availability_zone") or ""), node
        place = self.planned.discovery.foreign.get(key)
        return self._ref(place.vpc) if place else "", (place.zone or "") if place else "", self._outside(key)
