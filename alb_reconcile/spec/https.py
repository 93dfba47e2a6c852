"""The short form `https` of a load balancer, written out: certificate, DNS records, the listener, and the redirect to it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from alb_reconcile.model.errors import Problem
from alb_reconcile.model.text import digest
from alb_reconcile.spec.document import Node, Path, Scalar, render_path

_OWN: Final = frozenset({"names", "zone", "certificate", "redirect"})
_REDIRECT: Final[dict[str, Scalar]] = {"protocol": "HTTPS", "port": 443, "status_code": "HTTP_301"}


def write_out(root: Node, invalid: Iterable[Path]) -> list[Problem]:
    """Put entries in the place of each `https` (in place), all of which stand where it does. Returns what is in their way."""
    refused = {path[:3] for path in invalid if path[2:3] == ("https",)}
    problems: list[Problem] = []
    for name, balancer in list(_below(root, "load_balancers").items()):
        short = _below(balancer).get("https")
        if short is not None and ("load_balancers", name, "https") not in refused:
            problems += _Form(root, name, short, balancer.keys["https"]).write_out()
    return problems


def _below(node: Node, *path: str) -> dict[str, Node]:
    """The mapping at a path; an empty one where there is none."""
    found = node
    for key in path:
        found = _below(found).get(key, Node({}, 0, 0))
    return found.value if isinstance(found.value, dict) else {}


def _copied(parent: Node, key: str) -> Node:
    """A node below another one, which nothing else has: an alias stands for the same node in several places."""
    below = _below(parent)
    node = below[key]
    value = dict(node.value) if isinstance(node.value, dict) else node.value
    below[key] = replace(node, value=value, keys=dict(node.keys))
    return below[key]


class _Form:
    def __init__(self, root: Node, name: str, short: Node, place: tuple[int, int]) -> None:
        self.root, self.name, self.short = root, name, short
        self.line, self.column = place
        self.given = _below(short)
        self.balancer = _copied(_copied(root, "load_balancers"), name)
        self.problems: list[Problem] = []

    def write_out(self) -> list[Problem]:
        names = [item for item in self._names() if isinstance(item.value, str)]
        if not names:
            return []  # which the schema has refused
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
                if name not in named:  # a name that is given twice is told of the certificate
                    self._add((), "records", name, self._record(node, kind))
                named[name] = host
        own = {key: node for key, node in self.given.items() if key not in _OWN}
        listener = {"protocol": self._node("HTTPS"), "port": self._node(443), "certificate_arn": certificate, **own}
        where = ("load_balancers", self.name)
        self._add(where, "listeners", "https", self._mapping(listener, keys=self.short.keys))
        if self.given.get("redirect", self._node(True)).value is not False:
            action = self._mapping(
                {"redirect": self._mapping({key: self._node(value) for key, value in _REDIRECT.items()})}
            )
            redirect = {"protocol": self._node("HTTP"), "port": self._node(80), "default_action": action}
            self._add(where, "listeners", "http", self._mapping(redirect))
        del _below(self.balancer)["https"]
        return self.problems

    def _names(self) -> Iterator[Node]:
        names = self.given.get("names")
        yield from names.value if names is not None and isinstance(names.value, list) else ()

    def _types(self) -> tuple[str, ...]:
        addresses = _below(self.balancer).get("ip_address_type", self._node("ipv4")).value
        return {"ipv4": ("A",), "dualstack-without-public-ipv4": ("AAAA",)}.get(str(addresses), ("A", "AAAA"))

    def _certificate(self, names: list[Node]) -> Node:
        others = self._node(names[1:])  # without any, too: a name that is taken away isn't kept
        return self._mapping({"domain_name": names[0], "subject_alternative_names": others, **self._zone()})

    def _record(self, name: Node, kind: str) -> Node:
        return self._mapping({**self._zone(), "name": name, "type": self._node(kind), "alias": self._node(self.name)})

    def _record_name(self, name: str, kind: str, *, clear: bool = True) -> str:
        """A name of an entry: public-api-example-com, and with -aaaa for IPv6; with a digest where it isn't `clear`."""
        text = re.sub(r"[^a-z0-9]+", "-", f"{self.name}-{name}".lower().replace("*", "any")).strip("-")
        end = "-aaaa" if kind == "AAAA" else ""
        is_clear = clear and len(text + end) <= 63
        return text + end if is_clear else f"{text[: 54 - len(end)]}-{digest(text if clear else name, 8)}{end}"

    def _zone(self) -> dict[str, Node]:
        return {"zone": self.given["zone"]} if "zone" in self.given else {}

    def _add(self, where: tuple[str, ...], section: str, name: str, entry: Node) -> None:
        """Another entry of a section, which is made where there is none."""
        parent = self.balancer if where else self.root
        _below(parent).setdefault(section, self._mapping({}))
        parent.keys.setdefault(section, (self.line, self.column))
        entries = _copied(parent, section)
        if not isinstance(entries.value, dict):
            return  # which the schema has refused
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
        """Each key stands where it was given, or where `https` does."""
        places = {key: (keys or {}).get(key, (self.line, self.column)) for key in value}
        return Node(value, self.line, self.column, keys=places)
