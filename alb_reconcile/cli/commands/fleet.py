"""The commands `fleet validate|plan|sync|apply|resume|status|report`, which work on many accounts in one process."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from alb_reconcile.api.allowances import check_allowed
from alb_reconcile.api.proving import prover
from alb_reconcile.api.session import Session, check_session
from alb_reconcile.cli.render.console import complain
from alb_reconcile.cli.render.fleet import FleetView, cell_line, fleet_json, fleet_text, report_text, status_text
from alb_reconcile.cli.render.fleet_metrics import fleet_metrics
from alb_reconcile.cli.render.fleet_validation import validation_text
from alb_reconcile.cli.render.output import Output
from alb_reconcile.cli.session.queue import look_at_queue
from alb_reconcile.cli.session.recording import RecordOptions, settings_of
from alb_reconcile.cli.session.specs import given_again
from alb_reconcile.fleet.cells import Cell, Fleet
from alb_reconcile.fleet.credentials import Credentials
from alb_reconcile.fleet.document import load_fleet
from alb_reconcile.fleet.operation import CellOutcome, Runner, is_due
from alb_reconcile.fleet.records import Records
from alb_reconcile.fleet.results import CellResult, Command
from alb_reconcile.fleet.run import CellSettings, validate_cell
from alb_reconcile.fleet.sources import Sources
from alb_reconcile.fleet.stop import Stop
from alb_reconcile.journal.files import state_folder
from alb_reconcile.journal.log import configure_logs
from alb_reconcile.journal.settings import Settings, read_settings
from alb_reconcile.model.advice import advised
from alb_reconcile.model.errors import ExitCode, RefusedError, UsageError
from alb_reconcile.spec.stack import load_policy
from alb_reconcile.sync.stack import Ways


@dataclass(frozen=True)
class ChoiceOptions:
    """The options that name the fleet, and the chosen cells."""

    file: str
    variables: Mapping[str, str]
    accounts: tuple[str, ...]
    waves: tuple[str, ...]


@dataclass(frozen=True)
class ReachOptions:
    """The options that say which AWS is asked, and how; the regions are the fleet's."""

    profile: str | None
    endpoint_url: str | None
    sandbox: bool
    max_workers: int
    pace: float | None
    verbose: int

    def session(self) -> Session:
        """The session for these options. Raises UsageError."""
        session = Session(
            profile=self.profile, endpoint_url=self.endpoint_url, sandbox=self.sandbox, max_workers=self.max_workers,
            pace=self.pace,
        )  # fmt: skip
        check_session(session)
        return session


@dataclass(frozen=True)
class RunOptions:
    """The options of all commands that read AWS."""

    policy: str | None
    parallel: int
    output: Output
    connection: ReachOptions


@dataclass(frozen=True)
class FleetValidateOptions:
    choice: ChoiceOptions
    policy: str | None
    state_dir: str | None
    output: Output
    connection: ReachOptions


def validate(options: FleetValidateOptions) -> ExitCode:
    """Check the fleet's file and all specs, each as its cells have it. Sends no request to the accounts."""
    fleet, cells = chosen_cells(options.choice)
    session, variables = options.connection.session(), options.choice.variables
    if options.policy:
        load_policy(options.policy, variables)  # a mistake in the policy is reported at once
    cache = state_folder(options.state_dir, os.environ) / "fleet" / "sources"
    with Sources(cache, session, variables, options.policy) as sources:
        outcome = CellOutcome(fleet.name, "validate", [validate_cell(cell, sources) for cell in cells])
    options.output.show(FleetView(outcome), validation_text, fleet_json)
    results = {stack.result for cell in outcome.cells for stack in cell.stacks}
    if "failed" in results:
        return ExitCode.FAILED
    return ExitCode.INVALID if "broken" in results else ExitCode.OK


@dataclass(frozen=True)
class FleetPlanOptions:
    choice: ChoiceOptions
    run: RunOptions
    quiet: bool
    state_dir: str | None


def plan(options: FleetPlanOptions) -> ExitCode:
    """Look at all cells. Exits with 2 where a stack differs from its spec."""
    fleet, cells = chosen_cells(options.choice)
    journal = read_settings(os.environ, state_dir=options.state_dir)
    with _Process(fleet, options.run, options.choice.variables, journal, quiet=options.quiet) as process:
        return process.show(process.run("plan", cells), quiet=options.quiet)


@dataclass(frozen=True)
class FleetSyncOptions:
    choice: ChoiceOptions
    run: RunOptions
    record: RecordOptions
    quiet: bool
    due: bool
    issue: str | None
    timeout: int
    lock_timeout: int


