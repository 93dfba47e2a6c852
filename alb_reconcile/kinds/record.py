"""DNS records (Route 53 ChangeResourceRecordSets). A TXT record beside each says whose it is (`aws.record_tags`)."""

import asyncio
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.partitions import partition_of
from alb_reconcile.aws.record_tags import (
    RecordId,
    name_about,
    normalized,
    plain_name,
    quoted,
    read_about,
    record_about,
    registry_of,
)
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._health import wait_for_shift
from alb_reconcile.kinds._record_changes import (
    Change,
    change_records,
    is_same,
    key_of,
    list_records,
    read_record,
    records_at,
)
from alb_reconcile.kinds._record_reads import Rows, find_rows, find_used, read_owners
from alb_reconcile.kinds._zones import PRIVATE, Zone, ZoneError, find_zone, is_within, name_in, zone_grants, zone_text
from alb_reconcile.kinds.base import Around, Entry, IamActions, Intent, Kind, Named, Used, Zones
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.load_balancer import wait_until_active
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError, RefusedError, ignoring
from alb_reconcile.model.resource import Desired, Observed, Properties
from alb_reconcile.model.steps import TakeOver

_TEXTS: Final = ("TXT", "SPF")
_NAMES: Final = ("CNAME", "MX", "PTR", "SRV")
"""Types whose values end in a name, which may have a dot at its end or not."""
_DUALSTACK: Final = "dualstack."


class AliasTarget(NamedTuple):
    """A target of an alias that isn't a load balancer of the account and region."""

    dns_name: str
    hosted_zone_id: str


@dataclass(frozen=True, kw_only=True)
class Record(Properties):
    """A record set."""

    kind = "record"
    service = "route53"
    keeps_tags = False
    replaced_on = frozenset({"zone", "name", "type", "set_identifier"})
    unique_names = False
    missed = 3

    zone: str
    """As `kinds._zones.zone_text` has it."""
    name: str
    type: str
    alias: Ref | AliasTarget | None = None
    """A load balancer of the account and region by its ARN."""
    evaluate_target_health: bool | None = None
    ttl: int | None = None
    resource_records: tuple[str, ...] | None = None
    set_identifier: str = ""
    """Empty where it has none."""
    weight: int | None = None
    failover: str | None = None
    health_check_id: str | None = None
    """Empty for none."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from all others of its zone."""
        return self.name, self.type, self.set_identifier

    def slots(self) -> Iterable[Hashable]:
        return (("DNS name", self.name),)

    def conflicts(self, other: Properties) -> bool:
        """A CNAME stands beside nothing; of one type there is one, or several of one sort."""
        if not isinstance(other, Record) or self.zone != other.zone:
            return False
        is_alone = self.type == other.type and "" in (self.set_identifier, other.set_identifier)
        return is_alone or self.key == other.key or (self.type != other.type and "CNAME" in (self.type, other.type))


