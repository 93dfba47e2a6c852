"""Checks DNS records of a spec: the values of each type, records that exclude each other, and names outside of their zones."""

from typing import Final

from alb_reconcile.aws.record_tags import plain_name
from alb_reconcile.kinds._targets import as_address
from alb_reconcile.kinds._zones import is_within, name_in, zone_text
from alb_reconcile.kinds.base import Around, Entry

_NEEDED: Final = ("zone", "name", "type")
_Key = tuple[str, str]


def check_entries(around: Around) -> None:
    """Report records that Route 53 would refuse."""
    entries = around.entries("records")
    usable = {name: entry for name, entry in entries.items() if all(entry.get(key) for key in _NEEDED)}
    for name, entry in usable.items():
        _check_place(around, name, entry)
        _check_target(around, name, entry)
        _check_routing(around, name, entry)
        _check_values(around, name, entry)
    _check_beside(around, usable)


def _check_place(around: Around, name: str, entry: Entry) -> None:
    zone = name_in(zone_text(entry["zone"]))
    if zone and not is_within(entry["name"], zone):
        text = f"{plain_name(entry['name'])} isn't in zone {zone}; write the whole name, such as api.{zone}"
        around.error(("records", name, "name"), text)
    if entry["type"] == "CNAME" and plain_name(entry["name"]) == zone:
        text = "there is no CNAME for the name of a zone itself; make it an A record with an alias"
        around.error(("records", name, "type"), text)


def _check_target(around: Around, name: str, entry: Entry) -> None:
    path, given = ("records", name), around.given(("records", name))
    if "alias" not in given and "resource_records" not in given:
        around.error(path, "leads nowhere; give it resource_records, or an alias", at_key=True)
    for key in ("resource_records", "ttl"):
        if "alias" in given and key in given:
            text = "is given together with alias, which has its target's values; keep one"
            around.error((*path, key), text, at_key=True)
    if "alias" not in given and "evaluate_target_health" in given:
        around.error((*path, "evaluate_target_health"), "is for an alias; remove it", at_key=True)
    if isinstance(entry.get("alias"), str) and entry["type"] not in ("A", "AAAA"):
        around.error((*path, "type"), f"a load balancer has addresses: make it A or AAAA instead of {entry['type']}")
    if isinstance(balancer := entry.get("alias"), str) and entry["type"] == "AAAA":
        found = around.entries("load_balancers").get(balancer, {}).get("ip_address_type", "ipv4")
        if balancer in around.entries("load_balancers") and found == "ipv4":
            text = f"{balancer} has no IPv6 address, so that nothing is answered; set its ip_address_type: dualstack"
            around.warn((*path, "alias"), text)


def _check_routing(around: Around, name: str, entry: Entry) -> None:
    path, given = ("records", name), around.given(("records", name))
    routed = [key for key in ("weight", "failover") if key in given]
    if len(routed) == 2:
        around.error((*path, "failover"), "is given together with weight; keep one", at_key=True)
    if routed and "set_identifier" not in given:
        text = "needs a set_identifier beside it; give it one that no other record of that name has"
        around.error((*path, routed[0]), text, at_key=True)
    if "set_identifier" in given and not routed:
        around.error((*path, "set_identifier"), "is for records with weight or failover; remove it", at_key=True)


def _check_values(around: Around, name: str, entry: Entry) -> None:
    values = entry.get("resource_records") or ()
    if entry["type"] == "CNAME" and len(values) > 1:
        around.error(("records", name, "resource_records"), "a CNAME has one value; keep one")
    version = {"A": 4, "AAAA": 6}.get(entry["type"])
    for index, value in enumerate(values):
        if version and isinstance(value, str) and (not as_address(value) or (":" in value) != (version == 6)):
            text = f"{value} isn't an IPv{version} address; {entry['type']} records have nothing else"
            around.error(("records", name, "resource_records", index), text)


def _check_beside(around: Around, entries: dict[str, Entry]) -> None:
    """Report records of one name that exclude each other: a CNAME and another record, or two of one type, unless both have own identifiers
    and the same sort of routing (weight or failover)."""
    seen: dict[_Key, list[tuple[str, Entry]]] = {}
    told: set[tuple[_Key, str]] = set()
    for name, entry in entries.items():
        key = zone_text(entry["zone"]), plain_name(entry["name"])
        for other, found in seen.setdefault(key, []):
            if text := _conflict(entry, found):
                if found["type"] == "CNAME":
                    if (key, other) in told:
                        break  # A and AAAA records with the name of one CNAME are one mistake
                    told.add((key, other))
                around.error(("records", name, "name"), f"{text} records.{other}; change one of them")
                break
        seen[key].append((name, entry))


def _conflict(entry: Entry, other: Entry) -> str:
    if entry["type"] != other["type"]:
        return (
            "a CNAME stands beside no other record of its name, as" if "CNAME" in (entry["type"], other["type"]) else ""
        )
    identifiers = entry.get("set_identifier"), other.get("set_identifier")
    if None in identifiers or identifiers[0] == identifiers[1]:
        return f"there is one {entry['type']} record of a name, or several with their own set_identifier; it is also that of"
    if ("weight" in entry) != ("weight" in other):
        return "records of one name and type have all weight or all failover, unlike"
    if entry.get("failover") and entry.get("failover") == other.get("failover"):
        return f"there is one {entry['failover']} record of a name and type, and it is"
    return ""
