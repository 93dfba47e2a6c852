"""`fleet status --format prometheus`: what waits, how old what is known is, and how it ended."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from alb_reconcile.cli.render.fleet import FleetView
from alb_reconcile.cli.render.fleet_metrics import fleet_metrics
from alb_reconcile.fleet.queues import QueueState
from tests.fleet.test_fleet_page import NOW, view


def samples(shown: FleetView) -> dict[tuple[str, tuple[str, ...]], float]:
    """By name, without the prefix, and the labels' values beside the fleet's name."""
    found = {}
    for family in text_string_to_metric_families(fleet_metrics(shown)):
        for item in family.samples:
            assert item.labels.pop("fleet") == "shops"
            found[item.name.removeprefix("alb_reconcile_fleet_"), tuple(item.labels.values())] = item.value
    return found


def test_cells_are_counted_and_their_ages_told() -> None:
    found = samples(view())
    assert {key: value for key, value in found.items() if key[0] == "cells"} == {
        ("cells", ("succeeded",)): 3, ("cells", ("failed",)): 1, ("cells", ("unknown",)): 1,
    }  # fmt: skip
    search = ("000000000000", "eu-central-1", "shop")
    assert found["cell_last_run_timestamp_seconds", search] == NOW - 600
    assert found["cell_last_success_timestamp_seconds", search] == NOW - 600
    assert found["cell_schedule_seconds", search] == 900
    assert found["oldest_run_timestamp_seconds", ()] == NOW - 90_000
    assert not [key for key in found if key[0] == "queue_messages"]


def test_a_queue_is_told_where_one_is_named() -> None:
    found = samples(replace(view(), queue=QueueState(7, 2, 1, ("a cell",))))
    told = {key[1]: value for key, value in found.items() if key[0] == "queue_messages"}
    assert told == {("waiting",): 7, ("in_flight",): 2, ("dead",): 1}


def test_a_cell_that_was_never_well_has_no_such_time() -> None:
    shown = view(1)
    never = replace(shown.outcome.cells[0], last_success="", schedule=None)
    found = samples(replace(shown, outcome=replace(shown.outcome, cells=[never]), missing=()))
    assert {name for name, _ in found} == {"cells", "cell_last_run_timestamp_seconds", "oldest_run_timestamp_seconds"}
