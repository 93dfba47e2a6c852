"""What `sync` does and says where no tag says that the spec is applied."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.cli.render.style import Style
from alb_reconcile.cli.render.sync import sync_text
from alb_reconcile.sync.rounds import SyncReport
from alb_reconcile.sync.stack import NEVER_RECORDED, UNRECORDED
from tests.adoption.adopting import keeper
from tests.harness import demo
from tests.journal.records import RECORD
from tests.kinds.hand import edited
from tests.sync.words import done, left

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Hand

EVERYTHING = {"correct": ["update", "create", "replace", "delete"]}
FIXED = {"fixed_response": {"status_code": 200}}


def _open() -> Spec:
    """The demo, whose load balancer lets clients in on another port as well."""
    spec = demo()
    spec["security_groups"]["load-balancer"]["ingress"].append(
        {"protocol": "tcp", "port": 8080, "cidr_block": "0.0.0.0/0"}
    )
    return spec


def _more() -> Spec:
    """The same with a listener, a rule and a target that its file leaves out."""
    spec = _open()
    listeners = spec["load_balancers"]["public"]["listeners"]
    listeners["more"] = {"protocol": "HTTP", "port": 8080, "default_action": FIXED}
    listeners["http"]["rules"] = {
        "soon": {"priority": 9, "conditions": [{"path_pattern": "/v2/*"}], "action": FIXED},
    }
    spec["target_groups"]["web"]["targets"] = ["web", {"instances": "web", "port": 81}]
    return spec


@pytest.mark.slow
def test_what_an_adoption_has_found_isnt_deleted() -> None:
    with keeper() as (world, keep):
        world.converge(_more())
        keep.forget(_more())
        spec = {**_open(), "sync": EVERYTHING}
        keep.adopt(spec)
        for _ in range(2):
            ending = world.sync(spec)
            assert done(ending) == {}
            assert len(left(ending)) == 4
            assert set(left(ending).values()) == {"spec"}
            assert NEVER_RECORDED in ending.notes
        world.apply(spec, allow={"delete": 9, "deregister": 9}, check=False)
        assert not world.sync(spec).notes
        elb = world.client("elbv2")
        (listener,) = elb.describe_listeners(
            LoadBalancerArn=elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
        )["Listeners"]
        elb.create_listener(
            LoadBalancerArn=listener["LoadBalancerArn"], Protocol="HTTP", Port=9090, DefaultActions=listener["DefaultActions"]
        )  # fmt: skip
        moved = edited(spec, "target_groups/web/min_healthy", 1)
        assert list(done(world.sync(moved)).values()) == ["drift"], "what somebody adds later is, whatever else is new"


FEW: Spec = {"stack": "few", "region": "us-east-1"}
"""A stack of kinds of which none carries the digest of the whole."""


def test_where_nobody_can_tell_nobody_is_asked_to_apply_again(hand: Hand) -> None:
    answer = hand.world.client("route53").create_hosted_zone(Name="example.com", CallerReference="x")
    zone = answer["HostedZone"]["Id"].rpartition("/")[2]
    record = {"zone": zone, "name": "www.example.com", "type": "A", "ttl": 60, "resource_records": ["192.0.2.1"]}
    spec = {**FEW, "records": {"www": record}}
    hand.make(spec)
    assert not hand.world.sync(spec).notes


def test_a_target_group_tells_where_nobody_else_can(hand: Hand) -> None:
    vpc = hand.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    hand.ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")
    group = {"vpc": vpc, "protocol": "HTTP", "port": 80, "target_type": "ip", "targets": ["10.0.0.8"]}
    spec = {**FEW, "target_groups": {"web": group}, "sync": EVERYTHING}
    hand.make(spec)
    assert not hand.world.sync(spec).notes
    hand.elb.register_targets(TargetGroupArn=hand["target_group.web"], Targets=[{"Id": "10.0.0.9", "Port": 80}])
    assert list(done(hand.world.sync(spec)).values()) == ["drift"]


def _told(ending_notes: tuple[str, ...], *, quiet: bool) -> str:
    record = replace(RECORD, result="in_sync", steps=())
    return sync_text(SyncReport([record], notes={record.run: ending_notes}), Style(colored=False), quiet=quiet)


def test_a_change_that_aws_doesnt_show_is_told_and_mailed_to_nobody(hand: Hand, spec: Spec) -> None:
    spec["target_groups"]["web"]["min_healthy"] = 1
    ending = hand.world.sync(spec)
    assert ending.notes == (UNRECORDED,)
    assert UNRECORDED in _told(ending.notes, quiet=False)
    assert _told(ending.notes, quiet=True) == ""
    assert _told((*ending.notes, "registration.web/web-1:80 is unhealthy"), quiet=True)
    assert hand.world.sync(spec, apply_changes=True).notes == (), "it is written down now"
    assert hand.world.sync(spec).notes == ()


@pytest.mark.slow
def test_what_forget_leaves_as_the_spec_has_it_counts_as_applied() -> None:
    spec = demo()
    spec["security_groups"]["bastion"] = {"description": "ours for now", "vpc": "main"}
    ssh = {"protocol": "tcp", "port": 22, "security_group": "bastion"}
    spec["security_groups"]["web"]["ingress"].append(ssh)
    with keeper() as (world, keep):
        world.converge(spec)
        (bastion,) = (item for item in world.plan(spec).live if str(item.address) == "security_group.bastion")
        del spec["security_groups"]["bastion"]
        ssh["security_group"] = bastion.id
        keep.forget(spec, "security_group.bastion")
        assert world.plan(spec).is_empty
        assert not world.sync(spec).notes
        (web,) = (item for item in world.plan(spec).live if str(item.address) == "security_group.web")
        world.client("ec2").authorize_security_group_ingress(
            GroupId=web.id, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
        )
        assert list(done(world.sync(spec)).values()) == ["drift"]
