"""Random walks A → B → C of any specs, each step in one apply: in the end all is as in a stack that was made as C."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from alb_reconcile.model.errors import PlanError, RefusedError
from tests.properties.campaign import account
from tests.properties.near_misses import NEAR_MISSES
from tests.properties.seeds import SOAK, try_seeds
from tests.properties.strategies import GENES, genomes, render
from tests.properties.test_pairs import IN_TWO_STEPS, check_capacity
from tests.properties.watched import portrait

if TYPE_CHECKING:
    from random import Random

    from tests.harness import Spec
    from tests.properties.campaign import Campaign

SHARDS = 5
WALKS = 100


@st.composite
def walks(draw: st.DrawFn) -> list[Spec]:
    """Three specs, each of which differs from the one before in one to eight places."""
    genes = draw(genomes)
    specs = [render(genes)]
    for _ in range(2):
        moved = draw(st.lists(st.sampled_from(sorted(GENES)), min_size=1, max_size=8, unique=True))
        genes = {**genes, **{name: draw(GENES[name]) for name in moved}}
        specs.append(render(genes))
    return specs


def walk(number: int) -> list[Spec]:
    """The same each time, for a seed."""
    found: list[list[Spec]] = []

    @seed(number)
    @settings(max_examples=2, database=None, deadline=None, phases=[Phase.generate])
    @given(walks())
    def draw(specs: list[Spec]) -> None:
        found.append(specs)

    draw()
    return found[-1]  # the first is the simplest one


def step(world: Campaign, here: Spec, there: Spec) -> bool:
    """Go from one spec to another. Returns whether it led there, and wasn't refused since it takes two steps."""
    start = {name: item for name, item in world.served().items() if name not in world.bystanders}
    world.watch()
    try:
        try:
            world.converge(there, check=False, may_be_shut=True)
        except AssertionError as error:
            if "waited" not in str(error) or not _take_out_by_hand(world, there):
                raise
            world.converge(there, check=False, may_be_shut=True)
    except (PlanError, RefusedError) as refused:
        text = str(refused)
    else:
        check_capacity(world, here, there, start)
        return True
    assert any(item in text for item in IN_TWO_STEPS), text
    return False


def _take_out_by_hand(world: Campaign, spec: Spec) -> bool:
    """Deregister, as who has them now has to, the addresses of instances that have gone from groups whose `targets` the spec leaves to
    others. Returns whether there were any."""
    left = {f"target_group.{name}" for name, entry in spec["target_groups"].items() if "targets" not in entry}
    found = world.discover(spec).resources
    arns = {item.id for item in found if str(item.address) in left}
    ill = [item for item in found if item.parent_id in arns and item.status == "unhealthy"]
    for item in ill:
        target, port = item.address.name.rpartition("/")[2].rsplit(":", 1)
        world.client("elbv2").deregister_targets(
            TargetGroupArn=item.parent_id, Targets=[{"Id": target, "Port": int(port)}]
        )
    return bool(ill)


def check(chance: Random) -> None:
    specs = walk(chance.randrange(2**32))
    with account() as world:
        world.add_strangers()
        world.settle_in((chance.choice(NEAR_MISSES),))
        last = specs[0]
        world.converge(world.localized(last), may_be_shut=True)
        for spec in specs[1:]:
            if step(world, world.localized(last), world.localized(spec)):
                last = spec
        first = world.localized(last)
        plan = world.plan(first)
        assert plan.is_empty, [step.key for step in plan.steps]
        resting = {note.partition(": ")[0] for note in plan.kept if "its instance is stopped" in note}
        found = portrait(world, first)
        world.destroy(first)
        world.clock.advance(60)
        assert world.strict.inventory() == world.bystanders
    with account() as fresh:
        fresh.add_strangers()
        last = fresh.localized(last)
        fresh.converge(last, may_be_shut=True)
        other = portrait(fresh, last)
    unequal = {key: (found[key], other[key]) for key in other.keys() - resting if found[key] != other[key]}
    assert not unequal, unequal


@pytest.mark.parametrize("shard", range(SHARDS if SOAK else 1))
def test_where_a_walk_leads_all_is_as_if_it_began_there(shard: int) -> None:
    """The way there leaves nothing behind, and what is others' as it was."""
    del shard  # each tries seeds of its own
    try_seeds(1, WALKS // SHARDS, check)
