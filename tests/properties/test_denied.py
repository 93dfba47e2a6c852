"""Each action that a kind needs is denied: what isn't done, and which action to allow, is told, and with it one run finishes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.kinds import load_kinds
from alb_reconcile.model.errors import ReconcileError
from alb_reconcile.model.text import camel
from tests.harness import READS
from tests.properties.campaign import told
from tests.properties.faults import Denied, spoilt
from tests.properties.scenarios import LAST_STATES, census, finish, look_of
from tests.properties.test_lives import begin, ways_of
from tests.properties.watched import watched

if TYPE_CHECKING:
    from alb_reconcile.kinds.base import IamActions
    from tests.properties.scenarios import Way
    from tests.properties.watched import WatchedWorld

SOAK = bool(os.environ.get("SOAK"))
KINDS = {name: kind for name, kind in load_kinds().items() if kind.properties.service in ("ec2", "elbv2")}
"""An account goes back to what it was as far as these services have it."""


def named(actions: IamActions) -> set[str]:
    """The actions without their services."""
    every = (*actions.read, *actions.look, *actions.create, *actions.update, *actions.delete)
    return {action.partition(":")[2] for action in every}


@pytest.mark.parametrize("kind", KINDS if SOAK else ["rule"])
def test_what_a_kind_may_not_do_is_told_and_the_next_run_finishes(kind: str) -> None:
    """Reads, too; in each part of the life of its example in which the action is called."""
    wrong = list[str]()
    for name, way in ways_of(kind).items():
        with watched() as world:
            begin(world, kind, way)
            start = world.moment()
            world.converge(way.target, **way.run_options)
            called = dict.fromkeys(
                operation for operation, _ in world.log if camel(operation) in named(KINDS[kind].iam_actions)
            )
            world.clock.advance(LAST_STATES)
            good = look_of(world, way), census(world)
            for operation in called:
                world.go_back(start)
                try:
                    check(world, way, operation, good)
                except AssertionError as error:
                    wrong.append(f"{name}, {operation} denied: {error}")
    assert not wrong, "\n\n".join(wrong)


def check(world: WatchedWorld, way: Way, operation: str, good: tuple[Any, Any]) -> None:
    """Once in vain, and then allowed."""
    denied = Denied(operation)
    with spoilt(world, denied):
        try:
            result = world.apply(way.target, **way.run_options)
        except ReconcileError as error:
            said = told(error)
            undone = True
        else:
            said = "\n".join([*result.failures, *result.problems, *result.warnings, *result.plan.warnings])
            undone = bool(result.failures or result.problems)
    assert denied.asked
    if undone or not operation.startswith(READS):  # one can do without some reads
        assert f":{camel(operation)} to this identity" in said, said
    finish(world, way, 1)
    world.clock.advance(LAST_STATES)
    assert (look_of(world, way), census(world)) == good
