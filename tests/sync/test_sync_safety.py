"""What an unattended run must not do, and must not be kept from: found by trying to make it do harm."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.journal.record import DESTROY_BEGUN
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import LeaseLostError
from alb_reconcile.sync.stack import REFUSED, Ways, correct, survey
from tests.harness import REGION, load
from tests.kinds.hand import LINUX_2, Faults, Hand, edited
from tests.kinds.test_listener import CERTIFICATES, upload_certificates
from tests.sync.acts import make_ill, stopped_half_way
from tests.sync.words import done, left, with_image, writes

if TYPE_CHECKING:
    from alb_reconcile.aws.client import Aws
    from alb_reconcile.engine.apply import Event
    from alb_reconcile.sync.stack import Ending
    from tests.harness import Spec


@pytest.mark.slow
def test_unapplied_gate_doesnt_send_requests_to_the_ill(hand: Hand, spec: Spec) -> None:
    spec["target_groups"]["green"] = copy.deepcopy(spec["target_groups"]["web"])
    hand.make(spec)
    hand.elb.modify_listener(
        ListenerArn=hand["listener.public/http"],
        DefaultActions=[{"Type": "forward", "TargetGroupArn": hand["target_group.green"]}],
    )
    hand.wait(120)
    make_ill(hand, "web-1", "web-2")
    spec["target_groups"]["web"]["min_healthy"] = 0  # nobody has applied it
    hand.world.sync(spec)
    actions = hand.elb.describe_listeners(ListenerArns=[hand["listener.public/http"]])["Listeners"][0]["DefaultActions"]
    assert hand["target_group.green"] in str(actions)


def test_correcting_something_else_doesnt_fail_over_a_target_that_was_ill_before(hand: Hand, spec: Spec) -> None:
    make_ill(hand, "web-1")
    hand.changed_tags("ec2", hand["vpc.main"], {"Name": "other"})
    began = hand.world.clock.now()
    ending = hand.world.sync(spec)
    assert (ending.is_failed, hand.world.clock.now() - began < 60) == (False, True)


def test_an_ignored_difference_isnt_written_down_as_applied(hand: Hand, spec: Spec) -> None:
    extra = {"protocol": "HTTP", "port": 8080, "default_action": {"fixed_response": {"status_code": 200}}}
    new = edited(with_image(spec, LINUX_2), "load_balancers/public/listeners/extra", extra)
    ignored = {"ignore": ["instance.web", "target_group.web", "listener.public/extra"]}
    hand.world.sync({**new, "sync": ignored}, apply_changes=True)
    ending = hand.world.sync(new)
    assert (set(left(ending).values()), done(ending)) == ({"spec"}, {})


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


@pytest.mark.slow
def test_what_waits_of_a_changed_spec_stays_the_specs(hand: Hand, spec: Spec) -> None:
    new = edited(with_image(spec, LINUX_2), "security_groups/spare", {"description": "spare"})
    hand.world.sync(new, apply_changes=True)
    hand.changed_tags("ec2", hand["vpc.main"], {"Name": "other"})
    hand.world.sync(new)
    assert set(left(hand.world.sync(new)).values()) == {"spec"}


def test_a_begun_destroy_isnt_undone(hand: Hand, spec: Spec) -> None:
    """`apply` undoes it, where somebody looks."""
    stopped_half_way(hand, spec, "delete_security_group", destroy=True)
    hand.world.sync(spec)
    assert writes(hand) == []
    ending = hand.world.sync(spec, apply_changes=True)
    assert writes(hand) == []
    assert set(ending.selection.withheld.values()) == {DESTROY_BEGUN}
    assert "load_balancer.public is missing, so it serves nobody" in ending.problems, (
        "an outage, not a change of the spec"
    )
    hand.world.converge(spec)
    hand.elb.delete_listener(ListenerArn=hand.make(spec) and hand["listener.public/http"])
    assert "listener.public/http" in done(hand.world.sync(spec))


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


def test_drift_is_corrected_beside_a_changed_spec_that_apply_refuses(hand: Hand, spec: Spec) -> None:
    del spec["load_balancers"]
    spec["security_groups"]["spare"] = {"description": "spare"}
    hand.changed_tags("ec2", hand["vpc.main"], {"Name": "other"})
    ending = hand.world.sync(spec, apply_changes=True)
    assert done(ending) == {"vpc.main": "drift"}
    assert ending.acted
    assert ending.acted.withheld["create:security_group.spare"] == REFUSED
    assert ending.notes[0].startswith("apply refuses the changed spec: 1 load balancer would be deleted")


@pytest.mark.slow
def test_a_certificate_of_another_name_is_left(hand: Hand, spec: Spec) -> None:
    """Its clients would meet a certificate that isn't theirs."""
    upload_certificates()
    first, second, theirs = CERTIFICATES[:3]
    listeners = spec["load_balancers"]["public"]["listeners"]
    listeners["https"] = {
        "protocol": "HTTPS", "port": 443, "certificate_arn": first, "certificates": [second],
        "default_action": listeners["http"]["default_action"],
    }  # fmt: skip
    hand.make(spec)
    listener = hand["listener.public/https"]

    def there() -> set[str]:
        found = hand.elb.describe_listener_certificates(ListenerArn=listener)["Certificates"]
        return {item["CertificateArn"] for item in found}

    hand.elb.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": theirs}])
    hand.elb.remove_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": second}])
    ending = hand.world.sync(spec)
    assert (done(ending), left(ending)) == ({"listener.public/https": "drift"}, {"listener.public/https": "drift"})
    assert there() == {first, second, theirs}
    hand.make(spec)
    assert there() == {first, second}
