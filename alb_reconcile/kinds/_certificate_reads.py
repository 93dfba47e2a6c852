"""What is read of certificates: whose they are, who uses them, how they are."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from alb_reconcile.kinds import _validation
from alb_reconcile.kinds._validation import PENDING, Seen
from alb_reconcile.kinds._zones import ZoneError, find_zone
from alb_reconcile.kinds.reader import Reader


async def once(reader: Reader, name: str, read: Any) -> Any:
    """A read that several stacks may have in common."""
    if reader.shared is not None:
        return await reader.shared.once(name, read)
    return await read(reader.aws)


async def used(reader: Reader) -> set[str]:
    """The certificates of ACM that listeners of the stack have by default, and that the spec doesn't name by their ARNs."""
    balancers = [item["LoadBalancerArn"] for item in await reader.load_balancers() if reader.ours(item["Tags"])]
    found = await asyncio.gather(*(reader.listeners(arn) for arn in balancers))
    arns = {str(held["CertificateArn"]) for part in found for item in part for held in item.get("Certificates") or ()}
    return {arn for arn in arns if ":acm:" in arn}.difference(reader.literal_ids("arn:"))


def seen_in(row: Mapping[str, Any]) -> Seen:
    ends = row.get("NotAfter")
    return Seen(
        str(row.get("Type", "")),
        _validation.records_of(row),
        tuple(row.get("InUseBy") or ()),
        ends if isinstance(ends, datetime) else None,
        str((row.get("RenewalSummary") or {}).get("RenewalStatus", "")),
    )


def tell(row: Mapping[str, Any], seen: Seen) -> str:
    """How it is, for people."""
    if problem := _validation.explain_status(row):
        return problem
    if row["Status"] == PENDING:
        return f"validated by {'; '.join(map(str, seen.records))}" if seen.records else ""
    left = f"until {seen.ends:%Y-%m-%d} ({(seen.ends - datetime.now(UTC)).days} days)" if seen.ends else ""
    if seen.renewal == "SUCCESS":
        return f"{left}, renewed"
    return left + (f", renewal {seen.renewal}" if seen.renewal else "")


async def observe_zone(reader: Reader, wanted: str, tag: str, seen: Seen) -> str:
    """The zone as the spec says it where its records are there, and this tool's tag names no other one; else what is wrong."""
    try:
        zone = await reader.once(find_zone, reader.aws, wanted)
    except ZoneError:
        return "(unknown)"
    if tag and tag.split()[0] != zone.id:
        return tag.split()[0]
    wrong = await _validation.faults(reader.aws, zone, seen.records)
    if not wrong:
        return wanted
    return f"{wanted}, where {wrong[0][0].name} is {'wrong' if wrong[0][1] else 'missing'}"
