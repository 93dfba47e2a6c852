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

from alb_reconcile.cli.render.plan import render_plan
from alb_reconcile.cli.render.style import Style
from alb_reconcile.model import tags
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.sandbox.strict.clock import Timing
from alb_reconcile.sandbox.strict.world import World as Place
from tests.at_length import at_length, only_at_length
from tests.harness import Spec, by_hand, demo, spec_folder, world
from tests.kinds.example import Example
from tests.kinds.hand import Hand, edited, order, replaced, short, update
from tests.kinds.test_listener import CERTIFICATES, upload_certificates
from tests.sandbox.authorities import server_certificate, servers_pem
from tests.sandbox.strict_world import Network

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.kinds.hand import Faults

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
    found = acm().describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"][0][
        "ResourceRecord"
    ]
    return {
        "Name": found["Name"],
        "Type": found["Type"],
        "TTL": 60,
        "ResourceRecords": [{"Value": found["Value"]}],
    }


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


def refusal(hand: Hand, spec: Spec) -> str:
    with pytest.raises(RefusedError) as caught:
        hand.world.plan(spec)
    return str(caught.value)


def test_a_listener_waits_for_it_and_nothing_else_does(hand: Hand) -> None:
    home = zone()
    hand.make(secure("api", api=api()))
    calls = [name for name, _ in hand.world.log]
    listener = calls.index("create_listener")
    assert "describe_certificate" in calls[calls.index("register_targets") : listener], "it isn't issued by then"
    assert served(hand) == [hand[API]]
    assert len(cnames(home)) == 1
    hand.world.destroy(hand.spec)
    assert cnames(home) == []
    assert acm().list_certificates()["CertificateSummaryList"] == []


def test_an_unchanged_plan_reads_five_things_of_it_and_a_stack_without_one_none(hand: Hand) -> None:
    zone()
    hand.make(secure("api", api=api()))
    hand.world.plan(hand.spec)
    reads = [name for name, _ in hand.world.log if "certificate" in name and "listener" not in name]
    assert sorted(reads) == ["describe_certificate", "list_certificates", "list_tags_for_certificate"]
    assert order(hand.world, "list_hosted_zones_by_name", "list_resource_record_sets") == [
        "list_hosted_zones_by_name", "list_resource_record_sets"
    ]  # fmt: skip
    hand.world.destroy(hand.spec)
    hand.make(demo())
    hand.world.plan(demo())
    assert not [name for name, _ in hand.world.log if "certificate" in name or "hosted" in name]


def test_a_run_that_ended_before_it_was_issued_is_continued(hand: Hand) -> None:
    home = zone()
    spec = {**BARE, "certificates": {"api": api()}}
    hand.make(spec)
    record = record_of(hand[API])
    acm_backends[DEFAULT_ACCOUNT_ID]["us-east-1"]._certificates[hand[API]].status = "PENDING_VALIDATION"
    change(hand, home, "DELETE", cnames(home)[0])
    hand.repairs(update(API, "status", "zone"), by=("change_resource_record_sets",))
    assert cnames(home)[0]["Name"] == record["Name"]
    assert status(hand[API]) == "ISSUED"


def test_a_record_that_is_missing_or_wrong_is_put_right_and_somebody_elses_stays(hand: Hand) -> None:
    home = zone()
    hand.make({**BARE, "certificates": {"api": api()}})
    (right,) = cnames(home)
    change(hand, home, "DELETE", right)
    hand.repairs(update(API, "zone"), by=("change_resource_record_sets",))
    wrong = {**right, "ResourceRecords": [{"Value": "_old.jkddzztszm.acm-validations.aws."}]}
    change(hand, home, "UPSERT", wrong)
    hand.repairs(update(API, "zone"), by=("change_resource_record_sets",))
    assert cnames(home) == [right]
    theirs = {**right, "ResourceRecords": [{"Value": "elsewhere.example.net"}]}
    change(hand, home, "UPSERT", theirs)
    (failure,) = hand.world.apply(hand.spec).failures
    assert (
        "with another value (elsewhere.example.net), which isn't overwritten; delete it, or give it the value _"
        in failure
    )
    assert cnames(home) == [theirs]


