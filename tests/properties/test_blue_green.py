"""`rollout.strategy: blue_green`: a version stands beside the old one in a target group of its own, and whatever ends a run on the way, capacity stays."""

from __future__ import annotations

import copy
from asyncio import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.api.proving import HEADER
from alb_reconcile.engine.discover import discover
from alb_reconcile.engine.rollback import abort, plan_rollback, roll_back
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.rule.probe import rule_for_header
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.errors import CheckError, RefusedError, SpecError, WentBackError
from tests.harness import READS, Spec, demo, load
from tests.properties.campaign import Trial, trial
from tests.properties.faults import Gone, Killed, spoilt
from tests.properties.scenarios import GROUP, rolled
from tests.properties.watched import watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from alb_reconcile.aws.client import Aws
    from alb_reconcile.model.steps import Proof
    from tests.properties.watched import WatchedWorld

WAY = "roll beside"
CHANGES = 11
"""The changing calls of that way: a test says if these are other ones."""


def beside(**more: Any) -> Spec:
    """The demo with a new version, which is to stand beside the old one."""
    return rolled(strategy="blue_green", **{"keep": "0s", **more})


def third() -> Spec:
    spec = beside()
    spec["instances"]["web"]["user_data"] = "#!/bin/sh\nexec web-api --third\n"
    return spec


def old() -> Spec:
    spec = demo()
    spec["instances"]["web"]["rollout"] = {"strategy": "blue_green", "keep": "0s"}
    return spec


NEXT: dict[str, Callable[[], Spec]] = {"the same": beside, "the old one": old, "a third one": third}
KILLS = [(number, when) for number in range(1, CHANGES + 1) for when in ("before", "after")]


def groups(world: WatchedWorld) -> list[str]:
    """The target groups of the stack."""
    return [item.id for item in world.discover(demo()).resources if item.address.kind == "target_group"]


def test_all_new_ones_stand_in_a_group_of_their_own_and_requests_move_at_once() -> None:
    with watched() as world:
        spec = demo()
        spec["instances"]["web"]["count"] = 12
        world.converge(spec)
        before = groups(world)
        after = copy.deepcopy(spec)
        after["instances"]["web"] |= {
            "user_data": "#!/bin/sh\nnew\n",
            "rollout": {"strategy": "blue_green", "keep": "0s"},
        }
        world.watch()
        began = world.clock.now()
        result = world.converge(after, allow={"replace": 13})
        assert not set(before) & set(groups(world))
        assert world.lows[GROUP].healthy >= 12
        assert result.writes["modify_listener"] == 2, "one puts the new group in at weight 0, one moves the requests"
        assert world.clock.now() - began < 360


def test_the_way_has_as_many_changes_as_are_killed_at() -> None:
    with trial(WAY) as here:
        assert len(here.changes) == CHANGES


def _killed(here: Trial, number: int, when: str, following: Callable[[], Spec]) -> None:
    here.begin()
    here.be_killed(Killed(number, when))
    world, spec = here.world, following()
    world.converge(spec, allow={"close": 1, "replace": 4, "delete": 8})
    world.sample()
    assert world.lows[GROUP].healthy >= 2, world.lows
    assert world.plan(spec).is_empty
    assert len(groups(world)) == 1, "never two that stay"
    mine = {"Name": "tag:alb-reconcile:stack", "Values": ["demo"]}
    running = {"Name": "instance-state-name", "Values": ["pending", "running"]}
    found = world.client("ec2").describe_instances(Filters=[mine, running])["Reservations"]
    assert sum(len(item["Instances"]) for item in found) == 2


@pytest.mark.parametrize("following", NEXT)
def test_killed_at_a_change_and_run_again(following: str) -> None:
    with trial(WAY) as here:
        for number, when in KILLS[2::5]:
            _killed(here, number, when, NEXT[following])


@pytest.mark.slow
@pytest.mark.parametrize("following", NEXT)
def test_killed_at_every_change_and_run_again(following: str) -> None:
    with trial(WAY) as here:
        for number, when in KILLS:
            _killed(here, number, when, NEXT[following])


