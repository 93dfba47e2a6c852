"""What a round does and leaves after one thing was done by hand, or one entry of the spec was changed; and that the next one does no more."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model import tags
from alb_reconcile.sync.stack import MISSING
from tests.harness import demo
from tests.kinds.hand import LINUX_1, LINUX_2
from tests.plan.stacks import edited
from tests.plan.targets import rule
from tests.properties.seeds import sampled
from tests.sync import acts
from tests.sync.words import done, left, with_image, writes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alb_reconcile.sync.stack import Ending
    from tests.harness import Spec
    from tests.kinds.hand import Hand

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HTTP = "load_balancers/public/listeners/http"
LISTENER, SOON = "listener.public/http", "rule.public/http/soon"
TABLE, GROUP, PORTS = "route_table.public", "target_group.web", "security_group_rules.web"
ONE, JOINS = "instance.web-1", "registration.web/web-1:80"
THEIRS, STRAY = "listener.public/:8080", "rule.public/http/#7"
INSTANCES = (ONE, "instance.web-2")
STRANGER = "registration.web/i-other:80"
NETWORK = (
    "vpc.main", "subnet.public-a", "subnet.public-b", "internet_gateway.main", "security_group.load-balancer", "security_group.web",
    TABLE, "load_balancer.public",
)  # fmt: skip
WEB = with_image(demo(), LINUX_1)["instances"]["web"]
INTERVAL = {"target_groups/web/health_check/interval_seconds": 15}
OUT = {"destination_cidr_block": "0.0.0.0/0", "internet_gateway": "main"}
ELSEWHERE = {**OUT, "destination_cidr_block": "172.31.0.0/16"}
THIRD = {"cidr_block": "10.0.9.0/24", "availability_zone": "c", "vpc": "main"}
SUBNETS = ("public-a", "public-b")
USERS = ("load_balancers/public/subnets", "route_tables/public/subnets")
FIXED = {"fixed_response": {"status_code": 503}}
SPLIT = {
    "route_tables": {"public": {"subnets": ["public-a"], "routes": [OUT]}, "second": {"subnets": ["public-b"], "routes": [OUT]}},
}  # fmt: skip
COLOURS = {
    "instances/more": WEB, "instances/green": WEB, "target_groups/web/targets": ["web", "more"],
    "target_groups/green": {**demo()["target_groups"]["web"], "targets": ["green"]},
}  # fmt: skip
NEW_IMAGE = {"instances/web/image_id": LINUX_2}


HALF = {**INTERVAL, "security_groups/spare": {"description": "spare"}, f"{HTTP}/default_action": FIXED}


@dataclass(frozen=True)
class Case:
    """`before` is applied, and `want` isn't, edits by path; `words` are the spec's `sync`. `done` and `left` have causes by address, and
    `why` is a reason among those of what is left."""

    act: Callable[[Hand], Any] = lambda _: None
    before: Mapping[str, Any] = field(default_factory=dict)
    want: Mapping[str, Any] = field(default_factory=dict)
    words: Mapping[str, list[str]] = field(default_factory=dict)
    apply_changes: bool = False
    done: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    ignored: int = 0


def of_now(hand: Hand, changes: Mapping[str, Any]) -> Spec:
    """The spec that is applied, with changes."""
    return edited(copy.deepcopy(hand.spec), changes)


def drift(*addresses: str) -> dict[str, str]:
    return dict.fromkeys(addresses, "drift")


def new(*addresses: str) -> dict[str, str]:
    return dict.fromkeys(addresses, "spec")


def all_of(*some: Callable[[Hand], Any]) -> Callable[[Hand], None]:
    def act(hand: Hand) -> None:
        for one in some:
            one(hand)

    return act


def renamed(*addresses: str) -> Callable[[Hand], None]:
    return all_of(*(lambda hand, at=at: hand.changed_tags("ec2", hand[at], {"Name": "other"}) for at in addresses))


def left_alone(address: str) -> Callable[[Hand], None]:
    """Somebody has tagged it."""
    service = "elbv2" if address.startswith(("listener", "load_balancer", "target_group")) else "ec2"
    return lambda hand: hand.changed_tags(service, hand[address], {tags.IGNORE_UNTIL: "2026-12-01T00:00Z"})


def delete_rule(hand: Hand) -> None:
    hand.elb.delete_rule(RuleArn=hand[SOON])


def move_rule(hand: Hand) -> None:
    hand.elb.set_rule_priorities(RulePriorities=[{"RuleArn": hand[SOON], "Priority": 30}])


def add_theirs(hand: Hand) -> None:
    """A listener, with another stack's rule."""
    theirs = [{"Key": tags.STACK, "Value": "other"}, {"Key": tags.ADDRESS, "Value": "rule.x/y/z"}]
    acts.add_rule(hand, acts.add_listener(hand), Tags=theirs)


