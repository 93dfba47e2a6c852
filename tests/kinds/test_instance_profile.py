"""Instance profiles: made with their roles, named by instances, repaired, and gone with all that hangs on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import by_hand, demo
from tests.kinds.example import Example
from tests.kinds.hand import calls, create, edited, order, short, update

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

WEB = "instance_profile.web"
POLICY: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::shop/*"}],
}
OTHER: dict[str, Any] = {**POLICY, "Statement": [{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}]}
EXAMPLE = Example(
    spec={
        "stack": "demo",
        "region": "us-east-1",
        "instance_profiles": {"web": {"managed_policies": ["CloudWatchAgentServerPolicy"], "policy": POLICY}},
    },
    address=WEB,
    changes={"managed_policies": ["AmazonSSMManagedInstanceCore"], "policy": OTHER},
    uncalled={
        "iam:ListRoleTags": "a role of that name that is there already",
    },
)


def with_profile(**keys: Any) -> Spec:
    spec = edited(demo(), "instance_profiles", {"web": {"session_manager": True, **keys}})
    spec["instances"]["web"]["iam_instance_profile"] = "web"
    return spec


def roles() -> dict[str, list[str]]:
    """The managed policies of each role, by its name."""
    iam = by_hand("iam")
    names = [item["RoleName"] for item in iam.list_roles()["Roles"]]
    found = {name: iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] for name in names}
    return {name: [item["PolicyName"] for item in policies] for name, policies in found.items()}


def test_instances_are_launched_with_the_profile_of_an_entry(hand: Hand) -> None:
    hand.make(with_profile())
    ((name, policies),) = roles().items()
    assert policies == ["AmazonSSMManagedInstanceCore"]
    given = {params["IamInstanceProfile"]["Arn"] for params in calls(hand.world, "run_instances")}
    assert given == {hand[WEB]}
    assert hand[WEB].endswith(f"/demo/{name}")
    trust = by_hand("iam").get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    assert trust["Statement"][0]["Principal"] == {"Service": "ec2.amazonaws.com"}
    hand.world.destroy(with_profile())
    assert not roles()
    assert not by_hand("iam").list_instance_profiles()["InstanceProfiles"]


def test_running_instances_get_it_in_place(hand: Hand) -> None:
    hand.make(demo())
    result = hand.make(with_profile())
    assert result.writes["associate_iam_instance_profile"] == 2
    assert not order(hand.world, "run_instances")


def test_policies_that_somebody_attached_are_detached(hand: Hand) -> None:
    hand.make(with_profile())
    (name,) = roles()
    by_hand("iam").attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    hand.repairs(update(WEB, "managed_policies"), by="detach_role_policy")


def test_a_profile_without_declared_policies_leaves_them_alone(hand: Hand) -> None:
    spec = with_profile()
    spec["instance_profiles"] = {"web": {}}
    hand.make(spec)
    (name,) = roles()
    by_hand("iam").attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    assert hand.world.plan(spec).is_empty


def test_a_role_that_somebody_deleted_is_made_again(hand: Hand) -> None:
    hand.make(EXAMPLE.spec)
    iam = by_hand("iam")
    (name,) = roles()
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    iam.detach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy")
    iam.delete_role_policy(RoleName=name, PolicyName="inline")
    iam.delete_role(RoleName=name)
    hand.make(EXAMPLE.spec)
    assert roles() == {name: ["CloudWatchAgentServerPolicy"]}


@pytest.mark.parametrize("operation", ["create_instance_profile", "create_role", "add_role_to_instance_profile"])
def test_a_lost_reply_makes_nothing_twice(hand: Hand, faults: Faults, operation: str) -> None:
    faults.lose_reply(operation)
    hand.world.apply(EXAMPLE.spec)
    hand.make(EXAMPLE.spec)
    assert len(roles()) == 1


def test_a_role_may_be_unknown_for_a_while(hand: Hand, faults: Faults) -> None:
    for operation in ("add_role_to_instance_profile", "attach_role_policy", "put_role_policy"):
        faults.refuse(operation, "NoSuchEntity", "The role with name web cannot be found.", times=2)
    hand.make(EXAMPLE.spec)


def test_a_name_that_somebody_else_has_is_refused(hand: Hand) -> None:
    by_hand("iam").create_instance_profile(InstanceProfileName="web")
    spec = edited(EXAMPLE.spec, "instance_profiles/web/name", "web")
    (failure,) = hand.world.apply(spec).failures
    assert 'this account has a role or instance profile named "web" outside this stack; choose another name' in failure


def test_a_stack_without_profiles_reads_none(hand: Hand) -> None:
    hand.make(demo())
    assert hand.world.plan(demo()).is_empty
    assert not calls(hand.world, "list_instance_profiles")


def test_one_that_only_its_instances_show_is_found_and_goes_after_them(hand: Hand) -> None:
    hand.make(with_profile())
    by_hand("iam").create_instance_profile(InstanceProfileName="theirs")
    spec = edited(demo(), "instances/web/iam_instance_profile", "theirs")
    assert ("delete", WEB, ()) in short(hand.world.plan(spec))
    hand.make(spec)
    assert order(hand.world, "replace_iam_instance_profile_association", "delete_instance_profile")[-1] == (
        "delete_instance_profile"
    )


def test_one_that_somebody_deleted_is_made_again(hand: Hand) -> None:
    hand.make(edited(EXAMPLE.spec, "instance_profiles", {"web": {}}))
    iam = by_hand("iam")
    (name,) = roles()
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    iam.delete_instance_profile(InstanceProfileName=name)
    assert short(hand.world.plan(hand.spec)) == [create(WEB)]
    hand.make(hand.spec)


def test_a_stack_without_them_is_destroyed_by_who_may_not_look_for_them(hand: Hand, faults: Faults) -> None:
    hand.make(demo())
    faults.refuse("list_instance_profiles", "AccessDenied", times=2)
    plan = hand.world.plan(demo(), destroy=True)
    assert any("these credentials may not look for instance profiles" in text for text in plan.warnings)
    hand.world.destroy(demo())
