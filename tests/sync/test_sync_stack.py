"""What an unattended run corrects, what it leaves to a person, and how it tells drift from a changed spec."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from alb_reconcile.cli.render.history import step_lines
from alb_reconcile.journal.record import StepRecord
from alb_reconcile.model import tags
from alb_reconcile.sync.selection import NEVER_APPLIED
from alb_reconcile.sync.stack import HINT
from tests.harness import Spec, demo
from tests.journal.records import corrected
from tests.kinds.hand import LINUX_2, Hand, edited
from tests.sync import acts
from tests.sync.acts import change_check, delete_listener, deregister, let_in, revoke
from tests.sync.words import done, left, with_image, writes

SHUT = "no security group of load_balancer.public lets clients in on port 80, so it serves nobody"
EMPTY = "target_group.web has no targets, so it serves nobody"


def elsewhere(hand: Hand) -> Spec:
    """An instance and its security group, in somebody else's network."""
    vpc = hand.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = hand.ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    instance = {"image_id": LINUX_2, "instance_type": "t3.micro", "subnets": [subnet], "security_groups": ["web"]}
    return {
        "stack": "demo", "region": "us-east-1", "instances": {"web": instance},
        "security_groups": {"web": {"vpc": vpc, "description": "web", "ingress": []}},
    }  # fmt: skip


NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class TestDrift:
    """The account has moved: what is made and changed is corrected, the rest waits."""

    def test_nothing_to_do_changes_nothing(self, hand: Hand, spec: Spec) -> None:
        ending = hand.world.sync(spec)
        assert (left(ending), done(ending), ending.is_failed) == ({}, {}, False)
        assert (ending.problems, ending.not_ready) == ((), ())
        assert writes(hand) == []

    def test_a_deleted_listener_is_made_again(self, hand: Hand, spec: Spec) -> None:
        delete_listener(hand)
        ending = hand.world.sync(spec)
        assert ending.problems == (), "its targets were unused, and are awaited"
        assert done(ending) == {"listener.public/http": "drift", "rule.public/http/soon": "drift"}
        assert left(ending) == {}
        assert hand.world.plan(spec).is_empty
        told = "when this round began: load_balancer.public has no listener, so it serves nobody; "
        assert any(note.startswith(told) for note in ending.notes)
        assert [text for text in ending.remarks.values() if told.rstrip("; ") in text], "and the webhook says so"
        assert not any("serves nobody" in note for note in hand.world.sync(spec).notes)

    @pytest.mark.parametrize("what", ["targets", "ingress"])
    def test_an_outage_that_was_corrected_is_called_one(self, hand: Hand, spec: Spec, what: str) -> None:
        """In the report, the history and the webhook, in `status`'s words."""
        deregister(hand) if what == "targets" else revoke(hand, "load-balancer")
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
        deregister(hand)
        delete_listener(hand)
        (key,) = (ending := hand.world.sync(spec)).remarks
        assert key == "create:listener.public/http"
        assert {"registration.web/web-1:80", "listener.public/http"} < done(ending).keys()

    @pytest.mark.parametrize("rule", [{"IpProtocol": "-1"}, {"IpProtocol": "tcp", "FromPort": 79, "ToPort": 80}])
    def test_somebody_who_may_come_in_is_served(self, hand: Hand, spec: Spec, rule: dict[str, Any]) -> None:
        """But members of the load balancer's own group are nobody."""
        spec["sync"] = {"report": ["update"]}
        revoke(hand, "load-balancer")
        own = {"GroupId": hand["security_group.load-balancer"]}
        let_in(hand, "load-balancer", [{**rule, "UserIdGroupPairs": [own]}])
        assert hand.world.sync(spec).problems == (SHUT,)
        let_in(hand, "load-balancer", [{**rule, "IpRanges": [{"CidrIp": "10.9.0.0/16"}]}])
        assert not hand.world.sync(spec).problems

    def test_the_only_group_of_a_stack_in_somebody_elses_network_is_made_again(self, hand: Hand) -> None:
        """It was the only one that EC2 tags in one call and that outlives instances; others must know what was applied, too."""
        spec = elsewhere(hand)
        hand.make(spec)
        vpc = spec["security_groups"]["web"]["vpc"]
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
        first = elsewhere(hand)
        first["instances"]["extra"] = first["instances"]["web"]
        hand.make(first)
        both = edited(first, "security_groups/other", first["security_groups"]["web"])
        hand.make(both)
        hand.make(edited(both, "instances/extra", None), allow={"delete": 1})
        hand.ec2.delete_security_group(GroupId=hand["security_group.other"])
        ending = hand.world.sync(both)
        assert done(ending) == {"security_group.other": "drift", "security_group_rules.other": "drift"}
        assert left(ending) == {"instance.extra-1": "spec"}

    def test_nobody_waits_for_the_health_of_a_stray_target(self, hand: Hand, spec: Spec) -> None:
        hand.world.strict.set_target_unhealthy(hand["target_group.web"], acts.register_stranger(hand))
        hand.changed_tags("ec2", hand["vpc.main"], {"Name": "other"})
        hand.wait(120)
        began = hand.world.clock.now()
        ending = hand.world.sync(spec)
        assert (done(ending), ending.problems) == ({"vpc.main": "drift"}, ())
        assert list(left(ending).values()) == ["drift"]
        assert "deregister_targets" not in writes(hand), "it waits, since it would be drained"
        assert hand.world.clock.now() - began < 60

    def test_what_has_a_difference_of_its_own_says_why_it_waits(self, hand: Hand, spec: Spec) -> None:
        """Somebody has changed the check, and pointed the listener elsewhere as well."""
        spec["sync"] = {"report": ["update", "replace"]}
        hand.make(spec)
        vpc = hand["vpc.main"]
        other = hand.elb.create_target_group(Name="other", Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][0]
        to_other: Any = [{"Type": "forward", "TargetGroupArn": other["TargetGroupArn"]}]
        hand.elb.modify_listener(ListenerArn=hand["listener.public/http"], DefaultActions=to_other)
        change_check(hand)
        ending = hand.world.sync(spec)
        told = {str(step.address): ending.selection.withheld[step.key] for step in ending.selection.left}
        assert told["listener.public/http"] == "the spec's `sync.report` has update"

    def test_what_a_missing_thing_needs_comes_first(self, hand: Hand, spec: Spec) -> None:
        """A load balancer and its listener, gone. It comes back under another name."""
        before = acts.dns_name(hand)
        acts.delete_balancer(hand)
        ending = hand.world.sync(spec)
        assert done(ending) == dict.fromkeys(
            ("load_balancer.public", "listener.public/http", "rule.public/http/soon"), "drift"
        )
        assert not ending.problems
        (remark,) = ending.remarks.values()
        assert "load_balancer.public is missing, so it serves nobody" in remark
        assert f"another DNS name than before, {acts.dns_name(hand)}: " in remark
        assert acts.dns_name(hand) != before
        assert hand.world.sync(spec).remarks == {}


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

    @pytest.mark.slow
    def test_a_roll_isnt_applied_even_with_apply_changes_unless_replacing_is_allowed(
        self, hand: Hand, spec: Spec
    ) -> None:
        changed = with_image(spec, LINUX_2)
        for apply_changes in (False, True):
            assert set(left(hand.world.sync(changed, apply_changes=apply_changes)).values()) == {"spec"}
            assert writes(hand) == []
        changed["sync"] = {"correct": ["replace"]}
        ending = hand.world.sync(changed, apply_changes=True)
        assert not ending.is_failed
        assert left(ending) == {}
        assert hand.world.plan(changed).is_empty

    @pytest.mark.slow
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

    @pytest.mark.parametrize("apply_changes", [False, True])
    @pytest.mark.parametrize("was_there", [False, True])
    def test_a_stack_that_was_never_applied_or_is_destroyed_waits(
        self, hand: Hand, *, was_there: bool, apply_changes: bool
    ) -> None:
        """Instances are shown for an hour after their end."""
        if was_there:
            hand.make(demo())
            hand.world.destroy(demo())
        ending = hand.world.sync(demo(), apply_changes=apply_changes)
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
            ("9999-12-31T23:59-05:00", True),
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


@pytest.mark.slow
def test_what_is_protected_does_not_count_against_what_may_be_corrected(hand: Hand) -> None:
    """AWS is asked what it protects before the limits are looked at: one protected resource must not stop everything."""
    spec = demo()
    spec["load_balancers"]["public"]["attributes"] = {"deletion_protection.enabled": True}
    hand.make(spec)
    let_in(hand, "web")
    bare = {key: value for key, value in spec.items() if key != "load_balancers"}
    everything = {**bare, "sync": {"correct": ["create", "update", "replace", "delete"]}}
    ending = hand.world.sync(everything, apply_changes=True)
    assert "security_group_rules.web" in done(ending)
    assert "has deletion protection" in " ".join(ending.selection.withheld.values())
