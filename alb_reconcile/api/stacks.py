"""Loads specs as values: read and checked, in a region, with the AWS that they are for."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from alb_reconcile.api.session import Session, default_region
from alb_reconcile.model.errors import Problem, SpecError, UsageError
from alb_reconcile.spec.stack import Stack as Declared
from alb_reconcile.spec.stack import load_policy, load_stack, parse_stack
from alb_reconcile.spec.variables import read_values

Files = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""A file, or several."""


@dataclass(frozen=True)
class Stack:
    """A stack as its spec declares it, and the AWS that it is for: a plan made with this value is applied there."""

    declared: Declared = field(repr=False)
    session: Session
    name: str
    region: str
    file: str
    warnings: tuple[Problem, ...]
    """Remarks that are no mistakes, but risks."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """The address of each resource that the spec declares, such as `instance.web-1`, in the order of the file."""
        return tuple(map(str, self.declared.desired))


def load(
    file: str | os.PathLike[str],
    *,
    text: str | None = None,
    variables: Mapping[str, str] | None = None,
    values: Files = (),
    policy: str | os.PathLike[str] | None = None,
    session: Session | None = None,
) -> Stack:
    """Read and check a spec. Asks nothing of AWS.

    `text` is the spec where it isn't in a file: then messages call it `file`, and files that it names are looked for next to `file`.
    `variables` outrank files of variables, `values`, of which a later one outranks an earlier one, and these the environment. `policy` is a file of further limits, as for `--policy`. `session` says which AWS the stack is
    for; by default the one that the environment configures.

    Raises SpecError with all mistakes at once, as `problems`; UsageError where nothing says the region.
    """
    session, name = session or Session(), os.fspath(file)
    variables = _with_files(values, variables)
    declared = in_region(
        lambda region: _read(name, text, variables, region), name, session.region, lambda: default_region(session)
    )
    if policy is not None:
        further = load_policy(os.fspath(policy), variables)
        declared = replace(declared, policy=declared.policy.tighten(further))
    return Stack(declared, session, declared.name, declared.region or "", name, declared.warnings)


def validate(
    file: str | os.PathLike[str],
    *,
    text: str | None = None,
    variables: Mapping[str, str] | None = None,
    values: Files = (),
    region: str | None = None,
) -> tuple[Problem, ...]:
    """Everything that is wrong with a spec, in the order of the file; risks, too, with `warning` set. Asks nothing of AWS.

    `file`, `text`, `variables` and `values` are as for `load`; `region` fills in what the spec leaves open. An empty result means that the spec
    has no mistakes and no risks. Raises UsageError for an impossible region, SpecError for a file of variables.
    """
    variables = _with_files(values, variables)
    try:
        return _read(os.fspath(file), text, variables, region).warnings
    except SpecError as error:
        return error.problems


def _with_files(files: Files, variables: Mapping[str, str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in [files] if isinstance(files, str | os.PathLike) else files:
        found |= read_values(os.fspath(file))
    return {**found, **(variables or {})}


def _read(file: str, text: str | None, variables: Mapping[str, str] | None, region: str | None) -> Declared:
    if text is None:
        return load_stack(file, variables, region)
    return parse_stack(
        text.encode("utf-8", "surrogatepass"), file, Path(file).parent, {**os.environ, **(variables or {})}, region
    )


def in_region(
    read: Callable[[str | None], Declared], file: str, region: str | None, default: Callable[[], str | None]
) -> Declared:
    """One spec, in a region: its own, else the given one, else the default. Raises SpecError, UsageError."""
    declared = read(region)
    if declared.region is not None:
        return declared
    found = default()
    if found is None:
        raise UsageError(f"{file} names no region: add region: to it, give --region, or set AWS_REGION")
    return read(found)
