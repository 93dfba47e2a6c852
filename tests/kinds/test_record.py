"""DNS records: whose they are is said beside them, nobody's is taken over, and names follow their load balancer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.route53.models import route53_backends

from alb_reconcile.model.errors import RefusedError
from tests.adoption.adopting import Keeper
from tests.harness import World, by_hand, demo
from tests.kinds.example import STACK, Example
from tests.kinds.hand import create, edited, order, short, update
from tests.kinds.test_https_refusals import https

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

CHECK, OTHER = "0a1b2c3d-0000-4000-8000-0a1b2c3d4e5f", "0a1b2c3d-0000-4000-8000-0a1b2c3d4e60"
ZONE = "example.com"


def prepare() -> None:
    """A hosted zone and two health checks."""
    route53 = by_hand("route53")
    route53.create_hosted_zone(Name=ZONE, CallerReference="1")
    checks = route53_backends[DEFAULT_ACCOUNT_ID]["aws"].health_checks
    config = {"Type": "TCP", "IPAddress": "192.0.2.1", "Port": 80}
    for name in (CHECK, OTHER):
        made = route53.create_health_check(CallerReference=name, HealthCheckConfig=config)["HealthCheck"]["Id"]
        checks[name] = checks.pop(made)
        checks[name].id = name


def record(name: str, **entry: Any) -> Spec:
    return {"zone": ZONE, "name": f"{name}.{ZONE}", "type": "A", **entry}


EXAMPLE = Example(
    spec={
        **STACK,
        "records": {
            "api": record(
                "api", ttl=60, resource_records=["192.0.2.1", "192.0.2.2"], set_identifier="one", weight=10, health_check_id=CHECK
            ),
            "www": record("*.www", resource_records=["192.0.2.1"], set_identifier="one", failover="PRIMARY"),
            "cdn": record(
                "cdn", alias={"dns_name": "d1.cloudfront.net", "hosted_zone_id": "Z2FDTNDATAQYW2"}, evaluate_target_health=False
            ),
        },
    },
    address="record.api",
    changes={"ttl": 300, "resource_records": ["192.0.2.3"], "weight": 20, "health_check_id": OTHER},
    others={
        "record.www": {"failover": "SECONDARY"},
        "record.cdn": {
            "alias": {"dns_name": "d2.cloudfront.net", "hosted_zone_id": "Z2FDTNDATAQYW2"}, "evaluate_target_health": True,
        },
    },
    prepare=prepare,
)  # fmt: skip


class Names:
    """The zone, changed by hand."""

    def __init__(self, world: World) -> None:
        self.world = world
        prepare()
        self.id = by_hand("route53").list_hosted_zones()["HostedZones"][0]["Id"].rpartition("/")[2]

    def another(self, **params: Any) -> str:
        """Another zone of that name."""
        made = by_hand("route53").create_hosted_zone(Name=ZONE, CallerReference="2", **params)
        return str(made["HostedZone"]["Id"].rpartition("/")[2])

    def rows(self, zone: str = "") -> dict[str, dict[str, Any]]:
        """All record sets but the zone's own, by name and type."""
        found = by_hand("route53").list_resource_record_sets(HostedZoneId=zone or self.id)["ResourceRecordSets"]
        return {
            f"{row['Name'].removesuffix('.')} {row['Type']}": row for row in found if row["Type"] not in ("NS", "SOA")
        }

    def change(self, action: str, row: Mapping[str, Any], zone: str = "") -> None:
        self.world.clock.advance(1)
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": row}]}
        by_hand("route53").change_resource_record_sets(HostedZoneId=zone or self.id, ChangeBatch=batch)


@pytest.fixture
def names(hand: Hand) -> Names:
    return Names(hand.world)


def plain(name: str, *values: str) -> dict[str, Any]:
    return {
        "Name": name,
        "Type": "A",
        "TTL": 300,
        "ResourceRecords": [{"Value": item} for item in values or ("192.0.2.1",)],
    }


def only(**entries: Spec) -> Spec:
    return {**STACK, "records": entries}


def web(**entry: Any) -> Spec:
    """The demo, and a name for its load balancer."""
    return {**demo(), "records": {"api": record("api", alias="public", **entry)}}


def api(*values: str, **entry: Any) -> Spec:
    return only(api=record("api", resource_records=list(values or ("192.0.2.1",)), **entry))


CNAME = only(api={"zone": ZONE, "name": "api.example.com", "type": "CNAME", "resource_records": ["a.example.net"]})
A, TXT = "api.example.com A", "a.api.alb-reconcile.example.com TXT"


