"""Renders what `apply` and `destroy` did, as JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from alb_reconcile.journal.record import RunRecord


@dataclass
class RunView:
    """One run: its record, which is made when the run has ended, and further data for its reader."""

    record: RunRecord | None = None
    urls: Sequence[str] = ()
    warnings: Sequence[str] = ()

    def keep(self, record: RunRecord) -> None:
        """Take the record."""
        self.record = record


def runs_json(views: Sequence[RunView]) -> str:
    """The documented form: for each run a record as in the history, with the URLs that answer."""
    runs = [
        {**view.record.to_data(), "urls": list(view.urls), "warnings": list(view.warnings)}
        for view in views
        if view.record is not None
    ]
    return json.dumps({"version": 1, "runs": runs}, indent=2)
