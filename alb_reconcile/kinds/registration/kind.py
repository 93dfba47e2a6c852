"""Drives registrations of instances, addresses and functions in target groups (ELBv2 RegisterTargets, DeregisterTargets)."""

import asyncio
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.polling import WaitError
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._console import ACTION as CONSOLE
from alb_reconcile.kinds._console import end_of_console
from alb_reconcile.kinds._health import (
    as_checked,
    keep_capacity,
    target_key,
    wait_until_drained,
    wait_until_healthy,
)
from alb_reconcile.kinds._targets import IP, LAMBDA, Place, addresses_of, as_address, by_address, label
from alb_reconcile.kinds.base import Entry, IamActions, Intent, Kind, Named, Zones
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.instance.launches import wait_for_instance
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.registration.functions import forbid, is_permitted, is_there, permit
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import ignoring
from alb_reconcile.model.resource import Desired, Lookups, Observed, bind, each_of
from alb_reconcile.model.service import Member, Registered
from alb_reconcile.model.steps import Deregister, Register

_MOST: Final = 200
"""The most targets of one call; AWS documents no limit."""
_GONE: Final = "TargetGroupNotFound"


@dataclass(frozen=True, kw_only=True)
class Registration(Member):
    """One target in one target group on one port.

    `target` is an instance's id also where the target group knows the instance by its address. So the instance's successor, which may
    get the same address, is another target, and what holds for an instance holds for its target.
    """

    kind = "registration"
    said_in = frozenset({"targets"})
    service = ""
    leaving = frozenset({"draining"})
    replaced_on = frozenset({"target_group", "target", "port", "target_type", "ip_address_type", "availability_zone"})
    parent = "target_group"
    is_target = True

    target_group: Ref
    target: Ref
    port: int | None
    """None for a function."""
    target_type: str | None = None
    """None for an instance that the target group knows by its id."""
    ip_address_type: str | None = None
    availability_zone: str | None = None
    """`all` for an address outside of the VPC."""

    def settle(self, observed: Observed | None, lookups: Lookups) -> Self:
        """AWS finds the zone of an address in the VPC, and may show none for one outside of it: then the wanted zone is dropped."""
        if self.availability_zone is None or not observed or observed.detail(Registered).availability_zone:
            return self
        return replace(self, availability_zone=None)

    def slots(self) -> Iterable[Hashable]:
        """A target group has one function at most."""
        return (("function of", self.target_group),) if self.target_type == LAMBDA else ()

    @property
    def outlives_parent(self) -> bool:
        """The function's permission stays when AWS deletes the group."""
        return self.target_type == LAMBDA