@pytest.mark.slow
def test_a_name_leads_to_the_load_balancer_and_follows_it(hand: Hand, names: Names) -> None:
    hand.make(web())
    old = names.rows()[A]["AliasTarget"]
    assert old["DNSName"].startswith("dualstack.demo-public-")
    assert old["EvaluateTargetHealth"]
    spec = edited(web(), "load_balancers/public/scheme", "internal")
    result = hand.make(spec, allow={"replace-load-balancer": 2, "replace": 9, "delete": 9})
    assert names.rows()[A]["AliasTarget"]["DNSName"] != old["DNSName"]
    done = [item.step for item in result.outcomes]
    at = {(step.action, str(step.address)): index for index, step in enumerate(done)}
    assert at["replace", "listener.public/http"] < at["update", "record.api"] < at["delete", "load_balancer.public"]
    gone = next(step for step in done if (step.action, step.address.kind) == ("delete", "load_balancer"))
    assert "clients have forgotten where its names led (60 s)" in gone.waits
    both = order(hand.world, "change_resource_record_sets", "delete_load_balancer")
    assert (both[0], both[-1]) == ("change_resource_record_sets", "delete_load_balancer")


@pytest.mark.slow
def test_a_name_that_somebody_led_elsewhere_is_led_back(hand: Hand, names: Names) -> None:
    hand.make(web(evaluate_target_health=False))
    row = names.rows()[A]
    names.change("UPSERT", plain("api.example.com"))
    hand.repairs(update("record.api", "alias", "evaluate_target_health"), by="change_resource_record_sets")
    assert names.rows()[A] == row


def test_what_a_spec_drops_with_its_zone_is_found_and_the_tag_goes(hand: Hand, names: Names) -> None:
    hand.make(demo())
    hand.make(web())
    assert zones_told(hand) == ZONE
    assert short(hand.world.plan(demo(), allow={"close": 1})) == [("delete", "record.api", ())]
    hand.make(demo(), allow={"close": 1})
    assert names.rows() == {}
    assert zones_told(hand) == ""


def zones_told(hand: Hand) -> str:
    """What the VPC's tag says."""
    tags = hand.ec2.describe_vpcs(VpcIds=[hand["vpc.main"]])["Vpcs"][0]["Tags"]
    return next((str(tag["Value"]) for tag in tags if tag["Key"] == "alb-reconcile:zones"), "")


@pytest.mark.parametrize("before", [{}, demo()])
def test_destroy_finds_all_whatever_is_left_of_the_stack(hand: Hand, names: Names, before: Spec) -> None:
    hand.make({**before, **api()})
    hand.make(api(), allow={"delete": 99, "delete-load-balancer": 1})
    hand.world.destroy(demo())
    assert names.rows() == {}


@pytest.mark.slow
def test_https_goes_when_nobody_is_redirected_there(hand: Hand, names: Names) -> None:
    hand.make(https(names=["api.example.com"]))
    hand.refuses(demo(), "close=2", allow={"close": 1})  # the listener, and the name beside it
    steps = {step.key.partition("@")[0]: step for step in hand.world.plan(demo(), allow={"close": 2}).steps}
    gone = steps["delete:listener.public/https"]
    before = ["delete:record.public-api-example-com", "update:listener.public/http"]
    assert [key.partition("@")[0] for key in gone.needs] == before
    assert gone.pause[0] == 30
    hand.make(demo(), allow={"close": 2})
    assert names.rows() == {}


def test_nobodys_record_is_refused_and_adopted(hand: Hand, names: Names) -> None:
    names.change("CREATE", plain("api.example.com"))
    hand.refuses(CNAME, r"there is a record api.example.com \(A\) already, which can't stand beside")
    told = r"spec.yaml:\d+:\d+: .*there is a record api.example.com \(A\) already, outside this stack; adopt"
    hand.refuses(api(), told)
    Keeper(hand.world).adopt(api())
    assert hand.world.plan(api()).is_empty
    assert names.rows().keys() == {A, TXT}


def test_a_name_isnt_taken_from_a_load_balancer_of_another_region(hand: Hand, names: Names) -> None:
    """Somebody adopts in the wrong region, where nothing is but DNS, which is global: the next apply would turn the live name."""
    abroad, balancers = (boto3.client(name, region_name="eu-west-1") for name in ("ec2", "elbv2"))
    subnets = [item["SubnetId"] for item in abroad.describe_subnets()["Subnets"]]
    made = balancers.create_load_balancer(Name="shop", Scheme="internal", Subnets=subnets)["LoadBalancers"][0]
    there = {"DNSName": made["DNSName"], "HostedZoneId": made["CanonicalHostedZoneId"]}
    row = {"Name": "api.example.com", "Type": "A", "AliasTarget": {**there, "EvaluateTargetHealth": True}}
    names.change("CREATE", row)
    keep, before = Keeper(hand.world), names.rows()
    with pytest.raises(RefusedError) as refused:
        keep.adopt(web())
    told = r"record.api leads to a load balancer in eu-west-1: is us-east-1 the right region\? If it is, run adopt with (record.api=\S+)$"
    assert (found := re.search(told, str(refused.value)))
    assert names.rows() == before
    assert [str(item.address) for item in keep.adopt(web(), found[1]).matches] == ["record.api"]


def test_another_stacks_record_is_refused_and_never_adopted(hand: Hand, names: Names) -> None:
    other = {**api(), "stack": "other"}
    hand.make(other)
    hand.refuses(CNAME, r"api.example.com \(A\) of stack other already, which can't stand beside")
    hand.refuses(api(), r"record api.example.com \(A\) is stack other\'s; choose another name")
    with pytest.raises(RefusedError, match="other"):
        Keeper(hand.world).adopt(api())
    assert hand.world.plan(other).is_empty