def sync(options: FleetSyncOptions) -> ExitCode:
    """Correct drift in all cells, or in those that are due."""
    fleet, cells = chosen_cells(options.choice)
    ways = Ways(timeout=options.timeout)
    with _Process(
        fleet, options.run, options.choice.variables, settings_of(options.record, options.issue), ways,
        options.lock_timeout, quiet=options.quiet, usual_burst=0.6,  # it runs unattended, and leaves calls to others
    ) as process:  # fmt: skip
        if options.due:
            last, problems = process.records.read_all(cells)
            for problem in problems:
                complain(f"warning: {problem}")
            cells = [cell for cell in cells if is_due(cell, last.get(cell.key), time.time())]
        return process.show(process.run("sync", cells), quiet=options.quiet)


@dataclass(frozen=True)
class FleetChangeOptions:
    """The options that `apply` and `resume` share."""

    run: RunOptions
    record: RecordOptions
    allow: Mapping[str, int]
    yes: bool
    timeout: int
    lock_timeout: int

    def process(self, fleet: Fleet, variables: Mapping[str, str]) -> "_Process":
        """The process with which these options are carried out."""
        ways = Ways(timeout=self.timeout)
        again = [*given_again(self.allow, self.run.policy, variables)]
        again += [("--state-dir", self.record.state_dir)] if self.record.state_dir else []
        return _Process(
            fleet, self.run, variables, settings_of(self.record), ways, self.lock_timeout, self.allow, again
        )

    def refuse_unless_sure(self, fleet: Fleet, cells: Sequence[Cell]) -> None:
        """Raises RefusedError without `--yes`."""
        if not self.yes:
            accounts = len({cell.account for cell in cells})
            raise RefusedError(
                f"{fleet.name}: {len(cells)} cells in {accounts} accounts would be changed, and nothing was; look at fleet plan, then add --yes"
            )


@dataclass(frozen=True)
class FleetApplyOptions:
    choice: ChoiceOptions
    change: FleetChangeOptions


def apply(options: FleetApplyOptions) -> ExitCode:
    """Make all stacks as their specs say, in waves."""
    fleet, cells = chosen_cells(options.choice)
    options.change.refuse_unless_sure(fleet, cells)
    with options.change.process(fleet, options.choice.variables) as process:
        return process.show(process.apply(cells))


@dataclass(frozen=True)
class ResumeOptions:
    file: str
    variables: Mapping[str, str]
    change: FleetChangeOptions


def resume(options: ResumeOptions) -> ExitCode:
    """Continue the `apply` that stopped."""
    fleet = load_fleet(options.file, options.variables)
    with options.change.process(fleet, options.variables) as process:
        last = process.records.read_operation()
        if last is None:
            raise RefusedError(f"no apply of {fleet.name} is recorded in {process.records.store}; run fleet apply")
        if last.status == "succeeded":
            raise RefusedError(
                f"the last apply of {fleet.name} has succeeded ({last.ended}); there is nothing to resume"
            )
        cells = [cell for cell in fleet.cells if cell.key in last.digests]
        options.change.refuse_unless_sure(fleet, cells)
        return process.show(process.apply(cells, resume=True))


@dataclass(frozen=True)
class LookOptions:
    choice: ChoiceOptions
    output: Output
    state_dir: str | None
    connection: ReachOptions


@dataclass(frozen=True)
class FleetStatusOptions:
    look: LookOptions
    queue: str | None


def status(options: FleetStatusOptions) -> ExitCode:
    """Show each cell's last result. Exits with 1 where a cell failed, with 2 where a step requires manual action."""
    view = _recorded(options.look, options.queue)
    options.look.output.show(view, status_text, fleet_json, prometheus=fleet_metrics)
    return view.code


def report(options: LookOptions) -> ExitCode:
    """Sum up the last results."""
    view = _recorded(options)
    from alb_reconcile.cli.pictures.fleet import fleet_page  # most commands draw nothing

    options.output.show(view, report_text, fleet_json, html=fleet_page)
    return view.code


def _recorded(options: LookOptions, queue: str | None = None) -> FleetView:
    """The view of the records. Asks AWS only for records that are in S3."""
    fleet, cells = chosen_cells(options.choice)
    session = options.connection.session()
    records = Records.of(fleet, session, state_folder(options.state_dir, os.environ))
    found, problems = records.read_all(cells)
    for problem in problems:
        complain(f"warning: {problem}")
    outcome = CellOutcome(fleet.name, "status", [found[cell.key] for cell in cells if cell.key in found])
    missing = tuple(cell for cell in cells if cell.key not in found)
    waiting = look_at_queue(queue, fleet, session) if queue else None
    return FleetView(outcome, missing, records.read_operation(), time.time(), waiting)


