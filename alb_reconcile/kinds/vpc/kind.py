"""VPCs and their ranges (EC2 CreateVpc, AssociateVpcCidrBlock, ModifyVpcAttribute, DeleteVpc)."""

import asyncio
import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Self

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.tasks import set_off
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Ec2Kind
from alb_reconcile.kinds.base import Around, Entry, IamActions, Intent, Listing, Named, Zones
from alb_reconcile.kinds.context import Run, all_of
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.recognition import Candidate, Evidence, Known, by_name_and_shape, name_in_common
from alb_reconcile.kinds.vpc import checks, encryption
from alb_reconcile.kinds.vpc.encryption import (
    NONE,
    Control,
    check_enforcement,
    control_of,
    params_of,
    read_controls,
    set_control,
    wait_for_control,
)
from alb_reconcile.kinds.vpc.ipam import (
    MANAGED,
    Allocations,
    Use,
    check_pools,
    choose_known,
    from_pool,
    is_from_pool,
    length_of,
    read_allocations,
)
from alb_reconcile.kinds.vpc.ranges import (
    AMAZON,
    Association,
    Exchanges,
    add_ranges,
    associate,
    associations,
    ipv6_of,
    leave_range,
    leaving,
    wait_until_associated,
    wait_until_gone,
)
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import conflicts
from alb_reconcile.model.address import Address
from alb_reconcile.model.decisions import Decisions
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.errors import ignoring
from alb_reconcile.model.resource import Desired, Lookups, Observed, each_of
from alb_reconcile.model.service import Network, Segment
from alb_reconcile.model.text import camel

_ATTRIBUTES: Final = {
    "enable_dns_support": "enableDnsSupport",
    "enable_dns_hostnames": "enableDnsHostnames",
    "enable_network_address_usage_metrics": "enableNetworkAddressUsageMetrics",
}
_IPV6: Final = (
    "amazon_provided_ipv6_cidr_block",
    "ipv6_cidr_block_network_border_group",
    "ipv6_pool",
    "ipv6_ipam_pool_id",
    "ipv6_netmask_length",
    "ipv6_cidr_block",
)


async def _read(reader: Reader, vpc: str, name: str) -> bool | None:
    """One attribute; None if the VPC is gone meanwhile."""
    with ignoring(*KIND.missing):
        answer = await reader.aws.call("ec2", "describe_vpc_attribute", VpcId=vpc, Attribute=_ATTRIBUTES[name])
        return bool(answer[camel(name)]["Value"])
    return None


@dataclass(frozen=True, kw_only=True)
class Vpc(Network):
    """A virtual network."""

    kind = "vpc"
    service = "ec2"
    is_for_others = True
    carries_applied = True
    gone = frozenset({"deleting"})
    replaced_on = frozenset({"cidr_block", "ipv4_ipam_pool_id", "ipv4_netmask_length", "instance_tenancy"})

    cidr_block: str | None = None
    ipv4_ipam_pool_id: str | None = None
    """Where its range is from. AWS doesn't tell, so it isn't compared."""
    ipv4_netmask_length: int | None = None
    secondary_cidr_blocks: tuple[str, ...] | None = None
    """Ranges, and what stands for those that IPAM pools are to give (`from_pool`)."""
    amazon_provided_ipv6_cidr_block: bool | None = None
    ipv6_cidr_block_network_border_group: str | None = None
    ipv6_pool: str | None = None
    ipv6_ipam_pool_id: str | None = None
    """Observed, None where it is of an IPAM pool, but nobody has looked whether it is of that which the spec says."""
    ipv6_netmask_length: int | None = None
    ipv6_cidr_block: str | None = None
    instance_tenancy: str | None = None
    enable_dns_support: bool | None = None
    enable_dns_hostnames: bool | None = None
    enable_network_address_usage_metrics: bool | None = None
    vpc_encryption_control: Control | None = None

    def fixed(self, observed: Observed) -> frozenset[str]:
        # ModifyVpcTenancy: "You can change the instance tenancy attribute of a VPC to default only"
        return self.replaced_on - ({"instance_tenancy"} if self.instance_tenancy == "default" else set())

    def settle(self, observed: Observed | None, lookups: Lookups) -> Self:
        if observed is None or not isinstance(found := observed.state, Vpc):
            return self
        own = replace(self, ipv4_ipam_pool_id=None)
        if self.secondary_cidr_blocks is not None:
            known = observed.detail(Ranges).allocations
            chosen = choose_known(self.secondary_cidr_blocks, found.secondary_cidr_blocks or (), observed.id, known)
            own = replace(own, secondary_cidr_blocks=chosen)
        same_length = self.ipv6_netmask_length in (None, found.ipv6_netmask_length)
        if found.ipv6_ipam_pool_id is None and same_length and self.ipv6_cidr_block in (None, found.ipv6_cidr_block):
            own = replace(own, ipv6_ipam_pool_id=None)
        return own

    @property
    def wants_ipv6(self) -> bool:
        """Whether it is to have an IPv6 range."""
        return bool(self.amazon_provided_ipv6_cidr_block or self.ipv6_pool or self.ipv6_ipam_pool_id)

    @property
    def pools(self) -> list[str]:
        """The IPAM pools that are looked at to tell what is from them."""
        further = [item.partition("/")[0] for item in self.secondary_cidr_blocks or () if is_from_pool(item)]
        return [*further, *filter(None, [self.ipv6_ipam_pool_id])]


