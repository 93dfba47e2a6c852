"""Validates requested certificates with CNAME records, which stay: ACM reads them again at each renewal.

A name has the same record in all certificates of an account. So a record that other certificates need stays, and this tool deletes
no record that was there before: a tag says which records the tool has made.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.polling import WaitError, repeat_until
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._zones import Zone
from alb_reconcile.kinds.certificate.lists import Everywhere, Listed, bare_names, list_everywhere, read_tags
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.record.changes import Change, change_records, read_record
from alb_reconcile.model import tags
from alb_reconcile.model.errors import AwsError, RefusedError, ignoring
from alb_reconcile.model.text import digest

REQUESTED: Final = "AMAZON_ISSUED"
PENDING, ISSUED = "PENDING_VALIDATION", "ISSUED"
DEAD: Final = frozenset({"FAILED", "EXPIRED", "REVOKED", "VALIDATION_TIMED_OUT"})
"""Statuses that a certificate never leaves."""
_TTL: Final = 300
_OF_ACM: Final = ".acm-validations.aws"
_REASONS: Final = {
    "CAA_ERROR": "a CAA record of the domain, or of one above it, doesn't let Amazon issue for it; add one with the value "
    '0 issue "amazon.com", then run again',
    "ADDITIONAL_VERIFICATION_REQUIRED": "AWS wants to know more before it issues for that name; open a case at AWS Support",
    "DOMAIN_NOT_ALLOWED": "a name is on a list of unsafe ones; have it taken off there (Google Safe Browsing), or choose another",
    "INVALID_PUBLIC_DOMAIN": "a name isn't below a public suffix; correct it",
    "OTHER": "AWS doesn't say why; look whether each name is spelled right, then run again",
}


@dataclass(frozen=True)
class ValidationRecord:
    """The record that validates a name and the name's wildcard."""

    name: str
    value: str
    domain: str

    def __str__(self) -> str:
        return f"CNAME {self.name} with the value {self.value}"

    @property
    def row(self) -> dict[str, Any]:
        """The record set."""
        return {"Name": self.name, "Type": "CNAME", "TTL": _TTL, "ResourceRecords": [{"Value": self.value}]}

    @property
    def mark(self) -> str:
        """The text that tells the record from others in a tag."""
        return digest(self.name.lower().removesuffix("."), 6)


@dataclass(frozen=True)
class Seen:
    """What ACM says about a certificate in addition to its properties."""

    type: str = ""
    records: tuple[ValidationRecord, ...] = ()
    users: tuple[str, ...] = ()
    ends: datetime | None = None
    renewal: str = ""


def records_of(row: Mapping[str, Any]) -> tuple[ValidationRecord, ...]:
    """The validation records that ACM asks for, as far as ACM tells them by now."""
    found = {}
    for option in row.get("DomainValidationOptions") or ():
        if told := option.get("ResourceRecord"):
            name = str(option["DomainName"]).removeprefix("*.")
            found[told["Name"]] = ValidationRecord(told["Name"], told["Value"], name)
    return tuple(found[name] for name in sorted(found))


def explain_status(row: Mapping[str, Any]) -> str:
    """Why a certificate can't become valid any more, and what to do; empty for any other certificate."""
    status, reason = str(row["Status"]), row.get("FailureReason", "")
    if status not in DEAD:
        return ""
    if reason:
        return f"{status}, {reason}: {_REASONS.get(reason, 'see its reason in the ACM User Guide, then run again')}"
    if status == "VALIDATION_TIMED_OUT":
        return f"{status}: its records weren't there within 72 hours"
    return status


async def describe(aws: Aws, arn: str) -> dict[str, Any] | None:
    """ACM's description of a certificate; None for one that ACM doesn't show."""
    with ignoring("ResourceNotFoundException"):
        answer = await aws.call("acm", "describe_certificate", CertificateArn=arn)
        found: dict[str, Any] = answer["Certificate"]
        return found
    return None


async def faults(
    aws: Aws, zone: Zone, records: Sequence[ValidationRecord]
) -> list[tuple[ValidationRecord, dict[str, Any] | None]]:
    """The records that a zone lacks, or has with another value: each with the zone's value."""
    rows = await asyncio.gather(*(read_record(aws, zone.id, (_plain(item.name), "CNAME", "")) for item in records))
    return [(item, row) for item, row in zip(records, rows, strict=True) if row is None or not _is_right(item, row)]


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")


