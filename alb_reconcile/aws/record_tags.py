"""Keeps the tags of DNS records: Route 53 tags no records, so a TXT record for each record holds what tags hold for other resources.

All such TXT records of a zone are below one name, so that they follow each other in Route 53's order, and one read finds all of them:
`a.api.alb-reconcile.example.com` is about the A record api.example.com. TXT records are public: of a user's own tags they hold
digests only.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from alb_reconcile.aws.client import Aws
from alb_reconcile.model.errors import AwsError, RefusedError
from alb_reconcile.model.text import digest

LABEL: Final = "alb-reconcile"
"""The label in a zone below which the TXT records are."""
TTL: Final = 300
BUSY: Final[Mapping[str, float]] = {"PriorRequestNotComplete": 300.0, "Throttling": 300.0}
"""Route 53 takes one change of a zone after the other."""
_STACK: Final = "alb-reconcile:stack"
REGION: Final = "alb-reconcile:region"
"""Zones have no region, and stacks have: two stacks of one name in two regions are two owners."""
_OURS: Final = "alb-reconcile:"
_ABOUT: Final = "alb-reconcile:record"
_STAR: Final = "_wildcard"
"""Stands for the star in the name of a TXT record about a wildcard record: a star would make the TXT record a wildcard, too."""
_ANOTHER: Final = "(another)"
"""The shown value of a user's tag that doesn't have the wanted value."""


class RecordId(NamedTuple):
    """The identity of a record set: its zone's id, its name, type and set identifier."""

    zone: str
    name: str
    type: str
    set_identifier: str = ""

    def arn(self, partition: str) -> str:
        """An ARN that this tool makes for the record; AWS has ARNs only for zones."""
        own = "/".join(filter(None, (self.name, self.type, self.set_identifier)))
        return f"arn:{partition}:route53:::hostedzone/{self.zone}/recordset/{own}"

    @classmethod
    def parse(cls, arn: str) -> "RecordId":
        """The inverse of `arn`. Raises ValueError."""
        _, _, text = arn.partition(":::hostedzone/")
        zone, kind, name, *rest = text.split("/", 4)
        if kind != "recordset" or not rest:
            raise ValueError(f"{arn} is no record's")
        return cls(zone, name, *rest)


def plain_name(name: str) -> str:
    r"""A name as this tool compares it: Route 53 gives names with a dot at the end, and with \052 for a star."""
    text = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), name)
    return text.lower().removesuffix(".")


def normalized(name: str) -> str:
    """A name as Route 53 compares it in the conditions of policies."""
    return plain_name(name).replace("*", r"\052")


def registry_of(zone_name: str) -> str:
    """The name below which a zone's TXT records about records are."""
    return f"{LABEL}.{zone_name}"


def name_about(record: RecordId, zone_name: str) -> str:
    """The name of the TXT record about a record."""
    own = record.name.removesuffix(zone_name).rstrip(".").replace("*", _STAR)
    kind = record.type.lower() + (f"-{digest([record.set_identifier], 8)}" if record.set_identifier else "")
    return ".".join(filter(None, (kind, own, registry_of(zone_name))))


def record_about(record: RecordId, zone_name: str, tags: Mapping[str, str], region: str) -> dict[str, Any]:
    """The TXT record about a record with these tags, as Route 53 takes it, for a stack in `region`."""
    return _txt(record, zone_name, {_key(key): _value(key, value) for key, value in tags.items()}, region)


def _txt(record: RecordId, zone_name: str, texts: Mapping[str, str], region: str) -> dict[str, Any]:
    about = " ".join(filter(None, (record.type, record.name, record.set_identifier)))
    values = [quoted(f"{key}={value}") for key, value in sorted({**texts, REGION: region, _ABOUT: about}.items())]
    return {
        "Name": name_about(record, zone_name) + ".", "Type": "TXT", "TTL": TTL,
        "ResourceRecords": [{"Value": value} for value in values],
    }  # fmt: skip


def read_about(row: Mapping[str, Any], zone: str, region: str) -> tuple[RecordId, dict[str, str]] | None:
    """The record that a TXT record is about, and the texts in it (for `tags_in`); None for any other record.

    Another region's stack is named with its region, as `shop in eu-west-1`, which no stack can be called: it isn't this region's stack.
    """
    texts = dict(_unquoted(item["Value"]).partition("=")[::2] for item in row.get("ResourceRecords", ()))
    kind, _, rest = texts.pop(_ABOUT, "").partition(" ")
    name, _, identifier = rest.partition(" ")
    if texts.get(REGION) == region:
        del texts[REGION]
    elif REGION in texts and _STACK in texts:
        texts[_STACK] += f" in {texts[REGION]}"
    return (RecordId(zone, name, kind, identifier), texts) if name else None


