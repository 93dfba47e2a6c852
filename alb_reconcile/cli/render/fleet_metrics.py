"""Renders a fleet's records as metrics in Prometheus's text format."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily

from alb_reconcile.cli.render.fleet import FleetView

_PREFIX: Final = "alb_reconcile_fleet_"
_CELL: Final = ("fleet", "account", "region", "wave")


def fleet_metrics(view: FleetView) -> str:
    """Gauges for each cell and result, and for the queue if one was named."""

    class Collected:
        def collect(self) -> Iterable[GaugeMetricFamily]:
            return [*_cells(view), *_queue(view)]

    return generate_latest(Collected()).decode().rstrip("\n")


def _cells(view: FleetView) -> Iterable[GaugeMetricFamily]:
    name, results = view.outcome.fleet, view.outcome.cells
    counted = GaugeMetricFamily(f"{_PREFIX}cells", "Cells by the result of their last run.", labels=("fleet", "status"))
    statuses = Counter[str](item.status for item in results)
    for status, count in sorted({**statuses, "unknown": len(view.missing)}.items()):
        counted.add_metric((name, status), count)
    yield counted
    texts = {
        "cell_last_run_timestamp_seconds": "When the cell was last looked at, whatever came of it.",
        "cell_last_success_timestamp_seconds": "When all stacks of the cell were last in order.",
        "cell_schedule_seconds": "How often the cell is to be looked at.",
    }
    ended, well, schedules = (GaugeMetricFamily(_PREFIX + key, text, labels=_CELL) for key, text in texts.items())
    for item in results:
        labels = (name, item.account, item.region, item.wave)
        ended.add_metric(labels, _moment(item.ended))
        if item.last_success:
            well.add_metric(labels, _moment(item.last_success))
        if item.schedule:
            schedules.add_metric(labels, item.schedule)
    yield from (ended, well, schedules)
    oldest = GaugeMetricFamily(
        f"{_PREFIX}oldest_run_timestamp_seconds", "When the cell was looked at that waits longest.", labels=("fleet",)
    )
    if results:
        oldest.add_metric((name,), min(_moment(item.ended) for item in results))
    yield oldest


def _queue(view: FleetView) -> Iterable[GaugeMetricFamily]:
    if view.queue is None:
        return
    messages = GaugeMetricFamily(
        f"{_PREFIX}queue_messages",
        "Cells that wait, that workers have, and that were given up.",
        labels=("fleet", "state"),
    )
    for state, count in (
        ("waiting", view.queue.waiting),
        ("in_flight", view.queue.in_flight),
        ("dead", view.queue.dead),
    ):
        messages.add_metric((view.outcome.fleet, state), count)
    yield messages


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
