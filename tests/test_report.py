"""`report`: all stacks of a folder on one page, from reads and from the history."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml

from alb_reconcile.cli.main import main
from alb_reconcile.cli.pictures.report import Subject, report_page
from alb_reconcile.engine.plan.situation import situate
from alb_reconcile.journal.record import RunRecord
from tests.harness import SPECS, demo, world
from tests.plan.test_pictures import CANARY, EVIL, many, planned

if TYPE_CHECKING:
    from pathlib import Path

VPC = "stack: shop\nregion: us-east-1\nvpcs:\n  main: {cidr_block: 10.9.0.0/16, enable_dns_hostnames: true}\n"


def record(error: str = "") -> RunRecord:
    return RunRecord(
        "1", "sync", "demo", "us-east-1", "2026-11-26T03:10:00Z", "2026-11-26T03:10:05Z", "left", error=error
    )


def subjects() -> list[Subject]:
    """A stack in order, one that changes, one that is broken, and one full of markup."""
    hostile, ill = many(2, EVIL), planned()
    resources = [
        replace(item, status="unhealthy") if item.address.name == "web/web-1:80" else item
        for item in ill.discovery.resources
    ]
    ill = replace(ill, situation=situate(ill.target, replace(ill.discovery, resources=tuple(resources))))
    return [
        Subject("fine", "fine.yaml", "us-east-1", planned(), runs=[record(r"refused:\n  <a>")]),
        Subject("canary", "canary.yaml", "us-east-1", planned(want=CANARY)),
        Subject("ill", "ill.yaml", "us-east-1", ill),
        Subject("broken", "broken.yaml", error=EVIL),
        Subject(EVIL, EVIL, EVIL, hostile, runs=[replace(record(EVIL), user=EVIL)]),
    ]


def rows(text: str) -> dict[str, str]:
    """The first table's rows by the stack's name, as words."""
    body = text.partition("<tbody>")[2].partition("</tbody>")[0]
    found = [re.sub(r"<[^>]*>", " ", row).split() for row in body.split("</tr>") if row]
    return {words[0]: " ".join(words[1:]) for words in found}


def test_each_stack_is_told_from_the_others() -> None:
    text = report_page("stacks", subjects(), "now")
    found = rows(text)
    assert found["fine"] == "in order none none left 2026-11-26 03:10:00Z, sync by @"
    assert found["canary"] == "in order none 4 resources none recorded here"
    assert found["ill"] == "not in order none none none recorded here"
    assert "1 of 2 targets of target_group.web isn&#x27;t healthy (unhealthy)" in text
    assert found["broken"] == "couldn't be read none recorded here"
    assert "1 of 5 stacks are as their specs say, and healthy." in text
    assert "<td>target_group.new</td><td>25%</td><td>2 to come</td>" in text
    assert not re.search(r"<(script|img)", text)
    assert "<br><code>refused:</code><br><code>  &lt;a&gt;</code>" in text


def test_the_command_reads_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setenv("ALB_RECONCILE_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("ALB_RECONCILE_STATE_DIR", str(tmp_path / "state"))
    folder = tmp_path / "stacks"
    folder.mkdir()
    (folder / "shop.yaml").write_text(VPC)
    (folder / "demo.yaml").write_text(yaml.safe_dump(demo()))
    (folder / "user-data").symlink_to(SPECS / "user-data")
    with world() as aws:
        aws.converge(demo())
        assert main(["apply", "--yes", str(folder / "shop.yaml")]) == 0
        ec2 = aws.client("ec2")
        vpc = ec2.describe_vpcs(Filters=[{"Name": "tag:alb-reconcile:stack", "Values": ["shop"]}])["Vpcs"][0]["VpcId"]
        ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": False})
        capsys.readouterr()
        assert main(["report", str(folder)]) == 0
        said = capsys.readouterr()
        found = rows(said.out)
        assert found["demo"] == "in order none none none recorded here"
        assert re.fullmatch(r"in order 1 resource none done .* apply by \S+, 1 created", found["shop"])
        assert "<h3>Drift: the account was changed</h3><ul><li>update vpc.main</li>" in said.out
        assert said.err == ""

        (folder / "broken.yaml").write_text("stack: other\nvpcz: {}\n")
        assert main(["report", str(folder)]) == 1
        said = capsys.readouterr()
        assert len(rows(said.out)) == 3
        assert "vpcz" in said.out
        assert said.err == "1 of 3 stacks couldn't be read; the page says why\n"
    assert main(["report", str(tmp_path / "state")]) == 64
