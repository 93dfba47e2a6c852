"""`verify` and `apply --verify` on the sandbox's own traffic: a real proxy, real processes, real probes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import boto3
import pytest
import yaml

from tests.e2e.tool import REGION, Tool
from tests.harness import Spec, demo

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    listeners = """
      http:
        {protocol: HTTP, port: 80, default_action: {redirect: {protocol: HTTPS, port: 443, status_code: HTTP_301}}}
      https:
        protocol: HTTPS
        port: 443
        default_action: {fixed_response: {status_code: 404, message_body: no such shop}}
        rules:
          new: {priority: 1, conditions: [{host_header: new.example.com}], action: {forward: new}}
          shop: {priority: 2, conditions: [{host_header: "*.example.com"}], action: {forward: web}}
    """
    spec["load_balancers"]["public"]["listeners"] = yaml.safe_load(listeners)
    spec["load_balancers"]["public"]["listeners"]["https"]["certificate_arn"] = certificate
    return spec


def test_redirect_rules_weights_http2_and_websockets(tool: Tool) -> None:
    endpoint = f"http://127.0.0.1:{tool.state()['port']}"
    acm = boto3.Session("testing", "testing", region_name=REGION).client("acm", endpoint_url=endpoint)
    certificate = acm.request_certificate(DomainName="shop.example.com", SubjectAlternativeNames=["new.example.com"])
    spec, file = two_groups(certificate["CertificateArn"]), tool.folder / "shop.yaml"
    file.write_text(yaml.safe_dump(spec, sort_keys=False))
    # without weights, whose shares are up to chance
    assert "Verified: 4 of 4 listeners and rules" in tool.run("apply", "--yes", "--verify", file.name).stdout

    weights = [{"target_group": "web", "weight": 80}, {"target_group": "new", "weight": 20}]
    rules = spec["load_balancers"]["public"]["listeners"]["https"]["rules"]
    rules["shop"]["action"] = {"forward": {"target_groups": weights}}
    file.write_text(yaml.safe_dump(spec, sort_keys=False))
    tool.run("apply", "--yes", file.name)
    options = ("--requests", "300", "--rate", "300", "--tolerance", "5", "--websocket", "--format", "json")
    report = json.loads(tool.run("verify", *options, file.name).stdout)
    redirect, _, shop, default = report["checks"]
    assert (redirect["statuses"], default["statuses"]) == ({"301": 3}, {"404": 3})
    assert (shop["requests"], shop["statuses"]) == (300, {"200": 300})
    assert shop["protocols"] == {"1.1": 150, "2": 150}
    assert shop["websocket"] == {"ok": True, "problem": ""}
    assert {item["name"]: item["expected_share"] for item in shop["targets"]} == {
        "new-1": 0.2,
        "web-1": 0.4,
        "web-2": 0.4,
    }
    assert all(item["within_tolerance"] for item in shop["targets"])
