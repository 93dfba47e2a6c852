"""The IAM permissions that a stack needs for what AWS knows by name: actions, their resources and their conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from alb_reconcile.aws.partitions import partition_of
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Desired

ANY: Final = ("*",)
Condition = tuple[tuple[str, str, tuple[str, ...]], ...]
"""The conditions of a statement, all of which have to hold: operator, key and values."""


class Grant(NamedTuple):
    """Actions that a policy allows on some resources."""

    actions: tuple[str, ...]
    resources: tuple[str, ...] = ANY
    condition: Condition = ()


@dataclass(frozen=True)
class Scope:
    """Where a policy is to hold. `account` is a star where the account isn't known; `stacks` are all stacks of the policy. `roles` are the
    names of the roles of named instance profiles; a role that isn't listed has its profile's name."""

    stack: str
    region: str
    account: str
    desired: Mapping[Address, Desired]
    stacks: tuple[str, ...]
    roles: Sequence[str] = ()

    def arn(self, service: str, resource: str) -> str:
        """An ARN of the account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def iam(self, resource: str) -> str:
        """An ARN of IAM, which has no region."""
        return f"arn:{self.partition}:iam::{self.account}:{resource}"

    def linked_role(self, service: str, role: str) -> Grant:
        """The permission to have AWS make a service-linked role; its name and its service's are the same in all partitions."""
        only = (("StringEquals", "iam:AWSServiceName", (service,)),)
        return Grant(("iam:CreateServiceLinkedRole",), (self.iam(f"role/aws-service-role/{service}/{role}"),), only)

    def s3(self, resource: str) -> str:
        """The ARN of a bucket, or of objects."""
        return f"arn:{self.partition}:s3:::{resource}"

    def zone(self, zone_id: str) -> str:
        """The ARN of a hosted zone."""
        return f"arn:{self.partition}:route53:::hostedzone/{zone_id}"

    @property
    def partition(self) -> str:
        return partition_of(self.region)
