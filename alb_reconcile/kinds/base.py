"""What every kind of resource has in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from alb_reconcile.kinds.context import Run
    from alb_reconcile.kinds.reader import Reader
    from alb_reconcile.model.resource import Desired, Facts, Observed


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The managed properties of one resource, desired or observed. `None` means: not managed.

    A field that holds an `Address` (alone, or inside a tuple) refers to that resource; bound, it holds the
    resource's id.
    """

    kind: ClassVar[str]
    """The kind's name; its module's, its schema's and its test's as well."""
    service: ClassVar[str]
    """The AWS service whose API tags it: ec2, elbv2, or nothing where it carries no tags."""
    replaced_on: ClassVar[frozenset[str]] = frozenset()
    """The fields that AWS can't change in place."""
    follows: ClassVar[tuple[str, ...]] = ()
    """Kinds that are brought in order before one of this kind is made, and deleted after it."""
    parent: ClassVar[str | None] = None
    """The field that names the resource with which AWS deletes this one."""

    def settle(self, observed: Observed | None, facts: Facts) -> Self:
        """The same wish, in the terms of what there is: where AWS has one of several allowed values, that one."""
        return self

    def with_others(self, observed: Self) -> Self:
        """The same wish, with what strangers put into the collections (`others: keep`)."""
        return self

    def fixed(self, found: Self) -> frozenset[str]:
        """The fields that can't be changed in place, given what there is."""
        return self.replaced_on

    def slots(self) -> Iterable[Hashable]:
        """What only one resource can hold at a time: a port of a load balancer, an explicit name."""
        return ()

    def conflicts(self, other: Kind) -> bool:
        """Whether a resource with a slot in common must go before this one can be made."""
        return True

    def extra_tags(self) -> dict[str, str]:
        """Bookkeeping tags beyond those that every resource carries, from the unbound wish."""
        return {}

    @classmethod
    async def discover(cls, reader: Reader) -> list[Observed]:
        """All of the stack's resources of this kind, and strangers inside of them."""
        raise NotImplementedError(cls)  # abstract: every kind has its own

    def prepare(self, run: Run) -> None:
        """Begin to read what `create` will need, while other steps still run."""

    async def create(self, run: Run, desired: Desired, salt: str) -> str:
        """Make the resource as `self` says (bound, with defaults). Returns its id."""
        raise NotImplementedError(self)  # abstract

    async def update(self, run: Run, observed: Observed, fields: frozenset[str]) -> None:
        """Change those fields to what `self` says (bound)."""
        raise NotImplementedError(self)  # abstract

    @classmethod
    async def delete(cls, run: Run, observed: Observed) -> None:
        """Delete the resource and wait until it is gone; already gone is success."""
        raise NotImplementedError(cls)  # abstract
