"""Checks a valid spec against AWS Security Hub's controls: which ones it doesn't meet, and which of these are accepted, with the reason."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from alb_reconcile.kinds import in_spec_order
from alb_reconcile.model.controls import CONTROLS, Control
from alb_reconcile.model.errors import Problem
from alb_reconcile.model.nodes import render_path
from alb_reconcile.spec.document import find
from alb_reconcile.spec.outline import Outline


@dataclass(frozen=True)
class SecurityFinding:
    """A control that an entry doesn't meet, with its place in the file. `reason` is why that is accepted; empty if it isn't."""

    line: int
    column: int
    path: str
    control: Control
    address: str
    problem: str
    change: str
    reason: str = ""


@dataclass(frozen=True)
class Audit:
    """All controls that a spec doesn't meet, in the order of the file; and, as warnings, what it accepts without need."""

    findings: tuple[SecurityFinding, ...]
    unused: tuple[Problem, ...]

    @property
    def open(self) -> tuple[SecurityFinding, ...]:
        """The findings that the spec doesn't accept."""
        return tuple(item for item in self.findings if not item.reason)

    @property
    def accepted(self) -> tuple[SecurityFinding, ...]:
        return tuple(item for item in self.findings if item.reason)


def audit(outline: Outline) -> Audit:
    """The audit of a valid document."""
    accepted: Mapping[str, str | Mapping[str, str]] = (outline.data.get("security") or {}).get("accept") or {}
    found, used = [], set()
    for item in (item for kind in in_spec_order() for find_unmet in kind.audits for item in find_unmet(outline)):
        reasons = accepted.get(item.control, {})
        reason = reasons if isinstance(reasons, str) else reasons.get(item.address, "")
        if reason:
            used.add((item.control, "" if isinstance(reasons, str) else item.address))
        line, column = find(outline.root, item.path)[1]
        control = CONTROLS[item.control]
        found.append(
            SecurityFinding(
                line, column, render_path(item.path), control, item.address, item.problem, item.change, reason
            )
        )
    found.sort(key=lambda item: (item.line, item.column, list(CONTROLS).index(item.control.id)))
    return Audit(tuple(found), tuple(_unused(outline, accepted, used)))


def _unused(
    outline: Outline, accepted: Mapping[str, str | Mapping[str, str]], used: set[tuple[str, str]]
) -> Iterator[Problem]:
    for control, reasons in accepted.items():
        for address in [""] if isinstance(reasons, str) else reasons:
            if (control, address) not in used:
                path = ("security", "accept", control, *filter(None, [address]))
                line, column = find(outline.root, path)[1]
                yield Problem(line, column, render_path(path), "accepts what isn't found here; remove it", warning=True)
