"""Imitates the refusals of ChangeResourceRecordSets (Route 53 API Reference; Developer Guide, 'Values that you specify when you create
or edit records', 'Quotas'). Messages are AWS's, as reported in issues of its clients."""

import ipaddress
import re
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from moto.elbv2.models import elbv2_backends
from moto.route53.exceptions import Route53ClientError
from moto.route53.models import RecordSet

Key = tuple[str, str, str]
ROUTING: Final = ("Weight", "Region", "Failover", "GeoLocation", "MultiValueAnswer")
_STRING: Final = re.compile(r'"((?:[^"\\]|\\[0-7]{3}|\\[^0-7])*)"')


def plain(name: str) -> str:
    """A name in lower case, without the dot at its end, and with stars that aren't escaped."""
    return name.replace("\\052", "*").lower().removesuffix(".")


def key_of(record: dict[str, Any]) -> Key:
    return plain(record["Name"]), record["Type"], record.get("SetIdentifier") or ""


def _key(item: Any) -> Key:
    return plain(item.name), item.type, item.set_identifier or ""


def _invalid(text: str) -> NoReturn:
    raise Route53ClientError("InvalidInput", text)


def check_request(changes: Sequence[dict[str, Any]]) -> None:
    """Check changes without looking at the zone's records. Raises Route53ClientError."""
    values = [
        (2 if change["Action"] == "UPSERT" else 1, item["Value"])
        for change in changes
        for item in change["ResourceRecordSet"].get("ResourceRecords") or ()
    ]
    # 'A request cannot contain more than 1,000 ResourceRecord elements', '32,000 characters'; upserted ones count twice
    if (count := sum(times for times, _ in values)) > 1000:
        _refuse([f"Number of records limit of 1000 exceeded, {count} given."])
    if sum(times * len(value) for times, value in values) > 32_000:
        _refuse(["The combined character length of the values exceeds the limit of 32000."])
    for change in changes:
        record = change["ResourceRecordSet"]
        where = f"Change with [Action={change['Action']}, Name={record['Name']}, Type={record['Type']}, SetIdentifier={record.get('SetIdentifier', 'null')}]"
        is_alias = bool(record.get("AliasTarget"))
        is_plain = record.get("TTL") is not None and bool(record.get("ResourceRecords"))
        if is_alias == is_plain:
            found = "more than one" if is_alias else "none"
            _invalid(
                "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or "
                f"TrafficPolicyInstanceId], but found {found} in {where}"
            )
        routed = [name for name in ROUTING if record.get(name) is not None]
        if record.get("SetIdentifier") and len(routed) != 1:
            _invalid(
                f"Invalid request: Expected exactly one of [{', '.join(ROUTING[:-1])}, or {ROUTING[-1]}], but found "
                f"{'more than one' if routed else 'none'} in {where}"
            )
        if routed and not record.get("SetIdentifier"):
            _invalid(f"Invalid request: Missing field 'SetIdentifier' in {where}")


def _refuse(messages: Sequence[str]) -> NoReturn:
    raise Route53ClientError("InvalidChangeBatch", f"[{', '.join(messages)}]")


def check_batch(backend: Any, zone: Any, changes: Sequence[dict[str, Any]]) -> list[Any]:
    """The zone's records after the changes; either all changes are made or none. Raises Route53ClientError with all problems."""
    records = {_key(item): item for item in zone.rrsets}
    problems: list[str] = []
    for change in changes:
        record = {key: value for key, value in change["ResourceRecordSet"].items() if value is not None}
        problems += _check_record(backend, zone, record)
        problems += _apply(records, change["Action"], record)
    for change in changes:
        if change["Action"] != "DELETE":
            problems += _check_beside(zone, records, change["ResourceRecordSet"])
    if problems:
        _refuse(list(dict.fromkeys(problems)))
    return list(records.values())


def _apply(records: dict[Key, Any], action: str, record: dict[str, Any]) -> list[str]:
    """'CREATE … UPSERT … DELETE: To delete a resource record set, you must specify all the same values that you specified when you
    created it.'"""
    key, values = key_of(record), [item["Value"] for item in record.get("ResourceRecords", ())]
    known = records.get(key)
    told = f"[name='{plain(record['Name'])}.', type='{record['Type']}'" + (
        f", set-identifier='{key[2]}']" if key[2] else "]"
    )
    if action == "CREATE" and known is not None:
        return [f"Tried to create resource record set {told} but it already exists"]
    kind: Any = RecordSet  # abstract to mypy only
    made = kind({**record, "Name": f"{key[0]}.", "ResourceRecords": values})
    if action != "DELETE":
        records[key] = made
        return []
    if known is None:
        return [f"Tried to delete resource record set {told} but it was not found"]
    if _values(known) != _values(made):
        return [f"Tried to delete resource record set {told} but the values provided do not match the current values"]
    del records[key]
    return []


