"""A DNS record as a value, and its translation from and to Route 53's form."""

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from alb_reconcile.aws.record_tags import plain_name, quoted
from alb_reconcile.model.address import Ref
from alb_reconcile.model.resource import Properties
from alb_reconcile.model.service import DnsName

_TEXTS: Final = ("TXT", "SPF")
_NAMES: Final = ("CNAME", "MX", "PTR", "SRV")
"""Types with values that end in a DNS name, with or without a dot at its end."""
DUALSTACK: Final = "dualstack."
_BALANCER: Final = re.compile(r"\.([a-z0-9-]+)\.elb\.amazonaws\.com")
"""The end of an Application Load Balancer's DNS name, with its region."""


class AliasTarget(NamedTuple):
    """An alias's target that isn't a load balancer of the account and region."""

    dns_name: str
    hosted_zone_id: str


@dataclass(frozen=True, kw_only=True)
class Record(DnsName):
    """A record set."""

    kind = "record"
    service = "route53"
    keeps_tags = False
    keeps_used = False
    replaced_on = frozenset({"zone", "name", "type", "set_identifier"})
    unique_names = False
    moves = frozenset(
        {"alias", "resource_records", "ttl", "weight", "failover", "evaluate_target_health", "health_check_id"}
    )
    missed = 3

    zone: str
    """The zone in the form of `kinds._zones.zone_text`."""
    name: str
    type: str
    alias: Ref | AliasTarget | None = None
    """The alias's target; a load balancer of the account and region by its ARN."""
    evaluate_target_health: bool | None = None
    ttl: int | None = None
    resource_records: tuple[str, ...] | None = None
    set_identifier: str = ""
    """Empty where the record set has none."""
    weight: int | None = None
    failover: str | None = None
    health_check_id: str | None = None
    """Empty for none."""

    @property
    def region(self) -> str:
        found = _BALANCER.search(self.alias.dns_name) if isinstance(self.alias, AliasTarget) else None
        return found[1] if found else ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells the record set from all others of its zone."""
        return self.name, self.type, self.set_identifier

    def slots(self) -> Iterable[Hashable]:
        return (("DNS name", self.name),)

    def conflicts(self, other: Properties) -> bool:
        """Whether Route 53 refuses both: a CNAME and another record of one name, or two records of one type without own identifiers."""
        if not isinstance(other, Record) or self.zone != other.zone:
            return False
        is_alone = self.type == other.type and "" in (self.set_identifier, other.set_identifier)
        return is_alone or self.key == other.key or (self.type != other.type and "CNAME" in (self.type, other.type))


def values_of(kind: str, given: Iterable[str]) -> tuple[str, ...]:
    """Values as Route 53 has them, sorted."""
    if kind in _TEXTS:
        given = [text if text.startswith('"') else quoted(text) for text in given]
    elif kind in _NAMES:
        given = [text.lower().removesuffix(".") for text in given]
    elif kind == "AAAA":
        given = [text.lower() for text in given]
    return tuple(sorted(given))


def state_of(
    row: Mapping[str, Any], zone: str, wanted: Record | None, balancers: Mapping[str, Mapping[str, Any]]
) -> Record:
    kind, alias = str(row["Type"]), row.get("AliasTarget")
    told: dict[str, Any] = {}
    if alias:
        dns = plain_name(alias["DNSName"])
        told = {"alias": AliasTarget(dns, alias["HostedZoneId"])}
        balancer = balancers.get(dns.removeprefix(DUALSTACK))
        is_by_name = wanted is not None and isinstance(wanted.alias, AliasTarget)
        if balancer and balancer.get("CanonicalHostedZoneId") == alias["HostedZoneId"] and not is_by_name:
            told["alias"] = balancer["LoadBalancerArn"]
        told["evaluate_target_health"] = alias["EvaluateTargetHealth"]
    return Record(
        zone=zone,
        name=plain_name(row["Name"]),
        type=kind,
        ttl=row.get("TTL"),
        resource_records=values_of(kind, [item["Value"] for item in row.get("ResourceRecords", ())]) or None,
        set_identifier=row.get("SetIdentifier", ""),
        weight=row.get("Weight"),
        failover=row.get("Failover"),
        health_check_id=row.get("HealthCheckId", ""),
        **told,
    )
