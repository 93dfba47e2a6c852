"""`fleet report --format html` and `fleet status --format prometheus`: for who answers for many accounts."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from alb_reconcile.cli.pictures.fleet import fleet_page
from alb_reconcile.cli.render.fleet import FleetView
from alb_reconcile.cli.render.fleet_metrics import fleet_metrics
from alb_reconcile.fleet.cells import Cell, Source
from alb_reconcile.fleet.operation import CellOutcome
from alb_reconcile.fleet.queues import QueueState
from alb_reconcile.fleet.records import Operation
from alb_reconcile.fleet.results import CellResult, PastRun, StackResult
from alb_reconcile.journal.record import StepRecord
from alb_reconcile.model.host import iso

NOW = 1_795_705_200.0
LEFT = (
    StepRecord("replace:instance.web-1@i-1", "replace", "drift", "withheld", reason="it requires manual action"),
    StepRecord("update:listener.public/http@arn", "update", "spec", "withheld"),
)


def ago(seconds: float) -> str:
    return iso(NOW - seconds)


def cell(name: str, *stacks: StackResult, **changes: str) -> CellResult:
    status = "failed" if any(item.result == "failed" for item in stacks) else "succeeded"
    made = CellResult(
        "shops", "111111111111", "eu-central-1", "canary", "sync", "succeeded", ago(660), ago(600), name=name,
        owner="team-web", schedule=900, stacks=stacks, last_success=ago(600), past=(PastRun("apply", "failed", ago(7200)),),
    )  # fmt: skip
    return replace(made, **{"status": status, **changes})  # type: ignore[arg-type]  # mypy takes the texts for all fields


def stack(name: str, result: str = "in_sync", *, error: str = "", steps: tuple[StepRecord, ...] = ()) -> StackResult:
    well = ago(600) if result == "in_sync" else ""
    return StackResult(name, f"specs/{name}.yaml", result, ended=ago(600), error=error, steps=steps, last_success=well)


def view(cells: int = 4, word: str = "shop") -> FleetView:
    """Accounts of four kinds, in turn; and one of which nothing is recorded."""
    kinds = [
        cell("search", stack(word), stack(f"{word}-api")),
        cell("payments", stack(word, "left", steps=LEFT), account="222222222222"),
        cell("ledger", stack(word, "failed", error=f"AccessDenied: {word}"), account="333333333333", owner=""),
        cell("media", stack(word), account="444444444444", ended=ago(90_000)),
    ]
    made = [
        replace(kinds[number % 4], name=f"{kinds[number % 4].name}-{number}", wave=word, account=f"{number:012}")
        for number in range(cells)
    ]
    unknown = Cell("shops", "999999999999", "eu-west-1", "rest", (Source("x"),), Path(), name=f"{word}-new", owner=word)
    stopped = Operation(
        "1", "shops", "apply", ago(9000), ago(8000), "stopped", word, f"stopped in wave {word}", {"a": "failed"}
    )
    return FleetView(CellOutcome("shops", "status", made), (unknown,), stopped, NOW)


def words(markup: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", markup).split())


def rows(text: str) -> list[str]:
    """Those of the table of cells."""
    table = text.partition("<tbody>")[2].partition("</tbody>")[0]
    return [words(row) for row in table.split("</tr>") if row]


def test_who_reads_only_the_top_knows_how_it_is() -> None:
    text = words(fleet_page(view()))
    assert "3 of 5 stacks are in sync (60.0%). 3 in sync 1 with something left to do 1 failed" in text
    assert (
        "Accounts 5 Cells 5 Stacks 5 Drifted stacks 1 Failed cells 1 Never looked at 1 Oldest result 25 h old" in text
    )
    assert "Last apply over the fleet stopped, ended 2 h ago; cells: 1 failed stopped in wave shop" in text


def test_the_cells_to_look_at_come_first() -> None:
    assert rows(fleet_page(view())) == [
        "ledger-2/eu-central-1 000000000002 shop nobody named sync failed , 10 min ago 0 of 1 none 10 min ago",
        "payments-1/eu-central-1 000000000001 shop team-web sync succeeded , 10 min ago 0 of 1 1 10 min ago",
        "media-3/eu-central-1 000000000003 shop team-web sync succeeded , 25 h ago later than its schedule 1 of 1 none 10 min ago",
        "search-0/eu-central-1 000000000000 shop team-web sync succeeded , 10 min ago 2 of 2 none 10 min ago",
        "shop-new/eu-west-1 999999999999 rest shop no run is recorded",
    ]


def test_one_that_is_missing_is_never_100_percent() -> None:
    many = [cell("a", *(stack(f"s-{number}") for number in range(9999)), stack("last", "left"))]
    text = fleet_page(FleetView(CellOutcome("shops", "status", many), now=NOW))
    assert "9999 of 10000 stacks are in sync (99.9%)" in text


def test_an_empty_fleet_and_strangers_texts() -> None:
    assert "0 of 0 stacks are in sync." in fleet_page(FleetView(CellOutcome("shops", "status", []), now=NOW))
    text = fleet_page(view(word="<img src=x onerror=owned=1>"))
    assert "<img" not in text


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
