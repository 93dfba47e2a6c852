"""Validates certificates by DNS records; moto issues them without looking at any record."""

import copy
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from moto.acm.models import TagHolder
from moto.route53.models import route53_backends

from alb_reconcile.model.text import digest

from .clock import Timing
from .route53_rules import plain

VALID: Final = timedelta(days=198)
"""How long a public certificate of ACM is valid (ACM User Guide, 'ACM certificate characteristics')."""
RENEWED: Final = timedelta(days=60)
"""How long before a certificate expires ACM begins to renew it (ACM User Guide, 'Managed certificate renewal')."""
_GIVEN_UP: Final = 72 * 3600.0
"""Seconds without its record after which a certificate is VALIDATION_TIMED_OUT: 72 hours (DNS validation, 'Troubleshooting')."""
_AUTHORITIES: Final = ("amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com")
"""ACM User Guide, '(Optional) Configure a CAA record': if there is any CAA record, it must allow one of these."""


@dataclass
class Watched:
    """What a certificate's state depends on: the clock, AWS's calendar, AWS's durations, and the certificate's users."""

    clock: Callable[[], float]
    moment: Callable[[float], datetime]
    timing: Timing
    lag: Callable[[], float]
    users: Callable[[str], Sequence[str]]


@dataclass
class Requested:
    """A requested certificate. It is kept among moto's certificates, and has the attributes that moto needs."""

    watched: Watched
    account: str
    arn: str
    names: tuple[str, ...]
    key_algorithm: str
    since: float
    tags: TagHolder = field(default_factory=TagHolder)
    status: str = "PENDING_VALIDATION"
    failure: str = ""
    noticed: Mapping[str, float] = field(default_factory=dict)
    """When the record of a name was first seen, by the record's name."""
    issued: float = 0.0
    ends: datetime | None = None
    renewal: str = ""
    type: str = "AMAZON_ISSUED"
    in_use_by: list[str] = field(default_factory=list)  # only moto writes it, and no code reads it
    cert_options: Mapping[str, str] = field(
        default_factory=lambda: {"CertificateTransparencyLoggingPreference": "ENABLED", "Export": "DISABLED"}
    )
    serial: str = field(default_factory=lambda: ":".join(secrets.token_hex(1) for _ in range(16)))

    @property
    def common_name(self) -> str:
        return self.names[0]

    @property
    def sans(self) -> list[str]:
        return list(self.names)

    def copied(self) -> "Requested":
        """An independent copy."""
        other = copy.copy(self)
        other.tags = copy.copy(self.tags)
        return other

    def check(self) -> None:
        """Bring the certificate to the present. moto calls this before it describes a certificate."""
        now = self.watched.clock()
        if self.status == "PENDING_VALIDATION":
            self._validate(now)
        elif self.status == "ISSUED" and self.ends is not None:
            self._renew(now)

    def _validate(self, now: float) -> None:
        """DNS validation: the certificate is issued when each name has its record, unless a CAA record forbids it."""
        if now < self.since + self.watched.timing.certificate_records:
            return
        there = [record for record in self.records() if self._is_there(record)]
        self.noticed = {record["Name"]: self.noticed.get(record["Name"], now) for record in there}
        if len(there) == len(self.records()):
            when = max(self.noticed.values()) + self.watched.timing.certificate_issued
            if any(forbidden(self.account, name) for name in self.names):
                self.status, self.failure = "FAILED", "CAA_ERROR"
            elif now >= when:
                self.status, self.issued, self.ends = "ISSUED", when, self.watched.moment(when) + VALID
        elif now >= self.since + _GIVEN_UP:
            self.status = "VALIDATION_TIMED_OUT"

    def _renew(self, now: float) -> None:
        """Managed renewal: ACM renews a certificate that is in use and that still has its records."""
        moment = self.watched.moment(now)
        while self.ends is not None and moment >= self.ends - RENEWED and self.watched.users(self.arn):
            if not all(map(self._is_there, self.records())):
                self.renewal = "PENDING_VALIDATION"
                break
            self.renewal, self.ends = "SUCCESS", self.ends + VALID - RENEWED
        if self.ends is not None and moment >= self.ends:
            self.status = "EXPIRED"

    def records(self) -> list[dict[str, str]]:
        """The CNAMEs that validate the certificate: the same for a name and its wildcard, and for all certificates of the account."""
        return [
            dict(pair) for pair in dict.fromkeys(tuple(record_of(self.account, name).items()) for name in self.names)
        ]

    def _is_there(self, record: Mapping[str, str]) -> bool:
        return any(
            plain(item.name) == plain(record["Name"])
            and item.type == "CNAME"
            and [plain(value) for value in item.records] == [plain(record["Value"])]
            for item in authoritative(self.account, record["Name"])
        )

    def describe(self) -> dict[str, Any]:
        """DescribeCertificate. It shows the records some seconds after the request ('there is a delay of several seconds')."""
        told: dict[str, Any] = {
            "CertificateArn": self.arn,
            "DomainName": self.common_name,
            "SubjectAlternativeNames": self.sans,
            "Status": self.status,
            "Type": self.type,
            "KeyAlgorithm": self.key_algorithm,
            "CreatedAt": self.watched.moment(self.since),
            "InUseBy": [],
            "RenewalEligibility": "INELIGIBLE",
            "Options": self.cert_options,
            "DomainValidationOptions": self._options(),
            "Serial": self.serial,
            "Subject": f"CN={self.common_name}",
            "Issuer": "Amazon",
        }
        if self.failure:
            told["FailureReason"] = self.failure
        if self.ends is not None:
            told |= {
                "IssuedAt": self.watched.moment(self.issued),
                "NotBefore": self.watched.moment(self.issued),
                "NotAfter": self.ends,
            }
        if self.renewal:
            told["RenewalSummary"] = {
                "RenewalStatus": self.renewal,
                "DomainValidationOptions": self._options(),
                "UpdatedAt": self.watched.moment(self.watched.clock()),
            }
        return {"Certificate": told}

    def _options(self) -> list[dict[str, Any]]:
        now = self.watched.clock()
        known = now >= self.since + self.watched.timing.certificate_records
        found = []
        for name in self.names:
            record = record_of(self.account, name)
            seen = self.noticed.get(record["Name"], float("inf")) + self.watched.timing.certificate_issued
            status = "SUCCESS" if self.status == "ISSUED" or now >= seen else "PENDING_VALIDATION"
            status = "FAILED" if self.status == "FAILED" else status
            option = {
                "DomainName": name,
                "ValidationDomain": name,
                "ValidationStatus": status,
                "ValidationMethod": "DNS",
            }
            found.append(option | ({"ResourceRecord": record} if known else {}))
        return found


