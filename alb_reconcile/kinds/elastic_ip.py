"""The kind `elastic_ip`: Elastic IP addresses (EC2 AllocateAddress, ReleaseAddress)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from alb_reconcile.kinds import by_section, waits
from alb_reconcile.kinds._ec2 import Ec2Kind, Row, refuse_foreign_interfaces
from alb_reconcile.kinds.base import Around, Grouped, IamActions, Listing
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.recognition import Candidate, Evidence, Known, by_name_and_shape, by_settings
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.nodes import Path
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Desired, Observed
from alb_reconcile.model.service import Foreign, Holder, StaticAddress


@dataclass(frozen=True, kw_only=True)
class ElasticIp(StaticAddress):
    """A public IPv4 address that stays the same."""

    kind = "elastic_ip"
    service = "ec2"
    is_for_others = True
    carries_applied = True
    replaced_on = frozenset({"address"})

    address: str | None = None


def _check_use(around: Around) -> None:
    """Report addresses that two resources are to have: AWS would take the address away from one of them."""
    seen: dict[str, Path] = {}
    for path, kind, address in around.references:
        if kind == "elastic_ip" and (first := seen.setdefault(address, path)) != path:
            holder = by_section()[str(first[0])]
            user = f"{holder.section if isinstance(holder, Grouped) else holder.name}.{first[1]}"
            around.error(path, f"{address} is used by {user} already, and an address serves one; declare another")


class ElasticIpKind(Ec2Kind[ElasticIp]):
    """Drives Elastic IP addresses."""

    properties = ElasticIp
    noun = "an Elastic IP address"
    position = 32
    section = "elastic_ips"
    use_checks = (_check_use,)
    id_prefix = "eipalloc-"
    is_rare = True
    recognized_after = ("instance",)
    chosen = frozenset({"address"})
    listing = Listing(
        "describe_addresses", "Addresses", "AllocationId", "allocation-id", vpc_filter="", needs_foreign=True
    )
    missing = ("InvalidAllocationID.NotFound",)
    in_use = waits.ADDRESS_IN_USE
    quotas = (Quota("L-0263D0A3", "Elastic IP addresses", 5, service="ec2"),)
    iam_actions = IamActions(
        read=("ec2:DescribeAddresses", "ec2:DescribeTags"),
        look=("servicequotas:GetServiceQuota",),
        create=("ec2:AllocateAddress", "ec2:CreateTags"),
        update=("ec2:CreateTags",),
        delete=("ec2:ReleaseAddress", "ec2:DescribeNetworkInterfaces"),
        on={"ec2:AllocateAddress": "elastic-ip+ ipv4pool-ec2"},
    )  # fmt: skip

    def locate(self, row: Mapping[str, Any]) -> Foreign:
        holder = row.get("InstanceId") or row.get("NetworkInterfaceId") or ""
        return replace(super().locate(row), holder=holder)

    def tell_plan(self, steps: Sequence[Step], discovery: Discovery) -> Iterable[tuple[Step, str]]:
        for step in steps:
            if step.action == "delete" and step.observed:
                yield step, f"{self.of(step.observed).address} goes back to AWS, for others to get"

    def evidence(self, desired: Desired, item: Candidate, known: Known) -> Evidence | None:
        plain, held = by_settings(desired, item, known), item.found.detail(Holder).instance
        associated: list[Any] = [entry.state for entry in known.wanted("elastic_ip_association")]
        users = {known.ids.get(state.instance) for state in associated if state.elastic_ip == desired.address}
        name = plain.words if plain and plain.named else ""
        if held and held in users:
            return by_name_and_shape(name, f"its association with {held}")
        if gateway := _gateway_of(desired, item, known):
            return Evidence(0 if name else 1, f"{name} and " * bool(name) + f"its NAT gateway {gateway}", named=True)
        return plain

    async def discover(self, reader: Reader) -> list[Observed]:
        rows = await self.own_rows(reader)
        return [self._observe(reader, row) for row in rows]

    def _observe(self, reader: Reader, row: Row) -> Observed:
        holder = Holder(row.get("NetworkInterfaceId") or "", row.get("InstanceId") or "")
        return self.observe(reader, row, ElasticIp(address=row["PublicIp"]), details=holder)

    async def create(self, run: Run, wanted: ElasticIp, desired: Desired) -> str:
        given = {} if wanted.address is None else {"Address": wanted.address}
        return await self.create_once(run, desired, "allocate_address", Domain="vpc", **given)

    async def update(self, run: Run, wanted: ElasticIp, observed: Observed, fields: frozenset[str]) -> None:
        """Nothing: AWS changes only the tags of an address."""

    async def delete(self, run: Run, observed: Observed) -> None:
        try:
            await self.call_delete(run, observed.id, {})
        except AwsError as error:
            if not any(error.matches(code) for code in self.in_use):
                raise
        else:
            return
        for row in await run.aws.pages("ec2", "describe_addresses", "Addresses", where={"allocation-id": observed.id}):
            if interface := row.get("NetworkInterfaceId"):
                await refuse_foreign_interfaces(run, "network-interface-id", interface, of=observed.id)
        await self.call_delete(run, observed.id, self.in_use)

    async def call_delete(self, run: Run, physical_id: str, retry: waits.Codes) -> None:
        params: dict[str, Any] = {self.id_key: physical_id}
        await run.gone("ec2", "release_address", retry=retry, missing=self.missing, **params)


def _gateway_of(desired: Desired, item: Candidate, known: Known) -> str:
    """The NAT gateway that has an address, where the spec gives the address to a NAT gateway of the same subnet."""
    gateways = [(known.ids.get(entry.address), known.bound(entry)) for entry in known.wanted("nat_gateway")]
    for there in known.found.get("nat_gateway", ()):
        state: Any = there.found.state
        if there.owner not in ("", known.stack) or state.elastic_ip != item.found.id:
            continue
        for own, wanted in gateways:
            is_to_have_it = wanted.elastic_ip in (desired.address, item.found.id)
            if is_to_have_it and wanted.subnet == state.subnet and own in (None, there.found.id):
                return there.found.id
    return ""


KIND: Final = ElasticIpKind()
