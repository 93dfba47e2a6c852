"""What no network leads to comes along with what alone uses it; what others use as well, or no entry can say, is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alb_reconcile.export.scope import ExportScope
from tests.adoption.adopting import our_tags
from tests.export.exporting import adopted, exported, plain, steps
from tests.export.hand_made import elb_tags
from tests.export.surroundings import BUCKET, KEY, PROFILE, furnished, record, rows, zone
from tests.harness import by_hand
from tests.kinds.test_listener import CERTIFICATES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import World
    from tests.properties.watched import WatchedWorld


@pytest.mark.slow
def test_all_that_a_service_uses_alone_comes_along(world: WatchedWorld, tmp_path: Path) -> None:
    made = furnished(world)
    inside = record(
        zone("shop.internal", made["vpc"]),
        world,
        made["balancer"],
        "*.shop.internal",
        SetIdentifier="blue",
        Weight=7,
    )
    _tag_all(world, made, owner="web team")
    found = exported(world, ExportScope(load_balancers=("shop",), vpcs=(made["vpc"],)), tmp_path)
    assert (found.problems, found.notes) == ((), ())
    spec = plain(found)
    assert spec["tags"] == {"owner": "web team"}
    assert "tags" not in spec["certificates"]["shop"]
    assert spec["load_balancers"]["shop"]["listeners"]["https"]["tags"] == {"owner": None}
    key = spec["key_pairs"]["ops-acme"]
    assert (key["name"], key["public_key"][:12]) == (KEY, "ssh-ed25519 ")
    assert spec["instances"]["instance"]["key_name"] == "ops-acme"
    assert spec["log_buckets"] == {"acme-web-logs": {"name": BUCKET}}
    assert spec["certificates"]["shop"] == {
        "domain_name": "shop.example.com", "subject_alternative_names": ["*.shop.example.com"], "zone": "example.com",
    }  # fmt: skip
    assert spec["records"] == {
        "shop": {"zone": "example.com", "name": "shop.example.com", "type": "A", "alias": "shop", "evaluate_target_health": False},
        "wildcard-blue": {
            "zone": {"name": "shop.internal", "private": True}, "name": "*.shop.internal", "type": "A", "alias": "shop",
            "evaluate_target_health": False, "set_identifier": "blue", "weight": 7,
        },
    }  # fmt: skip
    balancer = spec["load_balancers"]["shop"]
    assert balancer["attributes"]["access_logs.s3.bucket"] == "acme-web-logs"
    https = balancer["listeners"]["https"]
    assert https["certificate_arn"] == "shop"
    assert https["certificates"] == [made["bought"], CERTIFICATES[0]]
    for said in (
        f"instance profile {PROFILE} stays outside",
        "(old.example.org) stays outside: it was imported, and ACM never shows its private key",
        f"certificate {CERTIFICATES[0]} stays outside, since it is in IAM",
    ):
        assert said in found.text.replace("\n      #", "")
    assert steps(adopted(world, found, tmp_path)) == []
    own = {inside, *(made[name] for name in ("key", "bucket", "certificate", "record"))}
    assert own <= our_tags(world).keys()
    before = len(by_hand("s3").list_buckets()["Buckets"])
    spec["instances"]["web"]["user_data"] = (tmp_path / spec["instances"]["web"].pop("user_data_file")).read_text()
    spec["records"]["shop"]["evaluate_target_health"] = True
    balancer["attributes"]["access_logs.s3.prefix"] = "shop"
    opened = {"protocol": "tcp", "port": 443, "cidr_block": "0.0.0.0/0"}
    spec["security_groups"][balancer["security_groups"][0]]["ingress"].append(opened)
    world.converge(spec)
    assert len(by_hand("s3").list_buckets()["Buckets"]) == before
    world.destroy(spec)
    left = world.strict.inventory()
    assert own & left.keys() == set()
    assert made["bought"] in left
    assert by_hand("iam").get_instance_profile(InstanceProfileName=PROFILE)
    (kept,) = (row for row in rows(made["zone"]) if row["Type"] not in ("NS", "SOA"))
    assert kept["ResourceRecords"][0]["Value"].endswith(".acm-validations.aws."), "what validates was there before"


def _dns(world: World, name: str) -> str:
    return str(world.client("elbv2").describe_load_balancers(Names=[name])["LoadBalancers"][0]["DNSName"])


def _tag_all(world: World, made: dict[str, object], **tags: str) -> None:
    """Give a tag to all but listeners and rules, which hardly any tool tags."""
    elb, ec2 = world.client("elbv2"), world.client("ec2")
    by_hand("s3").put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": elb_tags(**tags)})
    by_hand("acm").add_tags_to_certificate(CertificateArn=made["certificate"], Tags=elb_tags(**tags))
    keys = [key for key in world.strict.inventory() if not key.startswith(("arn:", "ami-"))]
    ids = [key for key in keys if key.startswith(("vpc-", "subnet-", "igw-", "rtb-", "sg-", "i-", "key-"))]
    ec2.create_tags(Resources=ids, Tags=elb_tags(**tags))
    arns = [key for key in world.strict.inventory() if ":loadbalancer/" in key or ":targetgroup/" in key]
    for arn in arns:
        elb.add_tags(ResourceArns=[arn], Tags=elb_tags(**tags))
