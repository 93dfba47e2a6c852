"""Loads a stack from a spec file: reads, parses, substitutes, validates, checks and builds."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from alb_reconcile.kinds import in_spec_order
from alb_reconcile.model.address import Address
from alb_reconcile.model.desired_stack import DesiredStack, Unset
from alb_reconcile.model.drift_policy import DriftPolicy
from alb_reconcile.model.errors import Problem, SpecError, UsageError
from alb_reconcile.model.files import read_start
from alb_reconcile.model.machine import remedy
from alb_reconcile.model.nodes import shorten
from alb_reconcile.model.policy import Policy
from alb_reconcile.model.resource import Desired
from alb_reconcile.model.secrets import Headers
from alb_reconcile.spec import schema
from alb_reconcile.spec.build import build
from alb_reconcile.spec.checks import run_checks
from alb_reconcile.spec.document import MAX_BYTES, MAX_PROBLEMS, DocumentError, how_to_begin, parse
from alb_reconcile.spec.lookups import read_lookups
from alb_reconcile.spec.outline import Outline
from alb_reconcile.spec.runs import check_policy, drift_policy_of, policy_of
from alb_reconcile.spec.variables import substitute


@dataclass(frozen=True)
class Stack:
    """What one spec wants: resources by address, in the order of the file. `region` is None if none was given."""

    name: str
    region: str | None
    account_ids: tuple[str, ...]
    desired: Mapping[Address, Desired]
    warnings: tuple[Problem, ...]
    file: str
    place: tuple[int, int] = (1, 1)
    """The line and column of the stack's name."""
    policy: Policy = field(default_factory=Policy)
    sync: DriftPolicy = field(default_factory=DriftPolicy)
    lease: str = ""
    """Where in S3 the runs of several hosts agree, as in s3://bucket/prefix; empty if nowhere."""
    secret_headers: Headers = None
    """The headers of rules that have values which aren't shown (`model.secrets`)."""
    unset: Unset | None = None

    def target(self, *, destroy: bool = False) -> DesiredStack:
        """The goal of a run: all that the spec wants, or to `destroy` it. The stack's region has to be known."""
        if self.region is None:
            raise AssertionError("a stack without a region was let through")
        return DesiredStack(
            self.name, self.region, {} if destroy else self.desired, self.account_ids, destroy=destroy,
            spec_file=self.file, policy=self.policy, sync=self.sync, lease=self.lease,
            secret_headers=self.secret_headers, unset=None if destroy else self.unset,
        )  # fmt: skip


def load_stack(file: str, variables: Mapping[str, str] | None = None, region: str | None = None) -> Stack:
    """Read and validate a spec. `variables` outrank the environment; `region` fills in what the spec leaves open.

    Raises SpecError with all problems at once; asks nothing of AWS.
    """
    data = _read(file, f"name a spec file; {how_to_begin()}")
    return parse_stack(data, file, Path(file).parent, {**os.environ, **(variables or {})}, region)


def load_outline(file: str, variables: Mapping[str, str] | None = None, region: str | None = None) -> Outline:
    """The checked document of a spec, as `load_stack` reads it. Raises SpecError."""
    data = _read(file, f"name a spec file; {how_to_begin()}")
    return _checked(data, file, Path(file).parent, {**os.environ, **(variables or {})}, region)


def load_policy(file: str, variables: Mapping[str, str] | None = None) -> Policy:
    """Read and validate a file that holds what a spec may say under `policy`, with those keys at the top level.

    Raises SpecError with all problems at once.
    """
    data = _read(file, "name a file with the keys that a spec has under policy")
    known = ", ".join(schema.resolved("stack")["properties"]["policy"]["properties"])
    environment = {**os.environ, **(variables or {})}
    empty = f"give one of {known}"
    outline = _outline(data, file, Path(file).parent, environment, section="policy", if_empty=empty)
    if "policy" in outline.given(()):
        what = "isn't needed: this file is the policy; put its keys at the top level"
        raise SpecError(file, [Problem(*outline.root.keys["policy"], "policy", what)])
    check_policy(outline)
    problems = _one_a_place(outline.problems)
    if problems:
        raise SpecError(file, problems)
    return policy_of(outline.data)


