"""Certificates: requested and validated, imported and imported again, used by listeners, and deleted with no record of others."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.acm.models import acm_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.route53.models import route53_backends

from alb_reconcile.model import tags
from alb_reconcile.sandbox.strict.clock import Timing
from tests.harness import Spec, by_hand, demo, spec_folder, world
from tests.kinds.example import Example
from tests.kinds.hand import Hand, edited, order, replaced, short, update
from tests.kinds.test_listener import CERTIFICATES, upload_certificates
from tests.sandbox.authorities import server_certificate, servers_pem
from tests.sandbox.strict_world import Network

if TYPE_CHECKING:
    from collections.abc import Mapping


API, OTHER, HTTPS = "certificate.api", "certificate.other", "listener.public/https"
BARE: Spec = {"stack": "demo", "region": "us-east-1"}
PRIVATE = {"HostedZoneConfig": {"PrivateZone": True, "Comment": ""}}
NAMES = ("shop.example.org", "www.shop.example.org")


def write_files() -> None:
    """Two certificates for the same names with their keys, and chains."""
    folder = spec_folder() / "certificates"
    folder.mkdir(exist_ok=True)
    for number in (1, 2, 3):
        certificate, key = server_certificate(*NAMES, number=number, rsa=number == 3)
        (folder / f"{number}.pem").write_text(certificate)
        (folder / f"{number}.key").write_text(key)
    (folder / "chain-1.pem").write_text(servers_pem())
    (folder / "chain-2.pem").write_text(server_certificate("ca.example.org")[0])


write_files()


def zone(name: str = "example.com", reference: str = "", **more: Any) -> str:
    """A hosted zone; its id."""
    made = by_hand("route53").create_hosted_zone(Name=name, CallerReference=reference or name, **more)
    return str(made["HostedZone"]["Id"]).rpartition("/")[2]


def zones() -> None:
    """Two of one name, which only their ids tell from each other."""
    held = route53_backends[DEFAULT_ACCOUNT_ID]["aws"].zones
    for physical_id in ("Z0000ONE", "Z0000TWO"):
        made = zone("example.net", physical_id)
        held[made].resource_id = physical_id
        held[physical_id] = held.pop(made)


def imported(number: int = 1) -> Spec:
    return {
        "certificate": {"file": f"certificates/{number}.pem"},
        "private_key": {"file": f"certificates/{number}.key"},
        "certificate_chain": {"file": "certificates/chain-1.pem"},
    }


EXAMPLE = Example(
    spec={
        "stack": "demo",
        "region": "us-east-1",
        "certificates": {
            "api": {
                "domain_name": "api.example.net",
                "subject_alternative_names": ["*.api.example.net"],
                "key_algorithm": "EC_prime256v1",
                "zone": "Z0000ONE",
            },
            "other": imported(),
        },
    },
    address=API,
    changes={"zone": "Z0000TWO"},
    others={
        OTHER: {
            "certificate": {"file": "certificates/2.pem"},
            "certificate_chain": {"file": "certificates/chain-2.pem"},
        }
    },
    beside={"certificate": {"private_key": {"file": "certificates/2.key"}}},
    said=frozenset({"zone"}),
    hidden=Timing.certificate_visible,
    prepare=zones,
    uncalled={
        "route53:ListHostedZonesByName": "zones that are named by name: https.yaml",
        "servicequotas:GetServiceQuota": "more than ten names",
    },
)


def secure(*certificates: Any, **entries: Spec) -> Spec:
    """The demo behind HTTPS, with these certificates."""
    entry = {"protocol": "HTTPS", "port": 443, "certificates": list(certificates), "default_action": {"forward": "web"}}
    spec = edited(demo(), "load_balancers/public/listeners", {"https": entry})
    return {**spec, "certificates": entries} if entries else spec


def api(**more: Any) -> Spec:
    return {"domain_name": "api.example.com", "zone": "example.com", **more}


def acm() -> Any:
    return by_hand("acm")


def status(arn: str) -> str:
    return str(acm().describe_certificate(CertificateArn=arn)["Certificate"]["Status"])


def record_of(arn: str) -> dict[str, Any]:
    (option, *_) = acm().describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"]
    found = option["ResourceRecord"]
    return {"Name": found["Name"], "Type": found["Type"], "TTL": 60, "ResourceRecords": [{"Value": found["Value"]}]}


def cnames(zone_id: str) -> list[dict[str, Any]]:
    rows = by_hand("route53").list_resource_record_sets(HostedZoneId=zone_id)["ResourceRecordSets"]
    return [row for row in rows if row["Type"] == "CNAME"]


def change(hand: Hand, zone_id: str, action: str, record: dict[str, Any]) -> None:
    hand.wait(1)
    batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
    by_hand("route53").change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch=batch)


def requested(hand: Hand, name: str = "api.example.com") -> str:
    """A certificate that somebody else has requested."""
    arn = acm().request_certificate(DomainName=name, ValidationMethod="DNS")["CertificateArn"]
    hand.wait(10)
    return str(arn)


def served(hand: Hand) -> list[str]:
    """The certificates of the listener, the default one first."""
    (found,) = hand.elb.describe_listeners(ListenerArns=[hand[HTTPS]])["Listeners"]
    rows = hand.elb.describe_listener_certificates(ListenerArn=hand[HTTPS])["Certificates"]
    return [
        found["Certificates"][0]["CertificateArn"],
        *(row["CertificateArn"] for row in rows if not row["IsDefault"]),
    ]


ALONE: Spec = {**BARE, "certificates": {"api": api()}}
OTHER_KEY = edited(ALONE, "certificates/api/key_algorithm", "EC_prime256v1")
BOTH = edited(ALONE, "certificates/other", OTHER_KEY["certificates"]["api"])


@pytest.fixture
def home(hand: Hand) -> str:
    """The zone of example.com; its id."""
    assert hand
    return zone()


@pytest.mark.slow
def test_a_listener_waits_for_it_and_nothing_else_does(hand: Hand, home: str) -> None:
    hand.make(secure("api", api=api()))
    calls = order(hand.world, "register_targets", "describe_certificate", "create_listener")
    between = calls[calls.index("register_targets") : calls.index("create_listener")]
    assert "describe_certificate" in between, "it isn't issued by then"
    assert served(hand) == [hand[API]]
    assert len(cnames(home)) == 1
    hand.world.destroy(hand.spec)
    assert cnames(home) == []
    assert acm().list_certificates()["CertificateSummaryList"] == []


def test_a_record_that_is_missing_or_wrong_is_put_right_and_somebody_elses_stays(hand: Hand, home: str) -> None:
    hand.make(ALONE)
    (right,) = cnames(home)
    made = acm_backends[DEFAULT_ACCOUNT_ID]["us-east-1"]._certificates[hand[API]]
    for state, paths in (("ISSUED", ["zone"]), ("PENDING_VALIDATION", ["status", "zone"])):
        made.status = state  # as of a run that ended before it was issued
        change(hand, home, "DELETE", right)
        hand.repairs(update(API, *paths), by="change_resource_record_sets")
    assert status(hand[API]) == "ISSUED"
    wrong = {**right, "ResourceRecords": [{"Value": "_old.jkddzztszm.acm-validations.aws."}]}
    change(hand, home, "UPSERT", wrong)
    hand.repairs(update(API, "zone"), by="change_resource_record_sets")
    assert cnames(home) == [right]
    theirs = {**right, "ResourceRecords": [{"Value": "elsewhere.example.net"}]}
    change(hand, home, "UPSERT", theirs)
    (failure,) = hand.world.apply(hand.spec).failures
    assert "with another value (elsewhere.example.net), which isn't overwritten; delete it, or give it the" in failure
    hand.world.destroy(hand.spec)
    assert cnames(home) == [theirs]


@pytest.mark.slow
def test_a_record_that_another_certificate_needs_stays_until_the_last_one_goes(hand: Hand, home: str) -> None:
    theirs = requested(hand, "*.api.example.com")
    hand.make(BOTH)
    hand.world.destroy(BOTH)
    assert len(cnames(home)) == 1, "somebody else's wildcard has the same record"
    acm().delete_certificate(CertificateArn=theirs)
    change(hand, home, "DELETE", cnames(home)[0])
    hand.make(BOTH)
    hand.world.destroy(BOTH)
    assert cnames(home) == [], "of two that go in one run the last one takes it along"
    hand.make(ALONE)
    hand.make(OTHER_KEY)
    assert order(hand.world, "request_certificate", "delete_certificate")[0] == "request_certificate"
    assert len(cnames(home)) == 1
    hand.world.destroy(hand.spec)
    assert cnames(home) == [], "one that takes another's place takes its record along in the end"
    theirs = requested(hand)
    change(hand, home, "CREATE", record_of(theirs))
    acm().delete_certificate(CertificateArn=theirs)
    hand.make(ALONE)
    hand.world.destroy(ALONE)
    assert len(cnames(home)) == 1, "it was there before"


def test_the_last_of_two_takes_their_record_along_where_acm_lists_the_first_one_still(hand: Hand) -> None:
    home, real, listed = zone(), hand.world._call, list[Any]()
    hand.make(BOTH)

    def behind(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if operation != "list_certificates":
            return real(service, operation, params)
        listed.append(real(service, operation, params))
        return copy.deepcopy(listed[0])

    hand.world._call = behind  # type: ignore[method-assign]  # so that reads lag
    hand.world.apply(BOTH, destroy=True)
    assert cnames(home) == []


@pytest.mark.slow
@pytest.mark.usefixtures("home")
def test_one_that_is_replaced_or_goes_isnt_kept_as_somebody_elses(hand: Hand) -> None:
    """Found: its listener went on to have it under `others: keep`, and ACM refused to delete it, in this run and in each after it."""
    upload_certificates()
    spec = secure("api", "more", api=api(), more=api(domain_name="more.example.com"))
    spec["load_balancers"]["public"]["listeners"]["https"]["others"] = "keep"
    hand.make(spec)
    theirs = CERTIFICATES[3]
    hand.elb.add_listener_certificates(ListenerArn=hand[HTTPS], Certificates=[{"CertificateArn": theirs}])
    spec["certificates"]["more"]["key_algorithm"] = "EC_prime256v1"
    hand.make(spec)
    assert set(served(hand)) == {hand[API], theirs, hand["certificate.more"]}
    del spec["certificates"]["more"], spec["load_balancers"]["public"]["listeners"]["https"]["certificates"][1]
    hand.make(spec)
    assert set(served(hand)) == {hand[API], theirs}


@pytest.mark.slow
def test_a_record_goes_with_the_last_certificate_whichever_region_it_is_in(hand: Hand, home: str) -> None:
    hand.make(ALONE)
    told = acm().list_tags_for_certificate(CertificateArn=hand[API])["Tags"]
    told = [item for item in told if item["Key"] == tags.VALIDATION]  # as if this tool had found it there
    abroad = boto3.client("acm", region_name="eu-west-1")
    arn = abroad.request_certificate(DomainName="api.example.com", ValidationMethod="DNS", Tags=told)["CertificateArn"]
    hand.wait(10)
    hand.world.destroy(ALONE)
    hand.make(ALONE)
    abroad.delete_certificate(CertificateArn=arn)
    hand.world.destroy(ALONE)
    assert cnames(home) == []


def test_where_another_region_cannot_be_read_the_record_stays(hand: Hand, home: str) -> None:
    hand.make(ALONE)
    hand.world.closed["eu-west-1"] = "AccessDeniedException"
    result = hand.world.destroy(ALONE)
    assert len(cnames(home)) == 1
    (said,) = result.warnings
    assert f"stays in zone {home}" in said
    assert "eu-west-1 (acm:ListCertificates: AccessDeniedException)" in said


@pytest.mark.slow
def test_without_a_zone_the_run_says_which_record_it_waits_for(hand: Hand, home: str) -> None:
    spec = secure("api", api={"domain_name": "api.example.com"})
    result = hand.world.apply(spec)
    (row,) = acm().list_certificates()["CertificateSummaryList"]
    record = record_of(row["CertificateArn"])
    needed = f"CNAME {record['Name']} with the value {record['ResourceRecords'][0]['Value']}"
    assert any(needed in event.text for event in result.events if hasattr(event, "text"))
    assert any(f"isn't issued after 30 min: ACM doesn't see {needed}" in text for text in result.failures)
    assert hand.elb.describe_load_balancers()["LoadBalancers"], "all else is made"
    assert needed in next(item.reason for item in hand.world.plan(spec).live if str(item.address) == API)
    change(hand, home, "CREATE", record)
    hand.make(spec)
    hand.world.destroy(spec)
    assert len(cnames(home)) == 1


@pytest.mark.slow
def test_what_a_caa_record_forbids_is_told_and_then_replaced_as_one_that_expired(hand: Hand, home: str) -> None:
    forbids = {"Name": "example.com", "Type": "CAA", "TTL": 60, "ResourceRecords": [{"Value": '0 issue "ca.example"'}]}
    change(hand, home, "CREATE", forbids)
    (failure,) = hand.world.apply(ALONE).failures
    assert "FAILED, CAA_ERROR: a CAA record of the domain, or of one above it, doesn't let Amazon issue" in failure
    change(hand, home, "DELETE", forbids)
    for _ in range(2):
        assert short(hand.world.plan(ALONE)) == sorted(replaced(API, "status"))
        hand.make(ALONE)
        assert len(acm().list_certificates()["CertificateSummaryList"]) == 1
        ends_sooner(hand, 199)


@pytest.mark.slow
def test_other_names_are_for_another_certificate_to_which_the_listener_moves(hand: Hand, home: str) -> None:
    hand.make(secure("api", api=api()))
    old, more = hand[API], secure("api", api=api(subject_alternative_names=["www.example.com"]))
    least, most = hand.world.plan(more).takes
    began = hand.world.clock.now()
    hand.make(more)
    assert least < hand.world.clock.now() - began < most
    assert served(hand) == [hand[API]]
    assert hand[API] != old
    assert order(hand.world, "request_certificate", "modify_listener", "delete_certificate") == [
        "request_certificate", "modify_listener", "delete_certificate"
    ]  # fmt: skip
    assert len(cnames(home)) == 2
    swapped = api(domain_name="www.example.com", subject_alternative_names=["api.example.com"])
    assert hand.world.plan(secure("api", api=swapped)).is_empty, "which is the first makes no difference"


def test_another_file_is_imported_in_place_and_another_sort_of_key_is_not(hand: Hand) -> None:
    hand.make(secure("other", other=imported()))
    arn = hand[OTHER]
    hand.repairs(
        update(OTHER, "certificate"), spec=secure("other", other=imported(2)), by=("import_certificate", "add_tags_to_certificate"),
    )  # fmt: skip
    assert hand[OTHER] == arn
    hand.make(secure("other", other=imported(3)))
    assert hand[OTHER] != arn
    assert served(hand) == [hand[OTHER]]


def test_an_issued_certificate_is_looked_up_by_its_name(hand: Hand, home: str) -> None:
    by_name = secure({"domain": "api.example.com"})
    hand.refuses(by_name, "no issued certificate is found by domain api.example.com")
    theirs = requested(hand, "*.example.com")
    change(hand, home, "CREATE", record_of(theirs))
    assert status(theirs) == "PENDING_VALIDATION"
    hand.wait(120)
    hand.make(by_name)
    assert served(hand) == [theirs]
    hand.world.destroy(hand.spec)
    assert status(theirs) == "ISSUED"
    hand.make(ALONE)
    hand.refuses(secure({"domain": "api.example.com"}, api=api()), "is this stack's own; name its entry")


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [400.0, 4000.0])
def test_one_that_acm_lets_go_late_is_deleted_in_the_same_run_or_told_as_the_stacks_own(seconds: float) -> None:
    """Found: after 304 s the destroy failed. ACM names the load balancer, which is deleted, meanwhile."""
    with world(Timing(certificate_in_use=seconds)) as here:
        hand = Hand(here)
        zone()
        spec = secure("api", api=api())
        hand.make(spec)
        failures = str(here.apply(spec, destroy=True).failures)
        told = f"is used by {hand['load_balancer.public']}, as ACM still shows, though it was let go; run again"
        assert (told in failures) == (failures != "[]") == (seconds == 4000.0)
        assert "outside this stack" not in failures


def test_a_certificate_that_somebody_else_uses_stays(hand: Hand, home: str) -> None:
    hand.make(ALONE)
    network = Network.make(hand.ec2, hand.elb, hand.world.clock)
    balancer = network.balancer()
    held = [{"CertificateArn": hand[API]}]
    listener = network.listener(balancer, network.target_group(), 443, Protocol="HTTPS", Certificates=held)
    result = hand.world.apply(ALONE, destroy=True)
    assert any(
        "outside this stack; take it away there, or keep the certificate with forget" in text
        for text in result.failures
    )
    assert len(cnames(home)) == 1
    hand.elb.delete_listener(ListenerArn=listener)
    hand.world.destroy(ALONE)
    assert cnames(home) == []


def ends_sooner(hand: Hand, days: int) -> None:
    """As if so many days had passed."""
    found: Any = acm_backends[DEFAULT_ACCOUNT_ID]["us-east-1"]._certificates[hand[API]]
    found.ends -= timedelta(days=days)
