"""A service that answers isn't taken away without the user's word, by whatever it would be shut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.engine.doors import find_doors
from alb_reconcile.engine.plan import lost_answers
from alb_reconcile.engine.plan.rehearsal import find_gaps
from alb_reconcile.model.errors import RefusedError
from tests.doors.health import as_admitted
from tests.doors.scenes import HTTP, NEW_VERSION, OPEN, SHUT, SSH, Scene, let_in
from tests.harness import READS, Spec, World, demo
from tests.plan.conftest import here as here
from tests.plan.stacks import Account, base, edited, plan_for
from tests.plan.targets import healthy, ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alb_reconcile.engine.doors import Door
    from alb_reconcile.engine.world import World as Model
    from alb_reconcile.model.plan import Plan


def plan_of(scene: Scene, **options: Any) -> Plan:
    wanted = base(scene.have, scene.want)
    return plan_for(wanted, Account(base(scene.have)).discovery(), **options)


@pytest.mark.parametrize("name", SHUT)
def test_a_plan_that_closes_a_door_is_refused_and_says_what_shuts_it(name: str) -> None:
    scene = SHUT[name]
    with pytest.raises(RefusedError) as refused:
        plan_of(scene)
    text = str(refused.value)
    assert [part for part in scene.said if part not in text] == []
    for word, number in scene.word.items():
        assert word == "delete" or f"--allow {word}={number}" in text
    assert plan_of(scene, allow=scene.word).steps, "the user's word is enough"
    too_few = {word: number - 1 for word, number in scene.word.items()}
    with pytest.raises(RefusedError):
        plan_of(scene, allow=too_few)


@pytest.mark.parametrize("name", OPEN)
def test_what_keeps_all_doors_open_needs_no_word(name: str) -> None:
    plan = plan_of(OPEN[name])
    assert plan.steps
    assert find_gaps(plan) == []


def spec_of(*changes: dict[str, Any]) -> Spec:
    spec = demo()
    for change in changes:
        edited(spec, change)
    return spec


@pytest.mark.parametrize(
    "name", ["the same with a new version (r04)", "the last listener goes (X5)", "the way back goes (p17, X5)"]
)
def test_nothing_is_changed_by_apply_nor_by_sync(here: World, name: str) -> None:
    scene = SHUT[name]
    here.converge(spec_of(scene.have))
    after = spec_of(scene.have, scene.want)
    with pytest.raises(RefusedError):
        here.apply(after)
    assert [call for call, _ in here.log if not call.startswith(READS)] == []
    ending = here.sync({**after, "sync": {"correct": ["update", "create", "replace", "delete"]}}, apply_changes=True)
    assert [call for call, _ in here.log if not call.startswith(READS)] == []
    assert ending.outcomes == ()
    assert ending.selection.withheld


def test_with_the_users_word_it_is_done_and_not_called_converged(here: World) -> None:
    here.converge(demo())
    here.strict.health = as_admitted
    began = here.clock.now()
    result = here.apply(spec_of({"security_groups/web/ingress": let_in(81)}), allow={"close": 1})
    assert not result.failures
    assert result.problems == [
        "no security group of instance.web-1, instance.web-2 lets load_balancer.public in on port 80"
    ]
    assert here.clock.now() - began < 60, "nothing is waited for that can't come"


def test_an_end_waits_until_the_checks_have_seen_what_was_shut(here: World) -> None:
    here.converge(demo())
    after = spec_of(
        {"security_groups/web/ingress": let_in(80)}
    )  # one port of those that were open: no door of the spec's
    group = ids(here, demo())["target_group.web"]
    here.strict.health = lambda *_: "unhealthy" if [name for name, _ in here.log if name.startswith("revoke")] else None
    result = here.apply(after, timeout=30)
    assert healthy(here, group) == 0
    assert result.problems, "what no rule of the model foresees is seen by the checks"


def test_a_service_that_answers_nobody_may_be_changed_freely(here: World) -> None:
    """Nothing answers that could be taken away."""
    shut = {"security_groups/load-balancer/ingress": let_in(8080, cidr_block="0.0.0.0/0")}
    here.apply(spec_of(shut))
    assert here.plan(spec_of(shut, {f"{HTTP}/port": 8080})).steps


def test_fewer_targets_behind_a_door_are_told_with_both_numbers() -> None:
    """c01: the weight of a canary is turned to 100 %, with one instance where three have served."""
    green = {
        "instances/green": {**demo()["instances"]["web"], "count": 1},
        "target_groups/green": {**demo()["target_groups"]["web"], "targets": ["green"]},
        "instances/web/count": 3,
    }

    def forward(web: int, other: int) -> dict[str, Any]:
        groups = [{"target_group": "web", "weight": web}, {"target_group": "green", "weight": other}]
        return {f"{HTTP}/default_action": {"forward": {"target_groups": groups}}}

    plan = plan_of(Scene(forward(0, 100), have={**green, **forward(90, 10)}))
    told = "listener.public/http has 4 healthy targets now, and 1 after this plan; min_healthy: 3 in target_group.green would refuse that"
    assert told in plan.warnings
    stuck = forward(0, 0)  # clients stay with groups that get no others
    stuck[f"{HTTP}/default_action"]["forward"]["stickiness"] = {"enabled": True, "duration_seconds": 600}
    warned = plan_of(Scene(forward(0, 100), have={**green, **stuck})).warnings
    assert any("has 4 healthy targets now, and 1 after this plan; min_healthy: 2 in" in text for text in warned)
    for other in (forward(95, 5), NEW_VERSION):
        warnings = plan_of(Scene(other, have={**green, **forward(90, 10)})).warnings
        assert not [text for text in warnings if "min_healthy" in text]


def test_a_group_that_speaks_another_protocol_version_needs_the_word() -> None:
    """m03, r07: AWS answers each client of HTTP/1.1 with 464."""
    certificate = "arn:aws:acm:us-east-1:123456789012:certificate/0f0e0d0c-0000-4000-8000-0b0a09080706"
    secure = {f"{HTTP}/protocol": "HTTPS", f"{HTTP}/port": 443, f"{HTTP}/certificate_arn": certificate}
    scene = Scene({"target_groups/web/protocol_version": "HTTP2"}, have=secure)
    told = r"clients of HTTP/1\.1 may get 464 from target_group\.web, .* --allow close=1"
    with pytest.raises(RefusedError, match=told):
        plan_of(scene)
    assert plan_of(scene, allow={"close": 1}).steps


def test_a_listener_that_was_moved_by_hand_goes_back_without_a_word(here: World) -> None:
    """Its other port answers meanwhile, and the spec's serves nobody."""
    here.converge(demo())
    listener = ids(here, demo())["listener.public/http"]
    here.client("elbv2").modify_listener(ListenerArn=listener, Port=8080)
    here.clock.advance(60)
    ending = here.sync(demo())
    assert [str(item.step.address) for item in ending.outcomes] == ["listener.public/http"]
    assert here.plan(demo()).is_empty


def test_a_refusal_of_many_instances_is_short_and_costs_little() -> None:
    scene = Scene({"instances/web/security_groups": ["ssh"]}, have={**SSH, "instances/web/count": 60})
    with pytest.raises(RefusedError) as refused:
        plan_of(scene)
    assert "instance.web-1, instance.web-10, instance.web-11 and 57 more lets load_balancer.public in" in str(
        refused.value
    )
    looks: list[int] = []

    def counted(world: Model) -> Iterator[Door]:
        looks.append(len(world.items))
        return find_doors(world)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lost_answers, "find_doors", counted)
        plan_of(scene, allow={"close": 1})
    assert len(looks) < 30, "a look at all doors for each instance would be 60"
