"""How an `apply` goes through its waves. What a cell comes to is told beforehand; nothing is asked of AWS."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.fleet.operation import is_due
from alb_reconcile.fleet.results import CellResult, StackResult
from alb_reconcile.model.errors import ExitCode, InterruptedRun, RefusedError
from tests.fleet.accounts import SPEC

if TYPE_CHECKING:
    from alb_reconcile.fleet.cells import Cell
    from tests.fleet.conftest import Team

pytestmark = pytest.mark.slow

NOON = "2026-11-26T12:00:00Z"


class Script:
    """What cells come to: `failing` ones fail. `begun` are those that were begun, in their order, with the command."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.failing: set[str] = set()
        self.unhealthy: set[str] = set()
        self.begun: list[str] = []
        self.most = self.running = self.failed = self.worst = 0
        self.stop_at = ""

    async def run_cell(
        self, cell: Cell, command: Any, settings: Any, stop: Any, *, keep: Any = None, operation: str = "", **_: Any
    ) -> CellResult:
        """In the place of the real one."""
        import asyncio

        self.begun.append(cell.key if command == "apply" else f"{command} {cell.key}")
        self.running += 1
        self.most, self.worst = max(self.most, self.running), max(self.worst, self.running + self.failed)
        await asyncio.sleep(0)
        self.running -= 1
        if cell.key == self.stop_at:
            stop.set()
        status: Any = "failed" if cell.key in self.failing else "interrupted" if stop.is_set else "succeeded"
        self.failed += status == "failed"
        notes = ("registration.web:1 is unhealthy",) if cell.key in self.unhealthy and command == "plan" else ()
        stacks = (StackResult("web", "web.yaml", "in_sync", notes=notes),)
        result = CellResult(
            cell.fleet, cell.account, cell.region, cell.wave, command, status, NOON, NOON, operation=operation,
            stacks=stacks,
        )  # fmt: skip
        return result if command == "plan" else await keep(result)


@pytest.fixture
def script(team: Team, monkeypatch: pytest.MonkeyPatch) -> Script:
    found = Script(team)
    monkeypatch.setattr("alb_reconcile.fleet.operation.run_cell", found.run_cell)
    return found


CANARY = ["111111111111/us-east-1", "111111111111/eu-central-1"]
REST = [
    f"{account}/{region}" for account in ("222222222222", "333333333333") for region in ("us-east-1", "eu-central-1")
]
LOOKS = [f"plan {key}" for key in CANARY]


def test_the_canary_bakes_and_is_looked_at_before_the_rest_begins(team: Team, script: Script) -> None:
    assert team.apply().status == "succeeded"
    assert (script.begun, team.slept) == ([*CANARY, *LOOKS, *REST], [600])


def test_a_canary_that_gets_ill_while_it_bakes_stops_it(team: Team, script: Script) -> None:
    script.unhealthy = {CANARY[0]}
    outcome = team.apply()
    assert (outcome.status, outcome.code) == ("stopped", ExitCode.FAILED)
    assert script.begun == [*CANARY, *LOOKS]
    assert f"{CANARY[0]}: after its bake: web: registration.web:1 is unhealthy" in team.said
    assert [cell.status for cell in outcome.cells] == ["failed", "succeeded", *["cancelled"] * 4]
    assert team.records.read(team.cell(REST[0])) is None  # nothing was done there


@pytest.mark.parametrize(
    ("tolerance", "failing", "status", "begun"),
    [
        ("1", 1, "succeeded", 4),
        ("1", 2, "stopped", 2),
        ("50%", 2, "succeeded", 4),
        ("49%", 2, "stopped", 2),
        ("0", 1, "stopped", 1),
        ("0", 4, "stopped", 1),
    ],
)
def test_more_failures_than_may_be_stop_a_wave(
    team: Team, script: Script, tolerance: str, failing: int, status: str, begun: int
) -> None:
    team.rewrite("{name: rest, failure_tolerance: 1}", f"{{name: rest, failure_tolerance: {tolerance}}}")
    script.failing = set(REST[:failing])
    outcome = team.apply()
    assert outcome.status == status
    assert script.begun[4:] == REST[:begun]
    assert outcome.code is ExitCode.FAILED


def _twenty(team: Team, preferences: str) -> list[str]:
    """A fleet of so many cells in one wave. Returns their keys."""
    accounts = [f"{number:012}" for number in range(20)]
    listed = "".join(
        f'  - {{account_id: "{account}", regions: [us-east-1], stacks: [stacks]}}\n' for account in accounts
    )
    team.write("fleet.yaml", f"fleet: shops\n{preferences}accounts:\n{listed}")
    return [f"{account}/us-east-1" for account in accounts]


