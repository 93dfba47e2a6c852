"""A spec's whole desired stack: all resources that a run is to reach, and the run's limits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from alb_reconcile.model.address import Address
from alb_reconcile.model.drift_policy import DriftPolicy
from alb_reconcile.model.policy import Policy
from alb_reconcile.model.resource import Desired
from alb_reconcile.model.secrets import Headers


@dataclass(frozen=True)
class Unset:
    """The variables of values that outlive their command, as far as this command wasn't given them.

    `places` says for each name where it stands, empty where it has a default there; `hints` which given name is like it. `fill` makes the desired resources with further
    variables; it raises SpecError.
    """

    places: Mapping[str, str]
    hints: Mapping[str, str]
    fill: Callable[[Mapping[str, str]], Mapping[Address, Desired]] = field(repr=False, compare=False)


@dataclass(frozen=True)
class DesiredStack:
    """What a run is to reach: everything that the commands know about one stack."""

    stack: str
    region: str
    desired: Mapping[Address, Desired]
    account_ids: tuple[str, ...] = ()
    destroy: bool = False
    spec_file: str = ""
    policy: Policy = field(default_factory=Policy)
    sync: DriftPolicy = field(default_factory=DriftPolicy)
    lease: str = ""
    secret_headers: Headers = None
    """The headers that are shown without their values (`model.secrets`)."""
    unset: Unset | None = None
    keeps_versions: bool = False
    """Whether the versions of what user data names stay those that run, rather than the newest ones: an unattended run deploys nothing."""
    remarks: tuple[str, ...] = ()
    """What a plan says first of the spec: the variables that an earlier command was given."""
