"""What discovery has read of one stack: its resources in AWS, and findings about them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Desired, Observed
from alb_reconcile.model.service import Foreign, Network


@dataclass(frozen=True)
class Finding:
    """A change that AWS would refuse in the middle of a run (or, as a warning, that won't work), found before anything is changed."""

    desired: Desired
    path: str
    """The property that is to be corrected; empty for the whole entry."""
    text: str
    warning: bool = False
    id: str = ""
    """The id of the resource that is in the way, where it is known."""

    def __str__(self) -> str:
        return f"{self.desired.at(self.path)}: {self.text}"


@dataclass(frozen=True)
class Other:
    """A load balancer or target group that isn't the stack's."""

    arn: str
    vpc: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Discovery:
    """What was read of one stack."""

    account: str
    resources: tuple[Observed, ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    """AMI ids by `resolve:ssm:…`, as far as the plan may need them."""
    taken: Mapping[tuple[str, str], Other] = field(default_factory=dict)
    """The load balancers and target groups that aren't the stack's, by (kind, name)."""
    foreign: Mapping[str, Foreign] = field(default_factory=dict)
    """The locations of others' resources that the spec names by id."""
    findings: tuple[Finding, ...] = ()
    """Findings about the resources that are to be made or changed."""
    warnings: tuple[str, ...] = ()
    """What the user should know about the read."""
    kept: Mapping[tuple[Address, str], tuple[str, str]] = field(default_factory=dict)
    """The volumes that outlive their instances, by the instance's address and the volume's name: id and zone."""
    standby: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The target groups that stand by, and that were left out here, by the listener or rule that has them in its forward."""
    used: frozenset[str] = frozenset()
    """The ids of the resources that a version uses that stands by, such as its security groups."""
    keeps_unsupported: bool = True
    """Whether settings that no spec can say are to stay; the user may say otherwise."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """What these credentials may not read, mostly a kind, with AWS's answer; only a lenient read gives a discovery with such gaps."""

    @property
    def vpcs(self) -> dict[str, str]:
        """The VPCs that the stack has or its spec names, in words by id."""
        named = {str(item.vpc): str(item.vpc) for item in self.foreign.values() if item.vpc}
        return named | {
            item.id: f"{item.id} ({item.address})" for item in self.resources if isinstance(item.state, Network)
        }

    def elsewhere(self, other: Other) -> str:
        """In words, the VPC of a resource if it is none of `vpcs`, where `adopt` doesn't look."""
        known = self.vpcs
        is_far = other.vpc and known and other.vpc not in known
        return f"in {other.vpc}, not in {', '.join(sorted(known.values()))}" if is_far else ""