def test_each_failure_leaves_room_for_one_less(team: Team, script: Script) -> None:
    """Cells that have failed, and those that still may, are never more than one beyond the tolerance."""
    cells = _twenty(team, "operation_preferences: {max_concurrent: 3, failure_tolerance: 20%}\n")
    script.failing = set(cells[::4])
    outcome = team.apply()
    assert Counter(cell.status for cell in outcome.cells) == {"failed": 5, "succeeded": 12, "cancelled": 3}
    assert (script.most, script.worst) == (3, 5)
    script.failing = set(cells[4:8])
    assert (team.apply().status, script.most) == ("succeeded", 3)


def test_specs_that_change_between_two_waves_are_refused(team: Team) -> None:
    """Somebody pulls while the canary bakes; the rest would get what the canary never had."""

    def pull(line: str) -> None:
        if line.startswith("wave rest"):
            team.write("stacks/web.yaml", SPEC.format(name="web"))

    for name in ("api", "web"):
        team.write(f"stacks/{name}.yaml", f"stack: {name}\nvpcs: {{main: {{cidr_block: 10.0.0.0/16}}}}\n")
    team.apply()
    team.accounts.calls.clear()
    team.hears = pull
    outcome = team.apply()
    assert outcome.reason == "stopped in wave rest: 2 of 4 cells failed, and failure_tolerance is 1"
    errors = {cell.error for cell in outcome.cells if cell.wave == "rest" and cell.status == "failed"}
    assert [text.partition(",")[0] for text in errors] == ["its specs have changed since this apply began"]
    assert team.accounts.changes == []


class TestResume:
    """From what the records say, and only if it is safe."""

    def test_it_goes_on_from_the_wave_that_stopped(self, team: Team, script: Script) -> None:
        script.failing = set(REST[:3])
        assert team.apply().status == "stopped"
        last = team.records.read_operation()
        assert last is not None
        assert (last.status, last.wave, last.reason) == (
            "stopped", "rest", "stopped in wave rest: 2 of 4 cells failed, and failure_tolerance is 1",
        )  # fmt: skip
        script.failing, script.begun = set(), []
        resumed = team.apply(resume=True)
        assert (resumed.status, resumed.operation) == ("succeeded", last.operation)
        assert script.begun == REST
        last = team.records.read_operation()
        assert last is not None
        assert last.status == "succeeded"
        assert set(last.cells.values()) == {"succeeded"}

    def test_specs_that_no_canary_has_seen_are_refused(self, team: Team, script: Script) -> None:
        script.failing = set(REST)
        team.apply()
        team.write("stacks/web.yaml", SPEC.format(name="web").replace("port: 80", "port: 81"))
        with pytest.raises(RefusedError, match=r"second/us-east-1, .* have changed .*; run fleet apply, which begins"):
            team.apply(resume=True)

    def test_what_is_stopped_by_hand_can_be_resumed(self, team: Team, script: Script) -> None:
        script.stop_at = CANARY[1]
        outcome = team.apply()
        assert (outcome.status, outcome.code, team.slept) == ("interrupted", ExitCode.INTERRUPTED, [])
        assert script.begun == CANARY
        last = team.records.read_operation()
        assert last is not None
        assert (last.status, last.wave) == ("interrupted", "canary")


def test_the_word_to_stop_before_it_begins(team: Team, script: Script) -> None:
    team.stop.set()
    with pytest.raises(InterruptedRun, match="nothing was changed"):
        team.apply()
    assert (script.begun, team.records.read_operation()) == ([], None)


@pytest.mark.parametrize(
    ("ended", "due"),
    [
        ("2026-11-26T11:46:00Z", False),
        ("2026-11-26T11:45:00Z", True),
        ("2026-11-26T12:00:00Z", False),
        ("2026-11-27T12:00:00Z", True),  # a clock has jumped
        ("1970-01-01T00:00:00Z", True),
    ],
)
def test_a_cell_is_due_by_its_schedule(team: Team, ended: str, due: bool) -> None:
    cell = team.cell(REST[0])
    last = CellResult("shops", cell.account, cell.region, "rest", "sync", "succeeded", ended, ended)
    assert is_due(cell, last, 1795694400.0) is due  # noon
    assert is_due(cell, None, 0.0)
