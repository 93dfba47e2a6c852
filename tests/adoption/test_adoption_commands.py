"""The three commands as their user meets them: what they print, ask and return."""

from __future__ import annotations

import asyncio
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from alb_reconcile.cli.main import main
from alb_reconcile.locking.host import StackLock
from alb_reconcile.model import tags
from tests.adoption.adopting import RUNBOOK_NAMES, build_runbook, our_tags, runbook
from tests.harness import REGION, demo, world
from tests.properties.watched import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import World


VPC_TAGS = {tags.STACK: "demo", tags.ADDRESS: "vpc.main"}


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An account, and a folder to keep locks and specs in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setenv("ALB_RECONCILE_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("ALB_RECONCILE_STATE_DIR", str(tmp_path / "state"))
    for name, spec in (("runbook", runbook()), ("demo", demo())):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    with world() as found:
        yield found


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_adopt_shows_asks_and_writes(account: World, capsys: pytest.CaptureFixture[str]) -> None:
    ids = build_runbook(account, RUNBOOK_NAMES)
    code, out, err = _run(capsys, "adopt", "runbook.yaml")
    assert code == 4
    assert "no terminal to ask for confirmation" in err
    assert not our_tags(account)
    assert (
        f"= vpc.main               {ids['vpc.main']}   by its Name tag alb-vpc and its CIDR block 10.10.0.0/16" in out
    )
    assert "After that, apply has nothing to do." in out
    code, out, _ = _run(capsys, "adopt", "runbook.yaml", "--yes")
    assert code == 0
    assert "11 resources adopted; only tags were changed." in out
    code, out, _ = _run(capsys, "history", "runbook.yaml")
    assert re.search(r"Z  adopt    done +11 updated, ", out)
    code, out, _ = _run(capsys, "history", "runbook.yaml", "--format", "json")
    (record,) = json.loads(out)["runs"]
    assert {
        "key": f"update:vpc.main@{ids['vpc.main']}",
        "action": "update",
        "how": "done",
        "id": ids["vpc.main"],
        "changes": ["tags"],
    } in record["steps"]
    assert record["requests"]
    code, out, _ = _run(capsys, "adopt", "runbook.yaml")
    assert code == 0
    assert "There is nothing to adopt." in out


def test_the_first_change_after_an_adoption_is_no_alarm(
    account: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found: plans warned of another spec, which was this one as this host had adopted it, or released or moved what it has."""
    build_runbook(account, RUNBOOK_NAMES)
    spec = runbook()
    spec["subnets"]["subnet-1"]["map_public_ip_on_launch"] = False

    def change(**tags: str) -> None:
        text = yaml.safe_load((tmp_path / "runbook.yaml").read_text(encoding="utf-8")) | {"tags": tags}
        (tmp_path / "changed.yaml").write_text(yaml.safe_dump(text), encoding="utf-8")
        _, out, err = _run(capsys, "plan", "changed.yaml")
        assert "to update" in out
        assert "recorded here" not in out + err

    (tmp_path / "runbook.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    code, out, _ = _run(capsys, "adopt", "runbook.yaml", "--yes", "--write")
    assert code == 0
    assert "After that, apply has nothing to do." in out
    change(owner="web")
    text = (tmp_path / "runbook.yaml").read_text(encoding="utf-8")
    (tmp_path / "runbook.yaml").write_text(re.sub(r"(?<!-)subnet-1", "left", text), encoding="utf-8")
    code, out, _ = _run(capsys, "move", "runbook.yaml", "subnet.subnet-1", "subnet.left", "--yes")
    assert code == 0
    change(owner="app")


def test_what_people_call_a_resource_stands_beside_its_id(account: World, capsys: pytest.CaptureFixture[str]) -> None:
    ids = build_runbook(account, {**RUNBOOK_NAMES, "vpc.main": "the old network"})
    known = f'{ids["vpc.main"]} "the old network"'
    _, out, _ = _run(capsys, "adopt", "runbook.yaml", "--yes")
    assert f"= vpc.main               {known}   by its CIDR block" in out
    assert f"~ vpc.main  {known}\n" in out, "the plan that is left"
    assert f"= subnet.subnet-1        {ids['subnet.subnet-1']}   by its Name tag alb-subnet-1 and" in out, "said once"
    assert f"  {known}\n" in _run(capsys, "status", "runbook.yaml")[1]
    assert f"vpc.main → vpc.network  {known}\n" in _run(capsys, "move", "runbook.yaml", "vpc.main", "vpc.network")[1]
    out = _run(capsys, "release", "runbook.yaml")[1]
    assert f"o vpc.main  {known}\n" in out
    assert (
        "Warning: afterwards the stack runbook owns nothing, and its resources run on: apply would make all that runbook.yaml"
        in out
    )
    assert "to take them back: alb-reconcile adopt runbook.yaml" in out


def test_a_named_group_with_another_description_is_told_before(
    account: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A group that is in use and keeps its name can't be replaced."""
    build_runbook(account, RUNBOOK_NAMES)
    spec = runbook()
    spec["security_groups"]["main"]["description"] = "web"
    (tmp_path / "runbook.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    why = 'security_group.main: description is "security group for efs" and should be "web", which can\'t be changed in place; '
    code, out, _ = _run(capsys, "adopt", "runbook.yaml")
    assert (code, f"Warning: after that, apply would be refused: {why}" in out) == (4, True)
    assert _run(capsys, "adopt", "runbook.yaml", "--yes")[0] == 0
    code, _, err = _run(capsys, "plan", "runbook.yaml")
    assert (code, err.splitlines()[-1].startswith(why)) == (4, True)


def test_json_says_the_same_to_programs(account: World, capsys: pytest.CaptureFixture[str]) -> None:
    ids = build_runbook(account, RUNBOOK_NAMES)
    account.client("ec2").modify_vpc_attribute(VpcId=ids["vpc.main"], EnableDnsHostnames={"Value": False})
    code, out, err = _run(capsys, "adopt", "runbook.yaml", "--yes", "--format", "json")
    assert code == 0
    assert "11 resources adopted" in err
    data: dict[str, Any] = json.loads(out)
    assert {item["address"]: item["id"] for item in data["adopted"]} == ids
    (vpc,) = [item for item in data["adopted"] if item["address"] == "vpc.main"]
    assert vpc["differences"] == [{"path": "enable_dns_hostnames", "before": False, "after": True}]
    assert not vpc["replaced_by_apply"]
    assert data["next_plan"]["summary"]["update"] == 1


def test_a_replacement_is_shouted(account: World, capsys: pytest.CaptureFixture[str]) -> None:
    ids = build_runbook(account, RUNBOOK_NAMES)
    spec = runbook()
    spec["instances"]["web-a"]["instance_type"] = "t3.small"
    with open("other.yaml", "w", encoding="utf-8") as file:  # noqa: PTH123  # in the folder of this test
        yaml.safe_dump(spec, file, sort_keys=False)
    _, out, _ = _run(capsys, "adopt", "other.yaml")
    assert f"Warning: apply would REPLACE instance.web-a-1 ({ids['instance.web-a-1']}): instance_type" in out


def test_release_and_move_ask_too_and_say_what_they_did(account: World, capsys: pytest.CaptureFixture[str]) -> None:
    account.converge(demo())
    before = our_tags(account)
    for arguments in (("release", "demo.yaml"), ("move", "demo.yaml", "vpc.main", "vpc.network")):
        code, _, err = _run(capsys, *arguments)
        assert code == 4
        assert "no terminal to ask for confirmation" in err
    assert our_tags(account) == before
    code, out, _ = _run(capsys, "move", "demo.yaml", "vpc.main", "vpc.network", "--yes")
    assert code == 0
    assert "vpc.main → vpc.network" in out
    assert "the spec doesn't declare vpc.network" in out
    code, out, _ = _run(capsys, "release", "demo.yaml", "vpc.main")
    assert code == 0
    assert "nothing is at vpc.main: there is nothing to release" in out
    code, out, err = _run(capsys, "release", "demo.yaml", "--yes", "--format", "json")
    assert code == 0
    assert "vpc.network" in {item["address"] for item in json.loads(out)["released"]}
    assert "First take demo.yaml out of the folder that sync reads" in err
    assert not our_tags(account)
    assert re.search(r"  release  done .*\n.*  move     done +1 updated, ", _run(capsys, "history", "demo.yaml")[1])
    code, out, _ = _run(capsys, "release", "demo.yaml", "--yes")
    assert code == 0
    assert "Nothing in us-east-1 belongs to the stack demo." in out
    code, out, _ = _run(capsys, "sync", "demo.yaml")
    assert code == 2
    assert "as it was released on this host " in out
    assert "remove the spec from this folder; alb-reconcile adopt demo.yaml takes it back" in out


def test_a_wrong_choice_is_a_mistake_of_usage(account: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = _run(capsys, "adopt", "runbook.yaml", "vpc.mian=vpc-0a1b2c3d4e5f60718")
    assert code == 64
    assert "did you mean vpc.main?" in err


@pytest.mark.parametrize("arguments", [("adopt",), ("release",), ("move", "vpc.main", "vpc.network")])
def test_in_an_account_that_the_spec_doesnt_allow_nothing_is_written(
    account: World, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], tmp_path: Path
) -> None:
    account.converge(demo())
    if arguments[0] == "adopt":
        account.client("ec2").create_vpc(CidrBlock="10.5.0.0/16")
    before = account.strict.inventory()
    spec = {**demo(), "account_ids": ["210987654321"]}
    spec["vpcs"]["other"] = {"cidr_block": "10.5.0.0/16"}
    for section in ("subnets", "internet_gateways", "route_tables", "security_groups", "target_groups"):
        for entry in spec[section].values():
            entry["vpc"] = "main"
    (tmp_path / "elsewhere.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    code, _, err = _run(capsys, arguments[0], "elsewhere.yaml", *arguments[1:], "--yes")
    assert code == 4
    assert "the spec's account_ids allow only 210987654321" in err
    assert account.strict.inventory() == before


@pytest.mark.parametrize("arguments", [("adopt",), ("release",), ("move", "vpc.main", "vpc.network")])
def test_while_another_run_holds_the_stack_nothing_is_written(
    account: World, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    account.client("ec2").create_vpc(
        CidrBlock="10.0.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": tags.to_list(VPC_TAGS)}]
    )
    before = account.strict.inventory()
    lock = StackLock(ACCOUNT, REGION, "demo", "")
    asyncio.run(lock.acquire("apply", 0, asyncio.sleep, print))
    try:
        code, _, err = _run(capsys, arguments[0], "demo.yaml", *arguments[1:], "--yes")
    finally:
        lock.release()
    assert code == 5
    assert "held by alb-reconcile apply" in err
    assert account.strict.inventory() == before


def test_no_changes_isnt_the_last_word_while_nobody_has_applied_the_spec(
    account: World, capsys: pytest.CaptureFixture[str]
) -> None:
    account.converge(demo())
    changed = demo()
    changed["target_groups"]["web"]["min_healthy"] = 1
    Path("demo.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
    code, out, err = _run(capsys, "plan", "demo.yaml", "--detailed-exitcode")
    assert (code, "No changes" in out) == (0, True)
    assert "run alb-reconcile apply demo.yaml once" in err
    said = "Only tags are written, which say that this spec is applied."
    code, out, _ = _run(capsys, "apply", "demo.yaml", "--no-wait")
    assert (code, said in out) == (0, True)
    assert said not in _run(capsys, "apply", "demo.yaml", "--no-wait")[1]
    assert "once" not in _run(capsys, "plan", "demo.yaml")[2]


def test_what_is_handed_over_is_told_with_its_ids(account: World, capsys: pytest.CaptureFixture[str]) -> None:
    spec = demo()
    spec["security_groups"]["old"] = {"description": "for another stack"}
    account.converge(spec)
    (old,) = (item.id for item in account.plan(spec).live if str(item.address) == "security_group.old")
    out = _run(capsys, "release", "demo.yaml", "security_group.old")[1]
    assert f"If another spec is to have it: alb-reconcile adopt SPEC security_group.old={old}\n" in out
    assert "adopt SPEC" not in _run(capsys, "release", "demo.yaml", "instances.web")[1], "the spec still declares them"
