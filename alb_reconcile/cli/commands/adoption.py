"""The commands `adopt`, `forget` and `move`: bring resources under a stack's management and let them go, by changing tags only."""

import difflib
import os
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from alb_reconcile.adoption.adopt import Adoption, entries_of, find_adoption
from alb_reconcile.adoption.forget import find_forgetting
from alb_reconcile.adoption.match import NEW
from alb_reconcile.adoption.move import find_move
from alb_reconcile.adoption.tagging import Tagging, carry_out
from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.render.adoption import (
    adoption_json,
    adoption_text,
    forgetting_json,
    forgetting_text,
    move_json,
    move_text,
)
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.render.output import Output
from alb_reconcile.cli.session.confirmation import confirm
from alb_reconcile.cli.session.connection import ConnectionOptions, with_aws
from alb_reconcile.cli.session.specs import LoadingOptions, load_stacks
from alb_reconcile.cli.session.tagging_runs import recorded_tagging
from alb_reconcile.export.write_back import changes_for, unwritten
from alb_reconcile.journal.files import save_file
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.identifiers import describe_id, is_aws_id
from alb_reconcile.locking.hold import hold
from alb_reconcile.model.address import Address
from alb_reconcile.model.advice import advised
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import AwsError, ExitCode, InterruptedRun, UsageError
from alb_reconcile.model.files import read_start
from alb_reconcile.model.resource import Change
from alb_reconcile.model.text import did_you_mean
from alb_reconcile.spec.document import MAX_BYTES
from alb_reconcile.spec.editing import edited
from alb_reconcile.spec.stack import parse_stack


@dataclass(frozen=True)
class AdoptionOptions:
    """The options that `adopt`, `forget` and `move` share."""

    spec: str
    yes: bool
    lock_timeout: int
    output: Output
    loading: LoadingOptions
    connection: ConnectionOptions


_Options = TypeVar("_Options", bound=AdoptionOptions)


@dataclass(frozen=True)
class AdoptOptions(AdoptionOptions):
    choices: tuple[str, ...]
    keep_images: bool
    keep_secrets: bool
    write: bool


def adopt(options: AdoptOptions) -> ExitCode:
    """Give the stack's tags to resources that the spec describes and that were made elsewhere."""
    return _run(options, _adopt)


async def _adopt(aws: Aws, target: DesiredStack, options: AdoptOptions) -> ExitCode:
    given = parse_choices(options.choices, entries_of(target.desired))
    keep = partial(find_adoption, aws, keep_images=options.keep_images, keep_secrets=options.keep_secrets)
    async with hold(aws, target, "adopt", options.lock_timeout, partial(keep, target, given), complain) as found:
        rewritten = Rewritten()
        if options.write:
            found, rewritten = await _rewrite(aws, found, options, partial(keep, given=given))
        options.output.show(found, adoption_text, adoption_json)
        if options.write and (kept := _unwritten(found)):
            complain(
                f"Note: {kept} {'differs' if ',' not in kept else 'differ'} in what may be a secret, which --write never writes; "
                f"{advised('export', ('--stack', target.stack), ('-o', 'FILE'))} does, to FILE and files beside it"
            )
        if not found.taggings and not rewritten.text:
            return ExitCode.OK
        if rewritten.text:
            options.output.remark(f"{options.spec} is to say what runs:\n\n{rewritten.diff}")
        await confirm(
            aws,
            f"Adopt {len(found.matches)} into {_place(target, found.preview.account)}? Type yes: ",
            "yes",
            yes=options.yes,
        )
        if rewritten.text:
            save_file(options.spec, rewritten.text.encode(), keep_mode=True)
            options.output.remark(f"Wrote {options.spec}.")
        await carry_out(aws, found.knowing, lambda _: None)
        if found.taggings:
            await _write(aws, found.taggings, found.target, options, "adopt")  # `--write` has changed the target
            await carry_out(aws, found.preview.applied, lambda _: None)
    return ExitCode.OK


@dataclass(frozen=True)
class Rewritten:
    """A spec that was changed to describe what runs; empty where it does already."""

    text: str = ""
    diff: str = ""


async def _rewrite(
    aws: Aws, found: Adoption, options: AdoptOptions, look: Callable[[DesiredStack], Awaitable[Adoption]]
) -> tuple[Adoption, Rewritten]:
    """Write into the spec the values that its resources have, as long as that leaves fewer differences."""
    file = Path(options.spec)
    before = read_start(file, MAX_BYTES + 1)
    text = ""
    for _ in range(_ROUNDS):
        changes = await changes_for(aws, found)
        if not changes:
            break
        tried = edited(text.encode() or before, options.spec, changes)
        stack = parse_stack(
            tried.encode(), options.spec, file.parent, {**os.environ, **options.loading.variables}, found.target.region
        )
        again = await look(stack.target())
        if len(_open(again)) >= len(_open(found)):
            break
        text, found = tried, again
    if not text:
        return found, Rewritten()
    lines = difflib.unified_diff(
        before.decode().splitlines(), text.splitlines(), options.spec, options.spec, lineterm="", n=1
    )
    return found, Rewritten(text, "\n".join(lines) + "\n")


def _unwritten(found: Adoption) -> str:
    """A sentence on differences in secrets, which aren't written."""
    plan = found.preview.plan
    return ", ".join(str(step.address) for step in plan.steps if unwritten(plan, step)) if plan else ""