def test_a_version_that_does_not_get_healthy_leaves_the_old_one_as_it_is() -> None:
    with watched() as world:
        world.converge(demo())
        before, good = groups(world), world.healthy_targets(GROUP)
        world.strict.health = lambda group, *_: None if group in before else "unhealthy"
        world.watch()
        result = world.apply(beside())
        assert any("healthy" in text for text in result.failures)
        assert good == world.healthy_targets(GROUP)
        calls = [name for name, _ in world.log]
        assert not {"deregister_targets", "terminate_instances", "delete_target_group"} & set(calls)
        assert calls.count("modify_listener") == 1, "the new group is there at weight 0"


def test_a_scale_in_and_a_lost_instance_replace_no_group() -> None:
    with watched() as world:
        world.converge(old())
        before = groups(world)
        smaller = old()
        smaller["instances"]["web"]["count"] = 1
        world.converge(smaller, allow={"close": 1, "delete": 2})
        assert groups(world) == before


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no surge": (
        {"rollout": {"strategy": "blue_green", "max_surge": 0, "max_unavailable": 1}},
        r"rollout\.max_surge: .*blue_green",
    ),
    "a disk that stays": (
        {
            "rollout": {"strategy": "blue_green"},
            "data_volumes": {"data": {"device_name": "/dev/sdf", "volume_size": 8, "persistent": True}},
        },
        r"data_volumes\.data\.persistent: can't be had .*strategy: rolling",
    ),
    "an address": (
        {"rollout": {"strategy": "blue_green"}, "count": 1, "subnets": ["public-a"], "private_ip_address": "10.0.1.10"},
        r"private_ip_address: can't be had .*strategy: rolling",
    ),
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED.keys())
def test_what_can_not_stand_beside_itself_is_refused(change: tuple[dict[str, Any], str]) -> None:
    more, match = change
    spec = demo()
    spec["instances"]["web"] |= more
    with pytest.raises(SpecError, match=match):
        load(spec)


def test_a_group_with_a_name_of_its_own_is_refused() -> None:
    named, after = demo(), beside()
    for spec in (named, after):
        spec["target_groups"]["web"]["name"] = "web"
    with watched() as world:
        world.converge(named)
        with pytest.raises(RefusedError, match="name"):
            world.plan(after)


def test_a_new_version_is_asked_before_requests_move_to_it() -> None:
    """By default for the health check's path, and /: neither may be answered by an error of the service."""
    with watched() as world:
        world.converge(demo())
        world.converge(beside())
        (proof,) = world.proofs
        assert {(check.path, check.status) for check in proof.checks} == {("/health", "100-499"), ("/", "100-499")}
        assert str(proof.group) in groups(world)


def test_a_version_that_answers_wrongly_leaves_the_old_one_as_it_is() -> None:
    with watched() as world:
        world.converge(demo())
        good = world.healthy_targets(GROUP)
        world.wrong = "answered 500"
        world.watch()
        result = world.apply(beside())
        assert any("answered 500" in text for text in result.failures)
        calls = [name for name, _ in world.log]
        assert calls.count("modify_listener") == 1, "the new group is there at weight 0"
        assert not {"deregister_targets", "terminate_instances"} & set(calls)
        assert good == world.healthy_targets(GROUP)
        world.wrong = ""
        world.converge(old(), allow={"delete": 4, "replace": 4})
        assert good == world.healthy_targets(GROUP), "the old version again: nothing of it was touched"


def test_a_version_that_answered_wrongly_is_not_tried_again_without_a_word() -> None:
    """Else a version that fails now and then would pass its checks in one of many runs, and at 3 a.m."""
    with watched() as world:
        world.converge(demo())
        world.wrong = "answered 500"
        assert world.apply(beside()).failures
        world.wrong = ""
        with pytest.raises(
            RefusedError, match=r"failed its checks at \d{4}-.*Z; apply another version, .* --allow retry=1"
        ):
            world.apply(beside())
        before = groups(world)
        ending = world.sync(beside(), apply_changes=True)
        assert any("failed its checks" in reason for reason in ending.selection.withheld.values())
        assert len(world.proofs) == 1, "nothing was asked"
        assert groups(world) == before
        world.converge(beside(), allow={"retry": 1})
        assert world.plan(beside()).is_empty


def test_after_a_version_that_answered_wrongly_another_one_is_asked() -> None:
    with watched() as world:
        world.converge(demo())
        world.wrong = "answered 500"
        assert world.apply(beside()).failures
        world.wrong = ""
        world.converge(third(), allow={"delete": 4, "replace": 4})
        assert len(world.proofs) == 2


