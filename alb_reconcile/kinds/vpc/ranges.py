"""Adds and removes the further address ranges of VPCs and subnets (EC2 AssociateVpcCidrBlock, AssociateSubnetCidrBlock …)."""

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from alb_reconcile.aws.polling import WaitError, repeat_until
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.context import Run, all_of
from alb_reconcile.model.errors import AwsError, RefusedError, ignoring

AMAZON: Final = "Amazon"
"""The pool of the IPv6 ranges that Amazon provides."""
_LEAVING: Final = ("disassociating", "disassociated", "failing", "failed")
_SORTS: Final = (("CidrBlockAssociationSet", "CidrBlock"), ("Ipv6CidrBlockAssociationSet", "Ipv6CidrBlock"))
Association = Mapping[str, Any]


def associations(row: Mapping[str, Any]) -> Iterator[tuple[str, Association]]:
    """The ranges that a VPC or a subnet has or is getting, each with its association."""
    for name, key in _SORTS:
        for item in row.get(name) or ():
            if (item.get(f"{key}State") or {}).get("State", "associated") not in _LEAVING:
                yield str(item.get(key, "")), item


def leaving(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The ids of associations of a VPC's ranges that are being removed, as after a killed run: AWS still counts these ranges."""
    return tuple(
        str(item["AssociationId"])
        for name, key in _SORTS
        for item in row.get(name) or ()
        if (item.get(f"{key}State") or {}).get("State") == "disassociating"
    )


def is_amazons(item: Association) -> bool:
    """Whether an association is of an IPv6 range that Amazon provides, rather than one from a pool."""
    return item.get("Ipv6Pool") == AMAZON


def ipv6_of(row: Mapping[str, Any]) -> tuple[str, Association] | None:
    """The IPv6 range of a subnet or a VPC with its association: the range that Amazon provides, if there is one."""
    found = (item for item in associations(row) if ":" in item[0])
    return max(found, key=lambda item: is_amazons(item[1]), default=None)


def index_of(ipv6_range: str) -> int:
    """The number of a subnet's range among the 256 of its VPC's range, where Amazon provides the latter."""
    return (int(ipaddress.IPv6Network(ipv6_range).network_address) >> 64) & 0xFF


def range_at(ipv6_range: str, index: int) -> str:
    """A subnet's /64 range by its number in a VPC's range: Terraform's cidrsubnet(range, 8, index)."""
    network = ipaddress.IPv6Network(ipv6_range)
    first = int(network.network_address) + (index << 64)
    return f"{ipaddress.IPv6Address(first)}/64"


_HOW: Final = {
    "vpc": ("describe_vpcs", "Vpcs", "VpcIds"),
    "subnet": ("describe_subnets", "Subnets", "SubnetIds"),
}


async def describe(run: Run, kind: str, physical_id: str) -> dict[str, Any]:
    """AWS's description of a VPC or a subnet; empty while AWS shows none."""
    operation, key, ids = _HOW[kind]
    with ignoring("InvalidVpcID.NotFound", "InvalidSubnetID.NotFound"):
        params: dict[str, Any] = {ids: [physical_id]}
        rows = await run.aws.pages("ec2", operation, key, **params)
        return dict(rows[0]) if rows else {}
    return {}


async def associate(run: Run, kind: str, physical_id: str, params: Mapping[str, Any]) -> None:
    """Associate a range with a VPC or a subnet. After a lost reply, looks for the range: a second call could get another IPv6 range."""
    named = params.get("CidrBlock") or params.get("Ipv6CidrBlock")
    call = partial(run.aws.call, "ec2", f"associate_{kind}_cidr_block", once=not named)
    key = {"vpc": "VpcId", "subnet": "SubnetId"}[kind]

    async def is_there() -> bool:
        row = await describe(run, kind, physical_id)
        return named in dict(associations(row)) if named else any(is_amazons(item) for _, item in associations(row))

    try:
        await call(**{key: physical_id, **params})
    except AwsError as error:
        patience = waits.LOST_REPLY if error.ambiguous else 0
        if not (named or error.ambiguous) or not await repeat_until(run.aws, is_there, bool, patience):
            raise


async def add_ranges(run: Run, vpc: str, ranges: Sequence[str], *, ipv6: bool) -> None:
    """Associate ranges with a VPC, and wait until it has them; with `ipv6` also until it has the IPv6 range that Amazon provides."""
    await all_of(*(associate(run, "vpc", vpc, {"CidrBlock": item}) for item in ranges))
    if ranges or ipv6:
        await wait_until_associated(run, "vpc", vpc, ranges, ipv6=ipv6)


async def wait_until_associated(
    run: Run, kind: str, physical_id: str, ranges: Iterable[str], *, ipv6: bool = False
) -> None:
    """Wait until a VPC or a subnet has these ranges, and with `ipv6` one that Amazon provides: before that, nothing can be made in them."""
    wanted = set(ranges)

    def check(row: Any) -> str:
        for name, part in _SORTS:
            for item in (row or {}).get(name) or ():
                state = item.get(f"{part}State") or {}
                if state.get("State") in ("failing", "failed") and (item.get(part) in wanted or ipv6):
                    why = state.get("StatusMessage") or "no reason given"
                    raise WaitError(f"AWS couldn't associate {item.get(part)}: {why}")
        there = {name: item for name, item in associations(row or {}) if _is_associated(item)}
        missing = sorted(wanted - there.keys())
        if ipv6 and not any(map(is_amazons, there.values())):
            missing.append("an IPv6 range")
        return f"{', '.join(missing)} to be associated" if missing else ""

    await _until(run, kind, physical_id, check)


def _is_associated(item: Association) -> bool:
    return all((item.get(f"{key}State") or {}).get("State") not in ("associating", *_LEAVING) for _, key in _SORTS)


async def wait_while_associating(run: Run, vpc: str) -> bool:
    """Wait while a range of a VPC is being associated, as after a killed run. Returns whether one was."""
    seen: list[bool] = []

    def check(row: Any) -> str:
        coming = sorted(name for name, item in associations(row or {}) if not _is_associated(item))
        seen.append(bool(coming))
        return f"{', '.join(coming)} to be associated" if coming else ""

    await _until(run, "vpc", vpc, check)
    return any(seen)


async def wait_until_gone(run: Run, kind: str, physical_id: str, association: str) -> None:
    """Wait until a range isn't associated any more, so that another range can be."""

    def check(row: Any) -> str:
        for name, part in _SORTS:
            for item in (row or {}).get(name) or ():
                state = (item.get(f"{part}State") or {}).get("State", "")
                if item["AssociationId"] == association and state != "disassociated":
                    return f"{item.get(part)} to be disassociated"
        return ""

    await _until(run, kind, physical_id, check)


async def _until(run: Run, kind: str, physical_id: str, check: Callable[[Any], str]) -> None:
    async def fetch(ids: set[str]) -> Mapping[str, Any]:
        return {item: await describe(run, kind, item) for item in ids}

    await run.wait(f"ranges of {kind}s", fetch, physical_id, check, waits.RANGE_ASSOCIATED)


async def ipv6_part(run: Run, vpc: str, wanted: str | int) -> str:
    """A subnet's IPv6 range; of a number, the one of that number in the VPC's range, once AWS shows it. Raises RefusedError without one."""
    if isinstance(wanted, str):
        return wanted

    async def read() -> str:
        found = ipv6_of(await describe(run, "vpc", vpc))
        return found[0] if found else ""

    async def find() -> str:
        return await repeat_until(run.aws, read, bool, waits.LAG)

    if around := str(await run.shared.once(f"IPv6 range of {vpc}", find)):
        return range_at(around, wanted)
    raise RefusedError(f"{vpc} has no IPv6 range, of which this subnet is to have number {wanted}")


async def leave_range(run: Run, vpc: str, found: Association, cidr: str) -> None:
    """Disassociate a range of a VPC, as soon as the stack's own subnets have left it. Raises RefusedError if others' subnets are in it."""
    try:
        await _disassociate(run, found)
    except AwsError as error:
        if error.code not in waits.RANGE_IN_USE:
            raise
        await _refuse_foreign_subnets(run, vpc, cidr)
        run.say(f"no subnet to be left in {cidr}")
        await _disassociate(run, found, waits.RANGE_IN_USE)
    await wait_until_gone(run, "vpc", vpc, str(found["AssociationId"]))


async def _disassociate(run: Run, found: Association, retry: waits.Codes | None = None) -> None:
    await run.gone(
        "ec2", "disassociate_vpc_cidr_block", retry=retry, missing=_NO_ASSOCIATION, AssociationId=found["AssociationId"]
    )


_NO_ASSOCIATION: Final = ("InvalidVpcCidrBlockAssociationID.NotFound",)


async def _refuse_foreign_subnets(run: Run, vpc: str, cidr: str) -> None:
    rows = await run.aws.pages("ec2", "describe_subnets", "Subnets", where={"vpc-id": vpc})
    around = ipaddress.ip_network(cidr)
    foreign = []
    for row in rows:
        names = [name for name in (row.get("CidrBlock"), *(name for name, _ in associations(row))) if name]
        inside = any(
            (net := ipaddress.ip_network(name)).version == around.version and net.overlaps(around) for name in names
        )
        if inside and row["SubnetId"] not in run.own:
            foreign.append(str(row["SubnetId"]))
    if foreign:
        raise RefusedError(f"{cidr} has subnets outside this stack: {', '.join(sorted(foreign))}; delete them first")
