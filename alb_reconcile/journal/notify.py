"""What is news about a stack, and telling it to a webhook: on a change of state only, and not too often."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from alb_reconcile.journal.files import RecordError, only_writer, replace_file, safe_name
from alb_reconcile.journal.webhook import Webhook, send

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from alb_reconcile.journal.record import Record, StepRecord

Verdict = Literal["in order", "drift", "failing"]
Event = Literal["", "new drift", "spec not applied", "corrected", "failing", "recovered"]
Told = Literal["nothing new", "told", "held back"]

_VERDICTS: Final = ("in order", "drift", "failing")
_MOST: Final = 50
"""Steps that a message names."""


@dataclass(frozen=True)
class State:
    """A stack, as the receiver knows it. `left` are the keys of the steps that wait for a person."""

    verdict: Verdict
    left: tuple[str, ...] = ()


def judge(before: State | None, record: Record) -> tuple[State | None, Event]:
    """The state after a run (None for a stack that is gone), and what is news about it, if anything.

    A run that was held or interrupted says nothing; nor does a refusal, where a person stood by to read it.
    """
    if record.is_gone:
        return None, ""
    if record.result in ("held", "interrupted") or (record.result == "refused" and record.command != "sync"):
        return before, ""
    verdict = before.verdict if before else "in order"
    if record.result in ("failed", "refused"):
        return State("failing"), "" if verdict == "failing" else "failing"
    corrected = bool(record.having(how="done", cause="drift"))
    if record.result == "left":
        fresh = [step for step in record.left if before is None or step.key not in before.left]
        moved: Event = (
            "spec not applied" if fresh and all(step.cause == "spec" for step in fresh) else "new drift"
        )
        left = State("drift", tuple(sorted(step.key for step in record.left)))
        is_news = bool(fresh) or verdict != "drift"
        return left, moved if is_news else "corrected" if corrected else ""
    if corrected:
        return State("in order"), "corrected"
    return State("in order"), "" if verdict == "in order" else "recovered"


async def notify(
    webhook: Webhook, folder: Path, record: Record, now: Callable[[], float] = time.time
) -> Told:
    """Tell the receiver what is news since it was last told something of this stack.

    Takes `webhook.timeout` seconds at most. News that can't be delivered, or not yet, goes with the next run. Raises
    RecordError with the reason. What was told is kept in the state folder.
    """
    memory = _Memory(folder / "webhook.json", record)
    message = await asyncio.to_thread(memory.claim, webhook, now())
    if isinstance(message, str):
        return message
    try:
        await send(webhook, message["id"], json.dumps(message["body"]).encode())
    except RecordError as error:
        raise RecordError(
            f"the webhook at {webhook.title} wasn't told of {message['body']['event']!r}: {error}. The next run tries again"
        ) from None
    await asyncio.to_thread(memory.settle)
    return "told"


class _Memory:
    """What the receiver was told of one stack, and when it was last tried; all stacks share the file."""

    def __init__(self, file: Path, record: Record) -> None:
        self._file, self._record = file, record
        place = [record.place] if record.place else []
        self._name = "_".join(map(safe_name, (record.region, record.stack, *place)))

    def claim(self, webhook: Webhook, now: float) -> dict[str, Any] | Told:
        """The message to send now. That it is tried is written down first, so that nobody tries too often."""
        with only_writer(self._file):
            entries = self._load()
            key = self._key(entries)
            entry = entries.get(key, {})
            state, event = judge(_state(entry), self._record)
            message = _message(self._record, event) if event else entry.get("owed")
            if not isinstance(message, dict):
                self._store({**entries, key: {**entry, **_kept(state)}} if state else _without(entries, key))
                return "nothing new"
            # what still holds is found again by the next run; that something was corrected is not
            owed = {"owed": message} if message["body"]["event"] == "corrected" else {}
            known = {name: value for name, value in entry.items() if name != "owed"} | owed
            if _is_too_soon(webhook, entries, entry, now):
                self._store({**entries, key: known})
                return "held back"
            self._store({**entries, key: {**known, "tried": now}})
            return message

    def settle(self) -> None:
        """The receiver has it."""
        with only_writer(self._file):
            entries = self._load()
            key = self._key(entries)
            entry = entries.get(key, {})
            state, _ = judge(_state(entry), self._record)
            tried = {"tried": entry["tried"]} if "tried" in entry else {}
            self._store({**entries, key: {**tried, **(_kept(state) if state else {})}})

    def _key(self, entries: dict[str, dict[str, Any]]) -> str:
        """The stack's key. Runs that didn't get to know their account (credentials had expired) count for the account
        in which the stack ran before; what was told of one that had none counts for the first that is known."""
        nowhere = f"_{self._name}"
        if not self._record.account:
            known = [key for key in entries if key.partition("_")[2] == self._name and key != nowhere]
            return known[0] if len(known) == 1 else nowhere
        key = safe_name(self._record.account) + nowhere
        told = entries.pop(nowhere, None)
        if told is not None:
            entries.setdefault(key, told)
        return key

    def _load(self) -> dict[str, dict[str, Any]]:
        with suppress(OSError, ValueError, RecursionError):  # lost: then it is told once more than needed
            data = json.loads(self._file.read_bytes())
            if isinstance(data, dict):
                return {key: entry for key, entry in data.items() if isinstance(entry, dict)}
        return {}

    def _store(self, entries: dict[str, dict[str, Any]]) -> None:
        replace_file(self._file, json.dumps(entries).encode() + b"\n")


def _is_too_soon(webhook: Webhook, entries: dict[str, Any], entry: dict[str, Any], now: float) -> bool:
    def age(item: dict[str, Any]) -> float:
        tried = item.get("tried")
        # a clock that was put back makes the last time lie ahead; that mustn't silence anything
        return now - tried if isinstance(tried, int | float) and tried <= now else float("inf")

    return age(entry) < webhook.every or sum(age(item) < 60 for item in entries.values()) >= webhook.a_minute


def _state(entry: dict[str, Any]) -> State | None:
    left = entry.get("left", [])
    if entry.get("verdict") in _VERDICTS and isinstance(left, list):
        return State(entry["verdict"], tuple(map(str, left)))
    return None


def _kept(state: State) -> dict[str, Any]:
    return {"verdict": state.verdict, "left": list(state.left)}


def _without(entries: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: entry for name, entry in entries.items() if name != key}


def _message(record: Record, event: Event) -> dict[str, Any]:
    """What is sent: texts in it are already masked, and on one line."""
    failed = record.having(how="failed")
    body = {
        "version": 1,
        "event": event,
        "text": _sentence(record, event),
        **{
            name: getattr(record, name)
            for name in (
                "run",
                "command",
                "stack",
                "region",
                "account",
                "place",
                "started",
                "ended",
                "result",
                "host",
                "error",
                "code",
            )
        },
        "counts": dict(record.counts),
        "left": [_brief(step) for step in record.left[:_MOST]],
        "failed": [_brief(step) for step in failed[:_MOST]],
        "corrected": [_brief(step) for step in record.having(how="done", cause="drift")[:_MOST]],
    }
    return {"id": f"{record.run}-{event.replace(' ', '-')}", "body": body}


def _brief(step: StepRecord) -> dict[str, str]:
    return {
        name: getattr(step, name)
        for name in ("key", "action", "cause", "code", "error", "request_id", "reason")
    }


def _sentence(record: Record, event: Event) -> str:
    told = {
        "new drift": f"{len(record.left)} steps wait for a person",
        "spec not applied": f"{len(record.left)} steps wait for an apply",
        "corrected": f"{len(record.having(how='done', cause='drift'))} differences corrected",
        "failing": f"failing: {record.error or next((step.error for step in record.having(how='failed')), record.result)}",
        "recovered": "in order again",
    }[event]
    return f"{record.stack} ({record.region}): {told}"
