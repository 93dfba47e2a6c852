"""`adopt`, `release` and `move`, killed before and after each call that changes something, and run again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.engine.stack import Options, plan_stack
from tests.adoption.adopting import RUNBOOK_NAMES, Keeper, build_runbook, keeper, our_tags, runbook, target_of
from tests.at_length import SOAK
from tests.harness import Spec, World, demo

if TYPE_CHECKING:
    from alb_reconcile.model.plan import Step


class _Quick(Keeper):
    """Whose runs aren't compared one by one: the whole account is, after them."""

    def _run(self, main: Any, *, writes: set[str]) -> Any:
        return self.world._run(main)


def _with_rule() -> Spec:
    """The demo with a rule, and volumes that carry tags."""
    spec = demo()
    spec["instances"]["web"]["root_volume"] = {"volume_size": 20}
    spec["load_balancers"]["public"]["listeners"]["http"]["rules"] = {
        "soon": {"priority": 9, "conditions": [{"path_pattern": "/v2/*"}], "action": {"forward": "web"}}
    }
    return spec


def _renamed() -> Spec:
    """The same with another name for what `move` moves."""
    spec = _with_rule()
    spec["load_balancers"] = {"door": spec["load_balancers"]["public"]}
    spec["instances"] = {"api": spec["instances"]["web"]}
    spec["target_groups"]["web"]["targets"] = ["api"]
    return spec


@dataclass(frozen=True)
class Case:
    """A command, the account that it finds, and the fewest calls that change something."""

    run: Callable[[Keeper, Spec], Any]
    calls: int
    spec: Callable[[], Spec] = _with_rule
    make: Callable[[World], Any] = lambda world: world.converge(_with_rule())


CASES = {
    "adopt": Case(lambda keep, spec: keep.adopt(spec), 13, runbook, lambda world: build_runbook(world, RUNBOOK_NAMES)),
    "release all": Case(lambda keep, spec: keep.release(spec), 13),
    "release some": Case(lambda keep, spec: keep.release(spec, "load_balancer.public", "instances.web"), 8),
    "move a load balancer": Case(
        lambda keep, spec: keep.move(spec, "load_balancer.public", "load_balancer.door"), 3, _renamed
    ),
    "move instances": Case(lambda keep, spec: keep.move(spec, "instances.web", "instances.api"), 4, _renamed),
}


def _steps(world: World, spec: Spec) -> tuple[Step, ...]:
    """Of the next plan, whatever would be too much at once."""
    steps: tuple[Step, ...] = world._run(lambda aws: plan_stack(aws, target_of(spec), Options(check=False))).plan.steps
    return steps


@pytest.mark.parametrize("name", CASES if SOAK else ["adopt", "move instances"])
def test_a_command_that_was_killed_is_finished_by_the_same_again(name: str) -> None:
    """All is as if it hadn't been killed, another stack's and what is nobody's included."""
    case = CASES[name]
    with keeper() as (world, keep):
        world.converge({**demo(), "stack": "theirs"})
        theirs = world.strict.inventory()
        case.make(world)
        spec, before = case.spec(), our_tags(world)
        with world.moments() as moments:
            case.run(keep, spec)
        assert len(moments) > case.calls
        after, steps = world.strict.inventory(), _steps(world, spec)
        assert our_tags(world) != before
        assert theirs.items() <= after.items()
        for moment in moments:
            world.go_back(moment)
            case.run(_Quick(world), spec)
            assert world.strict.inventory() == after, moment.words
            assert _steps(world, spec) == steps, moment.words
