"""`sync` as cron, a timer or a container runs it: its exit codes, many stacks at once, its loop and its signals."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.tool import DEMO
from tests.processes import read_until, rest_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.proxy import Proxy
    from tests.e2e.tool import Account, Tool

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
