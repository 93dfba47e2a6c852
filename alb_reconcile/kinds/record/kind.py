"""Drives DNS records (Route 53 ChangeResourceRecordSets). A TXT record for each says which stack owns it (`aws.record_tags`)."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.partitions import partition_of
from alb_reconcile.aws.record_tags import (
    RecordId,
    name_about,
    normalized,
    plain_name,
    read_about,
    record_about,
    registry_of,
)
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._health import wait_for_shift
from alb_reconcile.kinds._zones import PRIVATE, find_zone, name_in, zone_grants, zone_text
from alb_reconcile.kinds.base import Around, Entry, IamActions, Intent, Kind, Named, Used, Zones
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.load_balancer.nodes import wait_until_active
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.record import checks
from alb_reconcile.kinds.record.changes import (
    Change,
    change_records,
    is_same,
    key_of,
    list_records,
    read_record,
)
from alb_reconcile.kinds.record.preconditions import check_record, owner_text
from alb_reconcile.kinds.record.reads import Rows, find_rows, find_used, read_owners
from alb_reconcile.kinds.record.values import DUALSTACK, AliasTarget, state_of, values_of
from alb_reconcile.kinds.record.values import Record as Record  # a kind's properties are found in its module `kind`
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import RefusedError, ignoring
from alb_reconcile.model.resource import Desired, Observed
from alb_reconcile.model.steps import TakeOver


class RecordKind(Kind[Record]):
    """Drives records."""

    properties = Record
    noun = "a DNS record"
    position = 110
    section = "records"
    entry_checks = (checks.check_entries,)
    is_rare = True
    missing = ("NoSuchHostedZone",)
    iam_actions = IamActions(
        read=(
            "route53:ListHostedZonesByName", "route53:GetHostedZone", "route53:ListHostedZones",
            "route53:ListResourceRecordSets",
        ),
        look=("route53:GetHealthCheck",),
        create=(
            "route53:ChangeResourceRecordSets", "route53:GetChange", "elasticloadbalancing:DescribeLoadBalancers",
        ),
        update=(
            "route53:ChangeResourceRecordSets", "route53:GetChange", "elasticloadbalancing:DescribeLoadBalancers",
        ),
        delete=("route53:ChangeResourceRecordSets",),
    )  # fmt: skip

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> Record:
        read = {**fields, "zone": zone_text(entry["zone"]), "name": plain_name(entry["name"])}
        if isinstance(target := entry.get("alias"), Mapping):
            read["alias"] = AliasTarget(plain_name(target["dns_name"]), target["hosted_zone_id"])
        if "resource_records" in entry:
            read["resource_records"] = values_of(entry["type"], entry["resource_records"])
        if entry.get("health_check_id") == "none":
            read["health_check_id"] = ""
        return Record(**read)

    def write_entry(self, observed: Observed, entry: Entry, named: Named) -> Entry:
        state = self.of(observed)
        zone = state.zone
        if isinstance(state.alias, AliasTarget):
            entry["alias"] = state.alias._asdict()
        return {**entry, "zone": {"name": name_in(zone), "private": True} if zone.endswith(PRIVATE) else zone}

    def suggest_name(self, state: Record) -> str:
        """The first label of the record's name, or the zone's name, with the type, unless it is A, and the set identifier."""
        kind = "" if state.type == "A" else state.type
        first = state.name.partition(".")[0].replace("*", "wildcard")
        apex = state.name == name_in(state.zone)
        return " ".join(filter(None, (state.name if apex else first, kind, state.set_identifier)))

    async def find_used(self, reader: Reader, users: Sequence[Observed]) -> list[Used]:
        return await find_used(reader, users, lambda row, zone, balancers: state_of(row, zone, None, balancers))

    def defaults_for(self, wanted: Record, defaults: dict[str, Any]) -> dict[str, Any]:
        other = "ttl" if wanted.alias is not None else "evaluate_target_health"
        return {key: value for key, value in defaults.items() if key != other}

    def takes(self, action: str, fields: Collection[str]) -> tuple[int, int]:
        """Until all name servers have the change; a delete doesn't wait for them."""
        return (0, 2) if action == "delete" else (15, 60)

    def grants(self, wanted: Record, scope: Scope) -> Iterable[Grant]:
        """Permissions on a record's name and on the name of the TXT record that says which stack owns the record."""
        own, zone = normalized(wanted.name), name_in(wanted.zone)
        record = RecordId("", wanted.name, wanted.type, wanted.set_identifier)
        about = name_about(record, zone) if zone else f"{wanted.type.lower()}*{registry_of('*')}"
        yield from zone_grants(scope, wanted.zone, (own, about))
        if wanted.health_check_id:
            arn = f"arn:{scope.partition}:route53:::healthcheck/{wanted.health_check_id}"
            yield Grant(("route53:GetHealthCheck",), (arn,))

    async def discover(self, reader: Reader) -> list[Observed]:
        """Route 53 is read where the spec declares records, or the stack's own tags say that it has some (`kinds.record.reads`)."""
        found = await reader.looked_for(self.name, "DNS records", find_rows(reader))
        names = {plain_name(item["DNSName"]): item for item in await reader.load_balancers() if item.get("DNSName")}
        return [seen for rows in found if (seen := self._observe(reader, rows, names)) is not None]

    def _observe(self, reader: Reader, rows: Rows, balancers: Mapping[str, Mapping[str, Any]]) -> Observed | None:
        arn = rows.id.arn(partition_of(reader.aws.region))
        if rows.record is None and not reader.ours(rows.tags):
            return None
        found = reader.seen(arn, rows.record or {}, dict(rows.tags))
        if not reader.ours(found):
            return None
        address = _entry_of(rows, reader.desired, tags.own_address(found, self.name, arn))
        entry = reader.desired.get(address)
        wanted = entry.state if entry and isinstance(entry.state, Record) else None
        if rows.record is None:
            if wanted and wanted.key == rows.id[1:] and wanted.zone in rows.zone_texts:
                return None  # a user has deleted the record, but not its TXT record
            state = Record(
                zone=rows.zone_texts[0], name=rows.id.name, type=rows.id.type, set_identifier=rows.id.set_identifier
            )
            return Observed(address, arn, state, found, reader.stack, details=rows)
        zone = wanted.zone if wanted and wanted.zone in rows.zone_texts else rows.zone_texts[0]
        state = state_of(rows.record, zone, wanted, balancers)
        return Observed(address, arn, state, found, reader.stack, details=rows)

    async def owners(self, reader: Reader) -> list[str]:
        return await read_owners(reader.aws)

    async def check_preconditions(
        self, aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
    ) -> list[Finding]:
        """Whether the zone and the health check exist, and whether another record of that name is in the way."""
        states = [item.state for item in desired.values() if item.address.kind == "certificate"]
        certified = {(getattr(state, "zone", None), name) for state in states for name in getattr(state, "names", ())}
        found = await asyncio.gather(*(check_record(aws, item, certified) for item in intents))
        return [finding for part in found for finding in part]

    async def create(self, run: Run, wanted: Record, desired: Desired) -> str:
        zone = await run.shared.once(f"zone {wanted.zone}", lambda: find_zone(run.aws, wanted.zone))
        own = RecordId(zone.id, *wanted.key)
        row = await _row(run, wanted, None)
        changes: list[Change] = [("CREATE", row)]
        owners = await run.shared.once(
            f"owners in {zone.id}", lambda: list_records(run.aws, zone.id, below=registry_of(zone.name))
        )
        about = next((item for item in owners if key_of(item) == (name_about(own, zone.name), "TXT", "")), None)
        if about is not None:
            said = (read_about(about, zone.id, run.aws.region) or (own, {}))[1]
            if said.get(tags.STACK) != run.stack:
                raise RefusedError(owner_text(own, said))
            changes.append(("DELETE", about))  # the TXT record about a record that a user has deleted
        changes.append(("CREATE", record_about(own, zone.name, tags.from_list(run.tag_list(desired)), run.aws.region)))
        try:
            await change_records(run, zone.id, changes)
        except RefusedError:
            if await read_record(run.aws, zone.id, wanted.key):
                raise RefusedError(owner_text(own, {})) from None
            raise
        return own.arn(partition_of(run.aws.region))

    async def update(self, run: Run, wanted: Record, observed: Observed, fields: frozenset[str]) -> None:
        rows = observed.detail(Rows)
        takeover = run.step.detail(TakeOver)
        await wait_for_shift(run, takeover.shift)
        if isinstance(wanted.alias, str) and "alias" in fields:
            await wait_until_active(run, wanted.alias, waits.BALANCER_ACTIVE)
        row = await _row(run, wanted, rows.record)
        await change_records(run, rows.id.zone, [("DELETE", rows.record or {}), ("CREATE", row)])

    async def delete(self, run: Run, observed: Observed) -> None:
        """Delete the record with its exact values. Raises RefusedError if a user has changed the record meanwhile; it stays then."""
        rows = observed.detail(Rows)
        changes: list[Change] = [("DELETE", row) for row in (rows.record, rows.about) if row]
        with ignoring(*self.missing):
            try:
                await change_records(run, rows.id.zone, changes, wait=False)
            except RefusedError:
                there = await asyncio.gather(*(read_record(run.aws, rows.id.zone, key_of(row)) for _, row in changes))
                if all(there) or (there[0] and rows.record and not is_same(there[0], rows.record)):
                    raise
                rest: list[Change] = [("DELETE", row) for row in there if row]
                if rest:
                    await change_records(run, rows.id.zone, rest, wait=False)


