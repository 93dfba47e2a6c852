"""Renders a stack's lock on this host and its lease, as text and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from alb_reconcile.locking.host import LockHolder
from alb_reconcile.locking.lease_record import ObservedLease
from alb_reconcile.model.host import iso
from alb_reconcile.model.text import printable


@dataclass(frozen=True)
class LockView:
    """One stack's locks, as they were seen."""

    stack: str
    region: str
    account: str
    locked: bool
    """Whether a process of this host has the host's lock."""
    holder: LockHolder | None
    """The run that has the host's lock, or had it last."""
    lease: str
    """The lease's URL; empty if the stack has none."""
    seen: ObservedLease | None
    is_lease_known: bool = True
    """Whether it is known where the lease is, if there is one: a spec says that, or --lease."""


def locks_text(views: Sequence[LockView]) -> str:
    """The locks as text, a few lines for each stack."""
    return "\n".join(
        line
        for view in views
        for line in (
            f"{view.stack} (account {view.account}, {view.region})",
            f"  this host   {_host(view)}",
            f"  lease       {_lease(view)}",
        )
    )


def _host(view: LockView) -> str:
    who = printable(view.holder.render()) if view.holder else ""
    if view.locked:
        current = who if view.holder and view.holder.released is None else "a process that the lock's file doesn't name"
        return f"held by {current}"
    if view.holder is None:
        return "free"
    if view.holder.released is None:
        return f"free; last held by {who}, which has died"
    return f"free; last held by {who}, until {iso(view.holder.released)}"


def _lease(view: LockView) -> str:
    if not view.is_lease_known:
        return "unknown: its spec says whether it has one; name the spec, or the lease's place with --lease s3://BUCKET/PREFIX"
    if not view.lease:
        return "none; a spec names a place for one with lease: s3://BUCKET/PREFIX"
    if view.seen is None:
        return f"free; {view.lease} doesn't exist yet"
    record, until = view.seen.record, view.seen.good_until
    who = record.render()
    said = {
        "held": f"held by {who}; {view.seen.renewed}; until {until}, in {view.seen.free_in:.0f} s, unless it is renewed"
        if not record.is_dead()
        else f"held by {who}, whose process is gone from this host; until {until}, in {view.seen.free_in:.0f} s",
        "expired": f"free: the lease of {who} expired at {until}",
        "broken": f"broken by {record.broken()}; free at {until}, in {view.seen.free_in:.0f} s. It was held by {who}",
    }
    past = f"broken by {record.broken()}" if record.broken_by else f"until {printable(record.released[:40])}"
    return f"{said.get(view.seen.state, f'free; last held by {who}, {past}')}; {view.lease}"


def locks_json(views: Sequence[LockView]) -> str:
    """The documented form: an object for each stack."""
    return json.dumps({"version": 1, "locks": [_plain(view) for view in views]}, indent=2)


def _plain(view: LockView) -> dict[str, Any]:
    lease: dict[str, Any] | None = None if view.is_lease_known else {"url": "", "state": "unknown"}
    if view.lease:
        lease = {"url": view.lease, "state": "free" if view.seen is None else view.seen.state}
    if lease and view.seen is not None:
        record = view.seen.record
        lease |= {
            "command": record.command, "host": record.host, "user": record.user, "pid": record.pid, "since": record.since,
            "released": record.released, "broken_by": record.broken_by,
            "good_until": view.seen.good_until, "free_in": round(view.seen.free_in),
        }  # fmt: skip
    host: dict[str, Any] = {"state": "held" if view.locked else "free"}
    if view.holder is not None:
        ended = view.holder.released
        host |= {
            "command": view.holder.command, "user": view.holder.user, "pid": view.holder.pid,
            "since": iso(view.holder.since), "released": "" if ended is None else iso(ended),
        }  # fmt: skip
    return {
        "stack": view.stack, "region": view.region, "account": view.account, "host_lock": host, "lease": lease,
    }  # fmt: skip