def test_a_stack_of_that_name_in_another_region_is_another_stack(hand: Hand, names: Names) -> None:
    hand.make(api())
    about = names.rows()[TXT]
    assert {"Value": '"alb-reconcile:region=us-east-1"'} in about["ResourceRecords"]
    values = [{"Value": item["Value"].replace("us-east-1", "eu-west-1")} for item in about["ResourceRecords"]]
    names.change("DELETE", about)
    names.change("CREATE", {**about, "ResourceRecords": values})
    there = names.rows()
    hand.refuses(api("192.0.2.9"), "is stack demo in eu-west-1's; choose another name")
    with pytest.raises(RefusedError, match="demo in eu-west-1"):
        Keeper(hand.world).adopt(api())
    hand.world.destroy(api())
    assert names.rows() == there


def test_who_is_faster_is_not_overwritten(hand: Hand, names: Names, faults: Faults) -> None:
    """Somebody changes the record between plan and apply, and makes another one. A third one is none of their matter."""
    hand.make(api())

    def meanwhile(_: object) -> None:
        names.change("UPSERT", plain("api.example.com", "192.0.2.9"))
        names.change("CREATE", plain("www.example.com", "192.0.2.9"))

    faults.before("change_resource_record_sets", meanwhile)
    more = {name: record(name, resource_records=["192.0.2.1"]) for name in ("www", "free")}
    failures = hand.world.apply(only(**api("192.0.2.2")["records"], **more)).failures
    changed, made = sorted(failures, key=lambda text: "www" in text)
    assert "somebody has changed this record meanwhile" in changed
    assert "there is a record www.example.com (A) already, outside this stack; adopt it" in made
    values = {name: row["ResourceRecords"][0]["Value"] for name, row in names.rows().items() if name.endswith(" A")}
    assert values == {A: "192.0.2.9", "www.example.com A": "192.0.2.9", "free.example.com A": "192.0.2.1"}


def test_names_are_the_same_in_capitals_with_a_dot_and_with_a_star(hand: Hand, names: Names) -> None:
    names.change("CREATE", plain(r"\052.Example.COM."))
    entry = {"zone": "Example.com.", "name": "*.EXAMPLE.com.", "type": "A", "resource_records": ["192.0.2.1"]}
    Keeper(hand.world).adopt(only(any=entry))
    assert hand.world.plan(only(any=entry)).is_empty
    assert "a._wildcard.alb-reconcile.example.com TXT" in names.rows()


def test_a_users_tags_are_not_published(hand: Hand, names: Names) -> None:
    hand.make({**api(), "tags": {"owner": "alice@example.com"}})
    said = str(names.rows()[TXT])
    assert '"alb-reconcile:stack=demo"' in said
    assert "alice" not in said
    assert "owner" not in said


def test_the_txt_record_goes_with_one_that_somebody_deleted(hand: Hand, names: Names) -> None:
    hand.make(api())
    names.change("DELETE", names.rows()[A])
    hand.repairs(create("record.api"), by="change_resource_record_sets")
    names.change("DELETE", names.rows()[A])
    hand.world.destroy(api())
    assert names.rows() == {}


@pytest.mark.slow
def test_of_two_zones_the_one_with_the_id_is_meant(hand: Hand, names: Names) -> None:
    other = names.another()
    hand.refuses(api(), rf"there are 2 public hosted zones example.com \(.*{other}.*\); name the one")
    spec = edited(api(), "records/api/zone", other)
    hand.make({**demo(), **spec})
    assert names.rows() == {}
    assert A in names.rows(other)
    hand.world.destroy(hand.spec)
    assert names.rows(other) == {}
    spec = edited(spec, "records/api/name", "api.example.net")
    hand.refuses(spec, r"api.example.net isn't in zone example.com, nor is it that name itself")


def test_a_private_zone_is_meant_where_it_is_said(hand: Hand, names: Names) -> None:
    vpc = {"VPCRegion": "us-east-1", "VPCId": hand.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]}
    private = names.another(VPC=vpc, HostedZoneConfig={"PrivateZone": True})
    hand.make(edited(api(), "records/api/zone", {"name": ZONE, "private": True}))
    assert names.rows() == {}
    assert A in names.rows(private)


def test_a_health_check_that_is_not_there_is_told(hand: Hand, names: Names) -> None:
    told = r"records.api.health_check_id: there is no health check 0a1b in this account"
    hand.refuses(api(health_check_id="0a1b"), told)
    hand.make(api(health_check_id=CHECK))
    hand.make(api(health_check_id="none"))
    assert "HealthCheckId" not in names.rows()[A]


@pytest.mark.parametrize("code", ["PriorRequestNotComplete", "Throttling"])
def test_a_change_that_comes_too_early_is_repeated(hand: Hand, names: Names, faults: Faults, code: str) -> None:
    faults.refuse("change_resource_record_sets", code, times=3)
    hand.make(api())
