"""`python -m tests.account try|measure|list|clean`: what `make test-aws` and `make test-aws-clean` run."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from tests.account import answers, costs, measurements
from tests.account.bench import Bench
from tests.account.inventory import Inventory
from tests.account.measurements.measurement import Measurement
from tests.account.place import TAG, Place, Program, Refused, Tool, Untrue, as_a_process
from tests.account.service import Service, claim, of_run, read_spec

LATER = f"Remove what is left, if anything, with: make test-aws-clean (it looks for the tag {TAG})"
STACKS = ("demo", "runbook", "private")


def main(arguments: Sequence[str] | None = None, program: Program = as_a_process) -> int:
    """Exit code 0 if all claims hold and nothing is left, 1 if not, 2 if it didn't begin."""
    options = _parser().parse_args(arguments)
    if options.command == "list":
        print(measurements.listed())
        return 0
    try:
        place = Place.named(os.environ, sandbox=options.sandbox)
        if options.command == "clean":
            return clean(place, options.run, yes=options.yes)
        if options.command == "measure":
            return measure(place, program, options.names, role=options.role, yes=options.yes)
        return try_stacks(place, program, options.stacks or STACKS, role=options.role, yes=options.yes)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    except (Untrue, BotoCoreError, ClientError) as error:
        print(f"✗ {error}\n{LATER}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"Interrupted. {LATER}", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.account", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    trying = commands.add_parser("try", help="apply, verify, roll under requests, destroy; nothing is left")
    trying.add_argument(
        "stacks", nargs="*", help=f"names of specs that come with the program, or files ({', '.join(STACKS)})"
    )
    measuring = commands.add_parser("measure", help="ask AWS what its documents don't say")
    measuring.add_argument("names", nargs="+", help="names from `list`, or `all`")
    cleaning = commands.add_parser("clean", help=f"remove everything that has the tag {TAG}")
    cleaning.add_argument("--run", default="", help="of one run only")
    for each in (trying, measuring):
        each.add_argument("--role", default="", help="the ARN of a role to run under, instead of one that is made")
    for each in (trying, measuring, cleaning):
        each.add_argument("--yes", action="store_true", help="don't ask")
        each.add_argument("--sandbox", action="store_true", help="in the sandbox that runs, instead of AWS")
    commands.add_parser("list", help="the measurements, and what each asks")
    return parser


def try_stacks(place: Place, program: Program, names: Sequence[str], *, role: str = "", yes: bool) -> int:
    """Each stack's life, one after the other."""
    run = secrets.token_hex(3)
    specs = [of_run(read_spec(name), place, run) for name in names]
    for spec in specs:
        print(costs.estimate(spec["stack"], costs.needed(spec)))
    print(costs.NOTE)
    text = "One after the other, about half an hour each. While instances are replaced there are twice as many"
    _ask(place, text, yes=yes)
    with tempfile.TemporaryDirectory(prefix="alb-reconcile-test-") as folder:
        tool = Tool(place, Path(folder), program, role)
        return 0 if all(_lives(tool, spec, run) for spec in specs) else 1


def _lives(tool: Tool, spec: dict[str, object], run: str) -> bool:
    """A stack from its creation to its end; what it leaves behind, should a claim not hold, is removed."""
    own, began = Inventory(tool.place, run), time.monotonic()
    holds = False
    print(f"\n━━ {spec['stack']}", flush=True)
    try:
        service = Service.written(tool, spec, run)
        service.apply()
        if service.serves:
            service.roll()
        service.destroy()
        left = [thing for thing in own.find() if thing.kind != "policy" and not thing.id.startswith(f"{TAG}-")]
        listed = "".join(f"\n    {thing.kind} {thing.id}" for thing in left)
        claim(not left, f"nothing with the tag {TAG}={run} is left{listed}")
        print(f"{spec['stack']}: all of it holds, {tool.place.seconds(time.monotonic() - began):.0f} s")
        holds = True
    except Untrue as error:
        print(f"✗ {error}", file=sys.stderr)
    finally:
        is_gone = _swept(own)
    return holds and is_gone


def measure(place: Place, program: Program, names: Sequence[str], *, role: str = "", yes: bool) -> int:
    """Ask AWS, print its answers and keep them; ask the sandbox, and compare."""
    chosen = measurements.named(names)
    run = secrets.token_hex(3)
    spec = of_run(read_spec("demo"), place, run)
    needs_service = any(each.on_service for each in chosen)
    print(costs.estimate("The service", costs.needed(spec)) if needs_service else "Without a service.")
    for each in chosen:
        if each.needs:
            print(costs.estimate(each.name, each.needs))
    print(costs.NOTE)
    _ask(place, "What a measurement makes is there for minutes only; a volume of 1 GB, too", yes=yes)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="alb-reconcile-test-") as folder:
        own = Inventory(place, run)
        try:
            bench = Bench(Tool(place, Path(folder), program, role), run, spec)
            for each in chosen:
                print(f"\n━━ {each.name}\n{each.question}", flush=True)
                try:
                    failed += not _answered(place, each, bench)
                except (Untrue, Refused):
                    raise  # the service itself can't be made
                except Exception as error:  # one that fails doesn't keep the others from being asked
                    failed += 1
                    print(f"✗ {type(error).__name__}: {error}", file=sys.stderr)
        finally:
            is_gone = _swept(own)
    return 0 if is_gone and not failed else 1


def _answered(place: Place, asked: Measurement, bench: Bench) -> bool:
    """Whether the sandbox answers as AWS did. What AWS answers is kept."""
    began = time.monotonic()
    facts = asked.measure(bench)
    told = [f"{name}: {fact}" if name else fact for name, fact in facts.items()]
    print(f"→ {(chr(10) + '  ').join(told) or 'not asked: this account can no longer tell'}", flush=True)
    if not place.sandbox:
        if facts:
            print(f"  kept in {answers.keep(asked, place, facts, time.monotonic() - began)}", flush=True)
        return True
    found = answers.differences(asked.name, facts)
    for text in found:
        print(f"✗ {text}", file=sys.stderr)
    return not found


def clean(place: Place, run: str, *, yes: bool) -> int:
    """Remove what runs have left behind, for instance because they were killed."""
    own = Inventory(place, run)
    found = own.find()
    for thing in found:
        print(f"  {thing.kind} {thing.id}  (of run {thing.run})")
    if not found:
        print(f"Nothing in {place.region} has the tag {TAG}{f'={run}' if run else ''}.")
        return 0
    _ask(place, f"All {len(found)} are removed, in account {place.account}, {place.region}", yes=yes)
    return 0 if _swept(own) else 1


def _swept(own: Inventory) -> bool:
    """Whether nothing is left of it."""
    left = own.remove_all()
    for thing in left:
        why = own.refusals.get(thing, "it is still there")
        print(f"✗ left behind: {thing.kind} {thing.id}: {why}", file=sys.stderr)
    if left:
        print(f"Try again later: make test-aws-clean RUN={own.run}" if own.run else "Try again later.", file=sys.stderr)
    else:
        print(f"Nothing with the tag {TAG} is left{f' of run {own.run}' if own.run else ''}.", flush=True)
    return not left


def _ask(place: Place, text: str, *, yes: bool) -> None:
    """Raises Refused unless the user agrees."""
    print(f"{text}.")
    if yes:
        return
    try:
        said = input(f"To go on in account {place.account}, {place.region}, type the account's id: ").strip()
    except EOFError:
        said = ""
    if said != place.account:
        raise Refused("Nothing was done.")


if __name__ == "__main__":
    sys.exit(main())
