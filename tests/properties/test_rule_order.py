"""Requests that go from one rule to another, or to the default action and back: each is answered as before until it is answered as after."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from tests.properties.seeds import sampled
from tests.properties.test_dark_groups import second
from tests.properties.test_gaps import ALLOW, listener
from tests.properties.test_ill_starts import go
from tests.properties.watched import watched

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.properties.watched import WatchedWorld

NOTHING = {"fixed_response": {"status_code": 404}}


def rule(priority: int, group: str, *paths: str, host: str = "", **action: Any) -> dict[str, Any]:
    """To that group, for these paths."""
    conditions: list[dict[str, Any]] = [{"path_pattern": list(paths)}]
    if host:
        conditions.append({"host_header": host})
    return {"priority": priority, "conditions": conditions, "action": action or {"forward": group}}


def routed(default: str = "", **rules: dict[str, Any]) -> Spec:
    """The demo with groups `api`, and `new` if anything forwards to it; by default requests go to that group, or to nobody."""
    spec = second(count=1)
    if "new" in [default, *(item["action"].get("forward") for item in rules.values())]:
        spec["instances"]["new"] = {**spec["instances"]["web"], "count": 1}
        spec["target_groups"]["new"] = {**spec["target_groups"]["web"], "targets": ["new"]}
    listener(spec).update(rules=deepcopy(rules), default_action={"forward": default} if default else NOTHING)
    return spec


BOTH = rule(10, "web", "/1/*", "/2/*")
ONE = rule(10, "web", "/1/*")
WAYS = {
    "a path to a new rule before": (routed(two=rule(5, "api", "/2/*"), main=ONE), routed(main=BOTH)),
    "a path to a new rule behind": (routed(two=rule(20, "api", "/2/*"), main=ONE), routed(main=BOTH)),
    "a path to a new group": (routed(two=rule(20, "new", "/2/*"), main=ONE), routed(main=BOTH)),
    "a path to a redirect": (
        routed(main=ONE, two=rule(20, "", "/2/*", redirect={"path": "/1/", "status_code": "HTTP_301"})),
        routed(main=BOTH),
    ),
    "a host to a new rule": (
        routed(main=rule(10, "web", "/1/*", host="a.test"), two=rule(20, "new", "/1/*", host="b.test")),
        routed(main=ONE),
    ),
    "a path to another rule": (
        routed(a=BOTH, b=rule(20, "api", "/3/*")),
        routed(a=ONE, b=rule(20, "api", "/2/*", "/3/*")),
    ),
    "a path from the default to a rule": (routed("web"), routed(r=rule(5, "web", "/2/*"))),
    "a path from the default to a new group": (routed("web"), routed(r=rule(5, "new", "/2/*"))),
    "a path from the default to a wider rule": (routed("api", main=ONE), routed(main=BOTH)),
    "a path behind two others": (
        routed(last=ONE),
        routed(a=rule(3, "", "/1/*", fixed_response={"status_code": 404}), b=rule(4, "api", "/*"), last=ONE),
    ),
    "all but a path to the default": (routed("web", main=rule(10, "api", "/1/*")), routed("new")),
}
BACK = ", and back"
TURNED = [f"{name}{way}" for name in WAYS for way in ("", BACK)]


@pytest.mark.parametrize("way", sampled(TURNED, 4))
def test_who_takes_requests_comes_before_who_gives_them_up(way: str) -> None:
    """Found: rules were changed before others were made, so that nobody, or the default action, answered what was to move to a new
    rule: for minutes, where its group was new as well."""
    name = way.removesuffix(BACK)
    before, after = WAYS[name] if name == way else reversed(WAYS[name])
    go(before, after)


@pytest.mark.slow
def test_a_group_of_a_rule_that_goes_may_stand_beside_others() -> None:
    """Found: it was taken for one that an earlier run had put there, and the step failed in every run."""
    before, after = routed(main=ONE, other=rule(20, "api", "/2/*")), routed(main=ONE)
    weights = [{"target_group": "api", "weight": 0}, {"target_group": "new", "weight": 50}]
    listener(after)["rules"]["main"]["action"] = {"forward": {"target_groups": weights}}
    for spec in (before, after):
        spec["instances"]["new"] = {**spec["instances"]["web"], "count": 1}
        spec["target_groups"]["new"] = {**spec["target_groups"]["web"], "targets": ["new"]}
    go(before, after)


def unhealthy_from_now_on(world: WatchedWorld) -> None:
    """Targets of groups that aren't there yet fail their checks."""
    known = set(world.account.elb.target_groups)
    world.strict.health = lambda group, *_: None if group in known else "unhealthy"


