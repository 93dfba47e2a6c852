"""What `apply` and `destroy` take: several specs, of which some may not be reached, and saved plans."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from moto.ec2.exceptions import EC2ClientError

from alb_reconcile.cli.main import main
from alb_reconcile.cli.render.plan import is_of_destroy
from alb_reconcile.cli.render.progress import A_NEW_PLAN
from tests.harness import demo, world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import World

pytestmark = pytest.mark.slow


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An account, and a folder with the specs of three stacks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setenv("ALB_RECONCILE_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("ALB_RECONCILE_STATE_DIR", str(tmp_path / "state"))
    for number, name in enumerate("abc"):
        vpcs = f"vpcs:\n  main: {{cidr_block: 10.{number}.0.0/16}}\n"
        (tmp_path / f"{name}.yaml").write_text(f"stack: shop-{name}\nregion: us-east-1\n{vpcs}", encoding="utf-8")
    with world() as found:
        yield found


def no_more(*_: object, **__: object) -> None:
    raise EC2ClientError("VpcLimitExceeded", "no more")


def stacks(account: World) -> set[str]:
    """The stacks that have a VPC."""
    found = account.client("ec2").describe_tags(Filters=[{"Name": "key", "Values": ["alb-reconcile:stack"]}])
    return {item["Value"] for item in found["Tags"]}


def test_destroy_takes_no_folder_and_no_pattern(account: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder may hold more than whoever types its name thinks of."""
    assert main(["apply", "--yes", "."]) == 0
    for place in (".", "*.yaml", "[ab].yaml"):
        capsys.readouterr()
        assert main(["destroy", "--yes", "a.yaml", place]) == 64
        told = capsys.readouterr().err
        assert told.startswith("destroy takes specs by name, no folders or patterns; name each: a.yaml ")
    assert stacks(account) == {"shop-a", "shop-b", "shop-c"}
    assert main(["destroy", "--yes", "a.yaml", "b.yaml"]) == 0
    assert stacks(account) == {"shop-c"}


