"""Imitates IAM's rules for roles of instance profiles, and loads AWS's managed policies one by one, where moto loads all 1,500 or none."""

import json
from functools import cache
from typing import Any

from moto.iam.exceptions import NotFoundException
from moto.iam.models import AWSManagedPolicy, IAMBackend


@cache
def known() -> dict[str, tuple[str, dict[str, Any]]]:
    """AWS's managed policies, by path and name: the name, and moto's data."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    return {f"{data['Path']}{name}": (name, data) for name, data in json.loads(aws_managed_policies_data).items()}


def _load(self: Any, policy_arn: str) -> None:
    """Load one of AWS's managed policies into moto, if it isn't loaded."""
    _, _, path = policy_arn.partition(":iam::aws:policy")
    if path in known() and policy_arn not in self.managed_policies:
        name, data = known()[path]
        policy = AWSManagedPolicy.from_data(name, self.account_id, self.region_name, data)
        self.managed_policies[policy.arn] = policy


_attach, _get = IAMBackend.attach_role_policy, IAMBackend.get_policy


def attach_role_policy(self: Any, policy_arn: str, role_name: str) -> None:
    """AttachRolePolicy: NoSuchEntity for a policy that AWS doesn't have."""
    _load(self, policy_arn)
    _attach(self, policy_arn, role_name)


def get_policy(self: Any, policy_arn: str) -> Any:
    """GetPolicy: NoSuchEntity for a policy that AWS doesn't have."""
    _load(self, policy_arn)
    return _get(self, policy_arn)


_remove = IAMBackend.remove_role_from_instance_profile


def remove_role(self: Any, profile_name: str, role_name: str) -> None:
    """RemoveRoleFromInstanceProfile: NoSuchEntity for a role that isn't in the profile (moto fails)."""
    if all(role.name != role_name for role in self.get_instance_profile(profile_name).roles):
        raise NotFoundException(f"Role {role_name} in Instance Profile {profile_name} cannot be found.")
    _remove(self, profile_name, role_name)


def patches() -> list[tuple[Any, str, Any]]:
    return [
        (IAMBackend, "attach_role_policy", attach_role_policy),
        (IAMBackend, "get_policy", get_policy),
        (IAMBackend, "remove_role_from_instance_profile", remove_role),
    ]
