"""Finds a name server's answers in the served zones: values, aliases, CNAMEs, wildcards."""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

ADDRESS: Final = "127.0.0.1"
"""The address of all load balancers in the sandbox, each of which has its own local ports."""
_TTL: Final = 60
_MOST: Final = 8
"""The longest chain of CNAMEs that is followed."""
_BALANCERS: Final = (".elb.amazonaws.com", ".elb.amazonaws.com.cn")


@dataclass(frozen=True)
class Entry:
    """A record set. `target` is the name that an alias leads to, in lower case and without a dot at its end."""

    name: str
    type: str
    ttl: int = _TTL
    values: tuple[str, ...] = ()
    target: str = ""
    weight: int | None = None
    failover: str = ""


@dataclass(frozen=True)
class Found:
    """An answer: `rows` are name, TTL, type and values; `code` is DNS's response code."""

    code: str
    rows: tuple[tuple[str, int, str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Book:
    """All zones by name, and the DNS names of the load balancers that are active."""

    zones: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    balancers: frozenset[str] = frozenset()

    def answer(self, name: str, kind: str) -> Found:
        """The answer to a question. Names outside of these zones, except load balancers' names, are refused."""
        rows: list[tuple[str, int, str, tuple[str, ...]]] = []
        asked = name.lower().removesuffix(".")
        if self._zone_of(asked) is None and not asked.endswith(_BALANCERS):
            return Found("REFUSED")
        for _ in range(_MOST):
            code, found = self._look_up(asked, kind)
            if found is None or not found[3]:
                return Found(code if not rows else "NOERROR", tuple(rows))
            rows.append(found)
            if found[2] != "CNAME" or kind == "CNAME":
                break
            asked = found[3][0].lower().removesuffix(".")
            if self._zone_of(asked) is None and not asked.endswith(_BALANCERS):
                break
        return Found("NOERROR", tuple(rows))

    def _zone_of(self, name: str) -> str | None:
        zones = [zone for zone in self.zones if name == zone or name.endswith(f".{zone}")]
        return max(zones, key=len, default=None)

    def _look_up(self, name: str, kind: str) -> tuple[str, tuple[str, int, str, tuple[str, ...]] | None]:
        if name.endswith(_BALANCERS):
            if name.removeprefix("dualstack.") not in self.balancers:
                return "NXDOMAIN", None
            return "NOERROR", (name, _TTL, "A", (ADDRESS,) if kind == "A" else ())
        zone = self._zone_of(name)
        if zone is None:
            return "REFUSED", None
        entries = self._at(zone, name)
        if not entries:
            return "NXDOMAIN" if not self._is_there(zone, name) else "NOERROR", None
        of_kind = [item for item in entries if item.type == kind] or [item for item in entries if item.type == "CNAME"]
        chosen = _choose(of_kind, self._leads)
        if chosen is None:
            return "NOERROR", None
        if not chosen.target:
            return "NOERROR", (name, chosen.ttl, chosen.type, chosen.values)
        found = self.answer(chosen.target, kind)
        values = tuple(value for row in found.rows if row[2] == kind for value in row[3])
        return "NOERROR", (name, _TTL, kind, values)

    def _at(self, zone: str, name: str) -> list[Entry]:
        """The entries of a name; for a name that doesn't exist, those of the closest wildcard (RFC 4592)."""
        entries = self.zones[zone]
        own = [item for item in entries if item.name == name]
        above = name
        while not own and not self._is_there(zone, name) and above != zone:
            _, _, above = above.partition(".")
            own = [item for item in entries if item.name == f"*.{above}"]
            if self._is_there(zone, above):
                break
        return own

    def _is_there(self, zone: str, name: str) -> bool:
        return any(item.name == name or item.name.endswith(f".{name}") for item in self.zones[zone])

    def _leads(self, entry: Entry) -> bool:
        """Whether an entry's answer has values: for an alias, whether its target has."""
        return not entry.target or bool(self.answer(entry.target, entry.type).rows)


def _choose(entries: Sequence[Entry], leads: object) -> Entry | None:
    """Choose one of several records of a name and type: by failover, or by weight (Route 53, "Choosing a routing policy")."""
    if not entries:
        return None
    if any(item.failover for item in entries):
        order = sorted(entries, key=lambda item: item.failover != "PRIMARY")
        return next((item for item in order if callable(leads) and leads(item)), order[0])
    weights = [item.weight or 0 for item in entries]
    if not any(weights):
        return random.choice(entries)  # noqa: S311 (nothing hangs on it)
    return random.choices(entries, weights)[0]  # noqa: S311


def take_book(now: float) -> Book:
    """The records that Route 53's name servers answer at `now`; changes reach them with a delay. The caller holds the strict AWS's lock."""
    from moto.elbv2.models import elbv2_backends
    from moto.route53.models import route53_backends

    from alb_reconcile.sandbox.strict.route53 import served

    zones: dict[str, list[Entry]] = defaultdict(list)
    for partitions in list(route53_backends.values()):
        for backend in list(partitions.values()):
            for zone in list(backend.zones.values()):
                zones[zone.name.removesuffix(".")] += _entries(served(zone, now))
    balancers = {
        item.dns_name.lower()
        for regions in list(elbv2_backends.values())
        for backend in list(regions.values())
        for item in list(backend.load_balancers.values())
        if item.state == "active"
    }
    return Book(zones, frozenset(balancers))


def _entries(records: Iterable[object]) -> list[Entry]:
    from alb_reconcile.sandbox.strict.route53 import as_told
    from alb_reconcile.sandbox.strict.route53_rules import plain

    found = []
    for record in records:
        told = as_told(record)
        alias = told.get("AliasTarget")
        found.append(
            Entry(
                plain(told["Name"]),
                told["Type"],
                told.get("TTL", _TTL),
                tuple(item["Value"] for item in told.get("ResourceRecords", ())),
                plain(alias["DNSName"]) if alias else "",
                None if told.get("Weight") is None else int(told["Weight"]),
                told.get("Failover", ""),
            )
        )
    return found
