"""What a step does beyond creating, changing or deleting a resource: a class for each such thing.

A plan's passes write these values, and the kinds read them (`Step.detail`); no code in between looks inside.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.resource import Desired, RequestCheck

HEALTH_TIMEOUT = 600
"""Seconds to wait for health where no rollout says otherwise."""


@dataclass(frozen=True)
class SetPriorities:
    """Rules of one listener change places, all in one call: the new priorities by ARN; `kind` is the kind of the rules."""

    priorities: tuple[tuple[str, int], ...] = ()
    kind: str = ""


@dataclass(frozen=True)
class Launch:
    """An instance is launched. `generation` tells the instance from earlier instances at the same address.

    `together` are the instances that one call launches, this one included, each with its generation; `missing` the client tokens of
    recent launches that were also for this instance, and have shown only other instances so far. `groups` are the ARNs of the target
    groups in which the run may have replaced other instances of the same entry before.
    """

    generation: str = ""
    together: tuple[tuple[Desired, str], ...] = ()
    missing: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Register:
    """A target is registered. Where the target's health `is_checked` already, the step waits until the target is healthy, for
    `health_timeout` seconds at most, and then until it has been healthy for `min_ready` seconds."""

    is_checked: bool = False
    health_timeout: int = HEALTH_TIMEOUT
    min_ready: int = 0


@dataclass(frozen=True)
class Deregister:
    """A target is deregistered.

    `least` healthy targets must stay in the target's group; None where the group gets no requests. `keeps_all`: the group, or the one
    that has replaced it by then, has one healthy target or more, and as many as the spec declares, or as can be healthy now if these
    are fewer. `unused`: nothing forwards to the group by then, so that AWS drains none of its targets (ELB API Reference,
    "TargetHealth").
    """

    least: int | None = None
    keeps_all: bool = False
    health_timeout: int = HEALTH_TIMEOUT
    unused: bool = False


@dataclass(frozen=True)
class HandOver:
    """Subnets change route tables: another table takes the subnets `moving`, each in one call. `associations` are by subnet."""

    moving: frozenset[str] = frozenset()
    associations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """A load balancer is created in a VPC, which follows from its subnets."""

    vpc: Ref = ""


@dataclass(frozen=True)
class Associate:
    """An instance gets an Elastic IP address. `taken_from` is the resource, not the stack's, that loses the address; empty if none
    does."""

    taken_from: str = ""


class Wanted(NamedTuple):
    """How many healthy targets a group is to have. Where its other targets don't pass their checks, `enough` healthy ones will do.

    Of the group's stopped instances, only those in `running` are started.
    """

    group: Ref
    healthy: int
    enough: int
    running: frozenset[Address] = frozenset()


class Proof(NamedTuple):
    """What a target group that gets no requests yet is to be asked, through a listener's load balancer. `settle`: for how many
    seconds a rule may take to be everywhere."""

    group: Ref
    listener: str
    """The listener's ARN."""
    checks: tuple[RequestCheck, ...]
    settle: int
    moved: str = ""
    """The ARN of the listener or rule of which the requests have moved to the group: the group is asked in their way; empty before that."""
    rejected: str = ""
    """That the same version failed its checks, or was rolled back, and when; empty if neither."""


@dataclass(frozen=True)
class Shift:
    """Requests move to other target groups.

    Each group in `awaits` must have its healthy targets first; each group in `hopes` is waited for, too, and may fail.
    `serving` are the ARNs of the groups that get the requests now: if none of them has a healthy target, nothing is awaited.
    `recovery`: for how many seconds unhealthy targets may still pass their checks, since a step of this run may have mended them.
    """

    awaits: tuple[Wanted, ...] = ()
    hopes: tuple[Wanted, ...] = ()
    serving: tuple[str, ...] = ()
    health_timeout: int = HEALTH_TIMEOUT
    recovery: int = 0
    proofs: tuple[Proof, ...] = ()
    standby: tuple[tuple[str, int], ...] = ()
    """The ARNs of the old groups that stand by from then on, each with the seconds for which they do."""


@dataclass(frozen=True)
class Attach:
    """Groups are added at weight 0 to the forward of a listener or rule, so that their targets are checked. `idle` are the groups
    among them to which, as far as was read, nothing forwards."""

    groups: tuple[Ref, ...] = ()
    idle: tuple[Ref, ...] = ()


@dataclass(frozen=True)
class TakeOver:
    """A load balancer is deleted when the load balancers or target groups that take over from it answer.

    `successors` are load balancers that must be active, `groups` the target groups that take over, `takers` the keys of
    the steps that forward to them.
    """

    successors: tuple[Address, ...] = ()
    groups: tuple[Ref, ...] = ()
    takers: frozenset[str] = frozenset()
    shift: Shift = field(default_factory=Shift)


Details = SetPriorities | Launch | Register | Deregister | HandOver | Place | Associate | Shift | Attach | TakeOver
