"""Reads certificates: which stack owns each, what uses it, and its status."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from alb_reconcile.kinds._zones import ZoneError, every_zone, find_zone, is_within
from alb_reconcile.kinds.base import Used
from alb_reconcile.kinds.certificate import validation
from alb_reconcile.kinds.certificate.lists import read_tags
from alb_reconcile.kinds.certificate.validation import ISSUED, PENDING, Seen
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.errors import ignoring
from alb_reconcile.model.resource import Observed


async def once(reader: Reader, name: str, read: Any) -> Any:
    """The result of a read that several stacks may share."""
    if reader.shared is not None:
        return await reader.shared.once(name, read)
    return await read(reader.aws)


async def used(reader: Reader) -> set[str]:
    """ACM's certificates that are the default ones of the stack's listeners, and that the spec doesn't name by their ARNs."""
    balancers = [item["LoadBalancerArn"] for item in await reader.load_balancers() if reader.ours(item["Tags"])]
    found = await asyncio.gather(*(reader.listeners(arn) for arn in balancers))
    arns = {str(held["CertificateArn"]) for part in found for item in part for held in item.get("Certificates") or ()}
    return {arn for arn in arns if ":acm:" in arn}.difference(reader.literal_ids("arn:"))


def seen_in(row: Mapping[str, Any]) -> Seen:
    ends = row.get("NotAfter")
    return Seen(
        str(row.get("Type", "")),
        validation.records_of(row),
        tuple(row.get("InUseBy") or ()),
        ends if isinstance(ends, datetime) else None,
        str((row.get("RenewalSummary") or {}).get("RenewalStatus", "")),
    )


def tell(row: Mapping[str, Any], seen: Seen) -> str:
    """A certificate's status, in words."""
    if problem := validation.explain_status(row):
        return problem
    if row["Status"] == PENDING:
        return f"validated by {'; '.join(map(str, seen.records))}" if seen.records else ""
    left = f"until {seen.ends:%Y-%m-%d} ({(seen.ends - datetime.now(UTC)).days} days)" if seen.ends else ""
    if seen.renewal == "SUCCESS":
        return f"{left}, renewed"
    return left + (f", renewal {seen.renewal}" if seen.renewal else "")


async def observe_zone(reader: Reader, wanted: str, tag: str, seen: Seen) -> str:
    """The zone as the spec says it where the records are in it, and this tool's tag names no other zone; else what is wrong."""
    try:
        zone = await reader.once(find_zone, reader.aws, wanted)
    except ZoneError:
        return "(unknown)"
    if (told := next(iter(tag.split()), zone.id)) != zone.id:
        return told
    wrong = await validation.faults(reader.aws, zone, seen.records)
    if not wrong:
        return wanted
    return f"{wanted}, where {wrong[0][0].name} is {'wrong' if wrong[0][1] else 'missing'}"


async def find_used(
    reader: Reader, users: Sequence[Observed], state_of: Callable[[Mapping[str, Any]], Any]
) -> list[Used]:
    """The certificates of listeners (DescribeCertificate). A certificate that something else uses, too, isn't theirs alone, and the
    private key of an imported certificate can't be read."""
    named: dict[str, list[str]] = defaultdict(list)
    for item in users:
        state = item.state
        for arn in (getattr(state, "certificate_arn", None), *(getattr(state, "certificates", None) or ())):
            if arn:
                named[str(arn)].append(item.id)
    there = {item.id for item in users}
    return list(await asyncio.gather(*(_use(reader, arn, tuple(ids), there, state_of) for arn, ids in named.items())))


async def _use(
    reader: Reader,
    arn: str,
    users: tuple[str, ...],
    there: Collection[str],
    state_of: Callable[[Mapping[str, Any]], Any],
) -> Used:
    words = f"certificate {arn}"
    if ":acm:" not in arn:
        return Used(users, words, arn, why="stays outside, since it is in IAM")
    row = await validation.describe(reader.aws, arn)
    if row is None:
        return Used(users, words, arn, why="is gone")
    own, seen = await read_tags(reader.aws, arn), seen_in(row)
    state = state_of(row)
    why = _why_not(row, set(seen.users).difference(there))
    if not why:
        state = replace(state, zone=await _zone_of(reader, seen))
    address = tags.own_address(own, "certificate", arn)
    observed = Observed(address, arn, state, own, reader.stack, str(row["Status"]), str(row.get("CreatedAt", "")), seen)
    return Used(users, f"{words} ({state.domain_name})", arn, observed, own, why)


def _why_not(row: Mapping[str, Any], others: Collection[str]) -> str:
    methods = {item.get("ValidationMethod", "DNS") for item in row.get("DomainValidationOptions") or ()}
    if row.get("Type") == "IMPORTED":
        return "stays outside: it was imported, and ACM never shows its private key"
    if row.get("Type") != "AMAZON_ISSUED":
        return "stays outside: a private CA has issued it"
    if methods != {"DNS"}:
        return "stays outside, since it isn't validated by DNS records"
    if row["Status"] != ISSUED:
        return f"stays outside: it is {row['Status']}"
    return f"is used by {', '.join(sorted(others))} as well" if others else ""


async def _zone_of(reader: Reader, seen: Seen) -> str | None:
    """The public zone of the account that has all validation records of a certificate, as a spec says it; None for no such zone."""
    with ignoring("AccessDenied", "AccessDeniedException"):
        zones = [zone for zone in await reader.once(every_zone, reader.aws) if not zone.is_private]
        for zone in zones:
            near = all(is_within(item.name, zone.name) for item in seen.records)
            if near and seen.records and not await validation.faults(reader.aws, zone, seen.records):
                return zone.name if sum(item.name == zone.name for item in zones) == 1 else zone.id
    return None