def test_an_empty_list_of_checks_asks_nothing() -> None:
    with watched() as world:
        world.converge(demo())
        world.converge(beside(checks=[]))
        assert not world.proofs


def test_checks_of_ones_own() -> None:
    asked = [
        {"get": "/orders?limit=1", "status": 201, "within": "300ms", "host": "shop.example.com", "body": "ok"},
        {"get": "/"},
    ]
    with watched() as world:
        world.converge(demo())
        world.converge(beside(checks=asked))
        first, second = world.proofs[0].checks
        assert (first.path, first.status, first.within, first.host, first.body) == (
            "/orders?limit=1",
            "201",
            0.3,
            "shop.example.com",
            "ok",
        )
        assert (second.path, second.status) == ("/", "200")


def test_a_rule_of_priority_1_leaves_no_place_for_checks() -> None:
    before, after = demo(), beside()
    for spec in (before, after):
        rule = {"priority": 1, "conditions": [{"path_pattern": "/v2/*"}], "action": {"forward": "web"}}
        spec["load_balancers"]["public"]["listeners"]["http"]["rules"] = {"v2": rule}
    with watched() as world:
        world.converge(before)
        with pytest.raises(
            RefusedError, match=r"rule\.public/http/v2 has priority 1, .*give it a higher number, or write"
        ):
            world.plan(after)
        after["instances"]["web"]["rollout"]["checks"] = []
        world.converge(after)


def test_a_roll_is_asked_nothing() -> None:
    with watched() as world:
        world.converge(demo())
        world.converge(rolled())
        assert not world.proofs


def test_the_old_version_stands_by_and_no_plan_touches_it() -> None:
    with watched() as world:
        world.converge(demo())
        before, good = groups(world), world.healthy_targets(GROUP)
        result = world.converge(beside(keep="30m"))
        assert [proof.moved[:3] for proof in world.proofs] == ["", "arn"], "asked alone, and then in the requests' way"
        assert "terminate_instances" not in result.writes
        assert set(before) < set(groups(world))
        plan = world.plan(beside(keep="30m"))
        assert plan.is_empty
        assert any("stands by until" in text for text in plan.kept)
        assert good <= set(_targets_of(world, before[0])), "its targets are checked on"
        assert not world.sync(beside(keep="30m")).outcomes


def test_sync_ends_it_when_its_time_is_over() -> None:
    with watched() as world:
        world.converge(demo())
        before = groups(world)
        world.converge(beside(keep="30m"))
        _let_pass(world, before)
        ending = world.sync(beside(keep="30m"))
        assert {item.how for item in ending.outcomes} == {"done"}
        assert not set(before) & set(groups(world))
        assert world.plan(beside(keep="30m")).is_empty


def test_a_rollback_is_one_call_and_no_run_undoes_it() -> None:
    with watched() as world:
        world.converge(demo())
        before, good = groups(world), world.healthy_targets(GROUP)
        world.converge(beside(keep="30m"))
        world.watch()
        _roll_back(world, beside())
        calls = [name for name, _ in world.log if not name.startswith(READS)]
        assert [name for name in calls if name != "add_tags"] == ["modify_listener"]
        assert world.lows[GROUP].healthy >= 2
        assert good <= world.healthy_targets(GROUP)
        with pytest.raises(RefusedError, match=r"was rolled back at .* --allow retry=1"):
            world.plan(beside(keep="30m"))
        ending = world.sync(beside(keep="30m"), apply_changes=True)
        assert not ending.outcomes
        world.converge(old(), allow={"delete": 4})
        assert groups(world) == before


def test_where_nothing_stands_by_there_is_nothing_to_go_back_to() -> None:
    with watched() as world:
        world.converge(demo())
        with pytest.raises(RefusedError, match="no version of demo stands by"):
            _roll_back(world, demo())


def test_a_third_version_while_one_stands_by() -> None:
    with watched() as world:
        world.converge(demo())
        first = groups(world)
        world.converge(beside(keep="30m"))
        spec = third()
        spec["instances"]["web"]["rollout"]["keep"] = "1h"
        second = [known for known in groups(world) if known not in first]
        world.converge(spec)
        assert len(groups(world)) == 3
        _roll_back(world, spec)
        assert second == _serving(world), "the one before, and not the one before that"
        world.client("elbv2").remove_tags(ResourceArns=groups(world), TagKeys=[tags.REJECTED])
        world.converge(spec, allow={"delete": 8})
        _let_pass(world, [known for known in groups(world) if known not in first] + first)
        world.converge(spec, allow={"delete": 8})
        assert len(groups(world)) == 1


