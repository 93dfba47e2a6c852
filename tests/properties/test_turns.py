"""Instances that leave their target groups before they are changed: who goes first, and who waits for whom."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tests.properties.account import LONG, SEEN, Account, account
from tests.properties.test_ill_starts import go
from tests.properties.walks import BASES

if TYPE_CHECKING:
    from tests.harness import Spec

NEXT = "#!/bin/sh\nPORT=80 PORT=8080 exec web-api --version 80-8080-next\n"


def in_place(**entries: int) -> tuple[Spec, Spec]:
    """So many instances of each of these names behind both groups, of which one may be missing; and another type of them all."""
    before = BASES["two ports"]()
    settings = {"type_change": "in-place", "rollout": {"max_unavailable": 1}}
    before["instances"] = {name: before["instances"]["web"] | settings | {"count": n} for name, n in entries.items()}
    for group in before["target_groups"].values():
        group["targets"] = [*entries]
    after = copy.deepcopy(before)
    for entry in after["instances"].values():
        entry["instance_type"] = "t3.large"
    return before, after


def fail(here: Account, spec: Spec, *targets: tuple[str, str]) -> None:
    """Have instances fail in a group as long as they are small."""
    world = here.world
    ids = {str(item.address): item.id for item in world.discover(spec).resources}
    failing = {(ids[f"target_group.{group}"], ids[f"instance.{name}"]) for group, name in targets}

    def health(arn: str, target: str, _: int) -> Any:
        (instance,) = world.account.ec2.get_multi_instances_by_id([target])
        return "unhealthy" if (arn, target) in failing and instance.instance_type == "t3.micro" else None

    world.strict.health = health
    world.sample()
    world.clock.advance(SEEN)
    world.watch()


@pytest.mark.parametrize("number", [0, pytest.param(3, marks=pytest.mark.slow)])
def test_entries_that_share_their_target_groups_take_turns(number: int) -> None:
    """Found: each had left one group, and waited for the other one in the other group; or for who was missing in one of its own."""
    before, after = in_place(web=2, other=2)
    go(before, after, "deregistered", number)
    with account() as here:
        here.begin(before)
        here.world.watch()
        here.world.converge(after, allow={"replace": 9})
        here.world.sample()
        assert {low.healthy for low in here.world.lows.values()} == {3}


@pytest.mark.parametrize("name", ["web-3", pytest.param("web-1", marks=pytest.mark.slow)])
def test_what_fails_in_one_of_its_groups_is_restarted_first(name: str) -> None:
    """Found: another one was to leave first, and waited for the one that fails, which its restart mends."""
    before, after = in_place(web=3)
    with account() as here:
        here.begin(before)
        world = here.world
        fail(here, before, ("web", name))
        world.converge(after, allow={"replace": 9})
        world.sample()
        assert world.lows["target_group.web"].healthy == world.lows["target_group.api"].healthy == 2


@pytest.mark.slow
def test_who_fails_where_others_are_waits_for_no_entry() -> None:
    """Found: an entry waited for another one whose first instance couldn't leave a group before this one's had been mended."""
    before, after = in_place(first=2, other=2)
    for spec in (before, after):
        groups = spec["target_groups"]
        groups["third"] = copy.deepcopy(groups["web"])
        groups["web"]["targets"], groups["third"]["targets"] = ["first"], ["other"]
        rules = spec["load_balancers"]["public"]["listeners"]["http"]["rules"]
        rules["v3"] = {"priority": 20, "conditions": [{"path_pattern": "/v3/*"}], "action": {"forward": "third"}}
    with account() as here:
        here.begin(before)
        fail(here, before, ("web", "first-1"), ("api", "other-1"))
        here.world.converge(after, allow={"replace": 9})
        here.world.sample()
        assert here.world.lows["target_group.api"].healthy == 3


@pytest.mark.slow
def test_who_has_surge_does_not_wait_for_who_has_none() -> None:
    """Found: of two entries with an instance that fails, the one with surge waited for the other one, which waited for its health."""
    before = in_place(gap=2, surge=2)[0]
    for name, surge in (("gap", 0), ("surge", 1)):
        entry = before["instances"][name]
        del entry["type_change"]
        entry["rollout"] = {"max_surge": surge, "max_unavailable": 1}
    after = copy.deepcopy(before)
    for entry in after["instances"].values():
        entry["instance_type"] = "t3.large"
    with account() as here:
        here.begin(before)
        fail(here, before, ("api", "gap-1"), ("web", "surge-1"))
        here.world.converge(after, allow={"replace": 9})


@pytest.mark.slow
def test_who_fails_is_restarted_before_others_are_replaced() -> None:
    """Found: a version that needs a larger type had been stopped at its first instance, which was then restarted last."""
    before, after = in_place(web=2)
    before["instances"]["web"]["rollout"] |= {"max_surge": 0}
    halfway, after = copy.deepcopy(before), copy.deepcopy(after)
    for spec in (halfway, after):
        spec["instances"]["web"]["user_data"] = NEXT
    with account() as here:
        here.begin(before)
        world = here.world
        old = {item.id for item in world.discover(before).resources if item.address.kind == "instance"}

        def health(_: str, target: str, __: int) -> Any:
            (instance,) = world.account.ec2.get_multi_instances_by_id([target])
            return "unhealthy" if target not in old and instance.instance_type == "t3.micro" else None

        world.strict.health = health
        assert world.apply(halfway, allow={"replace": 9}).failures
        world.sample()
        world.clock.advance(LONG)
        after["instances"]["web"]["rollout"] |= {"max_surge": 0}
        world.converge(after, allow={"replace": 9})


@pytest.mark.slow
def test_who_does_not_return_takes_no_turn() -> None:
    """Found: a stack of five entries was put to rest one entry after the other, which took five times as long as one."""
    took = []
    for names in ({"a": 2}, {"a": 2, "b": 2, "c": 2}):
        before, after = in_place(**names)
        after = copy.deepcopy(before)
        for entry in after["instances"].values():
            entry["state"] = "stopped"
        with account() as here:
            here.begin(before)
            began = here.world.clock.now()
            assert not here.world.apply(after, allow={"empty-target-group": 9, "stop": 99}).failures
            took.append(here.world.clock.now() - began)
    assert took[1] < 1.5 * took[0]
