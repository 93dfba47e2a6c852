"""Nobody takes the last target from a group that gets requests by accident; who means it says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import demo
from tests.kinds.hand import edited

if TYPE_CHECKING:
    from typing import Any

    from tests.harness import Spec
    from tests.kinds.hand import Hand

TOLD = "target_group.web would get requests and have no target, so that they are answered with 503"
ALLOW = {"empty-target-group": 1}
COUNT = {"instances/web/count": 0}
TARGETS: dict[str, Any] = {"target_groups/web/targets": []}
HTTP = "load_balancers/public/listeners/http"


def changed(spec: Spec, changes: dict[str, Any]) -> Spec:
    for path, value in changes.items():
        spec = edited(spec, path, value)
    return spec


def weighted(spec: Spec, web: int, api: int) -> Spec:
    """Beside `web` a group that nobody is registered in."""
    spec = edited(spec, "target_groups/api", {**spec["target_groups"]["web"], "targets": []})
    groups = [{"target_group": name, "weight": weight} for name, weight in (("web", web), ("api", api))]
    return edited(spec, f"{HTTP}/default_action", {"forward": {"target_groups": groups}})


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(COUNT, id="no instances"),
        pytest.param(TARGETS, id="no targets"),
        pytest.param({"instances/web/state": "stopped"}, id="stopped"),
        pytest.param({**COUNT, "target_groups/web/health_check/path": "/other"}, id="in a group that takes over"),
    ],
)
def test_a_change_that_takes_the_last_target_needs_the_users_word(hand: Hand, changes: dict[str, Any]) -> None:
    hand.make(demo())
    wanted = changed(demo(), changes)
    assert TOLD in hand.world.plan(wanted, allow=ALLOW).warnings
    assert hand.refuses(wanted) == f"{TOLD}; allow it once with --allow empty-target-group=1"
    hand.make(wanted, allow=ALLOW)


def test_a_sync_leaves_it_to_a_person_with_the_rest_of_the_changed_spec(hand: Hand) -> None:
    hand.make(demo())
    wanted = changed(demo(), {**COUNT, "target_groups/web/health_check/interval_seconds": 15})
    ending = hand.world.sync(wanted, apply_changes=True)
    told = [text for key, text in ending.selection.withheld.items() if key.startswith("delete:registration.")]
    assert told == [TOLD, TOLD]
    assert not ending.outcomes


def test_requests_turn_to_no_group_without_targets(hand: Hand) -> None:
    filled = edited(weighted(demo(), 1, 1), "target_groups/api/others", "keep")
    assert [hand.world.plan(spec).warnings for spec in (weighted(demo(), 1, 0), filled)] == [(), ()]
    hand.make(weighted(demo(), 1, 0))
    hand.refuses(weighted(demo(), 0, 1), "^target_group.api would get requests and have no target")
    hand.make(weighted(demo(), 0, 1), allow=ALLOW)


def test_nobody_is_asked_where_nobody_is_served(hand: Hand) -> None:
    """A group at weight 0, and one whose targets are all ill."""
    filled = edited(weighted(demo(), 0, 1), "target_groups/api/targets", ["web"])
    hand.make(filled)
    hand.make(changed(filled, TARGETS))
    hand.make(demo())
    for number in (1, 2):
        hand.world.strict.set_target_unhealthy(hand["target_group.web"], hand[f"instance.web-{number}"])
    hand.wait(300)
    hand.make(changed(demo(), TARGETS))


def test_a_group_that_has_none_from_the_beginning_is_as_it_should_be(hand: Hand) -> None:
    spec = changed(demo(), COUNT)
    assert hand.world.plan(spec).warnings == (TOLD,)
    hand.make(spec)
    assert hand.world.plan(edited(spec, "tags/service", "other")).warnings == ()
    rule = {"priority": 5, "conditions": [{"path_pattern": "/x"}], "action": {"forward": "web"}}
    assert hand.world.plan(edited(spec, f"{HTTP}/rules", {"x": rule})).warnings == (TOLD,)


def test_what_others_have_registered_is_a_target(hand: Hand) -> None:
    """As an Auto Scaling group does it, or a service of ECS."""
    spec = changed(demo(), {**TARGETS, "target_groups/web/others": "keep"})
    hand.make(spec)
    stranger = hand.stranger_in(hand["subnet.public-a"])
    hand.elb.register_targets(TargetGroupArn=hand["target_group.web"], Targets=[{"Id": stranger}])
    hand.wait(300)
    both = edited(spec, "target_groups/web/targets", ["web"])
    hand.make(both)
    hand.make(spec)
    hand.refuses(changed(demo(), TARGETS), TOLD)
