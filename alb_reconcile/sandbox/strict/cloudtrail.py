"""Imitates CloudTrail's event history of changes in EC2 and ELBv2, which moto doesn't have.

CloudTrail API Reference, LookupEvents; CloudTrail User Guide, "CloudTrail record contents". Events come late there, by some
minutes; here by as much as reads are behind. Of a call's parameters events have its targets, and nothing else.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

from moto.cloudtrail.responses import CloudTrailResponse
from moto.core.exceptions import JsonRESTError
from moto.sts.models import sts_backends
from moto.utilities.utils import get_partition

from .rule import Call, RefusedError
from .throttling import Throttling
from .world import World

_SOURCES: Final = {"ec2": "ec2.amazonaws.com", "elbv2": "elasticloadbalancing.amazonaws.com"}
_NAMED: Final = re.compile(r"arn:\S{1,200}|[a-z]+-[0-9a-f]{8,17}")
_KEYS: Final = frozenset(
    {"EventId", "EventName", "ReadOnly", "Username", "ResourceType", "ResourceName", "EventSource", "AccessKeyId"}
)
_MOST: Final = 5000
"""The most events that are kept for one account and region."""


class Change(NamedTuple):
    """A call that changed something."""

    id: str
    name: str
    source: str
    moment: datetime
    clock: float
    names: frozenset[str]
    access_key: str
    agent: str
    targets: tuple[dict[str, Any], ...] = ()

    def told(self, world: World) -> dict[str, Any]:
        backend = sts_backends[world.account][get_partition(world.region)]
        _, arn, _ = backend.get_caller_identity(self.access_key, world.region)
        record = {
            "eventVersion": "1.11",
            "userIdentity": {"type": "IAMUser", "arn": arn, "accountId": world.account, "accessKeyId": self.access_key},
            "eventTime": self.moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "eventSource": self.source,
            "eventName": self.name,
            "awsRegion": world.region,
            "userAgent": self.agent,
            "requestParameters": {"targets": [*self.targets]} if self.targets else None,
            "eventID": self.id,
            "readOnly": False,
            "eventType": "AwsApiCall",
            "managementEvent": True,
        }
        return {
            "EventId": self.id,
            "EventName": self.name,
            "ReadOnly": "false",
            "AccessKeyId": self.access_key,
            "EventTime": int(self.moment.timestamp()),
            "EventSource": self.source,
            "Username": arn.rpartition("/")[2],
            "Resources": [{"ResourceName": name} for name in sorted(self.names)],
            "CloudTrailEvent": json.dumps(record),
        }


def note(call: Call, service: str, response: Any, made: Iterable[str]) -> None:
    """Record a successful call. The event's resources are all ids that the call's parameters name, and the ids that it has made."""
    headers = response.headers or {}
    names = frozenset([*_ids(call.params), *made])
    key = re.search(r"Credential=([^/]+)/", headers.get("Authorization") or "")
    change = Change(
        str(uuid.uuid4()), call.action, _SOURCES[service], call.moment, call.now, names, key[1] if key else "somebody",
        str(headers.get("User-Agent") or ""),
        tuple({name[:1].lower() + name[1:]: value for name, value in item.items()} for item in call.given("Targets", ())),
    )  # fmt: skip
    trail = call.world.ledger.trail
    trail.append(change)
    del trail[:-_MOST]


def _ids(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if _NAMED.fullmatch(value):
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _ids(item)
    elif isinstance(value, list):
        for item in value:
            yield from _ids(item)


def patches(
    clock: Callable[[], float], lag: Callable[[], float], throttling: Throttling | None
) -> list[tuple[Any, str, Any]]:
    def lookup_events(response: Any) -> str:
        """LookupEvents: newest first; only one attribute; ThrottlingException for more than two requests a second."""
        world = World(response.current_account, response.region)
        now = clock()
        if throttling is not None:
            _take(throttling, world, now)
        attributes = response._get_param("LookupAttributes") or []
        if len(attributes) > 1 or any(item.get("AttributeKey") not in _KEYS for item in attributes):
            raise JsonRESTError("InvalidLookupAttributesException", "Invalid lookup attributes.")
        most = int(response._get_param("MaxResults") or 50)
        if not 1 <= most <= 50:
            raise JsonRESTError("InvalidMaxResultsException", "MaxResults must be between 1 and 50.")
        found = [item for item in reversed(world.ledger.trail) if item.clock <= now - lag()]
        told = [
            event for event in (item.told(world) for item in found) if all(_fits(event, item) for item in attributes)
        ]
        first = int(response._get_param("NextToken") or 0)
        rest = {"NextToken": str(first + most)} if len(told) > first + most else {}
        return json.dumps({"Events": told[first : first + most], **rest})

    return [(CloudTrailResponse, "lookup_events", lookup_events)]


def _take(throttling: Throttling, world: World, now: float) -> None:
    try:
        throttling.take("cloudtrail", Call("LookupEvents", {}, world, None, now, None), now)  # type: ignore[arg-type]  # a bucket asks for neither timing nor calendar
    except RefusedError:
        raise JsonRESTError("ThrottlingException", "Rate exceeded") from None


def _fits(event: dict[str, Any], attribute: dict[str, str]) -> bool:
    key, value = attribute["AttributeKey"], attribute.get("AttributeValue")
    if key == "ResourceName":
        return value in [item["ResourceName"] for item in event["Resources"]]
    return bool(event.get(key) == value)
