"""A spec's whole desired stack: all resources that a run is to reach, and the run's limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from alb_reconcile.model.address import Address
from alb_reconcile.model.drift_policy import DriftPolicy
from alb_reconcile.model.policy import Policy
from alb_reconcile.model.resource import Desired
from alb_reconcile.model.secrets import Headers


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
