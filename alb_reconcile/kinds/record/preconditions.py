"""Checks before a record is made: its zone, existing records of that name in the zone, and its health check."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.record_tags import RecordId, name_about, read_about
from alb_reconcile.kinds._zones import Zone, ZoneError, find_zone, is_within
from alb_reconcile.kinds.base import Intent
from alb_reconcile.kinds.record.changes import read_record, records_at
from alb_reconcile.kinds.record.values import Record, state_of
from alb_reconcile.model import tags
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError, ignoring


def owner_text(record: RecordId, said: Mapping[str, str]) -> str:
    """That a record exists already, its owner (the stack in `said`, if any), and what to do."""
    told = f"record {record.name} ({' '.join(filter(None, record[2:]))})"
    if stack := said.get(tags.STACK):
        return f"{told} is stack {stack}'s; choose another name, or let {stack} forget it"
    return f"there is a {told} already, outside this stack; adopt it, choose another name, or delete it"


async def check_record(aws: Aws, item: Intent, certified: Collection[tuple[Any, str]]) -> list[Finding]:
    """What is wrong with a record that is to be made or changed.

    `certified` has the zones and names for which a certificate is validated: a mistake in such a zone is reported for the certificate.
    """
    wanted: Record = item.wanted
    is_told = (wanted.zone, wanted.name) in certified
    findings = []
    if wanted.health_check_id and (item.fields is None or "health_check_id" in item.fields):
        try:
            await aws.call("route53", "get_health_check", HealthCheckId=wanted.health_check_id)
        except AwsError as error:
            if error.code == "NoSuchHealthCheck":
                text = f"there is no health check {wanted.health_check_id} in this account; correct the id"
                findings.append(Finding(item.desired, "health_check_id", text))
    if item.fields is not None:
        return findings
    with ignoring("AccessDenied", "AccessDeniedException"):
        try:
            zone = await find_zone(aws, wanted.zone)
        except ZoneError as error:
            return findings if is_told else [*findings, Finding(item.desired, "zone", str(error))]
        if not is_within(wanted.name, zone.name):
            if is_told:
                return findings
            text = f"{wanted.name} isn't in zone {zone.name}, nor is it that name itself; name the zone that it is in"
            return [*findings, Finding(item.desired, "name", text)]
        findings += await _check_taken(aws, item, wanted, zone)
    return findings


async def _check_taken(aws: Aws, item: Intent, wanted: Record, zone: Zone) -> list[Finding]:
    own = RecordId(zone.id, *wanted.key)
    there, about = await asyncio.gather(
        records_at(aws, zone.id, wanted.name), read_record(aws, zone.id, (name_about(own, zone.name), "TXT", ""))
    )
    said = (read_about(about, zone.id, aws.region) or (own, {}))[1] if about else {}
    if said.get(tags.STACK, item.stack) != item.stack:
        return [Finding(item.desired, "name", owner_text(own, said))]
    for row in there:
        beside = state_of(row, wanted.zone, None, {})
        if beside.key == wanted.key and not said:
            return [Finding(item.desired, "name", owner_text(own, said))]
        if beside.key != wanted.key and wanted.conflicts(beside):
            other = RecordId(zone.id, *beside.key)
            about = await read_record(aws, zone.id, (name_about(other, zone.name), "TXT", ""))
            said = (read_about(about, zone.id, aws.region) or (other, {}))[1] if about else {}
            if said.get(tags.STACK) != item.stack:
                whose = f"of stack {said[tags.STACK]} " if tags.STACK in said else ""
                text = (
                    f"there is a record {beside.name} ({beside.type}) {whose}already, which can't stand beside this one"
                )
                return [Finding(item.desired, "name", f"{text}; delete it, or choose another name")]
    return []