def add_route(hand: Hand) -> None:
    """A colleague's way to a network of theirs."""
    block, gateway = ELSEWHERE["destination_cidr_block"], hand["internet_gateway.main"]
    hand.ec2.create_route(RouteTableId=hand[TABLE], DestinationCidrBlock=block, GatewayId=gateway)


def stray(hand: Hand) -> None:
    """A rule and a target, of the same group."""
    acts.register_stranger(hand)
    acts.add_rule(hand, actions=[{"Type": "forward", "TargetGroupArn": hand["target_group.web"]}])


def third_zone(hand: Hand) -> None:
    """The load balancer gets one, with a target."""
    made = hand.ec2.create_subnet(VpcId=hand["vpc.main"], CidrBlock="10.0.7.0/24", AvailabilityZone="us-east-1c")
    subnets = [hand["subnet.public-a"], hand["subnet.public-b"], made["Subnet"]["SubnetId"]]
    hand.elb.set_subnets(LoadBalancerArn=hand["load_balancer.public"], Subnets=subnets)
    acts.register_stranger(hand, subnets[-1])
    hand.wait(300)


def copy_group(hand: Hand) -> None:
    """With all tags."""
    (old,) = hand.ec2.describe_security_groups(GroupIds=[hand["security_group.web"]])["SecurityGroups"]
    copied = {"ResourceType": "security-group", "Tags": old["Tags"]}
    hand.ec2.create_security_group(
        GroupName="copy", Description=old["Description"], VpcId=old["VpcId"], TagSpecifications=[copied]
    )


def lead_elsewhere(hand: Hand) -> None:
    made = hand.ec2.create_network_interface(SubnetId=hand["subnet.public-a"])["NetworkInterface"]
    hand.ec2.replace_route(
        RouteTableId=hand[TABLE], DestinationCidrBlock=acts.DEFAULT, NetworkInterfaceId=made["NetworkInterfaceId"]
    )


def share_endpoint(hand: Hand) -> None:
    table = hand.ec2.create_route_table(VpcId=hand["vpc.main"])["RouteTable"]["RouteTableId"]
    hand.ec2.modify_vpc_endpoint(VpcEndpointId=hand["vpc_endpoint.s3"], AddRouteTableIds=[table])


def move_subnet(hand: Hand) -> None:
    (table,) = hand.ec2.describe_route_tables(RouteTableIds=[hand["route_table.second"]])["RouteTables"]
    (found,) = table["Associations"]
    hand.ec2.replace_route_table_association(AssociationId=found["RouteTableAssociationId"], RouteTableId=hand[TABLE])


def slow_check(hand: Hand) -> None:
    hand.elb.modify_target_group(TargetGroupArn=hand[GROUP], HealthCheckIntervalSeconds=25)


def open_port(hand: Hand) -> None:
    acts.let_in(hand, "web")


def roll_half_way(hand: Hand) -> None:
    acts.stopped_half_way(hand, of_now(hand, NEW_IMAGE), "deregister_targets", "terminate_instances")


def stop_one(hand: Hand) -> None:
    acts.stop(hand, "web-1")


def terminate_one(hand: Hand) -> None:
    acts.terminate(hand, "web-1")


def take_one_out(hand: Hand) -> None:
    acts.deregister(hand, "web-1")


