"""Exports a spec of what runs, and tries it before it is shown: adopted as it is, it leaves nothing to do."""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from typing import Any, Final

from alb_reconcile.adoption.adopt import Adoption, UnmatchedError, find_adoption
from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.discover import read_account
from alb_reconcile.engine.service import unserved
from alb_reconcile.export.draft import Draft, Written
from alb_reconcile.export.duplicates import take_out_doubles
from alb_reconcile.export.naming import common_prefix, stack_name
from alb_reconcile.export.past_resources import describe_gone
from alb_reconcile.export.scope import ExportScope, FoundResources, add_acls, find, nothing_left
from alb_reconcile.journal.record import RunRecord
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import Grouped, HasFile, HasUnshown
from alb_reconcile.model.address import Address
from alb_reconcile.model.advice import advised
from alb_reconcile.model.decisions import DUPLICATE
from alb_reconcile.model.errors import AwsError, Problem, RefusedError, SpecError
from alb_reconcile.model.nodes import Path, render_path
from alb_reconcile.model.plan import Step
from alb_reconcile.model.service import Balancer, Network
from alb_reconcile.model.text import printable
from alb_reconcile.spec.formatting import dump
from alb_reconcile.spec.schema import resolved
from alb_reconcile.spec.stack import Stack, parse_stack

_ATTEMPTS: Final = 12
_LEFT_OUT: Final = "What it leaves out has AWS's defaults and isn't managed: add what you want to keep as it is."
_UNKNOWN: Final = "AWS doesn't know these, so add what the spec had: policy, sync, lease, security.accept, rollout, type_change, image_update, min_healthy."
_DELETED: Final = (
    "It has what is there. What was deleted isn't in it, so compare it with an old copy before you apply it."
)


@dataclass(frozen=True)
class ExportWishes:
    """The user's wishes for an export. `names` are the names that other tools give to resources, by id, if the user has given any."""

    stack: str = ""
    names: Mapping[str, str] | None = None
    file: str = ""
    """The file of the spec; empty for standard output, next to which there can't be files."""
    folder: str = ""
    """The folder for files, below the spec's folder."""
    runs: tuple[RunRecord, ...] = ()
    """The recorded runs of the stack, the newest first, if it is one of this tool's."""


@dataclass(frozen=True)
class Export:
    """A spec of what runs, as text."""

    text: str
    stack: str
    files: Mapping[str, bytes]
    next: str
    """The command that adopts the spec; for a stack that is owned already, that plans it."""
    adopting: tuple[str, ...]
    """The arguments that `adopt` needs, ADDRESS=ID, since nothing else distinguishes these resources from others."""
    entries: int
    """How many resources the spec declares, counted as plans and `validate` count."""
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """Why the spec can't be adopted as it is; for a stack that is owned already, what it lacks and what the next plan would do."""


async def export(aws: Aws, region: str, scope: ExportScope, wishes: ExportWishes) -> Export:
    """Write a spec of the resources in `scope`. Changes nothing. Raises RefusedError if there are none, or if they are another stack's."""
    found, account = await asyncio.gather(find(aws, scope), read_account(aws, ()))
    await add_acls(aws, found)
    doubles = take_out_doubles(found, scope.stack)
    stack = scope.stack or wishes.stack or stack_name(_stack_names(found, scope))
    if wishes.names is not None and not wishes.names.keys() & found.chosen:
        found.notes.append(
            "none of the names from --from-state and --from-stack is that of something here; look whether it is the right state or stack"
        )
    if not scope.stack:  # the tags of an owned stack say them
        await _read_unshown(aws, found)
    draft = Draft(found, stack, region, account, wishes.names or {}, await _read_files(aws, found), wishes.folder)
    written, problems, adoption = await _try(aws, draft, wishes, {found.addresses[key] for key in doubles})
    if not written.ids:
        raise nothing_left(
            found, scope, (f"{found.addresses.get(key, key)}: {why}" for key, why in draft.excluded.items())
        )
    lost = sorted(
        key for key in found.seeds & draft.excluded.keys() if isinstance(found.all[key].found.state, Balancer)
    )
    problems += tuple(f"{key} can't be described: {draft.excluded[key]}" for key in lost)
    header = [f"What ran in {region}, account {account}: {scope}.", _LEFT_OUT]
    file = wishes.file or "FILE"
    then, given = advised("plan", file), tuple[str, ...]()
    if scope.stack:
        unsaid = ((address, draft.excluded[key]) for key, address in found.addresses.items() if key in draft.excluded)
        twice = [
            f"{found.addresses[key]} exists twice: {meant} is in the spec, and apply deletes {key}"
            for key, meant in sorted(doubles.items())
        ]
        problems = (*twice, *(f"{address} isn't in the spec: {why}" for address, why in unsaid), *problems)
        there = (item.found for item in found.all.values())
        called = [replace(item, address=found.addresses.get(item.id, item.address)) for item in there]
        gaps = [f"{text}; add what was deleted" for text in unserved(called)]
        own = [record for record in wishes.runs if record.account == account]
        gone = describe_gone(own, found.all.keys(), {str(address) for address in found.addresses.values()})
        gaps += [gone] if gone else []
        found.notes.extend(gaps)
        header += [_UNKNOWN, _DELETED, *gaps, *(f"Not as it runs: {text}" for text in problems)]
    else:
        given = await _needed(aws, written, adoption, wishes) if adoption else ()
        secrets = [("--keep-secrets",)] if "'client_secret':" in str(written.data) else []
        then = advised("adopt", file, *secrets, *given)
        header.append(f"To bring it under management: {printable(then)}")
        header += [f"Not adoptable as it is: {text}" for text in problems]
    count = len(adoption.target.desired) if adoption else len(written.ids)
    text = dump(written.data, written.remarks, header)
    return Export(text, stack, written.files, then, given, count, tuple(found.notes), problems)


