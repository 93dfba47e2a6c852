"""Writes the text of a stack's issue, and the marker by which the issue is found again and compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

import msgspec

from alb_reconcile.journal.notify import judge
from alb_reconcile.journal.record import ADVICE, DESTROY_BEGUN, NO_USE, NOTHING_THERE, RunRecord, StepRecord
from alb_reconcile.model.advice import typed
from alb_reconcile.model.markdown import code_block, code_span, one_line
from alb_reconcile.model.text import digest

_MARKER: Final = re.compile(r"<!-- alb-reconcile (\{[^\n]{1,8000}\}) -->")
_MOST: Final = 20
"""The most steps that an issue names."""
_CHANGES: Final = 10
"""The most changes of one step that an issue shows."""
_WIDTH: Final = 200
"""The most characters of a change. The whole issue is shorter than GitHub's limit, 65,536 characters."""


class Marker(msgspec.Struct, frozen=True, tag_field="version", tag=1):
    """The data in an issue's body that readers don't see. `steps` and `content` are digests: a comment is written when `steps` has
    changed, the body when `content` has. `since`: when the state began, `found`: when the content was first found (UTC)."""

    stack: str
    region: str
    account: str
    place: str
    state: Literal["drift", "failing"]
    steps: str
    content: str
    since: str
    unmade: tuple[str, ...] = ()
    """The load balancers that were to be created while the issue was open."""
    asked: bool = False
    """Whether CloudTrail has said all that it is going to say."""
    found: str = ""

    def is_about(self, record: RunRecord) -> bool:
        """Whether the issue is that of the record's stack. A record or marker without an account matches any account."""
        same = (self.stack, self.region, self.place) == (record.stack, record.region, record.place)
        return same and (self.account == record.account or not self.account or not record.account)

    def __str__(self) -> str:
        text = msgspec.json.encode(self).decode().replace(">", "\\u003e")  # nothing in the text ends the comment
        return f"<!-- alb-reconcile {text} -->"


def find_marker(body: str) -> Marker | None:
    """The marker in an issue's body; None for an issue that isn't one of ours."""
    if found := _MARKER.search(body):
        try:
            return msgspec.json.decode(found[1], type=Marker)
        except (ValueError, RecursionError):
            return None
    return None


@dataclass(frozen=True)
class Actors:
    """Which users changed the drifted resources, in words by step key; `note` says why some aren't known."""

    texts: Mapping[str, str]
    note: str = ""
    is_final: bool = True
    """Whether asking again is of no use."""


def marker_of(record: RunRecord) -> Marker | Literal["closed"] | None:
    """The marker of what the issue is to say after a run; "closed" where there is nothing to say any more; None where the run says
    nothing of it."""
    if record.is_gone:
        return "closed"
    state, _ = judge(None, record)
    if state is None:
        return None
    if state.verdict == "in_sync":
        return "closed"
    steps = steps_of(record)
    # neither times nor request ids: what is still the same is no news
    content: list[object] = [(item.key, item.how, item.cause, item.code, item.reason, item.changes) for item in steps]
    content += record.not_ready
    return Marker(
        record.stack, record.region, record.account, record.place, state.verdict,
        digest(sorted(step.key for step in steps)), digest([content, record.code]), record.ended,
        state.unmade, found=record.ended,
    )  # fmt: skip


def steps_of(record: RunRecord) -> tuple[StepRecord, ...]:
    """The steps that a person has to look at: those that failed first."""
    return (*record.having(how="failed"), *record.withheld)


def title_of(record: RunRecord, marker: Marker) -> str:
    """The issue's title."""
    what = "runs fail" if marker.state == "failing" else "requires manual action"
    return one_line(f"{record.stack} ({', '.join(filter(None, [marker.region, marker.account]))}): {what}")


def summary_of(record: RunRecord, marker: Marker) -> str:
    """A sentence on the stack's state now."""
    steps = steps_of(record)
    names = ", ".join(code_span(f"{step.action} {step.address}") for step in steps[:_MOST])
    if marker.state == "failing" and not names:
        return f"The last run {'was refused' if record.result == 'refused' else 'failed'}: {code_span(next(filter(None, (record.error, *record.not_ready, record.result))))}"
    number = f"{len(steps)} step{'s' * (len(steps) != 1)}"
    return (
        f"{number} failed or {_require(steps)} manual action: {names}"
        if marker.state == "failing"
        else f"{number} {_require(steps)} manual action: {names}"
    )


