"""What a spec names by its id, or by AWS's name, isn't deleted under it: a network is handed over by `release`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.adoption.adopting import Keeper
from tests.harness import Spec, demo
from tests.kinds.test_key_pair import ONE

if TYPE_CHECKING:
    from tests.kinds.hand import Hand

NETWORK = ("vpcs", "subnets", "internet_gateways", "route_tables")


def split(hand: Hand, spec: Spec) -> Spec:
    """The service without its network, which it names by ids."""
    ids: dict[str, Any] = {"vpc": hand["vpc.main"], "subnets": [hand["subnet.public-a"], hand["subnet.public-b"]]}
    rest = {key: value for key, value in spec.items() if key not in NETWORK}
    for section, key in (
        ("security_groups", "vpc"),
        ("target_groups", "vpc"),
        ("instances", "subnets"),
        ("load_balancers", "subnets"),
    ):
        rest[section] = {name: {**entry, key: ids[key]} for name, entry in rest[section].items()}
    return rest


def refusal(hand: Hand, spec: Spec) -> str:
    with pytest.raises(RefusedError) as caught:
        hand.world.plan(spec, allow={"delete": 99})
    return str(caught.value)


def test_its_own_network_named_by_ids_stays_until_it_is_released(hand: Hand) -> None:
    hand.make(demo())
    rest = split(hand, demo())
    text = refusal(hand, rest)
    subnet = hand["subnet.public-a"]
    assert f"load_balancers.public.subnets: {subnet} is this stack's own subnet.public-a, and would be deleted" in text
    (command,) = re.findall("alb-reconcile release (.+)", text)
    file, *addresses = command.split()
    assert file == "spec.yaml"
    network = {"vpc.main", "subnet.public-a", "subnet.public-b", "internet_gateway.main", "route_table.public"}
    assert set(addresses) == network  # with what the subnets need to stay reachable

    Keeper(hand.world).release(rest, "vpc.main", "subnet.public-a", "subnet.public-b", "internet_gateway.main")
    text = refusal(hand, rest)  # what was left out is no trap
    assert f"route_table.public: {subnet} loses its route table" in text
    assert "load_balancer.public" in text

    Keeper(hand.world).release(rest, "route_table.public")
    assert hand.world.plan(rest).is_empty


def test_a_declared_rule_that_names_what_left_the_spec_isnt_called_unmanaged(hand: Hand) -> None:
    spec = demo()
    spec["security_groups"]["bastion"] = {"description": "ours for now", "vpc": "main"}
    ssh = {"protocol": "tcp", "port": 22, "security_group": "bastion"}
    spec["security_groups"]["web"]["ingress"].append(ssh)
    hand.make(spec)
    del spec["security_groups"]["bastion"]
    ssh["security_group"] = hand["security_group.bastion"]
    text = refusal(hand, spec)
    assert "by hand" not in text
    assert text.endswith("alb-reconcile release spec.yaml security_group.bastion")
    del spec["security_groups"]["web"]["ingress"]
    assert "the spec doesn't manage that rule" in refusal(hand, spec)


def test_a_group_by_its_id_an_address_and_what_aws_knows_by_name(hand: Hand) -> None:
    spec = demo()
    logs = {"access_logs.s3.enabled": True, "access_logs.s3.bucket": "logs"}
    spec["load_balancers"]["public"]["attributes"] = logs
    spec["log_buckets"] = {"logs": {}, "more": {}}
    spec["instance_profiles"] = {"web": {"session_manager": True}}
    spec["elastic_ips"] = {"admin": {}}
    spec["key_pairs"] = {"ops": {"name": "shop-ops", "public_key": ONE}}
    spec["instances"]["web"] |= {"key_name": "ops", "count": 1, "elastic_ip": "admin", "iam_instance_profile": "web"}
    hand.make(spec)
    gone = ("elastic_ips", "key_pairs", "instance_profiles")
    rest = {key: value for key, value in spec.items() if key not in gone} | {"log_buckets": {"more": {}}}
    bucket = hand["log_bucket.logs"].rpartition(":")[2]
    balancer = {
        **spec["load_balancers"]["public"],
        "attributes": {**logs, "access_logs.s3.bucket": bucket},
    }
    rest["load_balancers"] = {"public": balancer}
    profile = hand["instance_profile.web"].rpartition("/")[2]
    rest["security_groups"] = {"load-balancer": spec["security_groups"]["load-balancer"]}
    entry = {"security_groups": [hand["security_group.web"]], "elastic_ip": hand["elastic_ip.admin"]}
    rest["instances"] = {
        "web": {**spec["instances"]["web"], **entry, "key_name": "shop-ops", "iam_instance_profile": profile}
    }
    text = refusal(hand, rest)
    for name, own in (
        (hand["security_group.web"], "security_group.web"),
        (hand["elastic_ip.admin"], "elastic_ip.admin"),
        ("shop-ops", "key_pair.ops"),
        (bucket, "log_bucket.logs"),
        (profile, "instance_profile.web"),
    ):
        assert f"{name} is this stack's own {own}, and would be deleted" in text
    assert text.endswith(
        "alb-reconcile release spec.yaml elastic_ip.admin instance_profile.web key_pair.ops log_bucket.logs security_group.web"
    )
