"""Data volumes that outlive their instances: rolls that are killed, whatever reads show, lose none and make none twice."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.kinds.hand import LINUX_2
from tests.kinds.test_persistent_volumes import kept
from tests.properties.watched import watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.properties.watched import WatchedWorld

EVERY = 1 if os.environ.get("SOAK") else 10
ROLLED = kept(count=2, image_id=LINUX_2)


@pytest.fixture
def world() -> Iterator[WatchedWorld]:
    with watched() as fresh:
        yield fresh


def held(world: WatchedWorld) -> dict[str, tuple[str, str]]:
    """The volumes that outlive their instances, by id: the address of their instance, and of the one that has it."""
    found = {}
    for volume in world.account.ec2.volumes.values():
        own = world.account.ec2.tags.get(volume.id, {})
        if "alb-reconcile:volume" in own:
            instance = volume.attachment.instance if volume.attachment else None
            has = world.account.ec2.tags.get(instance.id, {}) if instance else {}
            found[volume.id] = (own["alb-reconcile:address"], has.get("alb-reconcile:address", ""))
    return found


@pytest.mark.parametrize("lag", [0.0, 20.0])
def test_a_killed_creation_makes_none_twice(world: WatchedWorld, lag: float) -> None:
    with world.moments() as found:
        world.converge(kept(count=2))
    for moment in found[EVERY // 2 :: EVERY * (2 if lag else 1)]:
        world.go_back(moment)
        world.strict.lag = lag
        for _ in range(3):
            if (rest := world.apply(kept(count=2)).rest) is not None and rest.is_empty:
                break
        assert sorted(held(world).values()) == [(name, name) for name in ("instance.web-1", "instance.web-2")], (
            moment.words
        )


@pytest.mark.parametrize("lag", [0.0, 20.0])
def test_a_killed_roll_gives_each_successor_its_own(world: WatchedWorld, lag: float) -> None:
    world.converge(kept(count=2))
    before = held(world)
    with world.moments() as found:
        world.converge(ROLLED)
    assert held(world) == before
    for moment in found[EVERY // 2 :: EVERY * (2 if lag else 1)]:
        world.go_back(moment)
        world.strict.lag = lag
        for _ in range(3):
            if (rest := world.apply(ROLLED).rest) is not None and rest.is_empty:
                break
        assert world.plan(ROLLED).is_empty, moment.words
        assert held(world) == before, moment.words