def listed(remarks: Sequence[str]) -> str:
    """Remarks as a list for a comment; they are always written, since no later run knows them."""
    return "".join(f"\n\n- {code_span(line)}" for line in remarks[:_MOST])


def closing_of(record: RunRecord) -> str:
    """Why the issue is closed."""
    how = "The stack was destroyed" if record.is_gone else "The stack is in sync"
    return f"{how}: {code_span(record.command)} by {code_span(f'{record.user}@{record.host}')}, run {code_span(record.run)}, {record.ended}."


def body_of(record: RunRecord, marker: Marker, actors: Actors) -> str:
    """The whole body: the same text for the same content."""
    return "\n\n".join([str(marker), *_parts(record, marker, actors)])


def _parts(record: RunRecord, marker: Marker, actors: Actors) -> Iterator[str]:
    about = {
        "Stack": record.stack,
        "Region": record.region,
        "Account": marker.account,
        "Place": record.place,
        "Spec": record.spec_file,
    }
    told = [f"{name}: {code_span(value)}" for name, value in about.items() if value]
    yield "\n".join(f"- {line}" for line in [*told, f"Since: {marker.since}"])
    if record.error:
        yield f"The run as a whole {'was refused' if record.result == 'refused' else 'failed'}:"
        yield code_block(map(one_line, islice(record.error.splitlines(), _MOST)), "text")
    if record.not_ready:
        yield "\n".join(["Not ready:", "", *(f"- {code_span(line)}" for line in record.not_ready[:_MOST])])
    steps, there = steps_of(record), " --sandbox" * (record.place == "sandbox")
    is_shared = len(steps) > 1 and {(step.how, step.reason) for step in steps} == {("withheld", steps[0].reason)}
    shared = steps[0].reason if is_shared else ""
    if shared:
        yield f"All of it is left, since {code_span(shared)}"
    for step in steps[:_MOST]:
        yield f"### {code_span(f'{step.action} {step.address}')}"
        yield from filter(None, ["\n".join(_lines(step, actors, shared))])
        if step.changes:
            more = len(step.changes) - _CHANGES
            rest = [f"… and {more} more"] if more > 0 else []
            yield code_block([*(one_line(item, _WIDTH) for item in step.changes[:_CHANGES]), *rest], "text")
    if len(steps) > _MOST:
        yield f"… and {len(steps) - _MOST} more steps; `alb-reconcile history{there}` has all of them."
    if actors.note:
        yield actors.note
    if there and actors.texts:
        yield "The times of changes are by the sandbox's own clock, which runs ahead of this one."
    command = "plan" if steps else "status"
    shows = code_span(typed("alb-reconcile", command, there and ("--sandbox",), record.spec_file))
    if any(re.search(r"alb-reconcile adopt |apply refuses|\?$", step.reason) for step in steps):
        then = f"{shows} shows what is to be done once that is seen to."  # `apply` might create all of it a second time
    elif any(NO_USE in step.reason for step in steps):
        then = f"{shows} shows what is to be done. {ADVICE}"
    elif steps:
        then = f"{shows} shows what is to be done, and `apply{there}` does it."
    else:
        then = f"{shows} shows how it is." if record.not_ready else "Once that is mended, the next run looks again."
    yield f"{then} This issue is kept up to date, and closed when a run finds the stack in sync."


def _lines(step: StepRecord, actors: Actors, shared: str) -> Iterator[str]:
    causes = {"drift": "Drift: the account was changed.", "spec": "The spec was changed, and isn't applied."}
    if step.reason.startswith(DESTROY_BEGUN):
        yield "- A destroy has deleted it." if step.action == "create" else "- A destroy was to delete it."
    elif step.cause in causes and not (step.cause == "spec" and step.reason.startswith(NOTHING_THERE)):
        yield f"- {causes[step.cause]}"
    if step.how == "failed":
        yield f"- Failed: {code_span(step.error)}"
    elif step.reason != shared:
        yield f"- Left, since {code_span(step.reason)}"
    if step.id:
        yield f"- {code_span(step.id)}"
    if step.key in actors.texts:
        yield f"- {actors.texts[step.key]}"


def _require(steps: Sequence[StepRecord]) -> str:
    return "require" if len(steps) != 1 else "requires"
