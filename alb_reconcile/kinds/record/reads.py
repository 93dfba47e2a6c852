"""Reads the DNS records that a stack may have, with as few calls as Route 53's limit of five a second allows.

A zone that fits into few pages is read whole. Of a larger zone, the TXT records that say which stack owns its records are read first,
which follow each other, and then each record by its name. No zone is read for a stack without records: a tag of the stack's own
resources names the zones of records that the spec no longer declares (`model.tags.ZONES`). A destroy that finds no resource with tags
reads all zones.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.partitions import partition_of
from alb_reconcile.aws.record_tags import REGION, RecordId, name_about, plain_name, read_about, registry_of, tags_in
from alb_reconcile.kinds._instance_rows import is_alive
from alb_reconcile.kinds._rare import read_anyway
from alb_reconcile.kinds._zones import Zone, every_zone, zones_meant
from alb_reconcile.kinds.base import Used
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.record.changes import PAGE, RecordSet, key_of, list_records, read_record
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import ignoring
from alb_reconcile.model.resource import Desired, Observed

_ROUTING: Final = (
    "Region", "GeoLocation", "GeoProximityLocation", "MultiValueAnswer", "CidrRoutingConfig", "TrafficPolicyInstanceId",
)  # fmt: skip
"""The keys by which Route 53 chooses one of several record sets, but for weights and failover, which a spec can say."""


@dataclass(frozen=True)
class Rows:
    """A record set, and the TXT record that says which stack owns it."""

    id: RecordId
    record: RecordSet | None
    """None where a user has deleted the record, and only the TXT record is left."""
    tags: Mapping[str, str] = field(default_factory=dict)
    zone_texts: tuple[str, ...] = ()
    """The texts by which a spec may name the zone."""
    about: RecordSet | None = None
    """The TXT record; None where there is none."""


async def find_rows(reader: Reader) -> list[Rows]:
    """The record sets that the spec declares, and the stack's, in all zones where the stack may have some."""
    texts = {item.state.zone for item in _declared(reader)}
    said, has_anchors = await _said_by_tags(reader)
    texts |= said
    zones: dict[str, tuple[Zone, list[str]]] = {}
    if tags.EVERY_ZONE in texts or (reader.everything and not has_anchors):
        zones |= {zone.id: (zone, []) for zone in await reader.once(every_zone, reader.aws)}
    for text in sorted(texts - {tags.EVERY_ZONE}):
        for zone in await reader.once(zones_meant, reader.aws, text):
            zones.setdefault(zone.id, (zone, []))[1].append(text)
    parts = await asyncio.gather(*(_read_zone(reader, zone, tuple(names)) for zone, names in zones.values()))
    return [rows for part in parts for rows in part]


def _declared(reader: Reader) -> list[Any]:
    return [item for item in reader.desired.values() if item.address.kind == "record"]


async def _said_by_tags(reader: Reader) -> tuple[set[str], bool]:
    """The zones in which the stack has records, as the tags of its resources say; and whether it has resources with such tags. Instances
    that have ended, which AWS shows for an hour, don't count."""
    rows, balancers = await asyncio.gather(read_anyway(reader), reader.load_balancers())
    found = [tags.from_list(row.get("Tags")) for row in rows]
    found += [item["Tags"] for item in balancers if reader.ours(item["Tags"])]
    ended = [row for row in rows if "InstanceId" in row and not is_alive(row)]
    addressed = sum(tags.ADDRESS in own for own in found)  # without resources that are only read for an export
    return {text for own in found for text in own.get(tags.ZONES, "").split()}, addressed > len(ended)


async def _read_zone(reader: Reader, zone: Zone, texts: tuple[str, ...]) -> list[Rows]:
    wanted = {item.state.key for item in _declared(reader) if item.state.zone in texts}
    with ignoring("NoSuchHostedZone"):
        records = await reader.once(_read_records, reader.aws, zone, frozenset(wanted), reader.stack)
        by_key = {key_of(row): row for row in records}
        about = _about(records, zone, reader.aws.region)
        keys = wanted & by_key.keys() | {
            key for key, (_, said, _) in about.items() if said.get(tags.STACK) == reader.stack
        }
        return [_rows(reader.desired, zone, texts, key, by_key.get(key), about.get(key)) for key in sorted(keys)]
    return []


async def _read_records(aws: Aws, zone: Zone, wanted: frozenset[tuple[str, str, str]], stack: str) -> list[RecordSet]:
    """The zone's record sets: all, or only the `wanted` ones, the stack's and TXT records about owners where all would take many pages."""
    if zone.count <= PAGE * (len(wanted) + 1):
        return list(await list_records(aws, zone.id))
    found: list[RecordSet] = list(await list_records(aws, zone.id, below=registry_of(zone.name)))
    ours = {key for key, (_, said, _) in _about(found, zone, aws.region).items() if said.get(tags.STACK) == stack}
    rows = await asyncio.gather(*(read_record(aws, zone.id, key) for key in sorted(wanted | ours)))
    return [*found, *(row for row in rows if row is not None)]


