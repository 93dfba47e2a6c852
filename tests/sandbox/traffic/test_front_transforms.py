"""Transforms of rules and headers by attributes, as targets and clients see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.sandbox.traffic.front_lab import Lab, fixed, forward, group, headers_of, listener, rule

if TYPE_CHECKING:
    pass


def rewrite(kind: str, regex: str, replace: str) -> dict[str, Any]:
    config = {"url-rewrite": "UrlRewriteConfig", "host-header-rewrite": "HostHeaderRewriteConfig"}[kind]
    return {"Type": kind, config: {"Rewrites": [{"Regex": regex, "Replace": replace}]}}


def send(lab: Lab, transforms: list[dict[str, Any]], path: str, host: str = "shop.example.com") -> httpx.Response:
    made = rule(forward("web"), priority=1)
    changed = type(made)(made.arn, 1, (), made.actions, tuple(transforms))
    lab.show([listener(80, changed, rule(fixed("none")))], [group("web", "i-a")])
    return lab.get(path, headers={"Host": host})


class TestUrl:
    @pytest.mark.parametrize(
        ("regex", "replace", "path", "expected"),
        [
            (r"^\/dp\/([A-Za-z0-9]+)\/?$", "/product.php?id=$1", "/dp/B09G3", "/product.php?id=B09G3"),
            (r"^/api/(.+)$", "/$1", "/api/v1/x?y=z", "/v1/x?y=z"),
            (r"^/(\w+)/(\w+)", "/$2/$1", "/a/b?c=d", "/b/a?c=d"),
            (r"^([^?]*)", "/rewritten", "/old/place?keep=1", "/rewritten?keep=1"),
            (r"\?.*$", "", "/x?secret=1", "/x"),
            (r"^/never", "/no", "/other?q=1", "/other?q=1"),
            (r"^/(.*)$", "/back\\slash/$1", "/x", "/back\\slash/x"),
        ],
    )
    def test_path_and_query(self, lab: Lab, regex: str, replace: str, path: str, expected: str) -> None:
        assert send(lab, [rewrite("url-rewrite", regex, replace)], path).json()["path"] == expected

    @pytest.mark.parametrize(("regex", "replace"), [("^/(a)", "/$2"), ("^/", "")])
    def test_one_that_fails_is_answered_500(self, lab: Lab, regex: str, replace: str) -> None:
        transforms = [rewrite("url-rewrite", regex, replace)]
        answer = send(lab, transforms, "/abc")
        assert (answer.status_code, answer.headers["server"]) == (500, "awselb/2.0")
        assert "500 Internal Server Error" in answer.text

    def test_one_that_would_fail_does_not_matter_without_a_match(self, lab: Lab) -> None:
        assert send(lab, [rewrite("url-rewrite", "^/(a)", "/$2")], "/x").json()["path"] == "/x"

    def test_where_it_goes_stays(self, lab: Lab) -> None:
        made = rule(forward("web"), {"Field": "path-pattern", "Values": ["/old/*"]}, priority=1)
        changed = type(made)(made.arn, 1, made.conditions, made.actions, (rewrite("url-rewrite", "^/old", "/new"),))
        other = rule(forward("other"), {"Field": "path-pattern", "Values": ["/new/*"]}, priority=2)
        lab.show([listener(80, other, changed, rule(fixed("none")))], [group("web", "i-a"), group("other", "i-b")])
        told = lab.get("/old/x").json()
        assert (told["target"], told["path"]) == ("a", "/new/x")


class TestHost:
    def test_it_is_rewritten(self, lab: Lab) -> None:
        transform = rewrite("host-header-rewrite", r"^mywebsite-(.+).com$", "internal.dev.$1.myweb.com")
        seen = headers_of(send(lab, [transform], "/project-a", "mywebsite-example.com"))
        assert seen["Host"] == "internal.dev.example.myweb.com"

    def test_both_at_once(self, lab: Lab) -> None:
        both = [rewrite("host-header-rewrite", "^(.*)$", "x.$1"), rewrite("url-rewrite", "^/a", "/b")]
        told = send(lab, both, "/a")
        assert (told.json()["path"], headers_of(told)["Host"]) == ("/b", "x.shop.example.com")


class TestHostHeader:
    @pytest.mark.parametrize(
        ("port", "preserve", "sent", "seen"),
        [
            (80, "false", "www.example.com", "www.example.com"),
            (80, "false", "www.example.com:80", "www.example.com"),
            (8080, "false", "www.example.com", "www.example.com:8080"),
            (8080, "false", "www.example.com:99", "www.example.com:99"),
            (8080, "true", "www.example.com", "www.example.com"),
            (80, "true", "www.example.com:80", "www.example.com:80"),
        ],
    )
    def test_ports(self, lab: Lab, port: int, preserve: str, sent: str, seen: str) -> None:
        attributes = {"routing.http.preserve_host_header.enabled": preserve}
        lab.show([listener(port, rule(forward("web")))], [group("web", "i-a")], attributes=attributes)
        assert headers_of(lab.get(port=port, headers={"Host": sent}))["Host"] == seen

    def test_the_local_url_stays(self, lab: Lab) -> None:
        lab.show([listener(80, rule(forward("web")))], [group("web", "i-a")])
        assert headers_of(lab.get())["Host"] == lab.url().removeprefix("http://")


class TestAnswers:
    ATTRIBUTES = {  # noqa: RUF012
        "routing.http.response.strict_transport_security.header_value": "max-age=31536000; includeSubDomains",
        "routing.http.response.access_control_allow_origin.header_value": "*",
        "routing.http.response.x_frame_options.header_value": "",
    }

    def show(self, lab: Lab, action: Any, **attributes: str) -> None:
        made = listener(80, rule(action), attributes=self.ATTRIBUTES | attributes)
        lab.show([made], [group("web", "i-a"), group("empty")])

    @pytest.mark.parametrize(
        "action",
        [
            forward("web"),
            forward("empty"),
            fixed("x"),
            {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Host": "x.example.com"}},
        ],
    )
    def test_headers_are_inserted_into_all(self, lab: Lab, action: Any) -> None:
        self.show(lab, action)
        found = lab.get().headers
        assert found["strict-transport-security"] == "max-age=31536000; includeSubDomains"
        assert found["access-control-allow-origin"] == "*"
        assert "x-frame-options" not in found

    def test_they_replace_the_targets_own(self, lab: Lab) -> None:
        self.show(lab, forward("web"), **{"routing.http.response.content_security_policy.header_value": "a 100%"})
        answer = lab.get(headers={"X-Answer": "Content-Security-Policy: its own"})
        assert answer.headers.get_list("content-security-policy") == ["a 100%"]

    @pytest.mark.parametrize("action", [forward("web"), forward("empty"), fixed("x")])
    def test_the_server_can_be_left_out(self, lab: Lab, action: Any) -> None:
        self.show(lab, action)
        assert "server" in lab.get().headers
        self.show(lab, action, **{"routing.http.response.server.enabled": "false"})
        assert "server" not in lab.get().headers


def test_switching_logs_costs_no_request(lab: Lab) -> None:
    """The log of connections makes Envoy's listener another one, on the same port."""
    logged = {"connection_logs.s3.enabled": "true", "access_logs.s3.enabled": "true"}
    lab.show([listener(80, rule(fixed("x")))])
    with httpx.Client(base_url=lab.url()) as client:
        for attributes in ({}, logged, {}):
            lab.show([listener(80, rule(fixed("x")))], attributes=attributes)
            assert [client.get("/").text for _ in range(3)] == ["x"] * 3