@dataclass(frozen=True)
class Ranges:
    """The associations of a VPC's ranges, by range; those that are on their way out, and what is known of IPAM pools."""

    by_range: Mapping[str, Association]
    leaving: tuple[str, ...] = ()
    allocations: Allocations | None = None


class VpcKind(Ec2Kind[Vpc]):
    """Drives VPCs."""

    properties = Vpc
    noun = "a VPC"
    position = 10
    section = "vpcs"
    entry_checks = (checks.check_entries,)
    use_checks = (checks.check_use,)
    has_default = True
    id_prefix = "vpc-"
    listing = Listing("describe_vpcs", "Vpcs", "VpcId", "vpc-id", "", needs_foreign=True, default_filter="is-default")
    missing = ("InvalidVpcID.NotFound",)
    in_use = waits.VPC_IN_USE
    ready = frozenset({"available"})
    usual: ClassVar[Mapping[str, Any]] = {"instance_tenancy": "default", "enable_dns_support": True}
    chosen = frozenset(
        {
            "ipv4_ipam_pool_id",
            "ipv4_netmask_length",
            "ipv6_cidr_block_network_border_group",
            "ipv6_ipam_pool_id",
            "ipv6_netmask_length",
        }
    )
    quotas = (
        Quota("L-F678F1CE", "VPCs"),
        Quota(
            "L-83CA0A9D", "IPv4 ranges of a VPC", 5, path="secondary_cidr_blocks", count=lambda found: len(found) + 1
        ),
    )
    iam_actions = IamActions(
        read=("ec2:DescribeVpcs", "ec2:DescribeVpcAttribute", "ec2:GetIpamPoolAllocations", *encryption.READS),
        look=("servicequotas:GetServiceQuota", "ec2:DescribeIpamPools", *encryption.LOOKS),
        create=(
            "ec2:CreateVpc", "ec2:CreateTags", "ec2:AssociateVpcCidrBlock", "ec2:ModifyVpcAttribute",
            *encryption.CREATES,
        ),
        update=(
            "ec2:ModifyVpcAttribute", "ec2:ModifyVpcTenancy", "ec2:AssociateVpcCidrBlock",
            "ec2:DisassociateVpcCidrBlock", "ec2:DescribeSubnets", "ec2:CreateTags", *encryption.UPDATES,
        ),
        delete=("ec2:DeleteVpc",),
        on={
            "ec2:DescribeVpcAttribute": "vpc@", "ec2:GetIpamPoolAllocations": "ipam-pool",
            "ec2:GetVpcResourcesBlockingEncryptionEnforcement": "vpc", "ec2:CreateVpc": "vpc+ ipam-pool",
            "ec2:AssociateVpcCidrBlock": "vpc ipam-pool",
            "ec2:CreateVpcEncryptionControl": "vpc vpc-encryption-control*",
            "ec2:ModifyVpcEncryptionControl": "vpc-encryption-control*",
            "ec2:DeleteVpcEncryptionControl": "vpc-encryption-control*",
        },
        fields={
            "ec2:ModifyVpcTenancy": "instance_tenancy",
            "ec2:AssociateVpcCidrBlock": "secondary_cidr_blocks amazon_provided_ipv6_cidr_block ipv6_pool ipv6_ipam_pool_id",
            "ec2:DisassociateVpcCidrBlock": "secondary_cidr_blocks amazon_provided_ipv6_cidr_block ipv6_pool ipv6_ipam_pool_id",
            "ec2:DescribeVpcEncryptionControls": "vpc_encryption_control",
            "ec2:CreateVpcEncryptionControl": "vpc_encryption_control",
            "ec2:ModifyVpcEncryptionControl": "vpc_encryption_control",
            "ec2:DeleteVpcEncryptionControl": "vpc_encryption_control",
            "ec2:GetVpcResourcesBlockingEncryptionEnforcement": "vpc_encryption_control",
        },
    )  # fmt: skip

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> Vpc:
        if "secondary_cidr_blocks" in fields:
            fields = {**fields, "secondary_cidr_blocks": _secondary(fields["secondary_cidr_blocks"])}
        if "ipv6_cidr_block" in fields:
            fields = {**fields, "ipv6_cidr_block": str(ipaddress.IPv6Network(fields["ipv6_cidr_block"]))}
        if fields.get("vpc_encryption_control") == {}:
            fields = {**fields, "vpc_encryption_control": {"mode": NONE}}
        return Vpc(**fields)

    def write_entry(self, observed: Observed, entry: Entry, named: Named) -> Entry:
        if entry.get("amazon_provided_ipv6_cidr_block"):
            entry.pop("ipv6_cidr_block", None)
        elif "ipv6_cidr_block" in entry and "ipv6_pool" not in entry:
            named.remark(f"its IPv6 range {entry.pop('ipv6_cidr_block')} is from an IPAM pool, which AWS doesn't name")
        if (control := entry.pop("vpc_encryption_control", None)) and control["mode"] != NONE:
            told = {key: value for key, value in control.items() if key == "mode" or value == "enable"}
            entry["vpc_encryption_control"] = told
        return entry

    def why_builtin(self, row: Mapping[str, Any]) -> str:
        return "the account's default VPC" if row.get("IsDefault") else ""

    def takes(self, action: str, fields: Collection[str]) -> tuple[int, int]:
        """AWS documents no time for encryption controls; minutes are usual."""
        return (10, 600) if "vpc_encryption_control" in fields else super().takes(action, fields)

    def check_plan(self, decisions: Decisions, discovery: Discovery) -> Iterable[Finding]:
        """Ranges that a VPC would lose though subnets that stay have a part of them (InvalidCidrBlock.InUse)."""
        for item, wanted in each_of(decisions.desired.values(), Vpc):
            vpc = item.found
            if vpc is None or item.forces:
                continue
            fields = {change.path for change in item.changes}
            for text, name in leaving_ranges(wanted, vpc, fields).items():
                around = ipaddress.ip_network(text)
                holders = [
                    f"{found.address} ({found.id})"
                    for found, state in each_of(decisions.live, Segment)
                    if state.vpc == vpc.id
                    if found.id not in decisions.going or (":" in text and not _goes_first(found, state, decisions))
                    if any(_overlaps(part, around) for part in (state.cidr_block, state.ipv6_cidr_block) if part)
                ]
                by_hand = "take theirs out by hand: aws ec2 disassociate-subnet-cidr-block"
                how = by_hand if ":" in text else "give them a cidr_block elsewhere, too"
                told = f"{text} can't leave {vpc.id} while these have a part of it: {', '.join(holders)}; keep it, or {how}"
                if holders:
                    yield Finding(item.desired, name, told)

    def evidence(self, desired: Desired, item: Candidate, known: Known) -> Evidence | None:
        wanted, found = known.bound(desired), self.of(item.found)
        shape = f"its CIDR block {wanted.cidr_block}" if wanted.cidr_block == found.cidr_block else ""
        return by_name_and_shape(name_in_common(desired, item), shape)

    async def discover(self, reader: Reader) -> list[Observed]:
        rows = await self.own_rows(reader)
        declared = any(state.vpc_encryption_control for _, state in each_of(reader.desired.values(), Vpc))
        controls = None
        if rows and (declared or reader.thorough):
            read = read_controls(reader.aws, [row["VpcId"] for row in rows])
            controls = await reader.beside("encryption controls", read)
        return list(await asyncio.gather(*(self._observe(reader, vpc, controls) for vpc in rows)))

    async def _observe(self, reader: Reader, vpc: dict[str, Any], controls: Mapping[str, Any] | None) -> Observed:
        address = tags.address_of(tags.from_list(vpc["Tags"]), "vpc")
        wanted = reader.desired.get(address) if address else None
        declared = [name for name in _ATTRIBUTES if reader.asks(wanted, name)]
        pools = wanted.state.pools if wanted and isinstance(wanted.state, Vpc) else []
        values, known = await asyncio.gather(
            asyncio.gather(*(_read(reader, vpc["VpcId"], name) for name in declared)), read_allocations(reader, pools)
        )
        own = dict(associations(vpc))
        read: dict[str, Any] = dict(zip(declared, values, strict=True))
        state = Vpc(
            cidr_block=vpc["CidrBlock"],
            ipv4_netmask_length=length_of(vpc["CidrBlock"]),
            secondary_cidr_blocks=tuple(sorted(item for item in own if ":" not in item and item != vpc["CidrBlock"])),
            instance_tenancy=vpc.get("InstanceTenancy"),
            vpc_encryption_control=None if controls is None else control_of(controls.get(vpc["VpcId"])),
            **_ipv6(vpc, known),
            **read,
        )
        details = Ranges(own, leaving(vpc), known)
        return self.observe(reader, vpc, state, vpc.get("State", ""), details=details)

    async def check_preconditions(
        self, aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
    ) -> list[Finding]:
        """What IPAM pools would refuse, and what keeps a VPC from enforcing encryption."""
        uses = [use for item in intents for use in _uses(item)]
        found = await asyncio.gather(check_pools(aws, uses), check_enforcement(aws, intents))
        return [finding for part in found for finding in part]

    async def create(self, run: Run, wanted: Vpc, desired: Desired) -> str:
        given: dict[str, Any] = {"CidrBlock": wanted.cidr_block, "InstanceTenancy": wanted.instance_tenancy}
        given |= {"Ipv4IpamPoolId": wanted.ipv4_ipam_pool_id, "Ipv4NetmaskLength": wanted.ipv4_netmask_length}
        params = {key: value for key, value in given.items() if value is not None}
        control = wanted.vpc_encryption_control or {"mode": NONE}
        if control["mode"] != NONE:
            params["VpcEncryptionControl"] = params_of(control)
        vpc = await self.create_once(run, desired, **params, **_ipv6_params(wanted))
        more = wanted.secondary_cidr_blocks or ()
        await add_ranges(run, vpc, more, ipv6=wanted.wants_ipv6)
        if control["mode"] != NONE:
            await wait_for_control(run, vpc)
        run.others.announce(vpc, usable=True)  # with all ranges that subnets can be in
        await self._modify(run, wanted, vpc, [name for name in _ATTRIBUTES if getattr(wanted, name) is not None])
        return vpc

    async def update(self, run: Run, wanted: Vpc, observed: Observed, fields: frozenset[str]) -> None:
        vpc, before, own = observed.id, self.of(observed), observed.detail(Ranges).by_range
        have, want = before.secondary_cidr_blocks or (), wanted.secondary_cidr_blocks or ()
        more = [item for item in want if item not in have] if "secondary_cidr_blocks" in fields else []
        leaves = leaving_ranges(wanted, observed, fields)
        old = [item for item in leaves if ":" in item]
        new = [_ipv6_params(wanted)] if fields.intersection(_IPV6) and wanted.wants_ipv6 else []
        if "instance_tenancy" in fields:
            await run.aws.call("ec2", "modify_vpc_tenancy", VpcId=vpc, InstanceTenancy=wanted.instance_tenancy)
        if more or (new and not old):
            await all_of(*(wait_until_gone(run, "vpc", vpc, item) for item in observed.detail(Ranges).leaving))
        if new and not old:
            await associate(run, "vpc", vpc, new[0])
        await add_ranges(run, vpc, more, ipv6=bool(new) and not old)
        await self._modify(run, wanted, vpc, [name for name in _ATTRIBUTES if name in fields])
        if "vpc_encryption_control" in fields and wanted.vpc_encryption_control:
            await set_control(run, vpc, wanted.vpc_encryption_control)

        async def exchange() -> None:
            await all_of(*(leave_range(run, vpc, own[item], item) for item in old))
            if new:
                await associate(run, "vpc", vpc, new[0])
                await wait_until_associated(run, "vpc", vpc, (), ipv6=True)

        if leaves:
            exchanged = {vpc: set_off(exchange())} if old else {}
            run.shared.of(Exchanges).update(exchanged)
            run.others.announce(vpc, usable=True)  # subnets may be made in other ranges, and leave these
            left = (leave_range(run, vpc, own[item], item) for item in leaves if item not in old)
            await all_of(*exchanged.values(), *left)

    async def _modify(self, run: Run, wanted: Vpc, vpc: str, names: list[str]) -> None:
        for name in names:  # one attribute a call
            value: dict[str, Any] = {camel(name): {"Value": getattr(wanted, name)}}
            await run.aws.call("ec2", "modify_vpc_attribute", VpcId=vpc, **value)