_About = tuple[RecordId, dict[str, str], RecordSet]


def _about(records: Iterable[RecordSet], zone: Zone, region: str) -> dict[tuple[str, str, str], _About]:
    """The TXT records about owners and what they say, by the key of the record that each is about."""
    end = f".{registry_of(zone.name)}"
    found: dict[tuple[str, str, str], _About] = {}
    for row in records:
        if row["Type"] == "TXT" and plain_name(row["Name"]).endswith(end):
            about = read_about(row, zone.id, region)
            if about and plain_name(row["Name"]) == name_about(about[0], zone.name):
                found[about[0][1:]] = (*about, row)
    return found


def _rows(
    desired: Mapping[Address, Desired],
    zone: Zone,
    texts: Sequence[str],
    key: tuple[str, str, str],
    record: RecordSet | None,
    about: _About | None,
) -> Rows:
    own, said, row = about or (RecordId(zone.id, *key), {}, None)
    address = tags.address_of(said, "record")
    entry = desired.get(address) if address else None
    named = f"{zone.name}/private" if zone.is_private else zone.name
    return Rows(
        own,
        record,
        tags_in(said, entry.tags if entry else {}),
        tuple(texts) or (named,),
        row,
    )


async def read_owners(aws: Aws) -> list[str]:
    """The stack of each record in the account, for stacks of this region. Makes a call for each zone."""
    zones = await every_zone(aws)
    parts = await asyncio.gather(*(list_records(aws, zone.id, below=registry_of(zone.name)) for zone in zones))
    found = [
        said for zone, part in zip(zones, parts, strict=True) for _, said, _ in _about(part, zone, aws.region).values()
    ]
    return [said[tags.STACK] for said in found if tags.STACK in said and REGION not in said]


StateOf = Callable[[Mapping[str, Any], str, Mapping[str, Mapping[str, Any]]], Any]
"""Makes properties from a record set, the text by which a spec names its zone, and load balancers by their DNS names."""


async def find_used(reader: Reader, users: Sequence[Observed], state_of: StateOf) -> list[Used]:
    """The record sets that lead to load balancers. Route 53 can't filter by target, so every zone is read whole."""
    arns = {item.id for item in users if item.state.kind == "load_balancer"}
    every = await reader.load_balancers() if arns else []
    balancers = {plain_name(item["DNSName"]): item for item in every if item["LoadBalancerArn"] in arns}
    zones: list[Zone] = await reader.once(every_zone, reader.aws) if balancers else []
    read = (list_records(reader.aws, zone.id) for zone in zones)
    found: list[Used] = []
    for zone, records in zip(zones, await asyncio.gather(*read), strict=True):
        about = _about(records, zone, reader.aws.region)
        is_one = sum((other.name, other.is_private) == (zone.name, zone.is_private) for other in zones) == 1
        text = (f"{zone.name}/private" if zone.is_private else zone.name) if is_one else zone.id
        for row in records:
            balancer = balancers.get(_leads_to(row))
            if balancer is not None:
                _, said, beside = about.get(key_of(row), (None, {}, None))
                rows = Rows(RecordId(zone.id, *key_of(row)), row, said, (text,), beside)
                arn = rows.id.arn(partition_of(reader.aws.region))
                address = tags.own_address(said, "record", arn)
                observed = Observed(address, arn, state_of(row, text, balancers), said, reader.stack, details=rows)
                words = f"DNS record {' '.join(filter(None, key_of(row)))}"
                found.append(Used((balancer["LoadBalancerArn"],), words, arn, observed, said, _why_not(row)))
    return found


def _leads_to(row: RecordSet) -> str:
    """The DNS name that a record set leads to; empty for record sets with other values."""
    values = [str(item["Value"]) for item in row.get("ResourceRecords", ())] if row["Type"] == "CNAME" else []
    return plain_name((row.get("AliasTarget") or {}).get("DNSName") or "".join(values[:1])).removeprefix("dualstack.")


def _why_not(row: RecordSet) -> str:
    """Why an entry can't describe a record set, or shouldn't; empty where an entry can."""
    if row["Type"] == "CNAME":
        return "leads here, and stays outside: it names the load balancer of today; an alias (type A) would go with its successor"
    routed = [key for key in _ROUTING if row.get(key)]
    return f"leads here, and stays outside: no entry can say its {routed[0]}" if routed else ""