def test_a_record_that_another_certificate_needs_stays_until_the_last_one_goes(hand: Hand) -> None:
    home = zone()
    theirs = requested(hand, "*.api.example.com")
    spec = {**BARE, "certificates": {"api": api(), "other": api(key_algorithm="EC_prime256v1")}}
    hand.make(spec)
    hand.world.destroy(spec)
    assert len(cnames(home)) == 1, "somebody else's wildcard has the same record"
    acm().delete_certificate(CertificateArn=theirs)
    change(hand, home, "DELETE", cnames(home)[0])
    hand.make(spec)
    hand.world.destroy(spec)
    assert cnames(home) == [], "of two that go in one run the last one takes it along"


def test_the_last_of_two_takes_their_record_along_where_acm_lists_the_first_one_still(hand: Hand) -> None:
    home, real, listed = zone(), hand.world._call, list[Any]()
    spec = {**BARE, "certificates": {"api": api(), "other": api(key_algorithm="EC_prime256v1")}}
    hand.make(spec)

    def behind(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if operation != "list_certificates":
            return real(service, operation, params)
        listed.append(real(service, operation, params))
        return copy.deepcopy(listed[0])

    hand.world._call = behind  # type: ignore[method-assign]  # so that reads lag
    hand.world.apply(spec, destroy=True)
    assert cnames(home) == []


def test_one_that_takes_anothers_place_takes_its_record_along_in_the_end(hand: Hand) -> None:
    home = zone()
    hand.make({**BARE, "certificates": {"api": api()}})
    hand.make({**BARE, "certificates": {"api": api(key_algorithm="EC_prime256v1")}})
    assert order(hand.world, "request_certificate", "delete_certificate") == [
        "request_certificate",
        "delete_certificate",
    ]
    assert len(cnames(home)) == 1
    hand.world.destroy(hand.spec)
    assert cnames(home) == []


@only_at_length("tests/kinds/test_certificate.py::test_one_that_takes_anothers_place_takes_its_record_along_in_the_end")
def test_one_that_takes_anothers_place_in_another_zone_needs_no_record_in_the_former(hand: Hand) -> None:
    zones()
    before = api(domain_name="api.example.net", zone="Z0000TWO")
    hand.make({**BARE, "certificates": {"api": before}})
    hand.make({**BARE, "certificates": {"api": {**before, "zone": "Z0000ONE", "key_algorithm": "EC_prime256v1"}}})
    assert (len(cnames("Z0000ONE")), cnames("Z0000TWO")) == (1, [])


@pytest.mark.parametrize("leaves", [True, *at_length(False)])
def test_one_that_is_replaced_or_goes_isnt_kept_as_somebody_elses(hand: Hand, *, leaves: bool) -> None:
    """Found: its listener went on to have it under `others: keep`, and ACM refused to delete it, in this run and in each after it."""
    zone()
    upload_certificates()
    spec = secure("api", "more", api=api(), more=api(domain_name="more.example.com"))
    spec["load_balancers"]["public"]["listeners"]["https"]["others"] = "keep"
    hand.make(spec)
    theirs = CERTIFICATES[3]
    hand.elb.add_listener_certificates(ListenerArn=hand[HTTPS], Certificates=[{"CertificateArn": theirs}])
    if leaves:
        del spec["certificates"]["more"], spec["load_balancers"]["public"]["listeners"]["https"]["certificates"][1]
    else:
        spec["certificates"]["more"]["key_algorithm"] = "EC_prime256v1"
    hand.make(spec)
    assert set(served(hand)) == {hand[API], theirs} | (set() if leaves else {hand["certificate.more"]})


@only_at_length(
    "tests/kinds/test_certificate.py::test_a_record_that_another_certificate_needs_stays_until_the_last_one_goes"
)
def test_a_record_that_a_certificate_of_another_region_needs_stays_until_that_goes_too(hand: Hand) -> None:
    zone_id = zone()
    spec = {**BARE, "certificates": {"api": api()}}
    hand.make(spec)
    (row,) = cnames(zone_id)
    abroad = boto3.client("acm", region_name="eu-west-1")
    arn = abroad.request_certificate(DomainName="api.example.com", ValidationMethod="DNS")["CertificateArn"]
    hand.wait(10)
    hand.world.destroy(spec)
    assert cnames(zone_id) == [row]
    hand.make(spec)  # it finds the record, which nobody has made for a certificate that is there
    abroad.delete_certificate(CertificateArn=arn)
    hand.world.destroy(spec)
    assert cnames(zone_id) == [row]


@only_at_length(
    "tests/kinds/test_certificate.py::test_a_record_that_another_certificate_needs_stays_until_the_last_one_goes"
)
def test_a_record_goes_with_the_last_certificate_whichever_region_it_is_in(hand: Hand) -> None:
    zone_id = zone()
    spec = {**BARE, "certificates": {"api": api()}}
    hand.make(spec)
    told = acm().list_tags_for_certificate(CertificateArn=hand[API])["Tags"]
    told = [item for item in told if item["Key"] == tags.VALIDATION]  # as if this tool had found it there
    abroad = boto3.client("acm", region_name="eu-west-1")
    arn = abroad.request_certificate(DomainName="api.example.com", ValidationMethod="DNS", Tags=told)["CertificateArn"]
    hand.wait(10)
    hand.world.destroy(spec)
    hand.make(spec)
    abroad.delete_certificate(CertificateArn=arn)
    hand.world.destroy(spec)
    assert cnames(zone_id) == []


@pytest.mark.parametrize("code", ["AccessDeniedException", "UnrecognizedClientException"])
def test_where_another_region_cannot_be_read_the_record_stays(hand: Hand, code: str) -> None:
    zone_id = zone()
    spec = {**BARE, "certificates": {"api": api()}}
    hand.make(spec)
    hand.world.closed["eu-west-1"] = code
    result = hand.world.destroy(spec)
    assert len(cnames(zone_id)) == 1
    (said,) = result.warnings
    assert f"stays in zone {zone_id}" in said
    assert f"eu-west-1 (acm:ListCertificates: {code})" in said


@only_at_length("tests/kinds/test_every_kind.py::test_it_is_created_at_once_shown_and_destroyed_without_a_rest")
def test_a_stack_is_made_and_destroyed_as_often_as_one_likes_within_an_hour(hand: Hand) -> None:
    zone()
    spec = {**BARE, "certificates": {"api": api()}}
    for _ in range(4):
        hand.make(spec)
        hand.world.destroy(spec)


def test_a_record_that_was_there_before_stays(hand: Hand) -> None:
    home = zone()
    theirs = requested(hand)
    change(hand, home, "CREATE", record_of(theirs))
    acm().delete_certificate(CertificateArn=theirs)
    hand.make({**BARE, "certificates": {"api": api()}})
    hand.world.destroy(hand.spec)
    assert len(cnames(home)) == 1


def test_without_a_zone_the_run_says_which_record_it_waits_for(hand: Hand) -> None:
    home = zone()
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


def test_what_a_caa_record_forbids_is_told_and_then_replaced(hand: Hand) -> None:
    home = zone()
    forbids = {"Name": "example.com", "Type": "CAA", "TTL": 60, "ResourceRecords": [{"Value": '0 issue "ca.example"'}]}
    change(hand, home, "CREATE", forbids)
    spec = {**BARE, "certificates": {"api": api()}}
    (failure,) = hand.world.apply(spec).failures
    assert "FAILED, CAA_ERROR: a CAA record of the domain, or of one above it, doesn't let Amazon issue" in failure
    change(hand, home, "DELETE", forbids)
    assert short(hand.world.plan(spec)) == sorted(replaced(API, "status"))
    hand.make(spec)
    assert len(acm().list_certificates()["CertificateSummaryList"]) == 1


def test_which_name_is_the_first_makes_no_difference(hand: Hand) -> None:
    zone()
    hand.make(secure("api", api=api(subject_alternative_names=["www.example.com"])))
    swapped = api(domain_name="www.example.com", subject_alternative_names=["api.example.com"])
    assert hand.world.plan(secure("api", api=swapped)).is_empty


def test_other_names_are_for_another_certificate_to_which_the_listener_moves(hand: Hand) -> None:
    home = zone()
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


def test_several_certificates_of_a_listener_and_one_that_the_spec_drops(hand: Hand) -> None:
    zone()
    entries = {"api": api(), "www": {"domain_name": "www.example.com", "zone": "example.com"}, "other": imported()}
    hand.make(secure("api", "www", "other", **entries))
    assert served(hand)[0] == hand[API]
    assert set(served(hand)) == {hand[API], hand[OTHER], hand["certificate.www"]}
    hand.make(secure("other", other=imported()))
    assert served(hand) == [hand[OTHER]]
    assert [
        row["CertificateArn"]
        for row in acm().list_certificates(Includes={"keyTypes": ["RSA_2048"]})["CertificateSummaryList"]
    ] == []


def test_the_last_certificate_that_a_spec_drops_is_found_by_the_listener(hand: Hand) -> None:
    zone()
    hand.make(secure("api", api=api()))
    hand.make(demo(), allow={"close": 1})
    assert acm().list_certificates()["CertificateSummaryList"] == []


def test_nothing_of_a_private_key_is_shown_or_kept(hand: Hand) -> None:
    spec = {**BARE, "certificates": {"other": imported()}}
    key = server_certificate(*NAMES)[1]
    plan = hand.world.plan(spec)
    hand.make(spec)
    found = hand.world.plan(spec).live
    secret = key.splitlines()[1]
    assert secret not in repr(plan)
    assert secret not in render_plan(plan, Style(colored=False)) + repr(found)
    assert "1.key" not in render_plan(plan, Style(colored=False))
    assert secret not in str(acm().list_tags_for_certificate(CertificateArn=hand[OTHER]))


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


def test_lost_replies_make_no_second_certificate(hand: Hand, faults: Faults) -> None:
    zone()
    faults.lose_reply("request_certificate")
    faults.lose_reply("import_certificate")
    hand.world.apply({**BARE, "certificates": {"api": api(), "other": imported()}})
    hand.make({**BARE, "certificates": {"api": api(), "other": imported()}})
    keys = {"keyTypes": ["RSA_2048", "EC_prime256v1"]}
    assert len(acm().list_certificates(Includes=keys)["CertificateSummaryList"]) == 2


def test_an_issued_certificate_is_looked_up_by_its_name(hand: Hand) -> None:
    home = zone()
    assert "no issued certificate is found by domain api.example.com" in refusal(
        hand, secure({"domain": "api.example.com"})
    )
    theirs = requested(hand, "*.example.com")
    change(hand, home, "CREATE", record_of(theirs))
    assert status(theirs) == "PENDING_VALIDATION"
    hand.wait(120)
    hand.make(secure({"domain": "api.example.com"}))
    assert served(hand) == [theirs]
    hand.world.destroy(hand.spec)
    assert status(theirs) == "ISSUED"
    acm().request_certificate(DomainName="*.example.com", ValidationMethod="DNS")
    hand.wait(10)
    for row in acm().list_certificates()["CertificateSummaryList"]:
        status(row["CertificateArn"])
    hand.wait(120)
    assert "2 issued certificates are found by domain api.example.com" in refusal(
        hand, secure({"domain": "api.example.com"})
    )


def test_its_own_certificate_is_named_not_looked_up(hand: Hand) -> None:
    zone()
    hand.make({**BARE, "certificates": {"api": api()}})
    text = refusal(hand, secure({"domain": "api.example.com"}, api=api()))
    assert "is this stack's own; name its entry" in text


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        ([], "there is no public hosted zone example.com in this account"),
        ([("one", {}), ("two", {})], "there are 2 public hosted zones example.com"),
        ([("one", PRIVATE)], "hosted zone example.com is private, and ACM can't validate names there"),
    ],
)
def test_a_zone_that_isnt_the_one(hand: Hand, made: list[tuple[str, Spec]], wanted: str) -> None:
    vpc = hand.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    for reference, more in made:
        within = {"VPC": {"VPCRegion": "us-east-1", "VPCId": vpc}} if more else {}
        zone(reference=reference, **{**more, **within})
    assert wanted in refusal(hand, {**BARE, "certificates": {"api": api()}})


