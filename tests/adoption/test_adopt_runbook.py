"""The proof of adoption: what the runbook's commands built by hand, adopted by `specs/runbook.yaml`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.adoption.adopting import RUNBOOK_NAMES, build_runbook, by_address, our_tags, planned, runbook

if TYPE_CHECKING:
    from tests.adoption.adopting import Keeper
    from tests.properties.watched import WatchedWorld


@pytest.mark.slow
def test_the_runbooks_stack_is_adopted_whole_and_plans_to_nothing(world: WatchedWorld, keep: Keeper) -> None:
    """The runbook gives no Name tags in ELB, and a listener's name is nothing that a spec has to say."""
    ids = build_runbook(world, RUNBOOK_NAMES)
    world.watch()
    found = keep.adopt(runbook())
    assert by_address(found) == ids
    assert not found.missing
    assert not found.notes
    plan = world.plan(runbook())
    assert plan.is_empty
    assert planned(found).to_json() == plan.to_json()
    again = keep.adopt(runbook())
    assert not again.taggings
    assert len(again.held) == len(ids)
    assert world.converge(runbook()).writes == {}
    assert {low.healthy for low in world.lows.values()} == {2}


def test_bookkeeping_is_written_as_a_create_would_where_it_is_true(world: WatchedWorld, keep: Keeper) -> None:
    ids = build_runbook(world, RUNBOOK_NAMES)
    keep.adopt(runbook())
    found = our_tags(world)
    instance = ids["instance.web-a-1"]
    assert found[instance]["alb-reconcile:adopted"] == instance
    assert found[instance]["alb-reconcile:image"].startswith("resolve:ssm:")
    assert "alb-reconcile:spec" in found[instance]
    assert all(item["alb-reconcile:name"] == "kept" for key, item in found.items() if not key.startswith("vol-"))
    assert "alb-reconcile:spec" in found[ids["load_balancer.main"]]


def test_what_isnt_as_the_spec_says_isnt_said_to_be(world: WatchedWorld, keep: Keeper) -> None:
    ids = build_runbook(world, RUNBOOK_NAMES)
    spec = runbook()
    spec["load_balancers"]["main"]["tags"] = {"owner": "web"}
    keep.adopt(spec)
    assert "alb-reconcile:spec" not in our_tags(world)[ids["load_balancer.main"]], "a tag isn't there yet"
    world.converge(spec)
    assert "alb-reconcile:spec" in our_tags(world)[ids["load_balancer.main"]]
