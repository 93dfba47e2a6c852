"""Who took away what is missing: the issue names them only where an event names exactly that, and has the command for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from alb_reconcile.sandbox.strict.world import World as Place
from tests.harness import REGION
from tests.sync.acts import delete_balancer, deregister, terminate
from tests.sync.rounds import go_round

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.harness import Spec
    from tests.kinds.hand import Hand

ASKS = "aws cloudtrail lookup-events --region us-east-1 --lookup-attributes"
EVENT = f"{ASKS} AttributeKey=EventName,AttributeValue="


class Told(NamedTuple):
    """Of an issue: who and what, below each step that says so; the commands that ask CloudTrail; whether it is final."""

    named: dict[str, str]
    commands: list[str]
    is_final: bool


@pytest.fixture
def go(hand: Hand, spec: Spec, tmp_path: Path) -> Callable[[int], Told]:
    """Goes a round in which nothing is corrected, and which asks CloudTrail that often."""

    def round_of(calls: int) -> Told:
        spec["sync"] = {"report": ["create", "update", "replace", "delete"]}
        go_round(hand, spec, tmp_path)
        assert sum(name == "lookup_events" for name, _ in hand.world.log) == calls
        named, key = {}, ""
        (file,) = (tmp_path / "issues").glob("*.md")
        text = file.read_text(encoding="utf-8").partition("## History")[0]
        for line in text.splitlines():
            key = line.strip("# `") if line.startswith("###") else key
            if "Last changed by" in line:
                who, what = line.split("`")[1::2][:2]
                named[key] = f"{who.rpartition('/')[2]}: {what}"
        commands = [part for part in text.split("`") if part.startswith("aws cloudtrail")]
        return Told(named, commands, '"asked":true' in text)

    return round_of


def test_a_target_and_what_else_is_missing(hand: Hand, go: Callable[[int], Told]) -> None:
    deregister(hand)
    hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
    hand.wait(60)
    named, commands, _ = go(1)
    assert named == {
        "create registration.web/web-1:80": "moto: DeregisterTargets",
        "create registration.web/web-2:80": "moto: DeregisterTargets",
    }
    assert commands == [f"{EVENT}DeleteListener"]


def test_a_target_that_was_there_again(hand: Hand, spec: Spec, go: Callable[[int], Told]) -> None:
    """Nobody is blamed for what was before: the event that counts is late."""
    deregister(hand)
    hand.wait(60)
    hand.make(spec)
    deregister(hand)
    trail = Place("123456789012", REGION).ledger.trail
    late = trail.pop()
    command = f"{ASKS} AttributeKey=ResourceName,AttributeValue={hand['target_group.web']}"
    assert go(1) == Told({}, [command], is_final=False)
    trail.append(late)
    told = go(1)
    assert len(told.named) == 2, "asked again"
    assert not told.is_final, "another event may still come"


@pytest.mark.parametrize(
    ("act", "event"),
    [
        (delete_balancer, "DeleteLoadBalancer"),
        (lambda hand: hand.elb.delete_rule(RuleArn=hand["rule.public/http/soon"]), "DeleteRule"),
        (lambda hand: terminate(hand, "web-1"), "TerminateInstances"),
    ],
)
def test_what_only_an_id_would_tell(
    hand: Hand, go: Callable[[int], Told], act: Callable[[Hand], None], event: str
) -> None:
    """With all that AWS deletes with a load balancer; an instance's id isn't known when EC2 no longer shows its tags."""
    act(hand)
    assert go(0) == Told({}, [f"{EVENT}{event}"], is_final=True)
