"""ACM: certificates that are issued when their records are there, and what AWS refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import World, by_hand, world
from tests.sandbox.authorities import server_certificate
from tests.sandbox.strict_world import refuses

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT = 10
"""Seconds until the records are told."""


@pytest.fixture
def there() -> Iterator[World]:
    with world() as found:
        yield found


@pytest.fixture
def acm(there: World) -> Any:
    return by_hand("acm")


def request(*names: str, **more: Any) -> str:
    told = {"DomainName": names[0], "ValidationMethod": "DNS", **more}
    if names[1:]:
        told["SubjectAlternativeNames"] = list(names)
    return str(by_hand("acm").request_certificate(**told)["CertificateArn"])


def describe(arn: str) -> dict[str, Any]:
    found: dict[str, Any] = by_hand("acm").describe_certificate(CertificateArn=arn)["Certificate"]
    return found


def records(arn: str) -> list[dict[str, str]]:
    return [item["ResourceRecord"] for item in describe(arn)["DomainValidationOptions"]]


def zone(name: str = "example.com") -> str:
    made = by_hand("route53").create_hosted_zone(Name=name, CallerReference=name)
    return str(made["HostedZone"]["Id"])


def write(zone_id: str, name: str, kind: str, value: str) -> None:
    record = {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]}
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    by_hand("route53").change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch=batch)


def validate(there: World, zone_id: str, arn: str) -> None:
    there.clock.advance(WAIT)
    for item in {record["Name"]: record for record in records(arn)}.values():
        write(zone_id, item["Name"], item["Type"], item["Value"])
        there.clock.advance(1)


def stands(arn: str) -> tuple[str, set[str]]:
    """A certificate's state, and those of its names, at which boto3's waiter certificate_validated looks."""
    found = describe(arn)
    return found["Status"], {item["ValidationStatus"] for item in found["DomainValidationOptions"]}


def test_it_is_issued_some_time_after_its_records_are_there(there: World, acm: Any) -> None:
    home = zone()
    arn = request("api.example.com", "*.api.example.com", "example.com")
    refuses("ResourceNotFoundException", acm.describe_certificate, CertificateArn=arn)
    there.clock.advance(4)
    assert all("ResourceRecord" not in item for item in describe(arn)["DomainValidationOptions"])
    there.clock.advance(WAIT)
    assert len({item["Name"] for item in records(arn)}) == 2, "a name and its wildcard share one"
    validate(there, home, arn)
    assert stands(arn) == ("PENDING_VALIDATION", {"PENDING_VALIDATION"})
    there.clock.advance(100)
    assert stands(arn) == ("ISSUED", {"SUCCESS"})
    assert (describe(arn)["NotAfter"] - describe(arn)["NotBefore"]).days == 198


def test_the_same_name_has_the_same_record_and_a_wrong_one_is_none(there: World) -> None:
    home = zone()
    one, other = request("api.example.com"), request("api.example.com", KeyAlgorithm="EC_prime256v1")
    there.clock.advance(WAIT)
    assert records(one) == records(other)
    write(home, records(one)[0]["Name"], "CNAME", "elsewhere.example.net")
    for seconds, status in ((300, "PENDING_VALIDATION"), (72 * 3600, "VALIDATION_TIMED_OUT")):
        there.clock.advance(seconds)
        assert describe(one)["Status"] == status


def test_an_imported_one_keeps_its_tags_and_its_key_type(there: World, acm: Any) -> None:
    one, key = server_certificate("api.example.com")
    tags = [{"Key": "a", "Value": "b"}]
    arn = acm.import_certificate(Certificate=one, PrivateKey=key, Tags=tags)["CertificateArn"]
    there.clock.advance(WAIT)
    again, other = server_certificate("api.example.com", number=2)
    rsa, rsa_key = server_certificate("api.example.com", rsa=True)
    told = {"CertificateArn": arn, "Certificate": again, "PrivateKey": other}
    for bad in ({"Tags": tags}, {"PrivateKey": key}, {"Certificate": rsa, "PrivateKey": rsa_key}):
        refuses("ValidationException", acm.import_certificate, **told | bad)
    acm.import_certificate(**told)
    assert acm.list_tags_for_certificate(CertificateArn=arn)["Tags"] == tags
    assert acm.get_certificate(CertificateArn=arn)["Certificate"] == again
