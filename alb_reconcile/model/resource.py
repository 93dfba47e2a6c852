"""What every kind of resource has in common, what a spec wants of one, and what AWS has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from alb_reconcile.kinds.base import Kind
from alb_reconcile.model.address import Address


@dataclass(frozen=True)
class Rollout:
    """How replacements of an instance group are paced (`settle` and `health_timeout` in seconds)."""

    max_surge: int = 1
    max_unavailable: int = 0
    settle: int = 5
    health_timeout: int = 600


@dataclass(frozen=True)
class Lifecycle:
    """What a spec says about the handling of a resource, beside its properties."""

    prevent_destroy: bool | None = None
    keep_others: bool = False
    members: bool = True
    """Whether the collection whose members are resources of their own (a target group's targets) is managed."""
    rollout: Rollout = field(default_factory=Rollout)
    image_update: str = "keep"
    type_change: str = "replace"
    group: str | None = None
    """The instance entry that the resource is a member of."""
    min_healthy: int | None = None
    """The fewest healthy targets with which a target group may be given more requests; None for what its targets say."""


@dataclass(frozen=True)
class Desired:
    """What a spec wants of one resource: its properties, what it is created with beyond them, its tags."""

    address: Address
    state: Kind
    creation: Kind
    """`state`, with the documented defaults for what was left out."""
    tags: Mapping[str, str]
    lifecycle: Lifecycle
    spec_digest: str
    """Of the entry's own declared properties, collections included; empty for a member of a collection."""
    declared: tuple[str, ...] = ()
    """The paths of the declared properties, collections included."""
    carrier: Address | None = None
    """The entry whose tags speak for this member of a collection."""


@dataclass(frozen=True)
class Observed:
    """What AWS has: one physical resource."""

    address: Address
    id: str
    state: Kind
    tags: Mapping[str, str]
    owner: str | None
    """The stack whose tag it carries; None if it is a stranger inside of a resource of ours."""
    status: str = ""
    """AWS's word for how it is: running, active, healthy …"""
    created: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else was read and a later step needs."""

    @property
    def is_gone(self) -> bool:
        """Whether it is only a memory: AWS shows terminated instances for about an hour."""
        return self.status == "terminated"

    @property
    def is_leaving(self) -> bool:
        """Whether it is on its way out, and can't be kept."""
        return self.status in ("draining", "shutting-down")


def is_anchor(state: Kind) -> bool:
    """Whether a resource carries the digest of the whole spec: what EC2 tags in one call, but instances, which come and
    go."""
    return state.service == "ec2" and state.kind != "instance"


@dataclass(frozen=True)
class Facts:
    """What was read beside the resources and helps to settle a wish."""

    images: Mapping[str, str] = field(default_factory=dict)
    """AMI ids by the unresolved reference."""
    desired: Mapping[Address, Desired] = field(default_factory=dict)
    addresses: Mapping[str, Address] = field(default_factory=dict)
    """The addresses of the stack's resources by id."""
