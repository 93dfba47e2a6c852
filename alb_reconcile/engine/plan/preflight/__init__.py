"""Checks decisions against what was read, for what AWS would refuse half-way through a run and `validate` couldn't know.

A check takes the decisions and what was read, and returns its findings: texts, or findings with their places in the spec.
"""

from collections.abc import Callable, Iterable
from typing import Final

from alb_reconcile.engine.plan.addresses import held_elsewhere
from alb_reconcile.engine.plan.preflight.dependents import (
    early_protocol_versions,
    held_by_unmanaged,
    kept_slots,
    named_security_groups,
    needed_by_others,
    shared_target_groups,
    used_duplicates,
)
from alb_reconcile.engine.plan.preflight.named import own_by_id
from alb_reconcile.engine.plan.preflight.networks import split_target_groups
from alb_reconcile.engine.plan.preflight.places import (
    strange_security_groups,
    taken_names,
    unreached_targets,
)
from alb_reconcile.kinds import load_kinds
from alb_reconcile.model.decisions import Decisions
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.errors import RefusedError

Check = Callable[[Decisions, Discovery], Iterable[Finding | str]]
CHECKS: Final[tuple[Check, ...]] = (
    taken_names, strange_security_groups, split_target_groups, unreached_targets, held_elsewhere,
    used_duplicates, shared_target_groups, early_protocol_versions, named_security_groups, held_by_unmanaged, needed_by_others,
    kept_slots, own_by_id,
)  # fmt: skip


def check_facts(decisions: Decisions, discovery: Discovery) -> list[str]:
    """Refuse a spec that AWS would refuse. Returns warnings. Raises RefusedError with everything found, in the order of the file."""
    checks = [*CHECKS, *(kind.check_plan for kind in load_kinds().values())]
    found = [*discovery.findings, *(item for check in checks for item in check(decisions, discovery))]
    # entries of one short form have one place
    places = {(str(item).partition(": ")[0], item.text): item for item in reversed(found) if isinstance(item, Finding)}
    placed = [*reversed(places.values())]
    problems = [
        *map(str, sorted((item for item in placed if not item.warning), key=_place)),
        *(item for item in found if isinstance(item, str)),
    ]
    if problems:
        raise RefusedError("\n".join(dict.fromkeys(problems)))
    return list(dict.fromkeys(str(item) for item in placed if item.warning))


def _place(finding: Finding) -> list[int]:
    """The line and column of a finding in the spec."""
    return [int(part) for part in str(finding).split(": ")[0].split(":")[-2:] if part.isdecimal()]