def _stack_names(found: FoundResources, scope: ExportScope) -> Iterator[str]:
    states = {key: found.all[key].found.state for key in found.chosen}
    given = [found.tags.get(key, {}).get("Name") or states[key].own_name for key in sorted(states)]
    names = [name for name in given if name]
    yield common_prefix(names)
    yield from scope.tags.values()
    for key in sorted(found.seeds):
        item = found.all[key].found
        if isinstance(item.state, Balancer | Network):
            yield found.tags.get(key, {}).get("aws:cloudformation:stack-name", "")
            yield found.tags.get(key, {}).get("Name", "")
            yield load_kinds()[item.state.kind].suggest_name(item.state)


async def _read_unshown(aws: Aws, found: FoundResources) -> None:
    """Read what AWS shows only in calls of their own; if that is denied, the spec leaves it out."""
    kinds = load_kinds()
    asked = [
        (key, kind)
        for key in sorted(found.chosen)
        if isinstance(kind := kinds[found.all[key].found.state.kind], HasUnshown)
    ]
    try:
        states = await asyncio.gather(*(kind.read_unshown(aws, found.all[key].found) for key, kind in asked))
    except AwsError as error:
        found.notes.append(
            f"instances' termination protection, stop protection and shutdown behavior can't be read ({error.operation}: {error.code}); "
            "replacements won't have them"
        )
        return
    for (key, _), state in zip(asked, states, strict=True):
        found.all[key] = replace(found.all[key], found=replace(found.all[key].found, state=state))


async def _read_files(aws: Aws, found: FoundResources) -> dict[str, bytes]:
    kinds = load_kinds()
    asked = [
        (key, kind, found.all[key].found)
        for key in sorted(found.chosen)
        if isinstance(kind := kinds[found.all[key].found.state.kind], HasFile)
    ]
    try:
        read = await asyncio.gather(*(kind.read_file(aws, item) for _, kind, item in asked))
    except AwsError as error:
        found.notes.append(
            f"what instances were launched with can't be read ({error.operation}: {error.code}); it is left out"
        )
        return {}
    return {key: data for (key, _, _), data in zip(asked, read, strict=True) if data}


async def _try(
    aws: Aws, draft: Draft, wishes: ExportWishes, twice: Collection[Address]
) -> tuple[Written, tuple[str, ...], Adoption | None]:
    """Write the spec, and leave out what doesn't hold, until adopting it leaves nothing to do. Resources that exist `twice` are found by
    their tags: the plan knows which one stays."""
    problems: tuple[str, ...] = ()
    written, adoption = draft.write(), None
    for _ in range(_ATTEMPTS):
        try:
            stack = _parsed(written, wishes)
        except SpecError as error:
            problems = tuple(f"{item.path}: {item.message}" if item.path else item.message for item in error.problems)
            again = _leave_out_refused(draft, written, error.problems)
        else:
            given = {address: known for address, known in written.ids.items() if address not in twice}
            try:
                adoption = await find_adoption(aws, stack.target(), given, keep_images=True, keep_secrets=True)
            except RefusedError as error:
                return written, tuple(str(error).split("\n")), None
            problems, again = _differences(draft, written, adoption)
        if not again:
            break
        written = draft.write()
    return written, problems, None if problems else adoption


def _parsed(written: Written, wishes: ExportWishes) -> Stack:
    """The spec as it would be read, from a folder that other users can't look into."""
    with TemporaryDirectory() as folder:
        for name, data in written.files.items():
            (FilePath(folder) / name).parent.mkdir(exist_ok=True)
            (FilePath(folder) / name).write_bytes(data)
        return parse_stack(dump(written.data, {}).encode(), wishes.file or "export", FilePath(folder), {})


