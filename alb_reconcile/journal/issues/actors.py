"""Asks CloudTrail which users changed the resources that have drifted."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from alb_reconcile.aws.client import Aws
from alb_reconcile.journal.issues.content import Actors
from alb_reconcile.journal.mask import Mask
from alb_reconcile.journal.record import StepRecord
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds._targets import as_address
from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import AwsError, ReconcileError
from alb_reconcile.model.host import iso
from alb_reconcile.model.markdown import code_span
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Observed, each_of
from alb_reconcile.model.service import Member, Pool

_MOST: Final = 5
"""The most requests: LookupEvents takes two a second from all callers in the account and region."""
_PATIENCE: Final = 10.0
_LATE: Final = 900.0
"""Seconds by which CloudTrail's events come late."""
_ENOUGH: Final = 3600.0
"""Seconds after the drift was found, after which CloudTrail isn't asked again for actors that are still unknown."""
_FIRST: Final = re.compile(r"\w+:(load_balancer|listener|rule|target_group|registration)\.")
"""Kinds that the reader is to ask CloudTrail about first."""
_ID: Final = re.compile(r"arn:[^\s|]+|[a-z]+-[0-9a-f]{8,17}")
"""A resource's id or ARN; for a target, its group's ARN."""
_DENIED: Final = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")


class Clue(NamedTuple):
    """The attribute by which CloudTrail is asked. By an event's name only the reader asks, since such events are about any resource of
    a kind. `names`: for a missing target, the id and port by which an event may name it."""

    key: str
    value: str
    names: tuple[tuple[str, int | None], ...] = ()


def find_clues(steps: Sequence[Step], live: Sequence[Observed] = ()) -> dict[str, Clue]:
    """For resources that are to be created, the clues by step key."""
    makers = {step.address: step.state for step in steps if step.action == "create" and step.state}
    ports = {item.id: state.port for item, state in each_of(live, Pool)}

    def clue(address: Address) -> Clue:
        state = makers[address]
        target = state.target if isinstance(state, Member) else None
        parent = getattr(state, state.parent) if state.parent else None
        for other in (parent, target):
            if isinstance(other, Address) and other in makers:  # the resource went with the other one
                return clue(other)
        if isinstance(state, Member) and isinstance(parent, str) and isinstance(target, str):
            known = as_address(target) or (target if state.target_type != "ip" else "")
            named = (state.port, None) if state.port == ports.get(parent) else (state.port,)  # none: the group's port
            if known:  # else AWS knows the target by an address, and the plan doesn't
                return Clue("ResourceName", parent, tuple((known, port) for port in named))
        first, *more = [action.partition(":")[2] for action in load_kinds()[address.kind].iam_actions.delete]
        return Clue("EventName", next((name for name in reversed(more) if name.startswith("Delete")), first))

    return {step.key: clue(step.address) for step in steps if step.address in makers}


async def find_actors(
    aws: Aws, steps: Iterable[StepRecord], mask: Mask, clues: Mapping[str, Clue], *, age: float = 0.0
) -> Actors:
    """Ask CloudTrail (LookupEvents) for the users that caused the drift that steps correct, found `age` seconds ago. Takes ten seconds
    at most, and never raises."""
    wanted: dict[str, Clue] = {}
    for step in steps:
        clue = clues.get(step.key)
        # a resource that has lost its tags is named by the reason, or the error
        named = [*filter(None, map(_ID.match, (step.reason, step.error, step.id)))]
        if named and not (clue and clue.names):
            clue = Clue("ResourceName", named[0][0])
        if clue and step.cause == "drift":
            wanted[step.key] = clue
    asked = [*dict.fromkeys(clue.value for clue in wanted.values() if clue.key == "ResourceName")][:_MOST]
    texts: dict[str, str] = {}
    why, is_denied = "Where no name is given, CloudTrail has none yet, or has to be asked by you.", False
    try:
        async with asyncio.timeout(_PATIENCE):
            for value in asked:
                attribute = {"AttributeKey": "ResourceName", "AttributeValue": value}
                answer = await aws.call("cloudtrail", "lookup_events", LookupAttributes=[attribute], MaxResults=50)
                for key, clue in wanted.items():
                    if clue.value == value and (text := _last_change(answer.get("Events", []), clue.names, mask)):
                        texts[key] = text
    except AwsError as error:
        is_denied = error.code in _DENIED
        said = "these credentials may not call `cloudtrail:LookupEvents`." if is_denied else code_span(mask.line(error))
        why = f"Who changed it isn't known: {said}"
    except (ReconcileError, TimeoutError):
        why = "Who changed it isn't known: CloudTrail hasn't answered."
    missing = {key: clue for key, clue in wanted.items() if key not in texts}
    unsure = [clue.value for key, clue in wanted.items() if key in missing or (clue.names and age <= _LATE)]
    is_final = is_denied or age > _ENOUGH or not {*asked}.intersection(unsure)
    if not missing:
        return Actors(texts, is_final=is_final)
    first = sorted(missing.items(), key=lambda item: not _FIRST.match(item[0]))
    attributes = dict.fromkeys(f"AttributeKey={clue.key},AttributeValue={clue.value}" for _, clue in first)
    command = f"aws cloudtrail lookup-events --region {aws.region} --lookup-attributes"
    asking = ", ".join(code_span(f"{command} {shlex.quote(item)}") for item in [*attributes][:_MOST])
    return Actors(texts, f"{why} To ask yourself: {asking}", is_final)


def _last_change(events: Iterable[Mapping[str, Any]], names: Collection[tuple[str, int | None]], mask: Mask) -> str:
    """The last change of a resource or a target in words; empty if this tool made the last change or the target was registered: earlier
    changes haven't caused this drift."""
    for event in events:
        try:
            told = json.loads(event.get("CloudTrailEvent") or "{}")
            moment, name = event["EventTime"], str(event["EventName"])
        except (ValueError, KeyError, RecursionError):
            continue
        if not isinstance(told, dict) or not isinstance(moment, datetime):
            continue
        if str(event.get("ReadOnly", told.get("readOnly", ""))).lower() == "true" or told.get("errorCode"):
            continue
        if names and not any(target in names for target in _targets(told.get("requestParameters"))):
            continue
        if "alb-reconcile" in str(told.get("userAgent", "")) or (names and name == "RegisterTargets"):
            return ""
        user = told.get("userIdentity")
        known = user if isinstance(user, dict) else {}
        who = known.get("arn") or known.get("invokedBy") or event.get("Username") or known.get("type") or "somebody"
        what, event_id = code_span(mask.line(name)), code_span(mask.line(event.get("EventId", "")))
        return f"Last changed by {code_span(mask.line(who))}: {what}, {iso(moment.timestamp())}, CloudTrail event {event_id}"
    return ""


def _targets(parameters: Any) -> Iterator[tuple[str, Any]]:
    targets = parameters.get("targets") if isinstance(parameters, dict) else None
    for item in targets if isinstance(targets, list) else ():
        if isinstance(item, dict):
            name = str(item.get("id"))
            yield as_address(name) or name, item.get("port")
