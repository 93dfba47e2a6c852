"""Roles in instance profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sandbox.strict_world import client, refused

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import StrictAws


def test_a_role_that_is_in_no_profile_cant_be_removed_from_it(aws: StrictAws) -> None:
    iam = client("iam")
    iam.create_role(RoleName="web", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="web")
    iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="web")
    iam.remove_role_from_instance_profile(InstanceProfileName="web", RoleName="web")
    with refused("NoSuchEntity", "cannot be found", 404):
        iam.remove_role_from_instance_profile(InstanceProfileName="web", RoleName="web")


def test_policies_of_awss_own_are_known_by_name(aws: StrictAws) -> None:
    iam = client("iam")
    arn = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    assert iam.get_policy(PolicyArn=arn)["Policy"]["Arn"] == arn
    with refused("NoSuchEntity", "not found", 404):
        iam.get_policy(PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadAccess")
