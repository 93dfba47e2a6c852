"""Notifies a webhook when a stack's state changes, but not too often."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec

from alb_reconcile.journal.files import RecordError, only_writer, replace_file, safe_name
from alb_reconcile.journal.record import NO_USE, RunRecord, StepRecord
from alb_reconcile.journal.webhook import Webhook, send
from alb_reconcile.model.counting import total
from alb_reconcile.model.files import read_file

_T = TypeVar("_T")
Verdict = Literal["in_sync", "drift", "failing"]
Event = Literal["drift_detected", "spec_unapplied", "corrected", "failing", "recovered"]
Delivery = Literal["unchanged", "sent", "held_back"]
"""unchanged: there was nothing to tell. held_back: it was too soon after another message."""

_MOST: Final = 50
"""The most steps that a message names."""
_CHANGES: Final = 10
"""The most changes of one step in a message."""
_LARGEST: Final = 64 * 1024 * 1024


class State(msgspec.Struct, frozen=True):
    """A stack's state as the receiver knows it. `left` are the keys of the steps that require manual action, `unmade` the load
    balancers that were to be created since the stack was last in sync."""

    verdict: Verdict
    left: tuple[str, ...] = ()
    unmade: tuple[str, ...] = ()


class StepSummary(msgspec.Struct, frozen=True):
    """A step in a message; its fields are as in a record."""

    key: str
    action: str
    cause: str
    code: str
    error: str
    request_id: str
    reason: str
    changes: tuple[str, ...]


class Body(msgspec.Struct, frozen=True, tag_field="version", tag=1):
    """What is sent, as JSON. Its texts are already masked, and on one line; for the other fields see Record."""

    event: Event
    text: str
    """A sentence for people."""
    run: str
    command: str
    stack: str
    region: str
    account: str
    place: str
    started: str
    ended: str
    result: str
    host: str
    error: str
    code: str
    counts: dict[str, int]
    left: tuple[StepSummary, ...]
    failed: tuple[StepSummary, ...]
    corrected: tuple[StepSummary, ...]


class Message(msgspec.Struct, frozen=True):
    """One message; two messages with the same id are the same."""

    id: str
    body: Body


class _Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of one stack: its state as the receiver knows it, and when a message was last sent (seconds since the epoch),
    delivered or not. `owed` is a message that has to be delivered even if a later run finds nothing to tell."""

    verdict: Literal["in_sync", "in order", "drift", "failing", ""] = ""
    left: tuple[str, ...] = ()
    unmade: tuple[str, ...] = ()
    tried: float | None = None
    owed: Message | None = None

    @property
    def state(self) -> State | None:
        if self.verdict == "":
            return None
        verdict: Verdict = "in_sync" if self.verdict == "in order" else self.verdict  # the state's former name
        return State(verdict, self.left, self.unmade)

    def with_state(self, state: State) -> _Entry:
        return msgspec.structs.replace(self, verdict=state.verdict, left=state.left, unmade=state.unmade)

    def age(self, now: float) -> float:
        """Seconds since the last attempt; infinite if that lies ahead, since a clock that was put back mustn't silence a message."""
        return now - self.tried if self.tried is not None and self.tried <= now else float("inf")


_ENTRIES: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENTRY: Final = msgspec.json.Decoder(_Entry)


_PARTLY: Final = (("in_sync", True), ("in_sync", False), ("corrected", False))
"""Results, and whether they are of `sync`, that say nothing of a stack if a part of it isn't ready."""


