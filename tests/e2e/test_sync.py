"""`sync` as cron, a timer or a container runs it: its exit codes, many stacks at once, its loop and its signals."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.at_length import only_at_length
from tests.e2e.tool import DEMO
from tests.processes import GUARD, read_until, rest_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.proxy import Proxy
    from tests.e2e.tool import Account, Ended, Tool

SMALL = """
stack: {stack}
region: us-east-1
vpcs:
  main: {{cidr_block: {cidr}}}
security_groups:
  web: {{description: web, ingress: [{{protocol: tcp, port: 80, cidr_block: 10.0.0.0/8}}]}}
"""


@pytest.fixture
def stacks(sandbox: Tool) -> Path:
    """A folder with two small stacks, applied."""
    folder = sandbox.folder / "stacks"
    folder.mkdir()
    for number, name in enumerate(("one", "two")):
        (folder / f"{name}.yaml").write_text(SMALL.format(stack=name, cidr=f"10.{number}.0.0/16"))
    sandbox.run("apply", "--yes", "stacks/one.yaml", "stacks/two.yaml")
    return folder


def disturb(account: Account, stack: str) -> None:
    """Somebody renames the stack's VPC."""
    (vpc,) = account.ec2.describe_vpcs(Filters=[{"Name": "tag:alb-reconcile:stack", "Values": [stack]}])["Vpcs"]
    account.ec2.create_tags(Resources=[vpc["VpcId"]], Tags=[{"Key": "Name", "Value": "other"}])


def report(ended: Ended) -> dict[str, Any]:
    """The JSON report's results by stack."""
    found = json.loads(ended.stdout)
    return {item["stack"]: item["result"] for item in found["stacks"]}


@only_at_length("tests/golden/test_golden_sync.py::test_sync")
def test_drift_is_corrected_in_the_stack_that_has_it(sandbox: Tool, stacks: Path, account: Account) -> None:
    """Log lines are JSON where nobody watches."""
    del stacks
    disturb(account, "two")
    ended = sandbox.run("sync", "--format", "json", "stacks")
    assert report(ended) == {"one": "in_sync", "two": "corrected"}
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert {"stack": "two", "event": "step_done"}.items() <= next(
        line for line in lines if line["event"] == "step_done"
    ).items()
    assert sandbox.run("sync", "-q", "stacks/*.yaml").stdout == ""
    assert "one  in sync\ntwo  in sync\n2 stacks in " in sandbox.run("sync", "stacks").stdout


@only_at_length("tests/golden/test_golden_sync.py::test_sync_leaves")
def test_what_is_left_is_named(sandbox: Tool, stacks: Path) -> None:
    """A spec that isn't applied, beside a stack that is in order; quietly, so that cron sends a mail of just that."""
    file = stacks / "one.yaml"
    file.write_text(file.read_text() + "  more: {description: more}\n")
    ended = sandbox.run("sync", "-q", "stacks", expect=2)
    assert "· create security_group.more not applied (spec): the spec has changed" in ended.stdout
    assert "two" not in ended.stdout.replace("2 stacks", "")
    assert ended.stderr == ""
    assert "✓ create security_group.more sg-" in sandbox.run("sync", "--apply-changes", "stacks").stdout
    history = json.loads(sandbox.run("history", "--format", "json", str(file)).stdout)
    assert [run["result"] for run in history["runs"]] == ["corrected", "left", "corrected"]


