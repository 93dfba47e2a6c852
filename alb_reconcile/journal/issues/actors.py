"""Who has changed what has drifted, as CloudTrail has it."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.journal.issues.content import Actors
from alb_reconcile.journal.mask import Mask
from alb_reconcile.journal.record import StepRecord
from alb_reconcile.model.errors import AwsError, ReconcileError
from alb_reconcile.model.host import iso
from alb_reconcile.model.markdown import code_span

_MOST: Final = 5
"""Resources that are asked about: LookupEvents takes two requests a second, of everybody in the account and region."""
_PATIENCE: Final = 10.0
_ID: Final = re.compile(r"arn:[^\s|]+|[a-z]+-[0-9a-f]{8,17}")
"""Of a target, its group's."""
_DENIED: Final = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")


async def find_actors(aws: Aws, steps: Iterable[StepRecord], mask: Mask) -> Actors:
    """Ask for those of the steps that correct drift (CloudTrail LookupEvents); in ten seconds at most, and never raises."""
    # what has lost its tags is named by the reason, or the error
    named = {step.key: (step.reason, step.error, step.id) for step in steps if step.cause == "drift"}
    asked = {key: found[0] for key, texts in named.items() for found in [*filter(None, map(_ID.match, texts))][:1]}
    texts: dict[str, str] = {}

    def unknown(why: str, *, is_final: bool) -> Actors:
        missing = next((resource for key, resource in asked.items() if key not in texts), "ID")
        attribute = shlex.quote(f"AttributeKey=ResourceName,AttributeValue={missing}")
        command = code_span(f"aws cloudtrail lookup-events --region {aws.region} --lookup-attributes {attribute}")
        return Actors(texts, f"{why} To ask yourself: {command}", is_final)

    try:
        async with asyncio.timeout(_PATIENCE):
            for key, resource in [*asked.items()][:_MOST]:
                attribute = {"AttributeKey": "ResourceName", "AttributeValue": resource}
                answer = await aws.call("cloudtrail", "lookup_events", LookupAttributes=[attribute], MaxResults=50)
                if text := _last_change(answer.get("Events", []), mask):
                    texts[key] = text
    except AwsError as error:
        if error.code in _DENIED:
            denied = "Who changed it isn't known: these credentials may not call `cloudtrail:LookupEvents`."
            return unknown(denied, is_final=True)
        return unknown(f"Who changed it isn't known: {code_span(mask.line(error))}", is_final=False)
    except (ReconcileError, TimeoutError):
        return unknown("Who changed it isn't known: CloudTrail hasn't answered.", is_final=False)
    missing = asked.keys() - texts.keys()
    if not missing:
        return Actors(texts)
    return unknown("Where no name is given, CloudTrail has none yet.", is_final=len(asked) > _MOST)


def _last_change(events: Iterable[Mapping[str, Any]], mask: Mask) -> str:
    """The last change of a resource in words, where it wasn't this tool's own; what was before that hasn't caused this drift."""
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
        if "alb-reconcile" in str(told.get("userAgent", "")):
            return ""
        user = told.get("userIdentity")
        known = user if isinstance(user, dict) else {}
        who = known.get("arn") or known.get("invokedBy") or event.get("Username") or known.get("type") or "somebody"
        what, event_id = code_span(mask.line(name)), code_span(mask.line(event.get("EventId", "")))
        return f"Last changed by {code_span(mask.line(who))}: {what}, {iso(moment.timestamp())}, CloudTrail event {event_id}"
    return ""
