"""Rules of a listener, as requests meet them: priorities, conditions, redirects, fixed responses."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.sandbox.traffic.front_lab import Lab, fixed, forward, group, listener, rule, when


def test_the_first_rule_that_a_request_meets_answers(lab: Lab) -> None:
    rules = [
        rule(fixed("ten"), when("path-pattern", "/api/*"), priority=10),
        rule(forward("web"), when("path-pattern", "/api/v2/*", "/web"), priority=20),
        rule(fixed("rest", 404)),
    ]
    lab.show([listener(80, *rules)], [group("web", "i-a")])
    assert lab.get("/api/v2/x").text == "ten"
    assert lab.get("/web").json()["target"] == "a"
    assert (lab.get("/").status_code, lab.get("/").text) == (404, "rest")


def meets(lab: Lab, conditions: Any, path: str = "/", method: str = "GET", **headers: str) -> bool:
    """Whether a request meets a rule's conditions."""
    given = conditions if isinstance(conditions, list) else [conditions]
    lab.show([listener(80, rule(fixed("yes"), *given, priority=1), rule(fixed("no")))])
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    answer = httpx.request(method, lab.url() + path, headers=named)
    assert answer.text in ("yes", "no")
    return answer.text == "yes"


@pytest.mark.parametrize(
    ("key", "pattern", "path", "expected"),
    [
        ("Values", "/img/*", "/img/a/b.png", True),
        ("Values", "/img/*", "/img", False),
        ("Values", "/img/*", "/IMG/a", False),
        ("Values", "/img/*", "/img/?x=/no", True),
        ("Values", "/a?c", "/abc", True),
        ("Values", "/a?c", "/ac", False),
        ("Values", "/a?c", "/a?c", False),  # there the question mark begins the query
        ("Values", "/a.b+c$", "/a.b+c$", True),
        ("Values", "/a.b", "/axb", False),
        ("Values", "/q", "/p?/q", False),
        ("RegexValues", "/v[0-9]+/.*", "/v12/x", True),
        ("RegexValues", "^/v[0-9]+$", "/v12?a=/b", True),  # nor does it count where the expression ends in $
        ("RegexValues", "^/v[0-9]+$", "/v12/x", False),
        ("RegexValues", "^/V1$", "/v1", False),
        ("RegexValues", "^/a$|^/b$", "/b?x", True),
    ],
)
def test_paths(lab: Lab, key: str, pattern: str, path: str, expected: bool) -> None:
    assert meets(lab, {"Field": "path-pattern", "PathPatternConfig": {key: [pattern]}}, path) is expected
    assert meets(lab, {"Field": "path-pattern", key: [pattern]}, path) is expected


HOSTS = {"Field": "host-header", "HostHeaderConfig": {"RegexValues": [r"^(www|shop)\.example\.com$"]}}
AGENTS = when("http-header", "*Chrome*", "curl/?", HttpHeaderName="User-Agent")
AGENT = {"HttpHeaderName": "User-Agent", "RegexValues": [".+Chrome/[0-9]+$", "^curl"]}
CHANGES = when("http-request-method", "PUT", "DELETE")
ALL = [
    when("path-pattern", "/x"),
    when("query-string", {"Key": "a", "Value": "1"}),
    when("query-string", {"Key": "b", "Value": "2"}),
]
LONG = when("path-pattern", *(f"/{'*a?' * 40}{number}" for number in range(5)))