CASES = {
    "a stray listener waits": Case(acts.add_listener, left=drift(THEIRS)),
    "a stopped instance waits, and its neighbour is corrected": Case(
        all_of(renamed("instance.web-2"), stop_one), done=drift("instance.web-2"), left=drift(ONE),
    ),
    "an instance more": Case(want={"instances/web/count": 3}, left=new("instance.web-3", "registration.web/web-3:80")),
    "an instance less": Case(want={"instances/web/count": 1}, left=new("instance.web-2", "registration.web/web-2:80")),
    "an instance that was scaled down, and that an unapplied spec wants again": Case(
        lambda hand: hand.make(of_now(hand, {"instances/web/count": 2})), before={"instances/web/count": 3},
        want={"target_groups/web/min_healthy": 1}, left=new("instance.web-3", "registration.web/web-3:80"),
    ),
    "drift beside a changed entry": Case(renamed("vpc.main"), want=INTERVAL, done=drift("vpc.main"), left=new(GROUP)),
    "what is missing and is wanted as before": Case(
        acts.delete_listener, want={**INTERVAL, f"{HTTP}/rules/soon/priority": 20},
        done=drift(LISTENER), left={GROUP: "spec", SOON: "drift"},
    ),
    "an instance of a changed group doesn't come back as another version than its neighbour": Case(
        terminate_one, want=NEW_IMAGE, left={**drift(ONE, JOINS), "instance.web-2": "spec"}, why=MISSING,
    ),
    "a new instance joins the group that serves, which waits since somebody has changed it": Case(
        all_of(acts.change_check, terminate_one), done=drift(ONE, JOINS), left=drift(GROUP),
    ),
    "it joins a group that waits to be replaced": Case(
        terminate_one, want={"target_groups/web/health_check/path": "/new"}, done=drift(ONE, JOINS), left=new(GROUP),
    ),
    "tags of the whole stack are the spec's": Case(
        want={"tags": {"service": "renamed"}}, left=new(*NETWORK, GROUP, *INSTANCES, LISTENER, SOON),
    ),
    "an entry that was removed": Case(want={f"{HTTP}/rules": None}, words={"correct": ["delete"]}, left=new(SOON)),
    "a kind that is only reported": Case(
        acts.delete_listener, words={"report": ["listener"]}, left=drift(LISTENER, SOON), why="the spec's `sync.report` has listener",
    ),
    "an address outranks its kind": Case(
        renamed("subnet.public-a", "subnet.public-b"), words={"report": ["subnet"], "correct": ["subnet.public-a"]},
        done=drift("subnet.public-a"), left=drift("subnet.public-b"),
    ),
    "what is ignored": Case(renamed(ONE), words={"ignore": ["instance.web"]}, ignored=1),
    "a target leaves only for an instance that comes": Case(
        want={**NEW_IMAGE, "instances/web/rollout": {"max_surge": 0, "max_unavailable": 1}}, apply_changes=True,
        words={"correct": ["registration", "delete"], "report": ["instance"]}, left=new(*INSTANCES),
    ),
    "a target isn't drained for a restart that waits": Case(
        want={"instances/web/type_change": "in-place", "instances/web/instance_type": "t3.small", "instances/web/rollout": {"max_unavailable": 1}},
        words={"correct": ["registration", "delete"], "report": ["replace"]}, apply_changes=True,
        left={**new(*INSTANCES), **drift(JOINS, "registration.web/web-2:80")},
    ),
    "a tag covers what is inside a load balancer": Case(all_of(left_alone("load_balancer.public"), delete_rule), left=drift(SOON)),
    "a tag covers members": Case(all_of(left_alone("security_group.web"), open_port), left=drift(PORTS)),
    "an instance out for repair isn't registered again": Case(all_of(left_alone(ONE), take_one_out), left=drift(JOINS)),
    "an unapplied rule doesn't change the listener": Case(
        before={"target_groups/api": {"protocol": "HTTP", "port": 80, "targets": ["web"]}},
        want={f"{HTTP}/rules/api": rule(20, "/api/*", "api")}, left={LISTENER: "drift", "rule.public/http/api": "spec"},
    ),
    "an old checkout doesn't bring back what was removed": Case(
        before={f"{HTTP}/rules": None}, want={f"{HTTP}/rules": {"soon": rule(10, "/v2/*", "web")}}, left=new(SOON),
    ),
    "another stack's rule isn't deleted with its listener": Case(add_theirs, words={"correct": ["delete"]}, left=drift(THEIRS)),
    "an open port is closed beside a stopped instance": Case(all_of(open_port, stop_one), done=drift(PORTS), left=drift(ONE)),
    "an open port is closed beside a stray target": Case(
        all_of(open_port, acts.register_stranger), done=drift(PORTS), left=drift(STRANGER),
    ),
    "an open port is closed beside a roll that isn't applied": Case(open_port, want=NEW_IMAGE, done=drift(PORTS), left=new(*INSTANCES)),
    "an open port is closed, and a route is left": Case(
        all_of(add_route, open_port), done=drift(PORTS), left=drift(TABLE), why="taking away what others may depend on requires manual action",
    ),
    "a route may be taken away": Case(add_route, words={"correct": ["create", "update", "delete"]}, done=drift(TABLE)),
    "a route that leaves the spec is left as well": Case(
        before={"route_tables/public/routes": [OUT, ELSEWHERE]}, want={"route_tables/public/routes": [OUT]}, apply_changes=True, left=new(TABLE),
    ),
    "what is lost beside a stray route comes back": Case(all_of(add_route, acts.delete_route), done=drift(TABLE), left=drift(TABLE)),
    "what leads elsewhere beside a stray route is put right": Case(
        all_of(add_route, lead_elsewhere), done=drift(TABLE), left=drift(TABLE),
    ),
    "another route table keeps its way to an endpoint": Case(
        share_endpoint, before={"vpc_endpoints": {"s3": {"service_name": "s3", "route_tables": ["public"]}}}, left=drift("vpc_endpoint.s3"),
    ),
    "a subnet stays that instances use which wait": Case(
        before={"subnets/public-c": THIRD, "instances/web/subnets": ["public-c"], **{path: [*SUBNETS, "public-c"] for path in USERS}},
        want={"subnets/public-c": None, "instances/web/subnets": ["public-a"], **{path: [*SUBNETS] for path in USERS}},
        words={"correct": ["delete"]}, apply_changes=True, left=new("load_balancer.public", TABLE, "subnet.public-c", *INSTANCES),
    ),
    "the port of a listener that waits stays its own": Case(
        want={f"{HTTP}/port": 8081, "load_balancers/public/listeners/second": {"protocol": "HTTP", "port": 80, "default_action": FIXED}},
        words={"report": [LISTENER]}, apply_changes=True, left=new(LISTENER, "listener.public/second"),
    ),
    "a tag on a route table doesn't keep an instance dead": Case(
        all_of(left_alone(TABLE), add_route, terminate_one), done=drift(ONE, JOINS), left=drift(TABLE),
    ),
    "no instance is made where its route is missing, as its user data runs once": Case(
        all_of(acts.delete_route, terminate_one), words={"report": ["route_table"]}, left=drift(TABLE, ONE, JOINS),
    ),
    "no instance is made that can't be registered": Case(
        all_of(left_alone(GROUP), terminate_one), left=drift(ONE, JOINS), why=f"it would serve nobody: {JOINS} isn't done",
    ),
    "an instance is made that somebody else registers": Case(
        all_of(left_alone(GROUP), terminate_one), words={"ignore": ["registration"]}, done=drift(ONE), ignored=1,
    ),
    "an unapplied target doesn't keep a worker dead": Case(
        lambda hand: acts.terminate(hand, "worker-1"), before={"instances/worker": {**WEB, "count": 1}},
        want={"target_groups/web/targets": ["web", "worker"]}, done=drift("instance.worker-1"), left=new("registration.web/worker-1:80"),
    ),
    "what is ignored doesn't keep a listener deleted": Case(
        all_of(lambda hand: acts.revoke(hand, "web"), acts.delete_listener), words={"ignore": [PORTS]}, done=drift(LISTENER, SOON), ignored=1,
    ),
    "what is reported of a rule holds for its priority": Case(
        move_rule, words={"report": [SOON]}, left=drift("rule_priorities.public/http"),
    ),
    "what is ignored of a rule holds for its priority": Case(move_rule, words={"ignore": [SOON]}, ignored=1),
    "no more members are made of a version that waits": Case(
        want={**NEW_IMAGE, "instances/web/count": 3}, apply_changes=True,
        left=new(*INSTANCES, "instance.web-3", "registration.web/web-3:80"),
    ),
    "a zone is kept for a target that waits": Case(third_zone, left=drift("load_balancer.public", STRANGER)),
    "a table doesn't let a subnet go that nobody takes": Case(
        all_of(move_subnet, left_alone("route_table.second")), before={**SPLIT}, left=drift(TABLE, "route_table.second"),
    ),
    "a tag that waits doesn't keep a target out": Case(
        take_one_out, want={"instances/web/tags": {"team": "new"}}, done=drift(JOINS), left=new(*INSTANCES),
    ),
    "a copy with all tags is drift": Case(
        copy_group, left=drift("security_group.web"), why="a duplicate at its address; deleting it requires manual action",
    ),
    "a stray rule goes without a stray target": Case(stray, words={"correct": ["delete"]}, done=drift(STRAY), left=drift(STRANGER)),
    "a stray target goes without a stray rule": Case(stray, words={"correct": ["registration"]}, done=drift(STRANGER), left=drift(STRAY)),
    "what somebody is in the way of waits, and the rest is done": Case(
        all_of(renamed("vpc.main"), acts.delete_listener, lambda hand: acts.add_listener(hand, 80)),
        done=drift("vpc.main"), left=drift(LISTENER, SOON, "listener.public/:80"), why="which isn't done",
    ),
    "a replacement is told without what follows from it": Case(acts.change_check, left=drift(GROUP), why="it requires manual action"),
    "the rest of what is to be replaced is corrected": Case(
        all_of(acts.change_check, slow_check), done=drift(GROUP), left=drift(GROUP),
    ),
    "a digest isn't written while a part of its entry waits": Case(
        want={**INTERVAL, "target_groups/web/health_check/path": "/new"}, apply_changes=True, done=new(GROUP), left=new(GROUP),
    ),
    "a digest isn't written while a target waits": Case(
        before={"instances/job": {**WEB, "count": 1}, "target_groups/web/targets": ["web", "job"]}, apply_changes=True,
        want={**INTERVAL, "target_groups/web/targets": ["web"]}, done=new(GROUP), left=new("registration.web/job-1:80"),
    ),
    "what an apply has left that failed isn't somebody's doing": Case(
        all_of(
            lambda hand: acts.stopped_half_way(hand, of_now(hand, HALF), "modify_target_group", "modify_listener"), renamed("vpc.main"),
        ),
        want=HALF, done=drift("vpc.main"), left=new(GROUP, LISTENER),
    ),
    "what a roll has left isn't somebody's doing": Case(
        roll_half_way, want=NEW_IMAGE, words={"correct": ["delete"]}, left=new(JOINS, *INSTANCES),
        why="a duplicate at its address, which serves; the spec has changed",
    ),
    "nor is what a roll has left that was given up": Case(
        roll_half_way, words={"correct": ["delete"]}, left=new(JOINS, ONE),
        why="a duplicate at its address, which serves; the spec has changed",
    ),
    "nothing is made for a replacement that waits": Case(
        before={"instances/job": {**WEB, "count": 1}}, apply_changes=True,
        want={"subnets/public-c": THIRD, "instances/job/subnets": ["public-c"]},
        left=new("subnet.public-c", "instance.job-1"), why="only instance.job-1 would use it, which isn't done",
    ),
    "what is made anew doesn't say that an unapplied spec is applied": Case(
        lambda hand: hand.ec2.delete_security_group(GroupId=hand["security_group.spare"]),
        before={"security_groups/spare": {"description": "spare"}},
        want={"instances/web/count": 3, f"{HTTP}/default_action": FIXED},
        done=drift("security_group.spare"), left=new("instance.web-3", "registration.web/web-3:80", LISTENER),
    ),
    "targets stay where a listener that is left alone sends requests": Case(
        left_alone(LISTENER), before={**COLOURS}, apply_changes=True, words={"correct": ["delete", "registration", "rule"]},
        want={f"{HTTP}/default_action": {"forward": "green"}, "target_groups/web/targets": ["web"]},
        left=new(LISTENER, "registration.web/more-1:80", "registration.web/more-2:80"),
    ),
}  # fmt: skip


