"""What was read of one stack."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from alb_reconcile.model.address import Ref
from alb_reconcile.model.resource import Observed


@dataclass(frozen=True)
class Foreign:
    """Where a resource is: its VPC, and of a subnet its availability zone."""

    vpc: Ref | None = None
    zone: str | None = None


@dataclass(frozen=True)
class Discovery:
    """What was read of one stack."""

    account: str
    resources: tuple[Observed, ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    """AMI ids by `resolve:ssm:…`, as far as the plan may need them."""
    taken: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Names of load balancers and target groups that aren't the stack's, by (kind, name), with their ARNs."""
    zones: tuple[str, ...] = ()
    """The region's zones, if a subnet is to be made."""
    foreign: Mapping[str, Foreign] = field(default_factory=dict)
    """What the spec names by its id."""
    warnings: tuple[str, ...] = ()
    """What the user should know of."""
