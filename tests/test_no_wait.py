"""`apply --no-wait`, what `status` says meanwhile, and when `apply` tells that a stack answers: the commands, on a virtual clock."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from alb_reconcile.cli.main import main
from alb_reconcile.journal.past import UNRECORDED_END
from tests.harness import Spec, demo, world
from tests.kinds.hand import Faults, edited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.harness import World

pytestmark = pytest.mark.slow

FILE = "spec.yaml"
APPLY = ("apply", "--yes", FILE)
CLOSING = "All steps are done, and nothing was waited for: status says when it is ready, and apply waits for it."


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An account that this process's commands use, without a thread that a virtual clock couldn't wait for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALB_RECONCILE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("ALB_RECONCILE_LOCK_DIR", str(tmp_path / "locks"))

    async def to_thread(function: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        return function(*args, **named)

    monkeypatch.setattr(asyncio, "to_thread", to_thread)
    with world() as found:

        def with_stack(_options: object, target: object, run: Callable[..., Any], *args: Any, **named: Any) -> Any:
            return found._run(lambda aws: run(aws, target, *args, **named))

        for command in ("reconcile", "status"):
            monkeypatch.setattr(f"alb_reconcile.cli.commands.{command}.with_stack", with_stack)
        yield found


class Run:
    """The command line in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *words: str, spec: Spec | None = None, code: int = 0) -> list[str]:
        """The lines on standard output."""
        if spec is not None:
            with open(FILE, "w", encoding="utf-8") as file:  # noqa: PTH123 (the folder is the test's own)
                yaml.safe_dump(spec, file, sort_keys=False)
        assert main(words) == code
        return self.capsys.readouterr().out.splitlines()

    def record(self) -> dict[str, Any]:
        """The newest run in the history."""
        found: dict[str, Any] = json.loads("\n".join(self("history", "--format", "json", FILE)))["runs"][0]
        return found


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(capsys)


def group_of(account: World) -> str:
    groups = account.client("elbv2").describe_target_groups()["TargetGroups"]
    return str(groups[0]["TargetGroupArn"])


def _instances(account: World) -> set[str]:
    found = account.client("ec2").describe_instances()["Reservations"]
    return {item["InstanceId"] for part in found for item in part["Instances"]}


def make_one_ill(account: World) -> None:
    """One of the two targets fails its checks from now on."""
    elb, group = account.client("elbv2"), group_of(account)
    first = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"][0]
    account.strict.set_target_unhealthy(group, first["Target"]["Id"])


NOT_READY = ["2 of 2 targets of target_group.web aren't healthy yet (initial)", "load_balancer.public is provisioning"]


def test_it_ends_when_all_is_made_and_says_what_isnt_ready(account: World, run: Run) -> None:
    began = account.clock.now()
    told = run(*APPLY, "--no-wait", spec=demo())
    assert account.clock.now() - began < 60, "a load balancer alone takes longer"
    assert told[-6:-2] == ["Not ready yet:", *(f"  {line}" for line in NOT_READY), CLOSING]
    assert re.fullmatch(r"16 created in \d+s\.", told[-2])
    assert told[-1].startswith("http://")
    assert "Converged." not in told
    record = run.record()
    assert (record["result"], record["not_ready"], list(record["times"])) == ("corrected", NOT_READY, ["took"])
    assert [f"      not ready: {line}" for line in NOT_READY] == run("history", FILE)[-2:]
    shown = run("status", FILE)
    assert [line for line in shown if "ready" in line] == [f"Not ready: {line}" for line in NOT_READY]
    assert json.loads("\n".join(run("status", "--format", "json", FILE)))["not_ready"] == NOT_READY


def test_the_next_apply_waits_and_then_nothing_is_left(account: World, run: Run) -> None:
    run(*APPLY, "--no-wait", spec=demo())
    assert account.plan(demo()).is_empty
    told = run(*APPLY)
    assert "Converged." in told
    assert any(re.fullmatch(r"Waited [23]m \d+s, first healthy target after [23]m \d+s\.", line) for line in told)
    record = run.record()
    assert (record["result"], record["not_ready"]) == ("in_sync", [])
    assert not [line for line in run("status", FILE) if "ready" in line.lower()]
    assert json.loads("\n".join(run("status", "--format", "json", FILE)))["not_ready"] == []
    told = run(*APPLY, "--no-wait")
    assert "Converged." in told
    assert CLOSING not in told


