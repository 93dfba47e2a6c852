"""A service that answers at port 80 gets a certificate, a name and HTTPS: port 80 answers until it redirects, and then HTTPS does."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import httpx

from tests.load.specs import listener, web
from tests.processes import GUARD

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.load.stage import Stage

NAME = "api.example.com"


def secure() -> Spec:
    """`web` with the short form."""
    spec = web(version="first", stack="secure")
    balancer = spec["load_balancers"]["public"]
    action = listener(spec)["default_action"]
    del balancer["listeners"]
    balancer["https"] = {"names": [NAME], "zone": "example.com", "default_action": action}
    opened = {"protocol": "tcp", "port": 443, "cidr_block": "0.0.0.0/0"}
    spec["security_groups"]["load-balancer"]["ingress"].append(opened)
    return spec


def test_port_80_redirects_when_https_answers(hasty: Stage) -> None:
    spec = secure()
    with hasty.under_load(web(version="first", stack="secure"), requests=400, around=80) as proof:
        hasty.apply(spec)
    statuses = Counter(answer.status for answer in proof.load.answers)
    assert not [answer for answer in proof.load.answers if answer.error]
    assert statuses.keys() == {200, 301}
    assert {answer.status for answer in proof.load.answers if answer.begun > proof.changed} == {301}
    assert proof.watch.low() >= 2
    hasty.is_settled(spec)
    urls = json.loads(hasty.tool.run("status", "--format", "json", hasty.write(spec)).stdout)["urls"]
    (url,) = [item for item in urls if item.startswith("https:")]
    answer = httpx.get(url, headers={"Host": NAME}, verify=False, trust_env=False, timeout=GUARD)
    assert answer.status_code == 200
    hasty.tool.run("verify", "--requests", "5", hasty.write(spec))