def _leave_out_refused(draft: Draft, written: Written, problems: Iterable[Problem]) -> bool:
    """Leave out what `validate` would refuse. Returns whether anything could be left out."""
    again = False
    known = {render_path(path): path for path in _paths(written.data, ())}
    for problem in problems:
        path = known.get(problem.path)
        while path is None and "." in problem.path and not problem.path.endswith("]"):
            shorter = problem.path.rpartition(".")[0]
            path = known.get(shorter)
            problem = Problem(problem.line, problem.column, shorter, problem.message)
        if path is not None:
            again |= _leave_out(draft, written, path, printable(problem.message))
    return again


def _paths(value: Any, path: Path) -> Iterator[Path]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _paths(item, (*path, key))


def _leave_out(draft: Draft, written: Written, path: Path, why: str) -> bool:
    """Leave out a key of an entry, or the whole entry if it can't be without the key. A list is left out whole. Returns whether that is
    new."""
    own = [key for key, where in written.paths.items() if path[: len(where)] == where]
    if not own:
        return False
    depth = max(len(written.paths[key]) for key in own)
    below = path[depth:]
    own = [key for key in own if len(written.paths[key]) == depth]
    below = below[: next((number for number, part in enumerate(below) if isinstance(part, int)), len(below))]
    schema: Any = resolved(draft.found.all[own[0]].found.state.kind)
    for number, part in enumerate(below):
        if part in schema.get("required", ()):
            below = below[:number]
            break
        schema = schema.get("properties", {}).get(part) or {}
    again = False
    for key in own:
        if below and (key, below) not in draft.unsaid:
            draft.unsaid[key, below] = why
            again = True
        elif not below and key not in draft.excluded:
            draft.excluded[key] = why
            draft.found.notes.append(f"{key} is left out, and named by its id: {why}")
            again = True
    return again


def _differences(draft: Draft, written: Written, adoption: Adoption) -> tuple[tuple[str, ...], bool]:
    """The differences that would remain after adoption; and whether parts could be left out for them."""
    if adoption.preview.plan is None:
        return tuple(adoption.preview.refusal.split("\n")), False
    again = False
    problems = []
    for step in adoption.preview.plan.steps:
        if step.reason == DUPLICATE:
            continue  # the caller reports it
        problems.append(f"{step.address} would be {step.action}d ({', '.join(item.path for item in step.changes)})")
        for path, why in _unsayable(step):
            entry = _entry_path(written, step)
            if entry:
                again |= _leave_out(draft, written, (*entry, *path), why)
    return tuple(problems), again


def _entry_path(written: Written, step: Step) -> Path:
    desired = step.desired
    address = (desired.carrier or desired.address) if desired else step.address
    physical_id = written.ids.get(address)
    if physical_id is None and step.observed is not None:
        physical_id = step.observed.parent_id or ""
    return written.paths.get(physical_id or "", ())


def _unsayable(step: Step) -> Iterator[tuple[Path, str]]:
    """The keys that would make a difference, and why they can't be said."""
    kind = load_kinds()[step.address.kind]
    if not kind.section and step.action != "update":
        for key in resolved(kind.name).get("properties", {}):
            yield (key,), "what there is can't be said so that it stays as it is"
    for change in step.changes:
        name, _, rest = change.path.partition(".")
        path: Path = (name, rest) if rest else (name,)
        yield path, "AWS shows it otherwise than a spec can say it"


def _is_alike(written: Written, address: Address, matched: str | None) -> bool:
    """Whether the matched resource is the one that is meant, or one that the same entry describes as well."""
    meant, kind = written.ids[address], load_kinds()[address.kind]
    path = written.paths[meant]
    entry: Any = written.data
    for part in path:
        entry = entry[part]
    return meant == matched or (
        isinstance(kind, Grouped) and written.paths.get(matched or "") == path and not kind.tells_apart(entry)
    )


async def _needed(aws: Aws, written: Written, adoption: Adoption, wishes: ExportWishes) -> tuple[str, ...]:
    """The ids without which `adopt` wouldn't know which resource is meant."""
    target = adoption.target
    needed: dict[Address, str] = {}
    for _ in range(_ATTEMPTS):
        try:
            found = await find_adoption(aws, target, needed, keep_images=True, keep_secrets=True)
        except UnmatchedError as error:
            lost: set[Address] = set(error.addresses)
        except RefusedError:
            lost = set(written.ids)
        else:
            matched = {match.address: match.found.found.id for match in found.matches}
            lost = {address for address in written.ids if not _is_alike(written, address, matched.get(address))}
        more = {address: written.ids[address] for address in lost if address in written.ids and address not in needed}
        if not more:
            break
        needed |= more
    return tuple(f"{address}={key}" for address, key in written.ids.items() if address in needed)
