"""A plan's two forms, the text and the JSON: what others read and script against."""

from __future__ import annotations

import itertools
import json
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import jsonschema
import pytest

from alb_reconcile.cli.render.plan import render_plan
from alb_reconcile.cli.render.style import Style
from tests.plan.test_cases import CASES, cases_of, plan_of

if TYPE_CHECKING:
    from pathlib import Path

    from alb_reconcile.model.plan import Plan

CHANGE = {
    "type": "object",
    "required": ["path", "before", "after"],
    "additionalProperties": False,
    "properties": {"path": {"type": "string", "minLength": 1}, "before": {}, "after": {}},
}
STEP = {
    "type": "object",
    "required": [
        "key",
        "act",
        "action",
        "address",
        "id",
        "reason",
        "changes",
        "needs",
        "waits",
        "effects",
        "also_deletes",
        "estimated_seconds",
    ],
    "additionalProperties": False,
    "properties": {
        "key": {"type": "string", "pattern": "^[a-z]+:[a-z_]+\\."},
        "act": {"enum": ["prepare", "move requests", "clean up"]},
        "action": {"enum": ["create", "update", "replace", "delete"]},
        "address": {"type": "string", "pattern": "^[a-z_]+\\..+$"},
        "id": {"type": ["string", "null"]},
        "reason": {"type": "string"},
        "changes": {"type": "array", "items": CHANGE},
        "needs": {"type": "array", "uniqueItems": True, "items": {"type": "string"}},
        "waits": {"type": "array", "items": {"type": "string"}},
        "effects": {"type": "array", "items": {"type": "string"}},
        "also_deletes": {"type": "array", "items": {"type": "string"}},
        "estimated_seconds": {"type": "integer", "minimum": 0},
    },
}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": [
        "version",
        "stack",
        "region",
        "account",
        "summary",
        "estimated_seconds",
        "estimated_total_seconds",
        "steps",
        "warnings",
    ],
    "additionalProperties": False,
    "properties": {
        "version": {"const": 2},
        "stack": {"type": "string"},
        "region": {"type": "string"},
        "account": {"type": "string", "pattern": "^[0-9]{12}$"},
        "summary": {
            "type": "object",
            "required": ["create", "update", "replace", "delete"],
            "additionalProperties": {"type": "integer", "minimum": 0},
        },
        "estimated_seconds": {"type": "integer", "minimum": 0},
        "estimated_total_seconds": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
        "steps": {"type": "array", "items": STEP},
        "warnings": {"type": "array", "items": {"type": "string"}},
    },
}
SECRET = "hunter2-is-the-password"


PLANS = [item for item in CASES if "steps" in cases_of(cast("Path", item.values[0]))[str(item.values[1])]["expect"]]
"""Of the cases, those that aren't refused."""


@pytest.fixture
def plan(file: Path, name: str) -> Plan:
    return _plan(file, name)


@cache
def _plan(file: Path, name: str) -> Plan:
    return plan_of(cases_of(file)[name])


@pytest.mark.parametrize(("file", "name"), PLANS)
def test_the_json_form_keeps_its_shape(plan: Any) -> None:
    data = json.loads(plan.to_json())
    jsonschema.validate(data, SCHEMA)
    keys = [step["key"] for step in data["steps"]]
    assert len(set(keys)) == len(keys)
    for index, step in enumerate(data["steps"]):
        assert set(step["needs"]) <= set(keys[:index]), "a step comes after everything that it needs"
        assert step["needs"] == sorted(step["needs"])


@pytest.mark.parametrize(("file", "name"), PLANS)
def test_the_text_is_for_readers(plan: Any) -> None:
    text = render_plan(plan, Style(colored=False))
    for word in ("Action(", "Forward(", "Permission(", "Route(", "Address(", "UserData(", "None", "\x1b"):
        assert word not in text, f"{word} is Python, not English"


@pytest.mark.parametrize(("file", "name"), PLANS)
def test_the_text_says_which_of_two_comes_first_as_the_steps_do(plan: Any) -> None:
    text = render_plan(plan, Style(colored=False))
    places = {step.key: index for index, step in enumerate(plan.steps)}
    for old in plan.steps:
        if old.part_of is None:
            continue
        (line,) = [line for line in text.splitlines() if line.strip().startswith(f"-/+ {old.address} ")]
        old_first = places[old.key] < places[old.part_of]
        assert ("the old one is deleted first" in line) is old_first, line


@pytest.mark.parametrize(("file", "name"), PLANS)
def test_no_change_looks_as_if_nothing_changed(plan: Any) -> None:
    lines = [line.strip() for line in render_plan(plan, Style(colored=False)).splitlines()]
    for line, following in itertools.pairwise(lines):
        before, arrow, after = line.partition(" → ")
        assert not (arrow and before.split("  ")[-1].strip() == after.strip()), line
        assert not (line.startswith("- ") and following == "+ " + line[2:]), line


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
