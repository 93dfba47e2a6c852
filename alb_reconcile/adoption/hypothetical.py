"""Reads an account as if some of its resources carried other tags: what a plan would see after a change of tags."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import Listing
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Desired

PREFIX: Final = "alb-reconcile:"
"""The beginning of the keys of all tags of this tool."""


@cache
def _listings() -> dict[str, tuple[str, Listing]]:
    """How ids of a kind begin, and how AWS lists them, by operation."""
    kinds = load_kinds().values()
    return {kind.listing.operation: (kind.id_prefix, kind.listing) for kind in kinds if kind.listing}


class HypotheticalReader(Reader):
    """Reads an account as if it had other tags. Each read is made once, whatever is imagined meanwhile.

    While the reader `claims` everything, all resources in `vpcs` count as the stack's, without an address (all VPCs until `vpcs` is known;
    all internet gateways). Otherwise `imagined` stands for resources' tags, by id. `named` are ids that are read wherever they are.
    """

    def __init__(self, aws: Aws, stack: str, desired: Mapping[Address, Desired], named: Collection[str] = ()) -> None:
        super().__init__(aws, stack, desired)
        self.named = frozenset(named)
        self.vpcs: set[str] | None = None
        self.claims = False
        self.imagined: Mapping[str, Mapping[str, str]] = {}
        self.rows: dict[str, Mapping[str, Any]] = {}
        """The row that AWS has of each resource that was read, by id."""
        self.tags: dict[str, dict[str, str]] = {}
        """The tags of each resource as they are, by id."""

    async def tagged(self, operation: str, key: str) -> list[dict[str, Any]]:
        if operation == "describe_volumes":
            return self._see(await self.once(self._volumes), "VolumeId")
        rows = await self.once(self._read, operation, key)
        seen = self._see(rows, _listings()[operation][1].id_key)
        return [{"Instances": [row]} for row in seen] if operation == "describe_instances" else seen

    async def _read(self, operation: str, key: str) -> list[dict[str, Any]]:
        prefix, listing = _listings()[operation]
        named = [item for item in self.named if item.startswith(prefix)]
        filters: list[Mapping[str, Collection[str]]] = [{}]
        if listing.vpc_filter:
            filters = [{f"tag:{tags.STACK}": [self.stack]}]
            filters += [{listing.vpc_filter: self.vpcs}] if self.vpcs else []
            filters += [{listing.id_filter: named}] if named else []
        parts = await asyncio.gather(*(self.aws.pages("ec2", operation, key, where=item) for item in filters))
        rows = [row for part in parts for row in part]
        if operation == "describe_instances":
            rows = [row for reservation in rows for row in reservation["Instances"]]
        return list({row[listing.id_key]: row for row in rows}.values())

    async def _volumes(self) -> list[dict[str, Any]]:
        """The volumes of the instances that were read."""
        instances = [item for item in self.rows if item.startswith("i-")]
        where = {"attachment.instance-id": instances}
        return await self.aws.pages("ec2", "describe_volumes", "Volumes", where=where) if instances else []

    def _see(self, rows: Iterable[dict[str, Any]], identifier: str) -> list[dict[str, Any]]:
        """The rows that are the stack's as things are imagined, with their imagined tags."""
        found = []
        for row in rows:
            physical_id = row[identifier]
            within = identifier != "VpcId" or self.vpcs is None or physical_id in self.vpcs
            counted = self.seen(physical_id, row, tags.from_list(row.get("Tags")), within=within)
            if self.ours(counted):
                found.append({**row, "Tags": tags.to_list(counted)})
        return found

    def seen(
        self, physical_id: str, row: Mapping[str, Any], found: dict[str, str], *, within: bool = True
    ) -> dict[str, str]:
        self.rows[physical_id], self.tags[physical_id] = row, found
        if physical_id in self.imagined:
            return dict(self.imagined[physical_id])
        if self.claims and within and not self.ours(found):
            return {**without_ours(found), tags.STACK: self.stack, tags.ADOPTED: physical_id}
        return found

    async def load_balancers(self) -> list[dict[str, Any]]:
        found = await super().load_balancers()
        return [self._see_balancing(item, "LoadBalancerArn") for item in found]

    async def target_groups(self) -> list[dict[str, Any]]:
        found = {item["TargetGroupArn"]: item for item in await super().target_groups()}
        everywhere = await self._all_target_groups()
        far = [arn for item in everywhere if (arn := item["TargetGroupArn"]) in self.named and arn not in found]
        if far:
            tagged = await self.once(self.elb_tags, tuple(far))
            rows = {item["TargetGroupArn"]: item for item in everywhere}
            found |= {arn: {**rows[arn], "Tags": own} for arn, own in tagged.items()}
        return [self._see_balancing(item, "TargetGroupArn") for item in found.values()]

    def _see_balancing(self, item: dict[str, Any], identifier: str) -> dict[str, Any]:
        arn = item[identifier]
        # no spec can say that a load balancer is the target; functions are in no VPC
        is_near = item.get("VpcId") in (self.vpcs or ()) or item.get("TargetType") == "lambda"
        within = item.get("TargetType") != "alb" and (is_near or arn in self.named)
        return {**item, "Tags": self.seen(arn, item, item["Tags"], within=within)}

    async def listeners(self, load_balancer: str) -> list[dict[str, Any]]:
        return [
            {**item, "Tags": self.seen(item["ListenerArn"], item, item["Tags"])}
            for item in await super().listeners(load_balancer)
        ]

    async def rules(self, listener: str) -> list[dict[str, Any]]:
        return [
            {**item, "Tags": self.seen(item["RuleArn"], item, item["Tags"])} for item in await super().rules(listener)
        ]


def without_ours(found: Mapping[str, str]) -> dict[str, str]:
    """Tags without those that this tool writes."""
    return {key: value for key, value in found.items() if not key.startswith(PREFIX)}
