"""Instance profiles: made with their roles, named by instances, repaired, and gone with all that hangs on them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.api.iam_policy import policy_documents
from tests.harness import by_hand, demo, load
from tests.kinds.authorization import Guard
from tests.kinds.example import Example
from tests.kinds.hand import calls, create, edited, order, short, update

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

WEB = "instance_profile.web"
POLICY: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::shop/*"}],
}
ADMIN: dict[str, Any] = {**POLICY, "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
TRUST: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
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
        "iam:UpdateAssumeRolePolicy": "a trust policy that somebody has changed",
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


def test_a_role_that_somebody_took_is_put_back_though_nothing_is_said_of_it(hand: Hand) -> None:
    hand.make(edited(EXAMPLE.spec, "instance_profiles/web", {}))
    (name,) = roles()
    by_hand("iam").remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    hand.make(hand.spec)
    profile = by_hand("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    assert [role["RoleName"] for role in profile["Roles"]] == [name]


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


def opened(trust: Mapping[str, Any] | None = None, **policies: Any) -> str:
    """Somebody opens the role of the stack's one profile: gives it inline policies, or another trust policy. Returns its name."""
    (name,) = roles()
    for policy, document in policies.items():
        by_hand("iam").put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))
    if trust is not None:
        by_hand("iam").update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))
    return name


@pytest.mark.parametrize(
    "keys", [{"session_manager": True}, {"managed_policies": []}, {"policy": POLICY}], ids=lambda item: next(iter(item))
)
def test_a_further_inline_policy_is_taken_away(hand: Hand, keys: dict[str, Any]) -> None:
    hand.make(edited(EXAMPLE.spec, "instance_profiles/web", keys))
    name = opened(admin=ADMIN)
    hand.repairs(update(WEB, "other_policies"), by="delete_role_policy")
    left = by_hand("iam").list_role_policies(RoleName=name)["PolicyNames"]
    assert left == (["inline"] if "policy" in keys else [])


def test_inline_policies_are_left_alone_where_the_spec_says_none_of_the_roles(hand: Hand) -> None:
    hand.make(edited(EXAMPLE.spec, "instance_profiles/web", {}))
    opened(admin=ADMIN)
    assert hand.world.plan(hand.spec).is_empty


def test_the_own_policy_stays_where_it_is_left_out(hand: Hand) -> None:
    hand.make(EXAMPLE.spec)
    assert hand.world.plan(edited(EXAMPLE.spec, "instance_profiles/web/policy", None)).is_empty


@pytest.mark.parametrize("keys", [{}, {"session_manager": True}], ids=["nothing said", "policies said"])
def test_a_role_that_others_may_assume_is_for_ec2_alone_again(hand: Hand, keys: dict[str, Any]) -> None:
    hand.make(edited(EXAMPLE.spec, "instance_profiles/web", keys))
    name = opened(trust={**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": {"AWS": "*"}}]})
    (change,) = hand.world.plan(hand.spec).steps[0].changes
    assert '"AWS": "*"' in str(change.before)
    hand.repairs(update(WEB, "trust_policy"), by="update_assume_role_policy")
    role = by_hand("iam").get_role(RoleName=name)["Role"]
    assert role["AssumeRolePolicyDocument"] == TRUST


def test_the_same_trust_policy_in_other_words_is_no_drift(hand: Hand) -> None:
    hand.make(EXAMPLE.spec)
    ec2 = {"Service": ["ec2.amazonaws.com"]}
    statement = {"Action": ["sts:AssumeRole"], "Principal": ec2, "Effect": "Allow"}
    opened(trust={"Statement": statement, "Version": "2012-10-17"})
    assert hand.world.plan(EXAMPLE.spec).is_empty


def test_sync_shuts_a_role_that_was_opened(hand: Hand) -> None:
    """With what `iam-policy` allows it."""
    hand.make(EXAMPLE.spec)
    name = opened(trust={**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": {"AWS": "*"}}]}, admin=ADMIN)
    guard = Guard(hand.world)
    guard.documents = policy_documents([load(EXAMPLE.spec).target()], "sync")
    hand.world.sync(EXAMPLE.spec)
    assert guard.denied == []
    iam = by_hand("iam")
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["inline"]
    assert iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"] == TRUST


def test_another_role_of_that_name_is_left_alone(hand: Hand) -> None:
    """Roles that a spec only names: nobody says whose they are, and none of them is read."""
    iam = by_hand("iam")
    iam.create_instance_profile(InstanceProfileName="theirs")
    iam.create_role(RoleName="theirs", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.add_role_to_instance_profile(InstanceProfileName="theirs", RoleName="theirs")
    hand.make(edited(demo(), "instances/web/iam_instance_profile", "theirs"))
    opened(trust={**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": {"AWS": "*"}}]}, admin=ADMIN)
    assert hand.world.plan(hand.spec).is_empty
    assert not calls(hand.world, "list_role_policies")


def test_what_a_plan_reads_of_a_profile(hand: Hand) -> None:
    """Its trust policy comes with the profile."""
    hand.make(EXAMPLE.spec)
    hand.world.plan(EXAMPLE.spec)
    asked = [name for name, _ in hand.world.log if "profile" in name or "role" in name]
    assert sorted(asked) == [
        "get_instance_profile",
        "get_role_policy",
        "list_attached_role_policies",
        "list_instance_profiles",
        "list_role_policies",
    ]