def test_a_version_that_fails_leaves_what_stands_by_where_it_is() -> None:
    """Found: the new group took the place in the forward of the one that stood by, and there was nothing to roll back to."""
    with watched() as world:
        world.converge(demo())
        first = groups(world)
        world.converge(beside(keep="30m"))
        world.wrong = "answered 500"
        spec = third()
        spec["instances"]["web"]["rollout"]["keep"] = "30m"
        assert world.apply(spec).failures
        world.converge(beside(keep="30m"), allow={"delete": 8})
        _roll_back(world, spec)
        assert _serving(world) == first


def test_what_the_old_version_uses_stays_as_long_as_it_stands_by() -> None:
    """Found: its security group was to be deleted (DependencyViolation), and a port that it needs was closed."""
    with watched() as world:
        world.converge(demo())
        spec = beside(keep="30m")
        spec["security_groups"]["app"] = copy.deepcopy(spec["security_groups"]["web"])
        spec["instances"]["web"]["security_groups"] = ["app"]
        del spec["security_groups"]["web"]
        spec["security_groups"]["load-balancer"]["ingress"].pop()
        world.converge(spec)
        there = [str(item.address) for item in world.discover(spec).resources]
        assert "security_group.web" in there
        said = " ".join(world.plan(spec).kept)
        assert "security_group.web, security_group_rules.load-balancer: what is to go is still used" in said
        _let_pass(world, [known for known in groups(world) if known not in _serving(world)])
        world.converge(spec, allow={"delete": 9})
        assert "security_group.web" not in [str(item.address) for item in world.discover(spec).resources]
        assert "still used" not in " ".join(world.plan(spec).kept)


def _with_role(spec: Spec, *actions: str) -> Spec:
    statements = [{"Effect": "Allow", "Action": action, "Resource": "*"} for action in actions]
    spec["instance_profiles"] = {"web": {"policy": {"Version": "2012-10-17", "Statement": statements}}}
    spec["instances"]["web"]["iam_instance_profile"] = "web"
    return spec


@pytest.mark.parametrize("keep", ["0s", "30m"])
def test_old_instances_keep_their_permissions_until_they_have_gone(keep: str) -> None:
    """Found: an old process that started again during a deployment couldn't read a secret that only its version has."""
    with watched() as world:
        world.converge(_with_role(demo(), "s3:GetObject", "sqs:SendMessage"))
        iam = world.client("iam")
        (name,) = [item["RoleName"] for item in iam.list_roles(PathPrefix="/alb-reconcile/")["Roles"]]

        def allowed() -> set[str]:
            document = iam.get_role_policy(RoleName=name, PolicyName="inline")["PolicyDocument"]
            return {item["Action"].partition(":")[0] for item in document["Statement"]}

        seen: list[set[str]] = []

        async def prove(aws: Aws, stack: str, proof: Proof) -> None:
            seen.append(allowed())

        world.on_proof = prove
        spec = _with_role(beside(keep=keep), "ssm:GetParameter", "sqs:SendMessage")
        world.converge(spec)
        assert seen[0] == {"s3", "sqs", "ssm"}
        if keep != "0s":
            assert allowed() == {"s3", "sqs", "ssm"}
            _let_pass(world, [known for known in groups(world) if known not in _serving(world)])
            world.converge(spec)
        assert allowed() == {"ssm", "sqs"}


def _serving(world: WatchedWorld) -> list[str]:
    """The target groups that the demo's listener sends requests to."""
    (state,) = (item.state for item in world.discover(demo()).resources if str(item.address) == "listener.public/http")
    return [str(part.target_group) for part in action_of(state).receiving]


def _let_pass(world: WatchedWorld, known: list[str]) -> None:
    """Let the time be over for which these groups stand by."""
    tag = {"Key": tags.STANDBY, "Value": "2020-01-01T00:00:00Z"}
    world.client("elbv2").add_tags(ResourceArns=known, Tags=[tag])


