"""`verify` and `apply --verify` on the sandbox's own traffic: a real proxy, real processes, real probes."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.e2e.tool import REGION, Tool, client
from tests.harness import Spec, demo

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow


@pytest.fixture
def tool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tool]:
    found = Tool(tmp_path_factory.mktemp("verify"), "--sandbox", ALB_RECONCILE_SANDBOX_TRAFFIC="on")
    found.run("sandbox", "start", "--speed", "60")
    yield found
    found.run("sandbox", "stop")


def two_groups(certificate: str) -> Spec:
    """The demo's instances and one more behind HTTPS, each group with a rule, and a redirect to it."""
    spec = demo()
    spec["security_groups"]["load-balancer"]["ingress"].append(
        {"protocol": "tcp", "port": 443, "cidr_block": "0.0.0.0/0"}
    )
    spec["instances"]["new"] = {**spec["instances"]["web"], "count": 1}
    spec["target_groups"]["new"] = {**spec["target_groups"]["web"], "targets": ["new"]}
    listeners = r"""
      http:
        {protocol: HTTP, port: 80, default_action: {redirect: {protocol: HTTPS, port: 443, status_code: HTTP_301}}}
      https:
        protocol: HTTPS
        port: 443
        default_action: {fixed_response: {status_code: 404, message_body: no such shop}}
        rules:
          new:
            priority: 1
            conditions: [{host_header: {regex_values: ['^new\.example\.com$']}}]
            action: {forward: new}
            transforms:
              - url_rewrite: {regex: '^/()$', replace: '/new/$1'}
              - host_header_rewrite: {regex: '^new', replace: internal}
          shop: {priority: 2, conditions: [{host_header: "*.example.com"}], action: {forward: web}}
    """
    spec["load_balancers"]["public"]["listeners"] = yaml.safe_load(listeners)
    spec["load_balancers"]["public"]["listeners"]["https"]["certificate_arn"] = certificate
    return spec


def test_redirect_rules_weights_http2_and_websockets(tool: Tool) -> None:
    endpoint = f"http://127.0.0.1:{tool.state()['port']}"
    acm = client("acm", tool.state()["port"])
    certificate = acm.request_certificate(DomainName="shop.example.com", SubjectAlternativeNames=["new.example.com"])
    spec, file = two_groups(certificate["CertificateArn"]), tool.folder / "shop.yaml"
    spec["records"] = {"shop": {"zone": "example.com", "name": "shop.example.com", "type": "A", "alias": "public"}}
    file.write_text(yaml.safe_dump(spec, sort_keys=False))
    # without weights, whose shares are up to chance
    applied = tool.run("apply", "--yes", "--verify", file.name)
    assert "Made in the sandbox: hosted zone example.com (Z" in applied.stderr
    assert "Verified: 4 of 4 listeners and rules" in applied.stdout
    assert "; 1 of 1 names lead where they should." in " ".join(applied.stdout.split())
    assert "HTTPS by TLS 1.3, port 80 redirects to it" in applied.stdout
    assert f"dig @127.0.0.1 -p {tool.state()['names']} NAME" in tool.run("sandbox", "status").stdout

    weights = [{"target_group": "web", "weight": 80}, {"target_group": "new", "weight": 20}]
    # with what `sandbox status` says to export, as with --sandbox
    exported = {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "sandbox", "AWS_SECRET_ACCESS_KEY": "sandbox"}
    plain = Tool(tool.folder, **{**exported, "AWS_DEFAULT_REGION": REGION})
    assert "Verified: 4 of 4 listeners and rules" in plain.run("verify", "--requests", "10", file.name).stdout
    rules = spec["load_balancers"]["public"]["listeners"]["https"]["rules"]
    rules["shop"]["action"] = {"forward": {"target_groups": weights}}
    file.write_text(yaml.safe_dump(spec, sort_keys=False))
    tool.run("apply", "--yes", file.name)
    options = ("--requests", "300", "--rate", "300", "--tolerance", "5", "--websocket", "--format", "json")
    report = json.loads(tool.run("verify", *options, file.name).stdout)
    redirect, _, shop, default = report["checks"]
    assert (redirect["statuses"], default["statuses"]) == ({"301": 3}, {"404": 3})
    assert (shop["requests"], shop["statuses"], shop["protocols"]) == (300, {"200": 300}, {"1.1": 150, "2": 150})
    assert shop["websocket"] == {"ok": True, "problem": ""}
    shares = {item["name"]: item["expected_share"] for item in shop["targets"]}
    assert shares == {"new-1": 0.2, "web-1": 0.4, "web-2": 0.4}
    assert all(item["within_tolerance"] for item in shop["targets"])
    assert shop["tls"][0]["names"][:2] == ["shop.example.com", "new.example.com"]


def test_an_app_that_names_no_instance_is_verified(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What init's own user data serves: the text that `hostname` prints, by Python's file server."""
    tool = Tool(tmp_path_factory.mktemp("plain"), "--sandbox", ALB_RECONCILE_SANDBOX_TRAFFIC="on")
    Tool(tool.folder).run("init", "--stack", "plain")
    user_data = yaml.safe_load((tool.folder / "stack.yaml").read_text())["instances"]["web"]["user_data"]
    page = re.search(r"&& (.*) > /srv/web/index.html", user_data)
    server = re.search(r"ExecStart=/usr/bin/python3 (-m http.server) 80 --directory /srv/web", user_data)
    assert page
    assert server
    (tool.folder / "serve.sh").write_text(
        f'mkdir -p "web/$INSTANCE_ID" && {page[1]} > "web/$INSTANCE_ID/index.html"\n'
        f'exec {sys.executable} {server[1]} "$PORT" --bind "$BIND" --directory "web/$INSTANCE_ID"\n'
    )
    tool.run("sandbox", "start", "--speed", "60", "--serve", "sh serve.sh")
    try:
        told = " ".join(tool.run("apply", "--yes", "--verify").stdout.split())
        assert "Verified: 1 of 1 listeners and rules answered 100 requests as expected." in told
        assert '! not attributed: 100 of 100 answers have no JSON field "instance_id"' in told
        report = json.loads(tool.run("verify", "--requests", "30", "--format", "json").stdout)
        (check,) = report["checks"]
        assert (report["ok"], check["unattributed"], check["problems"]) == (True, 30, [])
        assert [(item["share"], item["within_tolerance"]) for item in check["targets"]] == [(None, None)] * 2
        asked = tool.run("verify", "--requests", "30", "--attribute", "json:instance_id", expect=1).stdout
        assert "Not verified: 0 of 1" in asked
    finally:
        tool.run("sandbox", "stop")
