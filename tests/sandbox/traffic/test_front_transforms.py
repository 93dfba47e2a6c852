"""Transforms of rules and headers by attributes, as targets and clients see them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.sandbox.traffic.front_lab import Lab, fixed, forward, group, headers_of, listener, rule

if TYPE_CHECKING:
    from alb_reconcile.sandbox.traffic.snapshot import Rule


def rewrite(kind: str, regex: str, new: str) -> dict[str, Any]:
    config = {"url-rewrite": "UrlRewriteConfig", "host-header-rewrite": "HostHeaderRewriteConfig"}[kind]
    return {"Type": kind, config: {"Rewrites": [{"Regex": regex, "Replace": new}]}}


def changed(made: Rule, *transforms: dict[str, Any]) -> Rule:
    return replace(made, transforms=transforms)


def send(lab: Lab, transforms: list[dict[str, Any]], path: str, host: str = "shop.example.com") -> httpx.Response:
    made = changed(rule(forward("web"), priority=1), *transforms)
    lab.show([listener(80, made, rule(fixed("none")))], [group("web", "i-a")])
    return lab.get(path, headers={"Host": host})


@pytest.mark.parametrize(
    ("regex", "new", "path", "expected"),
    [
        (r"^\/dp\/([A-Za-z0-9]+)\/?$", "/product.php?id=$1", "/dp/B09G3", "/product.php?id=B09G3"),
        (r"^/api/(.+)$", "/$1", "/api/v1/x?y=z", "/v1/x?y=z"),
        (r"^/(\w+)/(\w+)", "/$2/$1", "/a/b?c=d", "/b/a?c=d"),
        (r"^([^?]*)", "/rewritten", "/old/place?keep=1", "/rewritten?keep=1"),
        (r"\?.*$", "", "/x?secret=1", "/x"),
        (r"^/never", "/no", "/other?q=1", "/other?q=1"),
        (r"^/(.*)$", "/back\\slash/$1", "/x", "/back\\slash/x"),
        ("^/(a)", "/$2", "/x", "/x"),  # would fail where it matches
    ],
)
def test_path_and_query(lab: Lab, regex: str, new: str, path: str, expected: str) -> None:
    assert send(lab, [rewrite("url-rewrite", regex, new)], path).json()["path"] == expected


@pytest.mark.parametrize(("regex", "new"), [("^/(a)", "/$2"), ("^/", "")])
def test_one_that_fails_is_answered_500(lab: Lab, regex: str, new: str) -> None:
    answer = send(lab, [rewrite("url-rewrite", regex, new)], "/abc")
    assert (answer.status_code, answer.headers["server"]) == (500, "awselb/2.0")
    assert "500 Internal Server Error" in answer.text


def test_the_host_is_rewritten_alone_or_with_the_url(lab: Lab) -> None:
    transform = rewrite("host-header-rewrite", r"^mywebsite-(.+).com$", "internal.dev.$1.myweb.com")
    seen = headers_of(send(lab, [transform], "/project-a", "mywebsite-example.com"))
    assert seen["Host"] == "internal.dev.example.myweb.com"
    both = [rewrite("host-header-rewrite", "^(.*)$", "x.$1"), rewrite("url-rewrite", "^/a", "/b")]
    told = send(lab, both, "/a")
    assert (told.json()["path"], headers_of(told)["Host"]) == ("/b", "x.shop.example.com")


@pytest.mark.parametrize(
    ("port", "preserve", "sent", "seen"),
    [
        (80, "false", "www.example.com", "www.example.com"),
        (80, "false", "www.example.com:80", "www.example.com"),
        (8080, "false", "www.example.com", "www.example.com:8080"),
        (8080, "false", "www.example.com:99", "www.example.com:99"),
        (8080, "true", "www.example.com", "www.example.com"),
        (80, "true", "www.example.com:80", "www.example.com:80"),
        (80, "false", "", ""),  # the local URL stays
    ],
)
def test_the_port_in_the_host_header(lab: Lab, port: int, preserve: str, sent: str, seen: str) -> None:
    attributes = {"routing.http.preserve_host_header.enabled": preserve}
    lab.show([listener(port, rule(forward("web")))], [group("web", "i-a")], attributes=attributes)
    answer = lab.get(port=port, headers={"Host": sent} if sent else {})
    assert headers_of(answer)["Host"] == (seen or lab.url().removeprefix("http://"))


INSERTED = "routing.http.response.{}.header_value"
ATTRIBUTES = {
    INSERTED.format("strict_transport_security"): "max-age=31536000; includeSubDomains",
    INSERTED.format("access_control_allow_origin"): "*",
    INSERTED.format("x_frame_options"): "",
}
AWAY = {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Host": "x.example.com"}}


def show(lab: Lab, action: Any, **attributes: str) -> None:
    made = listener(80, rule(action), attributes=ATTRIBUTES | attributes)
    lab.show([made], [group("web", "i-a"), group("empty")])


@pytest.mark.parametrize("action", [forward("web"), forward("empty"), fixed("x"), AWAY])
def test_headers_are_inserted_into_all_and_the_server_can_be_left_out(lab: Lab, action: Any) -> None:
    show(lab, action)
    found = lab.get().headers
    assert found["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    assert found["access-control-allow-origin"] == "*"
    assert "x-frame-options" not in found
    assert "server" in found
    show(lab, action, **{"routing.http.response.server.enabled": "false"})
    assert "server" not in lab.get().headers


def test_switching_logs_costs_no_request(lab: Lab) -> None:
    """The log of connections makes Envoy's listener another one, on the same port."""
    logged = {"connection_logs.s3.enabled": "true", "access_logs.s3.enabled": "true"}
    lab.show([listener(80, rule(fixed("x")))])
    with httpx.Client(base_url=lab.url()) as client:
        for attributes in ({}, logged, {}):
            lab.show([listener(80, rule(fixed("x")))], attributes=attributes)
            assert [client.get("/").text for _ in range(3)] == ["x"] * 3