def _open(found: Adoption) -> list[str]:
    plan = found.preview.plan
    return (
        [f"{step.key} {change.path}" for step in plan.steps for change in step.changes or [Change("", 0, 0)]]
        if plan
        else []
    )


_ROUNDS: Final = 4


@dataclass(frozen=True)
class ForgetOptions(AdoptionOptions):
    addresses: tuple[str, ...]


def forget(options: ForgetOptions) -> ExitCode:
    """Remove the stack's tags from its resources."""
    return _run(options, _forget)


async def _forget(aws: Aws, target: DesiredStack, options: ForgetOptions) -> ExitCode:
    look = partial(find_forgetting, aws, target, options.addresses)
    async with hold(aws, target, "forget", options.lock_timeout, look, complain) as found:
        if found.whole and not (found.taggings or found.strays):
            emit(f"Nothing in {target.region} belongs to the stack {target.stack}.")
            return ExitCode.OK
        options.output.show(found, forgetting_text, forgetting_json)
        if not (found.taggings or found.strays):
            return ExitCode.OK
        if found.whole:
            options.output.remark(
                f"First take {options.spec} out of the folder that sync reads,\n"
                "or each round says that nothing of the stack is there."
            )
            place = f"account {found.account}"
            question, answer = f"Forget the whole stack in {place}? Type its name ({target.stack}): ", target.stack
        else:
            place = _place(target, found.account)
            question, answer = f"Forget {len(found.taggings)} of {place}? Type yes: ", "yes"
        await confirm(aws, question, answer, yes=options.yes)
        await carry_out(aws, [*found.unknowing, *found.strays], lambda _: None)
        if found.taggings:
            left = (
                replace(target, desired={}) if found.whole else target
            )  # the record of a whole stack forgotten has no spec
            await _write(aws, found.taggings, left, options, "forget")
            await carry_out(aws, found.preview.applied if found.preview else (), lambda _: None)
    return ExitCode.OK


@dataclass(frozen=True)
class MoveOptions(AdoptionOptions):
    addresses: tuple[str, ...]


def move(options: MoveOptions) -> ExitCode:
    """Give resources another address."""
    if len(options.addresses) % 2:
        raise UsageError(f"{options.addresses[-1]} has no new address; write OLD NEW, as often as needed")
    return _run(options, _move)


async def _move(aws: Aws, target: DesiredStack, options: MoveOptions) -> ExitCode:
    pairs = tuple(zip(options.addresses[::2], options.addresses[1::2], strict=True))
    look = partial(find_move, aws, target, pairs)
    async with hold(aws, target, "move", options.lock_timeout, look, complain) as found:
        options.output.show(found, move_text, move_json)
        if found.moves:
            await confirm(
                aws,
                f"Move {len(found.moves)} within {_place(target, found.preview.account)}? Type yes: ",
                "yes",
                yes=options.yes,
            )
            await _write(aws, [item for _, item in found.moves], target, options, "move")
            await carry_out(aws, found.preview.applied, lambda _: None)
    return ExitCode.OK


def parse_choices(texts: Sequence[str], entries: Collection[Address]) -> dict[Address, str]:
    """The choices in `ADDRESS=ID` or `ADDRESS=new`. Raises UsageError for impossible choices."""
    names = {str(address): address for address in entries}
    chosen: dict[Address, str] = {}
    for text in texts:
        name, equals, physical_id = text.partition("=")
        if not equals:
            raise UsageError(
                f"{text!r} has no id; write ADDRESS=ID, such as vpc.main=vpc-0a1b2c3d4e5f60718, or ADDRESS={NEW}"
            )
        if name not in names:
            hint = did_you_mean(name, names) or "; write the address as plans do, such as instance.web-1"
            raise UsageError(f"the spec declares no {name!r}{hint}")
        if physical_id != NEW and not is_aws_id(physical_id):
            needed = describe_id(load_kinds()[names[name].kind])
            raise UsageError(
                f"{text!r}: {physical_id!r} is no id of AWS's; write {needed} after {name}=, or {name}={NEW}"
            )
        if names[name] in chosen:
            raise UsageError(f"{name} is given twice")
        if physical_id != NEW and physical_id in chosen.values():
            raise UsageError(f"{physical_id} is given to two addresses")
        chosen[names[name]] = physical_id
    return chosen


def _run(options: _Options, command: Callable[[Aws, DesiredStack, _Options], Awaitable[ExitCode]]) -> ExitCode:
    (stack,) = load_stacks([options.spec], options.loading)
    target = stack.target()
    return with_aws(options.connection, target.region, command, target, options)


def _place(target: DesiredStack, account: str) -> str:
    return f"{target.stack} (account {account})"


_PAST: Final = {"adopt": "adopted", "forget": "forgotten", "move": "moved"}


async def _write(
    aws: Aws, items: Sequence[Tagging], target: DesiredStack, options: AdoptionOptions, command: str
) -> None:
    """Write all the tags; tags that were written are reported even if the rest fails."""
    word = _PAST[command]
    done: list[Tagging] = []
    with recorded_tagging(aws, target, command, items, done, sandbox=options.connection.sandbox):
        try:
            await carry_out(aws, items, done.append)
        except (AwsError, InterruptedRun):
            complain(f"{len(done)} of {len(items)} resources were {word}; run this again before anything else")
            raise
    options.output.remark(f"{len(done)} resource{'s' * (len(done) != 1)} {word}; only tags were changed.")