def _targets_of(world: WatchedWorld, group: str) -> list[str]:
    found = world.client("elbv2").describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    return [item["Target"]["Id"] for item in found if item["TargetHealth"]["State"] == "healthy"]


def _roll_back(world: WatchedWorld, spec: Spec) -> None:
    async def main(aws: Aws) -> None:
        target = load(spec).target()
        found = plan_rollback(target, await discover(aws, target.stack, target.desired))
        outcomes = await roll_back(Run(aws, target.stack), found, "2026-12-02T10:00:00Z", lambda _: None)
        assert {item.how for item in outcomes} == {"done"}

    world._run(main)


@pytest.mark.slow
@pytest.mark.parametrize("following", NEXT)
def test_killed_at_every_change_of_a_deployment_after_which_the_old_version_stands_by(following: str) -> None:
    def kept(spec: Spec) -> Spec:
        spec["instances"]["web"]["rollout"]["keep"] = "30m"
        return spec

    with watched() as world:
        world.converge(demo())
        start = world.moment()
        for number, when in KILLS:
            world.go_back(start)
            world.watch()
            with spoilt(world, Killed(number, when)), suppress(Gone, CancelledError, RuntimeError):
                world.apply(kept(beside()))
            spec = kept(NEXT[following]())
            world.converge(spec, allow={"close": 1, "replace": 6, "delete": 8})
            assert world.plan(spec).is_empty
            _let_pass(world, groups(world))
            world.converge(spec, allow={"close": 1, "delete": 12})
            assert len(groups(world)) == 1, (number, when)
            assert world.lows[GROUP].healthy >= 2, (number, when, world.lows)


def test_requests_go_back_at_once_from_a_version_that_answers_wrongly_to_all() -> None:
    with watched() as world:
        world.converge(demo())
        before, good = groups(world), world.healthy_targets(GROUP)
        world.wrong, world.wrong_later = "answered 500", True
        world.watch()
        result = world.apply(beside(keep="30m"))
        (failed,) = [item.error for item in result.outcomes if item.error]
        assert isinstance(failed, WentBackError)
        assert failed.exit_code == 6
        assert "have gone back to the old version" in str(failed)
        assert good <= world.healthy_targets(GROUP)
        assert world.lows[GROUP].healthy >= 2
        with pytest.raises(RefusedError, match=r"failed its checks at .* --allow retry=1"):
            world.plan(beside(keep="30m"))
        world.converge(old(), allow={"delete": 8, "replace": 4})
        assert groups(world) == before


def test_an_abort_needs_no_lock_and_comes_before_the_move() -> None:
    with watched() as world:
        world.converge(demo())
        good = world.healthy_targets(GROUP)

        async def prove(aws: Aws, stack: str, proof: Proof) -> None:
            found = await discover(aws, stack, load(demo()).desired)
            assert await abort(Run(aws, stack), found, "2026-12-02T10:00:00Z") == ["target_group.web"]

        world.on_proof = prove
        result = world.apply(beside())
        assert any("was aborted at 2026-12-02T10:00:00Z" in text for text in result.failures)
        assert good <= world.healthy_targets(GROUP)
        with pytest.raises(RefusedError, match=r"was aborted at .* --allow retry=1"):
            world.plan(beside())


def test_where_nothing_is_being_deployed_there_is_nothing_to_abort() -> None:
    with watched() as world:
        world.converge(demo())

        async def main(aws: Aws) -> None:
            await abort(Run(aws, "demo"), await discover(aws, "demo", load(demo()).desired), "2026-12-02T10:00:00Z")

        with pytest.raises(RefusedError, match="nothing to abort"):
            world._run(main)


SETTLE = 30
"""Seconds for which a run waits before it asks, which the fake one here doesn't."""


@pytest.mark.parametrize("count", [2, 12, pytest.param(100, marks=pytest.mark.slow)])
def test_a_deployment_is_no_damage_and_takes_no_longer_for_many(count: int) -> None:
    """The limits count the target group alone, and the last weight is set within six minutes of AWS's time."""
    with watched() as world:
        spec, after = old(), third()
        for item in (spec, after):
            item["instances"]["web"] |= {"count": count}
        after["instances"]["web"]["rollout"]["keep"] = "30m"
        world.converge(spec)
        began, moments = world.clock.now(), list[float]()

        async def prove(aws: Aws, stack: str, proof: Proof) -> None:
            moments.append(world.clock.now() - began)

        world.on_proof = prove
        world.converge(after)
        _, moved = moments
        assert moved + SETTLE < 360
        _let_pass(world, [known for known in groups(world) if known not in _serving(world)])
        world.converge(after)
        assert len(groups(world)) == 1, "what stood by goes by itself"


