"""For a pair of specs A → B: one apply leads from A to B, with capacity kept, and destroy leaves nothing. `test_changes.py` draws such pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alb_reconcile.kinds.registration import Registration
from alb_reconcile.kinds.registration import kind as registration
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import each_of
from tests.harness import demo, load
from tests.properties.watched import portrait, watched

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alb_reconcile.model.resource import Desired
    from tests.harness import Spec
    from tests.properties.watched import WatchedWorld

ALLOW = {
    "close": 9,
    "gap": 9,
    "empty-target-group": 9,
    "delete": 999,
    "replace": 999,
    "replace-load-balancer": 9,
    "delete-elastic-ip": 9,
    "delete-load-balancer": 9,
}
SETTLED = 600
"""Seconds after a run in which each target has become as healthy as it gets."""


def test_a_restarted_instance_returns_to_a_group_that_nobody_checks() -> None:
    """Found: its registration waited for health in vain where the only rule that forwards to the group goes."""
    before, after = demo(), demo()
    listener = before["load_balancers"]["public"]["listeners"]["http"]
    listener["rules"] = {
        "soon": {"priority": 10, "conditions": [{"path_pattern": "/v2/*"}], "action": {"forward": "web"}}
    }
    for spec in (before, after):
        spec["load_balancers"]["public"]["listeners"]["http"]["default_action"] = {
            "fixed_response": {"status_code": 404}
        }
        spec["instances"]["web"]["type_change"] = "in-place"
        spec["instances"]["web"]["rollout"] = {"max_unavailable": 1}
    after["load_balancers"]["public"]["listeners"]["http"].pop("rules", None)
    after["instances"]["web"]["instance_type"] = "t3.small"
    check_pair(before, after)


def test_instances_that_any_state_suits_stay_stopped() -> None:
    """Found: a fresh stack has them running, and registered, which was held against the one that let them rest."""
    before, after = demo(), demo()
    for spec, state in ((before, "stopped"), (after, "any")):
        spec["instances"]["web"]["rollout"] = {"max_unavailable": 0}
        spec["instances"]["api"] = {**spec["instances"]["web"], "state": state}
        spec["target_groups"]["api"] = {**spec["target_groups"]["web"], "targets": ["api"]}
    check_pair(before, after)


def test_a_program_that_waits_for_no_target_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found: it was judged by how many targets were healthy as its runs ended, which are none if it doesn't wait for them."""

    async def at_once(*_: object) -> None:
        """Whatever is to be waited for."""

    for name in ("wait_until_healthy", "keep_capacity"):
        monkeypatch.setattr(registration, name, at_once)
    after = demo()
    after["instances"]["web"]["user_data"] = "#!/bin/sh\nexec web-api --new\n"
    with pytest.raises(AssertionError, match="must be 2"):
        check_pair(demo(), after)


def check_pair(before: Spec, after: Spec) -> None:
    """All that must hold of a pair."""
    wished = after
    with watched() as world:
        world.add_strangers()
        empty = world.strict.inventory()
        before, after = world.localized(before), world.localized(after)
        world.converge(before, may_be_shut=True)
        world.clock.advance(SETTLED)
        start = world.served()
        was_dark = world.is_dark()
        world.watch()
        world.converge(after, check=False, may_be_shut=True)
        check_capacity(world, before, after, start)
        assert was_dark or world.is_dark() or not world.dark, world.dark
        check_ways_out(world, before, after)
        plan = world.plan(after)
        assert plan.is_empty
        resting = {note.partition(": ")[0] for note in plan.kept if "its instance is stopped" in note}
        found = portrait(world, after)
        world.destroy(after)
        assert world.strict.inventory() == empty
    with watched() as fresh:
        fresh.add_strangers()
        after = fresh.localized(wished)
        fresh.converge(after, may_be_shut=True)
        other = portrait(fresh, after)
        unequal = {key: (found[key], other[key]) for key in other.keys() - resting if found[key] != other[key]}
        assert not unequal, unequal


def check_capacity(world: WatchedWorld, before: Spec, after: Spec, start: Mapping[str, tuple[str, int]]) -> None:
    """No group that one load balancer sends requests to before and after had fewer healthy targets than the lesser
    of its two minima, and none that gets no more requests fewer than its first one, as long as it got them. (With another load
    balancer, which has another DNS name, nobody is served throughout.)"""
    first, last = load(before).desired, load(after).desired
    moment = world.moment()
    world.clock.advance(SETTLED)  # a run that waits for no target would else be judged by none
    end = world.served()
    world.go_back(moment)
    for name in start:
        group = name.partition(".")[2]
        floor = min(minimum(first, group, first), minimum(first, group, last), start[name][1])
        if name in end:
            floor = min(floor, end[name][1])
        if name in end or has_targets(last, group):
            floor = min(floor, minimum(last, group, last))
        if start[name][0] != end[name][0] if name in end else start[name][0] not in world.account.elb.load_balancers:
            continue
        low = world.lows.get(name)
        assert low is None or low.healthy >= floor, f"{name}: {low}, must be {floor}"


def check_ways_out(world: WatchedWorld, before: Spec, after: Spec) -> None:
    """No subnet was without a way that it had and has. A table takes one route to a service, so that an endpoint whose entry is
    renamed has to give way first; and a new table has its endpoints' routes when it has its subnets (docs/rollout.md)."""
    is_renamed = any(
        before.get(key, {}).keys() != after.get(key, {}).keys() for key in ("vpc_endpoints", "route_tables")
    )
    gaps = {way: call for way, call in world.gaps().items() if not (is_renamed and way[1].startswith("pl-"))}
    assert not gaps, gaps


def has_targets(desired: Mapping[Address, Desired], group: str) -> bool:
    """Whether a spec has targets for a group."""
    return any(
        str(state.target_group) == f"target_group.{group}" for _, state in each_of(desired.values(), Registration)
    )


def minimum(desired: Mapping[Address, Desired], group: str, paces: Mapping[Address, Desired]) -> int:
    """count − max_unavailable of a target group's targets, paced as the spec with `paces` says."""
    total, slack = 0, 0
    for _, state in each_of(desired.values(), Registration):
        if str(state.target_group) != f"target_group.{group}":
            continue
        instance = desired.get(state.target) if isinstance(state.target, Address) else None
        total += getattr(instance and instance.state, "state", None) != "stopped"
        paced = paces.get(state.target, instance) if isinstance(state.target, Address) else None
        slack = max(slack, paced.lifecycle.rollout.max_unavailable if paced else 0)
    return max(total - slack, 0)
