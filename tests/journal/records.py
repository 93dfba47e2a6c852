"""Records of runs to test with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from alb_reconcile.journal.record import RunRecord, StepRecord

RECORD = RunRecord(
    run="0" * 32, command="sync", stack="shop", region="eu-west-1", started="2026-11-24T03:00:00Z",
    ended="2026-11-24T03:00:12Z", result="in_sync", account="123456789012", seconds=12.5, host="ops-1", user="cron",
    tool="0.1.0", spec_file="shop.yaml", spec_digest="abc", counts={"create": 0, "update": 0, "replace": 0, "delete": 0},
    calls={"describe_vpcs": 2},
)  # fmt: skip
COUNTED = {"create": 0, "update": 1, "replace": 1, "delete": 0}
UPDATE = StepRecord(
    "update:target_group.web", "update", "drift", "done", 1.5, "arn:tg", changes=("health_check.path: /x → /",)
)  # fmt: skip
REPLACE = StepRecord(
    "replace:instance.web-1@i-1", "replace", "drift", "withheld", reason="replacements are for a person"
)
FAILED = StepRecord(
    "update:target_group.web@arn:tg", "update", "drift", "failed", 0.5, "arn:tg", "AccessDenied", "it was denied", "req-1"
)  # fmt: skip
RENAMED = StepRecord(
    "create:load_balancer.public", "create", "drift", "done", 9.0, reason="another DNS name than before, new.example.com"
)  # fmt: skip


def made(**changes: Any) -> RunRecord:
    """A run that found all in sync, with changes."""
    return replace(RECORD, **changes)


def corrected(**changes: Any) -> RunRecord:
    return made(**{"result": "corrected", "counts": COUNTED, "steps": (UPDATE,), **changes})


def left(*steps: StepRecord, **changes: Any) -> RunRecord:
    run = {"result": "left", "counts": COUNTED, "steps": steps or (REPLACE,), "exit_code": 2}
    return made(**{**run, **changes})


def failed(**changes: Any) -> RunRecord:
    run = {"result": "failed", "counts": COUNTED, "steps": (FAILED,), "exit_code": 1}
    return made(**{**run, **changes})