def _entry_of(rows: Rows, desired: Mapping[Address, Desired], said: Address) -> Address:
    """The address of a record's entry: the entry `said` by the record's tags, or another entry that declares the record now. So an entry
    can be renamed without a gap in which resolvers would learn that the DNS name doesn't exist."""
    for address in (said, *desired):
        state = desired[address].state if address in desired else None
        if isinstance(state, Record) and state.key == rows.id[1:] and state.zone in rows.zone_texts:
            return address
    return said


async def _row(run: Run, wanted: Record, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """A record set as Route 53 takes it. Keys of `before` that aren't managed stay as they are."""
    row: dict[str, Any] = {**(before or {}), "Name": f"{wanted.name}.", "Type": wanted.type}
    if wanted.set_identifier:
        row["SetIdentifier"] = wanted.set_identifier
    if wanted.weight is not None:
        row["Weight"] = wanted.weight
        row.pop("Failover", None)
    if wanted.failover is not None:
        row["Failover"] = wanted.failover
        row.pop("Weight", None)
    if wanted.health_check_id is not None:
        row["HealthCheckId"] = wanted.health_check_id
    if not row.get("HealthCheckId"):
        row.pop("HealthCheckId", None)
    alias = row.pop("AliasTarget", None) or {}
    if wanted.resource_records is not None:
        row["ResourceRecords"] = [{"Value": value} for value in wanted.resource_records]
        alias = {}
    if wanted.alias is not None:
        alias = {**alias, **await _target(run, wanted.alias)}
    if alias:
        is_evaluated = alias.get("EvaluateTargetHealth", True)
        evaluated = is_evaluated if wanted.evaluate_target_health is None else wanted.evaluate_target_health
        plain = {key: value for key, value in row.items() if key not in ("TTL", "ResourceRecords")}
        return {**plain, "AliasTarget": {**alias, "EvaluateTargetHealth": evaluated}}
    row["TTL"] = wanted.ttl if wanted.ttl is not None else row.get("TTL", 300)
    return row


async def _target(run: Run, target: Ref | AliasTarget) -> dict[str, str]:
    if isinstance(target, AliasTarget):
        return {"DNSName": f"{target.dns_name}.", "HostedZoneId": target.hosted_zone_id}
    rows = await run.aws.pages("elbv2", "describe_load_balancers", "LoadBalancers", LoadBalancerArns=[str(target)])
    return {
        "DNSName": f"{DUALSTACK}{plain_name(rows[0]['DNSName'])}.",
        "HostedZoneId": rows[0]["CanonicalHostedZoneId"],
    }


KIND: Final = RecordKind()