def test_a_roll_waits_for_health_all_the_same(account: World, run: Run) -> None:
    account.converge(demo())
    rolled = edited(demo(), "instances/web/user_data", "#!/bin/sh\n")
    began = account.clock.now()
    told = run(*APPLY, "--no-wait", "--allow", "replace=4", spec=rolled)
    assert account.clock.now() - began > 60, "each new target stays healthy for 30 s before an old one leaves"
    assert "Converged." in told
    assert account.plan(rolled).is_empty
    told = run(*APPLY, spec=edited(demo(), "instances/web/user_data", "#!/bin/sh\n: again\n"))
    assert list(run.record()["times"]) == ["converged", "took"], "what answered before isn't ready again"
    assert re.fullmatch(r"4 replaced in \d+m \d+s\.", told[told.index("Converged.") + 1])
    told = run(*APPLY)
    assert told[told.index("Converged.") + 1].startswith("http://"), "nothing was to be done, nor waited for"


def test_apply_ends_badly_where_a_target_is_ill(account: World, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run(*APPLY, spec=demo())
    make_one_ill(account)
    account.clock.advance(300)
    assert "  1 of 2 targets of target_group.web isn't healthy (unhealthy)" in run(*APPLY, "--no-wait")
    assert main([*APPLY, "--no-wait", "--verify"]) == 64
    assert "argument --verify: not allowed with argument --no-wait" in capsys.readouterr().err
    assert main([*APPLY, "--timeout", "20s"]) == 1
    said = capsys.readouterr()
    assert "Applied, but some targets are not healthy:\n  waited 20 s for: target" in said.err
    assert "Converged." not in said.out
    record = run.record()
    assert record["result"] == "failed"
    assert any("waited 20 s for: target" in text for text in record["not_ready"])


def test_status_names_what_is_missing(account: World, run: Run) -> None:
    told = run("status", "--detailed-exitcode", FILE, spec=demo(), code=2)
    assert told[-2] == "The stack has no resources here: run apply, or adopt if they exist already."
    assert "`alb-reconcile stacks --region us-east-1` lists" in told[-1]
    account.converge(demo())
    account.client("ec2").terminate_instances(InstanceIds=[min(_instances(account))])
    account.clock.advance(3600)
    told = run("status", FILE)
    missing = [line.split() for line in told if line.endswith("  missing")]
    number = missing[0][0][-1]
    assert missing == [[f"instance.web-{number}", "missing"], [f"registration.web/web-{number}:80", "missing"]]
    assert "Not ready: 2 resources are missing; plan shows what apply would make" in told
    data = json.loads("\n".join(run("status", "--format", "json", FILE)))
    assert {"address": f"instance.web-{number}", "id": "", "status": "missing"} in data["resources"]
    assert data["not_ready"] == ["2 resources are missing; plan shows what apply would make"]
    run(*APPLY)
    assert not [line for line in run("status", FILE) if "missing" in line]


def test_status_says_of_a_stack_that_is_gone_what_plan_says_and_the_apply_that_makes_it_again_mends_drift(
    account: World, run: Run
) -> None:
    run(*APPLY, spec=demo())
    account.destroy(demo())
    account.clock.advance(4000)
    lost = f"nothing has its tags any more, and {UNRECORDED_END}"
    told = run("status", FILE)
    assert told[-4] == "The stack has no resources here: run apply, or adopt if they exist already."
    assert re.fullmatch(rf"Last applied on this host .*, from {FILE}\.", told[-3])
    assert told[-2].startswith(f"Warning: {lost}; made anew, load_balancer.public gets another DNS name: ")
    (warning,) = json.loads("\n".join(run("status", "--format", "json", FILE)))["warnings"]
    assert told[-2] == f"Warning: {warning}"
    assert f"Warning: {lost}" in run("status", "--stack", "demo", "--region", "us-east-1"), (
        "which knows no load balancer"
    )
    run(*APPLY)
    steps = {step["key"]: step for step in run.record()["steps"]}
    assert {step["cause"] for step in steps.values()} == {"drift"}
    assert steps["create:load_balancer.public"]["reason"].startswith("another DNS name than before, ")


def test_status_tells_two_of_an_address_apart_and_exits_with_2(account: World, run: Run) -> None:
    """A roll that ended when the new instance was healthy and the old one not yet gone."""
    spec = edited(demo(), "instances/web/count", 1)
    account.converge(spec)
    assert run("status", "--detailed-exitcode", FILE, spec=spec)
    (old,) = _instances(account)
    rolled = edited(spec, "instances/web/user_data", "#!/bin/sh\n")
    Faults(account).refuse("deregister_targets", "OperationNotPermitted", times=1)
    run(*APPLY, spec=rolled, code=1)
    (new,) = _instances(account) - {old}
    told = run("status", FILE)
    both = [line for line in told if re.match(r"  \S+[./]web-1(:80)? ", line)]
    rows = [re.sub(r"since \S+ \S+Z; ", "", line).split(maxsplit=3) for line in both]
    assert sorted(rows) == sorted(
        [address, status, f"{known}{port}", what]
        for known, what in ((new, "apply keeps it"), (old, "apply deletes it once enough others are healthy"))
        for address, status, port in (
            ("instance.web-1", "running", ""),
            ("registration.web/web-1:80", "healthy", ":80"),
        )
    )
    assert len([line for line in told if "  since 20" in line]) == 2, "instances have a time"
    account.strict.set_target_unhealthy(group_of(account), new)
    account.clock.advance(60)
    told = [line for line in run("status", FILE) if new in line]
    assert all(line.endswith("; apply keeps it and waits until it is healthy") for line in told), told
    run(*APPLY, spec=spec)  # what that run left is nobody's drift
    assert not [line for line in run("history", FILE) if "✓" in line]


def test_status_says_that_a_destroy_was_begun(account: World, run: Run) -> None:
    account.converge(demo())
    ec2 = account.client("ec2")
    subnet = ec2.describe_subnets(Filters=[{"Name": "tag-key", "Values": ["alb-reconcile:stack"]}])["Subnets"][0]
    ec2.create_network_interface(SubnetId=subnet["SubnetId"])  # somebody's, which keeps the subnet
    assert account.apply(demo(), destroy=True).failures
    told = "Not ready: a destroy of this stack was begun: apply takes it back and makes again what is gone; destroy finishes it"
    lines = run("status", FILE, spec=demo())
    assert told in lines
    assert not any("plan shows what apply would make" in line for line in lines)
    assert told in run("status", "--stack", "demo", "--region", "us-east-1")


@pytest.mark.parametrize(
    ("words", "apply"),
    [((FILE,), f"`alb-reconcile apply {FILE}`"), (("--stack", "demo", "--region", "us-east-1"), "apply of its spec")],
)
def test_a_destroy_that_ends_early_says_both_ways_to_go(
    account: World, run: Run, words: tuple[str, ...], apply: str
) -> None:
    run(*APPLY, spec=demo())
    Faults(account).refuse("delete_vpc", "DependencyViolation", times=999)
    assert main(("destroy", "--yes", *words)) == 1
    assert run.capsys.readouterr().err.splitlines()[-1] == (
        f"Nothing is rolled back. To keep the stack: {apply} makes again what is gone. To finish: run destroy again."
    )


@pytest.mark.parametrize("number", [1, 2])
def test_status_says_who_does_not_run(account: World, run: Run, number: int) -> None:
    account.converge(demo())
    ids = sorted(_instances(account))[:number]
    account.client("ec2").stop_instances(InstanceIds=ids)
    account.clock.advance(90)
    told = run("status", "--detailed-exitcode", FILE, spec=demo(), code=2)
    told = [line.removeprefix("Not ready: ") for line in told if line.startswith("Not ready: ")]
    start = f"{number} of 2 targets of target_group.web "
    nobody = f"{start}are unused, so it serves nobody"
    assert told[0] == (nobody if number == 2 else f"{start}isn't healthy (unused)")
    assert [re.sub(r"\d", "N", line) for line in told[1:]] == ["instance.web-N is stopped"] * number
    if number == 2:
        without = run("status", "--detailed-exitcode", "--stack", "demo", "--region", "us-east-1", code=2)
        assert f"Not ready: {told[0]}" in without
    spec = edited(demo(), "instances/web/state", "any")
    told = [line for line in run("status", FILE, spec=spec) if "ready" in line]
    assert told == [f"Not ready: {nobody}"] * (number - 1), "the spec leaves it to others whether they run"


def test_status_says_what_differs_from_the_spec(account: World, run: Run) -> None:
    """An ingress rule that somebody removed, so that nobody gets in; then a spec that isn't applied yet, and part of it."""
    account.converge(demo())
    in_order = run("status", "--detailed-exitcode", FILE, spec=demo())
    assert not [line for line in in_order if "iffers" in line]
    ec2 = account.client("ec2")
    where = [{"Name": "tag:Name", "Values": ["demo-load-balancer"]}]
    (group,) = ec2.describe_security_groups(Filters=where)["SecurityGroups"]
    ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])
    told = run("status", "--detailed-exitcode", FILE, code=2)
    assert told[-3:-1] == [
        "Differs from the spec: security_group_rules.load-balancer; `alb-reconcile plan spec.yaml` shows how", ""
    ]  # fmt: skip
    shut = "no security group of load_balancer.public lets clients in on port 80, so it serves nobody"
    assert [line for line in told if "ready" in line] == [f"Not ready: {shut}"]
    data = json.loads("\n".join(run("status", "--format", "json", FILE)))
    assert (data["differs"], data["not_ready"]) == (["security_group_rules.load-balancer"], [shut])
    run("status", "--detailed-exitcode", "--stack", "demo", "--region", "us-east-1", code=2)
    run(*APPLY)
    rolled = edited(demo(), "instances/web/user_data", "#!/bin/sh\n")
    told = run("status", "--detailed-exitcode", FILE, spec=rolled, code=2)
    addresses = "instance.web-1, instance.web-2, registration.web/web-1:80, registration.web/web-2:80"
    line = f"Differs from the spec: {addresses}; `alb-reconcile plan spec.yaml` shows how"
    assert [item for item in told if "ready" in item or "iffers" in item] == [line]


