"""Warns of redirects that lead in a circle, or to a port at which the load balancer doesn't speak the redirect's protocol."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from alb_reconcile.kinds.base import Around, Entry
from alb_reconcile.kinds.listener.actions import actions_in
from alb_reconcile.kinds.rule.unreachable import Ordered, rules_in_order
from alb_reconcile.model.nodes import Path, render_path
from alb_reconcile.model.requests.conditions import Condition
from alb_reconcile.model.requests.patterns import fits, parse
from alb_reconcile.model.requests.shadows import is_always_met
from alb_reconcile.model.secrets import hide_query

_MOST_HOPS: Final = 20
"""Redirects after which browsers give up."""
_MOST_RULES: Final = 300
"""In a file with more rules, redirects aren't followed. AWS takes 100 rules in a load balancer by default."""
_ANY_HOST: Final = "any-host.example"


class _Url(NamedTuple):
    protocol: str
    host: str
    port: int
    path: str
    query: str = ""

    def __str__(self) -> str:
        query = f"?{self.query}" if self.query else ""
        return f"{self.protocol.lower()}://{self.host}:{self.port}{self.path}{query}"


class _Listener(NamedTuple):
    path: Path
    entry: Entry
    rules: Ordered
    keeps_others: bool


def check(around: Around) -> None:
    """Report redirects that lead in a circle or to a wrong port, in a spec without mistakes."""
    if not around.is_sound or len(around.all_of("rule")) > _MOST_RULES:
        return
    redirects, listeners = defaultdict(list), defaultdict(list)
    for path, action in around.kept(actions_in):
        if "redirect" in action:
            redirects[str(path[1])].append((path, action["redirect"]))
    for path, entry in around.all_of("listener"):
        listeners[str(path[1])].append(
            _Listener(path, entry, rules_in_order(around, path), entry.get("others") == "keep")
        )
    for name, own in redirects.items():
        _Balancer(around, name, listeners[name]).check(own)


class _Balancer:
    def __init__(self, around: Around, name: str, listeners: Sequence[_Listener]) -> None:
        self.around, self.name, self.listeners = around, name, listeners
        self.keeps_others = around.entries("load_balancers")[name].get("others") == "keep"
        self.reported: set[frozenset[Path]] = set()

    def check(self, redirects: Sequence[tuple[Path, Entry]]) -> None:
        for path, redirect in redirects:
            listener = next(item for item in self.listeners if item.path == path[:4])
            conditions = next((there for place, there in listener.rules if (*place, "action") == path), ())
            starts = list(_requests(listener.entry, conditions))
            # behind a proxy that ends HTTPS, a header says which protocol the client used
            is_plain = not any(item.field == "http_header" for item in conditions)
            if is_plain and starts and self._is_misdirected(path, redirect, starts[0]):
                continue
            any(self._check_circle(path, start) for start in starts)

    def _is_misdirected(self, path: Path, redirect: Entry, start: _Url) -> bool:
        """Report a redirect within the same host to a port at which this load balancer doesn't speak the redirect's protocol."""
        target = _follow(redirect, start)
        if target is None or target.host != start.host or self.keeps_others:
            return False
        there = next((item for item in self.listeners if item.entry["port"] == target.port), None)
        if there is not None and there.entry["protocol"] == target.protocol:
            return False
        where = f"leads to {target.protocol} on port {target.port}"
        if there is not None:
            ports = [item.entry["port"] for item in self.listeners if item.entry["protocol"] == target.protocol]
            advice = f"set port: {ports[0]}" if ports else f"declare a listener for {target.protocol}, and set its port"
            text = f"{where}, which listener {there.path[3]} answers in {there.entry['protocol']}; {advice}"
        else:
            text = f"{where}, where load_balancer.{self.name} has no listener; declare one, or redirect elsewhere"
        self.around.warn((*path, "redirect"), text)
        return True

    def _check_circle(self, path: Path, start: _Url) -> bool:
        """Report an action that redirects a request until the request meets it again. Returns whether it does."""
        found: list[tuple[_Url, Path]] = []
        url, known = start, {start.host}
        while len(found) <= _MOST_HOPS:
            at = self._action_for(url)
            if at is None or (not found and at[0] != path):
                return False
            follower = _follow(at[1]["redirect"], url) if at[1].keys() == {"redirect"} else None
            if follower is None or not self._is_served(follower, known):
                return False
            found.append((url, at[0]))
            known.add(follower.host)
            before = [there for there, _ in found]
            if follower in before:
                return self._report(path, start, found[before.index(follower) :])
            url = follower
        places = [place for _, place in found]  # the URL is another one each time, such as a path that grows
        *earlier, last = places
        return last in earlier and self._report(path, start, found[-2 - earlier[::-1].index(last) : -1])

    def _report(self, path: Path, start: _Url, circle: Sequence[tuple[_Url, Path]]) -> bool:
        places = frozenset(place for _, place in circle)
        if path not in places:
            return False
        if places not in self.reported:
            self.reported.add(places)
            way = ", ".join(dict.fromkeys(render_path(place[3:]) for _, place in circle))
            text = f"redirects {hide_query(str(start))} without end ({way}); change protocol, port, host or path, or add a rule before it"
            self.around.warn((*path, "redirect"), text)
        return True

    def _action_for(self, url: _Url) -> tuple[Path, Entry] | None:
        """The action that a request meets; None where the spec doesn't show it."""
        for item in self.listeners:
            if (item.entry["protocol"], item.entry["port"]) != (url.protocol, url.port) or item.keeps_others:
                continue
            for path, conditions in item.rules:
                verdicts = [_meets(condition, url) for condition in conditions]
                if False in verdicts:
                    continue
                if None in verdicts:
                    return None
                return self.around.mappings(*path, "action")[0]
            return self.around.mappings(*item.path, "default_action")[0]
        return None

    def _is_served(self, url: _Url, known: set[str]) -> bool:
        """Whether the URL's host is this load balancer's: an earlier request had it (`known`), or a rule is for it."""
        return url.host in known or any(
            condition.field == "host_header" and _meets(condition, url)
            for item in self.listeners
            for _, conditions in item.rules
            for condition in conditions
        )


