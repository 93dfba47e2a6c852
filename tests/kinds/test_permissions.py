"""What the credentials may not do with EC2 is found out before anything is changed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.aws.dry_run import WITHOUT
from alb_reconcile.sandbox.strict.world import World as Place
from tests.harness import REGION, Spec, demo
from tests.kinds.hand import Hand, prepare, rich

if TYPE_CHECKING:
    from collections.abc import Mapping

DENIED = "UnauthorizedOperation: You are not authorized to perform this operation"


class Asked:
    """Which actions EC2 was asked about by dry runs."""

    def __init__(self, hand: Hand) -> None:
        self.about: Counter[str] = Counter()
        self._real = hand.world._call
        hand.world._call = self._call  # type: ignore[method-assign]

    def _call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        if "DryRun" in params:
            self.about[operation] += 1
        return self._real(service, operation, params)


@pytest.fixture(autouse=True)
def _prepared(hand: Hand) -> None:
    prepare()


def deny(*actions: str) -> None:
    Place(DEFAULT_ACCOUNT_ID, REGION).ledger.denied = set(actions)


def refusal(hand: Hand, spec: Spec, *, destroy: bool = False) -> str:
    return "\n".join(hand.refuses_run(spec, destroy=destroy))


def each_denied(hand: Hand, spec: Spec, *, destroy: bool = False) -> dict[str, str]:
    """What is said if an action is denied, of each that EC2 is asked about; asked once, whatever the size of the stack."""
    asked = Asked(hand)
    deny("DeleteVpc" if destroy else "CreateTags")  # so that nothing is done yet
    told: dict[str, str] = {}
    refusal(hand, spec, destroy=destroy)
    assert set(asked.about.values()) == {1}
    names = boto3.client("ec2", region_name=REGION).meta.method_to_api_mapping
    for operation in sorted(asked.about):
        deny(names[operation])
        told[names[operation]] = refusal(hand, spec, destroy=destroy)
    deny()
    return told


def test_what_may_not_be_created(hand: Hand) -> None:
    deny("CreateVpc")
    _, _, told = refusal(hand, demo()).partition(": ")
    assert told.startswith(f"vpcs.main: these credentials may not create it: CreateVpc: {DENIED}")
    assert "; allow the IAM action ec2:CreateVpc to this identity (" in told
    assert hand.world.plan(demo()).steps, "who only looks needs no permission to change"


def roomy() -> Spec:
    """The rich demo, with a subnet in its route table in which the load balancer isn't."""
    spec = rich()
    spec["subnets"]["spare"] = {"cidr_block": "10.0.3.0/24", "availability_zone": "a"}
    spec["route_tables"]["public"]["subnets"].append("spare")
    return spec


def changed() -> Spec:
    """The same, with something else in each kind of EC2's that can be changed in place. All of it serves as before."""
    spec = roomy()
    spec["vpcs"]["main"]["tags"] = {"team": "web"}
    spec["security_groups"]["load-balancer"]["ingress"] = [
        {"protocol": "tcp", "port": 80, "cidr_block": "0.0.0.0/0"},
        {"protocol": "tcp", "port": 8080, "cidr_block": "10.0.0.0/8"},
    ]
    spec["security_groups"]["web"] |= {
        "ingress": [{"protocol": "tcp", "port": 80, "security_group": "load-balancer", "description": "HTTP"}],
        "egress": [{"protocol": "tcp", "port": 443, "cidr_block": "0.0.0.0/0"}],
    }
    routes = [{"destination_cidr_block": block, "internet_gateway": "main"} for block in ("0.0.0.0/1", "128.0.0.0/1")]
    spec["route_tables"]["public"] |= {"routes": routes, "subnets": ["public-a", "public-b"]}
    spec["instances"]["web"] |= {
        "type_change": "in-place",
        "instance_type": "t3.small",
        "security_groups": ["web", "load-balancer"],
        "iam_instance_profile": "other",
        "metadata_options": {**spec["instances"]["web"]["metadata_options"], "http_put_response_hop_limit": 3},
        "rollout": {"max_unavailable": 1},
    }
    return spec


@pytest.mark.slow
def test_each_change_is_tried_once(hand: Hand) -> None:
    hand.make(roomy())
    told = each_denied(hand, changed())
    assert told.keys() == {
        "AuthorizeSecurityGroupEgress", "AuthorizeSecurityGroupIngress", "CreateRoute", "CreateTags", "DeleteRoute",
        "DisassociateRouteTable", "ModifyInstanceAttribute", "ModifyInstanceMetadataOptions", "RevokeSecurityGroupEgress",
        "RevokeSecurityGroupIngress", "StartInstances", "StopInstances", "UpdateSecurityGroupRuleDescriptionsIngress",
    }  # fmt: skip
    for action, text in told.items():
        assert f": these credentials may not update it: {action}: {DENIED}" in text
        line, column = text.split(":")[1:3]
        assert (line + column).isdecimal()
        assert len(text.splitlines()) == 1
    deny("StopInstances", "StartInstances", "DeleteRoute")
    lines = refusal(hand, changed()).splitlines()
    assert sorted(line.split(": ")[3] for line in lines) == ["DeleteRoute", "StartInstances", "StopInstances"]
    deny()
    hand.make(changed())


@pytest.mark.slow
def test_each_deletion_is_tried_once(hand: Hand) -> None:
    hand.make(demo())
    told = each_denied(hand, demo(), destroy=True)
    assert told.keys() == {
        "DeleteInternetGateway", "DeleteRouteTable", "DeleteSecurityGroup", "DeleteSubnet", "DeleteVpc", "DetachInternetGateway",
        "DisassociateRouteTable", "TerminateInstances",
    }  # fmt: skip
    for action, text in told.items():
        assert f": these credentials may not delete it: {action}: {DENIED}" in text
    assert told["DeleteVpc"].startswith("vpc.main: ")
    assert not hand.world.apply(demo(), destroy=True).failures


def test_lifting_a_protection_is_tried(hand: Hand) -> None:
    hand.make(demo())
    hand.ec2.modify_instance_attribute(InstanceId=hand["instance.web-1"], DisableApiTermination={"Value": True})
    deny("ModifyInstanceAttribute")
    told = "may not delete it: ModifyInstanceAttribute: "
    hand.refuses_run(demo(), told, destroy=True, allow={"lift-protection": 1})


def test_what_takes_no_dry_run_is_known() -> None:
    ec2 = boto3.client("ec2", region_name=REGION).meta
    for operation in WITHOUT:
        shape = ec2.service_model.operation_model(ec2.method_to_api_mapping[operation]).input_shape
        assert "DryRun" not in shape.members
