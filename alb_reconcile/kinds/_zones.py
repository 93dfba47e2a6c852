"""Finds Route 53's hosted zones, which a spec names and this tool never makes (ListHostedZonesByName, GetHostedZone)."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.record_tags import plain_name
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.model.errors import AwsError, RefusedError

_ID: Final = re.compile(r"Z[A-Z0-9]{1,31}")
LONGEST_FIRST: Final = 64
"""Characters of a certificate's first name (RequestCertificate, DomainName): RFC 5280 has no longer common names."""
PRIVATE: Final = "/private"
"""The end of a text that stands for a private zone, after the zone's name."""


class ZoneError(RefusedError):
    """A spec names a zone that doesn't exist, or a name of several zones; the text says what to do."""


@dataclass(frozen=True)
class Zone:
    """A hosted zone; `count` is the number of its record sets."""

    id: str
    name: str
    is_private: bool = False
    count: int = 0


def zone_text(given: str | Mapping[str, Any]) -> str:
    """A spec's zone as one text: a name, a name followed by `/private`, or an id."""
    if isinstance(given, str):
        return given if _ID.fullmatch(given) else plain_name(given)
    return plain_name(given["name"]) + (PRIVATE if given.get("private") else "")


def name_in(zone: str) -> str:
    """The name in a zone's text; empty where the text is an id."""
    return "" if _ID.fullmatch(zone) else zone.removesuffix(PRIVATE)


def is_within(name: str, zone: str) -> bool:
    """Whether a name is a zone's name, or is below it."""
    name, zone = plain_name(name), plain_name(zone)
    return name == zone or name.endswith(f".{zone}")


def zone_grants(scope: Scope, zone: str, names: Iterable[str]) -> Iterator[Grant]:
    """The permissions to read a zone (`zone_text`), and to change records of these names in it: patterns, as Route 53 normalizes names."""
    zones = (scope.zone("*" if name_in(zone) else zone),)
    yield Grant(("route53:ListHostedZonesByName", "route53:ListHostedZones"))
    yield Grant(("route53:GetHostedZone", "route53:ListResourceRecordSets"), zones)
    yield Grant(("route53:GetChange",), (f"arn:{scope.partition}:route53:::change/*",))
    key = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
    yield Grant(("route53:ChangeResourceRecordSets",), zones, (("ForAllValues:StringLike", key, tuple(sorted(names))),))


async def find_zone(aws: Aws, zone: str) -> Zone:
    """The only zone that a text (`zone_text`) means. Raises ZoneError for no zone or several zones; AwsError."""
    name = name_in(zone)
    if not name:
        return await read_zone(aws, zone)
    is_private = zone.endswith(PRIVATE)
    every = await _named(aws, name)
    found = _meant(every, zone)
    if len(found) == 1:
        return found[0]
    sort = "private" if is_private else "public"
    if found:
        raise ZoneError(
            f"there are {len(found)} {sort} hosted zones {name} ({', '.join(item.id for item in found)}); "
            "name the one that is meant by its id"
        )
    if every:
        raise ZoneError(
            f"hosted zone {name} isn't {sort}; if it is meant, write zone: {name if is_private else every[0].id}"
        )
    raise ZoneError(f"there is no {sort} hosted zone {name} in this account; create it, or correct the name")


async def zones_meant(aws: Aws, zone: str) -> list[Zone]:
    """All zones that a text may mean, so that records in one are found even if there is another zone of the name by now."""
    if name := name_in(zone):
        return _meant(await _named(aws, name), zone)
    try:
        return [await read_zone(aws, zone)]
    except ZoneError:
        return []


def _meant(zones: list[Zone], text: str) -> list[Zone]:
    return [item for item in zones if item.is_private == text.endswith(PRIVATE)]


async def read_zone(aws: Aws, physical_id: str) -> Zone:
    """The zone with an id (GetHostedZone). Raises ZoneError for no such zone; AwsError."""
    try:
        return _zone((await aws.call("route53", "get_hosted_zone", Id=physical_id))["HostedZone"])
    except AwsError as error:
        if error.code != "NoSuchHostedZone":
            raise
    raise ZoneError(f"there is no hosted zone {physical_id} in this account; correct the id")


async def every_zone(aws: Aws) -> list[Zone]:
    """All hosted zones of the account (ListHostedZones)."""
    found: list[Zone] = []
    start: dict[str, Any] = {}
    while True:
        answer = await aws.call("route53", "list_hosted_zones", **start)
        found += map(_zone, answer["HostedZones"])
        if not answer.get("IsTruncated"):
            return found
        start = {"Marker": answer["NextMarker"]}


async def _named(aws: Aws, name: str) -> list[Zone]:
    """The zones of a name: the list begins at the name, and goes on to all names that follow."""
    found: list[Zone] = []
    start: dict[str, Any] = {"DNSName": name}
    while True:
        answer = await aws.call("route53", "list_hosted_zones_by_name", **start)
        rows = [_zone(row) for row in answer["HostedZones"]]
        found += [zone for zone in rows if zone.name == name]
        if not answer.get("IsTruncated") or rows[-1].name != name:
            return found
        start = {"DNSName": answer["NextDNSName"], "HostedZoneId": answer["NextHostedZoneId"]}


def _zone(row: Mapping[str, Any]) -> Zone:
    return Zone(
        str(row["Id"]).rpartition("/")[2],
        plain_name(row["Name"]),
        bool((row.get("Config") or {}).get("PrivateZone")),
        int(row.get("ResourceRecordSetCount") or 0),
    )
