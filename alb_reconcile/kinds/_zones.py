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
"""Of a certificate's first name (RequestCertificate, DomainName): RFC 5280 has no longer common names."""
PRIVATE: Final = "/private"
"""What stands behind the name of a private zone, where a text stands for a zone."""


class ZoneError(RefusedError):
    """A spec names a zone that isn't there, or one of several; the text says which way out there is."""


@dataclass(frozen=True)
class Zone:
    """A hosted zone; `count` is how many record sets it has."""

    id: str
    name: str
    is_private: bool = False
    count: int = 0


def zone_text(given: str | Mapping[str, Any]) -> str:
    """What a spec says of a zone, in one text: a name, a name behind which `/private` stands, or an id."""
    if isinstance(given, str):
        return given if _ID.fullmatch(given) else plain_name(given)
    return plain_name(given["name"]) + (PRIVATE if given.get("private") else "")


def name_in(zone: str) -> str:
    """The name in a zone's text; empty where that is an id."""
    return "" if _ID.fullmatch(zone) else zone.removesuffix(PRIVATE)


def is_within(name: str, zone: str) -> bool:
    """Whether a name is that of a zone, or ends with it."""
    name, zone = plain_name(name), plain_name(zone)
    return name == zone or name.endswith(f".{zone}")


def zone_grants(scope: Scope, zone: str, names: Iterable[str]) -> Iterator[Grant]:
    """What reads a zone (`zone_text`), and changes records of these names in it: patterns, as Route 53 normalizes names."""
    zones = (scope.zone("*" if name_in(zone) else zone),)
    yield Grant(("route53:ListHostedZonesByName", "route53:ListHostedZones"))
    yield Grant(("route53:GetHostedZone", "route53:ListResourceRecordSets"), zones)
    yield Grant(("route53:GetChange",), (f"arn:{scope.partition}:route53:::change/*",))
    key = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
    yield Grant(("route53:ChangeResourceRecordSets",), zones, (("ForAllValues:StringLike", key, tuple(sorted(names))),))


async def find_zone(aws: Aws, zone: str) -> Zone:
    """The one zone that a text (`zone_text`) means. Raises ZoneError where there is none, or several; AwsError."""
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
    """All zones that a text may mean: what is in one already is found, though there is another one by now."""
    if name := name_in(zone):
        return _meant(await _named(aws, name), zone)
    try:
        return [await read_zone(aws, zone)]
    except ZoneError:
        return []


def _meant(zones: list[Zone], text: str) -> list[Zone]:
    return [item for item in zones if item.is_private == text.endswith(PRIVATE)]


async def read_zone(aws: Aws, physical_id: str) -> Zone:
    """The zone with an id (GetHostedZone). Raises ZoneError where there is none; AwsError."""
    try:
        return _zone((await aws.call("route53", "get_hosted_zone", Id=physical_id))["HostedZone"])
    except AwsError as error:
        if error.code != "NoSuchHostedZone":
            raise
    raise ZoneError(f"there is no hosted zone {physical_id} in this account; correct the id")


async def every_zone(aws: Aws) -> list[Zone]:
    """All of the account's (ListHostedZones)."""
    found: list[Zone] = []
    start: dict[str, Any] = {}
    while True:
        answer = await aws.call("route53", "list_hosted_zones", **start)
        found += map(_zone, answer["HostedZones"])
        if not answer.get("IsTruncated"):
            return found
        start = {"Marker": answer["NextMarker"]}


async def _named(aws: Aws, name: str) -> list[Zone]:
    """The zones of that name: the list begins there, and goes on to all names that follow."""
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
