"""ACM: certificates that are issued when their records are there, and what AWS refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.harness import World, by_hand, world
from tests.sandbox.authorities import server_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAIT = 10
"""Seconds until the records are told."""


@pytest.fixture
def there() -> Iterator[World]:
    with world() as found:
        yield found


def acm() -> Any:
    return by_hand("acm")


def request(*names: str, **more: Any) -> str:
    told = {"DomainName": names[0], "ValidationMethod": "DNS", **more}
    if names[1:]:
        told["SubjectAlternativeNames"] = list(names)
    return str(acm().request_certificate(**told)["CertificateArn"])


def describe(arn: str) -> dict[str, Any]:
    found: dict[str, Any] = acm().describe_certificate(CertificateArn=arn)["Certificate"]
    return found


def records(arn: str) -> list[dict[str, str]]:
    return [item["ResourceRecord"] for item in describe(arn)["DomainValidationOptions"]]


def zone(name: str = "example.com", **more: Any) -> str:
    made = by_hand("route53").create_hosted_zone(Name=name, CallerReference=name, **more)
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


def refused(call: Callable[..., Any], **params: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**params)
    return str(caught.value.response["Error"]["Code"])


def names(arn: str) -> set[str]:
    """How the validation of the names stands."""
    return {item["ValidationStatus"] for item in describe(arn)["DomainValidationOptions"]}


def test_it_is_issued_some_time_after_its_records_are_there(there: World) -> None:
    home = zone()
    arn = request("api.example.com", "*.api.example.com", "example.com")
    assert refused(acm().describe_certificate, CertificateArn=arn) == "ResourceNotFoundException"
    there.clock.advance(4)
    assert all("ResourceRecord" not in item for item in describe(arn)["DomainValidationOptions"])
    there.clock.advance(WAIT)
    assert len({item["Name"] for item in records(arn)}) == 2, "a name and its wildcard share one"
    assert describe(arn)["Status"] == "PENDING_VALIDATION"
    validate(there, home, arn)
    assert describe(arn)["Status"] == "PENDING_VALIDATION"
    assert names(arn) == {"PENDING_VALIDATION"}, "boto3's waiter certificate_validated looks at these"
    there.clock.advance(100)
    assert describe(arn)["Status"] == "ISSUED"
    assert names(arn) == {"SUCCESS"}
    assert (describe(arn)["NotAfter"] - describe(arn)["NotBefore"]).days == 198


def test_the_same_name_has_the_same_record_and_a_wrong_one_is_none(there: World) -> None:
    home = zone()
    one, other = request("api.example.com"), request("api.example.com", KeyAlgorithm="EC_prime256v1")
    there.clock.advance(WAIT)
    assert records(one) == records(other)
    write(home, records(one)[0]["Name"], "CNAME", "elsewhere.example.net")
    there.clock.advance(300)
    assert describe(one)["Status"] == "PENDING_VALIDATION"
    there.clock.advance(72 * 3600)
    assert describe(one)["Status"] == "VALIDATION_TIMED_OUT"


def test_a_zone_that_nobody_is_sent_to_validates_nothing(there: World) -> None:
    outer, inner = zone(), zone("api.example.com")
    arn = request("api.example.com")
    validate(there, inner, arn)
    there.clock.advance(300)
    assert describe(arn)["Status"] == "PENDING_VALIDATION"
    write(outer, "api.example.com", "NS", "ns-1.example.net.")
    assert describe(arn)["Status"] == "PENDING_VALIDATION"
    there.clock.advance(100)
    assert describe(arn)["Status"] == "ISSUED"


@pytest.mark.parametrize(
    ("value", "status"), [('0 issue "other.example"', "FAILED"), ('0 issue "amazon.com"', "ISSUED")]
)
def test_a_caa_record_says_who_may_issue(there: World, value: str, status: str) -> None:
    home = zone()
    write(home, "example.com", "CAA", value)
    arn = request("api.example.com")
    validate(there, home, arn)
    describe(arn)
    there.clock.advance(100)
    assert describe(arn)["Status"] == status
    assert describe(arn).get("FailureReason") == ("CAA_ERROR" if status == "FAILED" else None)


def test_one_token_makes_one_certificate_within_an_hour(there: World) -> None:
    one = request("api.example.com", IdempotencyToken="a")
    assert request("api.example.com", IdempotencyToken="a") == one
    there.clock.advance(3601)
    assert request("api.example.com", IdempotencyToken="a") != one


def test_eleven_names_and_keys_that_are_for_imported_ones(there: World) -> None:
    names = [f"a{number}.example.com" for number in range(11)]
    told = {"DomainName": names[0], "ValidationMethod": "DNS"}
    assert refused(acm().request_certificate, **told, SubjectAlternativeNames=names) == "LimitExceededException"
    assert refused(acm().request_certificate, **told, KeyAlgorithm="RSA_4096") == "ValidationException"


def test_a_long_name_that_is_the_first(there: World) -> None:
    long = f"{'a' * 40}.{'b' * 30}.example.com"
    assert refused(acm().request_certificate, DomainName=long, ValidationMethod="DNS") == "ValidationException"
    assert request("api.example.com", SubjectAlternativeNames=[long])


def test_a_list_has_keys_of_rsa_unless_others_are_asked_for(there: World) -> None:
    arn = request("api.example.com", KeyAlgorithm="EC_prime256v1")
    there.clock.advance(WAIT)
    assert acm().list_certificates()["CertificateSummaryList"] == []
    (found,) = acm().list_certificates(Includes={"keyTypes": ["EC_prime256v1"]})["CertificateSummaryList"]
    assert (found["CertificateArn"], found["SubjectAlternativeNameSummaries"]) == (arn, ["api.example.com"])


def test_an_imported_one_keeps_its_tags_and_its_key_type(there: World) -> None:
    one, key = server_certificate("api.example.com")
    arn = acm().import_certificate(Certificate=one, PrivateKey=key, Tags=[{"Key": "a", "Value": "b"}])["CertificateArn"]
    there.clock.advance(WAIT)
    again, other = server_certificate("api.example.com", number=2)
    told = {"CertificateArn": arn, "Certificate": again, "PrivateKey": other}
    assert refused(acm().import_certificate, **told, Tags=[{"Key": "a", "Value": "b"}]) == "ValidationException"
    assert refused(acm().import_certificate, **{**told, "PrivateKey": key}) == "ValidationException"
    acm().import_certificate(**told)
    assert acm().list_tags_for_certificate(CertificateArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    assert acm().get_certificate(CertificateArn=arn)["Certificate"] == again
    rsa, rsa_key = server_certificate("api.example.com", rsa=True)
    assert (
        refused(acm().import_certificate, CertificateArn=arn, Certificate=rsa, PrivateKey=rsa_key)
        == "ValidationException"
    )