class RegistrationKind(Kind[Registration]):
    """Drives registrations."""

    properties = Registration
    noun = "a registration"
    position = 75
    ready = frozenset({"healthy"})
    quotas = (
        Quota("targets-per-target-group", "targets", 1000, ("target_group",)),
        Quota("targets-per-application-load-balancer", "targets", 1000, ("target_group", "load_balancer")),
    )
    iam_type = "targetgroup"
    iam_actions = IamActions(
        read=("elasticloadbalancing:DescribeTargetHealth", "ec2:DescribeInstances", "lambda:GetPolicy"),
        look=("elasticloadbalancing:DescribeAccountLimits", "lambda:GetFunctionConfiguration"),
        create=("elasticloadbalancing:RegisterTargets", "lambda:AddPermission", CONSOLE),
        delete=("elasticloadbalancing:DeregisterTargets", "lambda:RemovePermission"),
        on={CONSOLE: "instance"},
    )  # fmt: skip

    async def check_preconditions(
        self, aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
    ) -> list[Finding]:
        """Functions that don't exist, with one call for each function that is to be registered."""
        made = {
            str(item.wanted.target): item.desired
            for item in intents
            if item.fields is None and item.wanted.target_type == LAMBDA
        }
        there = await asyncio.gather(*(is_there(aws, function) for function in made))
        return [
            Finding(
                made[function], "targets", f"there is no function {function}; correct the ARN, or create the function"
            )
            for function, is_known in zip(made, there, strict=True)
            if not is_known
        ]

    def takes(self, action: str, fields: Collection[str]) -> tuple[int, int]:
        """Until health checks have begun, and reads show the change."""
        return 0, 30 if action == "create" else 15

    def entry_of(self, name: str) -> Address:
        return Address("target_group", name.partition("/")[0])

    def write_member(self, observed: Observed, entry: Entry, own: Entry, named: Named) -> None:
        """Add the target to its group's entry, once for all instances of an entry. A target without an entry belongs to another program,
        such as an ECS service, that will take it out again: it isn't managed (`others: keep`)."""
        state = self.of(observed)
        target = named.name_of(str(state.target))
        if target == state.target and state.target_type != LAMBDA:
            entry["others"] = "keep"
            named.remark(
                f"others: keep, since {target} on port {state.port} has no entry here; add it to targets if it is yours"
            )
            return
        key = "instances"
        beside: Entry = {"port": state.port} if state.port not in (None, entry.get("port")) else {}
        if state.availability_zone:
            beside["availability_zone"] = state.availability_zone
        said = {key: target, **beside} if beside else target
        if said not in entry.setdefault("targets", []):
            entry["targets"].append(said)

    def grants(self, wanted: Registration, scope: Scope) -> Iterable[Grant]:
        if wanted.target_type == LAMBDA:
            stated = self.iam_actions
            every = (*stated.read, *stated.look, *stated.create, *stated.delete)
            function = str(wanted.target)
            own = {function, ":".join(function.split(":")[:7])}  # without its alias or version
            yield Grant(tuple(name for name in every if name.startswith("lambda:")), tuple(sorted(own)))

    async def discover(self, reader: Reader) -> list[Observed]:
        ours = [item for item in await reader.target_groups() if reader.ours(item["Tags"])]
        instances, *found = await asyncio.gather(
            reader.instances(), *(reader.health(item["TargetGroupArn"]) for item in ours)
        )
        names: dict[str, str] = {}
        for instance in instances:
            if address := tags.address_of(tags.from_list(instance.get("Tags")), "instance"):
                names[instance["InstanceId"]] = address.name
        literal = {state.target for _, state in each_of(reader.desired.values(), Registration)}
        places = {place: known for place, known in by_address(instances).items() if place[1] not in literal}
        return [
            seen
            for group, part in zip(ours, found, strict=True)
            for item in part
            if (seen := await self._observe(reader, group, names, places, item))
        ]

    async def _observe(
        self,
        reader: Reader,
        group: dict[str, Any],
        names: dict[str, str],
        places: dict[Place, str],
        item: dict[str, Any],
    ) -> Observed | None:
        """None for a function in the spec that the load balancer may not invoke, so that a plan registers it, which permits it."""
        arn, kind, known = group["TargetGroupArn"], group.get("TargetType", "instance"), str(item["Target"]["Id"])
        parent = tags.own_address(group["Tags"], "target_group", arn)
        port = None if kind == LAMBDA else int(item["Target"].get("Port") or group["Port"])
        target = places.get((group.get("VpcId", ""), as_address(known)), as_address(known)) if kind == IP else known
        address = Address("registration", f"{parent.name}/{label(names.get(target, target), port)}")
        if kind == LAMBDA and address in reader.desired and not await is_permitted(reader.aws, known, arn):
            return None
        zone = item["Target"].get("AvailabilityZone")
        state = Registration(
            target_group=arn,
            target=target,
            port=port,
            target_type=None if kind == "instance" else kind,
            ip_address_type="ipv6" if kind == IP and ":" in known else None,
            availability_zone="all" if zone == "all" else None,
        )
        health = as_checked(item["TargetHealth"])
        return Observed(
            address,
            target_key(arn, known, port),
            state,
            {},
            reader.stack,
            health["State"],
            details=Registered(known, zone),
            reason=health.get("Reason", ""),
            description=health.get("Description", ""),
        )

    async def create(self, run: Run, wanted: Registration, desired: Desired) -> str:
        group, target, port = str(wanted.target_group), str(wanted.target), wanted.port
        if wanted.target_type == IP and not as_address(target):
            target = await _address_of(run, target, ipv6=wanted.ip_address_type == "ipv6")
        if wanted.target_type == LAMBDA and not await is_permitted(run.aws, target, group):
            await permit(run, target, group)
        key = target_key(group, target, port)
        run.targets.bring_in(key)

        def expects() -> bool:
            """Whether instances are under way that are to be registered in this group: AWS starts two a second."""
            states = (step.state for step in run.others.next() if step.action == "create")
            return any(
                isinstance(state, Registration) and bind(state.target_group, run.ids) == group for state in states
            )

        await _together(run, "register_targets", group, _member(wanted, target), waits.TARGET_UNKNOWN, expects)
        run.targets.put_back(key)
        how = run.step.detail(Register)
        if how.is_checked:
            try:
                await wait_until_healthy(run, group, target, port, how.health_timeout, how.min_ready)
            except WaitError as error:
                if target.startswith("i-"):
                    error.args = (f"{error}{await end_of_console(run.aws, target)}",)
                raise
            run.targets.prove(key)
        return key

    async def wait_until_serving(self, run: Run, observed: Observed, timeout: float) -> None:
        await wait_until_healthy(run, *self._place(observed), timeout)

    def _place(self, observed: Observed) -> tuple[str, str, int | None]:
        """The target group's ARN, the target as AWS knows it, and the port."""
        state = self.of(observed)
        return str(state.target_group), observed.detail(Registered).id, state.port

    async def update(self, run: Run, wanted: Registration, observed: Observed, fields: frozenset[str]) -> None:
        """A registration has nothing that could be changed."""

    async def delete(self, run: Run, observed: Observed) -> None:
        if run.targets.is_new(observed.id):
            return  # it is now the registration of a successor with the same address
        group, target, port = self._place(observed)
        there = True
        if not observed.is_leaving:
            if observed.id in run.targets.staying:
                await keep_capacity(run, group, target, port, run.step.detail(Deregister).health_timeout)
            run.targets.take_out(observed.id)
            there = False
            with ignoring(_GONE, "InvalidTarget"):
                await _together(run, "deregister_targets", group, _member(self.of(observed), target))
                there = True
        if there:
            await wait_until_drained(run, group, target, port)
        if self.of(observed).target_type == LAMBDA:
            await forbid(run, target, group)