def chosen_cells(options: ChoiceOptions) -> tuple[Fleet, list[Cell]]:
    """The fleet, and the cells that were named, or all cells. Raises SpecError, UsageError."""
    fleet = load_fleet(options.file, options.variables)
    for name in options.waves:
        if name not in (known := [wave.name for wave in fleet.waves]):
            raise UsageError(f'--wave: {options.file} has no wave "{name}"; known: {", ".join(known)}')
    for name in options.accounts:
        if not any(name in (cell.account, cell.name) for cell in fleet.cells):
            raise UsageError(f'--account: {options.file} has no account "{name}"; give its id or its name')
    return fleet, [
        cell
        for cell in fleet.cells
        if (not options.waves or cell.wave in options.waves)
        and (not options.accounts or {cell.account, cell.name} & set(options.accounts))
    ]


class _Process:
    """Runs cells for one command; close it after use."""

    def __init__(
        self, fleet: Fleet, options: RunOptions, variables: Mapping[str, str], journal: Settings, ways: Ways | None = None,
        lock_timeout: float = 0, allow: Mapping[str, int] | None = None, again: Iterable[tuple[str, str]] = (), *,
        quiet: bool = False, usual_burst: float = 1,
    ) -> None:  # fmt: skip
        self._fleet, self._options, self._again = fleet, options, again
        session = options.connection.session()
        self._ending = journal.traces_end(complain)
        check_allowed(allow or {})
        if options.policy:
            load_policy(options.policy, variables)  # a mistake in the policy is reported at once
        configure_logs(
            complain, terminal=sys.stderr.isatty(), mask=journal.mask,
            verbose=bool(options.connection.verbose), quiet=quiet or not options.connection.verbose,
        )  # fmt: skip
        if session.sandbox:
            make_roles(fleet)
        ways = replace(ways or Ways(), prove=prover(sandbox=session.sandbox))
        self._sources = Sources(journal.folder / "fleet" / "sources", session, variables, options.policy)
        self._settings = CellSettings(
            fleet, Credentials(session, usual_burst), self._sources, journal, ways, options.parallel,
            lock_timeout, allow or {},
        )  # fmt: skip
        self.records = Records.of(fleet, session, journal.folder)
        self._done = 0

    def __enter__(self) -> "_Process":
        self._ending.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._sources.close()
        self._ending.__exit__(None, None, None)

    def run(self, command: Command, cells: Sequence[Cell]) -> CellOutcome:
        """Run `plan` or `sync`."""

        async def main() -> CellOutcome:
            return await self._runner(len(cells)).run(command, cells)

        return asyncio.run(main())

    def apply(self, cells: Sequence[Cell], *, resume: bool = False) -> CellOutcome:
        """Run `apply`, or continue the last one."""

        async def main() -> CellOutcome:
            return await self._runner(len(cells)).apply(cells, resume=resume)

        return asyncio.run(main())

    def show(self, outcome: CellOutcome, *, quiet: bool = False) -> ExitCode:
        """Print the result. Returns the exit code."""
        resume = advised("fleet resume", ("--yes",), *self._again, self._fleet.file)
        view = FleetView(outcome, now=time.time(), resume=resume)
        self._options.output.show(view, partial(fleet_text, quiet=quiet), fleet_json)
        return view.code

    def _runner(self, total: int) -> Runner:
        stop = Stop()
        _listen(stop)

        def tell(result: CellResult) -> None:
            self._done += 1
            if sys.stderr.isatty() or self._options.connection.verbose:
                complain(f"[{self._done}/{total}] {cell_line(result)}")

        return Runner(self._fleet, self._settings, self.records, stop, complain, tell)


def make_roles(fleet: Fleet) -> None:
    """Have the sandbox make the roles that the fleet names, so that any fleet can be tried in the sandbox."""
    from alb_reconcile.sandbox import client as sandbox_client
    from alb_reconcile.sandbox import preparation

    found, _ = sandbox_client.start()
    roles = {cell.role.arn: cell.role for cell in fleet.cells if cell.role is not None}
    for line in preparation.prepare_roles(found, roles.values()):
        complain(f"Made in the sandbox: {line}")


def _listen(stop: Stop) -> None:
    """Handle signals: SIGTERM and Ctrl-C end the process between steps, a second one at once."""

    def end() -> None:
        if stop.is_set:
            os._exit(int(ExitCode.INTERRUPTED))
        complain("stopping: nothing new starts, calls in progress finish first (again to stop at once)")
        stop.set()

    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError, RuntimeError):  # Windows, or not in the main thread
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end)