def tags_in(texts: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """The tags that a TXT record holds; of a user's own tags only those that are `wanted`."""
    found = {key: value for key, value in texts.items() if key.startswith(_OURS)}
    for key, value in wanted.items():
        if not key.startswith(_OURS) and (said := texts.get(_key(key))):
            found[key] = value if said == _value(key, value) else _ANOTHER
    return found


def _key(key: str) -> str:
    return key if key.startswith(_OURS) else f"tag-{digest([key], 8)}"


def _value(key: str, value: str) -> str:
    return value if key.startswith(_OURS) else digest([key, value], 8)


def quoted(text: str) -> str:
    """A text as a TXT record has it: in strings of at most 255 characters."""
    raw = text.encode()
    parts = [raw[start : start + 255] for start in range(0, len(raw), 255)]
    return " ".join(f'"{"".join(map(_escaped, part))}"' for part in parts)


def _escaped(byte: int) -> str:
    is_plain = 32 <= byte < 127 and byte not in b'"\\'
    return chr(byte) if is_plain else f"\\{byte:03o}"


def _unquoted(value: str) -> str:
    found = bytearray()
    for part in re.findall(r'"((?:[^"\\]|\\.)*)"', value):
        for octal, other, char in re.findall(r"\\([0-7]{3})|\\(.)|(.)", part):
            found += bytes([int(octal, 8)]) if octal else (other or char).encode()
    return found.decode(errors="replace")


async def write_record_tags(
    aws: Aws, records: Sequence[str], write: Mapping[str, str], remove: Iterable[str] = ()
) -> None:
    """Write and remove tags of records, by their ARNs; other tags stay. Nothing is written about records that are gone.

    Raises RefusedError where another program writes at the same time; AwsError.
    """
    by_zone: dict[str, list[RecordId]] = defaultdict(list)
    for record in map(RecordId.parse, records):
        by_zone[record.zone].append(record)
    gone = {_key(key) for key in remove}
    told = {_key(key): _value(key, value) for key, value in write.items()}
    await asyncio.gather(*(_write(aws, zone, part, told, gone) for zone, part in by_zone.items()))


async def _write(
    aws: Aws, zone: str, records: Sequence[RecordId], write: Mapping[str, str], remove: Iterable[str]
) -> None:
    zone_name = plain_name((await aws.call("route53", "get_hosted_zone", Id=zone))["HostedZone"]["Name"])
    changes: list[dict[str, Any]] = []
    for record in records:
        found = await _find(aws, zone, name_about(record, zone_name), "TXT")
        if found is None and await _find(aws, zone, *record[1:]) is None:
            continue
        about = read_about(found, zone, aws.region) if found else None
        before = about[1] if about else {}
        kept = {key: value for key, value in before.items() if key not in remove}
        texts = {**kept, **write}
        if found is not None:
            changes.append({"Action": "DELETE", "ResourceRecordSet": found})
        if any(key.startswith(_OURS) for key in texts):
            changes.append({"Action": "CREATE", "ResourceRecordSet": _txt(record, zone_name, texts, aws.region)})
    if not changes:
        return
    try:
        batch: dict[str, Any] = {"Changes": changes}
        await aws.call("route53", "change_resource_record_sets", retry=BUSY, HostedZoneId=zone, ChangeBatch=batch)
    except AwsError as error:
        if error.code == "InvalidChangeBatch" and not await _are_there(aws, zone, changes):
            raise RefusedError(f"somebody writes about the same records: {error}; run it again") from None
        if error.code != "InvalidChangeBatch":
            raise


async def _are_there(aws: Aws, zone: str, changes: Iterable[Mapping[str, Any]]) -> bool:
    """Whether an attempt has made the changes though its answer was lost."""
    for item in changes:
        row = item["ResourceRecordSet"]
        found = await _find(aws, zone, plain_name(row["Name"]), "TXT")
        if item["Action"] == "CREATE" and (found is None or values_of(found) != values_of(row)):
            return False
    return True


def values_of(row: Mapping[str, Any]) -> list[str]:
    """A record set's values, as a set: they have no order."""
    return sorted(item["Value"] for item in row.get("ResourceRecords", ()))


async def _find(aws: Aws, zone: str, name: str, kind: str, identifier: str = "") -> dict[str, Any] | None:
    start: dict[str, Any] = {"StartRecordName": name, "StartRecordType": kind}
    if identifier:
        start["StartRecordIdentifier"] = identifier
    answer = await aws.call("route53", "list_resource_record_sets", HostedZoneId=zone, MaxItems="1", **start)
    for row in answer["ResourceRecordSets"]:
        if (plain_name(row["Name"]), row["Type"], row.get("SetIdentifier") or "") == (name, kind, identifier):
            return dict(row)
    return None
