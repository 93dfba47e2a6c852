"""Rules of a listener, as requests meet them: priorities, conditions, redirects, fixed responses."""

from __future__ import annotations

from contextlib import closing
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.sandbox.traffic.front_lab import TIMEOUT, Lab, fixed, forward, group, listener, rule, when

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("front"), "a")
    yield made
    made.close()


def meets(lab: Lab, conditions: Any, path: str = "/", method: str = "GET", **headers: str) -> bool:
    """Whether a request meets a rule's conditions."""
    given = conditions if isinstance(conditions, list) else [conditions]
    lab.show([listener(80, rule(fixed("yes"), *given, priority=1), rule(fixed("no")))])
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    answer = httpx.request(method, lab.url() + path, headers=named)
    assert answer.text in ("yes", "no")
    return answer.text == "yes"


class TestOrder:
    def test_the_first_rule_that_a_request_meets_answers(self, lab: Lab) -> None:
        rules = [
            rule(fixed("ten"), when("path-pattern", "/api/*"), priority=10),
            rule(forward("web"), when("path-pattern", "/api/v2/*", "/web"), priority=20),
            rule(fixed("rest", 404)),
        ]
        lab.show([listener(80, *rules)], [group("web", "i-a")])
        assert lab.get("/api/v2/x").text == "ten"
        assert lab.get("/web").json()["target"] == "a"
        assert (lab.get("/").status_code, lab.get("/").text) == (404, "rest")

    def test_the_last_action_counts(self, lab: Lab) -> None:
        asks = {"Type": "jwt-validation", "Order": 1, "JwtValidationConfig": {"Issuer": "x"}}
        both = rule(fixed("in"))
        lab.show([listener(80, type(both)("r", None, (), ({**fixed("in"), "Order": 2}, asks)))])
        assert lab.get().status_code == 401  # what the other asks for comes first


