"""The request that proves a rule: held against a matcher of its own, and against all short requests there are."""

from __future__ import annotations

import itertools
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alb_reconcile.kinds._conditions import conditions_from_aws
from alb_reconcile.verification.expressions import describes, samples
from alb_reconcile.verification.matching import Condition, Request, read_conditions, takes
from alb_reconcile.verification.pattern_search import HOST, PATH, search
from alb_reconcile.verification.request_search import Preferences, find_request

WISHES = Preferences("lb.aws")


def like(pattern: str, text: str) -> bool:
    """Whether a text fits a pattern, by recursion on both."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return like(pattern[1:], text) or (bool(text) and like(pattern, text[1:]))
    return bool(text) and pattern[0] in ("?", text[0]) and like(pattern[1:], text[1:])


def caught(rule: tuple[Condition, ...], host: str, path: str) -> bool:
    """Whether a rule of hosts and paths takes a request."""
    return all(
        any(
            like(value.lower(), host.lower()) if item.field == "host-header" else like(value, path)
            for value in item.values
        )
        for item in rule
    )


hosts = st.builds(Condition, st.just("host-header"), st.lists(st.text("aB.*?", min_size=1, max_size=4), min_size=1, max_size=2).map(tuple))  # fmt: skip
paths = st.builds(Condition, st.just("path-pattern"), st.lists(st.text("/aB*?", min_size=1, max_size=4), min_size=1, max_size=2).map(tuple))  # fmt: skip
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

    @settings(max_examples=120)
    @given(rules, st.lists(rules, max_size=4))
    def test_it_is_taken_by_its_rule_and_by_none_before(
        self, own: tuple[Condition, ...], earlier: list[tuple[Condition, ...]]
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

    @given(st.lists(rules, max_size=4))
    def test_the_default_action_gets_what_no_rule_takes(self, earlier: list[tuple[Condition, ...]]) -> None:
        found = find_request((), earlier, WISHES)
        taken = [any(caught(rule, host, "/xyz9") for rule in earlier) for host in ("lb.aws", "q.rs")]
        if found.request:
            assert not any(caught(rule, found.request.host, found.request.path) for rule in earlier)
        else:
            assert found.unreachable
            assert all(taken)

    def test_wishes_are_used_where_a_rule_leaves_them_open(self) -> None:
        path = (Condition("path-pattern", ("/api/*",)),)
        wishes = Preferences("shop.example.com", "/api/items")
        assert find_request(path, [], wishes).request == Request("shop.example.com", "/api/items")
        host = (Condition("host-header", ("*.example.org",)),)
        assert find_request(host, [path], Preferences("lb.aws", "/api/x")).request == Request(
            "verify.example.org", "/verify"
        )

    def test_wildcards_are_filled(self) -> None:
        rule = (Condition("host-header", ("shop-?.example.com",)), Condition("path-pattern", ("/v?/*.png",)))
        assert find_request(rule, [], WISHES).request == Request("shop-x.example.com", "/vx/.png")

    def test_a_gap_that_only_a_search_finds(self) -> None:
        own = (Condition("path-pattern", ("/p?",)),)
        rivals = [(Condition("path-pattern", (f"/p{char}",)),) for char in string.ascii_letters]
        found = find_request(own, rivals, WISHES)
        assert found.request is not None
        assert re.fullmatch(r"/p[^A-Za-z]", found.request.path)

    def test_two_rules_that_shadow_a_third_together(self) -> None:
        own = (Condition("path-pattern", ("/a/*",)),)
        rivals = [
            (Condition("path-pattern", ("/a/",)),),
            (Condition("path-pattern", ("/?/?*",)),),
        ]
        assert find_request(own, rivals, WISHES).unreachable
        assert find_request(own, rivals[1:], WISHES).request == Request("lb.aws", "/a/")

    def test_hosts_have_no_case_and_paths_have(self) -> None:
        own = (Condition("host-header", ("SHOP.example.com",)), Condition("path-pattern", ("/A",)))
        rival = (Condition("host-header", ("shop.EXAMPLE.com",)), Condition("path-pattern", ("/a",)))
        assert find_request(own, [rival], WISHES).request == Request("SHOP.example.com", "/A")
        assert find_request((own[0],), [(rival[0],)], WISHES).unreachable

    def test_many_rules_take_no_time(self) -> None:
        """As many as a listener can have, and the search among them ends unfinished rather than never."""
        rivals = [(Condition("path-pattern", (f"*{number}*x*",)),) for number in range(100)]
        assert find_request((), rivals, WISHES).request == Request("lb.aws", "/")
        full = [*rivals, (Condition("path-pattern", ("/*",)),)]
        found = find_request((Condition("path-pattern", ("*1*",)),), full, WISHES)
        assert found.request is None


class TestOtherConditions:
    """Methods, headers, queries and source addresses, which only somebody else's rules have."""

    def test_a_header_a_query_and_a_method_are_made(self) -> None:
        rule = (
            Condition("http-header", ("*canary*",), name="X-Stage"),
            Condition("query-string", pairs=(("version", "v?"),)),
            Condition("http-request-method", ("HEAD", "GET")),
        )
        found = find_request(rule, [], WISHES).request
        assert found == Request("lb.aws", "/", "GET", (("X-Stage", "canary"),), (("version", "vx"),))
        assert takes(rule, found)

    def test_an_earlier_rule_for_get_leaves_other_methods(self) -> None:
        found = find_request((), [(Condition("http-request-method", ("GET",)),)], WISHES)
        assert found.request == Request("lb.aws", "/", "OPTIONS")

    def test_methods_that_change_something_must_be_allowed(self) -> None:
        rule = (Condition("http-request-method", ("DELETE", "POST")),)
        assert "--any-method" in find_request(rule, [], WISHES).reason
        found = find_request(rule, [], Preferences("lb.aws", any_method=True)).request
        assert found == Request("lb.aws", "/", "DELETE")

    def test_source_addresses_cannot_be_chosen(self) -> None:
        source = (Condition("source-ip", ("10.0.0.0/8",)),)
        found = find_request(source, [], WISHES)
        assert (found.request, found.unreachable) == (None, False)
        assert "source address" in found.reason
        assert "--source-address" in found.reason
        # a rule behind it: only where the two can be told apart otherwise
        behind = find_request((Condition("path-pattern", ("/a",)),), [source], WISHES)
        assert (behind.request, behind.unreachable) == (None, False)
        apart = (*source, Condition("host-header", ("only.example.com",)))
        assert find_request((Condition("path-pattern", ("/a",)),), [apart], WISHES).request is not None

    def test_source_addresses_that_are_known(self) -> None:
        source = (Condition("source-ip", ("10.0.0.0/8",)),)
        ours = Preferences("lb.aws", source="10.1.2.3")
        assert find_request(source, [], ours).request == Request("lb.aws", source="10.1.2.3")
        elsewhere = Preferences("lb.aws", source="192.0.2.1")
        assert find_request(source, [], elsewhere).reason == (
            "takes requests from 10.0.0.0/8, and these come from 192.0.2.1"
        )
        assert find_request((), [source], elsewhere).request is not None
        assert find_request((), [source], ours).request is None
        everybody = (Condition("source-ip", ("0.0.0.0/0", "::/0")),)
        assert find_request(everybody, [], WISHES).request is not None

    @pytest.mark.parametrize(
        ("entry", "expected"),
        [
            (
                {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-A", "Values": ["b"]}},
                Condition("http-header", ("b",), "x-a"),
            ),
            (
                {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "k", "Value": "v"}, {"Value": "w"}]}},
                Condition("query-string", pairs=((None, "w"), ("k", "v"))),
            ),
            ({"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}, Condition("source-ip", ("10.0.0.0/8",))),
            ({"Field": "moon-phase", "Values": ["full"]}, Condition("unreadable moon-phase")),
            (
                {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/a"]}},
                Condition("path-pattern", expressions=("^/a",)),
            ),
        ],
        ids=lambda item: item["Field"] if isinstance(item, dict) else "",
    )  # fmt: skip
    def test_they_are_read_from_a_rule_as_discovered(self, entry: dict[str, object], expected: Condition) -> None:
        assert read_conditions(conditions_from_aws([entry])) == (expected,)

    def test_escaped_wildcards_of_queries(self) -> None:
        rule = (Condition("query-string", pairs=((None, r"a\*b"),)),)
        assert takes(rule, Request("h", query=(("any", "a*b"),)))
        assert not takes(rule, Request("h", query=(("any", "axb"),)))


class TestRegularExpressions:
    """AWS doesn't document whether they have to describe a text as a whole: what is found holds either way."""

    def test_a_host_a_path_and_a_header_are_made(self) -> None:
        rule = (
            Condition("host-header", expressions=(r"^(www|shop)\.example\.com$",)),
            Condition("path-pattern", expressions=("^/v[0-9]+/.*$",)),
            Condition("http-header", expressions=(".+Chrome/[0-9]+$",), name="user-agent"),
        )
        found = find_request(rule, [], WISHES).request
        assert found == Request("www.example.com", "/v0/verify", headers=(("user-agent", "verifyChrome/0"),))

    def test_values_and_expressions_are_alternatives(self) -> None:
        rule = (Condition("path-pattern", ("/a",), expressions=("^/b$",)),)
        taken = (Condition("path-pattern", ("/a",)),)
        assert find_request(rule, [taken], WISHES).request == Request("lb.aws", "/b")
        assert find_request(rule, [], WISHES).request == Request("lb.aws", "/a")

    def test_rules_before_it(self) -> None:
        own = (Condition("path-pattern", ("/api/*",)),)
        assert find_request(own, [(Condition("path-pattern", expressions=("^/api/$",)),)], WISHES).request == Request(
            "lb.aws", "/api/verify"
        )
        # it may describe a part, and then it takes everything
        found = find_request(own, [(Condition("path-pattern", expressions=("/api",)),)], WISHES)
        assert (found.request, found.unreachable) == (None, False)

    def test_what_a_pattern_takes_is_proven_to_be_unreachable(self) -> None:
        own = (Condition("path-pattern", expressions=("^/api/v[0-9]$",)),)
        assert find_request(own, [(Condition("path-pattern", ("/*",)),)], WISHES).unreachable
        assert find_request(own, [(Condition("path-pattern", ("/b*",)),)], WISHES).request == Request(
            "lb.aws", "/api/v0"
        )

    def test_one_that_no_path_meets(self) -> None:
        found = find_request((Condition("path-pattern", expressions=("^api/$",)),), [], WISHES)
        assert (found.request, found.unreachable) == (None, False)
        assert find_request((Condition("http-header", expressions=("(",), name="x"),), [], WISHES).request is None

    @given(st.from_regex(r"(\^)?(/[a-c]{1,2}|/\(a\|b\)|/\[a-z\]\{2,3\}|/\\d\+|\.\*|/x\?y){1,4}(\$)?", fullmatch=True))
    def test_samples_meet_their_expression(self, expression: str) -> None:
        found = samples(expression)
        assert found
        assert all(describes(expression, text) for text in found)

    @given(st.text(r"ab/.*+?()[]{}|^$\\-:<>P!=0123", max_size=12))
    def test_nothing_makes_them_fail(self, expression: str) -> None:
        assert all(describes(expression, text) for text in samples(expression))


class TestSearch:
    """The exact search."""

    def test_all_combinations_with_their_shortest_text(self) -> None:
        found = search(["/a*", "*b", "/?"], PATH)
        assert found.complete
        assert {tuple(sorted(key)): text for key, text in found.witnesses.items()} == {
            (): "/",
            (0, 2): "/a",
            (1, 2): "/b",
            (2,): "/x",
            (0,): "/ax",
            (0, 1): "/ab",
            (1,): "/xb",
        }

    def test_only_hosts_that_dns_could_have(self) -> None:
        found = search(["*..*", "-*", "*-", "a.b"], HOST)
        assert found.complete
        assert {tuple(sorted(key)) for key in found.witnesses} == {(), (3,)}