def test_a_name_outside_of_a_zone_that_is_known_by_its_id(hand: Hand) -> None:
    home = zone("example.org")
    text = refusal(hand, {**BARE, "certificates": {"api": api(zone=home)}})
    assert "api.example.com: not in zone example.org" in text


def test_one_that_acm_lets_go_late_is_deleted_in_the_same_run() -> None:
    """Found: after 304 s the destroy failed. ACM names the load balancer, which is deleted, meanwhile."""
    with world(Timing(certificate_in_use=400.0)) as here:
        hand = Hand(here)
        zone()
        spec = secure("api", api=api())
        hand.make(spec)
        hand.world.destroy(spec)


def test_one_that_acm_doesnt_let_go_is_told_as_the_stacks_own() -> None:
    with world(Timing(certificate_in_use=4000.0)) as here:
        hand = Hand(here)
        zone()
        spec = secure("api", api=api())
        hand.make(spec)
        balancer = hand["load_balancer.public"]
        result = here.apply(spec, destroy=True)
        assert f"is used by {balancer}, as ACM still shows, though it was let go; run again" in str(result.failures)
        assert "outside this stack" not in str(result.failures)


def test_a_certificate_that_somebody_else_uses_stays(hand: Hand) -> None:
    home = zone()
    spec = {**BARE, "certificates": {"api": api()}}
    hand.make(spec)
    network = Network.make(hand.ec2, hand.elb, hand.world.clock)
    balancer = network.balancer()
    held = [{"CertificateArn": hand[API]}]
    listener = network.listener(balancer, network.target_group(), 443, Protocol="HTTPS", Certificates=held)
    result = hand.world.apply(spec, destroy=True)
    assert any(
        "outside this stack; take it away there, or keep the certificate with release" in text
        for text in result.failures
    )
    assert len(cnames(home)) == 1
    hand.elb.delete_listener(ListenerArn=listener)
    hand.world.destroy(spec)
    assert cnames(home) == []