@pytest.mark.parametrize("by", ["apply", "rollback", "destroy"])
def test_a_rule_that_a_killed_run_has_left_counts_as_nobodys_requests(by: str) -> None:
    """The next run asks again, and removes it."""
    with watched() as world:
        world.converge(demo())

        async def prove(aws: Aws, stack: str, proof: Proof) -> None:
            """What a process leaves that is killed while it asks."""
            condition = {
                "Field": "http-header",
                "HttpHeaderConfig": {"HttpHeaderName": "x-alb-reconcile-check", "Values": ["1" * 32]},
            }
            world.client("elbv2").create_rule(
                ListenerArn=proof.listener, Priority=1, Conditions=[condition], Actions=[{"Type": "forward", "TargetGroupArn": proof.group}],
                Tags=tags.to_list({tags.STACK: stack, tags.ADDRESS: f"rule.{tags.CHECK_NAME}"}),
            )  # fmt: skip
            raise RefusedError("killed")

        world.on_proof = prove
        assert world.apply(beside()).failures
        world.on_proof = None
        if by == "rollback":
            with pytest.raises(RefusedError, match="no version of demo stands by"):
                _roll_back(world, beside())
            world.converge(old(), allow={"delete": 8})
        elif by == "destroy":
            world.destroy(beside())
        else:
            world.converge(beside())
            assert len(world.proofs) == 1
        assert not [item for item in world.discover(demo()).resources if item.address.name == tags.CHECK_NAME]


@pytest.mark.parametrize("number", [1, 3, 6])
def test_after_a_killed_run_the_next_one_lets_the_old_version_stand_by_too(number: int) -> None:
    """Found: it was a duplicate of the new group then, and the next run ended it at once and asked nothing when the requests had moved."""
    with watched() as world:
        world.converge(demo())
        before = groups(world)
        with spoilt(world, Killed(number, "after")), suppress(Gone, CancelledError, RuntimeError):
            world.apply(beside(keep="30m"))
        world.converge(beside(keep="30m"), allow={"close": 1, "replace": 6})
        assert [proof.moved[:3] for proof in world.proofs] == ["", "arn"]
        _roll_back(world, beside())
        assert _serving(world) == before


def test_a_version_that_is_tried_again_after_a_rollback_can_be_rolled_back_again() -> None:
    with watched() as world:
        world.converge(demo())
        before = groups(world)
        world.converge(beside(keep="30m"))
        _roll_back(world, beside())
        world.converge(beside(keep="30m"), allow={"retry": 1})
        assert _serving(world) != before
        assert not any(item.tags.get(tags.REJECTED) for item in world.discover(demo()).resources)
        _roll_back(world, beside())
        assert _serving(world) == before


def test_after_a_version_that_failed_the_old_one_goes_when_its_time_is_over_and_nothing_is_made_again() -> None:
    """Found: the third version's group, whose name covers the failed one's id, was taken for a stranger's, and replaced."""
    with watched() as world:
        world.converge(demo())
        before = groups(world)
        world.wrong = "answered 500"
        assert world.apply(beside(keep="30m")).failures
        world.wrong = ""
        spec = third()
        spec["instances"]["web"]["rollout"]["keep"] = "30m"
        world.converge(spec, allow={"delete": 8})
        serving = _serving(world)
        _let_pass(world, before)
        result = world.converge(spec, allow={"delete": 8})
        assert "create_target_group" not in result.writes
        assert groups(world) == serving


def test_when_the_time_of_the_same_version_as_now_is_over_it_goes_and_nothing_is_made_again() -> None:
    """Found: after a deployment of version 1, 2 and 1 again, the first instances were those to keep, and what served was replaced."""
    first, second = old(), beside(keep="30m")
    first["instances"]["web"]["rollout"]["keep"] = "30m"
    with watched() as world:
        world.converge(first)
        world.converge(second)
        past = groups(world)
        world.converge(first)
        serving = _serving(world)
        _let_pass(world, past)
        result = world.converge(first, allow={"delete": 12})
        assert "create_target_group" not in result.writes
        assert groups(world) == serving


