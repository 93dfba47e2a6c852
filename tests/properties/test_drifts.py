"""Whatever somebody does by hand to a stack is found, and corrected in the next_round; by default without taking anything
away."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from alb_reconcile.kinds import load_kinds
from tests.properties.drifts import SORTS, Drift, Stage, check_found, drifts, judge
from tests.properties.drifts_examples import unmanaged
from tests.properties.scene import SHAPES, scene
from tests.properties.seeds import SOAK

EXAMPLES = (500 if SOAK else 12) // len(SHAPES)
OF_A_KIND = 30


@pytest.mark.slow
@pytest.mark.parametrize("shape", [*SHAPES, *(load_kinds() if SOAK else ())])
def test_drift_is_found_and_corrected_in_the_next_round(shape: str) -> None:
    """One to three things that somebody does at once, in stacks of several shapes; at length in each kind's example as well, of
    which tests/kinds/test_every_kind.py changes each property."""
    with scene(shape) as made:
        stage = Stage(made)

        @settings(
            max_examples=EXAMPLES if shape in SHAPES else OF_A_KIND, database=None, deadline=None, derandomize=not SOAK
        )
        @given(drifts(shape))
        def check(drift: Drift) -> None:
            assert not (problem := judge(stage, drift).problem), problem

        check()


@pytest.mark.slow
def test_every_sort_of_deed_can_be_done_and_is_found() -> None:
    """Else the property above might hold for nothing; the first of each sort that AWS allows, in a stack that has everything."""
    refused = []
    with scene("full") as made:
        stage = Stage(made)
        for number, sort in enumerate(SORTS):
            if sort is unmanaged:
                continue
            drifts = (Drift("full", ((number, pick),), 30) for pick in range(len(stage.deeds[number])))
            done = next(filter(None, map(stage.disturb, drifts)), [])
            if not done:
                refused.append(sort.__name__)
            check_found(made.account.plan(made.spec), done)
            assert all(deed.shown_at for deed in done), f"{sort.__name__} begins with what isn't managed"
    assert refused == ["detachments"], "a gateway with public addresses behind it"


@pytest.mark.slow
def test_what_becomes_possible_during_a_run_is_left_to_the_next_one() -> None:
    """Found: an instance that was being terminated had gone by then, so that its targets could be made anew; the run told
    that as its own failure."""
    deeds = ("instance.web-2 terminated", "vpc.main enable_dns_hostnames", "target_group.web deleted")
    with scene("wide") as made:
        stage = Stage(made)
        assert not (problem := judge(stage, Drift("wide", stage.named(*deeds), 0)).problem), problem


@pytest.mark.slow
def test_a_load_balancer_is_put_back_among_its_security_groups_and_subnets_at_once() -> None:
    """Found: the subnet that was too many stayed until the next run, since only the groups were taken away late."""
    deeds = ("load_balancer.public in another security group", "load_balancer.public in another subnet")
    with scene("full") as made:
        stage = Stage(made)
        assert not (problem := judge(stage, Drift("full", stage.named(*deeds), 0)).problem), problem


@pytest.mark.slow
def test_nothing_is_made_ready_for_what_waits() -> None:
    """Found: a target group was put into a rule for a while, so that an instance would be checked that waits for a person."""
    deeds = (
        "target_group.stable deleted", "instance.stable-2 tag alb-reconcile:user-data removed", "target_group.canary deleted",
    )  # fmt: skip
    with scene("secure") as made:
        stage = Stage(made)
        assert not (problem := judge(stage, Drift("secure", stage.named(*deeds), 30)).problem), problem


def test_nobody_is_served_while_stopped_instances_wait_for_a_person() -> None:
    """Found: the round fails for it, which the check of a round's failures took for a mistake."""
    with scene("full") as made:
        stage = Stage(made)
        deeds = ("instance.web-1 stopped", "instance.web-2 stopped")
        assert not (problem := judge(stage, Drift("full", stage.named(*deeds), 0)).problem), problem


def test_somebodys_security_group_in_the_place_of_ours_is_left_to_a_person() -> None:
    """Found: it looks like ours without its tags, so that the plan is refused, which was taken for a mistake."""
    with scene("foreign") as made:
        stage = Stage(made)
        deeds = ("load_balancer.internal in another security group", "security_group.load-balancer is deleted")
        verdict = judge(stage, Drift("foreign", stage.named(*deeds), 0))
        assert (verdict.is_found, verdict.problem) == (True, "")


@pytest.mark.parametrize(
    ("shape", "deed"),
    [
        ("wide", "security_group_rules.spare is deleted"),
        ("registration", "instance.app-1 iam_instance_profile"),
    ],
)
def test_what_the_spec_says_nothing_of_is_nothing_to_find(shape: str, deed: str) -> None:
    with scene(shape) as made:
        stage = Stage(made)
        assert not (problem := judge(stage, Drift(shape, stage.named(deed), 0)).problem), problem


def test_what_is_deleted_is_there_again_after_a_reset() -> None:
    """Found: buckets weren't, so that what was tried after that was tried without one."""
    with scene("log_bucket") as made:
        stage = Stage(made)
        assert stage.disturb(Drift("log_bucket", stage.named("log_bucket.logs is deleted"), 0))
        assert not made.account.plan(made.spec).is_empty
        made.reset()
        assert made.account.plan(made.spec).is_empty
