"""Who has changed what has drifted, as CloudTrail has it."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, Final, NamedTuple

from alb_reconcile.aws.client import Aws
from alb_reconcile.journal.issues.content import Actors
from alb_reconcile.journal.mask import Mask
from alb_reconcile.journal.record import StepRecord
from alb_reconcile.kinds import load_kinds
from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import AwsError, ReconcileError
from alb_reconcile.model.host import iso
from alb_reconcile.model.markdown import code_span
from alb_reconcile.model.plan import Step

_MOST: Final = 5
"""Requests: LookupEvents takes two a second, of everybody in the account and region."""
_PATIENCE: Final = 10.0
_ID: Final = re.compile(r"arn:[^\s|]+|[a-z]+-[0-9a-f]{8,17}")
"""Of a target, its group's."""
_DENIED: Final = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")


class Clue(NamedTuple):
    """By which attributes CloudTrail is asked about a resource. If it is missing: what its event ends and begins with are called, and
    patterns of what they name; without those nobody can tell them from others' events."""

    attributes: tuple[tuple[str, str], ...]
    events: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


def find_clues(stack: str, steps: Sequence[Step]) -> dict[str, Clue]:
    """For what is to be made, by step key."""
    makers = {step.address: step.state for step in steps if step.action == "create" and step.state}

    def clue(address: Address) -> Clue:
        state = makers[address]
        target, parent = getattr(state, "target", None), getattr(state, state.parent) if state.parent else None
        for other in (parent, target):
            if isinstance(other, Address) and other in makers:  # it went with that
                return clue(other)
        actions = load_kinds()[address.kind].iam_actions
        first, *more = [action.partition(":")[2] for action in actions.delete]
        end = next((name for name in reversed(more) if name.startswith("Delete")), first)
        events = (end, actions.create[0].partition(":")[2])
        if isinstance(parent, str) and not state.service:  # it has no name of its own
            named = tuple(re.escape(str(item)) for item in (parent, target) if item)
            return Clue((("ResourceName", parent),), events, named)
        stem = re.sub(r"[^A-Za-z0-9-]", "-", f"{stack}-{address.name}")[:23].rstrip("-")  # as in `Run.physical_name`
        own = re.escape(getattr(state, "name", None) or "") or f"{stem}-[0-9a-f]{{8}}"
        # the ARN of what is in a load balancer has its name and id
        name = re.escape(parent.partition("/")[2]) if isinstance(parent, str) else f"/{own}/"
        return Clue(tuple(("EventName", event) for event in events), events, (name,) * (state.service == "elbv2"))

    return {step.key: clue(step.address) for step in steps if step.address in makers}


async def find_actors(aws: Aws, steps: Iterable[StepRecord], mask: Mask, clues: Mapping[str, Clue]) -> Actors:
    """Ask for those of the steps that correct drift (CloudTrail LookupEvents); in ten seconds at most, and never raises."""
    wanted: dict[str, Clue] = {}
    for step in steps:
        # what has lost its tags is named by the reason, or the error
        named = [*filter(None, map(_ID.match, (step.reason, step.error, step.id)))]
        clue = Clue((("ResourceName", named[0][0]),)) if named else clues.get(step.key)
        if clue is not None and step.cause == "drift":
            wanted[step.key] = clue
    texts: dict[str, str] = {}
    answers: dict[tuple[str, str], list[Mapping[str, Any]]] = {}

    def unknown(why: str, *, is_final: bool) -> Actors:
        missing = [*dict.fromkeys(clue.attributes[0] for key, clue in wanted.items() if key not in texts)][:_MOST]
        attributes = [shlex.quote(f"AttributeKey={name},AttributeValue={value}") for name, value in missing]
        command = f"aws cloudtrail lookup-events --region {aws.region} --lookup-attributes"
        asking = ", ".join(code_span(f"{command} {attribute}") for attribute in attributes)
        return Actors(texts, f"{why} To ask yourself: {asking}", is_final)

    try:
        async with asyncio.timeout(_PATIENCE):
            for key, clue in wanted.items():
                new = [item for item in clue.attributes if item not in answers]
                if (clue.events and not clue.named) or len(answers) + len(new) > _MOST:
                    continue
                for name, value in new:
                    attribute = {"AttributeKey": name, "AttributeValue": value}
                    answer = await aws.call("cloudtrail", "lookup_events", LookupAttributes=[attribute], MaxResults=50)
                    answers[name, value] = answer.get("Events", [])
                if text := _last_change([event for item in clue.attributes for event in answers[item]], clue, mask):
                    texts[key] = text
    except AwsError as error:
        if error.code in _DENIED:
            denied = "Who changed it isn't known: these credentials may not call `cloudtrail:LookupEvents`."
            return unknown(denied, is_final=True)
        return unknown(f"Who changed it isn't known: {code_span(mask.line(error))}", is_final=False)
    except (ReconcileError, TimeoutError):
        return unknown("Who changed it isn't known: CloudTrail hasn't answered.", is_final=False)
    missing = wanted.keys() - texts.keys()
    if not missing:
        return Actors(texts)
    is_final = not any(answers.keys() >= {*wanted[key].attributes} for key in missing)
    return unknown("Where no name is given, CloudTrail has none yet, or wasn't asked.", is_final=is_final)


def _last_change(events: Iterable[Mapping[str, Any]], clue: Clue, mask: Mask) -> str:
    """The last change of a resource in words, where it wasn't this tool's own, nor made it anew; what was before that hasn't caused
    this drift."""
    found = [(event["EventTime"], event, told) for event in events if (told := _told(event, clue)) is not None]
    for moment, event, told in sorted(found, key=itemgetter(0), reverse=True)[:1]:
        name = str(event["EventName"])
        if "alb-reconcile" in str(told.get("userAgent", "")) or name in clue.events[1:]:
            break
        user = told.get("userIdentity")
        known = user if isinstance(user, dict) else {}
        who = known.get("arn") or known.get("invokedBy") or event.get("Username") or known.get("type") or "somebody"
        what, event_id = code_span(mask.line(name)), code_span(mask.line(event.get("EventId", "")))
        return f"Last changed by {code_span(mask.line(who))}: {what}, {iso(moment.timestamp())}, CloudTrail event {event_id}"
    return ""


def _told(event: Mapping[str, Any], clue: Clue) -> dict[str, Any] | None:
    """What an event says, if it is a change of what the clue is about."""
    try:
        told = json.loads(event.get("CloudTrailEvent") or "{}")
        text = json.dumps([told, event.get("Resources")], default=str)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or not isinstance(event.get("EventTime"), datetime) or "EventName" not in event:
        return None
    if str(event.get("ReadOnly", told.get("readOnly", ""))).lower() == "true" or told.get("errorCode"):
        return None
    if clue.events and event["EventName"] not in clue.events:
        return None
    return told if all(re.search(part, text) for part in clue.named) else None
