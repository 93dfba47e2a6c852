"""Target groups (ELBv2 CreateTargetGroup, ModifyTargetGroup, ModifyTargetGroupAttributes, DeleteTargetGroup)."""

import asyncio
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from alb_reconcile.kinds import waits
from alb_reconcile.kinds._elb import HasAttributes, NamedKind
from alb_reconcile.kinds.base import Around, Entry, IamActions
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.identifiers import is_aws_id
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.resource import Desired, Observed, Properties

_HEALTH_CHECK: Final = {
    "protocol": "HealthCheckProtocol",
    "port": "HealthCheckPort",
    "path": "HealthCheckPath",
    "interval_seconds": "HealthCheckIntervalSeconds",
    "timeout_seconds": "HealthCheckTimeoutSeconds",
    "healthy_threshold_count": "HealthyThresholdCount",
    "unhealthy_threshold_count": "UnhealthyThresholdCount",
}

_CHECKED: Final = frozenset(f"health_check.{name}" for name in ("protocol", "port", "path", "matcher"))


@dataclass(frozen=True)
class ServedBy:
    """The ARNs of the load balancers that forward to a target group; AWS allows one."""

    load_balancers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TargetGroup(Properties):
    """A target group of type `instance`."""

    kind = "target_group"
    service = "elbv2"
    is_for_others = True
    missed = 4
    replaced_on = frozenset({"vpc", "protocol", "port", "protocol_version", "name"})

    vpc: Ref
    protocol: str
    port: int
    protocol_version: str | None = None
    health_check: Mapping[str, Any] | None = None
    attributes: Mapping[str, str] | None = None
    name: str | None = None

    def fixed(self, observed: Observed) -> frozenset[str]:
        """A check that its present targets may fail isn't changed under them: a new group takes over when it is healthy."""
        return self.replaced_on | _CHECKED if observed.detail(ServedBy).load_balancers else self.replaced_on

    def slots(self) -> Iterable[Hashable]:
        return (("target group name", self.name),) if self.name else ()


class TargetGroupKind(NamedKind[TargetGroup], HasAttributes[TargetGroup]):
    """Drives target groups."""

    properties = TargetGroup
    noun = "a target group"
    position = 70
    section = "target_groups"
    recognized_after = ("load_balancer", "listener", "rule")
    arn_type = "targetgroup"
    missing = ("TargetGroupNotFound",)
    quotas = (
        Quota("target-groups", "target groups"),
        Quota("target-groups-per-application-load-balancer", "target groups", 100, ("load_balancer",)),
    )
    in_use = waits.TARGET_GROUP_IN_USE
    iam_actions = IamActions(
        read=(
            "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:DescribeTargetGroupAttributes",
            "elasticloadbalancing:DescribeTags",
        ),
        look=("elasticloadbalancing:DescribeAccountLimits",),
        create=(
            "elasticloadbalancing:CreateTargetGroup",
            "elasticloadbalancing:AddTags",
            "elasticloadbalancing:ModifyTargetGroupAttributes",
        ),
        update=(
            "elasticloadbalancing:ModifyTargetGroup",
            "elasticloadbalancing:ModifyTargetGroupAttributes",
            "elasticloadbalancing:AddTags",
        ),
        delete=("elasticloadbalancing:DeleteTargetGroup",),
    )

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> TargetGroup:
        if "health_check" in fields:
            given = fields["health_check"]
            fields["health_check"] = {key: str(item) if key == "port" else item for key, item in given.items()}
        return TargetGroup(**fields)

    def members(self, name: str, entry: Entry, around: Around) -> Iterable[tuple[Address, Properties]]:
        group = Address("target_group", name)
        for target in entry.get("targets", ()):
            for member in _targets(target, around):
                label = member if isinstance(member, str) else member.name
                state = Registration(target_group=group, target=member, port=entry["port"])
                yield Address("registration", f"{name}/{label}:{entry['port']}"), state

    async def discover(self, reader: Reader) -> list[Observed]:
        ours = [item for item in await reader.target_groups() if reader.ours(item["Tags"])]
        return list(await asyncio.gather(*(self._observe(reader, item) for item in ours)))

    async def _observe(self, reader: Reader, item: dict[str, Any]) -> Observed:
        arn, found = item["TargetGroupArn"], item["Tags"]
        address = tags.own_address(found, self.name, arn)
        wanted = reader.desired.get(address)
        attributes = None
        if getattr(wanted.state, "attributes", None) if wanted else reader.desired:  # how long it drains, where it goes
            attributes = await self.read_attributes(reader.aws, arn)
        health_check = {name: item[key] for name, key in _HEALTH_CHECK.items() if key in item}
        matcher = item.get("Matcher") or {}
        health_check["matcher"] = matcher.get("HttpCode") or matcher.get("GrpcCode")
        state = TargetGroup(
            vpc=item.get("VpcId", ""),
            protocol=item["Protocol"],
            port=item["Port"],
            protocol_version=item.get("ProtocolVersion", "HTTP1"),
            health_check=health_check,
            attributes=attributes,
            name=item["TargetGroupName"],
        )
        return Observed(
            address, arn, state, found, reader.stack, details=ServedBy(tuple(item.get("LoadBalancerArns", ())))
        )

    async def create(self, run: Run, wanted: TargetGroup, desired: Desired) -> str:
        settings = [wanted.vpc, wanted.protocol, wanted.port, wanted.protocol_version]
        params = {"ProtocolVersion": wanted.protocol_version} if wanted.protocol_version else {}
        name = wanted.name or run.physical_name(desired, settings, 32)
        group = await self.create_named(
            run, desired, name, waits.TARGETS_VPC_UNKNOWN,
            Protocol=wanted.protocol, Port=wanted.port, VpcId=wanted.vpc, TargetType="instance", **self._health_check(wanted), **params,
        )  # fmt: skip
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
    """Each instance of a group; one that the spec stops can't be registered."""
    if is_aws_id(target):
        return [target]
    instances = around.entries("instances")[target]
    count = 0 if instances.get("state") == "stopped" else instances.get("count", 1)
    return [Address("instance", f"{target}-{number}") for number in range(1, count + 1)]


KIND: Final = TargetGroupKind()