@pytest.mark.parametrize(
    ("conditions", "request_", "expected"),
    [
        (CHANGES, {"method": "DELETE"}, True),
        (CHANGES, {"method": "GET"}, False),
        (AGENTS, {"user_agent": "Mozilla chrome/1"}, True),
        (AGENTS, {"user_agent": "curl/8"}, True),
        (AGENTS, {"user_agent": "curl/10"}, False),
        (when("http-header", "*", HttpHeaderName="X-Absent"), {}, False),
        ({"Field": "http-header", "HttpHeaderConfig": AGENT}, {"user_agent": "Mozilla Chrome/12"}, True),
        ({"Field": "http-header", "HttpHeaderConfig": AGENT}, {"user_agent": "Mozilla Chrome/12a"}, False),
        (when("source-ip", "192.0.2.0/24", "127.0.0.0/8"), {}, True),
        (when("source-ip", "192.0.2.0/24", "0.0.0.0/0"), {}, True),
        (when("source-ip", "192.0.2.0/24", "10.0.0.0/8"), {}, False),
        (HOSTS, {"Host": "Shop.example.com"}, True),
        (HOSTS, {"Host": "blog.example.com"}, False),
        (HOSTS, {"Host": "shop.example.com:8443"}, False),  # the header as it is sent
        (ALL, {"path": "/x?b=2&a=1"}, True),
        (ALL, {"path": "/x?a=1"}, False),
        (ALL, {"path": "/y?a=1&b=2"}, False),
        (LONG, {"path": "/" + "xay" * 40 + "3"}, True),
        (when("moon-phase", "full"), {}, False),  # what isn't known is never met
        *(
            (when("host-header", "other", pattern), {"Host": host}, expected)
            for pattern, host, expected in (
                ("*.example.com", "Shop.Example.com", True),
                ("*.example.com", "example.com", False),
                ("SHOP.example.com", "shop.example.com:8080", True),
                ("shop.example.com", "shopxexample.com", False),
                ("shop?.example.com", "shop1.example.com", True),
                ("api-*.*", "api-1.Example.com:8080", True),
                ("api-*.*", "api-1", False),
                ("api-*.co?", "api-1.example.com", True),
            )
        ),
        *(
            (when("query-string", {"Key": "no", "Value": "no"}, pair), {"path": f"/p{query}"}, expected)
            for pair, query, expected in (
                ({"Key": "version", "Value": "v1"}, "?a=b&Version=V1&c", True),
                ({"Key": "version", "Value": "v1"}, "?version=v12", False),
                ({"Key": "version", "Value": "v1"}, "?myversion=v1", False),
                ({"Value": "*beta*"}, "?x=y&z=my-beta-2", True),
                ({"Value": "beta"}, "", False),
                ({"Key": "q", "Value": "\\*"}, "?q=*", True),
                ({"Key": "q", "Value": "\\*"}, "?q=x", False),
            )
        ),
    ],
)
def test_conditions(lab: Lab, conditions: Any, request_: dict[str, str], expected: bool) -> None:
    assert meets(lab, conditions, **request_) is expected


def redirect(status: str = "HTTP_301", **config: str) -> dict[str, Any]:
    return {"Type": "redirect", "Order": 1, "RedirectConfig": {"StatusCode": status, **config}}


HTTPS = {"Protocol": "HTTPS", "Port": "443"}
ANYWHERE = {
    "Host": "www.#{host}", "Port": "8#{port}", "Path": "/#{protocol}/#{host}/#{path}/z", "Query": "#{query}&old=#{port}",
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "path", "host", "expected"),
    [
        (
            {**HTTPS, "Host": "#{host}", "Path": "/#{path}", "Query": "#{query}"}, "/a/b?c=d", "shop.example.com:9",
            "https://shop.example.com:443/a/b?c=d",
        ),
        ({"Host": "new.example.com"}, "/a?b", "shop.example.com", "http://new.example.com:80/a?b"),
        (
            ANYWHERE, "/a%20b?c=%7D", "shop.example.com:9",
            "http://www.shop.example.com:880/HTTP/shop.example.com/a%20b/z?c=%7D&old=80",
        ),
        ({}, "/", "shop.example.com:9", "http://shop.example.com:80/"),
        ({"Query": ""}, "/?a", "shop.example.com:9", "http://shop.example.com:80/"),
        (HTTPS, "/x", "localhost:1234", "https://localhost:LOCAL/x"),
        ({"Port": "9999"}, "/x", "localhost", "http://localhost:9999/x"),
    ],
)  # fmt: skip
def test_where_redirects_lead(lab: Lab, config: dict[str, str], path: str, host: str, expected: str) -> None:
    """By the local URL to the local port."""
    lab.show([listener(80, rule(redirect(**config))), listener(443, rule(fixed("x")))])
    found = lab.get(path, headers={"Host": host}).headers["location"]
    assert found == expected.replace("LOCAL", str(httpx.URL(lab.url(443)).port))


@pytest.mark.parametrize(
    ("action", "status", "text", "kind"),
    [
        (fixed('{"no": "ü%s"}', 503, "application/json"), 503, '{"no": "ü%s"}', "application/json"),
        (fixed("<p>", 404, "text/html"), 404, "<p>", "text/html; charset=utf-8"),
        ({"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "204"}}, 204, "", None),
        (fixed("𝄞" * 1024), 200, "𝄞" * 1024, "text/plain; charset=utf-8"),
    ],
    ids=["json", "html", "no body", "the longest body"],
)
def test_fixed_responses(lab: Lab, action: Any, status: int, text: str, kind: str | None) -> None:
    lab.show([listener(80, rule(action))])
    answer = lab.get()
    assert (answer.status_code, answer.text, answer.headers["server"]) == (status, text, "awselb/2.0")
    assert kind is None or answer.headers["content-type"] == kind
