"""What an unattended run must not do, and must not be kept from: found by trying to make it do harm."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.engine.apply import Event
from alb_reconcile.engine.stack import apply_stack, plan_stack
from alb_reconcile.journal.record import DESTROY_BEGUN
from alb_reconcile.model import tags
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import LeaseLostError
from alb_reconcile.sync.stack import REFUSED, Ways, correct, survey
from tests.adoption.adopting import keeper
from tests.harness import REGION, demo, load
from tests.kinds.hand import LINUX_2, Faults, Hand
from tests.sync.words import done, left, with_image, writes

if TYPE_CHECKING:
    from alb_reconcile.aws.client import Aws
    from alb_reconcile.engine.apply import Event
    from alb_reconcile.sync.stack import Ending
    from tests.harness import Spec

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ANYWHERE = [{"CidrIp": "0.0.0.0/0"}]
SSH = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": ANYWHERE}]
FIXED = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]


def open_ssh(hand: Hand) -> None:
    hand.ec2.authorize_security_group_ingress(GroupId=hand["security_group.web"], IpPermissions=SSH)


def other_rule(hand: Hand, listener: str) -> None:
    """A rule of another stack."""
    hand.elb.create_rule(
        ListenerArn=listener,
        Priority=7,
        Conditions=[{"Field": "path-pattern", "Values": ["/b"]}],
        Actions=FIXED,
        Tags=[{"Key": tags.STACK, "Value": "other"}, {"Key": tags.ADDRESS, "Value": "rule.x/y/z"}],
    )


def test_a_half_destroyed_stack_isnt_built_up_again(hand: Hand, spec: Spec) -> None:
    faults = Faults(hand.world)
    faults.refuse("delete_security_group", "UnauthorizedOperation", times=20)
    assert hand.world.apply(spec, destroy=True).failures
    faults.refusals.clear()
    hand.world.sync(spec)
    assert writes(hand) == []


def test_unapplied_gate_doesnt_send_requests_to_the_ill(hand: Hand, spec: Spec) -> None:
    spec["target_groups"]["green"] = copy.deepcopy(spec["target_groups"]["web"])
    hand.make(spec)
    hand.elb.modify_listener(
        ListenerArn=hand["listener.public/http"],
        DefaultActions=[{"Type": "forward", "TargetGroupArn": hand["target_group.green"]}],
    )
    hand.wait(120)
    for name in ("instance.web-1", "instance.web-2"):
        hand.world.strict.set_target_unhealthy(hand["target_group.web"], hand[name])
    hand.wait(60)
    spec["target_groups"]["web"]["min_healthy"] = 0  # nobody has applied it
    hand.world.sync(spec)
    actions = hand.elb.describe_listeners(ListenerArns=[hand["listener.public/http"]])["Listeners"][0]["DefaultActions"]
    assert hand["target_group.green"] in str(actions)


def test_an_unapplied_rule_doesnt_change_the_listener(hand: Hand, spec: Spec) -> None:
    spec["target_groups"]["api"] = copy.deepcopy(spec["target_groups"]["web"])
    hand.make(spec)
    spec["load_balancers"]["public"]["listeners"]["http"]["rules"]["api"] = {
        "priority": 20,
        "conditions": [{"path_pattern": "/api/*"}],
        "action": {"forward": "api"},
    }
    hand.world.sync(spec)
    assert writes(hand) == []


def test_an_old_checkout_doesnt_bring_back_what_was_removed(hand: Hand, spec: Spec) -> None:
    new = copy.deepcopy(spec)
    del new["load_balancers"]["public"]["listeners"]["http"]["rules"]
    hand.make(new)  # removed and applied; then a host with the old file
    hand.world.sync(spec)
    assert writes(hand) == []


def test_another_stacks_rule_isnt_deleted_with_its_listener(hand: Hand, spec: Spec) -> None:
    listener = hand.elb.create_listener(
        LoadBalancerArn=hand["load_balancer.public"], Protocol="HTTP", Port=8080, DefaultActions=FIXED
    )["Listeners"][0]["ListenerArn"]
    other_rule(hand, listener)
    hand.world.sync({**spec, "sync": {"correct": ["delete"]}})
    assert "delete_listener" not in writes(hand)


@pytest.mark.parametrize("elsewhere", ["stopped", "stray target", "roll not applied"])
def test_an_open_port_is_closed_whatever_waits_elsewhere(hand: Hand, spec: Spec, elsewhere: str) -> None:
    open_ssh(hand)
    if elsewhere == "stopped":
        hand.ec2.stop_instances(InstanceIds=[hand["instance.web-1"]])
        hand.wait(120)
    elif elsewhere == "stray target":
        hand.elb.register_targets(
            TargetGroupArn=hand["target_group.web"],
            Targets=[{"Id": hand.stranger_in(hand["subnet.public-a"]), "Port": 80}],
        )
    else:
        spec["instances"]["web"]["image_id"] = LINUX_2
    assert done(hand.world.sync(spec)) == {"security_group_rules.web": "drift"}


def test_break_glass_on_a_route_table_doesnt_keep_an_instance_dead(hand: Hand, spec: Spec) -> None:
    hand.changed_tags("ec2", hand["route_table.public"], {tags.IGNORE_UNTIL: "2026-12-01T00:00Z"})
    hand.ec2.create_route(
        RouteTableId=hand["route_table.public"],
        DestinationCidrBlock="192.168.0.0/16",
        GatewayId=hand["internet_gateway.main"],
    )
    hand.ec2.terminate_instances(InstanceIds=[hand["instance.web-1"]])
    hand.wait(120)
    assert "instance.web-1" in done(hand.world.sync(spec, now=NOW))


def test_what_is_ignored_doesnt_keep_a_listener_deleted(hand: Hand, spec: Spec) -> None:
    hand.ec2.revoke_security_group_ingress(
        GroupId=hand["security_group.web"],
        IpPermissions=hand.ec2.describe_security_groups(GroupIds=[hand["security_group.web"]])["SecurityGroups"][0][
            "IpPermissions"
        ],
    )
    hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
    assert "listener.public/http" in done(hand.world.sync({**spec, "sync": {"ignore": ["security_group_rules.web"]}}))


def test_correcting_something_else_doesnt_fail_over_a_target_that_was_ill_before(hand: Hand, spec: Spec) -> None:
    hand.world.strict.set_target_unhealthy(hand["target_group.web"], hand["instance.web-1"])
    hand.wait(300)
    hand.changed_tags("ec2", hand["vpc.main"], {"Name": "other"})
    began = hand.world.clock.now()
    ending = hand.world.sync(spec)
    assert (ending.is_failed, hand.world.clock.now() - began < 60) == (False, True)


def test_a_scaled_down_instance_isnt_drift_when_an_unapplied_spec_wants_it_again(hand: Hand, spec: Spec) -> None:
    spec["instances"]["web"]["count"] = 3
    hand.make(spec)
    spec["instances"]["web"]["count"] = 2
    hand.make(spec)
    spec["instances"]["web"]["count"] = 3
    spec["target_groups"]["web"]["min_healthy"] = 1
    hand.world.sync(spec)
    assert "run_instances" not in writes(hand)


def test_an_ignored_difference_isnt_written_down_as_applied(hand: Hand, spec: Spec) -> None:
    new = copy.deepcopy(spec)
    new["instances"]["web"]["image_id"] = LINUX_2
    new["load_balancers"]["public"]["listeners"]["extra"] = {
        "protocol": "HTTP",
        "port": 8080,
        "default_action": {"fixed_response": {"status_code": 200}},
    }
    hand.world.sync(
        {**new, "sync": {"ignore": ["instance.web", "target_group.web", "listener.public/extra"]}},
        apply_changes=True,
    )
    ending = hand.world.sync(new)
    assert (set(left(ending).values()), done(ending)) == ({"spec"}, {})


@pytest.mark.parametrize("word", ["report", "ignore"])
def test_what_is_said_of_a_rule_holds_for_its_priority(hand: Hand, spec: Spec, word: str) -> None:
    hand.elb.set_rule_priorities(RulePriorities=[{"RuleArn": hand["rule.public/http/soon"], "Priority": 30}])
    hand.world.sync({**spec, "sync": {word: ["rule.public/http/soon"]}})
    assert writes(hand) == []


def test_a_digest_isnt_written_while_a_target_waits(hand: Hand, spec: Spec) -> None:
    spec["instances"]["job"] = {**copy.deepcopy(spec["instances"]["web"]), "count": 1}
    spec["target_groups"]["web"]["targets"] = ["web", "job"]
    hand.make(spec)
    spec["target_groups"]["web"]["targets"] = ["web"]
    spec["target_groups"]["web"]["health_check"]["interval_seconds"] = 15
    hand.world.sync(spec, apply_changes=True)
    assert left(hand.world.sync(spec)) == {"registration.web/job-1:80": "spec"}


def test_a_table_doesnt_let_a_subnet_go_that_nobody_takes(hand: Hand, spec: Spec) -> None:
    r = [{"destination_cidr_block": "0.0.0.0/0", "internet_gateway": "main"}]
    spec["route_tables"] = {
        "public": {"subnets": ["public-a"], "routes": r},
        "second": {"subnets": ["public-b"], "routes": r},
    }
    hand.make(spec)
    table = hand.ec2.describe_route_tables(RouteTableIds=[hand["route_table.second"]])["RouteTables"][0]
    hand.ec2.replace_route_table_association(
        AssociationId=table["Associations"][0]["RouteTableAssociationId"],
        RouteTableId=hand["route_table.public"],
    )
    hand.changed_tags("ec2", hand["route_table.second"], {tags.IGNORE_UNTIL: "2026-12-01T00:00Z"})
    ending = hand.world.sync(spec, now=NOW)
    assert (ending.is_failed, writes(hand)) == (False, [])


def test_nothing_is_made_for_consumers_that_all_wait(hand: Hand, spec: Spec) -> None:
    hand.ec2.delete_tags(Resources=[hand["vpc.main"]], Tags=[{"Key": tags.STACK}])
    hand.world.sync(spec)
    assert "create_vpc" not in writes(hand)


def test_break_glass_far_away_in_another_zone(hand: Hand, spec: Spec) -> None:
    hand.changed_tags("ec2", hand["vpc.main"], {"Name": "o", tags.IGNORE_UNTIL: "9999-12-31T23:59-05:00"})
    assert left(hand.world.sync(spec, now=NOW)) == {"vpc.main": "drift"}


def test_what_was_done_is_told_though_the_read_after_it_fails(hand: Hand, spec: Spec) -> None:
    hand.changed_tags("ec2", hand["vpc.main"], {"Name": "other"})
    faults = Faults(hand.world)

    def meanwhile(event: Event) -> None:
        if event.what == "done":
            faults.refuse("describe_vpcs", "UnauthorizedOperation")

    ending = hand.world.sync(spec, meanwhile=meanwhile)
    assert done(ending) == {"vpc.main": "drift"}
    assert ending.is_failed


def test_an_instance_that_is_just_going_is_registered_again_in_the_same_round(hand: Hand, spec: Spec) -> None:
    hand.ec2.terminate_instances(InstanceIds=[hand["instance.web-1"]])
    began = hand.world.clock.now()
    ending = hand.world.sync(spec)
    assert not ending.is_failed
    assert hand.world.clock.now() - began < 300


def test_more_members_arent_made_of_a_version_that_waits(hand: Hand, spec: Spec) -> None:
    spec["instances"]["web"] |= {"image_id": LINUX_2, "count": 3}
    hand.world.sync(spec, apply_changes=True)
    assert "run_instances" not in writes(hand)


def test_what_is_made_anew_doesnt_say_that_an_unapplied_spec_is_applied(hand: Hand, spec: Spec) -> None:
    """Else the next rounds would apply it, thing by thing."""
    spec["security_groups"]["spare"] = {"description": "spare"}
    hand.make(spec)
    hand.ec2.delete_security_group(GroupId=hand["security_group.spare"])
    spec["instances"]["web"]["count"] = 3
    spec["load_balancers"]["public"]["listeners"]["http"]["default_action"] = {"fixed_response": {"status_code": 503}}
    assert done(hand.world.sync(spec)) == {"security_group.spare": "drift"}
    for _ in range(2):
        hand.world.sync(spec)
        assert writes(hand) == []


def test_a_half_finished_apply_isnt_written_down_as_applied(hand: Hand, spec: Spec) -> None:
    spec["security_groups"]["spare"] = {"description": "spare"}
    spec["target_groups"]["web"]["health_check"]["interval_seconds"] = 15
    spec["load_balancers"]["public"]["listeners"]["http"]["default_action"] = {"fixed_response": {"status_code": 503}}
    faults = Faults(hand.world)
    for name in ("modify_target_group", "modify_listener"):
        faults.refuse(name, "UnauthorizedOperation", times=20)
    assert hand.world.apply(spec).failures
    faults.refusals.clear()
    hand.changed_tags("ec2", hand["vpc.main"], {"Name": "other"})
    hand.world.sync(spec)
    assert set(left(hand.world.sync(spec)).values()) == {"spec"}


def test_what_a_roll_has_left_isnt_somebodys_doing(hand: Hand, spec: Spec) -> None:
    """The old instance of an address whose new one serves."""
    new = with_image(spec, LINUX_2)
    faults = Faults(hand.world)
    for name in ("deregister_targets", "terminate_instances"):
        faults.refuse(name, "UnauthorizedOperation", times=20)
    assert hand.world.apply(new).failures
    faults.refusals.clear()
    new["sync"] = {"correct": ["delete"]}
    ending = hand.world.sync(new)
    assert set(left(ending).values()) == {"spec"}
    assert "a duplicate at its address, which serves; the spec has changed" in ending.selection.withheld.values()


def test_what_a_roll_has_left_that_was_given_up_isnt_either(hand: Hand, spec: Spec) -> None:
    """The new instance beside the one that serves, once the spec before it is back."""
    faults = Faults(hand.world)
    for name in ("deregister_targets", "terminate_instances"):
        faults.refuse(name, "UnauthorizedOperation", times=20)
    assert hand.world.apply(with_image(spec, LINUX_2)).failures
    faults.refusals.clear()
    spec["sync"] = {"correct": ["delete"]}
    ending = hand.world.sync(spec)
    assert set(left(ending).values()) == {"spec"}
    assert "a duplicate at its address, which serves; the spec has changed" in ending.selection.withheld.values()


def test_a_copy_with_all_tags_is_drift(hand: Hand, spec: Spec) -> None:
    (old,) = hand.ec2.describe_security_groups(GroupIds=[hand["security_group.web"]])["SecurityGroups"]
    copied = {"ResourceType": "security-group", "Tags": old["Tags"]}
    hand.ec2.create_security_group(
        GroupName="copy", Description=old["Description"], VpcId=old["VpcId"], TagSpecifications=[copied]
    )
    ending = hand.world.sync(spec)
    assert left(ending)["security_group.web"] == "drift"
    assert "a duplicate at its address; deleting it requires manual action" in ending.selection.withheld.values()


def test_what_waits_of_a_changed_spec_stays_the_specs(hand: Hand, spec: Spec) -> None:
    new = copy.deepcopy(spec)
    new["security_groups"]["spare"] = {"description": "spare"}
    new["instances"]["web"]["image_id"] = LINUX_2
    hand.world.sync(new, apply_changes=True)
    hand.changed_tags("ec2", hand["vpc.main"], {"Name": "other"})
    hand.world.sync(new)
    assert set(left(hand.world.sync(new)).values()) == {"spec"}


def test_a_begun_destroy_isnt_undone_by_apply_changes(hand: Hand, spec: Spec) -> None:
    """`apply` undoes it, where somebody looks."""
    faults = Faults(hand.world)
    faults.refuse("delete_security_group", "UnauthorizedOperation", times=20)
    assert hand.world.apply(spec, destroy=True).failures
    faults.refusals.clear()
    ending = hand.world.sync(spec, apply_changes=True)
    assert writes(hand) == []
    assert set(ending.selection.withheld.values()) == {DESTROY_BEGUN}
    assert "load_balancer.public is missing, so it serves nobody" in ending.problems, (
        "an outage, not a change of the spec"
    )
    hand.world.converge(spec)
    hand.elb.delete_listener(ListenerArn=hand.make(spec) and hand["listener.public/http"])
    assert "listener.public/http" in done(hand.world.sync(spec))


def test_a_zone_isnt_taken_from_a_target_that_waits(hand: Hand, spec: Spec) -> None:
    subnet = hand.ec2.create_subnet(VpcId=hand["vpc.main"], CidrBlock="10.0.7.0/24", AvailabilityZone="us-east-1c")[
        "Subnet"
    ]["SubnetId"]
    hand.elb.set_subnets(
        LoadBalancerArn=hand["load_balancer.public"],
        Subnets=[hand["subnet.public-a"], hand["subnet.public-b"], subnet],
    )
    hand.elb.register_targets(
        TargetGroupArn=hand["target_group.web"], Targets=[{"Id": hand.stranger_in(subnet), "Port": 80}]
    )
    hand.wait(300)
    hand.world.sync(spec)
    assert "set_subnets" not in writes(hand)


def test_a_tag_that_waits_doesnt_keep_a_target_out(hand: Hand, spec: Spec) -> None:
    hand.elb.deregister_targets(
        TargetGroupArn=hand["target_group.web"], Targets=[{"Id": hand["instance.web-1"], "Port": 80}]
    )
    hand.wait(600)
    spec["instances"]["web"]["tags"] = {"team": "new"}
    assert done(hand.world.sync(spec)) == {"registration.web/web-1:80": "drift"}


def test_no_instance_is_made_where_its_route_is_missing(hand: Hand, spec: Spec) -> None:
    """Its user data runs once."""
    hand.ec2.delete_route(RouteTableId=hand["route_table.public"], DestinationCidrBlock="0.0.0.0/0")
    hand.ec2.terminate_instances(InstanceIds=[hand["instance.web-1"]])
    hand.wait(600)
    hand.world.sync({**spec, "sync": {"report": ["route_table"]}})
    assert "run_instances" not in writes(hand)


def test_a_lost_lease_is_told(hand: Hand, spec: Spec) -> None:
    """It isn't taken for an interruption, which nobody hears of."""
    for name in ("vpc.main", "subnet.public-a"):
        hand.changed_tags("ec2", hand[name], {"Name": "other"})
    stack = load(spec)
    target = DesiredStack(stack.name, REGION, stack.desired)

    async def main(aws: Aws) -> Ending:
        def lose(event: Event) -> None:
            if event.what == "started":
                aws.halt(LeaseLostError("taken", to_another=True))

        return await correct(aws, target, Ways(), await survey(aws, target, Ways()), lose)

    assert isinstance(hand.world._run(main).error, LeaseLostError)


