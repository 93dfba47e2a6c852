"""What is interrupted and delayed: ways of the demo from one spec to another, and how to tell that all went well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from alb_reconcile.errors import PlanError, RefusedError
from tests.harness import Spec, demo
from tests.properties.watched import portrait, watched

if TYPE_CHECKING:
    from tests.properties.watched import WatchedWorld

GROUP = "target_group.web"
LAST_STATES = 60
"""Seconds after which an instance that is terminated is gone, though nobody waited for it."""


def scaled(count: int) -> Spec:
    """The demo with that many instances."""
    spec = demo()
    spec["instances"]["web"]["count"] = count
    return spec


def rolled(**rollout: Any) -> Spec:
    """The demo with other user data, which replaces its instances."""
    spec = demo()
    spec["instances"]["web"]["user_data"] = "#!/bin/sh\nexec web-api --new\n"
    spec["instances"]["web"]["rollout"] |= rollout
    return spec


def regrouped() -> Spec:
    """The demo on another port, which replaces its target group."""
    spec = demo()
    spec["target_groups"]["web"]["port"] = 8080
    return spec


@dataclass(frozen=True)
class Way:
    """From one spec, or nothing, to another, or nothing; with the healthy targets that there must be throughout."""

    before: Callable[[], Spec] | None
    after: Callable[[], Spec] | None
    floor: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def target(self) -> Spec:
        """The spec of the run."""
        spec = self.after or self.before
        assert spec is not None
        return spec()

    @property
    def run_options(self) -> dict[str, Any]:
        """How `World.apply` is called for it."""
        return {"destroy": self.after is None, **self.options}


WAYS = {
    "create": Way(None, demo),
    "roll": Way(demo, rolled, floor=2),
    "roll in gaps": Way(demo, lambda: rolled(max_surge=0, max_unavailable=1), floor=1),
    "destroy": Way(demo, None),
    "another group": Way(demo, regrouped, floor=2),
    "scale out": Way(demo, lambda: scaled(4), floor=2),
    "scale in": Way(lambda: scaled(4), lambda: scaled(1), floor=1),
}


@cache
def uninterrupted(name: str) -> tuple[dict[str, Any], Counter[str]]:
    """What the way leads to if nothing happens: the stack's portrait, and how many of each sort the account has."""
    way = WAYS[name]
    with watched() as world:
        if way.before:
            world.converge(way.before())
        world.converge(way.target, **way.run_options)
        world.clock.advance(LAST_STATES)
        return look_of(world, way), census(world)


def look_of(world: WatchedWorld, way: Way) -> dict[str, Any]:
    """The portrait of the stack at the end of the way."""
    return portrait(world, way.target) if way.after else {}


def census(world: WatchedWorld) -> Counter[str]:
    """How many of each sort there are in the account, whoever's they are."""
    return Counter(
        key.split(":")[5].split("/")[0] if key.startswith("arn:") else key.split("-")[0]
        for key in world.strict.inventory()
    )


def finish(world: WatchedWorld, way: Way, tries: int) -> None:
    """Run again until all is as wanted. Raises AssertionError with what was wrong each time after so many tries."""
    wrong: list[str] = []
    for _ in range(tries):
        try:
            result = world.apply(way.target, **way.run_options)
        except (PlanError, RefusedError) as error:
            wrong.append(f"{type(error).__name__}: {error}")
            world.clock.advance(world.strict.lag)
            continue
        rest = [step.key for step in result.rest.steps] if result.rest else []
        if not (result.failures or rest or result.problems):
            return
        wrong.append(f"failures {result.failures}, rest {rest}, problems {result.problems}")
    raise AssertionError("\n".join(wrong))


def interrupt(name: str, number: int, when: str, *, lag: float = 0.0, tries: int = 1) -> bool:
    """Go the way, killed before or after its n-th mutating call, and then again. Returns False if there is no n-th."""
    way = WAYS[name]
    look, counts = uninterrupted(name)
    with watched() as world:
        empty = world.strict.inventory()
        if way.before:
            world.converge(way.before())
        world.strict.lag = lag
        world.clock.advance(lag)
        world.watch()
        killed = world.killed_apply(way.target, number, when, **way.run_options)
        if not killed:
            return False
        finish(world, way, tries)
        world.sample()
        low = world.lows.get(GROUP)
        assert not way.floor or (low is not None and low.healthy >= way.floor), f"{low}, must be {way.floor}"
        world.clock.advance(lag + LAST_STATES)
        assert look_of(world, way) == look
        assert census(world) == counts
        world.strict.lag = 0.0
        world.destroy(way.target)
        assert world.strict.inventory() == empty
    return True


def failures_of(
    name: str, when: str, numbers: range, *, lag: float = 0.0, tries: int = 1
) -> tuple[int, list[str]]:
    """Interrupt the way at each of the calls. Returns how many of them there were, and what went wrong at which."""
    wrong, number = [], 0
    for number in numbers:
        try:
            if not interrupt(name, number, when, lag=lag, tries=tries):
                return number, wrong
        except AssertionError as error:
            wrong.append(f"{name} killed {when} call {number}: {error}")
    return number, wrong