def ends_sooner(hand: Hand, days: int) -> None:
    """As if so many days had passed."""
    found: Any = acm_backends[DEFAULT_ACCOUNT_ID]["us-east-1"]._certificates[hand[API]]
    found.ends -= timedelta(days=days)


def test_one_that_expired_is_replaced(hand: Hand) -> None:
    zone()
    hand.make({**BARE, "certificates": {"api": api()}})
    ends_sooner(hand, 199)
    assert short(hand.world.plan(hand.spec)) == sorted(replaced(API, "status"))
    hand.make(hand.spec)
    assert len(acm().list_certificates()["CertificateSummaryList"]) == 1


def test_its_renewal_is_told_and_needs_its_record(hand: Hand) -> None:
    home = zone()
    hand.make(secure("api", api=api()))
    change(hand, home, "DELETE", cnames(home)[0])
    ends_sooner(hand, 150)
    (found,) = [item for item in hand.world.plan(hand.spec).live if str(item.address) == API]
    assert found.reason.endswith("renewal PENDING_VALIDATION")
    hand.repairs(update(API, "zone"), by=("change_resource_record_sets",))
    (found,) = [item for item in hand.world.plan(hand.spec).live if str(item.address) == API]
    assert found.reason.endswith("renewed")


def test_more_names_than_the_account_may_have(hand: Hand) -> None:
    zone()
    spec = {**BARE, "certificates": {"api": api(subject_alternative_names=[f"a{n}.example.com" for n in range(10)])}}
    (failure,) = hand.world.apply(spec).failures
    assert "LimitExceededException" in failure
    assert "raise it in Service Quotas" in failure
    Place(DEFAULT_ACCOUNT_ID, "us-east-1").ledger.quotas["L-FB94F0B0"] = 10
    assert "this account may have 10 domain names of a certificate" in refusal(hand, spec)
