"""https://NAME from one file: specs/https.yaml is applied, opened in a browser, and destroyed without a rest."""

from __future__ import annotations

import json
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest
import trustme

from tests.e2e.browser import BROWSER, browsing
from tests.e2e.tool import Tool, client
from tests.processes import GUARD

if TYPE_CHECKING:
    from collections.abc import Iterator

SPEC, REGION = "https.yaml", "eu-central-1"
NAME = "shop.example.com"
PICTURE = Path(__file__).parent.parent.parent / "docs" / "images" / "https.png"


@pytest.fixture
def tool(tmp_path: Path) -> Iterator[Tool]:
    """A sandbox in which specs/https.yaml serves."""
    found = Tool(tmp_path / "place", "--sandbox", ALB_RECONCILE_SANDBOX_TRAFFIC="on")
    found.run("sandbox", "start", "--speed", "200")
    ended = found.run("apply", "--yes", "--verify", SPEC)
    assert "3 of 3 names lead where they should" in ended.stdout
    yield found
    found.run("sandbox", "stop")


def test_a_name_from_one_file(tool: Tool, tmp_path: Path) -> None:
    """Its certificate is for its name and no other authority's, a browser opens it, and destroy leaves no record behind."""
    urls = json.loads(tool.run("status", "--format", "json", SPEC).stdout)["urls"]
    (port,) = [urlsplit(url).port for url in urls if url.startswith("https:")]
    trust = ssl.create_default_context(cafile=tool.state()["ca_file"])
    with httpx.Client(verify=trust, trust_env=False, timeout=GUARD) as visitor:
        extensions = {"sni_hostname": NAME}
        answer = visitor.get(f"https://127.0.0.1:{port}/", headers={"Host": NAME}, extensions=extensions)
    assert answer.status_code == 200
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    trustme.CA().cert_pem.write_to_path(str(tool.folder / "other.pem"))
    failed = tool.run("verify", "--requests", "5", "--ca-file", "other.pem", SPEC, expect=1).stdout
    assert "certificate" in failed
    if BROWSER:  # a machine that has none tries all the rest
        open_in_browser(tmp_path / "profile", str(port))
    tool.run("destroy", "--yes", "--allow", "lift-protection=1", SPEC)
    dns = client("route53", tool.state()["port"], REGION)
    zones = [zone["Id"] for zone in dns.list_hosted_zones()["HostedZones"]]
    records = [
        item for zone in zones for item in dns.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    ]
    assert [item["Type"] for item in records] == ["NS", "SOA"]
    assert client("acm", tool.state()["port"], REGION).list_certificates()["CertificateSummaryList"] == []


def open_in_browser(profile: Path, port: str) -> None:
    """With PICTURE=1 the documentation's screenshot is taken anew."""
    with browsing(profile, f"--host-resolver-rules=MAP {NAME}:443 127.0.0.1:{port}") as page:
        page.open(f"https://{NAME}/")
        page.wait_for("document.body.innerText.includes('instance_id')")
        assert page.run("location.href") == f"https://{NAME}/"
        assert page.run("window.isSecureContext") is True
        if os.environ.get("PICTURE"):
            PICTURE.write_bytes(page.look(700, 220))
