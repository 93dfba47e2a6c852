"""A plan of a spec that describes what runs, and that nobody adopted: it says what `adopt` would take over."""

from __future__ import annotations

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.adoption.adopting import RUNBOOK_NAMES, build_runbook, keeper, runbook
from tests.harness import demo
from tests.kinds.many import web


def test_what_exists_and_nobody_owns_is_named_in_one_line() -> None:
    with keeper() as (world, keep):
        spec = web(2)
        world.converge(spec)
        keep.release(spec)
        (line,) = [text for text in world.plan(spec).warnings if "adopt" in text]
        assert line.startswith("vpc.main (vpc-")
        assert "load_balancer.public (demo-public-" in line
        assert "exist already, and no stack owns them: this plan makes new ones; alb-reconcile adopt spec.yaml" in line
        keep.adopt(spec)
        assert not [text for text in world.plan(spec).warnings if "adopt" in text]
        spec["stack"] = "other"
        spec["vpcs"]["main"]["name"] = "demo-main"
        assert not [text for text in world.plan(spec).warnings if "adopt" in text], "another stack's"


def test_a_name_that_aws_has_once_is_refused_with_both_ways_out() -> None:
    with keeper() as (world, _):
        ids = build_runbook(world, RUNBOOK_NAMES)
        with pytest.raises(RefusedError) as refused:
            world.plan(runbook())
        balancer = ids["load_balancer.main"]
        assert (
            f'"alb" belongs to {balancer}, which is outside this stack; alb-reconcile adopt spec.yaml takes it over; or'
            in str(refused.value)
        )
        world.client("elbv2").add_tags(
            ResourceArns=[balancer], Tags=[{"Key": "alb-reconcile:stack", "Value": "another"}]
        )
        with pytest.raises(RefusedError) as refused:
            world.plan(runbook())
        assert f'"alb" belongs to {balancer}, which is outside this stack; choose another name' in str(refused.value)


def test_a_fresh_account_has_nothing_to_take_over() -> None:
    with keeper() as (world, _):
        assert not [text for text in world.plan(demo()).warnings if "adopt" in text]