def _requests(listener: Entry, conditions: Sequence[Condition]) -> Iterator[_Url]:
    """Examples of requests that may meet a rule, or the default action."""
    given = {item.field: [value.replace("?", "x") for value in item.values] for item in conditions}
    hosts = [value.lower().replace("*", fill) for fill in ("www", "any") for value in given.get("host_header", ())]
    paths = [value.replace("*", "") for value in given.get("path_pattern", ())]
    for host, path in itertools.product(dict.fromkeys(hosts or [_ANY_HOST]), paths or ["/"]):
        if path.startswith("/"):
            yield _Url(listener["protocol"], host, listener["port"], path)


def _follow(redirect: Entry, url: _Url) -> _Url | None:
    """The URL to which a client is redirected; None where its port isn't a number."""
    parts = {
        "protocol": url.protocol,
        "host": url.host,
        "port": str(url.port),
        "path": url.path[1:],
        "query": url.query,
    }
    found = {}
    for key in parts:
        text = str(redirect.get(key, f"/#{{{key}}}" if key == "path" else f"#{{{key}}}"))
        for name, value in parts.items():
            text = text.replace(f"#{{{name}}}", value)
        found[key] = text
    if not found["port"].isdecimal():
        return None
    return _Url(found["protocol"], found["host"].lower(), int(found["port"]), found["path"], found["query"])


def _meets(condition: Condition, url: _Url) -> bool | None:
    """Whether a plain GET request meets a condition; None where that depends on more."""
    if is_always_met(condition):
        return True
    match condition.field:
        case "host_header" | "path_pattern" if condition.values:
            is_host = condition.field == "host_header"
            return _fit(condition.values, url.host if is_host else url.path, fold=is_host)
        case "http_request_method":
            return "GET" in condition.values
        case "query_string":
            verdicts = [
                _fit((value,), text, fold=True, escapes=True)
                and (not key or _fit((key,), name, fold=True, escapes=True))
                for key, value in condition.pairs
                for name, text in parse_qsl(url.query, keep_blank_values=True)
            ]
            return True if True in verdicts else None if None in verdicts else False
    return None


def _fit(patterns: Sequence[str], text: str, *, fold: bool = False, escapes: bool = False) -> bool | None:
    found = [parse(pattern, fold=fold, escapes=escapes) for pattern in patterns]
    known = tuple(tokens for tokens in found if tokens is not None)
    return fits(known, text.lower() if fold else text) if len(known) == len(found) else None