def test_what_is_in_two_groups_stands_by_until_the_time_of_both_is_over() -> None:
    """Found: an instance in a group whose time was over was a duplicate, though another group of it stood by."""
    other_port = beside(keep="30m")
    other_port["target_groups"]["web"]["port"] = 8080
    other_port["instances"]["web"]["user_data"] = old()["instances"]["web"]["user_data"]
    spec = copy.deepcopy(other_port)
    spec["instances"]["web"]["user_data"] = beside()["instances"]["web"]["user_data"]
    with watched() as world:
        world.converge(old())
        first = groups(world)
        world.converge(other_port)
        second = _serving(world)
        world.converge(spec)
        _let_pass(world, first)
        world.converge(spec, allow={"delete": 8})
        assert not set(first) & set(groups(world))
        _roll_back(world, spec)
        assert _serving(world) == second
        assert len(world.healthy_targets(GROUP)) == 2


def two_groups(spec: Spec) -> Spec:
    """The spec with another entry and its group, which a rule leads to."""
    spec["target_groups"]["api"] = copy.deepcopy(spec["target_groups"]["web"])
    spec["target_groups"]["api"]["targets"] = [{"instances": "api"}]
    spec["instances"]["api"] = copy.deepcopy(spec["instances"]["web"])
    rule = {"priority": 10, "conditions": [{"path_pattern": "/v2/*"}], "action": {"forward": "api"}}
    spec["load_balancers"]["public"]["listeners"]["http"]["rules"] = {"v2": rule}
    return spec


def test_two_versions_are_asked_one_after_the_other_at_one_listener() -> None:
    """Found: the second one removed the rule of the first one, whose checks the old version answered then."""
    with watched() as world:
        world.converge(two_groups(old()))

        async def prove(aws: Aws, stack: str, proof: Proof) -> None:
            world.proofs.append(proof)
            async with rule_for_header(
                aws, stack, proof.listener, str(proof.group), (HEADER, f"{len(world.proofs):032}")
            ):
                await aws.sleep(proof.settle)
                rows = await aws.pages("elbv2", "describe_rules", "Rules", ListenerArn=proof.listener)
                assert any(action.get("TargetGroupArn") == proof.group for row in rows for action in row["Actions"])

        world.prove = prove  # type: ignore[method-assign]
        world.converge(two_groups(beside()), allow={"replace": 8})
        assert len(world.proofs) == 2


def test_a_version_whose_rule_somebody_removes_is_not_taken_for_good() -> None:
    with watched() as world:
        world.converge(old())

        async def prove(aws: Aws, stack: str, proof: Proof) -> None:
            async with rule_for_header(aws, stack, proof.listener, str(proof.group), (HEADER, "1" * 32)):
                for row in await aws.pages("elbv2", "describe_rules", "Rules", ListenerArn=proof.listener):
                    if row["Priority"] != "default":
                        world.client("elbv2").delete_rule(RuleArn=row["RuleArn"])

        world.prove = prove  # type: ignore[method-assign]
        assert any("has deleted the rule" in text for text in world.apply(beside()).failures)


@pytest.mark.parametrize("moved", [1, 2])
def test_all_requests_go_back_if_those_of_one_listener_or_rule_are_answered_wrongly(moved: int) -> None:
    """Found: what had moved before stayed at the version that answered wrongly, and no rollback brought it back."""

    def with_rule(spec: Spec) -> Spec:
        rule = {"priority": 10, "conditions": [{"path_pattern": "/v2/*"}], "action": {"forward": "web"}}
        spec["load_balancers"]["public"]["listeners"]["http"]["rules"] = {"v2": rule}
        return spec

    with watched() as world:
        world.converge(with_rule(old()))
        before = groups(world)

        async def prove(aws: Aws, stack: str, proof: Proof) -> None:
            world.proofs.append(proof)
            is_wrong = proof.moved and sum(bool(known.moved) for known in world.proofs) == moved
            await aws.sleep(1)
            if is_wrong:
                raise CheckError("answered 500")

        world.prove = prove  # type: ignore[method-assign]
        result = world.apply(with_rule(beside(keep="30m")))
        assert any(isinstance(item.error, WentBackError) for item in result.outcomes)
        world.sample()
        assert world._receivers() == set(before)
        with pytest.raises(RefusedError, match="failed its checks at"):
            world.plan(with_rule(beside(keep="30m")))


