"""An entry that was renamed is recognised, and the way to follow it without replacing anything is named."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.adoption.adopting import keeper
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


def test_a_renamed_entry() -> None:
    with world() as aws:
        aws.converge(demo())
        plan = aws.plan(renamed(demo(), ("load-balancer", "edge")), allow={"delete": 9, "replace": 9, "cut-off": 9})
        assert hints(plan.warnings) == ["alb-reconcile move spec.yaml security_group.load-balancer security_group.edge"]


def test_members_of_an_instance_entry_move_together_and_a_refusal_says_so_too() -> None:
    """Another name, by itself, is no reason to allow that all is replaced."""
    spec = demo()
    after = json.loads(json.dumps(spec).replace('"instances": {"web"', '"instances": {"api"').replace('"targets": ["web"]', '"targets": ["api"]'))  # fmt: skip
    with world() as aws:
        aws.converge(spec)
        plan = aws.plan(after)
        assert hints(plan.warnings) == ["alb-reconcile move spec.yaml instances.web instances.api"]
        with pytest.raises(RefusedError) as refused:
            aws.plan(renamed(demo(), ("public", "front")))
        first, allow, _ = str(refused.value).partition("--allow replace-load-balancer=1")
        assert allow
        pairs = "route_table.public route_table.front load_balancer.public load_balancer.front"
        assert f"if these entries were only renamed, run this first: alb-reconcile move spec.yaml {pairs}\n" in first


def test_a_plan_that_no_order_leads_to_says_so_too() -> None:
    with world() as aws:
        aws.converge(demo())
        with pytest.raises(RefusedError) as refused:
            aws.plan(renamed(demo(), ("public-a", "front-a")))
        hint, held = str(refused.value).split("\n")
        assert hint.endswith("move spec.yaml subnet.public-a subnet.front-a")
        assert held.endswith("give it another range")
        assert refused.value.exit_code == 4, "refused: running it again doesn't help"


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
    (command,) = hints(told)
    assert command.startswith(
        "alb-reconcile move spec.yaml security_group.old-00 security_group.new-00 security_group.old-01 "
    )
    assert len(command.split()) == 3 + 2 * 10
    assert "3 more look renamed, too" in told


def test_a_listener_isnt_deleted_to_make_another_at_its_port() -> None:
    """Between the two nobody would answer. Found by walks through changes of any property."""
    after = renamed(demo(), ("http", "plain"))
    listener = after["load_balancers"]["public"]["listeners"]["plain"]
    listener["default_action"] = {"fixed_response": {"status_code": 404}}
    told = r"^listener\.public/plain can't be created before listener\.public/http \(\S+\) is deleted, .*: run alb-reconcile move spec.yaml (\S+) (\S+), then apply$"
    with keeper() as (aws, keep):
        aws.converge(demo())
        with pytest.raises(RefusedError, match=told) as refused:
            aws.plan(after, allow={"delete": 9})
        found = re.match(told, str(refused.value))
        assert found is not None
        keep.move(after, found[1], found[2])
        assert {step.key.partition(":")[0] for step in aws.converge(after).plan.steps} == {"update"}


def test_what_has_more_to_change_than_its_name_goes_before_its_successor() -> None:
    """AWS can't give a subnet another range."""
    before, after = demo(), demo()
    subnet = {"cidr_block": "10.0.8.0/24", "availability_zone": "a"}
    before["subnets"]["spare"], after["subnets"]["wide"] = subnet, {**subnet, "cidr_block": "10.0.8.0/22"}
    with world() as aws:
        aws.converge(before)
        aws.converge(after, allow={"delete": 1})


def test_a_rule_that_was_released_is_adopted_again_and_not_moved() -> None:
    """Found: `move` was advised, which finds nothing of the stack's there."""
    spec = demo()
    spec["load_balancers"]["public"]["listeners"]["http"]["rules"] = {
        "soon": {"priority": 9, "conditions": [{"path_pattern": "/v2/*"}], "action": {"forward": "web"}}
    }
    with keeper() as (aws, keep):
        aws.converge(spec)
        found = keep.release(spec, "rule.public/http/soon")
        assert any("the next apply deletes rule.public/http/soon as somebody else's" in note for note in found.notes)
        (told,) = (text for text in aws.plan(spec).warnings if "is like" in text)
        assert told.endswith(
            "which no stack owns, and which is deleted; to take it over instead, run this first: alb-reconcile adopt spec.yaml"
        )
        keep.adopt(spec)
        assert aws.plan(spec).is_empty
