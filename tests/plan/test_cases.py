"""Planner cases as data: what there is and what is wanted → the steps, their order and the text.

`UPDATE_CASES=1 pytest tests/plan` rewrites the expectations; read each one before it is committed.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from alb_reconcile.cli.render.plan import render_plan
from alb_reconcile.cli.render.style import Style
from alb_reconcile.model.errors import PlanError, RefusedError
from tests.plan.stacks import Account, base, plan_for

if TYPE_CHECKING:
    from alb_reconcile.model.plan import Plan

FILES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))


@cache
def cases_of(file: Path) -> dict[str, Any]:
    """All of a file."""
    cases: dict[str, Any] = yaml.load(file.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return cases


CASES = [
    pytest.param(file, name, id=f"{file.stem}-{name.replace(' ', '-')}") for file in FILES for name in cases_of(file)
]


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def plan_of(case: dict[str, Any]) -> Plan:
    """The plan that a case asks for."""
    account = Account(base(case.get("have")))
    for how, what in (case.get("then") or {}).items():
        getattr(account, how)(what)
    wanted = base(case.get("have"), case.get("want"))
    destroy = bool(case.get("destroy"))
    return plan_for(wanted, account.discovery(), allow=case.get("allow"), destroy=destroy)


def outcome(case: dict[str, Any]) -> dict[str, Any]:
    """What came of a case, in the form in which the expectation is written."""
    try:
        plan = plan_of(case)
    except (PlanError, RefusedError) as error:
        return {type(error).__name__: str(error)}
    return {"steps": steps_of(plan), "text": render_plan(plan, Style(colored=False)).strip() + "\n"}


def steps_of(plan: Plan) -> list[str]:
    """Each step by its key, without the id where that is clear, and what it directly follows."""
    stems = [step.key.partition("@")[0] for step in plan.steps]
    names = {
        step.key: stem
        if stems.count(stem) == 1
        else step.key.replace("arn:aws:elasticloadbalancing:us-east-1:123456789012:", "")
        for step, stem in zip(plan.steps, stems, strict=True)
    }
    before: dict[str, set[str]] = {}
    lines = []
    for step in plan.steps:
        implied = {far for near in step.needs for far in before[near]}
        before[step.key] = {*step.needs, *implied}
        direct = sorted(names[key] for key in set(step.needs) - implied)
        lines.append(names[step.key] + (f" after {', '.join(direct)}" if direct else ""))
    return lines


@pytest.mark.parametrize(("file", "name"), CASES)
def test_the_plan_is_as_written(file: Path, name: str) -> None:
    cases = cases_of(file)
    case = cases[name]
    actual = outcome(case)
    if os.environ.get("UPDATE_CASES"):
        case["expect"] = actual
        file.write_text(yaml.dump(cases, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=200))
    assert actual == case["expect"]