def _member(state: Registration, target: str) -> str:
    """A target of a call, as text: the target as AWS knows it, its port (0 for none), and its zone if AWS needs it."""
    return " ".join(filter(None, (target, str(state.port or 0), state.availability_zone)))


async def _together(
    run: Run, operation: str, group: str, member: str, retry: waits.Codes | None = None,
    expects: Callable[[], bool] = lambda: False,
) -> None:  # fmt: skip
    """Make one call for all targets of a group that are registered, or deregistered, at the same time."""

    async def send(members: Sequence[str]) -> None:
        targets: list[dict[str, Any]] = []
        for item in members:
            target, port, *zone = item.split()
            more = {"AvailabilityZone": zone[0]} if zone else {}
            targets.append({"Id": target, **({"Port": int(port)} if port != "0" else {}), **more})
        await run.aws.call("elbv2", operation, TargetGroupArn=group, Targets=targets)

    await run.together(f"{operation} {group}", member, send, most=_MOST, expects=expects, retry=retry, of_all=[_GONE])


KIND: Final = RegistrationKind()


async def _address_of(run: Run, instance: str, *, ipv6: bool) -> str:
    """The address at which an instance serves, as soon as EC2 shows the instance. Raises WaitError where the instance has no address."""

    def check(item: Any) -> str:
        if item is None:
            return f"{instance} to be visible"
        if not addresses_of(item, ipv6=ipv6):
            kind = "IPv6" if ipv6 else "private"
            raise WaitError(f"{instance} has no {kind} address, so it can't be a target by address")
        return ""

    item = await wait_for_instance(run, instance, check, waits.LAG)
    return addresses_of(item, ipv6=ipv6)[0] if item else ""
