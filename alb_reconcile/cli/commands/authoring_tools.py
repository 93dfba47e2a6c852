"""The commands `fmt` and `diff`: lay specs out in the usual way, and compare two specs."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from alb_reconcile.cli.render.comparing import Comparison, comparison_json, comparison_text
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.render.output import Output
from alb_reconcile.cli.session.specs import LoadingOptions, load_in_region, refuse_unused
from alb_reconcile.journal.files import save_file
from alb_reconcile.model.errors import ExitCode, Problem, SpecError
from alb_reconcile.model.files import read_start
from alb_reconcile.spec.comparing import compare
from alb_reconcile.spec.document import MAX_BYTES
from alb_reconcile.spec.formatting import reformat


@dataclass(frozen=True)
class FmtOptions:
    files: tuple[str, ...]
    check: bool


def fmt(options: FmtOptions) -> ExitCode:
    """Lay out each spec; with `check` only say which specs would change."""
    changed = False
    for file in options.files:
        data = sys.stdin.buffer.read(MAX_BYTES + 1) if file == "-" else _read(file)
        text = reformat(data, file)
        differs = text.encode() != data
        changed |= differs
        if options.check:
            if differs:
                emit(f"{file} would be laid out otherwise")
        elif file == "-":
            emit(text.removesuffix("\n"))
        elif differs:
            save_file(file, text.encode(), keep_mode=True)
            emit(f"{file} was laid out anew")
    return ExitCode.CHANGES if changed and options.check else ExitCode.OK


def _read(file: str) -> bytes:
    try:
        return read_start(file, MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SpecError(file, [Problem(1, 1, "", f"can't be read: {reason}; name a spec file")]) from None


@dataclass(frozen=True)
class DiffOptions:
    old: str
    new: str
    detailed_exitcode: bool
    output: Output
    variables: Mapping[str, str]
    region: str | None


def diff(options: DiffOptions) -> ExitCode:
    """Show the differences as the steps from one spec to the other."""
    loading = LoadingOptions(options.variables, options.region, profile=None, sandbox=False)
    refuse_unused(options.variables, options.old, options.new)
    old, new = (load_in_region(file, loading) for file in (options.old, options.new))
    if (old.name, old.region) != (new.name, new.region):
        complain(f"Note: they are different stacks: {old.name} in {old.region}, {new.name} in {new.region}")
    found = Comparison(options.old, options.new, compare(old, new))
    options.output.show(found, comparison_text, comparison_json)
    return ExitCode.CHANGES if found.differences and options.detailed_exitcode else ExitCode.OK
