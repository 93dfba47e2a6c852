"""SIGKILL before and after the calls that change something, or a proxy's page as their answer: the next run goes on, and nothing is left over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.tool import DEMO
from tests.processes import rest_of

if TYPE_CHECKING:
    from tests.e2e.proxy import Proxy
    from tests.e2e.tool import Account, Tool

MADE = {
    "vpcs": 1, "subnets": 2, "gateways": 1, "route tables": 2, "security groups": 3, "instances": 2, "load balancers": 1,
    "target groups": 1, "listeners": 1, "targets": 2,
}  # fmt: skip
"""With the VPC's main route table and default security group."""


def killed(proxy: Proxy, tool: Tool, number: int, when: str, command: str = "apply") -> bool:
    """Run, and be killed. Returns False if the run made fewer calls and came to its end."""
    proxy.arm(number, when)
    with tool.forked(command, "--yes", DEMO) as process:
        proxy.victim = process
        rest_of(process)
    proxy.disarm()
    assert process.returncode in (0, -9)
    return process.returncode == -9


def is_whole(tool: Tool, account: Account, before: dict[str, int]) -> None:
    assert tool.plan()["steps"] == []
    assert account.census() == {name: count + MADE[name] for name, count in before.items()}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [2, 8, 14, 20, 24])
def test_a_creation_that_is_killed(proxied: tuple[Proxy, Tool], account: Account, number: int, when: str) -> None:
    """The demo's creation makes 25 calls that change something; tests/properties/test_scenes.py tries each, without processes."""
    (proxy, tool), before = proxied, account.census()
    assert killed(proxy, tool, number, when)
    tool.run("apply", "--yes", DEMO)
    is_whole(tool, account, before)


@pytest.mark.parametrize(("number", "when"), [(1, "after"), (9, "before"), (9, "after"), (14, "before")])
def test_a_destroy_that_is_killed(proxied: tuple[Proxy, Tool], account: Account, number: int, when: str) -> None:
    """Nothing is left, and nothing but the stack is gone."""
    (proxy, tool), before = proxied, account.census()
    tool.run("apply", "--yes", DEMO)
    assert killed(proxy, tool, number, when, "destroy")
    tool.run("destroy", "--yes", DEMO)
    assert account.census() == before


PAGE = b"<html><body><p>Please sign in</p></body></html>"
CREATES = (
    "CreateVpc", "CreateSubnet", "CreateInternetGateway", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress",
    "RunInstances", "CreateLoadBalancer", "CreateTargetGroup", "RegisterTargets", "CreateListener",
)  # fmt: skip


def test_a_proxys_page_in_the_place_of_what_was_made(proxied: tuple[Proxy, Tool], account: Account) -> None:
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
