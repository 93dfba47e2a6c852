"""Three accounts with two regions each, and two small stacks in each cell."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.api.session import Session
from alb_reconcile.fleet.document import load_fleet
from alb_reconcile.fleet.operation import CellOutcome, Runner
from alb_reconcile.fleet.records import Records
from alb_reconcile.fleet.run import CellSettings
from alb_reconcile.fleet.sources import Sources
from alb_reconcile.fleet.stop import Stop
from alb_reconcile.journal.settings import read_settings
from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from tests.fleet.accounts import FLEET, SPEC, Accounts
from tests.harness import FAKE_ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alb_reconcile.fleet.cells import Cell, Fleet


@dataclass
class Team:
    """Whoever runs the fleet in `folder`."""

    folder: Path
    accounts: Accounts = field(default_factory=Accounts)
    said: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    stop: Stop = field(default_factory=Stop)
    meanwhile: Any = None
    """Called while a wave bakes."""
    hears: Any = None
    """Called with each line that is said."""

    @property
    def fleet(self) -> Fleet:
        return load_fleet(str(self.folder / "fleet.yaml"))

    @property
    def records(self) -> Records:
        return Records.of(self.fleet, Session(), self.folder / "state")

    def cell(self, key: str) -> Cell:
        return next(cell for cell in self.fleet.cells if cell.key == key)

    def write(self, name: str, text: str) -> None:
        """A file of the fleet."""
        (self.folder / name).write_text(text, encoding="utf-8")

    def rewrite(self, old: str, new: str) -> None:
        """Another fleet.yaml."""
        text = (self.folder / "fleet.yaml").read_text(encoding="utf-8")
        assert old in text
        self.write("fleet.yaml", text.replace(old, new))

    def run(self, command: Any, cells: list[Cell] | None = None) -> CellOutcome:
        return self._over(lambda runner: runner.run(command, self.fleet.cells if cells is None else cells))

    def apply(self, *, resume: bool = False) -> CellOutcome:
        return self._over(lambda runner: runner.apply(self.fleet.cells, resume=resume))

    def _hear(self, line: str) -> None:
        self.said.append(line)
        if self.hears:
            self.hears(line)

    def _over(self, main: Any) -> CellOutcome:
        async def sleep(seconds: float, _: Stop) -> None:
            self.slept.append(seconds)
            if self.meanwhile:
                self.meanwhile()

        async def work() -> CellOutcome:
            with Sources(self.folder / "cache", Session()) as sources:
                settings = CellSettings(self.fleet, self.accounts, sources, read_settings(os.environ))
                found: CellOutcome = await main(
                    Runner(self.fleet, settings, self.records, self.stop, self._hear, sleep=sleep)
                )
                return found

        return asyncio.run(work())


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    """A fleet that nothing of is there yet."""
    for name, value in FAKE_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ALB_RECONCILE_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("ALB_RECONCILE_STATE_DIR", str(tmp_path / "state"))
    found = Team(tmp_path)
    (tmp_path / "stacks").mkdir()
    found.write("fleet.yaml", FLEET)
    for name in ("api", "web"):
        found.write(f"stacks/{name}.yaml", SPEC.format(name=name))
    with StrictAws(clock=VirtualClock().now):
        yield found


def results(outcome: CellOutcome) -> dict[str, list[str]]:
    """By cell, its status and its stacks' results."""
    return {cell.key: [cell.status, *(stack.result for stack in cell.stacks)] for cell in outcome.cells}