def test_what_a_failed_stack_leaves_undone_is_told_last(
    account: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = "Not applied, since a stack before failed: b.yaml, c.yaml"
    assert stacks(account) == set()  # which makes the default VPC
    monkeypatch.setattr("moto.ec2.models.vpcs.VPCBackend.create_vpc", no_more)
    assert main(["apply", "--yes", "."]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == left
    assert stacks(account) == set()


def test_what_a_refused_stack_leaves_undone_is_told_last(
    account: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "limits.txt").write_text("never_delete: [vpc]\n", encoding="utf-8")
    assert main(["apply", "--yes", "."]) == 0
    assert main(["destroy", "--yes", "a.yaml", "c.yaml", "--policy", "limits.txt"]) == 4
    assert capsys.readouterr().err.splitlines()[-1] == "Not destroyed, since a stack before failed: c.yaml"
    assert main(["destroy", "--yes", "b.yaml", "--policy", "limits.txt"]) == 4
    assert "Not destroyed" not in capsys.readouterr().err


def test_destroy_carries_out_a_saved_plan_or_refuses_it(account: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["apply", "--yes", "a.yaml", "b.yaml"]) == 0
    assert main(["plan", "--out", "no-change.plan", "a.yaml"]) == 0
    capsys.readouterr()
    assert main(["plan", "--destroy", "--out", "a.plan", "a.yaml"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == "Wrote a.plan. To apply exactly this plan: alb-reconcile destroy --plan a.plan a.yaml"
    assert main(["apply", "--yes", "--plan", "a.plan", "a.yaml"]) == 64
    told = "a.plan deletes the stack: alb-reconcile destroy --plan a.plan SPEC does it\n"
    assert capsys.readouterr().err == told
    assert main(["destroy", "--yes", "--plan", "a.plan", "a.yaml", "b.yaml"]) == 64
    assert main(["destroy", "--yes", "--plan", "no-change.plan", "a.yaml"]) == 4
    assert "the plan in no-change.plan is stale" in capsys.readouterr().err
    saved = Path("no-change.plan").read_text(encoding="utf-8")
    Path("no-change.plan").write_text(saved.replace('"version": 2', '"version": 1', 1), encoding="utf-8")
    assert main(["apply", "--yes", "--plan", "no-change.plan", "a.yaml"]) == 4
    assert capsys.readouterr().err.startswith(
        "the saved plan is in form 1, and this version of alb-reconcile reads form 2"
    )
    assert stacks(account) == {"shop-a", "shop-b"}
    assert main(["destroy", "--yes", "--plan", "a.plan", "a.yaml"]) == 0
    assert stacks(account) == {"shop-b"}
    assert main(["destroy", "--yes", "--plan", "a.plan", "a.yaml"]) == 4


def test_the_command_that_applies_a_saved_plan_has_all_that_the_plan_was_made_with(
    account: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["apply", "--yes", "a.yaml"]) == 0
    (tmp_path / "limits.txt").write_text("max_deletions: 0\nwindows: [{days: [mon], from: '00:00', to: '00:01'}]\n")
    other = "stack: shop-a\nregion: us-east-1\ntags: {team: '${TEAM}'}\nvpcs: {other: {cidr_block: 10.9.0.0/16}}\n"
    (tmp_path / "a.yaml").write_text(other, encoding="utf-8")
    given = ["--set", "TEAM=blue", "--allow", "delete=1", "--allow", "any-time", "--policy", "limits.txt"]
    capsys.readouterr()
    assert main(["plan", "--out", "a.plan", "a.yaml", *given]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    words = "--plan a.plan --allow delete=1 --allow any-time --policy limits.txt --set TEAM=VALUE a.yaml"
    assert line == f"Wrote a.plan. To apply exactly this plan: alb-reconcile apply {words}"
    assert main(["apply", "--yes", *words.replace("VALUE", "blue").split()]) == 0
    assert stacks(account) == {"shop-a"}


@pytest.mark.usefixtures("account")
def test_a_saved_plan_of_which_a_part_is_done_is_not_to_be_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "a.yaml").open("a", encoding="utf-8") as file:
        file.write("subnets: {one: {cidr_block: 10.0.0.0/24, availability_zone: a}}\n")
    assert main(["plan", "--out", "a.plan", "a.yaml"]) == 0
    for refused, told in (
        ("vpcs.VPCBackend.create_vpc", "Nothing is rolled back; run the same command again to continue."),
        ("subnets.SubnetBackend.create_subnet", A_NEW_PLAN),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"moto.ec2.models.{refused}", no_more)
            assert main(["apply", "--yes", "--plan", "a.plan", "a.yaml"]) == 1
            assert capsys.readouterr().err.splitlines()[-1] == told
    assert main(["apply", "--yes", "--plan", "a.plan", "a.yaml"]) == 4
    assert main(["apply", "--yes", "a.yaml"]) == 0


def test_a_plan_that_deletes_a_stack_is_told_from_any_other(account: World) -> None:
    account.converge(demo())
    assert is_of_destroy(account.plan(demo(), destroy=True).to_json())
    without = demo()
    for kind in set(without) - {"stack", "region", "vpcs"}:
        del without[kind]
    applied = account.plan(without, allow={"delete": 11, "delete-load-balancer": 1})
    assert {step.action for step in applied.steps} == {"delete"}
    assert not is_of_destroy(applied.to_json())
    for other in ("", "[]", "{}", '{"steps": []}', '{"steps": [1]}'):
        assert not is_of_destroy(other)


@pytest.mark.usefixtures("account")
def test_a_variable_may_be_the_policys_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "limits.txt").write_text("max_deletions: ${MOST:-0}\n", encoding="utf-8")
    for command in (["plan"], ["apply", "--yes"], ["sync"]):
        assert main([*command, "a.yaml", "--policy", "limits.txt", "--set", "MOST=1"]) == 0
        assert main([*command, "a.yaml", "--policy", "limits.txt", "--set", "MUST=1"]) == 64
        assert "--set MUST: there is no ${MUST} in a.yaml, limits.txt; did you mean MOST?\n" in capsys.readouterr().err
