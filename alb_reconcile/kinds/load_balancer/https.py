"""Expands the short form `https` of a load balancer's entry into a certificate, DNS records, a listener and a redirect to it."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from alb_reconcile.kinds._zones import LONGEST_FIRST, is_within, name_in, zone_text
from alb_reconcile.kinds.short_forms import ShortForm, below, copied
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
    for name, balancer in list(below(root, "load_balancers").items()):
        short = below(balancer).get("https")
        if short is not None and ("load_balancers", name, "https") not in refused:
            problems += _Form(root, name, short, balancer.keys["https"], known, claimed).write_out()
    return problems


class _Form(ShortForm):
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
        super().__init__(root, f"https of load_balancers.{name}", place)
        self.name, self.short, self.known, self.claimed = name, short, known, claimed
        self.given = below(short)
        self.balancer = copied(copied(root, "load_balancers"), name)

    def write_out(self) -> list[Problem]:
        names = list(self._names())
        if not names:
            return self.problems  # each of its names has a problem
        certificate = self.given.get("certificate")
        if certificate is None:
            certificate = self.node(self.name)
            self.add(self.root, (), "certificates", self.name, self._certificate(names))
        named: dict[str, str] = {}
        for node in names if "zone" in self.given else ():
            for kind in self._types():
                host = str(node.value).lower()
                name = self._record_name(host, kind)
                if named.get(name, host) != host:
                    name = self._record_name(host, kind, clear=False)
                self.add(self.root, (), "records", name, self._record(node, kind))
                named[name] = host
        own = {key: node for key, node in self.given.items() if key in self.known}
        listener = {"protocol": self.node("HTTPS"), "port": self.node(443), "certificate_arn": certificate, **own}
        self._listen(
            "https",
            self.mapping(listener, keys=self.short.keys),
            "listens at port 443",
            "write it all out without https",
        )
        if self.given.get("redirect", self.node(True)).value is not False:
            action = self.mapping(
                {"redirect": self.mapping({key: self.node(value) for key, value in _REDIRECT.items()})}
            )
            redirect = {"protocol": self.node("HTTP"), "port": self.node(80), "default_action": action}
            self._listen("http", self.mapping(redirect), "redirects port 80", "set https.redirect: false")
        del below(self.balancer)["https"]
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
        addresses = below(self.balancer).get("ip_address_type", self.node("ipv4")).value
        return {"ipv4": ("A",), "dualstack-without-public-ipv4": ("AAAA",)}.get(str(addresses), ("A", "AAAA"))

    def _certificate(self, names: list[Node]) -> Node:
        first = next((item for item in names if len(str(item.value)) <= LONGEST_FIRST), names[0])
        # also an empty list: the certificate must lose a name that the spec drops, since the name could prevent the renewal
        others = self.node([item for item in names if item is not first])
        places = {"domain_name": (first.line, first.column), "subject_alternative_names": self.short.keys["names"]}
        entry = {"domain_name": first, "subject_alternative_names": others, **self._zone()}
        return self.mapping(entry, {**self.short.keys, **places})

    def _record(self, name: Node, kind: str) -> Node:
        entry = {**self._zone(), "name": name, "type": self.node(kind), "alias": self.node(self.name)}
        return self.mapping(entry, {**self.short.keys, "name": (name.line, name.column)})

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
        port = below(entry)["port"].value
        for other, listener in below(self.balancer, "listeners").items():
            if getattr(below(listener).get("port"), "value", None) == port:
                place = below(self.balancer)["listeners"].keys[other]
                path = render_path(("load_balancers", self.name, "listeners", other))
                text = f"https of load_balancers.{self.name} {what}; remove this listener, or {way_out}"
                self.problems.append(Problem(*place, path, text))
                return
        self.add(self.balancer, ("load_balancers", self.name), "listeners", name, entry)
