"""Whether target groups may take over: by what the run itself does, which reads don't show yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alb_reconcile.kinds._health import target_key, wait_for_shift
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.steps import Shift, Wanted
from tests.harness import World, demo
from tests.plan.targets import ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from alb_reconcile.aws.client import Aws

EMPTY = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/empty/0123456789abcdef"
"""A group that no read shows a target of."""


def takes_over(here: World, knows: Callable[[Run, str], None], least: int = 2, serving: str = "") -> bool:
    """Whether the group with two healthy targets gets the requests, where it is to have `least`. `knows` is given one of the targets."""
    here.converge(demo())
    known = ids(here, demo())
    group = known["target_group.web"]

    async def main(aws: Aws) -> bool:
        run = Run(aws, "demo")
        knows(run, target_key(group, known["instance.web-1"], 80))
        try:
            await wait_for_shift(run, Shift((Wanted(group, least, least),), serving=(serving or group,)))
        except RefusedError as error:
            return "healthy targets, and needs" not in str(error)
        return True

    found: bool = here._run(main)
    return found


def goes(run: Run, key: str) -> None:
    run.targets.expect(leaving=[key], resting=[])


def has_gone(run: Run, key: str) -> None:
    run.targets.take_out(key)


def is_registered_again(run: Run, key: str) -> None:
    """Another instance may have got the address of the one that goes."""
    goes(run, key)
    run.targets.bring_in(key)


def is_back(run: Run, key: str) -> None:
    run.targets.take_out(key)
    run.targets.put_back(key)


@pytest.mark.parametrize("knows", [goes, has_gone])
def test_a_target_that_goes_in_this_run_doesnt_count(here: World, knows: Callable[[Run, str], None]) -> None:
    assert not takes_over(here, knows)
    assert takes_over(here, knows, least=1)


@pytest.mark.parametrize("knows", [is_registered_again, is_back])
def test_one_that_this_run_registers_counts(here: World, knows: Callable[[Run, str], None]) -> None:
    assert takes_over(here, knows)


@pytest.mark.parametrize("was_healthy", [False, True])
def test_a_group_whose_healthy_target_is_restarted_serves_meanwhile(here: World, *, was_healthy: bool) -> None:
    """Where nobody serves there is nothing to lose, so that nothing is waited for."""

    def is_away(run: Run, _: str) -> None:
        run.targets.expect(leaving=[], resting=[f"{EMPTY}|i-1:80"] if was_healthy else [])
        run.targets.take_out(f"{EMPTY}|i-1:80")

    assert takes_over(here, is_away, least=3, serving=EMPTY) is not was_healthy
