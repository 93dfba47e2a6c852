"""Drives target groups (ELBv2 CreateTargetGroup, ModifyTargetGroup, ModifyTargetGroupAttributes, DeleteTargetGroup)."""

import asyncio
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, ClassVar, Final, Self

from alb_reconcile.kinds import waits
from alb_reconcile.kinds._elb import LINKED_ROLE, HasAttributes, NamedKind, others_among
from alb_reconcile.kinds._targets import IP, LAMBDA, as_address, is_function, label
from alb_reconcile.kinds.base import Around, Entry, IamActions, Named
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.identifiers import is_aws_id
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.recognition import Candidate, Evidence, Known, by_name_and_shape, name_in_common
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.kinds.target_group import checks
from alb_reconcile.kinds.target_group.audit import audit
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.discovery import Other
from alb_reconcile.model.resource import Desired, Lookups, Observed, Properties
from alb_reconcile.model.service import Pool, ServedBy

INSTANCE: Final = "instance"
_HEALTH_CHECK: Final = {
    "enabled": "HealthCheckEnabled",
    "protocol": "HealthCheckProtocol",
    "port": "HealthCheckPort",
    "path": "HealthCheckPath",
    "interval_seconds": "HealthCheckIntervalSeconds",
    "timeout_seconds": "HealthCheckTimeoutSeconds",
    "healthy_threshold_count": "HealthyThresholdCount",
    "unhealthy_threshold_count": "UnhealthyThresholdCount",
}

_CHECKED: Final = frozenset(f"health_check.{name}" for name in ("protocol", "port", "path", "matcher"))


_USUAL: Final = {
    "target_type": INSTANCE,
    "protocol_version": "HTTP1",
    "ip_address_type": "ipv4",
    "health_check.enabled": True,
    "health_check.protocol": "HTTP",
    "health_check.port": "traffic-port",
    "health_check.path": "/",
    "health_check.interval_seconds": 30,
    "health_check.timeout_seconds": 5,
    "health_check.healthy_threshold_count": 5,
    "health_check.unhealthy_threshold_count": 2,
    "health_check.matcher": "200",
    "attributes.deregistration_delay.timeout_seconds": 300,
    "attributes.stickiness.type": "lb_cookie",
    "attributes.stickiness.lb_cookie.duration_seconds": 86400,
    "attributes.stickiness.app_cookie.duration_seconds": 86400,
    "attributes.load_balancing.algorithm.type": "round_robin",
    "attributes.load_balancing.algorithm.anomaly_mitigation": "off",
    "attributes.load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
    "attributes.target_group_health.dns_failover.minimum_healthy_targets.count": 1,
    "attributes.target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
    "attributes.target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": 1,
    "attributes.target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
}
"""AWS's defaults for target groups of HTTP (ELBv2 CreateTargetGroup, TargetGroupAttribute)."""


@dataclass(frozen=True, kw_only=True)
class TargetGroup(Pool):
    """A target group. A group of functions has neither a VPC nor a protocol nor a port."""

    kind = "target_group"
    set_last = frozenset({("attributes.stickiness.enabled", "true")})  # ELBv2 ModifyTargetGroupAttributes
    service = "elbv2"
    in_vpc = "vpc"
    is_for_others = True
    keeps_used = False
    missed = 4
    longest_name: ClassVar[int] = 32
    replaced_on = frozenset(
        {"target_type", "vpc", "protocol", "port", "protocol_version", "ip_address_type", "target_control_port", "name"}
    )

    target_type: str | None = None
    """None for AWS's default, `instance`."""
    vpc: Ref | None = None
    protocol: str | None = None
    port: int | None = None
    protocol_version: str | None = None
    ip_address_type: str | None = None
    target_control_port: int | None = None
    health_check: Mapping[str, Any] | None = None
    attributes: Mapping[str, str] | None = None
    name: str | None = None

    def fixed(self, observed: Observed) -> frozenset[str]:
        """While load balancers use the group, health checks that its targets may fail aren't changed in place: a new group takes over when
        it is healthy."""
        return self.replaced_on | _CHECKED if observed.detail(ServedBy).load_balancers else self.replaced_on

    def settle(self, observed: Observed | None, lookups: Lookups) -> Self:
        """Where the spec gives no type, the type is AWS's default, `instance`, also if the observed group has another type."""
        there = getattr(observed.state, "target_type", None) if observed else None
        return self if self.target_type or there in (None, INSTANCE) else replace(self, target_type=INSTANCE)

    def slots(self) -> Iterable[Hashable]:
        return (("target group name", self.name),) if self.name else ()

    def named_after(self, found: Observed) -> Iterable[Sequence[object]]:
        names = ("target_type", "protocol_version", "ip_address_type")
        choices = [
            (value, None) if value == _USUAL[name] else (value,) for name in names for value in [getattr(self, name)]
        ]
        return [replace(self, **dict(zip(names, chosen, strict=True))).settings() for chosen in product(*choices)]

    def settings(self) -> Sequence[object]:
        """The settings in the hash of a derived name. Settings that later versions added are left out where the spec doesn't give them, so
        that the names of earlier versions are found again."""
        later = {
            "TargetType": self.target_type,
            "IpAddressType": self.ip_address_type,
            "TargetControlPort": self.target_control_port,
        }
        more = [(key, value) for key, value in later.items() if value]
        return [self.vpc, self.protocol, self.port, self.protocol_version, *more]