class TestConditions:
    @pytest.mark.parametrize(
        ("pattern", "path", "expected"),
        [
            ("/img/*", "/img/a/b.png", True),
            ("/img/*", "/img", False),
            ("/img/*", "/IMG/a", False),
            ("/img/*", "/img/?x=/no", True),
            ("/a?c", "/abc", True),
            ("/a?c", "/ac", False),
            ("/a?c", "/a?c", False),  # there the question mark begins the query
            ("*.png", "/x/y.png?z", True),
            ("/a.b+c$", "/a.b+c$", True),
            ("/a.b", "/axb", False),
            ("/q", "/p?/q", False),
        ],
    )
    def test_paths(self, lab: Lab, pattern: str, path: str, expected: bool) -> None:
        assert meets(lab, when("path-pattern", pattern), path) is expected
        assert meets(lab, {"Field": "path-pattern", "Values": [pattern]}, path) is expected

    @pytest.mark.parametrize(
        ("pattern", "host", "expected"),
        [
            ("*.example.com", "Shop.Example.com", True),
            ("*.example.com", "example.com", False),
            ("SHOP.example.com", "shop.example.com:8080", True),
            ("shop.example.com", "shopxexample.com", False),
            ("shop?.example.com", "shop1.example.com", True),
            ("api-*.*", "api-1.Example.com:8080", True),
            ("api-*.*", "api-1", False),
            ("api-*.co?", "api-1.example.com", True),
        ],
    )
    def test_hosts(self, lab: Lab, pattern: str, host: str, expected: bool) -> None:
        assert meets(lab, when("host-header", "other", pattern), Host=host) is expected

    def test_methods(self, lab: Lab) -> None:
        condition = when("http-request-method", "PUT", "DELETE")
        assert meets(lab, condition, method="DELETE")
        assert not meets(lab, condition, method="GET")

    @pytest.mark.parametrize("method", ["PURGE", "FOO-BAR_"])
    def test_methods_that_no_standard_knows(self, lab: Lab, method: str) -> None:
        special = rule(fixed("special"), when("http-request-method", method), priority=1)
        lab.show([listener(80, special, rule(fixed("other")))])
        with closing(HTTPConnection("127.0.0.1", httpx.URL(lab.url()).port, timeout=TIMEOUT)) as client:
            for asked, expected in ((method, b"special"), (method.lower(), b"other")):
                client.request(asked, "/")
                assert client.getresponse().read() == expected

    @pytest.mark.parametrize(
        ("pair", "query", "expected"),
        [
            ({"Key": "version", "Value": "v1"}, "?a=b&Version=V1&c", True),
            ({"Key": "version", "Value": "v1"}, "?version=v12", False),
            ({"Key": "version", "Value": "v1"}, "?myversion=v1", False),
            ({"Value": "*beta*"}, "?x=y&z=my-beta-2", True),
            ({"Value": "beta"}, "", False),
            ({"Key": "q", "Value": "\\*"}, "?q=*", True),
            ({"Key": "q", "Value": "\\*"}, "?q=x", False),
        ],
    )
    def test_query_strings(self, lab: Lab, pair: Mapping[str, str], query: str, expected: bool) -> None:
        assert meets(lab, when("query-string", {"Key": "no", "Value": "no"}, pair), f"/p{query}") is expected

    def test_headers(self, lab: Lab) -> None:
        condition = when("http-header", "*Chrome*", "curl/?", HttpHeaderName="User-Agent")
        assert meets(lab, condition, user_agent="Mozilla chrome/1")
        assert meets(lab, condition, user_agent="curl/8")
        assert not meets(lab, condition, user_agent="curl/10")
        assert not meets(lab, when("http-header", "*", HttpHeaderName="X-Absent"))

    @pytest.mark.parametrize(("block", "expected"), [("127.0.0.0/8", True), ("0.0.0.0/0", True), ("10.0.0.0/8", False)])
    def test_addresses(self, lab: Lab, block: str, expected: bool) -> None:
        assert meets(lab, when("source-ip", "192.0.2.0/24", block)) is expected

    def test_all_conditions_hold_at_once(self, lab: Lab) -> None:
        both = [
            when("path-pattern", "/x"),
            when("query-string", {"Key": "a", "Value": "1"}),
            when("query-string", {"Key": "b", "Value": "2"}),
        ]
        assert meets(lab, both, "/x?b=2&a=1")
        assert not meets(lab, both, "/x?a=1")
        assert not meets(lab, both, "/y?a=1&b=2")

    @pytest.mark.parametrize(
        ("regex", "path", "expected"),
        [
            ("/v[0-9]+/.*", "/v12/x", True),
            ("^/v[0-9]+$", "/v12", True),
            ("^/v[0-9]+$", "/v12?a=/b", True),  # the query doesn't count, also where the expression ends in $
            ("^/v[0-9]+$", "/v12/x", False),
            ("^/V1$", "/v1", False),
            ("^/a$|^/b$", "/b?x", True),
        ],
    )
    def test_regular_expressions_of_paths(self, lab: Lab, regex: str, path: str, expected: bool) -> None:
        assert meets(lab, {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": [regex]}}, path) is expected
        assert meets(lab, {"Field": "path-pattern", "RegexValues": [regex]}, path) is expected

    def test_regular_expressions_of_hosts(self, lab: Lab) -> None:
        condition = {"Field": "host-header", "HostHeaderConfig": {"RegexValues": [r"^(www|shop)\.example\.com$"]}}
        assert meets(lab, condition, Host="Shop.example.com")
        assert not meets(lab, condition, Host="blog.example.com")
        assert not meets(lab, condition, Host="shop.example.com:8443")  # the header as it is sent

    def test_regular_expressions_of_headers(self, lab: Lab) -> None:
        config = {"HttpHeaderName": "User-Agent", "RegexValues": [".+Chrome/[0-9]+$", "^curl"]}
        condition = {"Field": "http-header", "HttpHeaderConfig": config}
        assert meets(lab, condition, user_agent="Mozilla Chrome/12")
        assert not meets(lab, condition, user_agent="Mozilla Chrome/12a")

    def test_an_unknown_condition_is_never_met(self, lab: Lab) -> None:
        assert not meets(lab, when("moon-phase", "full"))

    def test_long_patterns_are_no_problem(self, lab: Lab) -> None:
        values = [f"/{'*a?' * 40}{number}" for number in range(5)]
        assert meets(lab, when("path-pattern", *values), "/" + "xay" * 40 + "3")


def redirect(status: str = "HTTP_301", **config: str) -> dict[str, Any]:
    return {"Type": "redirect", "Order": 1, "RedirectConfig": {"StatusCode": status, **config}}


class TestRedirects:
    def location(self, lab: Lab, path: str, host: str = "shop.example.com:9", **config: str) -> str:
        lab.show([listener(80, rule(redirect(**config))), listener(443, rule(fixed("x")))])
        return lab.get(path, headers={"Host": host}).headers["location"]

    def test_to_https(self, lab: Lab) -> None:
        found = self.location(
            lab, "/a/b?c=d", Protocol="HTTPS", Port="443", Host="#{host}", Path="/#{path}", Query="#{query}"
        )
        assert found == "https://shop.example.com:443/a/b?c=d"

    def test_what_is_not_given_stays(self, lab: Lab) -> None:
        assert self.location(lab, "/a?b", Host="new.example.com") == "http://new.example.com:80/a?b"

    def test_parts_anywhere(self, lab: Lab) -> None:
        found = self.location(
            lab,
            "/a%20b?c=%7D",
            Host="www.#{host}",
            Port="8#{port}",
            Path="/#{protocol}/#{host}/#{path}/z",
            Query="#{query}&old=#{port}",
        )
        assert found == "http://www.shop.example.com:880/HTTP/shop.example.com/a%20b/z?c=%7D&old=80"

    def test_without_a_query_there_is_no_question_mark(self, lab: Lab) -> None:
        assert self.location(lab, "/") == "http://shop.example.com:80/"
        assert self.location(lab, "/?a", Query="") == "http://shop.example.com:80/"

    def test_by_the_local_url_it_leads_to_the_local_port(self, lab: Lab) -> None:
        found = self.location(lab, "/x", host="localhost:1234", Protocol="HTTPS", Port="443")
        local = httpx.URL(lab.url(443)).port
        assert found == f"https://localhost:{local}/x"
        assert self.location(lab, "/x", host="localhost", Port="9999") == "http://localhost:9999/x"

    def test_the_answer_is_the_load_balancers(self, lab: Lab) -> None:
        lab.show([listener(80, rule(redirect("HTTP_302", Host="x.example.com")))])
        answer = lab.get()
        assert (answer.status_code, answer.headers["server"]) == (302, "awselb/2.0")
        assert answer.headers["content-type"] == "text/html"
        assert "<h1>302 Found</h1>" in answer.text
        lab.show([listener(80, rule(redirect("HTTP_301", Host="x.example.com")))])
        assert lab.get().headers["content-length"] == "134"  # as an ALB's page


class TestFixedResponses:
    def test_status_type_and_body(self, lab: Lab) -> None:
        lab.show([listener(80, rule(fixed('{"no": "ü%s"}', 503, "application/json")))])
        answer = lab.get()
        assert (answer.status_code, answer.text) == (503, '{"no": "ü%s"}')
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["server"] == "awselb/2.0"

    def test_text_says_its_encoding(self, lab: Lab) -> None:
        lab.show([listener(80, rule(fixed("<p>", 404, "text/html")))])
        assert lab.get().headers["content-type"] == "text/html; charset=utf-8"

    def test_no_body(self, lab: Lab) -> None:
        lab.show([listener(80, rule({"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "204"}}))])
        answer = lab.get()
        assert (answer.status_code, answer.content) == (204, b"")

    def test_the_longest_body(self, lab: Lab) -> None:
        lab.show([listener(80, rule(fixed("𝄞" * 1024)))])
        assert lab.get().text == "𝄞" * 1024
