"""What is promised beside an action: transforms, headers of all answers, clients with certificates."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.requests.conditions import Transform
from alb_reconcile.verification.client import Endpoint, Reply, Shot
from alb_reconcile.verification.matching import Request
from alb_reconcile.verification.promises import untransformed
from tests.harness import demo, world
from tests.kinds.test_trust_store import store, upload
from tests.verify import servers
from tests.verify.bench import Bench, converged, to

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.slow

SHOT = Shot("k", Endpoint("127.0.0.1", 1, 80), Request("shop.example.com", "/api/v1", query=(("q", "1"),)))
STRIP = Transform("url_rewrite", "^/api/(.*)$", "/$1")
HOST = Transform("host_header_rewrite", "^shop", "internal")


def told(**body: Any) -> Reply:
    return Reply(200, "1.1", body=json.dumps(body).encode())


class TestTransforms:
    @pytest.mark.parametrize(
        ("transforms", "reply", "expected"),
        [
            ([STRIP], told(path="/v1?q=1"), ""),
            ([STRIP], told(path="/v1"), ""),  # without the query, as the demo's web API tells it
            ([STRIP], told(path="/api/v1"), 'the target saw the path "/api/v1" instead of "/v1?***"'),
            ([HOST], told(headers={"host": "internal.example.com"}), ""),
            ([HOST], told(host="internal.example.com:8080"), ""),
            ([HOST], told(host="shop.example.com"), 'the target saw the host "shop.example.com" instead of "internal.example.com"'),
            ([STRIP, HOST], told(path="/v1"), None),
            ([STRIP], Reply(200, "1.1", body=b"<html>"), None),
            ([Transform("url_rewrite", "^/(x)", "/$1/y")], told(path="/api/v1"), ""),  # it doesn't match
            ([Transform("url_rewrite", "^/(a)", "/$2")], told(path="/api/v1"), None),  # a group that isn't there
            ([Transform("url_rewrite", "1", "2")], told(path="/api/v2?q=1"), ""),  # the first match, or each
            ([Transform("url_rewrite", "1", "2")], told(path="/api/v2?q=2"), ""),
        ],
    )  # fmt: skip
    def test_what_the_target_saw(self, transforms: list[Transform], reply: Reply, expected: str | None) -> None:
        assert untransformed(transforms, SHOT, reply) == expected


def test_a_rule_that_rewrites_and_a_listener_that_adds_headers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = demo()
    listener = spec["load_balancers"]["public"]["listeners"]["http"]
    listener["attributes"] = {"routing.http.response.x_frame_options.header_value": "DENY"}
    listener["rules"] = {
        "api": {
            "priority": 1,
            "conditions": [{"path_pattern": {"regex_values": ["^/api/v[0-9]+/.*$"]}}],
            "action": {"forward": "web"},
            "transforms": [{"url_rewrite": {"regex": "^/api/(.*)$", "replace": "/$1"}}],
        }
    }
    answers: dict[str, Any] = {"strip": "/api", "header": {"X-Frame-Options": "DENY"}}
    with converged(spec) as account:
        bench = Bench(account, spec, tmp_path, capsys)
        [name, *_] = bench.instances().values()

        def route(method: str, host: str, target: str, headers: Mapping[str, str]) -> servers.Answer:
            status, more, body = servers.api(name, path=target.removeprefix(answers["strip"]))
            return status, {**more, **answers["header"]}, body

        with servers.front(route) as front:
            way = (*to(front.port), "--requests", "5", "--rate", "1000", "--format", "json")
            right = bench.run(*way)
            answers["strip"] = "/never"
            wrong = bench.run(*way)
            answers.update(strip="/api", header={})
            bare = bench.run(*way)
    assert right.code == 0, right.text
    assert right.check("rule.public/http/api")["request"]["path"] == "/api/v0/verify"
    assert 'the target saw the path "/api/v0/verify" instead of "/v0/verify"' in wrong.flat.replace('\\"', '"')
    assert bare.check("listener.public/http")["problems"] == ["5 of 5 requests: the header x-frame-options is missing"]


def test_who_shows_no_certificate_must_not_come_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    authority, spec = servers.Authority(tmp_path), demo()
    with world() as account:
        upload()
        certificate = account.client("acm").request_certificate(DomainName="shop.example.com")
        spec["trust_stores"] = {"clients": store()}
        spec["load_balancers"]["public"]["listeners"]["http"].update(
            protocol="HTTPS", port=443, certificate_arn=certificate["CertificateArn"],
            mutual_authentication={"mode": "verify", "trust_store": "clients"},
        )  # fmt: skip
        account.converge(spec)
        bench = Bench(account, spec, tmp_path, capsys)
        route = servers.in_turn(*bench.instances().values())
        shown = {}
        for clients in (ssl.CERT_REQUIRED, ssl.CERT_OPTIONAL):
            with servers.front(route, authority.context("shop.example.com", clients=clients)) as front:
                way = (*to(front.port, 443), "--ca-file", authority.file, "--http", "1.1", "--requests", "5")
                shown[clients] = bench.run(*way, "--client-certificate", authority.client_file(tmp_path))
        skipped = bench.run(*way)
    assert [item.code for item in shown.values()] == [0, 1], shown[ssl.CERT_REQUIRED].text
    assert "a client without a certificate is answered 200" in shown[ssl.CERT_OPTIONAL].flat
    assert (skipped.code, "give one with --client-certificate" in skipped.flat) == (0, True)
