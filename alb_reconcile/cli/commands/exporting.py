"""The command `export`: writes a spec that describes existing AWS resources."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from alb_reconcile.api.session import default_region
from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.render.console import complain, emit, emit_as_it_is
from alb_reconcile.cli.session.connection import ConnectionOptions, with_aws
from alb_reconcile.cli.session.specs import LoadingOptions
from alb_reconcile.export.export import Export, ExportWishes, export
from alb_reconcile.export.foreign_names import names_in_stack, names_in_state
from alb_reconcile.export.scope import ExportScope
from alb_reconcile.journal.files import RecordError, state_folder
from alb_reconcile.journal.history import read_history
from alb_reconcile.journal.record import RunRecord, place_name
from alb_reconcile.model.errors import ExitCode, ReconcileError, RefusedError, UsageError
from alb_reconcile.model.text import printable
from alb_reconcile.spec.stack import check_region

_FOLDER = "user-data"


@dataclass(frozen=True)
class ExportOptions:
    load_balancers: tuple[str, ...]
    vpcs: tuple[str, ...]
    tags: Mapping[str, str]
    stack: str | None
    states: tuple[str, ...]
    stacks: tuple[str, ...]
    out: str | None
    loading: LoadingOptions
    connection: ConnectionOptions


def export_spec(options: ExportOptions) -> ExitCode:
    """Write a spec that describes existing resources."""
    scope = ExportScope(options.load_balancers, options.vpcs, options.tags)
    if not (scope.load_balancers or scope.vpcs or scope.tags):
        if not options.stack:
            what = "--load-balancer NAME, --vpc ID or --tag KEY=VALUE, or --stack NAME for a stack that alb-reconcile has made"
            raise UsageError(f"say what to export: {what}")
        if options.states or options.stacks:
            raise UsageError(
                f"the entries of the stack {options.stack} have names already: leave out --from-state and --from-stack"
            )
        scope = ExportScope(stack=options.stack)
    if options.stacks and options.connection.sandbox:
        raise UsageError("the sandbox has no CloudFormation: leave out --from-stack")
    check_region(options.loading.region)
    region = options.loading.region or default_region(options.connection)
    if region is None:
        raise UsageError("give --region, or set AWS_REGION")
    if options.out:
        _refuse_existing(Path(options.out))
    names = {key: name for file in options.states for key, name in names_in_state(file).items()}
    found = with_aws(options.connection, region, _export, region, scope, names, options)
    for note in found.notes:
        complain(f"Note: {printable(note)}")
    if options.out:
        _write(Path(options.out), found)
        for line in _written(Path(options.out), found):
            emit(line)
        emit(f"Next: {found.next}")
    else:
        emit_as_it_is(found.text.rstrip("\n"))
    for problem in found.problems:
        what = "It isn't what runs yet" if scope.stack else "It can't be adopted as it is"
        complain(f"{what}: {printable(problem)}")
    return ExitCode.FAILED if found.problems else ExitCode.OK


async def _export(
    aws: Aws, region: str, scope: ExportScope, names: Mapping[str, str], options: ExportOptions
) -> Export:
    for stack in options.stacks:
        names = {**names, **await names_in_stack(aws, stack)}
    given = names if options.states or options.stacks else None
    folder = _folder(Path(options.out)) if options.out else ""
    runs = _runs(aws, region, scope, options)
    wishes = ExportWishes(options.stack or "", given, options.out or "", folder, runs)
    return await export(aws, region, scope, wishes)


def _runs(aws: Aws, region: str, scope: ExportScope, options: ExportOptions) -> tuple[RunRecord, ...]:
    """The recorded runs over a stack of this program's; none where they can't be read."""
    with suppress(RecordError):
        place = place_name(aws.endpoint, sandbox=options.connection.sandbox)
        return (
            read_history(state_folder(None, os.environ), scope.stack, region, place=place).runs if scope.stack else ()
        )
    return ()


def _folder(file: Path) -> str:
    """The folder for user data, next to the spec. A second export gets a folder of its own, so that another spec's stays."""
    own = f"{file.stem}-{_FOLDER}"
    taken = (file.parent / _FOLDER).exists()
    return own if taken and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", own) else _FOLDER


def _written(file: Path, found: Export) -> Iterator[str]:
    yield f"Wrote {file}: {found.entries} resource{'s' * (found.entries != 1)}."
    names = [str(file.parent / name) for name in sorted(found.files)]
    if names:
        yield f"Wrote user data, which only you can read: {', '.join(names)}."
        yield "User data may hold secrets. Look through it before you commit or share it."


def _refuse_existing(file: Path) -> None:
    if file.exists():
        raise RefusedError(f"{file} already exists and was left unchanged; name another file")


def _write(file: Path, found: Export) -> None:
    """Write the spec, and before it the files that it names: readable by their owner only, since they may hold secrets. No file is
    overwritten."""
    try:
        for name, data in sorted(found.files.items()):
            _create(file.parent / name, data, 0o600)
        _create(file, found.text.encode(), 0o666)
    except FileExistsError as error:
        raise RefusedError(f"{error.filename} already exists and was left unchanged; name another file") from None
    except OSError as error:
        raise ReconcileError(
            f"{error.filename or file} can't be written: {error.strerror}; name another file"
        ) from None


def _create(file: Path, data: bytes, mode: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as stream:
        stream.write(data)
