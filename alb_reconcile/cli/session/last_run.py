"""Finds which run changed a stack last, from this host's history and the stack's own tags. It doesn't ask AWS."""

import os
import re
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Final

from alb_reconcile.engine.plan.planner import POINT_THERE
from alb_reconcile.journal.files import RecordError, state_folder
from alb_reconcile.journal.history import describe_elsewhere, read_history
from alb_reconcile.journal.past import UNRECORDED_END, find_past, when_and_who
from alb_reconcile.journal.record import DESTROY_BEGUN, RunRecord
from alb_reconcile.journal.revision import show_commit
from alb_reconcile.kinds import facts_of
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.advice import typed
from alb_reconcile.model.host import user_name
from alb_reconcile.model.plan import Plan
from alb_reconcile.model.service import Balancer
from alb_reconcile.model.text import printable

_LOOKED_AT: Final = 50
"""The number of runs that are searched for the last one that changed something."""
_COMMIT: Final = re.compile(r"[0-9a-f]{40,64}")
"""A commit with nothing modified since."""
ROLLBACK: Final = "rollback"
_TAGGING: Final = ("adopt", "forget", "move")
"""Commands that change only tags, which is no change of a stack."""


@dataclass(frozen=True)
class LastRun:
    """Sentences on the last run for the head of a plan; each may be empty."""

    told: str = ""
    warning: str = ""
    was_there: bool = False
    """Whether the stack existed before, and none of its resources is left."""


def find_last_run(plan: Plan, spec_file: str, place: str, state_dir: str | None = None, began: str = "") -> LastRun:
    """The user, time and spec of the run that changed the stack last; with a warning if the user or the spec is another, or the run
    isn't recorded here.

    `place` is as in `place_name`; `began` is when the sandbox was last empty, if the place is a sandbox. A history that can't be read
    counts as empty.
    """
    makes = any(step.action == "create" for step in plan.steps)
    is_ending = makes and any(
        item.tags.get(tags.APPLIED) == tags.DESTROYING for item in plan.live if item.owner == plan.stack
    )
    with suppress(RecordError):
        folder = state_folder(state_dir, os.environ)
        past = read_history(folder, plan.stack, plan.region, account=plan.account, place=place, limit=_LOOKED_AT)
        changing = [record for record in past.runs if record.command not in _TAGGING]
        cut = ("done", "interrupted")  # a launch that was cut short has changed something as well
        changed = [record for record in changing if any(record.having(how=how) for how in cut)]
        created = [step.address for step in plan.steps if step.action == "create"]
        made = [address for address in created if issubclass(facts_of(address.kind), Balancer)]
        if is_ending:
            recent = takewhile(lambda record: not record.is_success, changed)  # a run before that was another destroy
            destroys = [item for item in recent if item.command == "destroy"]
            begun = f" (begun {when_and_who(destroys[0])})" if destroys else ""
            told = next((_told(*_through(changing, item)) for item in changed if item.command != "destroy"), "")
            return LastRun(told, DESTROY_BEGUN + begun + printable(_old_names(made, destroys)))
        last = next(iter(changed), None)
        gone = find_past(past.runs, began) if not plan.live and (makes or not plan.desired) else None
        if gone is not None and gone.how == "there":
            seen = last or next((item for item in changing if item.is_success), None)
            lost = f"nothing has its tags any more, and {UNRECORDED_END}"
            names = (
                f"; made anew, {', '.join(map(str, made))} get{'s' * (len(made) == 1)} another DNS name: {POINT_THERE}"
                if made
                else ""
            )
            return LastRun(_told(seen, _how_it_ended(seen)) if seen else "", lost + names, was_there=True)
        since = takewhile(lambda record: record is not last, past.runs)
        # records of runs that changed only tags, or nothing
        known = {record.spec_digest for record in (*since, *([last] if last else ())) if record.is_success}
        applied = _applied(plan)
        if last is None:
            if not plan.live:
                return LastRun(warning=describe_elsewhere(folder, plan.stack, plan.region, plan.account, place))
            other = applied and applied not in {tags.spec_digest_of(plan.desired), *known}
            text = "another spec than this was applied to the stack last, and no run that did it is recorded here"
            whose = f"make sure that {plan.stack} isn't somebody else's, and that no run of it is unfinished: that one needs its own spec"
            return LastRun(warning=f"{text}; {whose}" if other else "")
        if last.started < began and last.command != "destroy" and not plan.live:
            return LastRun()  # that was in a sandbox that is gone
        last, ended = _through(changing, last)
        return LastRun(_told(last, ended), _difference(last, spec_file, is_known=applied in {"", *known}))
    return LastRun(warning=DESTROY_BEGUN if is_ending else "")