def _values(item: Any) -> tuple[Any, ...]:
    alias = item.alias_target and {**item.alias_target, "DNSName": plain(item.alias_target["DNSName"])}
    alias = alias and sorted((key, str(value)) for key, value in alias.items())
    numbers = tuple(None if value is None else int(value) for value in (item.ttl, item.weight))
    return sorted(item.records or ()), numbers, item.failover, item.region, item.health_check_id, alias


def _check_record(backend: Any, zone: Any, record: dict[str, Any]) -> list[str]:
    name, own = plain(record["Name"]), plain(zone.name)
    if name != own and not name.endswith(f".{own}"):
        return [f"RRSet with DNS name {name}. is not permitted in zone {own}."]
    if record["Type"] == "CNAME" and name == own:
        # RFC 1034, 3.6.2; Developer Guide: 'You can't create a CNAME record at the zone apex'
        return [f"RRSet of type CNAME with DNS name {name}. is not permitted at apex in zone {own}."]
    problems = [
        text for item in record.get("ResourceRecords", ()) if (text := _check_value(record["Type"], item["Value"]))
    ]
    if (check := record.get("HealthCheckId")) and check not in backend.health_checks:
        raise Route53ClientError("NoSuchHealthCheck", f"The specified health check does not exist: {check}.")
    return problems


def _check_value(kind: str, value: str) -> str:
    """The problem with a record's value, by the record's type (Developer Guide, 'Values'); empty if there is none."""
    if kind in ("A", "AAAA"):
        try:
            if ipaddress.ip_address(value).version == (4 if kind == "A" else 6):
                return ""
        except ValueError:
            pass
        code = "ARRDATAIllegalIPv4Address" if kind == "A" else "AAAARRDATAIllegalIPv6Address"
        return f"Invalid Resource Record: 'FATAL problem: {code} (Value is not a valid IPv{4 if kind == 'A' else 6} address) encountered with '{value}''"
    if kind == "TXT":
        strings = _STRING.findall(value)
        if not strings or _STRING.sub("", value).strip():
            return f"Invalid Resource Record: 'FATAL problem: InvalidCharacterString (Value should be enclosed in quotation marks) encountered with '{value}''"
        if any(len(re.sub(r"\\[0-7]{3}|\\.", "x", text)) > 255 for text in strings) or len(value) > 4000:
            return f"Invalid Resource Record: 'FATAL problem: CharacterStringTooLong (Value is too long) encountered with '{value}''"
    return ""


def _check_beside(zone: Any, records: dict[Key, Any], record: dict[str, Any]) -> list[str]:
    """The conflicts with other records of the same name. A CNAME allows no other record; records of one type need the same routing
    policy."""
    name, kind, identifier = key_of(record)
    own, problems = plain(zone.name), []
    for other, there in records.items():
        if other[0] != name or other == (name, kind, identifier):
            continue
        if other[1] != kind and "CNAME" in (other[1], kind):
            problems.append(
                f"RRSet of type {kind} with DNS name {name}. is not permitted because a conflicting RRSet of type "
                f"{other[1]} with the same DNS name already exists in zone {own}."
            )
        if other[1] == kind and _routing(there) != _routing(records[name, kind, identifier]):
            problems.append(
                f"RRSet with DNS name {name}., type {kind}, SetIdentifier {identifier or 'null'} cannot be created as other RRSets exist with the same "
                "name and type."
            )
        elif other[1] == kind and there.failover and there.failover == records[name, kind, identifier].failover:
            problems.append(
                f"RRSet with DNS name {name}., type {kind}, SetIdentifier {identifier} cannot be created because a {there.failover} failover RRSet "
                "with the same name and type already exists."
            )
    if alias := record.get("AliasTarget"):
        problems += _check_alias(zone, records, alias, kind)
    return problems


def _routing(item: Any) -> str:
    return (
        "weight"
        if item.weight is not None
        else "failover"
        if item.failover
        else "simple"
        if not item.set_identifier
        else "other"
    )


def _check_alias(zone: Any, records: dict[Key, Any], alias: dict[str, Any], kind: str) -> list[str]:
    """The problems of an alias (AliasTarget, HostedZoneId and DNSName). A load balancer's alias needs the load balancer's own hosted zone;
    any other needs a record of the same type that exists in the same zone."""
    target, zone_id = plain(alias["DNSName"]), alias["HostedZoneId"].rpartition("/")[2]
    told = f"Tried to create an alias that targets {target}., type {kind} in zone {zone_id}, but "
    if zone_id == zone.resource_id:
        is_there = any(other[:2] == (target, kind) for other in records)
        return [] if is_there else [f"{told}that target was not found"]
    if not target.endswith((".elb.amazonaws.com", ".elb.amazonaws.com.cn")):
        return []
    balancers = [
        item
        for account in elbv2_backends.values()
        for here in account.values()
        for item in here.load_balancers.values()
    ]
    own = {plain(item.dns_name): item.canonical_hosted_zone_id for item in balancers}
    found = own.get(target.removeprefix("dualstack."))
    if found is None:
        return [f"{told}that target was not found"]
    return [] if found == zone_id else [f"{told}the alias target name does not lie within the target zone"]