class RecordKind(Kind[Record]):
    """Drives records."""

    properties = Record
    noun = "a DNS record"
    position = 110
    section = "records"
    is_rare = True
    missing = ("NoSuchHostedZone",)
    iam_actions = IamActions(
        read=(
            "route53:ListHostedZonesByName", "route53:GetHostedZone", "route53:ListHostedZones",
            "route53:ListResourceRecordSets",
        ),
        look=("route53:GetHealthCheck",),
        create=("route53:ChangeResourceRecordSets", "route53:GetChange", "elasticloadbalancing:DescribeLoadBalancers"),
        update=("route53:ChangeResourceRecordSets", "route53:GetChange", "elasticloadbalancing:DescribeLoadBalancers"),
        delete=("route53:ChangeResourceRecordSets",),
    )  # fmt: skip

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> Record:
        read = {**fields, "zone": zone_text(entry["zone"]), "name": plain_name(entry["name"])}
        if isinstance(target := entry.get("alias"), Mapping):
            read["alias"] = AliasTarget(plain_name(target["dns_name"]), target["hosted_zone_id"])
        if "resource_records" in entry:
            read["resource_records"] = _values(entry["type"], entry["resource_records"])
        if entry.get("health_check_id") == "none":
            read["health_check_id"] = ""
        return Record(**read)

    def write_entry(self, observed: Observed, entry: Entry, named: Named) -> Entry:
        zone = self.of(observed).zone
        return {**entry, "zone": {"name": name_in(zone), "private": True} if zone.endswith(PRIVATE) else zone}

    def suggest_name(self, state: Record) -> str:
        """The first label, which most zones have once; with what else tells it from others."""
        kind = "" if state.type == "A" else state.type
        first = state.name.partition(".")[0].replace("*", "wildcard")
        apex = state.name == name_in(state.zone)
        return " ".join(filter(None, (state.name if apex else first, kind, state.set_identifier)))

    async def find_used(self, reader: Reader, users: Sequence[Observed]) -> list[Used]:
        return await find_used(reader, users, lambda row, zone, balancers: _state(row, zone, None, balancers))

    def defaults_for(self, wanted: Record, defaults: dict[str, Any]) -> dict[str, Any]:
        other = "ttl" if wanted.alias is not None else "evaluate_target_health"
        return {key: value for key, value in defaults.items() if key != other}

    def takes(self, action: str, fields: Collection[str]) -> tuple[int, int]:
        """Until all name servers have it."""
        return (0, 2) if action == "delete" else (15, 60)

    def grants(self, wanted: Record, scope: Scope) -> Iterable[Grant]:
        """Of each record its own name, and that of the one which says whose it is."""
        own, zone = normalized(wanted.name), name_in(wanted.zone)
        record = RecordId("", wanted.name, wanted.type, wanted.set_identifier)
        about = name_about(record, zone) if zone else f"{wanted.type.lower()}*{registry_of('*')}"
        yield from zone_grants(scope, wanted.zone, (own, about))
        if wanted.health_check_id:
            arn = f"arn:{scope.partition}:route53:::healthcheck/{wanted.health_check_id}"
            yield Grant(("route53:GetHealthCheck",), (arn,))

    async def discover(self, reader: Reader) -> list[Observed]:
        """Route 53 is read where the spec declares records, or the stack's own tags say that it has some (`kinds._record_reads`)."""
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
                return None  # somebody deleted it
            state = Record(
                zone=rows.zone_texts[0], name=rows.id.name, type=rows.id.type, set_identifier=rows.id.set_identifier
            )
            return Observed(address, arn, state, found, reader.stack, details=rows)
        zone = wanted.zone if wanted and wanted.zone in rows.zone_texts else rows.zone_texts[0]
        state = _state(rows.record, zone, wanted, balancers)
        return Observed(address, arn, state, found, reader.stack, details=rows)

    async def owners(self, aws: Aws) -> list[str]:
        return await read_owners(aws)

    async def check_preconditions(
        self, aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
    ) -> list[Finding]:
        """The zone, what of that name is in it already, and the health check."""
        states = [item.state for item in desired.values() if item.address.kind == "certificate"]
        certified = {(getattr(state, "zone", None), name) for state in states for name in getattr(state, "names", ())}
        found = await asyncio.gather(*(_check(aws, item, certified) for item in intents))
        return [finding for part in found for finding in part]

    async def create(self, run: Run, wanted: Record, desired: Desired) -> str:
        zone = await _zone(run, wanted.zone)
        own = RecordId(zone.id, *wanted.key)
        row = await _row(run, wanted, None)
        changes: list[Change] = [("CREATE", row)]
        owners = await run.once(
            f"owners in {zone.id}", lambda: list_records(run.aws, zone.id, below=registry_of(zone.name))
        )
        about = next((item for item in owners if key_of(item) == (name_about(own, zone.name), "TXT", "")), None)
        if about is not None:
            said = (read_about(about, zone.id, run.aws.region) or (own, {}))[1]
            if said.get(tags.STACK) != run.stack:
                raise RefusedError(f"{desired.address}: {_whose(own, said)}")
            changes.append(("DELETE", about))  # of one that somebody deleted
        changes.append(("CREATE", record_about(own, zone.name, tags.from_list(run.tag_list(desired)), run.aws.region)))
        await change_records(run, zone.id, changes)
        return own.arn(partition_of(run.aws.region))

    async def update(self, run: Run, wanted: Record, observed: Observed, fields: frozenset[str]) -> None:
        rows = observed.detail(Rows)
        takeover = run.detail(TakeOver)
        await wait_for_shift(run, takeover.shift)
        if isinstance(wanted.alias, str) and "alias" in fields:
            await wait_until_active(run, wanted.alias, waits.BALANCER_ACTIVE)
        row = await _row(run, wanted, rows.record)
        await change_records(run, rows.id.zone, [("DELETE", rows.record or {}), ("CREATE", row)])

    async def delete(self, run: Run, observed: Observed) -> None:
        """With its exact values: what somebody else has made of it meanwhile stays, and is told."""
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
    """The entry for a record: the one that declares it, where that is another one than the one it is said to be of. So an entry
    gets another name without a gap, in which resolvers would learn that there is no such name."""
    for address in (said, *desired):
        state = desired[address].state if address in desired else None
        if isinstance(state, Record) and state.key == rows.id[1:] and state.zone in rows.zone_texts:
            return address
    return said


