"""An entry that was renamed is recognised, and the way to follow it without replacing anything is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.model.errors import PlanError, RefusedError
from tests.harness import demo, world
from tests.kinds.hand import edited

if TYPE_CHECKING:
    from tests.harness import Spec


def renamed(spec: Spec, *pairs: tuple[str, str]) -> Spec:
    """The spec with names changed wherever they stand."""
    text = json.dumps(spec)
    for old, new in pairs:
        text = text.replace(f'"{old}"', f'"{new}"')
    found: Spec = json.loads(text)
    return found


def hints(warnings: tuple[str, ...]) -> list[str]:
    return [text.partition("run this first: ")[2] for text in warnings if "run this first" in text]


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("load-balancer", "edge", ["move SPEC security_group.load-balancer security_group.edge"]),
        ("http", "plain", ["move SPEC listener.public/http listener.public/plain"]),
    ],
)
def test_a_renamed_entry(old: str, new: str, wanted: list[str]) -> None:
    with world() as aws:
        aws.converge(demo())
        plan = aws.plan(renamed(demo(), (old, new)), allow={"delete": 9, "replace": 9, "cut-off": 9})
        assert hints(plan.warnings) == [f"alb-reconcile {text}" for text in wanted]


def test_members_of_an_instance_entry_move_together_and_a_refusal_says_so_too() -> None:
    """Another name, by itself, is no reason to allow that all is replaced."""
    spec = demo()
    after = json.loads(json.dumps(spec).replace('"instances": {"web"', '"instances": {"api"').replace('"targets": ["web"]', '"targets": ["api"]'))  # fmt: skip
    with world() as aws:
        aws.converge(spec)
        plan = aws.plan(after)
        assert hints(plan.warnings) == ["alb-reconcile move SPEC instances.web instances.api"]
        with pytest.raises(RefusedError) as refused:
            aws.plan(renamed(demo(), ("public", "front")))
        assert "--allow replace-load-balancer=1" in str(refused.value)
        assert "move SPEC load_balancer.public load_balancer.front" in str(refused.value)


def test_a_plan_that_no_order_leads_to_says_so_too() -> None:
    with world() as aws:
        aws.converge(demo())
        with pytest.raises(PlanError, match="dependency cycle") as refused:
            aws.plan(renamed(demo(), ("public-a", "front-a")))
        assert "move SPEC subnet.public-a subnet.front-a" in str(refused.value)


def test_what_differs_otherwise_too_is_another_thing() -> None:
    with world() as aws:
        aws.converge(demo())
        other = edited(renamed(demo(), ("load-balancer", "edge")), "security_groups/edge/description", "something else")
        assert hints(aws.plan(other).warnings) == []
        assert hints(aws.plan(demo()).warnings) == []


def test_of_many_the_first_are_told() -> None:
    spec = edited(demo(), "security_groups", {
        **demo()["security_groups"], **{f"old-{number:02}": {"description": f"number {number}"} for number in range(13)},
    })  # fmt: skip
    after = json.loads(json.dumps(spec).replace('"old-', '"new-'))
    with world() as aws:
        aws.converge(spec)
        told = aws.plan(after, allow={"delete": 20}).warnings
    assert hints(told)[:2] == [
        f"alb-reconcile move SPEC security_group.old-{number} security_group.new-{number}" for number in ("00", "01")
    ]
    assert len(hints(told)) == 10
    assert "3 more look renamed, too" in told
