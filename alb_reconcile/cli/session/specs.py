"""Loads the stacks that a command works on: from specs in a region and under further policy, or by name where the spec is lost."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from alb_reconcile.api.session import Session, default_region
from alb_reconcile.api.stacks import in_region
from alb_reconcile.cli.render.annotations import annotate_problems
from alb_reconcile.cli.render.console import complain
from alb_reconcile.engine.plan.limits import ANY_TIME
from alb_reconcile.model.advice import advised
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import Problem, SpecError, UsageError
from alb_reconcile.model.files import read_start
from alb_reconcile.model.nodes import shorten
from alb_reconcile.model.policy import Policy
from alb_reconcile.model.text import did_you_mean
from alb_reconcile.spec import schema
from alb_reconcile.spec.document import MAX_BYTES, DocumentError, parse
from alb_reconcile.spec.stack import Stack, load_policy, load_stack
from alb_reconcile.spec.variables import variables_in
from alb_reconcile.sync.targets import find_specs


@dataclass(frozen=True)
class LoadingOptions:
    """The values that are filled into specs: variables, and a region if a spec names none, given or configured."""

    variables: Mapping[str, str]
    region: str | None
    profile: str | None
    sandbox: bool


@dataclass(frozen=True)
class StackOptions:
    """The options that name a stack."""

    stack: str | None
    region: str | None
    lease: str | None


USUAL: Final = "stack.yaml"
_MOST: Final = 3
"""The most files that a message names."""


def chosen_specs(places: Sequence[str]) -> list[str]:
    """The spec files that a command works on: those of folders and patterns, and stack.yaml where none is named. Raises UsageError."""
    if not places and not Path(USUAL).exists():
        raise UsageError(f"name a SPEC: there is no {USUAL} here; `alb-reconcile init` writes one")
    return find_specs(places or [USUAL])


def load_stacks(
    files: Sequence[str], options: LoadingOptions, policy: str | None = None, *, warn: bool = False
) -> list[Stack]:
    """Load all specs, also under the policy of `--policy`, before AWS is asked. `warn` prints their warnings. Raises SpecError,
    UsageError."""
    chosen = chosen_specs(files)
    refuse_unused(options.variables, *chosen, policy)
    further = load_further_policy(policy, options)
    loaded: list[Stack] = []
    seen: dict[tuple[str, str | None], str] = {}
    for file in chosen:
        stack = load_in_region(file, options)
        refuse_twins(stack, seen)
        for warning in stack.warnings if warn else ():
            complain(warning.render(file))
        annotate_problems(file, stack.warnings if warn else ())
        loaded.append(replace(stack, policy=stack.policy.tighten(further)))
    return loaded


def refuse_unused(variables: Mapping[str, str], *files: str | None) -> None:
    """Raises UsageError for a variable of --set that none of these specs and policies uses: mostly its name is misspelled."""
    named, found = [file for file in files if file], set[tuple[str, bool]]()
    for file in named if variables else ():
        if not Path(file).is_file():  # a pipe can be read only once
            return
        try:
            found.update(variables_in(parse(read_start(file, MAX_BYTES + 1))[0]))
        except (OSError, DocumentError):  # reported where the file is loaded
            return
    used = [name for name, verbatim in found if not verbatim]
    for name in (name for name in getattr(variables, "told", variables) if name not in used):
        where = ", ".join(named[:_MOST]) + f" and {len(named) - _MOST} more" * (len(named) > _MOST)
        only = ", except in user_data, where it is the shell's and nothing is filled in" * ((name, True) in found)
        hint = did_you_mean(name, sorted(used)) or "; leave it out"
        raise UsageError(f"--set {name}: there is no ${{{name}}} in {where}{only}{hint}")


def refuse_twins(stack: Stack, seen: dict[tuple[str, str | None], str]) -> None:
    """Raises SpecError for the second spec of a stack: the two would undo each other. `seen` has files by name and region, and the
    stack is added to it."""
    first = seen.setdefault((stack.name, stack.region), stack.file)
    if Path(first).resolve() != Path(stack.file).resolve():
        message = f'"{stack.name}" is also the stack of {first}; one stack is one file: rename or merge'
        raise SpecError(stack.file, [Problem(*stack.place, "stack", message)])


def load_further_policy(file: str | None, options: LoadingOptions) -> Policy:
    """The policy that `--policy` adds to the specs' own. Raises SpecError."""
    return load_policy(file, options.variables) if file else Policy()


def load_in_region(file: str, options: LoadingOptions) -> Stack:
    """One spec, in a region. Raises SpecError, UsageError."""
    configured = Session(profile=options.profile, sandbox=options.sandbox)
    load = partial(load_stack, file, options.variables)
    try:
        return in_region(load, file, options.region, lambda: default_region(configured))
    except SpecError:
        with suppress(OSError):
            if re.match(rb'\{\s*"version": \d+,\s*"stack": "[^"]*",\s*"region": ', read_start(file, 300)):
                told = f"to apply it: {advised('apply', ('--plan', file), 'SPEC')}"
                raise UsageError(f"{file} is a saved plan; {told}") from None
        raise


@contextmanager
def told_without(command: str = "status") -> Iterator[None]:
    """Within the block, the error of a spec that can't be used also says how to ask about its stack without it, if the text still names
    the stack."""
    try:
        yield
    except SpecError as error:
        with suppress(OSError):
            text = read_start(error.file, 1 << 20).decode(errors="replace")
            stack, region = (
                re.search(rf"^{key}: *[\"']?([a-z0-9-]+)", text, re.MULTILINE) for key in ("stack", "region")
            )
            if stack is not None:
                where = ("--stack", stack[1]), ("--region", region[1] if region else "REGION")
                error.args = (f"{error}\nWithout the spec: `{advised(command, *where)}`",)
        raise


def named_target(options: StackOptions) -> DesiredStack:
    """A stack without its spec, by --stack, --region and --lease. Raises UsageError."""
    if not options.stack or not options.region:
        raise UsageError("--stack needs --region too")
    lease = options.lease or ""
    properties = schema.resolved("stack")["properties"]
    for name, value in (("region", options.region), ("lease", lease)):
        if value and not re.fullmatch(properties[name]["pattern"], value):
            raise UsageError(f"--{name} expects {properties[name]['x-expect']}, not {shorten(value)}")
    return DesiredStack(options.stack, options.region, {}, destroy=True, lease=lease.rstrip("/"))


def refuse_lease(options: StackOptions) -> None:
    """Raises UsageError for --lease with a spec: the spec says where the lease is."""
    if options.lease:
        raise UsageError("--lease goes with --stack; a spec names its own lease (lease:)")


def given_again(allow: Mapping[str, int], policy: str | None, variables: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The options that a command which continues this one needs again. Values of variables may be secret."""
    for name, number in allow.items():
        yield ("--allow", name if name == ANY_TIME else f"{name}={number}")
    if policy:
        yield ("--policy", policy)
    for file in getattr(variables, "files", ()):
        yield ("--values", file)
    for name in getattr(variables, "told", variables):
        yield ("--set", f"{name}=VALUE")
