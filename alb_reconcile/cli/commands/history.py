"""`history`: what was run over a stack. Asks AWS nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from alb_reconcile.cli.render.console import emit
from alb_reconcile.cli.render.history import history_json, history_text
from alb_reconcile.cli.render.style import Style
from alb_reconcile.journal.files import state_folder
from alb_reconcile.journal.history import read_history
from alb_reconcile.journal.recorder import place_name
from alb_reconcile.model.errors import ExitCode, UsageError
from alb_reconcile.spec.document import shorten
from alb_reconcile.spec.stack import load_stack

if TYPE_CHECKING:
    import argparse


def show(args: argparse.Namespace) -> ExitCode:
    """Show the runs over a stack, the newest first."""
    if bool(args.stack) == bool(args.spec):
        raise UsageError("history wants SPEC, or --stack NAME")
    name, region = args.stack, args.region
    if args.spec:
        stack = load_stack(args.spec, args.set, args.region)
        name, region = stack.name, stack.region
    endpoint = args.endpoint_url or os.environ.get("AWS_ENDPOINT_URL") or ""
    place = place_name(endpoint, sandbox=args.sandbox)
    folder = state_folder(args.state_dir, os.environ)
    past = read_history(folder, name, region, place=place, limit=args.limit)
    if args.format == "json":
        emit(history_json(past))
    elif past.runs:
        emit(history_text(past, Style.detect(no_color=args.no_color)))
    else:
        where = f" in {region}" if region else ""
        torn = f" {past.unreadable} lines there can't be read." if past.unreadable else ""
        emit(
            f"No run over {shorten(name)}{where} is recorded in {shorten(str(folder / 'history'), 500)}.{torn}"
        )
    return ExitCode.OK
