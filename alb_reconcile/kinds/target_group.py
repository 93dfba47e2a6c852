"""Target groups (ELBv2 CreateTargetGroup, ModifyTargetGroup, ModifyTargetGroupAttributes, DeleteTargetGroup)."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from alb_reconcile.kinds import _elb as elb
from alb_reconcile.kinds.base import Kind
from alb_reconcile.kinds.context import NOT_YET
from alb_reconcile.model import tags
from alb_reconcile.model.address import Ref
from alb_reconcile.model.resource import Desired, Observed

if TYPE_CHECKING:
    from alb_reconcile.kinds.context import Run
    from alb_reconcile.kinds.reader import Reader

_HEALTH_CHECK: Final = {
    "protocol": "HealthCheckProtocol",
    "port": "HealthCheckPort",
    "path": "HealthCheckPath",
    "interval_seconds": "HealthCheckIntervalSeconds",
    "timeout_seconds": "HealthCheckTimeoutSeconds",
    "healthy_threshold_count": "HealthyThresholdCount",
    "unhealthy_threshold_count": "UnhealthyThresholdCount",
}


@dataclass(frozen=True, kw_only=True)
class TargetGroup(Kind):
    """A target group of type `instance`."""

    kind: ClassVar[str] = "target_group"
    service: ClassVar[str] = "elbv2"
    replaced_on: ClassVar[frozenset[str]] = frozenset({"vpc", "protocol", "port", "protocol_version", "name"})

    vpc: Ref
    protocol: str
    port: int
    protocol_version: str | None = None
    health_check: Mapping[str, Any] | None = None
    attributes: Mapping[str, str] | None = None
    name: str | None = None

    def slots(self) -> Iterable[Hashable]:
        return (("target group name", self.name),) if self.name else ()

    @classmethod
    async def discover(cls, reader: Reader) -> list[Observed]:
        ours = [item for item in await reader.target_groups() if reader.ours(item["Tags"])]
        return list(await asyncio.gather(*(cls._observe(reader, item) for item in ours)))

    @classmethod
    async def _observe(cls, reader: Reader, item: dict[str, Any]) -> Observed:
        arn, found = item["TargetGroupArn"], item["Tags"]
        address = tags.address_of(found, "target_group") or tags.unnamed("target_group", arn)
        wanted = reader.desired.get(address)
        attributes = None
        if wanted and getattr(wanted.state, "attributes", None):
            attributes = await elb.read_attributes(reader.aws, "target_group", arn)
        health_check = {name: item[key] for name, key in _HEALTH_CHECK.items() if key in item}
        matcher = item.get("Matcher") or {}
        health_check["matcher"] = matcher.get("HttpCode") or matcher.get("GrpcCode")
        state = cls(
            vpc=item.get("VpcId", ""),
            protocol=item["Protocol"],
            port=item["Port"],
            protocol_version=item.get("ProtocolVersion", "HTTP1"),
            health_check=health_check,
            attributes=attributes,
            name=item["TargetGroupName"],
        )
        return Observed(
            address,
            arn,
            state,
            found,
            reader.stack,
            facts={"load_balancers": tuple(item.get("LoadBalancerArns", ()))},
        )

    async def create(self, run: Run, desired: Desired, salt: str) -> str:
        settings = [self.vpc, self.protocol, self.port, self.protocol_version]
        params: dict[str, Any] = {"ProtocolVersion": self.protocol_version} if self.protocol_version else {}
        arn = await elb.create_named(
            run, desired, "target_group", self.name or run.physical_name(desired, settings, salt, 32), {"InvalidVpcID.NotFound": NOT_YET},
            Protocol=self.protocol, Port=self.port, VpcId=self.vpc, TargetType="instance", **self._health_check(), **params,
        )  # fmt: skip
        await elb.write_attributes(run.aws, "target_group", arn, self.attributes or {})
        return arn

    def _health_check(self) -> dict[str, Any]:
        given = dict(self.health_check or {})
        params: dict[str, Any] = {
            _HEALTH_CHECK[key]: value for key, value in given.items() if key in _HEALTH_CHECK
        }
        if "matcher" in given:
            params["Matcher"] = {
                "GrpcCode" if self.protocol_version == "GRPC" else "HttpCode": given["matcher"]
            }
        return params

    async def update(self, run: Run, observed: Observed, fields: frozenset[str]) -> None:
        if any(field.startswith("health_check.") for field in fields):
            await run.aws.call(
                "elbv2", "modify_target_group", TargetGroupArn=observed.id, **self._health_check()
            )
        changed = {
            key: value for key, value in (self.attributes or {}).items() if f"attributes.{key}" in fields
        }
        await elb.write_attributes(run.aws, "target_group", observed.id, changed)

    @classmethod
    async def delete(cls, run: Run, observed: Observed) -> None:
        await run.gone(
            "elbv2",
            "delete_target_group",
            retry={"ResourceInUse": 120},
            missing=("TargetGroupNotFound",),
            TargetGroupArn=observed.id,
        )
