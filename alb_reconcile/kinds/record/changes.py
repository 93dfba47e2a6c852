"""Changes record sets, in as few batches as Route 53 allows (ChangeResourceRecordSets, GetChange, ListResourceRecordSets).

Route 53 applies a batch as a whole, or not at all. No record is ever upserted: a record that was seen is deleted with its exact values,
and a record that wasn't is created. So where another program was faster, Route 53 refuses the batch, and no record is overwritten.
"""

import asyncio
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.record_tags import BUSY, plain_name
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.errors import AwsError, RefusedError

RecordSet = Mapping[str, Any]
"""A record set as Route 53 has it in calls and answers."""
Change = tuple[Literal["CREATE", "DELETE"], RecordSet]
_MOST: Final = 40
"""Members of one batch. AWS takes 1,000 records and 32,000 characters, some two dozen of each for a member; a refused batch is halved."""
PAGE: Final = 300
"""The most record sets of one ListResourceRecordSets call."""


def key_of(record: RecordSet) -> tuple[str, str, str]:
    """The key of a record set in its zone: name, type and set identifier."""
    return plain_name(record["Name"]), str(record["Type"]), str(record.get("SetIdentifier") or "")


def is_same(one: RecordSet, other: RecordSet) -> bool:
    """Whether two record sets are the same, whatever the order of their values and the case of their names."""
    return _comparable(one) == _comparable(other)


def _comparable(record: RecordSet) -> dict[str, Any]:
    found = {key: value for key, value in record.items() if value not in (None, [])}
    found["Name"] = plain_name(record["Name"])
    if "ResourceRecords" in found:
        found["ResourceRecords"] = sorted(item["Value"] for item in found["ResourceRecords"])
    if "AliasTarget" in found:
        found["AliasTarget"] = {**found["AliasTarget"], "DNSName": plain_name(found["AliasTarget"]["DNSName"])}
    return found


class _Sent(dict[str, str]):
    """AWS's ids of the batches that this run has sent, by member."""


async def change_records(run: Run, zone: str, changes: Sequence[Change], *, wait: bool = True) -> None:
    """Make changes of a zone (by its id), all or none of them, in one call with other changes that are due at the same time.

    With `wait`, returns when all name servers have the changes. If the answer to an attempt was lost, and the records are as wanted, the
    changes count as made. Raises RefusedError where a user or another program has changed one of the records meanwhile; AwsError,
    WaitError.
    """
    sent, turn = run.shared.of(_Sent), run.shared.of(asyncio.Lock, f"changes of {zone}")

    async def send(members: Sequence[str]) -> None:
        batch = [change for member in members for change in json.loads(member)]
        told = {"Changes": [{"Action": action, "ResourceRecordSet": record} for action, record in batch]}
        async with turn:  # Route 53 takes one after the other
            answer = await run.aws.call("route53", "change_resource_record_sets", HostedZoneId=zone, ChangeBatch=told)
        sent.update(dict.fromkeys(members, str(answer["ChangeInfo"]["Id"]).rpartition("/")[2]))

    member = json.dumps(list(changes), sort_keys=True)
    for attempt in range(3):
        try:
            await run.together(
                f"records of {zone}", member, send, most=_MOST, retry=BUSY, of_all=("NoSuchHostedZone",),
                names=_names,
            )  # fmt: skip
        except AwsError as error:
            is_refused = error.code == "InvalidChangeBatch"
            if not is_refused and not error.ambiguous:
                raise
            if await _is_done(run.aws, zone, changes):
                break
            if is_refused and _SOMEBODY.search(error.message):
                raise RefusedError(
                    f"somebody has changed this record meanwhile, and nothing was overwritten: {error}; run it again"
                ) from None
            if is_refused or attempt == 2:
                raise
            await run.aws.sleep(1)
        else:
            break
    if wait and not run.aws.dry:
        await (_wait_until_in_sync(run, sent[member]) if member in sent else run.aws.sleep(waits.RECORDS_USUALLY))