def _values(row: Mapping[str, Any]) -> list[str]:
    return [_plain(item["Value"]) for item in row.get("ResourceRecords", ())]


def _is_right(record: ValidationRecord, row: Mapping[str, Any]) -> bool:
    return _values(row) == [_plain(record.value)]


class Deleted(set[str]):
    """The ARNs of certificates that this run has deleted; ACM may still list them."""


async def wait_for_records(run: Run, arn: str) -> tuple[ValidationRecord, ...] | None:
    """The records that ACM asks for, some seconds after a request. None where ACM doesn't know the certificate."""

    def check(row: dict[str, Any] | None) -> str:
        if row is None:
            return f"ACM to show {arn}"
        options = row.get("DomainValidationOptions") or ()
        told = options and all("ResourceRecord" in item for item in options)
        return "" if told or row["Status"] != PENDING else "ACM to say which records validate the certificate"

    try:
        row = await _wait(run, arn, check, waits.CERTIFICATE_SHOWN)
    except WaitError:
        if await describe(run.aws, arn) is not None:
            raise
        return None
    return records_of(row or {})


async def _wait(run: Run, arn: str, check: Callable[[Any], str], timeout: float) -> Any:
    async def fetch(arns: set[str]) -> Mapping[str, Any]:
        names = sorted(arns)
        return dict(zip(names, await asyncio.gather(*(describe(run.aws, arn) for arn in names)), strict=True))

    return await run.wait("certificates", fetch, arn, check, timeout)


async def write_records(run: Run, arn: str, zone: Zone, records: Sequence[ValidationRecord], before: str) -> None:
    """Make the records that a zone lacks, and correct ACM's records that are wrong. `before` is what the certificate's tag says.

    A record that this tool has made for another certificate counts as made for this one, too: the last certificate's delete removes it.

    Raises RefusedError where something else has a record's name.
    """
    wrong = await faults(run.aws, zone, records)
    made, marks = [item for item, row in wrong if row is None], {item.mark for item in records}
    known = set(before.split()[1:]) if before.split()[:1] == [zone.id] else set()
    if not before and len(wrong) < len(records):
        others = await _told_of_others(arn, records, await list_everywhere(run.aws))
        known = {mark for part in others.values() if part[:1] == [zone.id] for mark in part[1:]}
    text = " ".join([zone.id, *sorted((known & marks) | {item.mark for item in made})])
    changes: list[Change] = []
    for item, row in wrong:
        if row is not None:
            if not all(value.endswith(_OF_ACM) for value in _values(row)):
                raise RefusedError(
                    f"zone {zone.name} has a CNAME {_plain(item.name)} with another value ({', '.join(_values(row))}), which isn't "
                    f"overwritten; delete it, or give it the value {item.value}"
                )
            changes.append(("DELETE", row))
        changes.append(("CREATE", item.row))
    if text != before:
        await run.tag(arn, {tags.VALIDATION: text})
    if changes:
        await change_records(run, zone.id, changes)


async def _told_of_others(
    arn: str, records: Sequence[ValidationRecord], everywhere: Everywhere
) -> dict[str, list[str]]:
    """By ARN, what the tags of other certificates of these names say, of any stack: the zone, and the marks of the records made."""
    domains = {item.domain.lower() for item in records}
    others = [item for item in everywhere.found if item.arn != arn and domains & item.names]
    found = await asyncio.gather(*(_tags_of(item) for item in others))
    return {item.arn: there.get(tags.VALIDATION, "").split() for item, there in zip(others, found, strict=True)}


async def _tags_of(item: Listed) -> dict[str, str]:
    with ignoring("AccessDeniedException"):
        return await read_tags(item.aws, item.arn)
    return {}


async def wait_until_issued(run: Run, arn: str, zone: Zone | None, records: Sequence[ValidationRecord]) -> None:
    """Wait until a certificate is issued. Raises RefusedError where ACM gives up; WaitError, with what is missing, after the time-out."""
    needed = "; ".join(map(str, records))

    def check(row: dict[str, Any] | None) -> str:
        if row is None:
            return f"ACM to show {arn}"
        if problem := explain_status(row):
            raise RefusedError(f"the certificate for {row['DomainName']} is {problem}")
        if row["Status"] == ISSUED:
            return ""
        if zone is None:
            return f"its names to be validated by {needed} (now {row['Status']})"
        return f"it to be issued (now {row['Status']})"

    try:
        await _wait(run, arn, check, waits.CERTIFICATE_ISSUED)
    except WaitError:
        raise WaitError(await _why_pending(run, zone, records)) from None


