"""A plan's two forms, the text and the JSON: what others read and script against."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from jsonschema import Draft202012Validator

from alb_reconcile.cli.render.plan import render_plan
from alb_reconcile.cli.render.schema import output_bundle
from alb_reconcile.cli.render.style import Style
from tests.plan.test_cases import CASES, cases_of, plan_of

if TYPE_CHECKING:
    from pathlib import Path


SCHEMA = output_bundle("plan")
SECRET = "hunter2-is-the-password"
PLANS = [item for item in CASES if "steps" in cases_of(cast("Path", item.values[0]))[str(item.values[1])]["expect"]]
"""Of the cases, those that aren't refused."""


@pytest.mark.parametrize(("file", "name"), PLANS)
def test_the_json_form_keeps_its_shape(file: Path, name: str) -> None:
    data = json.loads(plan_of(cases_of(file)[name]).to_json())
    Draft202012Validator(SCHEMA).validate(data)
    keys = [step["key"] for step in data["steps"]]
    assert len(set(keys)) == len(keys)
    for index, step in enumerate(data["steps"]):
        assert set(step["needs"]) <= set(keys[:index]), "a step comes after everything that it needs"
        assert step["needs"] == sorted(step["needs"])


def test_plans_come_out_the_same_every_time() -> None:
    case = {"want": {"target_groups/web/port": 8080, "instances/web/instance_type": "t3.small"}}
    assert plan_of(case).to_json() == plan_of(case).to_json()


@pytest.mark.parametrize(
    "case",
    [
        {"want": {"instances/web/user_data": SECRET}},
        {"have": {"instances/web/user_data": SECRET}, "want": {"instances/web/count": 3}},
        {"have": {"instances/web/user_data": SECRET}, "want": {"instances/web/user_data": "other"}},
        {"have": {"instances/web/user_data": SECRET}, "destroy": True},
    ],
)
def test_user_data_is_never_shown(case: dict[str, Any]) -> None:
    plan = plan_of(case)
    for text in (plan.to_json(), render_plan(plan, Style(colored=False)), repr(plan)):
        assert SECRET not in text
        assert SECRET.encode().hex() not in text
        assert SECRET[:7] not in text
    assert plan.steps
