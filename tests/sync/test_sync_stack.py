"""What an unattended run corrects, what it leaves to a person, and how it tells drift from a changed spec."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.api.serving import not_ready
from alb_reconcile.api.status import look
from alb_reconcile.cli.render.history import step_lines
from alb_reconcile.journal.record import StepRecord
from alb_reconcile.model import tags
from alb_reconcile.sync.selection import NEVER_APPLIED
from alb_reconcile.sync.stack import HINT
from tests.harness import Spec, demo, load
from tests.journal.records import corrected
from tests.kinds.hand import LINUX_2, Hand, edited
from tests.sync.words import done, left, with_image, writes

if TYPE_CHECKING:
    from alb_reconcile.engine.apply import Event

SHUT = "no security group of load_balancer.public lets clients in on port 80, so it serves nobody"


EMPTY = "target_group.web has no targets, so it serves nobody"


def deregister(hand: Hand) -> None:
    targets: Any = [{"Id": hand[f"instance.{name}"], "Port": 80} for name in ("web-1", "web-2")]
    hand.elb.deregister_targets(TargetGroupArn=hand["target_group.web"], Targets=targets)


def revoke_ingress(hand: Hand) -> None:
    group = hand["security_group.load-balancer"]
    (found,) = hand.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    hand.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=found["IpPermissions"])


NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class TestDrift:
    """The account has moved: what is made and changed is corrected, the rest waits."""

    def test_nothing_to_do_changes_nothing(self, hand: Hand, spec: Spec) -> None:
        ending = hand.world.sync(spec)
        assert (left(ending), done(ending), ending.is_failed) == ({}, {}, False)
        assert writes(hand) == []

    def test_a_deleted_listener_is_made_again(self, hand: Hand, spec: Spec) -> None:
        hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
        hand.wait(300)
        ending = hand.world.sync(spec)
        assert ending.problems == (), "its targets were unused, and are awaited"
        assert done(ending) == {"listener.public/http": "drift", "rule.public/http/soon": "drift"}
        assert left(ending) == {}
        assert hand.world.plan(spec).is_empty
        told = "when this round began: load_balancer.public has no listener, so it serves nobody; "
        assert any(note.startswith(told) for note in ending.notes)
        assert [text for text in ending.remarks.values() if told.rstrip("; ") in text], "and the webhook says so"
        assert not any("serves nobody" in note for note in hand.world.sync(spec).notes)

    def test_a_deleted_load_balancer_is_made_again(self, hand: Hand, spec: Spec) -> None:
        hand.elb.delete_load_balancer(LoadBalancerArn=hand["load_balancer.public"])
        hand.wait(300)
        ending = hand.world.sync(spec)
        assert not ending.problems
        (remark,) = ending.remarks.values()
        assert "load_balancer.public is missing, so it serves nobody" in remark
        assert "another DNS name than before" in remark

    def test_what_serves_nobody_and_may_not_be_mended_is_a_failure(self, hand: Hand, spec: Spec) -> None:
        spec["sync"] = {"report": ["create"]}
        hand.make(spec)
        hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
        ending = hand.world.sync(spec)
        assert ending.problems[0] == "load_balancer.public has no listener, so it serves nobody"
        assert ending.is_failed

    def test_so_is_a_load_balancer_that_lets_nobody_in_any_more(self, hand: Hand, spec: Spec) -> None:
        spec["sync"] = {"report": ["update"]}
        revoke_ingress(hand)
        ending = hand.world.sync(spec)
        assert ending.problems == (SHUT,)
        assert left(ending) == {"security_group_rules.load-balancer": "drift"}
        found: Any = hand.world._run(lambda aws: look(aws, load(spec).target()))
        assert SHUT in not_ready(*found)

    @pytest.mark.parametrize("what", ["targets", "ingress"])
    def test_an_outage_that_was_corrected_is_called_one(self, hand: Hand, spec: Spec, what: str) -> None:
        """In the report, the history and the webhook, in `status`'s words."""
        (deregister if what == "targets" else revoke_ingress)(hand)
        hand.wait(400)
        ending = hand.world.sync(spec)
        told = f"when this round began: {SHUT if what == 'ingress' else EMPTY}"
        assert f"{told}{HINT}" in ending.notes
        assert (list(ending.remarks.values()), ending.problems) == ([told], ())
        (step,) = [item.step for item in ending.outcomes if item.step.key in ending.remarks]
        record = corrected(steps=(StepRecord(step.key, step.action, "drift", "done", reason=told),))
        assert record.remarks == [f"{step.address}: {told}"]
        assert told in step_lines(record.steps)[0]
        assert told not in step_lines(record.steps, ending.notes)[0], "the note below it says so"

    def test_the_outage_stands_at_what_has_ended_it(self, hand: Hand, spec: Spec) -> None:
        """Found: that the listener was gone stood beside a target that was registered in the same round."""
        deregister(hand)
        hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
        hand.wait(400)
        (key,) = (ending := hand.world.sync(spec)).remarks
        assert key == "create:listener.public/http"
        assert {"registration.web/web-1:80", "listener.public/http"} < done(ending).keys()

    def test_targets_that_may_not_come_back_are_a_failure(self, hand: Hand, spec: Spec) -> None:
        spec["sync"] = {"report": ["create"]}
        deregister(hand)
        hand.wait(400)
        assert hand.world.sync(spec).problems == (EMPTY,)

    @pytest.mark.parametrize("rule", [{"IpProtocol": "-1"}, {"IpProtocol": "tcp", "FromPort": 79, "ToPort": 80}])
    def test_somebody_who_may_come_in_is_served(self, hand: Hand, spec: Spec, rule: dict[str, Any]) -> None:
        spec["sync"] = {"report": ["update"]}
        revoke_ingress(hand)
        hand.ec2.authorize_security_group_ingress(
            GroupId=hand["security_group.load-balancer"],
            IpPermissions=[{**rule, "IpRanges": [{"CidrIp": "10.9.0.0/16"}]}],
        )
        assert not hand.world.sync(spec).problems

    def test_members_of_its_own_group_are_nobody(self, hand: Hand, spec: Spec) -> None:
        spec["sync"], group = {"report": ["update"]}, hand["security_group.load-balancer"]
        revoke_ingress(hand)
        hand.ec2.authorize_security_group_ingress(
            GroupId=group, IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}]
        )
        assert hand.world.sync(spec).problems == (SHUT,)

    def test_a_terminated_instance_is_made_again(self, hand: Hand, spec: Spec) -> None:
        hand.ec2.terminate_instances(InstanceIds=[hand["instance.web-1"]])
        hand.wait(120)
        ending = hand.world.sync(spec)
        assert done(ending)["instance.web-1"] == "drift"
        assert hand.world.plan(spec).is_empty

    def test_the_only_group_of_a_stack_in_somebody_elses_network_is_made_again(self, hand: Hand) -> None:
        """It was the only one that EC2 tags in one call and that outlives instances; others must know what was applied, too."""
        vpc = hand.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = hand.ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
        spec: Spec = {
            "stack": "demo",
            "region": "us-east-1",
            "security_groups": {"web": {"vpc": vpc, "description": "web", "ingress": []}},
            "instances": {
                "web": {
                    "image_id": LINUX_2, "instance_type": "t3.micro", "subnets": [subnet], "security_groups": ["web"],
                },
            },
        }  # fmt: skip
        hand.make(spec)
        (others,) = hand.ec2.describe_security_groups(
            Filters=[{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
        )["SecurityGroups"]
        hand.ec2.modify_instance_attribute(InstanceId=hand["instance.web-1"], Groups=[others["GroupId"]])
        hand.ec2.delete_security_group(GroupId=hand["security_group.web"])
        ending = hand.world.sync(spec)
        assert set(done(ending).values()) == {"drift"}
        assert {"security_group.web", "instance.web-1"} <= done(ending).keys()
        assert hand.world.plan(spec).is_empty

    def test_what_was_applied_long_ago_is_no_drift_once_a_group_is_missing(self, hand: Hand) -> None:
        """Instances say what was applied while there is one group only; they mustn't go on saying it."""
        vpc = hand.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = hand.ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
        group = {"vpc": vpc, "description": "web", "ingress": []}
        instance = {"image_id": LINUX_2, "instance_type": "t3.micro", "subnets": [subnet], "security_groups": ["web"]}
        first: Spec = {
            "stack": "demo", "region": "us-east-1", "security_groups": {"web": group},
            "instances": {"web": instance, "extra": instance},
        }  # fmt: skip
        hand.make(first)
        both = edited(first, "security_groups/other", group)
        hand.make(both)
        hand.make(edited(both, "instances/extra", None), allow={"delete": 1})
        hand.ec2.delete_security_group(GroupId=hand["security_group.other"])
        ending = hand.world.sync(both)
        assert done(ending) == {"security_group.other": "drift", "security_group_rules.other": "drift"}
        assert left(ending) == {"instance.extra-1": "spec"}
        assert left(ending) == {"instance.extra-1": "spec"}

    def test_changed_and_stray_rules_are_corrected(self, hand: Hand, spec: Spec) -> None:
        hand.ec2.authorize_security_group_ingress(
            GroupId=hand["security_group.web"],
            IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
        )
        assert done(hand.world.sync(spec)) == {"security_group_rules.web": "drift"}
        assert hand.world.plan(spec).is_empty

    def test_a_stray_listener_waits(self, hand: Hand, spec: Spec) -> None:
        """Deleting requires manual action, and until then told each time."""
        hand.elb.create_listener(
            LoadBalancerArn=hand["load_balancer.public"],
            Protocol="HTTP",
            Port=8080,
            DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
        )
        for _ in range(2):
            ending = hand.world.sync(spec)
            assert list(left(ending).values()) == ["drift"]
            assert writes(hand) == []

    def test_a_stopped_instance_waits_and_its_neighbour_is_corrected(self, hand: Hand, spec: Spec) -> None:
        hand.ec2.stop_instances(InstanceIds=[hand["instance.web-1"]])
        hand.changed_tags("ec2", hand["instance.web-2"], {"Name": "other"})
        hand.wait(120)
        ending = hand.world.sync(spec)
        assert left(ending) == {"instance.web-1": "drift"}
        assert done(ending) == {"instance.web-2": "drift"}

    def test_a_stray_target_waits_since_it_would_be_drained(self, hand: Hand, spec: Spec) -> None:
        stranger = hand.stranger_in(hand["subnet.public-a"])
        hand.elb.register_targets(TargetGroupArn=hand["target_group.web"], Targets=[{"Id": stranger, "Port": 80}])
        ending = hand.world.sync(spec)
        assert list(left(ending).values()) == ["drift"]
        assert "deregister_targets" not in writes(hand)

    def test_nobody_waits_for_the_health_of_a_stray_target(self, hand: Hand, spec: Spec) -> None:
        """Found: what else was corrected failed as not serving, after 15 minutes."""
        stranger = hand.stranger_in(hand["subnet.public-a"])
        group = hand["target_group.web"]
        hand.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": stranger, "Port": 80}])
        hand.world.strict.set_target_unhealthy(group, stranger)
        hand.changed_tags("ec2", hand["vpc.main"], {"Name": "other"})
        hand.wait(120)
        began = hand.world.clock.now()
        ending = hand.world.sync(spec)
        assert (done(ending), ending.problems) == ({"vpc.main": "drift"}, ())
        assert len(left(ending)) == 1
        assert hand.world.clock.now() - began < 60

    @pytest.mark.parametrize("sync", [{"report": ["create", "update", "replace", "delete"]}, {"sightings": 1}])
    def test_a_replacement_is_told_without_what_follows_from_it(self, hand: Hand, spec: Spec, sync: Spec) -> None:
        """Found: one change of a health check was told as four, and one of them as if somebody had pointed the listener elsewhere."""
        hand.make(spec | {"sync": sync})
        hand.elb.modify_target_group(TargetGroupArn=hand["target_group.web"], HealthCheckPath="/by-hand")
        ending = hand.world.sync(spec | {"sync": sync})
        assert left(ending) == {"target_group.web": "drift"}
        assert all(reason.endswith("it requires manual action") for reason in ending.selection.withheld.values())

    def test_what_has_a_difference_of_its_own_says_why_it_waits(self, hand: Hand, spec: Spec) -> None:
        """Somebody has changed the check, and pointed the listener elsewhere as well."""
        spec["sync"] = {"report": ["update", "replace"]}
        hand.make(spec)
        vpc, group = hand["vpc.main"], hand["target_group.web"]
        other = hand.elb.create_target_group(Name="other", Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][0]
        to_other: Any = [{"Type": "forward", "TargetGroupArn": other["TargetGroupArn"]}]
        hand.elb.modify_listener(ListenerArn=hand["listener.public/http"], DefaultActions=to_other)
        hand.elb.modify_target_group(TargetGroupArn=group, HealthCheckPath="/by-hand")
        ending = hand.world.sync(spec)
        told = {str(step.address): ending.selection.withheld[step.key] for step in ending.selection.left}
        assert told["listener.public/http"] == "the spec's `sync.report` has update"

    def test_what_a_missing_thing_needs_comes_first(self, hand: Hand, spec: Spec) -> None:
        """A load balancer and its listener, gone."""
        hand.elb.delete_load_balancer(LoadBalancerArn=hand["load_balancer.public"])
        hand.wait(300)
        ending = hand.world.sync(spec)
        assert done(ending) == dict.fromkeys(
            ("load_balancer.public", "listener.public/http", "rule.public/http/soon"), "drift"
        )
        assert not ending.problems


class TestChangedSpec:
    """The spec has moved: that is for `apply`, or for --apply-changes."""

    def test_a_new_entry_waits(self, hand: Hand, spec: Spec) -> None:
        spec["load_balancers"]["public"]["listeners"]["extra"] = {
            "protocol": "HTTP", "port": 8080, "default_action": {"forward": "web"},
        }  # fmt: skip
        ending = hand.world.sync(spec)
        assert left(ending) == {"listener.public/extra": "spec"}
        assert set(ending.selection.withheld.values()) == {"the spec has changed"}
        assert writes(hand) == []
        assert done(hand.world.sync(spec, apply_changes=True)) == {"listener.public/extra": "spec"}
        assert hand.world.sync(spec).selection.plan.is_empty

    def test_more_instances_wait_with_their_registrations(self, hand: Hand, spec: Spec) -> None:
        spec["instances"]["web"]["count"] = 3
        assert left(hand.world.sync(spec)) == {
            "instance.web-3": "spec",
            "registration.web/web-3:80": "spec",
        }

    def test_fewer_instances_wait_with_their_registrations(self, hand: Hand, spec: Spec) -> None:
        spec["instances"]["web"]["count"] = 1
        assert left(hand.world.sync(spec)) == {
            "instance.web-2": "spec",
            "registration.web/web-2:80": "spec",
        }
        assert writes(hand) == []

    def test_a_roll_waits_whole(self, hand: Hand, spec: Spec) -> None:
        ending = hand.world.sync(with_image(spec, LINUX_2))
        assert set(left(ending).values()) == {"spec"}
        assert writes(hand) == []

    def test_a_roll_isnt_applied_even_with_apply_changes_unless_replacing_is_allowed(
        self, hand: Hand, spec: Spec
    ) -> None:
        changed = with_image(spec, LINUX_2)
        assert hand.world.sync(changed, apply_changes=True).outcomes == ()
        changed["sync"] = {"correct": ["replace"]}
        ending = hand.world.sync(changed, apply_changes=True)
        assert not ending.is_failed
        assert left(ending) == {}
        assert hand.world.plan(changed).is_empty

    def test_drift_elsewhere_is_corrected_beside_it(self, hand: Hand, spec: Spec) -> None:
        """A changed entry holds nothing up but itself, and what is drift stays drift."""
        hand.changed_tags("ec2", hand["vpc.main"], {"Name": "other"})
        spec["target_groups"]["web"]["health_check"]["interval_seconds"] = 15
        ending = hand.world.sync(spec)
        assert done(ending) == {"vpc.main": "drift"}
        assert left(ending) == {"target_group.web": "spec"}

    def test_what_is_missing_and_is_wanted_as_before_is_made(self, hand: Hand, spec: Spec) -> None:
        """A change that isn't applied holds nothing up but what it is about."""
        spec["target_groups"]["web"]["health_check"]["interval_seconds"] = 15
        listener = spec["load_balancers"]["public"]["listeners"]["http"]
        hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
        listener["rules"]["soon"]["priority"] = 20
        ending = hand.world.sync(spec)
        assert done(ending) == {"listener.public/http": "drift"}
        assert left(ending) == {"target_group.web": "spec", "rule.public/http/soon": "drift"}, "it was there"

    def test_of_a_large_stack_only_the_whole_is_known(self, hand: Hand) -> None:
        """A tag has no room for a code of each entry; instances and listeners come first."""
        spec = demo()
        spec["security_groups"] |= {f"group-{number:03}": {"description": "more"} for number in range(70)}
        hand.make(spec)
        hand.ec2.delete_security_group(GroupId=hand["security_group.group-069"])
        hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
        spec["vpcs"]["main"]["enable_dns_support"] = True
        ending = hand.world.sync(spec)
        assert left(ending) == {"security_group.group-069": "spec"}
        assert done(ending) == {"listener.public/http": "drift"}

    def test_a_terminated_instance_of_a_changed_group_waits(self, hand: Hand, spec: Spec) -> None:
        """It must not come back as another version than its neighbour."""
        hand.ec2.terminate_instances(InstanceIds=[hand["instance.web-1"]])
        hand.wait(120)
        ending = hand.world.sync(with_image(spec, LINUX_2))
        assert left(ending)["instance.web-1"] == "drift"
        assert done(ending) == {}

    def test_tags_of_the_whole_stack_are_the_specs(self, hand: Hand, spec: Spec) -> None:
        spec["tags"] = {"service": "renamed"}
        ending = hand.world.sync(spec)
        assert set(left(ending).values()) == {"spec"}
        assert done(ending) == {}

    def test_a_removed_entry_waits(self, hand: Hand, spec: Spec) -> None:
        del spec["load_balancers"]["public"]["listeners"]["http"]["rules"]
        ending = hand.world.sync({**spec, "sync": {"correct": ["delete"]}})
        assert left(ending) == {"rule.public/http/soon": "spec"}

    @pytest.mark.parametrize("apply_changes", [False, True])
    def test_a_stack_that_was_never_applied_waits(self, hand: Hand, *, apply_changes: bool) -> None:
        ending = hand.world.sync(demo(), apply_changes=apply_changes)
        assert set(left(ending).values()) == {"spec"}
        assert set(ending.selection.withheld.values()) == {NEVER_APPLIED}
        assert writes(hand) == []

    @pytest.mark.parametrize("apply_changes", [False, True])
    def test_a_destroyed_stack_stays_destroyed(self, hand: Hand, spec: Spec, *, apply_changes: bool) -> None:
        """Instances are shown for an hour after their end."""
        hand.world.destroy(spec)
        ending = hand.world.sync(spec, apply_changes=apply_changes)
        assert set(left(ending).values()) == {"spec"}
        assert set(ending.selection.withheld.values()) == {NEVER_APPLIED}
        assert writes(hand) == []

    def test_a_change_without_a_difference_is_known_as_applied(self, hand: Hand, spec: Spec) -> None:
        """`apply` writes it down, so that later drift is drift."""
        spec["target_groups"]["web"]["min_healthy"] = 1
        hand.make(spec)
        assert writes(hand).count("add_tags") == 1
        hand.make(spec)
        assert writes(hand) == []
        hand.elb.modify_target_group(TargetGroupArn=hand["target_group.web"], HealthCheckIntervalSeconds=25)
        assert done(hand.world.sync(spec)) == {"target_group.web": "drift"}


class TestWord:
    """`sync:` in the spec."""

    def test_a_kind_is_only_reported(self, hand: Hand, spec: Spec) -> None:
        hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
        ending = hand.world.sync({**spec, "sync": {"report": ["listener"]}})
        assert "the spec's `sync.report` has listener" in ending.selection.withheld.values()
        assert left(ending) == {"listener.public/http": "drift", "rule.public/http/soon": "drift"}

    def test_an_address_outranks_its_kind(self, hand: Hand, spec: Spec) -> None:
        hand.changed_tags("ec2", hand["subnet.public-a"], {"Name": "other"})
        hand.changed_tags("ec2", hand["subnet.public-b"], {"Name": "other"})
        words = {"report": ["subnet"], "correct": ["subnet.public-a"]}
        ending = hand.world.sync({**spec, "sync": words})
        assert done(ending) == {"subnet.public-a": "drift"}
        assert left(ending) == {"subnet.public-b": "drift"}

    def test_what_is_ignored_is_neither_done_nor_told(self, hand: Hand, spec: Spec) -> None:
        hand.changed_tags("ec2", hand["instance.web-1"], {"Name": "other"})
        ending = hand.world.sync({**spec, "sync": {"ignore": ["instance.web"]}})
        assert (done(ending), left(ending)) == ({}, {})
        assert len(ending.selection.ignored) == 1

    def test_deleting_can_be_allowed(self, hand: Hand, spec: Spec) -> None:
        hand.elb.create_rule(
            ListenerArn=hand["listener.public/http"], Priority=7,
            Conditions=[{"Field": "path-pattern", "Values": ["/stray"]}],
            Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
        )  # fmt: skip
        assert set(left(hand.world.sync(spec)).values()) == {"drift"}
        ending = hand.world.sync({**spec, "sync": {"correct": ["delete"]}})
        assert set(done(ending).values()) == {"drift"}
        assert hand.world.plan(spec).is_empty

    def test_a_target_leaves_only_for_an_instance_that_comes(self, hand: Hand, spec: Spec) -> None:
        """Draining is allowed and replacing isn't: then nothing is drained for a replacement that waits."""
        changed = with_image(spec, LINUX_2)
        changed["instances"]["web"]["rollout"] = {"max_surge": 0, "max_unavailable": 1}
        changed["sync"] = {"correct": ["registration", "delete"], "report": ["instance"]}
        ending = hand.world.sync(changed, apply_changes=True)
        assert writes(hand) == []
        assert {name.partition(".")[0] for name in left(ending)} == {"instance"}


class TestBreakGlass:
    """`alb-reconcile:ignore-until` on a resource."""

    @pytest.mark.parametrize(
        ("until", "waits"),
        [
            ("2026-12-01T00:00Z", True),
            ("2026-11-24T13:30+01:00", True),
            ("2026-11-24", False),
            ("2026-11-24T11:59Z", False),
            ("tomorrow", True),
        ],
    )
    def test_it_is_honoured_until_then(self, hand: Hand, spec: Spec, until: str, *, waits: bool) -> None:
        """What is no time is honoured too, and told."""
        hand.changed_tags("ec2", hand["subnet.public-a"], {"Name": "other", tags.IGNORE_UNTIL: until})
        ending = hand.world.sync(spec, now=NOW)
        assert ("subnet.public-a" in left(ending)) is waits
        assert ("subnet.public-a" in done(ending)) is not waits
        if waits:
            assert tags.IGNORE_UNTIL in next(iter(ending.selection.withheld.values()))

    def test_a_plan_says_what_apply_would_change_all_the_same(self, hand: Hand, spec: Spec) -> None:
        until = "2999-12-01T00:00Z"
        hand.changed_tags("ec2", hand["subnet.public-a"], {"Name": "other", tags.IGNORE_UNTIL: until})
        told = f"subnet.public-a carries {tags.IGNORE_UNTIL}={until}: somebody has asked to leave it alone, and this plan changes subnet.public-a"
        assert told in hand.world.plan(spec).warnings

    @pytest.mark.parametrize("carrier", ["load_balancer.public", "listener.public/http"])
    def test_it_covers_what_is_inside(self, hand: Hand, spec: Spec, carrier: str) -> None:
        hand.changed_tags("elbv2", hand[carrier], {tags.IGNORE_UNTIL: "2026-12-01T00:00Z"})
        hand.elb.delete_rule(RuleArn=hand["rule.public/http/soon"])
        assert left(hand.world.sync(spec, now=NOW)) == {"rule.public/http/soon": "drift"}

    def test_it_covers_members(self, hand: Hand, spec: Spec) -> None:
        group = hand["security_group.web"]
        hand.changed_tags("ec2", group, {tags.IGNORE_UNTIL: "2026-12-01T00:00Z"})
        hand.ec2.authorize_security_group_ingress(
            GroupId=group,
            IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
        )
        assert left(hand.world.sync(spec, now=NOW)) == {"security_group_rules.web": "drift"}

    def test_an_instance_out_for_repair_isnt_registered_again(self, hand: Hand, spec: Spec) -> None:
        hand.changed_tags("ec2", hand["instance.web-1"], {tags.IGNORE_UNTIL: "2026-12-01T00:00Z"})
        hand.elb.deregister_targets(
            TargetGroupArn=hand["target_group.web"], Targets=[{"Id": hand["instance.web-1"], "Port": 80}]
        )
        hand.wait(120)
        assert left(hand.world.sync(spec, now=NOW)) == {"registration.web/web-1:80": "drift"}


class TestSightings:
    """`sightings: 2`."""

    def test_drift_that_stays_is_corrected(self, hand: Hand, spec: Spec) -> None:
        hand.changed_tags("ec2", hand["vpc.main"], {"Name": "other"})
        began = hand.world.clock.now()
        ending = hand.world.sync({**spec, "sync": {"sightings": 2}})
        assert done(ending) == {"vpc.main": "drift"}
        assert hand.world.clock.now() - began >= 30

    def test_drift_that_passes_isnt(self, hand: Hand, spec: Spec) -> None:
        """Somebody's deployment puts it right between the two reads; another difference comes up meanwhile."""
        hand.changed_tags("ec2", hand["vpc.main"], {"Name": "other"})
        sleep = hand.world.clock.advance

        def advance(seconds: float) -> None:
            sleep(seconds)
            if seconds > 20:
                hand.changed_tags("ec2", hand["vpc.main"], {"Name": "demo-main"})
                hand.changed_tags("ec2", hand["subnet.public-a"], {"Name": "other"})

        hand.world.clock.advance = advance  # type: ignore[method-assign]  # time passes, and somebody does something
        ending = hand.world.sync({**spec, "sync": {"sightings": 2}})
        assert done(ending) == {}
        assert left(ending) == {"subnet.public-a": "drift"}
        assert writes(hand) == []


class TestEnds:
    """How it ends when something goes wrong."""

    def test_what_a_stranger_is_in_the_way_of_waits_and_the_rest_is_done(self, hand: Hand, spec: Spec) -> None:
        hand.changed_tags("ec2", hand["vpc.main"], {"Name": "other"})
        hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
        hand.elb.create_listener(
            LoadBalancerArn=hand["load_balancer.public"], Protocol="HTTP", Port=80,
            DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
        )  # fmt: skip
        ending = hand.world.sync(spec)
        assert done(ending) == {"vpc.main": "drift"}
        assert set(left(ending).values()) == {"drift"}
        assert any("which isn't done" in reason for reason in ending.selection.withheld.values())

    def test_events_are_told(self, hand: Hand, spec: Spec) -> None:
        hand.changed_tags("ec2", hand["vpc.main"], {"Name": "other"})
        told: list[Event] = []
        hand.world.sync(spec, meanwhile=told.append)
        assert [(event.what, str(event.step.address)) for event in told] == [
            ("started", "vpc.main"),
            ("done", "vpc.main"),
        ]


def test_what_is_protected_does_not_count_against_what_may_be_corrected(hand: Hand) -> None:
    """AWS is asked what it protects before the limits are looked at: one protected resource must not stop everything."""
    spec = demo()
    spec["load_balancers"]["public"]["attributes"] = {"deletion_protection.enabled": True}
    hand.make(spec)
    opened = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    hand.ec2.authorize_security_group_ingress(GroupId=hand["security_group.web"], IpPermissions=[opened])
    bare = {key: value for key, value in spec.items() if key != "load_balancers"}
    everything = {**bare, "sync": {"correct": ["create", "update", "replace", "delete"]}}
    ending = hand.world.sync(everything, apply_changes=True)
    assert "security_group_rules.web" in done(ending)
    assert "has deletion protection" in " ".join(ending.selection.withheld.values())