def test_targets_that_nobody_had_checked_are_waited_for(hand: Hand, spec: Spec) -> None:
    """Without a listener they are unused, which says nothing of their health."""
    hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
    hand.wait(60)
    for name in ("instance.web-1", "instance.web-2"):
        hand.world.strict.set_target_unhealthy(hand["target_group.web"], hand[name])
    assert hand.world.sync(spec).problems


def test_books_are_kept_though_a_read_shows_what_is_gone(hand: Hand, spec: Spec) -> None:
    """CreateTags fails whole when one of its resources isn't there any more."""
    spec["security_groups"]["spare"] = {"description": "spare"}
    hand.make(spec)
    spec["target_groups"]["web"]["min_healthy"] = 1
    faults = Faults(hand.world)
    faults.refuse("create_tags", "InvalidGroup.NotFound", times=2)  # the whole, and the one that is gone
    hand.make(spec)
    hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
    assert "listener.public/http" in done(hand.world.sync(spec))


def test_who_may_tag_at_creation_only_can_apply_and_destroy(hand: Hand, spec: Spec) -> None:
    """docs/iam.md limits roles so; what the tags say of the spec is for `sync` alone, and its lack is told."""
    faults = Faults(hand.world)
    spec["target_groups"]["web"]["min_healthy"] = 1
    for name in ("create_tags", "add_tags"):
        faults.refuse(name, "UnauthorizedOperation", times=20)
    assert any("ec2:CreateTags" in text for text in hand.make(spec).warnings)
    assert any("ec2:CreateTags" in text for text in hand.world.destroy(spec).warnings)