@pytest.mark.parametrize("operation", ["target_health", "load_balancers", "security_groups"])
def test_status_shows_the_rest_where_a_read_is_denied(account: World, run: Run, operation: str) -> None:
    """What couldn't be read is named, and neither missing, nor shut, nor different."""
    account.converge(demo())
    run("status", FILE, spec=demo())
    faults = Faults(account)
    for words in ((FILE,), ("--stack", "demo", "--region", "us-east-1")):
        faults.refuse(f"describe_{operation}", "AccessDenied", times=9)
        told = run("status", "--detailed-exitcode", *words, code=1)
        assert ["vpc.main", "available"] in [line.split()[:2] for line in told]
        assert not [line for line in told if "eady" in line or "missing" in line or "iffers" in line], told
        (unknown,) = (line for line in told if line.startswith("Unknown: "))
        assert f": Describe{operation.title().replace('_', '')}: AccessDenied" in unknown
    data = json.loads("\n".join(run("status", "--format", "json", FILE, code=1)))
    assert unknown == f"Unknown: {', '.join(data['unknown'][0]['kinds'])}: {data['unknown'][0]['error']}"
    faults.refusals.clear()
    assert not [line for line in run("status", "--detailed-exitcode", FILE) if "nknown" in line]


def test_status_needs_no_spec(account: World, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    account.converge(demo())
    shown = run("status", "--stack", "demo", "--region", "us-east-1")
    assert shown[0].startswith("demo · us-east-1 · account ")
    assert len([line for line in shown if "instance.web-" in line]) == 2
    assert not [line for line in shown if "not this stack's" in line]
    assert main(["status", "--stack", "demo", "--region", "us-east-1", FILE]) == 64
    assert "status takes SPEC or --stack NAME, not both" in capsys.readouterr().err
