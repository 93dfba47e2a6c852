"""What becomes of a stack is decided once a plan; once more only where a fact or what waits makes it another situation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.engine.plan.decide import decide as real
from alb_reconcile.model.errors import RefusedError
from tests.harness import demo
from tests.kinds.hand import calls, edited

if TYPE_CHECKING:
    from tests.harness import World


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """An item for each time."""
    times: list[None] = []

    def decide(target: Any, discovery: Any, forced: Any, *rest: Any) -> Any:
        if not forced:
            times.append(None)
        return real(target, discovery, forced, *rest)

    monkeypatch.setattr("alb_reconcile.engine.plan.situation.decide", decide)
    return times


def test_a_plan_or_refusal_is_made_of_one_decision(here: World, decided: list[None]) -> None:
    here.converge(demo())
    decided.clear()
    here.plan(edited(demo(), "instances/web/count", 1), allow={"delete": 9})
    here.plan(demo(), destroy=True)
    assert len(decided) == 2
    with pytest.raises(RefusedError, match="delete-load-balancer"):
        here.plan(edited(demo(), "load_balancers", None))
    assert len(decided) == 3


def test_an_image_that_turns_out_to_be_needed_is_another_situation(here: World, decided: list[None]) -> None:
    here.converge(demo())
    decided.clear()
    moved = edited(demo(), "instances/web/subnets", ["public-b"])
    plan = here.plan(moved)
    assert plan.count()["replace"]
    assert all(getattr(step.state, "image_id", "ami-").startswith("ami-") for step in plan.steps)
    assert (len(decided), len(calls(here, "get_parameters"))) == (2, 1)


def test_sync_judges_a_changed_spec_by_what_it_has_read(here: World, decided: list[None]) -> None:
    """It reads twice, as always before a correction, and not once more to see whether `apply` would refuse it."""
    here.converge(demo())
    decided.clear()
    spec = edited(demo(), "load_balancers", None)
    spec["security_groups"]["spare"] = {"description": "spare"}
    ending = here.sync(spec, apply_changes=True)
    assert ending.outcomes == ()
    assert any("apply refuses the changed spec" in note for note in ending.notes)
    assert (len(decided), len(calls(here, "describe_vpcs"))) == (2, 2)