def told(ending: Ending) -> tuple[dict[str, str], dict[str, str]]:
    """What was done, and what is left; an instance that isn't the stack's is `i-other`."""
    first, second = (
        {re.sub("i-[0-9a-f]{17}", "i-other", name): cause for name, cause in of(ending).items()} for of in (done, left)
    )
    return first, second


@pytest.mark.parametrize("name", sampled(CASES, 2))
def test_what_is_done_and_what_is_left(hand: Hand, spec: Spec, name: str) -> None:
    case = CASES[name]
    if case.before:
        hand.make(edited(spec, case.before), allow={"delete": 9, "replace": 9})
    case.act(hand)
    wanted = edited(copy.deepcopy(spec), case.want) | ({"sync": dict(case.words)} if case.words else {})
    ending = hand.world.sync(wanted, apply_changes=case.apply_changes, now=NOW)
    assert told(ending) == (case.done, case.left)
    assert {item.how for item in ending.outcomes} <= {"done"}
    assert case.done or writes(hand) == []
    assert not case.why or any(case.why in reason for reason in ending.selection.withheld.values())
    assert len(ending.selection.ignored) == case.ignored
    ending = hand.world.sync(wanted, apply_changes=case.apply_changes, now=NOW)
    assert told(ending) == ({}, case.left)
    assert writes(hand) == []
