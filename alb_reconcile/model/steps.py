"""What a step does beyond creating, changing or deleting a resource: a class for each such thing.

A plan's passes write these values, and the kinds read them (`Step.detail`); no code in between looks inside.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.resource import Desired

HEALTH_TIMEOUT = 600
"""Seconds to wait for health where no rollout says otherwise."""


@dataclass(frozen=True)
class SetPriorities:
    """Rules of one listener change places, all in one call. By ARN, to which priority; `kind` is the rules'."""

    priorities: tuple[tuple[str, int], ...] = ()
    kind: str = ""


@dataclass(frozen=True)
class Launch:
    """An instance is launched. `generation` tells it from those that were launched at its address before.

    `together` are the entries that one call launches, itself included, each with its generation; `missing` the client
    tokens of launches a moment ago that were for it too, and have shown others so far. `groups` are the ARNs of the target groups in
    which the run may have replaced others of the same entry before.
    """

    generation: str = ""
    together: tuple[tuple[Desired, str], ...] = ()
    missing: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Register:
    """A target is registered. Where its health `is_checked` already it is waited for, `health_timeout` seconds at most, and
    then until it has been healthy for `min_ready` seconds."""

    is_checked: bool = False
    health_timeout: int = HEALTH_TIMEOUT
    min_ready: int = 0


@dataclass(frozen=True)
class Deregister:
    """A target is deregistered.

    `least` healthy targets must stay in its group; None where the group gets no requests. Nothing forwards to
    one that is `unused` by then, of which AWS drains no target (ELB API Reference, "TargetHealth").
    """

    least: int | None = None
    health_timeout: int = HEALTH_TIMEOUT
    unused: bool = False


@dataclass(frozen=True)
class HandOver:
    """Subnets change route tables: those `moving` are taken by another table, in one call. `associations` are by subnet."""

    moving: frozenset[str] = frozenset()
    associations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """A load balancer is created in a VPC, which only its subnets tell."""

    vpc: Ref = ""


@dataclass(frozen=True)
class Associate:
    """An instance is given an Elastic IP address. It is taken from `taken_from`, which isn't the stack's; empty if from nobody
    else."""

    taken_from: str = ""


class Wanted(NamedTuple):
    """How many healthy targets a group is to have. Where its others don't pass their checks, `enough` will do.

    Of those that are stopped nobody starts any but `running`.
    """

    group: Ref
    healthy: int
    enough: int
    running: frozenset[Address] = frozenset()


@dataclass(frozen=True)
class Shift:
    """Requests move to other target groups.

    Each of the groups in `awaits` must have its healthy targets first; each in `hopes` may have, and is waited for.
    `serving` are the ARNs of the groups that get the requests now: if none of them has a healthy target, nothing is awaited.
    `recovery`: for how many seconds unhealthy targets may still pass their checks, since a step of this run may have mended them.
    """

    awaits: tuple[Wanted, ...] = ()
    hopes: tuple[Wanted, ...] = ()
    serving: tuple[str, ...] = ()
    health_timeout: int = HEALTH_TIMEOUT
    recovery: int = 0


@dataclass(frozen=True)
class Attach:
    """Groups are put at weight 0 beside what a listener or rule forwards to, so that their targets are checked. `idle` are those
    of them to which, for all that was read, nothing forwards."""

    groups: tuple[Ref, ...] = ()
    idle: tuple[Ref, ...] = ()


@dataclass(frozen=True)
class TakeOver:
    """A load balancer goes when those that take over from it answer.

    `successors` are load balancers that must be active, `groups` the target groups that take over, `takers` the keys of
    the steps that forward to them.
    """

    successors: tuple[Address, ...] = ()
    groups: tuple[Ref, ...] = ()
    takers: frozenset[str] = frozenset()
    shift: Shift = field(default_factory=Shift)


Details = SetPriorities | Launch | Register | Deregister | HandOver | Place | Associate | Shift | Attach | TakeOver
