"""Which rules take all requests of another one: held against the sandbox's own matcher, and all short texts."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alb_reconcile.kinds.rule.conditions import conditions_to_aws
from alb_reconcile.model.requests.conditions import Condition
from alb_reconcile.model.requests.patterns import is_included, parse
from alb_reconcile.model.requests.shadows import find_shadows
from alb_reconcile.sandbox.traffic.conditions import match_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Request = dict[str, str]
"""A request as Envoy sees it: its pseudo headers, and the others."""


def matcher(rule: Sequence[Condition]) -> Callable[[Request], bool]:
    """Whether the sandbox's load balancer takes a request by a rule. Envoy's regular expressions as Python has them: flags
    are at the beginning."""
    found = match_headers(conditions_to_aws(rule))
    if found is None:
        return lambda request: False
    texts = [(item["name"].lower(), item["string_match"]["safe_regex"]["regex"]) for item in found]
    patterns = [(name, re.compile(text.replace("(?s)(?i)", "(?si)"))) for name, text in texts]
    return lambda request: all(name in request and pattern.fullmatch(request[name]) for name, pattern in patterns)


def some(values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(values, min_size=1, max_size=2, unique=True).map(tuple)


def condition(field: str, values: st.SearchStrategy[str], name: str = "") -> st.SearchStrategy[Condition]:
    return st.builds(lambda given: Condition(field, given, name=name), some(values))


HOSTS = ["a.com", "b.a.com", "A.com", "bb.com", "a.b.com"]
PATHS = ["/", "/a", "/A", "/ab", "/a/b", "/b", "/ba"]
METHODS = ["GET", "POST", "HEAD"]
VALUES = ["", "a", "AB", "a*b"]
QUERIES = ["", "?a=b", "?b=a", "?a=a&b=b", "?a=*", "?ab=ab"]
pairs = st.tuples(st.sampled_from(["", "a", "?", "*", "A"]), st.sampled_from(["a", "B", "*", "?", "a*", "\\*"]))
conditions = {
    "host": condition("host_header", st.sampled_from(["a.com", "*.com", "?.com", "b*.com", "*.a.com", "A.COM", "*a.com"])),
    "path": condition("path_pattern", st.sampled_from(["/a", "/A", "/a*", "/A*", "/*", "/?b", "*a", "a"])),
    "method": condition("http_request_method", st.sampled_from(METHODS)),
    "header": st.sampled_from(["x-a", "x-a", "x-b"]).flatmap(lambda name: condition("http_header", st.sampled_from(["a", "*", "?", "A*", "*b", "a?b"]), name)),
    "source": condition("source_ip", st.sampled_from(["0.0.0.0/0", "::/0", "127.0.0.0/8", "10.0.0.0/8", "127.0.0.1/32"])),
    "query": st.builds(lambda given: Condition("query_string", pairs=given), st.lists(pairs, min_size=1, max_size=2).map(tuple)),
}  # fmt: skip
Rule = tuple[Condition, ...]


@st.composite
def listeners(draw: st.DrawFn) -> tuple[Rule, list[Rule]]:
    """A rule, and those before it, which look at nothing else, so that they often take all of it."""
    fields = st.lists(st.sampled_from(sorted(conditions)), min_size=1, max_size=3, unique=True)
    own = draw(fields)
    some = st.lists(st.sampled_from(own), min_size=1, max_size=2, unique=True)
    earlier = [tuple(draw(conditions[name]) for name in draw(some)) for _ in range(draw(st.integers(1, 3)))]
    return tuple(draw(conditions[name]) for name in own), earlier


REQUESTS = [
    {":authority": host, ":path": path + query, ":method": method} | ({"x-a": value} if value is not None else {})
    for host, path, method, value, query in itertools.product(HOSTS, PATHS, METHODS, [None, *VALUES], QUERIES)
]


@pytest.mark.slow
@settings(max_examples=150)
@given(listeners())
def test_a_rule_that_is_called_shadowed_never_wins(listener: tuple[Rule, list[Rule]]) -> None:
    """Whatever request comes."""
    own, earlier = listener
    found = find_shadows(own, list(enumerate(earlier)))
    if found:
        takes, others = matcher(own), [matcher(earlier[index]) for index in found]
        won = [request for request in REQUESTS if takes(request) and not any(other(request) for other in others)]
        assert won == []


def like(pattern: str, text: str) -> bool:
    """Whether a text fits a pattern, by recursion on both."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return like(pattern[1:], text) or (bool(text) and like(pattern, text[1:]))
    return bool(text) and pattern[0] in ("?", text[0]) and like(pattern[1:], text[1:])


TEXTS = ["".join(text) for size in range(7) for text in itertools.product("abx", repeat=size)]
patterns = st.text("ab*?", max_size=4)


@pytest.mark.slow
@settings(max_examples=200)
@given(patterns, st.lists(patterns, min_size=1, max_size=2))
def test_inclusion_is_exact(pattern: str, others: list[str]) -> None:
    """Held against all texts of up to six characters, which are enough for patterns of four."""
    expected = all(any(like(other, text) for other in others) for text in TEXTS if like(pattern, text))
    tokens, *known = (parse(text) for text in (pattern, *others))
    assert tokens is not None
    assert is_included(tokens, tuple(item for item in known if item is not None)) is expected


def test_what_takes_too_long_is_not_decided() -> None:
    """A text may be at any of many places of the second pattern at once."""
    short, long = parse("*a" + "?" * 4), parse("*a" + "?" * 4 + "*")
    assert short is not None
    assert long is not None
    assert is_included(short, (long,))
    one, other = short + ("?",) * 14, long[:-1] + ("?",) * 14 + ("*",)
    assert not is_included(one, (other,))


def test_what_every_request_meets_takes_nothing_away() -> None:
    """An address of either version is one; of a query string that isn't documented, nothing is known."""
    host, anywhere = Condition("host_header", ("a.com",)), Condition("source_ip", ("0.0.0.0/0", "::/0"))
    assert find_shadows([host], [("a", [host, anywhere])]) == ["a"]
    assert find_shadows([host], [("a", [host, anywhere._replace(values=("0.0.0.0/0",))])]) == []
    queries = [Condition("query_string", pairs=(("a", text),)) for text in ("\\b", "\\c")]
    assert find_shadows([queries[0]], [("a", [queries[1]])]) == []


def test_unknown_conditions_are_compared_as_they_are() -> None:
    """Those that no spec can say, as AWS tells them."""
    other = Condition("new-field", ('{"X": 1}',))
    assert find_shadows([other], [("a", [other])]) == ["a"]
    assert find_shadows([other], [("a", [Condition("new-field", ('{"X": 2}',))])]) == []
