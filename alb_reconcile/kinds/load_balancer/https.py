"""Expands the short form `https` of a load balancer's entry into a certificate, DNS records, a listener and a redirect to it."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from alb_reconcile.kinds._zones import LONGEST_FIRST, is_within, name_in, zone_text
from alb_reconcile.model.errors import Problem
from alb_reconcile.model.nodes import Node, Path, Scalar, render_path
from alb_reconcile.model.text import digest

_OWN: Final = frozenset({"names", "zone", "certificate", "redirect"})
_REDIRECT: Final[dict[str, Scalar]] = {"protocol": "HTTPS", "port": 443, "status_code": "HTTP_301"}


def write_out(root: Node, invalid: Iterable[Path], schema: Mapping[str, Any]) -> list[Problem]:
    """Replace each `https` by the entries that it stands for (in place), with its line and column. Returns the problems found."""
    known = schema["properties"]["https"]["properties"].keys() - _OWN
    refused = {path[:3] for path in invalid if path[2:3] == ("https",)}
    problems: list[Problem] = []
    claimed: dict[tuple[str, str], str] = {}
    for name, balancer in list(_below(root, "load_balancers").items()):
        short = _below(balancer).get("https")
        if short is not None and ("load_balancers", name, "https") not in refused:
            problems += _Form(root, name, short, balancer.keys["https"], known, claimed).write_out()
    return problems


def _below(node: Node, *path: str) -> dict[str, Node]:
    """The mapping at a path; an empty one where there is none."""
    found = node
    for key in path:
        found = _below(found).get(key, Node({}, 0, 0))
    return found.value if isinstance(found.value, dict) else {}


def _copied(parent: Node, key: str) -> Node:
    """Replace a node below another one by a copy, and return the copy: a YAML alias puts the same node in several places."""
    below = _below(parent)
    node = below[key]
    value = dict(node.value) if isinstance(node.value, dict) else node.value
    below[key] = replace(node, value=value, keys=dict(node.keys))
    return below[key]


class _Form:
    def __init__(
        self,
        root: Node,
        name: str,
        short: Node,
        place: tuple[int, int],
        known: Collection[str],
        claimed: dict[tuple[str, str], str],
    ) -> None:
        """`known`: the keys of `https` that are the listener's. `claimed`: the load balancer that has a name already, by zone and name."""
        self.root, self.name, self.short, self.known, self.claimed = root, name, short, known, claimed
        self.line, self.column = place
        self.given = _below(short)
        self.balancer = _copied(_copied(root, "load_balancers"), name)
        self.problems: list[Problem] = []

    def write_out(self) -> list[Problem]:
        names = list(self._names())
        if not names:
            return self.problems  # each of its names has a problem
        certificate = self.given.get("certificate")
        if certificate is None:
            certificate = self._node(self.name)
            self._add((), "certificates", self.name, self._certificate(names))
        named: dict[str, str] = {}
        for node in names if "zone" in self.given else ():
            for kind in self._types():
                host = str(node.value).lower()
                name = self._record_name(host, kind)
                if named.get(name, host) != host:
                    name = self._record_name(host, kind, clear=False)
                self._add((), "records", name, self._record(node, kind))
                named[name] = host
        own = {key: node for key, node in self.given.items() if key in self.known}
        listener = {"protocol": self._node("HTTPS"), "port": self._node(443), "certificate_arn": certificate, **own}
        self._listen(
            "https",
            self._mapping(listener, keys=self.short.keys),
            "listens at port 443",
            "write it all out without https",
        )
        if self.given.get("redirect", self._node(True)).value is not False:
            action = self._mapping(
                {"redirect": self._mapping({key: self._node(value) for key, value in _REDIRECT.items()})}
            )
            redirect = {"protocol": self._node("HTTP"), "port": self._node(80), "default_action": action}
            self._listen("http", self._mapping(redirect), "redirects port 80", "set https.redirect: false")
        del _below(self.balancer)["https"]
        return self.problems

    def _names(self) -> Iterator[Node]:
        """The names that get entries. A mistake in another name is reported here, once for all entries that the name would get."""
        names = self.given.get("names")
        given = names.value if names is not None and isinstance(names.value, list) else ()
        seen = set[str]()
        for index, node in enumerate(given):
            if isinstance(node.value, str):
                mistake = (
                    "is given twice; keep one" if node.value.lower() in seen else self._mistake(node.value.lower())
                )
                seen.add(node.value.lower())
                if not mistake:
                    yield node
                    continue
                path = render_path(("load_balancers", self.name, "https", "names", index))
                self.problems.append(Problem(node.line, node.column, path, mistake))

    def _mistake(self, host: str) -> str:
        """What is wrong with a name, in words; empty where nothing is."""
        given = self.given["zone"].value if "zone" in self.given else None
        if not isinstance(given, str):
            return ""
        zone = zone_text(given)
        name = name_in(zone)
        if name and not is_within(host.removeprefix("*."), name):
            return f"{host} isn't in zone {name}; name the zone that it is in, or give it entries of its own under certificates and records"
        first = self.claimed.setdefault((zone, host), self.name)
        if first != self.name:
            return f"{host} leads to load_balancers.{first} already; keep it in one of them, or write out records with weight or failover"
        return ""

    def _types(self) -> tuple[str, ...]:
        addresses = _below(self.balancer).get("ip_address_type", self._node("ipv4")).value
        return {"ipv4": ("A",), "dualstack-without-public-ipv4": ("AAAA",)}.get(str(addresses), ("A", "AAAA"))

    def _certificate(self, names: list[Node]) -> Node:
        first = next((item for item in names if len(str(item.value)) <= LONGEST_FIRST), names[0])
        # also an empty list: the certificate must lose a name that the spec drops, since the name could prevent the renewal
        others = self._node([item for item in names if item is not first])
        places = {"domain_name": (first.line, first.column), "subject_alternative_names": self.short.keys["names"]}
        entry = {"domain_name": first, "subject_alternative_names": others, **self._zone()}
        return self._mapping(entry, {**self.short.keys, **places})

    def _record(self, name: Node, kind: str) -> Node:
        entry = {**self._zone(), "name": name, "type": self._node(kind), "alias": self._node(self.name)}
        return self._mapping(entry, {**self.short.keys, "name": (name.line, name.column)})

    def _record_name(self, name: str, kind: str, *, clear: bool = True) -> str:
        """The name of a record's entry: public-api-example-com, with -aaaa for IPv6; with a digest where it is too long, or not `clear`."""
        text = re.sub(r"[^a-z0-9]+", "-", f"{self.name}-{name}".lower().replace("*", "any")).strip("-")
        end = "-aaaa" if kind == "AAAA" else ""
        is_clear = clear and len(text + end) <= 63
        return text + end if is_clear else f"{text[: 54 - len(end)]}-{digest(text if clear else name, 8)}{end}"

    def _zone(self) -> dict[str, Node]:
        return {"zone": self.given["zone"]} if "zone" in self.given else {}

    def _listen(self, name: str, entry: Node, what: str, way_out: str) -> None:
        """Add a listener, or report that the load balancer has another listener at its port."""
        port = _below(entry)["port"].value
        for other, listener in _below(self.balancer, "listeners").items():
            if getattr(_below(listener).get("port"), "value", None) == port:
                place = _below(self.balancer)["listeners"].keys[other]
                path = render_path(("load_balancers", self.name, "listeners", other))
                text = f"https of load_balancers.{self.name} {what}; remove this listener, or {way_out}"
                self.problems.append(Problem(*place, path, text))
                return
        self._add(("load_balancers", self.name), "listeners", name, entry)

    def _add(self, where: tuple[str, ...], section: str, name: str, entry: Node) -> None:
        """Add an entry to a section, and the section if it is missing; or report that the section has an entry of that name."""
        parent = self.balancer if where else self.root
        _below(parent).setdefault(section, self._mapping({}))
        parent.keys.setdefault(section, (self.line, self.column))
        entries = _copied(parent, section)
        if not isinstance(entries.value, dict):
            return  # the schema has refused the section
        if name in entries.value:
            path = render_path((*where, section, name))
            text = f"https of load_balancers.{self.name} makes an entry of that name; give this one another name, or write it all out without https"
            self.problems.append(Problem(*entries.keys[name], path, text))
            return
        entries.value[name] = entry
        entries.keys[name] = (self.line, self.column)

    def _node(self, value: Scalar | list[Node]) -> Node:
        return Node(value, self.line, self.column)

    def _mapping(self, value: dict[str, Node], keys: dict[str, tuple[int, int]] | None = None) -> Node:
        """A mapping. Each key has the line and column of that key in `keys`, else those of `https`."""
        places = {key: (keys or {}).get(key, (self.line, self.column)) for key in value}
        return Node(value, self.line, self.column, keys=places)