def test_only_who_is_chosen_is_launched(hand: Hand, spec: Spec) -> None:
    spec["instances"]["web"] |= {"count": 5, "subnets": ["public-a"]}
    target = load(spec)

    async def main(aws: Aws) -> tuple[str, ...]:
        planned = await plan_stack(aws, DesiredStack(target.name, REGION, target.desired))
        chosen = tuple(step for step in planned.plan.steps if step.address.name in ("web-3", "web-5"))
        applied = await apply_stack(aws, replace(planned, plan=replace(planned.plan, steps=chosen)), timeout=None)
        return tuple(item.how for item in applied.outcomes)

    assert hand.world._run(main) == ("done", "done")
    there = hand.ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
    assert sum(len(item["Instances"]) for item in there["Reservations"]) == 4


def terminate(hand: Hand, name: str) -> None:
    hand.ec2.terminate_instances(InstanceIds=[hand[f"instance.{name}"]])
    hand.wait(120)


def healthy(hand: Hand) -> int:
    """How many targets of the group that there was are healthy."""
    found = hand.elb.describe_target_health(TargetGroupArn=hand["target_group.web"])["TargetHealthDescriptions"]
    return [item["TargetHealth"]["State"] for item in found].count("healthy")


@pytest.mark.parametrize("why", ["by hand", "by hand, the only one", "path", "interval"])
def test_a_new_instance_joins_the_group_that_serves_whatever_waits_there(hand: Hand, spec: Spec, why: str) -> None:
    """A replacement of its group, or a change of it that nobody has applied."""
    if why.startswith("by hand"):
        if why != "by hand":
            spec["instances"]["web"]["count"] = 1
            hand.make(spec, allow={"delete": 1})
        hand.elb.modify_target_group(TargetGroupArn=hand["target_group.web"], HealthCheckPath="/by-hand")
    elif why == "path":
        spec["target_groups"]["web"]["health_check"]["path"] = "/not-applied"
    else:
        spec["target_groups"]["web"]["health_check"]["interval_seconds"] = 25
    count = spec["instances"]["web"]["count"]
    terminate(hand, f"web-{count}")
    ending = hand.world.sync(spec)
    assert not ending.is_failed
    assert done(ending) == {f"instance.web-{count}": "drift", f"registration.web/web-{count}:80": "drift"}
    assert healthy(hand) == count
    assert left(ending)["target_group.web"] == ("drift" if why.startswith("by hand") else "spec")
    hand.world.sync(spec)
    assert writes(hand) == [], "the next round finds nothing more that it may do"
    hand.make(spec)


