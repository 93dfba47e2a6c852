"""Eventual consistency: describes may show the world as it was some seconds ago."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .world import World

# Large, and never changed by a request that the sandbox knows.
SHARED = ("amis", "snapshots", "managed_prefix_lists")


class History:
    """Copies of the world as it was before each change, with the time until which each one held."""

    def __init__(self) -> None:
        self._past: dict[World, list[tuple[float, Any, Any]]] = {}

    def keep(self, world: World, until: float, horizon: float) -> None:
        """The world is about to change: keep what it was, and drop what nobody can look back to."""
        past = [entry for entry in self._past.get(world, []) if entry[0] > horizon]
        self._past[world] = [*past, (until, *copies(world))]

    @contextmanager
    def shown(self, world: World, at: float) -> Iterator[None]:
        """Within the block moto's backends are those of that time."""
        held = next((entry for entry in self._past.get(world, []) if entry[0] > at), None)
        if held is None:
            yield
            return
        present = world.ec2, world.elb
        put_in_place(world, held[1], held[2])
        try:
            yield
        finally:
            put_in_place(world, *present)


def copies(world: World) -> tuple[Any, Any]:
    """moto's backends of the world, as they are now."""
    ec2, elb = world.ec2, world.elb
    memo: dict[int, Any] = {id(getattr(ec2, name)): getattr(ec2, name) for name in SHARED}
    for association in ec2.iam_instance_profile_associations.values():
        memo[id(association.iam_instance_profile)] = association.iam_instance_profile
    return copy.deepcopy(ec2, memo), copy.deepcopy(elb, memo)


def put_in_place(world: World, ec2: Any, elb: Any) -> None:
    from moto.ec2.models import ec2_backends
    from moto.elbv2.models import elbv2_backends

    ec2_backends[world.account][world.region] = ec2
    elbv2_backends[world.account][world.region] = elb