def judge(before: State | None, record: RunRecord) -> tuple[State | None, Event | None]:
    """The stack's state after a run (None for a stack that is gone), and the event to tell the receiver, if any.

    A run that was held, interrupted or didn't wait changes nothing; nor does a refusal that a person has read at once.
    """
    if record.is_gone:
        return None, None
    is_seen = record.result == "refused" and record.command != "sync"
    is_partly = record.not_ready and (record.result, record.command == "sync") in _PARTLY
    if is_seen or is_partly or record.result in ("held", "interrupted"):
        return before, None
    verdict = before.verdict if before else "in_sync"
    unmade = tuple(sorted(record.unmade.union(before.unmade if before else ())))
    if record.result in ("failed", "refused"):
        return State("failing", unmade=unmade), None if verdict == "failing" else "failing"
    corrected = bool(record.having(how="done", cause="drift"))
    if record.result == "left":
        fresh = [step for step in record.withheld if before is None or step.key not in before.left]
        changed: Event = "spec_unapplied" if fresh and all(step.cause == "spec" for step in fresh) else "drift_detected"
        left = State("drift", tuple(sorted(step.key for step in record.withheld)), unmade)
        is_new = bool(fresh) or verdict != "drift"
        return left, changed if is_new else "corrected" if corrected else None
    if verdict != "in_sync":
        return State("in_sync"), "recovered"
    return State("in_sync"), "corrected" if corrected else None


async def notify(webhook: Webhook, folder: Path, record: RunRecord, now: Callable[[], float] = time.time) -> Delivery:
    """Tell the receiver what has changed since the last message about this stack.

    Takes `webhook.timeout` seconds at most. A message that can't be delivered, or not yet, is sent by the next run. What was told is
    kept in the state folder; where it can't be kept, the message is sent all the same. Raises RecordError with the reason.
    """
    log = _DeliveryLog(folder / "webhook.json", record)
    message = await asyncio.to_thread(log.next_message, webhook, now())
    if isinstance(message, Message):
        try:
            await send(webhook, message.id, msgspec.json.encode(message.body))
        except RecordError as error:
            raise RecordError(
                f"the webhook at {webhook.title} didn't get {message.body.event!r}: {error}. The next run tries again"
            ) from None
        await asyncio.to_thread(log.confirm)
    if log.unkept is not None:
        what = "it may get a message again, or none when the stack recovers"
        raise RecordError(f"what the webhook at {webhook.title} was told isn't kept, so {what}: {log.unkept}")
    return "sent" if isinstance(message, Message) else message


class _DeliveryLog:
    """What the receiver was told of one stack, and when a message was last tried; all stacks share the file. `unkept`: why the file
    couldn't be written."""

    def __init__(self, file: Path, record: RunRecord) -> None:
        self._file, self._record = file, record
        place = [record.place] if record.place else []
        self._name = "_".join(map(safe_name, (record.region, record.stack, *place)))
        self.unkept: RecordError | None = None

    def next_message(self, webhook: Webhook, now: float) -> Message | Delivery:
        """The message to send now. The attempt is written down first, so that no run tries too often."""
        return self._update(lambda entries: self._choose(entries, webhook, now))

    def confirm(self) -> None:
        """Write down that the receiver has the message."""
        self._update(self._confirm)

    def _update(self, change: Callable[[dict[str, _Entry]], _T]) -> _T:
        self.unkept = None
        try:
            with only_writer(self._file):
                entries = self._load()
                found = change(entries)
                replace_file(self._file, msgspec.json.encode(entries) + b"\n")
                return found
        except RecordError as error:  # an outage is told though the disk is full
            self.unkept = error
            return change(self._load())

    def _choose(self, entries: dict[str, _Entry], webhook: Webhook, now: float) -> Message | Delivery:
        key = self._key(entries)
        entry = entries.pop(key, _Entry())
        state, event = judge(entry.state, self._record)
        told = self._record.answering(entry.unmade) if event == "recovered" else []
        message = _message(self._record, event, entry.owed, told) if event else entry.owed
        if message is None:
            if state:
                entries[key] = entry.with_state(state)
            return "unchanged"
        # a state that still holds is found again by the next run; a correction isn't
        if event and message.body.corrected:
            entry = msgspec.structs.replace(entry, owed=_message(self._record, "corrected", entry.owed))
        recent = sum(item.age(now) < 60 for item in (entry, *entries.values()))
        is_early = entry.age(now) < webhook.every or recent >= webhook.a_minute
        entries[key] = entry if is_early else msgspec.structs.replace(entry, tried=now)
        return "held_back" if is_early else message

    def _confirm(self, entries: dict[str, _Entry]) -> None:
        key = self._key(entries)
        entry = entries.get(key, _Entry())
        state, _ = judge(entry.state, self._record)
        told = _Entry(tried=entry.tried)
        entries[key] = told.with_state(state) if state else told

    def _key(self, entries: dict[str, _Entry]) -> str:
        """The stack's key. Runs that don't know their account (credentials had expired) count for the account in which the stack ran
        before; what was told for runs without an account counts for the first account that is known."""
        nowhere = f"_{self._name}"
        if not self._record.account:
            known = [key for key in entries if key.partition("_")[2] == self._name and key != nowhere]
            return known[0] if len(known) == 1 else nowhere
        key = safe_name(self._record.account) + nowhere
        told = entries.pop(nowhere, None)
        if told is not None:
            entries.setdefault(key, told)
        return key

    def _load(self) -> dict[str, _Entry]:
        """The entries of all stacks; a lost or damaged entry means that the receiver is told once more than needed."""
        entries: dict[str, _Entry] = {}
        with suppress(OSError, ValueError, RecursionError):
            for key, data in _ENTRIES.decode(read_file(self._file, _LARGEST)).items():
                with suppress(ValueError, RecursionError):
                    entries[key] = _ENTRY.decode(data)
        return entries