def test_broken_specs_dont_stop_the_others(sandbox: Tool, stacks: Path, account: Account) -> None:
    """Nor two files for one stack, of which none is touched."""
    disturb(account, "two")
    (stacks / "bad.yaml").write_text("stack: bad\nregion: nowhere\n")
    (stacks / "again.yml").write_text((stacks / "one.yaml").read_text())
    (stacks / "notes.txt").write_text("no spec")
    ended = sandbox.run("sync", "stacks", expect=1)
    assert "two  corrected" in ended.stdout
    assert "stacks/bad.yaml:2:9: region: " in ended.stdout
    assert '"one" is also the stack of stacks/again.yml' in ended.stdout
    assert "4 stacks in" in ended.stdout
    assert sandbox.run("sync", "stacks/bad.yaml", expect=3).stdout.count("broken") == 2


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nothing/*.yaml", 'no file matches "nothing/*.yaml"'),
        ("home", 'there is no *.yaml or *.yml in the folder "home"'),
        ("gone.yaml", "gone.yaml:1:1: can't be read"),
        ("gone/", 'there is no folder "gone/"'),
        ("gone", 'there is no file or folder "gone"'),
    ],
)
def test_what_names_no_spec_is_told(sandbox: Tool, place: str, said: str) -> None:
    """A mistake in the command line is one; a file that isn't there is a broken spec like others."""
    ended = sandbox.run("sync", place, expect=3 if place == "gone.yaml" else 64)
    assert said in ended.stdout + ended.stderr


def test_a_stack_that_another_run_holds_is_left_to_it(
    proxied: tuple[Proxy, Tool], stacks: Path, account: Account
) -> None:
    """5 if there was nothing else; else it is only named."""
    proxy, tool = proxied
    disturb(account, "one")
    gate = proxy.hold("CreateTags")
    with tool.forked("apply", "--yes", str(stacks / "one.yaml")) as holder:
        gate.wait()
        ended = tool.run("sync", str(stacks / "one.yaml"), expect=5)
        told = "one  held\n    one (account 123456789012, us-east-1) is held by alb-reconcile apply (user "
        assert told in ended.stdout
        assert "1 in sync, 1 held" in tool.run("sync", str(stacks)).stdout
        quiet = tool.run("sync", "-q", str(stacks / "one.yaml"), expect=5)
        assert (quiet.stdout, quiet.stderr) == ("", "")
        holder.kill()
        rest_of(holder)
    assert "in sync" in tool.run("sync", str(stacks / "one.yaml")).stdout


def test_an_apply_waits_for_a_sync(proxied: tuple[Proxy, Tool], stacks: Path, account: Account) -> None:
    """The other way round; with patience it runs afterwards."""
    (proxy, tool), file = proxied, str(stacks / "one.yaml")
    disturb(account, "one")
    gate = proxy.hold("CreateTags")
    with tool.forked("sync", file) as first:
        gate.wait()
        with tool.forked("apply", "--yes", "--lock-timeout", "1h", file) as second:
            read_until(second, "waiting for alb-reconcile sync")
            gate.open()
            assert "No changes" in rest_of(second)
        rest_of(first)
    assert (first.returncode, second.returncode) == (0, 0)


def test_it_goes_on_for_ever_until_it_is_ended(sandbox: Tool, stacks: Path, account: Account) -> None:
    """SIGHUP begins a round at once, SIGTERM ends it."""
    del stacks
    with sandbox.started("sync", "--every", "1h", "--format", "json", "stacks", stderr=None) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        assert first["summary"]["in_sync"] == 2
        disturb(account, "one")
        process.send_signal(signal.SIGHUP)
        second = json.loads(process.stdout.readline())
        assert second["summary"]["corrected"] == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(GUARD) == 0


def test_sigterm_ends_it_between_steps(proxied: tuple[Proxy, Tool], sandbox: Tool) -> None:
    """What is under way ends, nothing new begins; the next run does the rest."""
    proxy, tool = proxied
    spec, spare = tool.folder / DEMO, "elastic_ips: {spare: {}}\n"
    whole = spec.read_text() + spare
    spec.write_text(f"stack: demo\nregion: us-east-1\ntags: {{service: demo}}\n{spare}")
    sandbox.run("apply", "--yes", str(spec))  # of a stack of which nothing is there it makes nothing
    spec.write_text(whole)
    gate = proxy.hold("CreateVpc")
    with tool.forked("sync", "--apply-changes", DEMO) as process:
        gate.wait()
        process.send_signal(signal.SIGTERM)
        read_until(process, "nothing new starts")
        gate.open()
        told = rest_of(process)
    assert process.returncode == 130
    assert "demo  interrupted" in told
    assert sorted(proxy.changes) == ["CreateInternetGateway", "CreateVpc"]
    sandbox.run("sync", "--apply-changes", str(spec))
    assert "in sync" in sandbox.run("sync", str(spec)).stdout
