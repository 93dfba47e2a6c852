"""Groups of which no target is healthy: who waits for them, and who needn't."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tests.harness import Spec, demo, world
from tests.kinds.hand import Faults, Hand
from tests.properties.test_gaps import ALLOW, listener
from tests.properties.test_ill_starts import alone, go
from tests.properties.test_pairs import check_pair
from tests.properties.watched import watched

pytestmark = pytest.mark.slow


def shared(share: int, *paths: str) -> Spec:
    """The group of one target gets so much of what the rule for all gets, and all from a rule for each of these paths."""
    spec = alone("/1/*")
    listener = spec["load_balancers"]["public"]["listeners"]["https"]
    for number, path in enumerate(paths, 50):
        rule = {"priority": number, "conditions": [{"path_pattern": path}], "action": {"forward": "canary"}}
        listener["rules"][f"more-{number}"] = rule
    weights = {"stable": 100 - share, "canary": share}
    groups = [{"target_group": name, "weight": weight} for name, weight in weights.items()]
    listener["rules"]["api"]["action"] = {"forward": {"target_groups": groups}}
    return spec


@pytest.mark.parametrize("after", [shared(10, "/9/*"), shared(60), shared(60, "/9/*")], ids=["rule", "share", "both"])
def test_a_group_whose_instance_is_started_gets_more_requests_when_it_serves(after: Spec) -> None:
    """Found: a new rule came before the instance that somebody had stopped."""
    go(shared(10), after, "stopped", 1)


def second(*paths: str, count: int = 2, **listeners: Any) -> Spec:
    """The demo with another group of so many instances, a rule to it for each of these paths, and these listeners besides."""
    spec = demo()
    spec["instances"]["api"] = {**spec["instances"]["web"], "count": count}
    spec["target_groups"]["api"] = {**spec["target_groups"]["web"], "targets": ["api"]}
    listener(spec)["rules"] = {
        f"api-{number}": {"priority": number, "conditions": [{"path_pattern": path}], "action": {"forward": "api"}}
        for number, path in enumerate(paths, 10)
    }
    spec["load_balancers"]["public"]["listeners"] |= listeners
    return spec


def at(port: int, group: str) -> dict[str, Any]:
    """A listener."""
    return {"protocol": "HTTP", "port": port, "default_action": {"forward": group}}


def test_a_new_rule_waits_for_a_group_that_is_checked_from_this_run_on() -> None:
    """Found: a group that nothing forwarded to stood at weight 0 beside others, and its health wasn't waited for."""
    go(second(), second("/api/*"))


@pytest.mark.parametrize("after", [second("/a", "/b"), second("/c")], ids=["a new rule", "other conditions"])
def test_a_rule_does_without_an_instance_that_does_not_start_where_another_one_serves(after: Spec) -> None:
    with world() as here:
        hand = Hand(here)
        hand.make(second("/a"))
        hand.ec2.modify_instance_attribute(InstanceId=hand["instance.api-1"], DisableApiStop={"Value": False})
        hand.ec2.stop_instances(InstanceIds=[hand["instance.api-1"]])
        here.clock.advance(300)
        Faults(here).refuse("start_instances", "InsufficientInstanceCapacity", times=99)
        result = here.apply(after, timeout=60)
        assert {item.step.address.kind: item.how for item in result.outcomes} == {"rule": "done", "instance": "failed"}


def test_a_rule_waits_no_longer_than_for_the_first_target() -> None:
    """Not for one that may rest."""
    with world() as here:
        hand, spec = Hand(here), second("/a")
        spec["instances"]["rests"] = {**spec["instances"]["web"], "count": 1, "state": "any"}
        spec["target_groups"]["api"]["targets"] = ["api", "rests"]
        hand.make(spec)
        for name in ("api-1", "api-2", "rests-1"):
            hand.ec2.modify_instance_attribute(InstanceId=hand[f"instance.{name}"], DisableApiStop={"Value": False})
            hand.ec2.stop_instances(InstanceIds=[hand[f"instance.{name}"]])
        here.clock.advance(300)
        began = here.clock.now()
        listener(spec)["rules"]["api-10"]["conditions"] = [{"path_pattern": "/b"}]
        here.converge(spec)
        assert here.clock.now() - began < 120


def test_a_load_balancer_goes_though_nothing_answers_at_one_of_its_ports() -> None:
    """Found: its successor waited in vain for a target of a group that has a `min_healthy`, and whose predecessor had none, either."""
    before = demo()
    before["target_groups"]["api"] = {**before["target_groups"]["web"], "targets": [], "min_healthy": 1}
    before["load_balancers"]["public"]["listeners"]["other"] = at(81, "api")
    after = deepcopy(before)
    after["load_balancers"]["public"]["scheme"] = "internal"
    check_pair(before, after)


@pytest.mark.parametrize("least", [None, 1])
def test_a_load_balancer_stays_where_a_group_that_serves_moves_to_the_place_of_one_that_does_not(
    least: int | None,
) -> None:
    """It is looked at wherever the group itself served."""
    before, after = second(other=at(81, "api")), second(other=at(80, "web"))
    after["load_balancers"]["public"] |= {"scheme": "internal", "listeners": {"other": at(80, "web")}}
    for spec in (before, after):
        spec["target_groups"]["web"] |= {} if least is None else {"min_healthy": least}
    with watched() as here:
        here.converge(before)
        (old,) = here.account.elb.load_balancers
        known = {group.arn: group.name for group in here.account.elb.target_groups.values()}
        dark = {arn for arn, name in known.items() if "api" in name}
        here.strict.health = lambda group, *_: "unhealthy" if group in dark or group not in known else None
        here.sample()
        here.clock.advance(3600)
        assert here.apply(after, allow=ALLOW).failures
        assert old in here.account.elb.load_balancers