async def wait_until_let_go(run: Run, arn: str) -> str:
    """Wait until nothing uses a certificate (ACM DescribeCertificate, InUseBy). Returns its remaining users, and what to do, in words.

    ACM may name a listener for some minutes after the listener has let go of the certificate.
    """
    began, own = run.aws.now(), {*run.own, *run.ids.values()}

    async def read() -> Sequence[str]:
        return tuple((await describe(run.aws, arn) or {}).get("InUseBy") or ())

    def others(found: Sequence[str]) -> list[str]:
        return [user for user in found if user not in own and run.aws.now() - began > waits.LAG]

    limit = waits.CERTIFICATE_LET_GO
    users = await repeat_until(run.aws, read, lambda found: not found or bool(others(found)), limit)
    if foreign := others(users):
        return f"{', '.join(foreign)}, outside this stack; take it away there, or keep the certificate with forget"
    return f"{', '.join(users)}, as ACM still shows, though it was let go; run again" if users else ""


async def _why_pending(run: Run, zone: Zone | None, records: Sequence[ValidationRecord]) -> str:
    said = f"the certificate isn't issued after {waits.CERTIFICATE_ISSUED / 60:.0f} min"
    if zone is None:
        return f"{said}: ACM doesn't see {' and '.join(map(str, records))}; make {'it' if len(records) == 1 else 'them'}, or correct what is there, and run again"
    if wrong := await faults(run.aws, zone, records):
        item, row = wrong[0]
        return f"{said}: zone {zone.name} {'has another' if row else 'has no'} {item}; run again"
    return (
        f"{said}, though its records are in zone {zone.name} ({zone.id}); look whether the domain's registrar names that zone's "
        "name servers, and run again"
    )


async def remove_records(run: Run, arn: str, tag: str, records: Sequence[ValidationRecord]) -> None:
    """Delete the records of a zone that this tool has made for a certificate, as its tag says, and that no other certificate in any
    region needs: one that is validated in another zone doesn't. Where a region can't be read, they stay, and the user is told."""
    zone, *marks = tag.split() or [""]
    own = [item for item in records if item.mark in marks]
    if not own:
        return
    everywhere = await list_everywhere(run.aws)
    others = await _told_of_others(arn, own, everywhere)
    elsewhere = {other for other, part in others.items() if part and part[0] != zone}
    needed = await _needed(run, {arn, *elsewhere}, everywhere)
    own = [item for item in own if item.domain.lower() not in needed]
    if own and everywhere.unread:
        where = ", ".join(f"{name} ({why})" for name, why in sorted(everywhere.unread.items()))
        kept = " and ".join(_plain(item.name) for item in own)
        run.warn(
            f"the validation record {kept} stays in zone {zone}: a certificate in another region may need it, and ACM can't be "
            f"read in {where}; delete it by hand if none does"
        )
        return
    with ignoring("NoSuchHostedZone"):
        rows = await asyncio.gather(*(read_record(run.aws, zone, (_plain(item.name), "CNAME", "")) for item in own))
        there = [row for item, row in zip(own, rows, strict=True) if row is not None and _is_right(item, row)]
        if there:
            await change_records(run, zone, [("DELETE", row) for row in there], wait=False)


async def _needed(run: Run, without: Set[str], everywhere: Everywhere) -> set[str]:
    """The names for which other certificates are validated, without wildcards. A region where certificates may be listed, but not
    described, counts as unread."""
    found, without = set[str](), {*without, *run.shared.of(Deleted)}
    for item in everywhere.found:
        row = item.row
        if item.arn in without or row.get("Type") == "IMPORTED" or row.get("Status") in DEAD:
            continue
        found |= item.names
        if row.get("HasAdditionalSubjectAlternativeNames"):
            try:
                found |= bare_names((await describe(item.aws, item.arn) or {}).get("SubjectAlternativeNames", ()))
            except AwsError as error:
                everywhere.miss(item.aws.region, error)
    return found