SUCCESSORS = {
    "a rule that goes": (routed(a=ONE), routed(b=rule(5, "new", "/1/*"))),
    "a rule that gives up a path": (routed(a=BOTH), routed(a=ONE, b=rule(5, "new", "/2/*"))),
    "a rule with another action": (routed(a=BOTH), routed(a=rule(10, "api", "/1/*"), b=rule(5, "new", "/2/*"))),
    "the default action": (routed("web"), routed(b=rule(5, "new", "/2/*"))),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(SUCCESSORS, 2))
def test_a_rule_takes_nothing_over_for_a_version_that_fails(name: str) -> None:
    """Found: the first run failed, and the next one, which had no targets to register, let the failing version take over."""
    before, after = SUCCESSORS[name]
    with watched() as here:
        here.converge(before)
        unhealthy_from_now_on(here)
        for _ in range(3):
            assert here.apply(after, allow=ALLOW).failures
            served = {group for item in here.account.rules() for group, weight in forwards(item) if weight}
            assert not [group for group in served if "new" in group]
        here.strict.health = None
        here.sample()
        here.clock.advance(120)  # until they have passed their checks
        here.converge(after, allow=ALLOW)


def forwards(item: Any) -> list[tuple[str, int]]:
    """To which groups a rule of the emulator's forwards, with the weights."""
    tuples = [
        part for action in item.actions for part in (action.data.get("ForwardConfig") or {}).get("TargetGroups", ())
    ]
    return [(part["TargetGroupArn"], part.get("Weight", 1)) for part in tuples]


def test_a_rule_that_fails_holds_up_none_for_other_requests() -> None:
    """Found: whatever else was to change in its listener waited for it."""
    kept = rule(40, "web", "/9/*")
    before = routed(c=rule(30, "api", "/3/*"), kept=kept)
    after = routed(c=rule(30, "api", "/4/*"), kept=kept, n=rule(5, "new", "/7/*"))
    with watched() as here:
        here.converge(before)
        unhealthy_from_now_on(here)
        result = here.apply(after, allow=ALLOW)
        assert {str(item.step.address): item.how for item in result.outcomes if item.step.address.kind == "rule"} == {
            "rule.public/http/c": "done",
            "rule.public/http/kept": "skipped",  # what stood beside it until the rule had taken over
            "rule.public/http/n": "skipped",
        }


@pytest.mark.slow
def test_groups_that_have_no_room_together_stand_beside_different_ones() -> None:
    """Found: each had room beside a forward to four groups, and so neither was checked before."""
    before, after = (
        routed(last=rule(90, "api", "/90/*")),
        routed(last=rule(90, "api", "/90/*"), b=rule(5, "new", "/1/*"), c=rule(6, "newer", "/2/*")),
    )
    for spec in (before, after):
        names = [f"g{number}" for number in range(4)]
        for name in ("new", "newer", *names):
            spec["instances"][name] = {**spec["instances"]["web"], "count": 1}
            spec["target_groups"][name] = {**spec["target_groups"]["web"], "targets": [name]}
        groups = [{"target_group": name, "weight": 1} for name in names]
        listener(spec)["default_action"] = {"forward": {"target_groups": groups}}
    go(before, after)


def test_a_rule_with_another_path_needs_no_targets_where_its_group_has_none() -> None:
    """Found by a walk: who registers them may come later."""
    before = routed("web", one=rule(10, "web", "/1/*"), two=rule(20, "api", "/2/*"))
    before["target_groups"]["api"]["targets"] = []
    after = deepcopy(before)
    listener(after)["rules"]["one"]["conditions"] = [{"path_pattern": "/m*"}]
    listener(after)["rules"]["two"]["conditions"] = [{"path_pattern": "/1/2/*"}]
    with watched() as here:
        here.converge(before)
        here.converge(after, allow=ALLOW)


def test_a_rule_with_another_path_takes_nothing_over_where_its_listener_only_changes_otherwise() -> None:
    """Found by a walk: the default action stays and gives nothing up, so that failing targets of the rule's group hold up nothing."""
    before = routed("web", two=rule(20, "api", "/2/*"))
    after = deepcopy(before)
    listener(after)["rules"]["two"]["conditions"] = [{"path_pattern": "/more"}]
    listener(after)["attributes"] = {"routing.http.response.server.enabled": False}
    with watched() as here:
        here.converge(before)
        [failing] = [arn for arn in here.account.elb.target_groups if "api" in arn]
        here.strict.health = lambda group, *_: "unhealthy" if group == failing else None
        here.sample()
        here.clock.advance(120)  # until they have failed their checks
        result = here.apply(after, allow=ALLOW)
        assert not result.failures, "\n".join(result.failures)
        assert result.rest is not None
        assert result.rest.is_empty
