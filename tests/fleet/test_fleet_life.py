"""Twelve stacks in three accounts and two regions: applied in waves, drifted, corrected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from alb_reconcile.model.errors import ExitCode
from tests.fleet.conftest import results
from tests.harness import demo
from tests.kinds.hand import LINUX_1

if TYPE_CHECKING:
    from tests.fleet.conftest import Team


@pytest.mark.slow
def test_a_life(team: Team) -> None:
    planned = team.run("plan")
    assert set(map(tuple, results(planned).values())) == {("succeeded", "changes", "changes")}
    assert (len(planned.cells), planned.code) == (6, ExitCode.CHANGES)
    assert team.accounts.changes == []
    assert team.records.read_all(team.fleet.cells) == ({}, [])  # a plan changes nothing

    applied = team.apply()
    assert set(map(tuple, results(applied).values())) == {("succeeded", "corrected", "corrected")}
    assert team.slept == [600]
    first = [key.partition("/")[0] for key, _ in team.accounts.changes]
    assert "111111111111" not in first[first.index("222222222222") :], "the canary wasn't first"
    assert team.run("plan").code is ExitCode.OK
    recorded, problems = team.records.read_all(team.fleet.cells)
    assert not problems
    assert {item.operation for item in recorded.values()} == {applied.operation}
    assert all(item.last_success for item in recorded.values())

    # somebody changes a target group by hand
    cell = team.cell("222222222222/eu-central-1")
    (group,) = [
        item["TargetGroupArn"]
        for item in team.accounts.by_hand(cell, "elbv2", "describe_target_groups")["TargetGroups"]
        if item["HealthCheckPath"] == "/web"
    ]
    team.accounts.by_hand(cell, "elbv2", "modify_target_group", TargetGroupArn=group, HealthCheckPath="/other")
    team.accounts.calls.clear()
    corrected = team.run("sync")
    assert results(corrected)[cell.key] == ["succeeded", "in_sync", "corrected"]
    assert {key for key, _ in team.accounts.changes} == {cell.key}
    step = next(stack for item in corrected.cells for stack in item.stacks if stack.result == "corrected").steps[0]
    assert (step.cause, step.how) == ("drift", "done")
    kept = team.records.read(cell)
    assert kept is not None
    assert [(run.command, run.status) for run in kept.past] == [("apply", "succeeded")]
    assert team.run("plan").code is ExitCode.OK


def test_a_plan_says_which_variable_an_earlier_apply_was_given(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = demo()
    del spec["region"], spec["target_groups"]["web"]["targets"]
    spec["instances"]["web"].pop("user_data_file", None)
    spec["instances"]["web"] |= {
        "image_id": LINUX_1,
        "user_data": "#!/bin/sh\n",
        "user_data_values": {"VERSION": "${VERSION}"},
    }
    team.write("stacks/demo.yaml", yaml.safe_dump(spec))
    cell = team.cell("111111111111/eu-central-1")
    monkeypatch.setenv("VERSION", "1.3")
    team.run("apply", [cell])  # an instance is there; this world lets none get healthy
    monkeypatch.delenv("VERSION")
    notes = [note for item in team.run("plan", [cell]).cells for found in item.stacks for note in found.notes]
    assert "VERSION is 1.3, as the stack's newest instance has it; --set VERSION=VALUE gives another" in notes