class TargetGroupKind(NamedKind[TargetGroup], HasAttributes[TargetGroup]):
    """Drives target groups."""

    properties = TargetGroup
    noun = "a target group"
    position = 70
    section = "target_groups"
    entry_checks = (checks.check_entries,)
    use_checks = (checks.check_use,)
    audits = (audit,)
    used_by = "the load balancer"
    recognized_after = ("load_balancer", "listener", "rule")
    arn_type = "targetgroup"
    missing = ("TargetGroupNotFound",)
    quotas = (
        Quota("target-groups", "target groups"),
        Quota("target-groups-per-application-load-balancer", "target groups", 100, ("load_balancer",)),
    )
    in_use = waits.TARGET_GROUP_IN_USE
    usual: ClassVar[Mapping[str, Any]] = _USUAL
    vital = _CHECKED | {"attributes.deregistration_delay.timeout_seconds"}
    chosen = frozenset({"name"})
    iam_actions = IamActions(
        read=(
            "elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetGroupAttributes",
            "elasticloadbalancing:DescribeTags",
        ),
        look=("elasticloadbalancing:DescribeAccountLimits",),
        create=(
            "elasticloadbalancing:CreateTargetGroup", "elasticloadbalancing:AddTags",
            "elasticloadbalancing:ModifyTargetGroupAttributes", "iam:CreateServiceLinkedRole",
        ),
        update=(
            "elasticloadbalancing:ModifyTargetGroup", "elasticloadbalancing:ModifyTargetGroupAttributes",
            "elasticloadbalancing:AddTags",
        ),
        delete=("elasticloadbalancing:DeleteTargetGroup",),
        on={"elasticloadbalancing:CreateTargetGroup": "targetgroup+"},
        fields={
            "elasticloadbalancing:DescribeTargetGroupAttributes": "attributes",
            "elasticloadbalancing:ModifyTargetGroupAttributes": "attributes",
        },
    )  # fmt: skip

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> TargetGroup:
        if "health_check" in fields:
            given = fields["health_check"]
            fields["health_check"] = {key: str(item) if key == "port" else item for key, item in given.items()}
        return TargetGroup(**fields)

    def grants(self, wanted: TargetGroup, scope: Scope) -> Iterable[Grant]:
        yield scope.linked_role(*LINKED_ROLE)

    def suggest_name(self, state: TargetGroup) -> str:
        return state.name or ""

    def write_entry(self, observed: Observed, entry: Entry, named: Named) -> Entry:
        is_checked = (self.of(observed).health_check or {}).get("enabled")
        if self.of(observed).target_type == LAMBDA and not is_checked:
            entry.pop("health_check", None)  # AWS makes no checks, so their settings don't count
        return entry

    def is_in_vpc(self, entry: Entry) -> bool:
        return entry.get("target_type") != LAMBDA

    def members(self, name: str, entry: Entry, around: Around) -> Iterable[tuple[Address, Properties]]:
        group, kind = Address("target_group", name), entry.get("target_type", INSTANCE)
        for item in entry.get("targets", ()):
            given = item if isinstance(item, dict) else {"instances": item}
            port = None if kind == LAMBDA else given.get("port", entry["port"])
            for target in _targets(given.get("address") or given["instances"], around):
                state = Registration(
                    target_group=group,
                    target=target,
                    port=port,
                    target_type=None if kind == INSTANCE else kind,
                    ip_address_type="ipv6" if kind == IP and entry.get("ip_address_type") == "ipv6" else None,
                    availability_zone=given.get("availability_zone"),
                )
                name_of_it = target if isinstance(target, str) else target.name
                yield Address("registration", f"{name}/{label(name_of_it, port)}"), state

    async def others(self, reader: Reader) -> dict[str, Other]:
        return others_among(await reader.target_groups(), reader, self.name)

    def evidence(self, desired: Desired, item: Candidate, known: Known) -> Evidence | None:
        wanted, found = known.bound(desired), self.of(item.found)
        fits = (wanted.target_type or INSTANCE, wanted.protocol, wanted.port) == (
            found.target_type,
            found.protocol,
            found.port,
        ) and wanted.protocol_version in (None, found.protocol_version)
        doors = [
            address
            for address, entry in known.desired.items()
            if address in known.ids and _leads_to(address, entry, desired.address, item.found.id, known)
        ]
        shape = f"{doors[0]}, which forwards to it" if doors and fits and wanted.name in (None, found.name) else ""
        return by_name_and_shape(name_in_common(desired, item), shape)

    async def discover(self, reader: Reader) -> list[Observed]:
        ours = [item for item in await reader.target_groups() if reader.ours(item["Tags"])]
        return list(await asyncio.gather(*(self._observe(reader, item) for item in ours)))

    async def _observe(self, reader: Reader, item: dict[str, Any]) -> Observed:
        arn, found = item["TargetGroupArn"], item["Tags"]
        address = tags.own_address(found, self.name, arn)
        wanted = reader.desired.get(address)
        attributes = None
        # also of a group that is to be deleted: they say how long it drains
        if reader.thorough or (getattr(wanted.state, "attributes", None) if wanted else reader.desired):
            attributes = await self.read_attributes(reader.aws, arn)
        health_check = {name: item[key] for name, key in _HEALTH_CHECK.items() if key in item}
        matcher = item.get("Matcher") or {}
        health_check["matcher"] = matcher.get("HttpCode") or matcher.get("GrpcCode")
        kind = item.get("TargetType", INSTANCE)
        state = TargetGroup(
            target_type=kind,
            vpc=item.get("VpcId"),
            protocol=item.get("Protocol"),
            port=item.get("Port"),
            protocol_version=None if kind == LAMBDA else item.get("ProtocolVersion", "HTTP1"),
            ip_address_type=item.get("IpAddressType"),
            target_control_port=item.get("TargetControlPort"),
            health_check=health_check,
            attributes=attributes,
            name=item["TargetGroupName"],
        )
        return Observed(
            address, arn, state, found, reader.stack, details=ServedBy(tuple(item.get("LoadBalancerArns", ())))
        )

    async def create(self, run: Run, wanted: TargetGroup, desired: Desired) -> str:
        given = {
            "TargetType": wanted.target_type,
            "ProtocolVersion": wanted.protocol_version,
            "IpAddressType": wanted.ip_address_type,
            "TargetControlPort": wanted.target_control_port,
            "Protocol": wanted.protocol,
            "Port": wanted.port,
            "VpcId": wanted.vpc,
        }
        name = wanted.name or run.physical_name(desired, wanted.settings(), wanted.longest_name)
        params = {"TargetType": INSTANCE} | {key: value for key, value in given.items() if value is not None}
        group = await self.create_named(
            run, desired, name, waits.TARGETS_VPC_UNKNOWN, **params, **self._health_check(wanted)
        )
        await self.write_attributes(run, group, wanted.attributes)
        return group

    def _health_check(self, wanted: TargetGroup) -> dict[str, Any]:
        given = dict(wanted.health_check or {})
        params: dict[str, Any] = {_HEALTH_CHECK[key]: value for key, value in given.items() if key in _HEALTH_CHECK}
        if "matcher" in given:
            params["Matcher"] = {"GrpcCode" if wanted.protocol_version == "GRPC" else "HttpCode": given["matcher"]}
        return params

    async def update(self, run: Run, wanted: TargetGroup, observed: Observed, fields: frozenset[str]) -> None:
        if any(field.startswith("health_check.") for field in fields):
            await run.aws.call("elbv2", "modify_target_group", TargetGroupArn=observed.id, **self._health_check(wanted))
        await self.write_attributes(run, observed.id, wanted.attributes, fields)


