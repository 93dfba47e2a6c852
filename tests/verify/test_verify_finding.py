"""The request that proves a rule: held against a matcher of its own, and against all short requests there are."""

from __future__ import annotations

import itertools
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alb_reconcile.kinds.rule.conditions import conditions_from_aws
from alb_reconcile.verification.expressions import describes, samples
from alb_reconcile.verification.matching import Matcher, Request, read_conditions, takes
from alb_reconcile.verification.request_search import Preferences, find_request

WISHES = Preferences("lb.aws")


def like(pattern: str, text: str) -> bool:
    """Whether a text fits a pattern, by recursion on both."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return like(pattern[1:], text) or (bool(text) and like(pattern, text[1:]))
    return bool(text) and pattern[0] in ("?", text[0]) and like(pattern[1:], text[1:])


def caught(rule: tuple[Matcher, ...], host: str, path: str) -> bool:
    """Whether a rule of hosts and paths takes a request."""
    return all(
        any(
            like(value.lower(), host.lower()) if item.field == "host-header" else like(value, path)
            for value in item.values
        )
        for item in rule
    )


hosts = st.builds(Matcher, st.just("host-header"), st.lists(st.text("aB.*?", min_size=1, max_size=4), min_size=1, max_size=2).map(tuple))  # fmt: skip
paths = st.builds(Matcher, st.just("path-pattern"), st.lists(st.text("/aB*?", min_size=1, max_size=4), min_size=1, max_size=2).map(tuple))  # fmt: skip
rules = st.lists(st.one_of(hosts, paths), min_size=1, max_size=3).map(tuple)
SHORT_HOSTS = [
    text
    for size in range(1, 5)
    for text in map("".join, itertools.product("abx.", repeat=size))
    if re.fullmatch(r"[a-z]+(\.[a-z]+)*", text)
]
SHORT_PATHS = ["/" + "".join(rest) for size in range(4) for rest in itertools.product("/aBx", repeat=size)]


class TestRequests:
    """What is found is right, and what isn't found isn't there."""

    @settings(max_examples=60)
    @given(rules, st.lists(rules, max_size=4))
    def test_it_is_taken_by_its_rule_and_by_none_before(
        self, own: tuple[Matcher, ...], earlier: list[tuple[Matcher, ...]]
    ) -> None:
        found = find_request(own, earlier, WISHES)
        if found.request:
            host, path = found.request.host, found.request.path
            assert caught(own, host, path)
            assert not any(caught(rule, host, path) for rule in earlier)
            assert path.startswith("/")
            assert re.fullmatch(r"[a-z0-9]+([.-]+[a-z0-9]+)*", host.lower())
        else:
            assert found.unreachable, found.reason
            mine = [(host, path) for host in SHORT_HOSTS for path in SHORT_PATHS if caught(own, host, path)]
            assert all(any(caught(rule, host, path) for rule in earlier) for host, path in mine[:300])

    def test_a_gap_that_only_a_search_finds(self) -> None:
        rivals = [path(f"/p{char}") for char in string.ascii_letters]
        found = find_request(path("/p?"), rivals, WISHES)
        assert found.request is not None
        assert re.fullmatch(r"/p[^A-Za-z]", found.request.path)
        rivals += [path(f"/p{char}") for char in f"{string.digits}/"]
        assert find_request(path("/p?"), rivals, WISHES).request == Request("x", "/p_")

    def test_many_rules_take_no_time(self) -> None:
        """As many as a listener can have, and the search among them ends unfinished rather than never."""
        rivals = [path(f"*{number}*x*") for number in range(100)]
        assert find_request((), rivals, WISHES).request == Request("lb.aws", "/")
        found = find_request(path("*1*"), [*rivals, path("/*")], WISHES)
        assert (found.request, found.unreachable) == (None, False)


def path(*values: str, expressions: tuple[str, ...] = ()) -> tuple[Matcher, ...]:
    return (Matcher("path-pattern", values, expressions=expressions),)


def host(*values: str) -> tuple[Matcher, ...]:
    return (Matcher("host-header", values),)


def source(*values: str) -> tuple[Matcher, ...]:
    return (Matcher("source-ip", values),)


def method(*values: str) -> tuple[Matcher, ...]:
    return (Matcher("http-request-method", values),)


MADE = (
    Matcher("http-header", ("*canary*",), name="X-Stage"),
    Matcher("query-string", pairs=(("version", "v?"),)),
    *method("HEAD", "GET"),
)
EXPRESSIONS = (
    Matcher("host-header", expressions=(r"^(www|shop)\.example\.com$",)),
    Matcher("path-pattern", expressions=("^/v[0-9]+/.*$",)),
    Matcher("http-header", expressions=(".+Chrome/[0-9]+$",), name="user-agent"),
)
OURS, ELSEWHERE = Preferences("lb.aws", source="10.1.2.3"), Preferences("lb.aws", source="192.0.2.1")
TEN, ALL = source("10.0.0.0/8"), source("0.0.0.0/0", "::/0")
CANARY = Request("lb.aws", "/", "GET", (("X-Stage", "canary"),), (("version", "vx"),))
CHROME = Request("www.example.com", "/v0/verify", headers=(("user-agent", "verifyChrome/0"),))
SHADOWS = [path("/a/"), path("/?/?*")]


@pytest.mark.parametrize(
    ("own", "earlier", "wishes", "request_"),
    [
        # wishes are used where a rule leaves them open
        (path("/api/*"), [], Preferences("shop.example.com", "/api/items"), Request("shop.example.com", "/api/items")),
        (host("*.example.org"), [path("/api/*")], Preferences("lb.aws", "/api/x"), Request("verify.example.org", "/verify")),
        ((*host("shop-?.example.com"), *path("/v?/*.png")), [], WISHES, Request("shop-x.example.com", "/vx/.png")),
        (path("/a/*"), SHADOWS[1:], WISHES, Request("lb.aws", "/a/")),
        # hosts have no case, and paths have
        ((*host("SHOP.example.com"), *path("/A")), [(*host("shop.EXAMPLE.com"), *path("/a"))], WISHES, Request("SHOP.example.com", "/A")),
        (MADE, [], WISHES, CANARY),
        ((), [method("GET")], WISHES, Request("lb.aws", "/", "OPTIONS")),
        (method("DELETE", "POST"), [], Preferences("lb.aws", any_method=True), Request("lb.aws", "/", "DELETE")),
        (TEN, [], OURS, Request("lb.aws", source="10.1.2.3")),
        ((), [TEN], ELSEWHERE, Request("lb.aws", source="192.0.2.1")),
        (ALL, [], WISHES, Request("lb.aws")),
        # it can be told apart otherwise
        (path("/a"), [(*TEN, *host("only.example.com"))], WISHES, Request("lb.aws", "/a")),
        (EXPRESSIONS, [], WISHES, CHROME),
        (path("/a", expressions=("^/b$",)), [path("/a")], WISHES, Request("lb.aws", "/b")),
        (path("/a", expressions=("^/b$",)), [], WISHES, Request("lb.aws", "/a")),
        (path("/api/*"), [path(expressions=("^/api/$",))], WISHES, Request("lb.aws", "/api/verify")),
        (path(expressions=("^/api/v[0-9]$",)), [path("/b*")], WISHES, Request("lb.aws", "/api/v0")),
    ],
)  # fmt: skip
def test_the_request(
    own: tuple[Matcher, ...], earlier: list[tuple[Matcher, ...]], wishes: Preferences, request_: Request
) -> None:
    assert find_request(own, earlier, wishes).request == request_
    assert takes(own, request_)


@pytest.mark.parametrize(
    ("own", "earlier", "wishes", "unreachable", "reason"),
    [
        (path("/a/*"), SHADOWS, WISHES, True, ""),  # two that shadow a third together
        (host("SHOP.example.com"), [host("shop.EXAMPLE.com")], WISHES, True, ""),
        (host("-*", "*-", ".*", "*.", "*..*", "*.-*", "*-.*"), [], WISHES, True, ""),  # no names, as DNS has them
        (host("*"), [host("?*")], WISHES, True, ""),
        (path(expressions=("^/api/v[0-9]$",)), [path("/*")], WISHES, True, ""),
        (method("DELETE", "POST"), [], WISHES, False, "--any-method"),
        (TEN, [], WISHES, False, "--source-address"),
        (TEN, [], ELSEWHERE, False, "takes requests from 10.0.0.0/8, and these come from 192.0.2.1"),
        ((), [TEN], OURS, False, ""),
        (path("/a"), [TEN], WISHES, False, "an earlier rule may take its requests"),
        # an expression may describe a part, and then it takes everything
        (path("/api/*"), [path(expressions=("/api",))], WISHES, False, "an earlier rule may take"),
        (path(expressions=("^api/$",)), [], WISHES, False, ""),
        (
            (Matcher("http-header", expressions=("(",), name="x"),),
            [],
            WISHES,
            False,
            "for which verify finds no text",
        ),
    ],
)
def test_none(
    own: tuple[Matcher, ...],
    earlier: list[tuple[Matcher, ...]],
    wishes: Preferences,
    unreachable: bool,
    reason: str,
) -> None:
    found = find_request(own, earlier, wishes)
    assert (found.request, found.unreachable) == (None, unreachable)
    assert reason in found.reason


class TestConditions:
    """As they are in AWS's answers."""

    @pytest.mark.parametrize(
        ("entry", "expected"),
        [
            (
                {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-A", "Values": ["b"]}},
                Matcher("http-header", ("b",), "x-a"),
            ),
            (
                {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "k", "Value": "v"}, {"Value": "w"}]}},
                Matcher("query-string", pairs=((None, "w"), ("k", "v"))),
            ),
            ({"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}, Matcher("source-ip", ("10.0.0.0/8",))),
            ({"Field": "moon-phase", "Values": ["full"]}, Matcher("unreadable moon-phase")),
            (
                {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/a"]}},
                Matcher("path-pattern", expressions=("^/a",)),
            ),
        ],
        ids=lambda item: item["Field"] if isinstance(item, dict) else "",
    )  # fmt: skip
    def test_they_are_read_from_a_rule_as_discovered(self, entry: dict[str, object], expected: Matcher) -> None:
        assert read_conditions(conditions_from_aws([entry])) == (expected,)

    def test_escaped_wildcards_of_queries(self) -> None:
        rule = (Matcher("query-string", pairs=((None, r"a\*b"),)),)
        assert takes(rule, Request("h", query=(("any", "a*b"),)))
        assert not takes(rule, Request("h", query=(("any", "axb"),)))

    @given(st.from_regex(r"(\^)?(/[a-c]{1,2}|/\(a\|b\)|/\[a-z\]\{2,3\}|/\\d\+|\.\*|/x\?y){1,4}(\$)?", fullmatch=True))
    def test_samples_meet_their_expression(self, expression: str) -> None:
        found = samples(expression)
        assert found
        assert all(describes(expression, text) for text in found)

    @given(st.text(r"ab/.*+?()[]{}|^$\\-:<>P!=0123", max_size=12))
    def test_nothing_makes_them_fail(self, expression: str) -> None:
        assert all(describes(expression, text) for text in samples(expression))
