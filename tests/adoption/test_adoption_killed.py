"""`adopt` and `forget`, killed before and after each call that changes something, and run again; test_move.py does so with `move`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.engine.stack import Options, plan_stack
from tests.adoption.adopting import RUNBOOK_NAMES, Keeper, build_runbook, our_tags, runbook, target_of
from tests.harness import Spec, World, demo

if TYPE_CHECKING:
    from alb_reconcile.model.plan import Step
    from tests.properties.watched import WatchedWorld

pytestmark = pytest.mark.slow


class _Quick(Keeper):
    """Whose runs aren't compared one by one: the whole account is, after them."""

    def _run(self, main: Any, *, writes: str) -> Any:
        return self.world._run(main)


def _steps(world: World, spec: Spec) -> tuple[Step, ...]:
    """Of the next plan, whatever would be too much at once."""
    steps: tuple[Step, ...] = world._run(lambda aws: plan_stack(aws, target_of(spec), Options(check=False))).plan.steps
    return steps


@pytest.mark.parametrize("command", ["adopt", pytest.param("forget", marks=pytest.mark.slow)])
def test_a_command_that_was_killed_is_finished_by_the_same_again(
    world: WatchedWorld, keep: Keeper, command: str
) -> None:
    """All is as if it hadn't been killed, another stack's and what is nobody's included."""
    world.converge({**demo(), "stack": "theirs"})
    theirs, spec = world.strict.inventory(), runbook() if command == "adopt" else demo()
    if command == "adopt":
        build_runbook(world, RUNBOOK_NAMES)
    else:
        world.converge(spec)
    before = our_tags(world)
    with world.moments() as moments:
        getattr(keep, command)(spec)
    assert len(moments) >= 12
    after, steps = world.strict.inventory(), _steps(world, spec)
    assert our_tags(world) != before
    assert theirs.items() <= after.items()
    for moment in moments:
        world.go_back(moment)
        getattr(_Quick(world), command)(spec)
        assert world.strict.inventory() == after, moment.words
        assert _steps(world, spec) == steps, moment.words
