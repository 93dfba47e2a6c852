"""A proxy's page in the place of AWS's answers: a step fails, the report comes, and the next run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.at_length import only_at_length
from tests.e2e.test_killed import is_whole
from tests.e2e.tool import DEMO
from tests.processes import rest_of

if TYPE_CHECKING:
    from tests.e2e.proxy import Proxy
    from tests.e2e.tool import Account, Tool

PAGE = b"<html><body><p>Please sign in</p></body></html>"
CREATES = (
    "CreateVpc", "CreateSubnet", "CreateInternetGateway", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress",
    "RunInstances", "CreateLoadBalancer", "CreateTargetGroup", "RegisterTargets", "CreateListener",
)  # fmt: skip


def test_in_the_place_of_a_list(proxied: tuple[Proxy, Tool]) -> None:
    """It isn't an empty one, or all would be made again."""
    proxy, tool = proxied
    tool.run("apply", "--yes", DEMO)
    proxy.replaced["DescribeVpcs"] = PAGE
    told = tool.run("plan", DEMO, expect=1)
    assert told.stderr.count("\n") == 1, told.stderr
    assert "answered status 200" in told.stderr
    assert "Please sign in" in told.stderr
    assert tool.plan()["steps"] == []


def test_in_the_place_of_what_was_made(proxied: tuple[Proxy, Tool], account: Account) -> None:
    """Of each create once: the call has taken effect, and nothing is made twice."""
    (proxy, tool), before, runs = proxied, account.census(), 0
    proxy.replaced = dict.fromkeys(CREATES, PAGE)
    while proxy.replaced:
        left = len(proxy.replaced)
        with tool.forked("apply", "--yes", DEMO) as process:
            told = rest_of(process)
        runs += 1
        assert "Traceback" not in told
        assert process.returncode in (0, 1)
        assert (process.returncode == 1) == ("InvalidResponse" in told), told
        assert len(proxy.replaced) < left, f"the demo doesn't call {sorted(proxy.replaced)}"
    assert runs > 1
    tool.run("apply", "--yes", DEMO)
    is_whole(tool, account, before)


@only_at_length("tests/e2e/test_foreign_answers.py::test_in_the_place_of_what_was_made")
def test_in_the_place_of_a_poll(proxied: tuple[Proxy, Tool], account: Account) -> None:
    """What was done is reported all the same."""
    (proxy, tool), before = proxied, account.census()
    proxy.replaced["DescribeTargetHealth"] = PAGE
    with tool.forked("apply", "--yes", DEMO) as process:
        told = rest_of(process)
    assert process.returncode in (0, 1)
    assert "Traceback" not in told
    assert not proxy.replaced
    assert "created" in told
    tool.run("apply", "--yes", DEMO)
    is_whole(tool, account, before)
