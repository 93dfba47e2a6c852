"""SIGKILL before and after the calls that change something: the next run goes on, and nothing is left over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.at_length import SOAK, only_at_length
from tests.e2e.tool import DEMO
from tests.processes import rest_of

if TYPE_CHECKING:
    from tests.e2e.proxy import Proxy
    from tests.e2e.tool import Account, Tool

SAMPLE = [(14, "after"), (22, "before")]
"""The demo's creation makes 25 calls that change something; at length all are tried, and some more."""
ALL = [(number, when) for number in range(1, 31) for when in ("before", "after")]
MADE = {
    "vpcs": 1,
    "subnets": 2,
    "gateways": 1,
    "route tables": 2,  # the VPC's main one too
    "security groups": 3,  # and its default one
    "instances": 2,
    "load balancers": 1,
    "target groups": 1,
    "listeners": 1,
    "targets": 2,
}


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


@pytest.mark.parametrize(("number", "when"), ALL if SOAK else SAMPLE)
def test_a_creation_that_is_killed(proxied: tuple[Proxy, Tool], account: Account, number: int, when: str) -> None:
    (proxy, tool), before = proxied, account.census()
    assert killed(proxy, tool, number, when) or SOAK
    tool.run("apply", "--yes", DEMO)
    is_whole(tool, account, before)


@pytest.mark.parametrize("when", ["before", "after"])
@only_at_length("tests/e2e/test_killed.py::test_a_creation_that_is_killed")
def test_a_creation_that_is_killed_again_and_again(proxied: tuple[Proxy, Tool], account: Account, when: str) -> None:
    (proxy, tool), before, kills = proxied, account.census(), 0
    while killed(proxy, tool, 5, when):
        kills += 1
        assert kills < 25, "it gets nowhere"
    assert kills >= 3
    is_whole(tool, account, before)


@pytest.mark.parametrize(("number", "when"), ALL[:32] if SOAK else [(9, "before")])
def test_a_destroy_that_is_killed(proxied: tuple[Proxy, Tool], account: Account, number: int, when: str) -> None:
    """Nothing is left, and nothing but the stack is gone."""
    (proxy, tool), before = proxied, account.census()
    tool.run("apply", "--yes", DEMO)
    assert killed(proxy, tool, number, when, "destroy") or SOAK
    tool.run("destroy", "--yes", DEMO)
    assert account.census() == before
