"""Elastic IP addresses of a rolled group: runs that are killed, reads that lag, and an instance behind each at every moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.at_length import SOAK
from tests.kinds.hand import LINUX_2
from tests.kinds.test_elastic_ip_association import behind
from tests.properties.watched import WatchedWorld, watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import Spec

EVERY = 1 if SOAK else 12
ROLLED = behind(image_id=LINUX_2)
IN_GAPS = behind(image_id=LINUX_2, rollout={"max_surge": 0, "max_unavailable": 1})


class Answering(WatchedWorld):
    """A world that looks, before each of our calls, whether each address still has a running instance, once it has had one."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.had = 0
        self.lost: list[str] = []

    def sample(self, operation: str = "") -> None:
        super().sample(operation)
        if len(self.held) < self.had:
            self.lost.append(operation)
        self.had = max(self.had, len(self.held))

    @property
    def held(self) -> dict[str, str]:
        """The entry of the instance that has an address, by the address's own entry."""
        pairs = [(item, item.eni.instance) for item in self.account.ec2.addresses if item.eni and item.eni.instance]
        return {self._tag(item.id): self._tag(who.id) for item, who in pairs if who.state == "running"}

    def _tag(self, resource: str) -> str:
        return str(self.account.ec2.tags.get(resource, {}).get("alb-reconcile:address", ""))


@pytest.fixture
def world() -> Iterator[Answering]:
    with watched() as fresh:
        yield Answering(fresh.strict, fresh.clock)


def test_a_roll_leaves_no_address_without_an_instance(world: Answering) -> None:
    world.converge(behind())
    world.had = len(world.held)
    world.converge(ROLLED)
    assert world.lost == []
    assert len(world.held) == 2


@pytest.mark.parametrize("lag", [0.0, 20.0])
@pytest.mark.parametrize("spec", [ROLLED, IN_GAPS], ids=["surge", "gaps"])
def test_a_killed_roll_is_finished(world: Answering, spec: Spec, lag: float) -> None:
    world.converge(behind())
    with world.moments() as found:
        world.converge(spec)
    ended = world.held
    for moment in found[EVERY // 2 :: EVERY * (3 if lag else 1)]:
        world.go_back(moment)
        world.strict.lag = lag
        for _ in range(3):
            if (rest := world.apply(spec).rest) is not None and rest.is_empty:
                break
        assert world.plan(spec).is_empty, moment.words
        assert world.held == ended, moment.words


def test_a_killed_creation_is_finished(world: Answering) -> None:
    with world.moments() as found:
        world.converge(behind())
    for moment in found[EVERY // 2 :: EVERY]:
        world.go_back(moment)
        world.converge(behind())
        assert len(world.held) == 2, moment.words
        assert len(world.account.ec2.addresses) == 2


def test_a_version_that_never_gets_healthy_gets_no_address(world: Answering) -> None:
    world.converge(behind())
    ids = {item.id for item in world.account.instances()}

    def verdict(group: str, target: str, _: int) -> Any:
        return "unhealthy" if target not in ids else None

    world.strict.health = verdict
    for _ in range(2):
        assert any("healthy" in text for text in world.apply(ROLLED).failures)
        assert {item.eni.instance.id for item in world.account.ec2.addresses} == ids
    world.converge(behind())
    assert {item.eni.instance.id for item in world.account.ec2.addresses} == ids
    world.strict.health = None
    world.converge(ROLLED)
    assert len(world.held) == 2
