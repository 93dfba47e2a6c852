"""Imitates Route 53: moto's hosted zones, with AWS's refusals, the time that changes take, and the order of records in lists.

moto has none of the refusals of ChangeResourceRecordSets, deletes by name, and answers at once that a change is everywhere.
"""

import functools
import itertools
import threading
from collections.abc import Callable
from typing import Any, Final

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.route53.exceptions import Route53ClientError
from moto.route53.models import Route53Backend, route53_backends
from moto.route53.responses import Route53

from alb_reconcile.aws.record_tags import RecordId, read_about, tags_in

from .clock import Timing
from .route53_rules import check_batch, check_request, key_of, plain
from .rule import Call, RefusedError
from .throttling import Throttling
from .world import World

_PAGE: Final = 300
"""ListResourceRecordSets, MaxItems: 'the maximum is 300'."""


def aws_name(name: str) -> str:
    r"""A name with `\052` for an asterisk (Route 53 Developer Guide, 'DNS domain name format': 'The asterisk … \052 in the response')."""
    return name.replace("*", "\\052")


def order_of(record: Any) -> tuple[str, str, str]:
    """The sort key of a record set. ListResourceRecordSets 'sorts results first by DNS name with the labels reversed … Note the trailing
    dot', then by type and set identifier."""
    return _reversed(record.name), record.type, record.set_identifier or ""


def _reversed(name: str) -> str:
    return ".".join(reversed(plain(name).split("."))) + "."


def as_told(record: Any) -> dict[str, Any]:
    """A record set in the shape of AWS's answers."""
    told = {
        "Name": aws_name(record.name),
        "Type": record.type,
        "SetIdentifier": record.set_identifier,
        "Weight": record.weight,
        "Region": record.region,
        "Failover": record.failover,
        "TTL": record.ttl if record.ttl is None else int(record.ttl),
        "HealthCheckId": record.health_check_id,
        "GeoLocation": record.geo_location,
        "MultiValueAnswer": record.multi_value_answer,
        "AliasTarget": record.alias_target,
    }
    if record.records:
        told["ResourceRecords"] = [{"Value": value} for value in record.records]
    return {key: value for key, value in told.items() if value is not None}


def served(zone: Any, now: float) -> list[Any]:
    """The records that name servers answer at `now`."""
    held = zone.__dict__.get("strict_served")
    return list(_latest(held, now)[0][1] if held else zone.rrsets)


def _latest(held: list[tuple[float, list[Any]]], now: float) -> list[tuple[float, list[Any]]]:
    return [item for item in held if item[0] <= now][-1:]


def records_of(world: World) -> dict[str, dict[str, Any]]:
    """All record sets of the account, by id. The tags of each are those in the TXT record about it."""
    found: dict[str, dict[str, Any]] = {}
    tags: dict[str, list[dict[str, str]]] = {}
    for zone in route53_backends[world.account]["aws"].zones.values():
        rows = [as_told(item) for item in zone.rrsets]
        ids = {id(row): RecordId(zone.resource_id, *key_of(row)).arn("aws") for row in rows}
        found |= {ids[id(row)]: row for row in rows}
        for row in rows:
            about = read_about(row, zone.resource_id, world.region) if row["Type"] == "TXT" else None
            if about and (arn := about[0].arn("aws")) in ids.values():
                del found[ids[id(row)]]
                tags[arn] = [{"Key": key, "Value": value} for key, value in tags_in(about[1], {}).items()]
    return {arn: {**row, "Tags": tags.get(arn, [])} for arn, row in found.items()}