def _message(record: RunRecord, event: Event, owed: Message | None, told: Iterable[str] = ()) -> Message:
    """The message on a run, with corrections by earlier runs that the receiver wasn't told of (`owed`), and further texts (`told`)."""
    new = {(step.key, step.action) for step in record.having(how="done")}
    steps = [item for item in (owed.body.corrected if owed else ()) if (item.key, item.action) not in new]
    earlier = tuple(StepRecord(how="done", **msgspec.structs.asdict(item)) for item in steps)
    own = len(record.having(how="done", cause="drift"))
    record = replace(record, steps=(*record.steps, *earlier))
    if event == "corrected":
        own, earlier = own + len(earlier), ()
    said = [*filter(None, [_summary(record, event)]), *[f"{_differences(own)} corrected"] * (own > 0), *record.remarks]
    before = f" (earlier runs corrected {_differences(len(earlier))})" * bool(earlier)
    fields = vars(record) | {
        "event": event,
        "text": f"{record.stack} ({record.region}): {'; '.join([*said, *told])}{before}",
        "left": _first(record.withheld),
        "failed": _first(record.having(how="failed")),
        "corrected": _first(record.having(how="done", cause="drift")),
    }
    return Message(f"{record.run}-{event}", msgspec.convert(fields, Body, from_attributes=True))


def _first(steps: tuple[StepRecord, ...]) -> list[StepRecord]:
    return [replace(step, changes=step.changes[:_CHANGES]) for step in steps[:_MOST]]


def _differences(number: int) -> str:
    return f"{number} difference{'s' * (number != 1)}"


def _summary(record: RunRecord, event: Event) -> str:
    if event == "drift_detected":
        number = total(record.withheld)
        said = (
            "1 resource requires manual action:"
            if number == 1
            else f"{number} resources require manual action, such as"
        )
        step = min(record.withheld, key=lambda item: item.cause == "spec", default=StepRecord("", ""))
        return f"{said} {step.action} {step.address}: {'; '.join(filter(None, (step.reason, *step.changes[:1])))}"
    if event == "spec_unapplied":
        number, whys = total(record.withheld), {step.reason for step in record.withheld}
        if len(whys) == 1 and whys.isdisjoint(("", "the spec has changed")):  # for example that it was never applied
            return whys.pop()
        ill = next((f"; {step.address}: {step.reason}" for step in record.withheld if NO_USE in step.reason), "")
        differs = "resource isn't" if number == 1 else "resources aren't"
        return f"the spec has changed, and {number} {differs} as it says{ill.removesuffix('; the spec has changed')}"
    if event == "corrected":
        return ""
    if event == "recovered":
        return "in sync again"
    failed = record.having(how="failed")
    why = [record.error, *(step.error for step in failed), *record.not_ready, record.result]
    return f"failing: {next(filter(None, why))}"