def find_commits(plan: Plan, place: str, folder: Path) -> str:
    """The commits of what was applied to the stack since it was last applied with success from another commit, as `git revert` takes them;
    empty where this host's history doesn't know them, or where files were modified. `folder` is the state folder."""
    with suppress(RecordError):
        past = read_history(folder, plan.stack, plan.region, account=plan.account, place=place, limit=_LOOKED_AT)
        applied = [item for item in past.runs if item.command == "apply"]
        new = next((item.commit for item in applied if item.having(how="done")), "")
        old = next((item.commit for item in applied if item.is_success and item.commit != new), "")
        if _COMMIT.fullmatch(new) and _COMMIT.fullmatch(old):
            return f"{old[:12]}..{new[:12]}"
    return ""


def _applied(plan: Plan) -> str:
    """The digest of the spec that was applied last, as in the resources' tags; empty where the tags don't agree."""
    found = {
        item.tags[tags.APPLIED].partition(" ")[0]
        for item in plan.live
        if item.owner == plan.stack and tags.APPLIED in item.tags
    }
    (digest,) = found if len(found) == 1 else ("",)
    return "" if digest in (tags.DESTROYING, tags.UNFINISHED) else digest


_ENDED: Final = {
    "failed": "that run failed",
    "interrupted": "that run was interrupted",
    "left": "some of it requires manual action",
    "refused": "the rest of it was refused",
    "held": "another run had the stack",
}


def _through(changing: Sequence[RunRecord], last: RunRecord) -> tuple[RunRecord, str]:
    """The run that applied the stack's spec, and how that run ended: a later run without changes counts if its file was another, or for an
    apply its commit, since AWS doesn't know, for example, a policy."""
    passed = [item for item in changing[: changing.index(last)] if item.result == "in_sync"]
    if passed and Path(passed[0].spec_file).name != Path(last.spec_file).name:
        return passed[0], ""
    own = (item for item in passed if item.command == "apply" and item.commit not in ("", last.commit))
    return next(own, last), "" if passed else _how_it_ended(last)


def _how_it_ended(last: RunRecord) -> str:
    return "" if last.is_success else f"; {_ENDED.get(last.result, 'not everything was ready then')}"


def _told(last: RunRecord, ended: str) -> str:
    by_sync = f"{'found in sync' if last.result == 'in_sync' else 'corrected'} by sync"
    words = {"apply": "applied", ROLLBACK: "rolled back", "destroy": "destroyed", "sync": by_sync}
    where = f", from {last.spec_file}" if last.spec_file else ""
    commit = f" at commit {show_commit(last.commit)}" if last.commit else ""
    return printable(
        f"Last {words.get(last.command, last.command)} on this host {when_and_who(last)}{where}{commit}{ended}."
    )


def _old_names(made: Sequence[Address], destroys: Iterable[RunRecord]) -> str:
    """The DNS names of the load balancers that destroys have deleted and the plan creates again."""
    steps = [step for item in destroys for step in item.steps if step.action == "delete" and "DNS name" in step.reason]
    return "".join(f"; {step.address}: {step.reason}" for step in steps if step.address in map(str, made))


def _difference(last: RunRecord, spec_file: str, *, is_known: bool) -> str:
    if last.is_success and not is_known and last.command != ROLLBACK:
        return "another spec has been applied since then, by a run that isn't recorded here"
    if last.command != "sync" and last.user != user_name():
        return printable(f"the last run was by {last.user}, not by you")
    if last.host != socket.gethostname():
        return printable(f"the last run was on {last.host}, not here")
    if spec_file and last.spec_file and Path(last.spec_file).name != Path(spec_file).name:
        text = f"the last run was of {last.spec_file}, not of {spec_file}"
        if (file := Path(last.spec_folder, last.spec_file)).is_file():
            other = last.spec_file if Path(last.spec_file).is_file() else file
            text += f"; see what this one changes: {typed('alb-reconcile', 'diff', str(other), spec_file)}"
        return printable(text)
    return ""