def test_what_stands_by_is_there_still_when_requests_have_gone_back() -> None:
    with watched() as world:
        world.converge(demo())
        first = groups(world)
        world.converge(beside(keep="30m"))
        world.wrong, world.wrong_later = "answered 500", True
        spec = third()
        spec["instances"]["web"]["rollout"]["keep"] = "30m"
        assert world.apply(spec).failures
        _roll_back(world, spec)
        assert _serving(world) == first


def test_a_rollback_takes_back_the_requests_of_a_rule_that_was_made_meanwhile() -> None:
    """Found: the rule led to the version that was left, and the old version served the others."""
    spec = beside(keep="30m")
    rule = {"priority": 10, "conditions": [{"path_pattern": "/v2/*"}], "action": {"forward": "web"}}
    with watched() as world:
        world.converge(demo())
        before = groups(world)
        world.converge(spec)
        spec["load_balancers"]["public"]["listeners"]["http"]["rules"] = {"v2": rule}
        world.converge(spec)
        world.watch()
        _roll_back(world, spec)
        assert world._receivers() == set(before)
        assert world.lows[GROUP].healthy >= 2
        with pytest.raises(RefusedError, match="was rolled back at"):
            world.plan(spec)
        spec["instances"]["web"] = old()["instances"]["web"]
        world.converge(spec, allow={"delete": 8})
        assert groups(world) == before


def test_many_versions_within_the_time_for_which_they_stand_by() -> None:
    """Found: AWS refused the fifth one, since a forward has five groups at most."""
    with watched() as world:
        world.converge(demo())
        spec = beside(keep="30m")
        for number in range(6):
            spec["instances"]["web"]["user_data"] = f"#!/bin/sh\nexec web-api --{number}\n"
            before = _serving(world)
            result = world.converge(spec)
        assert any("no room for 1 of the versions" in text for text in result.plan.kept)
        _let_pass(world, [known for known in groups(world) if known not in (*_serving(world), *before)])
        world.converge(spec, allow={"delete": 30})
        _roll_back(world, spec)
        assert _serving(world) == before


def test_the_old_version_stands_by_although_one_of_its_rules_goes() -> None:
    before = old()
    rule = {"priority": 10, "conditions": [{"path_pattern": "/v2/*"}], "action": {"forward": "web"}}
    before["load_balancers"]["public"]["listeners"]["http"]["rules"] = {"v2": rule}
    with watched() as world:
        world.converge(before)
        first = groups(world)
        world.watch()
        world.converge(beside(keep="30m"), allow={"close": 1, "delete": 1})
        _roll_back(world, beside())
        assert world._receivers() == set(first)
        assert world.lows[GROUP].healthy >= 2


def test_an_abort_marks_no_group_of_weight_0_that_the_spec_declares() -> None:
    """Found: the user's own idle group was marked, and got no requests later without a word."""
    spec = two_groups(old())
    listener = spec["load_balancers"]["public"]["listeners"]["http"]
    del listener["rules"]
    shares = [{"target_group": "web", "weight": 1}, {"target_group": "api", "weight": 0}]
    listener["default_action"] = {"forward": {"target_groups": shares}}
    with watched() as world:
        world.converge(spec)

        async def main(aws: Aws) -> None:
            await abort(Run(aws, "demo"), await discover(aws, "demo", load(spec).desired), "2026-12-02T10:00:00Z")

        with pytest.raises(RefusedError, match="nothing to abort"):
            world._run(main)


def test_a_new_rule_leads_nobody_to_a_version_that_was_not_asked() -> None:
    """Found: a rule of the same change was made before the checks, and stayed at the version that failed them."""
    spec = beside(keep="30m")
    rule = {"priority": 10, "conditions": [{"path_pattern": "/v2/*"}], "action": {"forward": "web"}}
    spec["load_balancers"]["public"]["listeners"]["http"]["rules"] = {"v2": rule}
    with watched() as world:
        world.converge(old())
        before = groups(world)
        world.wrong = "answered 500"
        assert world.apply(spec).failures
        assert world._receivers() == set(before)
        world.wrong = ""
        world.converge(spec, allow={"retry": 1})