def test_no_instance_is_made_that_cant_be_registered(hand: Hand, spec: Spec) -> None:
    hand.changed_tags("elbv2", hand["target_group.web"], {tags.IGNORE_UNTIL: "2026-12-01T00:00Z"})
    terminate(hand, "web-1")
    ending = hand.world.sync(spec, now=NOW)
    assert writes(hand) == []
    assert ending.selection.withheld["create:instance.web-1"] == (
        "it would serve nobody: registration.web/web-1:80 isn't done"
    )
    spec["sync"] = {"ignore": ["registration"]}  # somebody else registers them
    assert done(hand.world.sync(spec, now=NOW)) == {"instance.web-1": "drift"}


def test_an_unapplied_target_doesnt_keep_a_worker_dead(hand: Hand, spec: Spec) -> None:
    spec["instances"]["worker"] = copy.deepcopy(spec["instances"]["web"])
    hand.make(spec)
    spec["target_groups"]["web"]["targets"].append("worker")
    terminate(hand, "worker-1")
    assert done(hand.world.sync(spec)) == {"instance.worker-1": "drift"}


def test_nothing_is_made_of_a_changed_spec_that_apply_refuses_as_a_whole() -> None:
    """The spec of before a split, in which the network was still the stack's: it made a second one beside it."""
    with keeper() as (world, keep):
        whole = demo()
        world.converge(whole)
        service, network = copy.deepcopy(whole), {"stack": "network", "region": whole["region"]}
        for section in ("vpcs", "subnets", "internet_gateways", "route_tables"):
            network[section] = service.pop(section)
        vpc, *subnets = ({"tag": {"Name": f"demo-{name}"}} for name in ("main", "public-a", "public-b"))
        for entry in (*service["security_groups"].values(), *service["target_groups"].values()):
            entry["vpc"] = vpc
        for entry in (*service["instances"].values(), *service["load_balancers"].values()):
            entry["subnets"] = subnets
        released = ["vpc.main", "subnet.public-a", "subnet.public-b", "internet_gateway.main", "route_table.public"]
        keep.release(service, *released)
        keep.adopt(network)
        ending = world.sync(whole, apply_changes=True)
        assert done(ending) == {}
        assert ending.selection.withheld["create:vpc.main"] == REFUSED
        assert "apply --allow replace-load-balancer=1" in ending.notes[-1]
        assert world.plan(service).is_empty
        assert world.plan(network).is_empty


def test_drift_is_corrected_beside_a_changed_spec_that_apply_refuses(hand: Hand, spec: Spec) -> None:
    del spec["load_balancers"]
    spec["security_groups"]["spare"] = {"description": "spare"}
    hand.changed_tags("ec2", hand["vpc.main"], {"Name": "other"})
    ending = hand.world.sync(spec, apply_changes=True)
    assert done(ending) == {"vpc.main": "drift"}
    assert ending.acted
    assert ending.acted.withheld["create:security_group.spare"] == REFUSED
    assert ending.notes[0].startswith("apply refuses the changed spec: 1 load balancer would be deleted")
