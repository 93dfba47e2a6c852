"""The command `report`: writes one HTML page on all stacks of a folder, from AWS and recorded runs. Changes nothing."""

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from alb_reconcile.api.session import check_session
from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.endpoint import endpoint_of
from alb_reconcile.cli.pictures.report import Subject, report_page
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.session.connection import ConnectionOptions, with_aws
from alb_reconcile.cli.session.specs import LoadingOptions, load_in_region, refuse_unused
from alb_reconcile.engine.lookups import resolve_lookups
from alb_reconcile.engine.stack import Options, plan_stack
from alb_reconcile.journal.files import state_folder
from alb_reconcile.journal.history import read_history
from alb_reconcile.journal.record import place_name
from alb_reconcile.kinds.shared_reader import SharedReads
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import ExitCode, InterruptedRun, ReconcileError
from alb_reconcile.model.host import iso
from alb_reconcile.model.policy import Policy
from alb_reconcile.sync.targets import find_specs, load_targets

_RUNS = 5
"""The most runs of each stack that are shown."""


@dataclass(frozen=True)
class ReportOptions:
    place: str
    format: Literal["html"]
    """The only format so far."""
    state_dir: str | None
    endpoint_url: str | None
    loading: LoadingOptions
    connection: ConnectionOptions


def report(options: ReportOptions) -> ExitCode:
    """Write the page. A stack that can't be read doesn't keep the others off the page; then the exit code is 1."""
    check_session(options.connection)
    refuse_unused(
        options.loading.variables, *find_specs([options.place])
    )  # a folder without specs is a mistake in the command line
    found = load_targets([options.place], partial(load_in_region, options=options.loading), Policy)
    regions: dict[str, list[DesiredStack]] = defaultdict(list)
    for target in found.stacks:
        regions[target.region].append(target)
    subjects = [Subject(Path(item.file).name, item.file, error=item.text) for item in found.broken]
    for region, targets in regions.items():
        try:
            subjects += with_aws(options.connection, region, _look, targets)
        except InterruptedRun:
            raise
        except ReconcileError as error:
            subjects += [Subject(item.stack, item.spec_file, region, error=str(error)) for item in targets]
    subjects = [_with_runs(item, options) for item in subjects]
    subjects.sort(key=lambda item: (item.file, item.name))
    emit(report_page(options.place, subjects, iso(time.time())))
    failed = [item for item in subjects if item.error]
    if failed:
        complain(f"{len(failed)} of {len(subjects)} stacks couldn't be read; the page says why")
    return ExitCode.FAILED if failed else ExitCode.OK


async def _look(aws: Aws, targets: Sequence[DesiredStack]) -> list[Subject]:
    """The stacks of one region; reads that several of them need are made once."""
    shared = SharedReads(aws, [target.stack for target in targets])
    return list(await asyncio.gather(*(_look_at(aws, target, shared) for target in targets)))


async def _look_at(aws: Aws, target: DesiredStack, shared: SharedReads) -> Subject:
    subject = Subject(target.stack, target.spec_file, target.region)
    try:
        found = await resolve_lookups(aws, replace(target, keeps_versions=True))
        return replace(subject, planned=await plan_stack(aws, found, Options(check=False), shared=shared))
    except InterruptedRun:
        raise
    except ReconcileError as error:
        return replace(subject, error=str(error))


def _with_runs(subject: Subject, options: ReportOptions) -> Subject:
    """The subject with its last runs, as far as this machine has recorded them."""
    if not subject.region:
        return subject
    endpoint = "" if options.connection.sandbox else endpoint_of(options.endpoint_url, os.environ)
    place = place_name(endpoint, sandbox=options.connection.sandbox)
    account = subject.planned.plan.account if subject.planned else None
    folder = state_folder(options.state_dir, os.environ)
    past = read_history(folder, subject.name, subject.region, account=account, place=place, limit=_RUNS)
    return replace(subject, runs=past.runs)
