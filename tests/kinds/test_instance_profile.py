"""Instance profiles: made with their roles, named by instances, repaired, and gone with all that hangs on them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from alb_reconcile.api.iam_policy import policy_documents
from tests.harness import by_hand, demo, load
from tests.kinds.authorization import Guard
from tests.kinds.example import Example
from tests.kinds.hand import calls, edited, order, short, update

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
FOR_ALL = {**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": {"AWS": "*"}}]}
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


def test_a_role_that_somebody_deleted_is_made_again_and_may_be_unknown_for_a_while(hand: Hand, faults: Faults) -> None:
    hand.make(EXAMPLE.spec)
    iam = by_hand("iam")
    (name,) = roles()
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    iam.detach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy")
    iam.delete_role_policy(RoleName=name, PolicyName="inline")
    iam.delete_role(RoleName=name)
    for operation in ("add_role_to_instance_profile", "attach_role_policy", "put_role_policy"):
        faults.refuse(operation, "NoSuchEntity", "The role with name web cannot be found.", times=2)
    hand.make(EXAMPLE.spec)
    assert roles() == {name: ["CloudWatchAgentServerPolicy"]}


def test_a_name_that_somebody_else_has_is_refused(hand: Hand) -> None:
    by_hand("iam").create_instance_profile(InstanceProfileName="web")
    spec = edited(EXAMPLE.spec, "instance_profiles/web/name", "web")
    (failure,) = hand.world.apply(spec).failures
    assert 'this account has a role or instance profile named "web" outside this stack; choose another name' in failure


def test_one_that_only_its_instances_show_is_found_and_goes_after_them(hand: Hand) -> None:
    hand.make(with_profile())
    by_hand("iam").create_instance_profile(InstanceProfileName="theirs")
    spec = edited(demo(), "instances/web/iam_instance_profile", "theirs")
    assert ("delete", WEB, ()) in short(hand.world.plan(spec))
    hand.make(spec)
    went = order(hand.world, "replace_iam_instance_profile_association", "delete_instance_profile")
    assert went[-1] == "delete_instance_profile"


def opened(trust: Mapping[str, Any] | None = None, **policies: Any) -> str:
    """Somebody opens the role of the stack's one profile: gives it inline policies, or another trust policy. Returns its name."""
    (name,) = roles()
    for policy, document in policies.items():
        by_hand("iam").put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))
    if trust is not None:
        by_hand("iam").update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))
    return name


def test_a_further_inline_policy_is_taken_away(hand: Hand) -> None:
    said: tuple[Spec, ...] = ({"session_manager": True}, {"managed_policies": []}, {"policy": POLICY})
    for keys in said:
        hand.make(edited(EXAMPLE.spec, "instance_profiles/web", keys))
        name = opened(admin=ADMIN)
        hand.repairs(update(WEB, "other_policies"), by="delete_role_policy")
        left = by_hand("iam").list_role_policies(RoleName=name)["PolicyNames"]
        assert left == (["inline"] if "policy" in keys else [])


def test_what_the_spec_does_not_say_is_left_alone_but_for_the_role_itself(hand: Hand) -> None:
    hand.make(EXAMPLE.spec)
    ec2 = {"Service": ["ec2.amazonaws.com"]}
    statement = {"Action": ["sts:AssumeRole"], "Principal": ec2, "Effect": "Allow"}
    opened(trust={"Statement": statement, "Version": "2012-10-17"})
    assert hand.world.plan(EXAMPLE.spec).is_empty, "the same trust policy in other words is no drift"
    assert hand.world.plan(edited(EXAMPLE.spec, "instance_profiles/web/policy", None)).is_empty
    hand.make(edited(EXAMPLE.spec, "instance_profiles/web", {}))
    name = opened(admin=ADMIN)
    iam = by_hand("iam")
    iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    assert hand.world.plan(hand.spec).is_empty
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    hand.make(hand.spec)
    profile = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    assert [role["RoleName"] for role in profile["Roles"]] == [name]


def test_a_role_that_others_may_assume_is_for_ec2_alone_again(hand: Hand) -> None:
    said: tuple[Spec, ...] = ({}, {"session_manager": True})
    for keys in said:
        hand.make(edited(EXAMPLE.spec, "instance_profiles/web", keys))
        name = opened(trust=FOR_ALL)
        (change,) = hand.world.plan(hand.spec).steps[0].changes
        assert '"AWS": "*"' in str(change.before)
        hand.repairs(update(WEB, "trust_policy"), by="update_assume_role_policy")
        assert by_hand("iam").get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"] == TRUST
    name, guard = opened(trust=FOR_ALL, admin=ADMIN), Guard(hand.world)
    guard.documents = policy_documents([load(hand.spec).target()], "sync")
    hand.world.sync(hand.spec)
    assert guard.denied == []
    assert by_hand("iam").list_role_policies(RoleName=name)["PolicyNames"] == []
    assert by_hand("iam").get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"] == TRUST


def test_another_role_of_that_name_is_left_alone(hand: Hand) -> None:
    """Roles that a spec only names: nobody says whose they are, and none of them is read."""
    iam = by_hand("iam")
    iam.create_instance_profile(InstanceProfileName="theirs")
    iam.create_role(RoleName="theirs", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.add_role_to_instance_profile(InstanceProfileName="theirs", RoleName="theirs")
    hand.make(edited(demo(), "instances/web/iam_instance_profile", "theirs"))
    opened(trust=FOR_ALL, admin=ADMIN)
    assert hand.world.plan(hand.spec).is_empty
    assert not calls(hand.world, "list_role_policies")
