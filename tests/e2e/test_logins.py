"""Somebody logs in through the sandbox's load balancer: as `verify`, as a program, and in a browser."""

from __future__ import annotations

import json
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.browser import BROWSER, browsing
from tests.e2e.tool import Tool
from tests.processes import GUARD

if TYPE_CHECKING:
    from collections.abc import Iterator

SPEC = "login.yaml"
PICTURE = Path(__file__).parent.parent.parent / "docs" / "images" / "oidc-login.png"


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tool]:
    """A sandbox in which specs/login.yaml serves."""
    found = Tool(tmp_path_factory.mktemp("logins"), "--sandbox", ALB_RECONCILE_SANDBOX_TRAFFIC="on")
    started = found.run("sandbox", "start", "--speed", "100").stdout
    provider = found.state()["provider"]
    assert f"log in at {provider}, whatever provider the spec names" in started
    prepared = found.run("sandbox", "prepare", SPEC).stdout
    assert "SSM parameter /login/oidc-secret (a client secret)" in prepared
    assert f"  {provider}/id.example.com for https://id.example.com" in prepared
    found.run("apply", "--yes", SPEC)
    yield found
    found.run("sandbox", "stop")


@pytest.fixture
def url(tool: Tool) -> str:
    state = tool.state()
    told = httpx.get(f"http://127.0.0.1:{state['port']}/alb-reconcile/sandbox/traffic", timeout=GUARD).json()
    return str(told["doors"][0]["url"])


def test_verify_logs_in_and_sees_the_targets(tool: Tool) -> None:
    assert tool.plan(SPEC)["steps"] == []
    report = json.loads(tool.run("verify", "--requests", "60", "--rate", "300", "--format", "json", SPEC).stdout)
    machines, background, open_to_all, default = report["checks"]
    assert machines["statuses"] == {"200": 60, "401": 3}
    assert background["statuses"] == {"200": 60, "401": 3}
    assert open_to_all["statuses"] == {"200": 60}
    assert default["statuses"] == {"200": 60, "302": 3}
    for check in (machines, background, default):
        assert {item["name"] for item in check["targets"] if item["answers"]} == {"web-1", "web-2"}
        assert (check["ok"], check["notes"]) == (True, [])


def test_somebody_logs_in(tool: Tool, url: str) -> None:
    trust = ssl.create_default_context(cafile=tool.state()["ca_file"])
    with httpx.Client(verify=trust, trust_env=False, timeout=GUARD, follow_redirects=True) as client:
        assert client.get(f"{url}events").status_code == 401
        page = client.get(url)
        assert str(page.url).startswith(tool.state()["provider"])
        inside = client.post(page.url, data={"user": "alice", "answer": "login"})
        assert (str(inside.url), inside.status_code) == (url, 200)
        assert inside.json()["instance_id"].startswith("i-")
        assert client.get(f"{url}events").status_code == 200


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine: apt-get install chromium-headless-shell")
def test_somebody_logs_in_with_a_browser(url: str, tmp_path: Path) -> None:
    """With PICTURE=1 the documentation's screenshot is taken anew."""
    with browsing(tmp_path) as page:
        page.open(url)
        page.wait_for("document.title === 'Log in'")
        if os.environ.get("PICTURE"):
            PICTURE.parent.mkdir(exist_ok=True)
            PICTURE.write_bytes(page.look(600, 540))
        page.run("document.querySelector('[name=user]').value = 'bob'")
        page.run("document.querySelector('button').click()")
        page.wait_for(f"location.href === {json.dumps(url)}")
        assert json.loads(page.run("document.body.innerText"))["instance_id"].startswith("i-")