def record_of(account: str, name: str) -> dict[str, str]:
    """The record that validates a name. It never changes, and is the same for `example.com` and `*.example.com` (ACM User Guide, 'DNS
    validation')."""
    bare = name.lower().removeprefix("*.")
    mark, value = digest([account, bare, "name"], 32), digest([account, bare, "value"], 32)
    return {"Name": f"_{mark}.{bare}.", "Type": "CNAME", "Value": f"_{value}.jkddzztszm.acm-validations.aws."}


def authoritative(account: str, name: str) -> Iterator[Any]:
    """The records of the public zone that is authoritative for a name: a zone inside another zone counts if that one delegates to it (NS).

    Which of several zones of the same name is authoritative depends on the registrar: here all of them are.
    """
    backend = route53_backends[account]["aws"]
    bare = plain(name)
    zones = [zone for zone in backend.zones.values() if not zone.private_zone and _is_within(bare, plain(zone.name))]
    chosen: list[Any] = []
    for home in sorted({plain(zone.name) for zone in zones}, key=len):
        if not chosen or any(item.type == "NS" and plain(item.name) == home for item in chosen):
            chosen = [item for zone in zones if plain(zone.name) == home for item in zone.rrsets]
    yield from chosen


def _is_within(name: str, zone: str) -> bool:
    return name == zone or name.endswith(f".{zone}")


def forbidden(account: str, name: str) -> bool:
    """Whether CAA records forbid ACM to issue a certificate for a name: those of the name itself, or of its closest parent that has any
    (RFC 8659)."""
    bare, is_wild = name.lower().removeprefix("*."), name.startswith("*.")
    found = [item for item in authoritative(account, bare) if item.type == "CAA"]
    labels = bare.split(".")
    for index in range(len(labels)):
        values = [value for item in found if plain(item.name) == ".".join(labels[index:]) for value in item.records]
        parts = [value.split(None, 2) for value in values]
        issue = [part[2].strip('"') for part in parts if len(part) == 3 and part[1] == "issue"]
        wild = [part[2].strip('"') for part in parts if len(part) == 3 and part[1] == "issuewild"]
        rules = wild if is_wild and wild else issue
        if values:
            return bool(rules) and not any(rule.partition(";")[0].strip() in _AUTHORITIES for rule in rules)
    return False