_SOMEBODY: Final = re.compile("already exists|was not found|do not match")


def _names(message: str, member: str) -> bool:
    """Whether a message of Route 53's names one of a member's records, with the record's type where the message has a type."""
    text = plain_name(message)
    for _, record in json.loads(member):
        name, kind, identifier = (re.escape(part.lower()) for part in key_of(record))
        known = f", set.identifier='{identifier}'" if identifier else ""
        patterns = (
            rf"name='{name}\.?', type='{kind}'{known}",
            rf"type {kind} with dns name {name}\.?(?![\w.]*\w)",
            rf"dns name {name}\.?,? (type {kind}\b|is not permitted in zone)",
        )
        if any(re.search(pattern, text) for pattern in patterns):
            return True
    return False


async def _is_done(aws: Aws, zone: str, changes: Sequence[Change]) -> bool:
    """Whether the zone's records are already as the changes make them."""
    created = {key_of(record) for action, record in changes if action == "CREATE"}
    for action, record in changes:
        found = await read_record(aws, zone, key_of(record))
        if action == "CREATE" and not (found and is_same(found, record)):
            return False
        if action == "DELETE" and found and key_of(record) not in created:
            return False
    return True


async def read_record(aws: Aws, zone: str, key: tuple[str, str, str]) -> dict[str, Any] | None:
    """One record set of a zone, by its key (`key_of`); None where there is none."""
    start: dict[str, Any] = {"StartRecordName": key[0], "StartRecordType": key[1]}
    if key[2]:
        start["StartRecordIdentifier"] = key[2]
    answer = await aws.call("route53", "list_resource_record_sets", HostedZoneId=zone, MaxItems="1", **start)
    found: list[dict[str, Any]] = answer["ResourceRecordSets"]
    return next((row for row in found if key_of(row) == key), None)


async def records_at(aws: Aws, zone: str, name: str) -> list[dict[str, Any]]:
    """The record sets of one name."""
    answer = await aws.call(
        "route53", "list_resource_record_sets", HostedZoneId=zone, MaxItems=str(PAGE), StartRecordName=name
    )
    return [row for row in answer["ResourceRecordSets"] if plain_name(row["Name"]) == name]


async def list_records(aws: Aws, zone: str, *, below: str = "") -> list[dict[str, Any]]:
    """All record sets of a zone, or those of the name `below` and of all names below it, which are neighbors in Route 53's order."""
    found: list[dict[str, Any]] = []
    start: dict[str, Any] = {"StartRecordName": below} if below else {}
    while True:
        answer = await aws.call("route53", "list_resource_record_sets", HostedZoneId=zone, MaxItems=str(PAGE), **start)
        rows: list[dict[str, Any]] = answer["ResourceRecordSets"]
        within = list(_within(rows, below))
        found += within
        if not answer.get("IsTruncated") or len(within) < len(rows):
            return found
        start = {"StartRecordName": answer["NextRecordName"], "StartRecordType": answer["NextRecordType"]}
        if answer.get("NextRecordIdentifier"):
            start["StartRecordIdentifier"] = answer["NextRecordIdentifier"]


def _within(rows: Iterable[dict[str, Any]], below: str) -> Iterable[dict[str, Any]]:
    for row in rows:
        name = plain_name(row["Name"])
        if not below or name == below or name.endswith(f".{below}"):
            yield row


async def _wait_until_in_sync(run: Run, change: str) -> None:
    async def fetch(changes: set[str]) -> Mapping[str, Any]:
        return {
            item: (await run.aws.call("route53", "get_change", Id=item))["ChangeInfo"]["Status"]
            for item in sorted(changes)
        }

    def check(status: Any) -> str:
        return "" if status == "INSYNC" else "all name servers to have the changed records"

    await run.wait("changes of records", fetch, change, check, waits.RECORDS_IN_SYNC)
