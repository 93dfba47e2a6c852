"""An entry that was renamed is recognised, and the way to follow it without replacing anything is named."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.adoption.adopting import keeper
from tests.harness import demo
from tests.kinds.hand import edited

if TYPE_CHECKING:
    from tests.harness import Spec, World


def renamed(spec: Spec, *pairs: tuple[str, str]) -> Spec:
    """The spec with names changed wherever they stand."""
    text = json.dumps(spec)
    for old, new in pairs:
        text = text.replace(f'"{old}"', f'"{new}"')
    found: Spec = json.loads(text)
    return found


def hints(warnings: tuple[str, ...]) -> list[str]:
    return [text.partition("run this first: ")[2] for text in warnings if "run this first" in text]


def test_a_renamed_entry(here: World) -> None:
    here.converge(demo())
    plan = here.plan(renamed(demo(), ("load-balancer", "edge")), allow={"delete": 9, "replace": 9, "cut-off": 9})
    assert hints(plan.warnings) == ["alb-reconcile move spec.yaml security_group.load-balancer security_group.edge"]
    other = edited(renamed(demo(), ("load-balancer", "edge")), "security_groups/edge/description", "something else")
    assert hints(here.plan(other).warnings) == [], "what differs otherwise too is another thing"
    assert hints(here.plan(demo()).warnings) == []


def test_members_of_an_instance_entry_move_together_and_a_refusal_says_so_too(here: World) -> None:
    """Another name, by itself, is no reason to allow that all is replaced."""
    spec = demo()
    after = json.loads(json.dumps(spec).replace('"instances": {"web"', '"instances": {"api"').replace('"targets": ["web"]', '"targets": ["api"]'))  # fmt: skip
    here.converge(spec)
    plan = here.plan(after)
    assert hints(plan.warnings) == ["alb-reconcile move spec.yaml instances.web instances.api"]
    with pytest.raises(RefusedError) as refused:
        here.plan(renamed(demo(), ("public", "front")))
    first, allow, _ = str(refused.value).partition("--allow replace-load-balancer=1")
    assert allow
    pairs = "route_table.public route_table.front load_balancer.public load_balancer.front"
    assert f"if these entries were only renamed, run this first: alb-reconcile move spec.yaml {pairs}\n" in first


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


def test_a_rule_that_was_forgotten_is_adopted_again_and_not_moved() -> None:
    spec = demo()
    spec["load_balancers"]["public"]["listeners"]["http"]["rules"] = {
        "soon": {"priority": 9, "conditions": [{"path_pattern": "/v2/*"}], "action": {"forward": "web"}}
    }
    with keeper() as (aws, keep):
        aws.converge(spec)
        found = keep.forget(spec, "rule.public/http/soon")
        assert any("the next apply deletes rule.public/http/soon as somebody else's" in note for note in found.notes)
        (told,) = (text for text in aws.plan(spec).warnings if "is like" in text)
        assert told.endswith(
            "which no stack owns, and which is deleted; to take it over instead, run this first: alb-reconcile adopt spec.yaml"
        )
        keep.adopt(spec)
        assert aws.plan(spec).is_empty
