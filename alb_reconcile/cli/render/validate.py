"""Renders what `validate` says of specs: mistakes, risks and security findings, as text and as JSON."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from alb_reconcile.cli.render.style import Style
from alb_reconcile.model.controls import SEVERITIES
from alb_reconcile.model.errors import Problem
from alb_reconcile.spec.security import Audit, SecurityFinding


@dataclass(frozen=True)
class ValidationView:
    """One spec: its mistakes, or what it would make; `audit` if it was asked for. `resources` is None if the spec is invalid."""

    file: str
    problems: Sequence[Problem]
    resources: int | None
    audit: Audit | None


def validations_text(views: Sequence[ValidationView], style: Style, *, verbose: int = 0) -> str:
    """A line for each problem and finding, one for each spec, and a summary."""
    lines = [line for view in views for line in _lines(view, verbose)]
    return "\n".join([*lines, *_total(views)])


def _total(views: Sequence[ValidationView]) -> Iterator[str]:
    """The number of mistakes and risks; nothing for a single spec, since its own line says it."""
    problems = [problem for view in views for problem in view.problems]
    if len(views) == 1 and not problems:
        return
    warnings = sum(problem.warning for problem in problems)
    valid = sum(view.resources is not None for view in views)
    counts = f"{_of(len(problems) - warnings, 'error')}, {_of(warnings, 'warning')}"
    yield f"{counts}; {valid} of {_of(len(views), 'spec')} valid"


def _of(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _lines(view: ValidationView, verbose: int) -> Iterator[str]:
    yield from (problem.render(view.file) for problem in view.problems)
    if view.resources is None:
        return
    summary = f"{view.file}: valid, {view.resources} resources"
    if view.audit:
        for group in _together(view.audit.open):
            yield f"{_head(view.file, group)}: {group[0].problem}; {group[0].change}"
        for group in _together(view.audit.accepted) if verbose else ():
            yield f"{_head(view.file, group)}: accepted: {group[0].reason}"
        summary += f"; {_count(view.audit.open)}, {len(view.audit.accepted)} accepted"
    yield summary


def _together(findings: Iterable[SecurityFinding]) -> list[list[SecurityFinding]]:
    """The findings in groups: several controls may find one mistake."""
    groups: dict[tuple[object, ...], list[SecurityFinding]] = {}
    for item in findings:
        key = (item.line, item.column, item.path, item.problem, item.change, item.reason)
        groups.setdefault(key, []).append(item)
    return list(groups.values())


def _head(file: str, group: Sequence[SecurityFinding]) -> str:
    """The place, the worst severity, the ids of the controls, and checkov's ids for them."""
    first = group[0]
    severity = min((item.control.severity for item in group), key=SEVERITIES.index)
    ids = ", ".join(item.control.id for item in group)
    checkov = ", ".join(name for item in group for name in item.control.checkov)
    return f"{file}:{first.line}:{first.column}: {severity} {ids}{f' ({checkov})' if checkov else ''}: {first.path}"


def _count(findings: Sequence[SecurityFinding]) -> str:
    if not findings:
        return "no findings"
    counts = Counter(item.control.severity for item in findings)
    parts = ", ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES if counts[severity])
    return f"{len(findings)} finding{'s' if len(findings) > 1 else ''} ({parts})"


def validations_json(views: Sequence[ValidationView]) -> str:
    """All specs as one document, with `findings` if they were asked for."""
    specs = [_json(view) for view in views]
    return json.dumps({"version": 1, "specs": specs}, indent=2)


def _json(view: ValidationView) -> dict[str, Any]:
    found: dict[str, Any] = {
        "file": view.file,
        "valid": view.resources is not None,
        "resources": view.resources,
        "problems": [asdict(item) for item in view.problems],
    }
    if view.audit:
        found["findings"] = [_finding(item) for item in view.audit.findings]
    return found


def _finding(item: SecurityFinding) -> dict[str, Any]:
    return {
        "id": item.control.id,
        "checkov": list(item.control.checkov),
        "title": item.control.title,
        "severity": item.control.severity,
        "line": item.line,
        "column": item.column,
        "path": item.path,
        "address": item.address,
        "problem": item.problem,
        "change": item.change,
        "accepted": item.reason or None,
        "page": item.control.page,
    }