def _goes_first(found: Observed, state: Segment, decisions: Decisions) -> bool:
    """Whether a subnet that goes needn't wait for a successor that is to have an IPv6 range itself."""
    entries = (item for item, wanted in each_of(decisions.desired.values(), Segment) if wanted.location.has_ipv6)
    return all(conflicts(item.state, state) for item in entries if item.found and item.found.id == found.id)


def _overlaps(part: str | int, around: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return isinstance(part, str) and ipaddress.ip_network(part).overlaps(around)


def leaving_ranges(wanted: Vpc, observed: Observed, fields: Collection[str]) -> dict[str, str]:
    """The ranges that a VPC loses by a change of these properties, each with the one by which it does."""
    ipv6 = next((name for name in _IPV6 if name in fields), "")
    ipv4 = "secondary_cidr_blocks" if "secondary_cidr_blocks" in fields else ""
    own = observed.detail(Ranges).by_range if ipv6 or ipv4 else ()
    stays = {*(wanted.secondary_cidr_blocks or ()), getattr(observed.state, "cidr_block", None)}
    found = {item: ipv6 if ":" in item else ipv4 for item in own if item not in stays}
    return {item: name for item, name in found.items() if name}


def _ipv6(vpc: Mapping[str, Any], known: Allocations | None) -> dict[str, Any]:
    """A VPC's IPv6 range as its properties say it."""
    found = ipv6_of(vpc)
    name, association = found or ("", {})
    pool = association.get("Ipv6Pool") or ""
    given = None if pool == MANAGED and known is None else (known or {}).get((vpc["VpcId"], name), "")
    return {
        "amazon_provided_ipv6_cidr_block": pool == AMAZON,
        "ipv6_cidr_block_network_border_group": association.get("NetworkBorderGroup"),
        "ipv6_pool": pool if pool not in (AMAZON, MANAGED) else "",
        "ipv6_ipam_pool_id": given,
        "ipv6_netmask_length": length_of(name),
        "ipv6_cidr_block": name,
    }


def _secondary(given: Iterable[str | Mapping[str, Any]]) -> tuple[str, ...]:
    """Further ranges as an entry says them."""
    ranges = (
        item if isinstance(item, str) else from_pool(item["ipv4_ipam_pool_id"], item.get("ipv4_netmask_length"))
        for item in given
    )
    return tuple(sorted(ranges))


def _uses(intent: Intent) -> Iterator[Use]:
    """What IPAM pools are to give to a VPC that is to be made or changed."""
    wanted, fields = intent.wanted, intent.fields
    if fields is None and wanted.ipv4_ipam_pool_id:
        length, is_named = wanted.ipv4_netmask_length, wanted.cidr_block is not None
        yield Use(intent.desired, "ipv4_ipam_pool_id", wanted.ipv4_ipam_pool_id, length, is_named=is_named)
    if fields is None or "secondary_cidr_blocks" in fields:
        for item in filter(is_from_pool, wanted.secondary_cidr_blocks or ()):
            pool, _, length = item.partition("/")
            yield Use(intent.desired, "secondary_cidr_blocks", pool, int(length) if length else None)
    if wanted.ipv6_ipam_pool_id and (fields is None or fields.intersection(_IPV6)):
        length, is_named = wanted.ipv6_netmask_length, wanted.ipv6_cidr_block is not None
        yield Use(intent.desired, "ipv6_ipam_pool_id", wanted.ipv6_ipam_pool_id, length, "ipv6", is_named)


def _ipv6_params(wanted: Vpc) -> dict[str, Any]:
    """The IPv6 range that CreateVpc and AssociateVpcCidrBlock are to give it."""
    return {camel(name): value for name in _IPV6 if (value := getattr(wanted, name))} if wanted.wants_ipv6 else {}


KIND: Final = VpcKind()