def _values(kind: str, given: Iterable[str]) -> tuple[str, ...]:
    """Values as Route 53 has them, in an order of ours."""
    if kind in _TEXTS:
        given = [text if text.startswith('"') else quoted(text) for text in given]
    elif kind in _NAMES:
        given = [text.lower().removesuffix(".") for text in given]
    elif kind == "AAAA":
        given = [text.lower() for text in given]
    return tuple(sorted(given))


def _state(
    row: Mapping[str, Any], zone: str, wanted: Record | None, balancers: Mapping[str, Mapping[str, Any]]
) -> Record:
    kind, alias = str(row["Type"]), row.get("AliasTarget")
    told: dict[str, Any] = {}
    if alias:
        dns = plain_name(alias["DNSName"])
        told = {"alias": AliasTarget(dns, alias["HostedZoneId"])}
        balancer = balancers.get(dns.removeprefix(_DUALSTACK))
        is_by_name = wanted is not None and isinstance(wanted.alias, AliasTarget)
        if balancer and balancer.get("CanonicalHostedZoneId") == alias["HostedZoneId"] and not is_by_name:
            told["alias"] = balancer["LoadBalancerArn"]
        told["evaluate_target_health"] = alias["EvaluateTargetHealth"]
    return Record(
        zone=zone,
        name=plain_name(row["Name"]),
        type=kind,
        ttl=row.get("TTL"),
        resource_records=_values(kind, [item["Value"] for item in row.get("ResourceRecords", ())]) or None,
        set_identifier=row.get("SetIdentifier", ""),
        weight=row.get("Weight"),
        failover=row.get("Failover"),
        health_check_id=row.get("HealthCheckId", ""),
        **told,
    )


async def _row(run: Run, wanted: Record, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """A record set as Route 53 takes it; what isn't managed stays as it was before."""
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
        "DNSName": f"{_DUALSTACK}{plain_name(rows[0]['DNSName'])}.",
        "HostedZoneId": rows[0]["CanonicalHostedZoneId"],
    }


async def _zone(run: Run, zone: str) -> Zone:
    found: Zone = await run.once(f"zone {zone}", lambda: find_zone(run.aws, zone))
    return found


def _whose(record: RecordId, said: Mapping[str, str]) -> str:
    told = f"record {record.name} ({' '.join(filter(None, record[2:]))})"
    if stack := said.get(tags.STACK):
        return f"{told} is stack {stack}'s; choose another name, or let {stack} release it"
    return f"there is a {told} already, outside this stack; adopt it, choose another name, or delete it"


async def _check(aws: Aws, item: Intent, certified: Collection[tuple[Any, str]]) -> list[Finding]:
    """`certified` has the names for which a certificate is validated, by zone: what is wrong with that is told of the certificate."""
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
        return [Finding(item.desired, "name", _whose(own, said))]
    for row in there:
        beside = _state(row, wanted.zone, None, {})
        if beside.key == wanted.key and not said:
            return [Finding(item.desired, "name", _whose(own, said))]
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


KIND: Final = RecordKind()