def _targets(target: str, around: Around) -> list[Ref]:
    """The targets that a text in `targets` stands for. An entry of instances stands for all of them; for none if the spec stops them."""
    if is_aws_id(target) or is_function(target) or as_address(target):
        return [as_address(target) or target]
    instances = around.entries("instances")[target]
    count = 0 if instances.get("state") == "stopped" else instances.get("count", 1)
    return [Address("instance", f"{target}-{number}") for number in range(1, count + 1)]


def _leads_to(door: Address, entry: Desired, group: Address, arn: str, known: Known) -> bool:
    """Whether a listener or rule forwards to the ARN with the group's weight in the spec, and to as many groups as in the spec."""
    wanted = action_of(entry.state).forward
    weights = [part.weight for part in wanted if part.target_group == group]
    found = known.once(_forwards).get(known.ids[door], ()) if weights else ()
    return len(wanted) == len(found) and any(part.target_group == arn and part.weight in weights for part in found)


def _forwards(known: Known) -> Mapping[str, Sequence[Any]]:
    """The groups to which listeners and rules forward, by the ARN of the listener or rule."""
    doors = [item.found for kind in ("listener", "rule") for item in known.found.get(kind, ())]
    return {door.id: action_of(door.state).forward for door in doors}


KIND: Final = TargetGroupKind()
