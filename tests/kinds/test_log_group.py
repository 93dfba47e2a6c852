"""Log groups: retention and a key are taken away again, and a group of others is refused, then adopted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.adoption.adopting import Keeper
from tests.harness import by_hand
from tests.kinds.example import STACK, Example
from tests.kinds.hand import update

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Hand

APP = "log_group.app"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
EXAMPLE = Example(
    spec={**STACK, "log_groups": {"app": {"retention_in_days": 30, "kms_key_id": KEY}}},
    address=APP,
    changes={"retention_in_days": 0, "kms_key_id": ""},
)


def logging(**entry: Any) -> Spec:
    """A stack with a log group alone."""
    return {**STACK, "log_groups": {"app": entry}}


def shown() -> dict[str, Any]:
    """The account's one log group, as AWS describes it."""
    (found,) = by_hand("logs").describe_log_groups()["logGroups"]
    return dict(found)


def test_retention_and_key_are_taken_away_again(hand: Hand) -> None:
    hand.make(logging(retention_in_days=30, kms_key_id=KEY))
    assert (shown()["logGroupName"], shown()["retentionInDays"], shown()["kmsKeyId"]) == ("demo-app", 30, KEY)
    spec = logging(retention_in_days=0, kms_key_id=KEY)
    hand.repairs(update(APP, "retention_in_days"), spec=spec, by=("delete_retention_policy", "tag_resource"))
    spec = logging(retention_in_days=0, kms_key_id="")
    hand.repairs(update(APP, "kms_key_id"), spec=spec, by=("disassociate_kms_key", "tag_resource"))
    assert not {"retentionInDays", "kmsKeyId"} & shown().keys()


def test_what_is_left_out_stays_as_it_is(hand: Hand) -> None:
    hand.make(logging(retention_in_days=30, kms_key_id=KEY))
    hand.repairs(spec=logging())
    assert (shown()["retentionInDays"], shown()["kmsKeyId"]) == (30, KEY)


def test_retention_that_is_changed_by_hand_is_corrected(hand: Hand) -> None:
    hand.make(logging(retention_in_days=30))
    by_hand("logs").put_retention_policy(logGroupName="demo-app", retentionInDays=7)
    hand.repairs(update(APP, "retention_in_days"), by="put_retention_policy")
    by_hand("logs").delete_retention_policy(logGroupName="demo-app")
    hand.repairs(update(APP, "retention_in_days"), by="put_retention_policy")
    assert shown()["retentionInDays"] == 30


def test_a_name_that_others_have_is_refused_and_adopted(hand: Hand) -> None:
    by_hand("logs").create_log_group(logGroupName="/shop/app")
    spec = logging(name="/shop/app", retention_in_days=30)
    told = r'a log group named "/shop/app" exists outside this stack; alb-reconcile adopt spec\.yaml takes it over'
    hand.refuses_run(spec, told)
    Keeper(hand.world).adopt(spec)
    hand.repairs(update(APP, "retention_in_days"), spec=spec, by=("put_retention_policy", "tag_resource"))
    hand.world.destroy(spec)
    assert not by_hand("logs").describe_log_groups()["logGroups"]


def test_a_plan_says_that_the_logs_go(hand: Hand) -> None:
    hand.make(logging())
    steps = hand.world.plan({**STACK, "log_groups": {"other": {}}}).steps
    assert [(step.action, step.effects) for step in steps if step.id] == [("delete", ("deletes all of its logs",))]
