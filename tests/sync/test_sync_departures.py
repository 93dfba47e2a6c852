"""Targets that leave a group, and who turns requests away from it, where only one of them may be done."""

from __future__ import annotations

import copy

import pytest

from alb_reconcile.model import tags
from tests.harness import Spec, demo
from tests.kinds.hand import Hand
from tests.sync.words import done, left


def stray(hand: Hand) -> None:
    """A rule of somebody's, and a target, of the same group."""
    group = hand["target_group.web"]
    stranger = hand.stranger_in(hand["subnet.public-a"])
    hand.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": stranger, "Port": 80}])
    hand.elb.create_rule(
        ListenerArn=hand["listener.public/http"],
        Priority=7,
        Conditions=[{"Field": "path-pattern", "Values": ["/stray"]}],
        Actions=[{"Type": "forward", "TargetGroupArn": group}],
    )


@pytest.mark.parametrize(
    ("correct", "kind"), [("delete", "rule"), ("registration", "registration")], ids=["the rule", "the target"]
)
def test_a_stray_rule_and_a_stray_target_go_without_each_other(hand: Hand, spec: Spec, correct: str, kind: str) -> None:
    stray(hand)
    ending = hand.world.sync({**spec, "sync": {"correct": [correct]}})
    assert [address.partition(".")[0] for address in done(ending)] == [kind]


def test_targets_stay_where_a_listener_that_is_left_alone_sends_requests(hand: Hand) -> None:
    """A changed spec turns away from them, and somebody has asked to leave the listener alone."""
    spec = demo()
    instances, groups = spec["instances"], spec["target_groups"]
    instances |= {name: copy.deepcopy(instances["web"]) for name in ("more", "green")}
    groups["green"] = {**copy.deepcopy(groups["web"]), "targets": ["green"]}
    groups["web"]["targets"] = ["web", "more"]
    hand.make(spec)
    hand.elb.add_tags(
        ResourceArns=[hand["listener.public/http"]], Tags=[{"Key": tags.IGNORE_UNTIL, "Value": "2099-01-01"}]
    )
    after = copy.deepcopy(spec)
    after["load_balancers"]["public"]["listeners"]["http"]["default_action"] = {"forward": "green"}
    after["target_groups"]["web"]["targets"] = ["web"]
    after["sync"] = {"correct": ["delete", "registration", "rule"]}
    ending = hand.world.sync(after, apply_changes=True)
    assert not [address for address in done(ending) if address.startswith("registration.")]
    assert {"registration.web/more-1:80", "registration.web/more-2:80"} <= left(ending).keys()
