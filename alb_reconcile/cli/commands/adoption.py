"""`adopt`, `release` and `move`: bringing resources under the stack's care and letting them go, by tags alone."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from alb_reconcile.adoption.adopt import entries_of, find_adoption
from alb_reconcile.adoption.match import NEW
from alb_reconcile.adoption.move import find_move
from alb_reconcile.adoption.release import find_release
from alb_reconcile.adoption.tagging import Tagging, carry_out
from alb_reconcile.cli.commands.session import confirm, load_stacks, target_of, with_aws
from alb_reconcile.cli.render.adoption import (
    adoption_json,
    adoption_text,
    move_json,
    move_text,
    release_json,
    release_text,
)
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.render.style import Style
from alb_reconcile.kinds.identifiers import is_aws_id
from alb_reconcile.locking.hold import hold
from alb_reconcile.model.errors import AwsError, ExitCode, InterruptedRun, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection, Sequence

    from alb_reconcile.aws.client import Aws
    from alb_reconcile.model.address import Address
    from alb_reconcile.model.target import Target


def adopt(args: argparse.Namespace) -> ExitCode:
    """Give the stack's tags to what the spec describes and somebody else has made."""
    return _run(args, _adopt)


async def _adopt(aws: Aws, target: Target, args: argparse.Namespace) -> ExitCode:
    given = parse_choices(args.choices, entries_of(target.desired))

    async def look() -> Any:
        return await find_adoption(aws, target, given, keep_images=args.keep_images)

    async with hold(aws, target, "adopt", args.lock_timeout, look, complain) as found:
        _show(args, found, adoption_text, adoption_json)
        if not found.taggings:
            return ExitCode.OK
        await confirm(args, aws, f"Adopt ({len(found.matches)} in all)? Type yes: ", "yes")
        await _write(aws, found.taggings, args, "adopted")
    return ExitCode.OK


def release(args: argparse.Namespace) -> ExitCode:
    """Take the stack's tags off."""
    return _run(args, _release)


async def _release(aws: Aws, target: Target, args: argparse.Namespace) -> ExitCode:
    async def look() -> Any:
        return await find_release(aws, target, args.addresses)

    async with hold(aws, target, "release", args.lock_timeout, look, complain) as found:
        if not found.taggings:
            emit(f"Nothing in {target.region} belongs to the stack {target.stack}.")
            return ExitCode.OK
        _show(args, found, release_text, release_json)
        if found.whole:
            question = f"Let go of the whole stack? Type its name ({target.stack}): "
            await confirm(args, aws, question, target.stack)
        else:
            await confirm(args, aws, f"Release ({len(found.taggings)} in all)? Type yes: ", "yes")
        await carry_out(aws, found.unknowing, lambda _: None)
        await _write(aws, found.taggings, args, "released")
    return ExitCode.OK


def move(args: argparse.Namespace) -> ExitCode:
    """Give what is there another address."""
    return _run(args, _move)


async def _move(aws: Aws, target: Target, args: argparse.Namespace) -> ExitCode:
    async def look() -> Any:
        return await find_move(aws, target, args.old, args.new)

    async with hold(aws, target, "move", args.lock_timeout, look, complain) as found:
        _show(args, found, move_text, move_json)
        await confirm(args, aws, f"Move ({len(found.moves)} in all)? Type yes: ", "yes")
        await _write(aws, [item for _, item in found.moves], args, "moved")
    return ExitCode.OK


def parse_choices(texts: Sequence[str], entries: Collection[Address]) -> dict[Address, str]:
    """`ADDRESS=ID`, or `ADDRESS=new`, as often as given. Raises UsageError for what can't be meant."""
    names = {str(address): address for address in entries}
    chosen: dict[Address, str] = {}
    for text in texts:
        name, equals, physical_id = text.partition("=")
        if not equals or not (physical_id == NEW or is_aws_id(physical_id)):
            raise UsageError(
                f"{text!r} says no id; write ADDRESS=ID, as in vpc.main=vpc-0a1b2c3d4e5f60718, or ADDRESS={NEW}"
            )
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            raise UsageError(
                f"the spec declares no {name!r}"
                + (
                    f"; did you mean {close[0]}?"
                    if close
                    else "; write the address as plans do, as in instance.web-1"
                )
            )
        if names[name] in chosen:
            raise UsageError(f"{name} is given twice")
        if physical_id != NEW and physical_id in chosen.values():
            raise UsageError(f"{physical_id} is given to two addresses")
        chosen[names[name]] = physical_id
    return chosen


def _run(args: argparse.Namespace, command: Callable[[Aws, Target, argparse.Namespace], Any]) -> ExitCode:
    args.specs = [args.spec]
    (stack,) = load_stacks(args)
    target = target_of(stack)
    return ExitCode(with_aws(args, target.region, lambda aws: command(aws, target, args)))


def _show(
    args: argparse.Namespace, found: Any, text: Callable[[Any, Style], str], data: Callable[[Any], str]
) -> None:
    emit(data(found) if args.format == "json" else text(found, Style.detect(no_color=args.no_color)))


async def _write(aws: Aws, items: Sequence[Tagging], args: argparse.Namespace, word: str) -> None:
    """Write all the tags; what was done is told also where the rest fails."""
    done: list[Tagging] = []
    say = complain if args.format == "json" else emit
    try:
        await carry_out(aws, items, done.append)
    except (AwsError, InterruptedRun):
        complain(f"{len(done)} of {len(items)} resources were {word}; run it again before anything else")
        raise
    say(f"{len(done)} resource{'s' * (len(done) != 1)} {word}; nothing but tags was changed.")
