"""Where cross-zone load balancing is off, each zone of a load balancer keeps a healthy target: in plans, in runs, and in what is said of a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.engine import safety
from alb_reconcile.engine.doors import find_doors
from alb_reconcile.engine.service import judge
from alb_reconcile.model.decisions import subnets_of
from alb_reconcile.model.errors import RefusedError
from tests.doors.scenes import NEW_VERSION, Scene
from tests.doors.test_scenes import plan_of, spec_of
from tests.plan.stacks import Account, base
from tests.properties.test_gate import meanwhile
from tests.properties.watched import WatchedWorld, watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alb_reconcile.engine.doors import Door
    from alb_reconcile.engine.world import World as Model
    from tests.doors.scenes import Edits

CROSS_ZONE = "target_groups/web/attributes/load_balancing.cross_zone.enabled"
OFF = "whose node asks no other zone (cross-zone load balancing is off)"
EMPTY = "has no healthy target in us-east-1"


def zonal(count: int, *, cross_zone: Any = False, **rollout: Any) -> Edits:
    """Instances in two zones in turn."""
    return {CROSS_ZONE: cross_zone, "instances/web/count": count, "instances/web/rollout": rollout}


WITHOUT_SURGE = zonal(2, max_surge=0, max_unavailable=1)
NEW_GROUP = {"target_groups/web/port": 8080}


def test_a_roll_that_empties_a_zone_needs_the_word_and_names_the_zone() -> None:
    """N15: without surge, and no other instance in the zone meanwhile."""
    with pytest.raises(RefusedError, match=EMPTY) as refused:
        plan_of(Scene(NEW_VERSION, have=WITHOUT_SURGE))
    text = str(refused.value)
    assert 'from "delete registration.web/web-1:80" until "replace registration.web/web-1:80" is done' in text
    assert (
        "; set max_surge, or make it with cross-zone load balancing on, and switch that off in a second apply" in text
    )
    assert text.endswith("; or allow it once with --allow gap=1")
    assert plan_of(Scene(NEW_VERSION, have=WITHOUT_SURGE), allow={"gap": 1}).steps


@pytest.mark.parametrize(
    "have",
    [
        zonal(4, max_surge=0, max_unavailable=1),
        zonal(4, max_surge=0, max_unavailable=2),  # those that leave at the same time are in two zones
        zonal(2, max_surge=1),
        zonal(2, cross_zone=True, max_surge=0, max_unavailable=1),
        zonal(2, cross_zone="use_load_balancer_configuration", max_surge=0, max_unavailable=1),
        zonal(2, max_surge=0, max_unavailable=2),  # all may be missing: the user's own words
    ],
)
def test_a_roll_that_keeps_a_target_in_each_zone_needs_no_word(have: Edits) -> None:
    assert plan_of(Scene(NEW_VERSION, have=have)).steps


@pytest.mark.parametrize(
    ("scene", "word"),
    [
        (Scene({"instances/web/count": 1}, have=zonal(2)), "empty-target-group"),
        (Scene({CROSS_ZONE: False}, have={"instances/web/count": 1}), "empty-target-group"),
        (Scene(zonal(2), have={"instances/web/count": 1}), "gap"),  # off before the second zone has a target
    ],
)
def test_a_zone_that_a_plan_leaves_empty_needs_the_word(scene: Scene, word: str) -> None:
    with pytest.raises(RefusedError, match=rf"no healthy target in us-east-1[ab], whose .* --allow {word}=1"):
        plan_of(scene)
    assert plan_of(scene, allow={word: 1, "delete": 1}).steps


def test_a_service_with_a_zone_that_answers_nothing_serves_in_part() -> None:
    wanted = base(zonal(4))
    there = Account(wanted)
    assert judge(there.resources.values(), wanted.desired).partly == ()
    there.status({"registration.web/web-1:80": "unhealthy"})
    (told,) = judge(there.resources.values(), wanted.desired).partly
    assert "none in" not in told
    there.status({"registration.web/web-3:80": "unhealthy"})
    (told,) = judge(there.resources.values(), wanted.desired).partly
    (subnet,) = subnets_of(there.find("instance.web-1").state)
    zone = f"us-east-1{str(subnet)[-1]}"
    assert told == f"2 of 4 targets of target_group.web aren't healthy (unhealthy); none in {zone}, {OFF}"


def placed(here: WatchedWorld, instance: str) -> str:
    found: Any = here.account.instance(instance)
    return str(found.placement.zone)


def healthy_by_zone(here: WatchedWorld) -> Iterator[tuple[str, int]]:
    """How many targets that requests reach are healthy now in each zone, of each group that gets requests."""
    now = here.clock.now()
    here.strict._settle(here.account, now)
    for arn in here._receivers():
        counts = {"us-east-1a": 0, "us-east-1b": 0}
        for item in here.account.ledger.targets.get(arn, {}).values():
            instance = here.account.target_instance(here.account.elb.target_groups[arn], item.id)
            if instance is not None and item.gone_at is None and item.timeline.state(now) == "healthy":
                counts[placed(here, instance.id)] += 1
        yield from counts.items()


class Zones(dict[str, int]):
    """The fewest healthy targets of each zone, looked at before each call."""

    def __init__(self, here: WatchedWorld) -> None:
        sample = here.sample

        def look(operation: str = "") -> None:
            sample(operation)
            for zone, count in healthy_by_zone(here):
                self[zone] = min(count, self.get(zone, count))

        here.sample = look  # type: ignore[method-assign]  # to count by zone as well


@pytest.mark.parametrize(
    ("have", "want", "low"),
    [
        (zonal(2, max_surge=1), NEW_VERSION, 1),
        (zonal(4, max_surge=0, max_unavailable=2), NEW_VERSION, 1),
        (zonal(2, max_surge=1), {**NEW_VERSION, **NEW_GROUP}, 1),
        (zonal(4), zonal(2), 1),
        (WITHOUT_SURGE, NEW_VERSION, 0),
    ],
)
def test_no_zone_goes_empty_on_the_way_but_with_the_users_word(have: Edits, want: Edits, low: int) -> None:
    with watched() as here:
        here.converge(spec_of(have))
        zones = Zones(here)
        here.converge(spec_of(have, want), allow={"delete": 9, "replace": 9, "gap": 1 - low})
        assert zones == {"us-east-1a": low, "us-east-1b": low}


def test_a_target_stays_while_the_other_one_of_its_zone_is_ill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough others are healthy, all of them in the other zone."""
    have = zonal(4, max_surge=0, max_unavailable=2, health_timeout="2m")
    with watched() as here:
        here.converge(spec_of(have))
        ids = {str(address): known for address, known in here.plan(spec_of(have)).ids.items()}
        zone, other = (placed(here, ids[f"instance.{name}"]) for name in ("web-1", "web-3"))
        assert zone == other
        zones = Zones(here)

        def ill() -> None:
            here.strict.set_target_unhealthy(ids["target_group.web"], ids["instance.web-3"])

        meanwhile(monkeypatch, "delete:registration.web/web-1", ill, here)
        failures = here.apply(spec_of(have, NEW_VERSION), timeout=600).failures
        assert any(f"2 other healthy targets, one of them in {zone}, before" in text for text in failures), failures
        assert set(zones.values()) == {1}


def test_requests_move_when_the_new_group_has_a_target_in_each_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of its targets would be enough, but for the zones."""
    have = zonal(2, max_surge=1, max_unavailable=1, health_timeout="2m")
    with watched() as here:
        here.converge(spec_of(have))
        zones = Zones(here)

        def ill() -> None:
            (new,) = (arn for arn in here.account.elb.target_groups if here.account.elb.target_groups[arn].port == 8080)
            here.strict.set_target_unhealthy(new, next(iter(here.account.ledger.targets[new]))[0])

        meanwhile(monkeypatch, "update:listener", ill, here)
        failures = here.apply(spec_of(have, NEW_GROUP), check=False).failures
        assert any(OFF in text for text in failures), failures
        assert set(zones.values()) == {1}


def test_a_roll_of_many_asks_the_rule_only_where_a_zone_may_go_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def counted(world: Model) -> Iterator[Door]:
        looks.append(len(world.items))
        return find_doors(world)

    monkeypatch.setattr(safety, "find_doors", counted)
    assert len(plan_of(Scene(NEW_VERSION, have=zonal(40, max_surge=1)), allow={"replace": 99}).steps) == 160
    assert len(looks) < 20