class Changes:
    """Answers requests to Route 53 in one strict AWS. Changes are made one after the other, and each takes some time."""

    def __init__(self, clock: Callable[[], float], timing: Timing, throttling: Throttling | None) -> None:
        self._clock, self._timing, self._throttling = clock, timing, throttling
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)

    def change(self, response: Any) -> ActionResult:
        with self._lock:
            zone = response.backend.get_hosted_zone(response._get_param("HostedZoneId"))
            changes = response._get_param("ChangeBatch.Changes")
            now = self._clock()
            if now < getattr(zone, "busy_until", 0.0):
                # Developer Guide, 'Quotas': 'if Route 53 can't process a request before the next request arrives'
                text = "The request was rejected because Route 53 was still processing a prior request."
                raise Route53ClientError("PriorRequestNotComplete", text)
            check_request(changes)
            records = check_batch(response.backend, zone, [dict(change) for change in changes])
            held = [*(getattr(zone, "strict_served", None) or [(float("-inf"), zone.rrsets)])]
            held.append((now + self._timing.record_sync, records))
            zone.strict_served = [*_latest(held, now), *(item for item in held if item[0] > now)]
            zone.rrsets = records
            zone.busy_until = now + self._timing.record_change
            number = f"C{next(self._numbers):013d}"
            response.backend.__dict__.setdefault("strict_changes", {})[number] = now + self._timing.record_sync
            return ActionResult({"ChangeInfo": self._info(number, "PENDING")})

    def get_change(self, response: Any) -> ActionResult:
        """ChangeInfo, Status: 'PENDING indicates that the changes in this request have not propagated to all Amazon Route 53 DNS
        servers'."""
        number = response._get_param("Id").rpartition("/")[2]
        with self._lock:
            ready = response.backend.__dict__.get("strict_changes", {}).get(number)
        if ready is None:
            raise Route53ClientError("NoSuchChange", f"Could not find resource with ID: {number}")
        return ActionResult({"ChangeInfo": self._info(number, "PENDING" if self._clock() < ready else "INSYNC")})

    def _info(self, number: str, status: str) -> dict[str, Any]:
        return {"Id": f"/change/{number}", "Status": status, "SubmittedAt": utcnow()}

    def listed(self, response: Any) -> ActionResult:
        zone = response.backend.get_hosted_zone(response._get_param("HostedZoneId"))
        name, kind = response._get_param("StartRecordName"), response._get_param("StartRecordType")
        most = min(response._get_int_param("MaxItems", _PAGE), _PAGE)
        if kind and not name:
            raise Route53ClientError("InvalidInput", "The input is not valid")
        start = (_reversed(name) if name else "", kind or "", response._get_param("StartRecordIdentifier") or "")
        with self._lock:
            found = [item for item in sorted(zone.rrsets, key=order_of) if order_of(item) >= start]
        told: dict[str, Any] = {"ResourceRecordSets": [as_told(item) for item in found[:most]], "MaxItems": most}
        told["IsTruncated"] = len(found) > most
        if len(found) > most:
            following = as_told(found[most])
            told |= {"NextRecordName": following["Name"], "NextRecordType": following["Type"]}
            if "SetIdentifier" in following:
                told["NextRecordIdentifier"] = following["SetIdentifier"]
        return ActionResult(told)

    def throttled(self, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Route 53 Developer Guide, 'Quotas': 'Five requests per second per AWS account'."""

        @functools.wraps(original)
        def call_action(response: Any) -> Any:
            if self._throttling is not None:
                world, now = World(DEFAULT_ACCOUNT_ID, "aws-global"), self._clock()
                moment = utcnow()
                try:
                    with self._lock:
                        self._throttling.take("route53", Call("", {}, world, self._timing, now, moment), now)
                except RefusedError as refusal:
                    return response.serialized(ActionResult(Route53ClientError(refusal.code, refusal.message)))
            return original(response)

        return call_action


def create_zone(original: Callable[..., Any]) -> Callable[..., Any]:
    """CreateHostedZone: ids begin with Z; the SOA record has one value (moto stores it in a form that lists don't show)."""

    @functools.wraps(original)
    def create_hosted_zone(self: Any, *args: Any, **kwargs: Any) -> Any:
        zone = original(self, *args, **kwargs)
        del self.zones[zone.resource_id]
        zone.resource_id = f"Z{zone.resource_id[1:21]}"
        self.zones[zone.resource_id] = zone
        for record in zone.rrsets:
            record.records = [item["Value"] if isinstance(item, dict) else item for item in record.records]
        return zone

    return create_hosted_zone


def patches(clock: Callable[[], float], timing: Timing, throttling: Throttling | None) -> list[tuple[Any, str, Any]]:
    changes = Changes(clock, timing, throttling)
    return [
        (Route53, "change_resource_record_sets", lambda response: changes.change(response)),
        (Route53, "get_change", lambda response: changes.get_change(response)),
        (Route53, "list_resource_record_sets", lambda response: changes.listed(response)),
        (Route53, "call_action", changes.throttled(Route53.call_action)),
        (Route53Backend, "create_hosted_zone", create_zone(Route53Backend.create_hosted_zone)),
    ]