def _read(file: str, advice: str) -> bytes:
    """The file's content, cut off where it is too large. Raises SpecError."""
    try:
        return read_start(file, MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SpecError(file, [Problem(1, 1, "", f"can't be read: {reason}; {remedy(error, advice)}")]) from None


def parse_stack(data: bytes, file: str, folder: Path, variables: Mapping[str, str], region: str | None = None) -> Stack:
    """Validate a spec that was read already; files that the spec names are looked for in `folder`."""

    def fill(more: Mapping[str, str]) -> Mapping[Address, Desired]:
        return stack_of(_checked(data, file, folder, {**variables, **more}, region), file).desired

    outline = _checked(data, file, folder, variables, region)
    places = {
        name: "" if item.has_default else outline.places(item.path[:-1], file)[str(item.path[-1])]
        for name, item in outline.filled.missing.items()
    }
    hints = {name: item.hint for name, item in outline.filled.missing.items()}
    return replace(stack_of(outline, file), unset=Unset(places, hints, fill) if places else None)


def _checked(data: bytes, file: str, folder: Path, variables: Mapping[str, str], region: str | None) -> Outline:
    """A valid document. Raises SpecError with all problems at once."""
    check_region(region)
    outline = _outline(data, file, folder, variables, region)
    if region and outline.data.get("region", region) != region:
        outline.error(("region",), f"is {outline.data['region']}, but --region says {region}; leave out one of them")
    run_checks(outline)
    if not outline.is_sound:
        raise SpecError(file, _one_a_place(outline.problems))
    return outline


def stack_of(outline: Outline, file: str) -> Stack:
    """The stack that a valid document describes."""
    headers = outline.data.get("secret_headers")
    return Stack(
        name=outline.data["stack"],
        region=outline.region,
        account_ids=tuple(outline.data.get("account_ids", ())),
        desired=build(outline, file),
        warnings=tuple(_one_a_place(outline.problems)),
        file=file,
        place=outline.root.keys["stack"],
        policy=policy_of(outline.data.get("policy", {})),
        sync=drift_policy_of(outline.data.get("sync", {})),
        lease=outline.data.get("lease", "").rstrip("/"),
        secret_headers=None if headers is None else frozenset(map(str.lower, headers)),
    )


def _outline(
    data: bytes,
    file: str,
    folder: Path,
    variables: Mapping[str, str],
    region: str | None = None,
    section: str = "",
    if_empty: str = "",
) -> Outline:
    """The usable part of a spec, or of one section in a file of its own, with the problems of the rest.

    Raises SpecError if nothing can be used.
    """
    try:
        root, problems = parse(data, if_empty)
    except DocumentError as error:
        raise SpecError(file, error.args) from None
    filled = substitute(root, variables)
    filled.problems[:0] = problems
    problems = filled.problems
    invalid, refused = schema.validate(root, section)
    problems += refused
    if not isinstance(root.value, dict) or len(refused) >= MAX_PROBLEMS:  # beyond so many nothing was looked at
        raise SpecError(file, _one_a_place(problems))
    own = root.value.get("region")
    where = str(own.value) if own and own.value else region
    for kind in () if section else in_spec_order():
        problems += kind.write_out(root, invalid, schema.resolved(kind.name), where)
    read_lookups(root)
    return Outline(root, invalid, filled, folder, region)


def check_region(region: str | None) -> None:
    """Raise UsageError for a --region that can't be a region."""
    if region and not re.fullmatch(schema.resolved("stack")["properties"]["region"]["pattern"], region):
        raise UsageError(f"--region expects a region such as us-east-1, not {shorten(region)}")


def _one_a_place(problems: list[Problem]) -> list[Problem]:
    """The first problem found at each place, in the order of the file: further problems follow from it."""
    by_place: dict[tuple[object, ...], Problem] = {}
    for problem in problems:
        place = (problem.line, problem.column, problem.path, problem.message if problem.warning else problem.warning)
        by_place.setdefault(place, problem)
    by_anchor: dict[tuple[object, ...], list[Problem]] = {}
    for problem in sorted(by_place.values()):
        below = tuple(problem.path.split(".", 2)[2:]) or problem.path
        by_anchor.setdefault((problem.line, problem.column, problem.message, below), []).append(problem)
    return [_with_entries(*same) for same in by_anchor.values()]


def _with_entries(first: Problem, *others: Problem) -> Problem:
    """A mistake behind a YAML anchor, with some of the other entries that have it."""
    names = [".".join(item.path.split(".", 2)[:2]) for item in others[:3]] + ["…"] * (len(others) > 3)
    return replace(first, message=f"{first.message} (the same in {', '.join(names)})") if others else first
