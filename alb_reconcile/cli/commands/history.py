"""The command `history`: shows the recorded runs over a stack. It doesn't ask AWS."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from alb_reconcile.aws.endpoint import endpoint_of
from alb_reconcile.cli.render.history import history_json, history_text
from alb_reconcile.cli.render.output import Output
from alb_reconcile.cli.render.style import Style
from alb_reconcile.cli.session.specs import USUAL, refuse_unused, told_without
from alb_reconcile.journal.files import state_folder
from alb_reconcile.journal.history import History, read_history
from alb_reconcile.journal.record import place_name
from alb_reconcile.model.advice import advised
from alb_reconcile.model.errors import ExitCode, UsageError
from alb_reconcile.model.nodes import shorten
from alb_reconcile.spec.stack import load_stack


@dataclass(frozen=True)
class HistoryOptions:
    spec: str | None
    stack: str | None
    limit: int
    state_dir: str | None
    variables: Mapping[str, str]
    region: str | None
    endpoint_url: str | None
    sandbox: bool
    output: Output


def show(options: HistoryOptions) -> ExitCode:
    """Show the runs over a stack, the newest first."""
    name, region = _named(options)
    endpoint = "" if options.sandbox else endpoint_of(options.endpoint_url, os.environ)
    place = place_name(endpoint, sandbox=options.sandbox)
    folder = state_folder(options.state_dir, os.environ)
    past = read_history(folder, name, region, place=place, limit=options.limit)

    def in_sandbox() -> bool:
        local = place_name("", sandbox=True)
        return bool(read_history(folder, name, region, place=local, limit=1).runs)

    def text(past: History, style: Style) -> str:
        if past.runs:
            return history_text(past, style, tells_files=options.stack is not None)
        where = f" in {region}" if region else ""
        torn = f" {past.unreadable} lines there can't be read." if past.unreadable else ""
        told = f"No runs of {shorten(name)}{where} are recorded in {shorten(str(folder / 'history'), 500)}.{torn}"
        if not options.sandbox and in_sandbox():
            return f"{told} Those in the sandbox are shown with --sandbox."
        lock, stacks = advised("lock show"), advised("stacks")
        elsewhere = f"{lock} says who holds or last held a stack, {stacks} which stacks have resources."
        return f"{told}\nEach host records its own runs. {elsewhere}"

    options.output.show(past, text, history_json)
    return ExitCode.OK


def _named(options: HistoryOptions) -> tuple[str, str | None]:
    """The stack's name and region, as far as they are known."""
    spec = options.spec or (USUAL if not options.stack and Path(USUAL).exists() else None)
    if spec and not options.stack:
        refuse_unused(options.variables, spec)
        with told_without("history"):
            stack = load_stack(spec, options.variables, options.region)
        return stack.name, stack.region
    if options.stack and not options.spec:
        return options.stack, options.region
    raise UsageError("history needs SPEC (default stack.yaml), or --stack NAME")
