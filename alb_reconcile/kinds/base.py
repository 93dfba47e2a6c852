"""What drives a kind of resource: its verbs towards AWS, and how AWS names and lists it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from alb_reconcile.model.resource import Properties

if TYPE_CHECKING:
    from alb_reconcile.aws.client import Aws
    from alb_reconcile.kinds.context import Run
    from alb_reconcile.kinds.reader import Reader
    from alb_reconcile.model.resource import Desired, Observed
    from alb_reconcile.model.steps import SetPriorities

P = TypeVar("P", bound=Properties)


@dataclass(frozen=True)
class Listing:
    """How EC2 lists the resources of a kind: the Describe action, the key of its list, and of the id in it.

    `id_filter` is the filter by id, `vpc_filter` the one by VPC; where that is empty, everything is read.
    """

    operation: str
    key: str
    id_key: str
    id_filter: str
    vpc_filter: str = "vpc-id"


class Kind(ABC, Generic[P]):
    """One kind of resource. It has no state: what it works on is handed to it.

    Its verbs are `discover`, `create`, `update` and `delete`; each returns when AWS is done with it. What only some kinds
    can do is in the protocols below.
    """

    properties: ClassVar[type[Properties]]
    noun: ClassVar[str]
    """What it is called in a sentence, with its article: a VPC."""
    position: ClassVar[int]
    """Its place in a spec and among alike steps of a plan; what is referred to comes first."""
    section: ClassVar[str] = ""
    """The section of a spec that holds its entries; empty for members of another kind's entries."""
    id_pattern: ClassVar[str] = ""
    """A regular expression for its ids or ARNs; empty where AWS gives none."""
    id_form: ClassVar[str] = ""
    """What such an id looks like, for people: id (vpc-…)."""
    listing: ClassVar[Listing | None] = None
    ready: ClassVar[frozenset[str]] = frozenset()
    """AWS's words for the status of one that is in order."""

    @property
    def name(self) -> str:
        """Its name: `vpc`."""
        return self.properties.kind

    @abstractmethod
    async def discover(self, reader: Reader) -> list[Observed]:
        """All of the stack's resources of this kind, and strangers inside of them. Raises AwsError."""

    @abstractmethod
    async def create(self, run: Run, wanted: P, desired: Desired) -> str:
        """Create the resource as `wanted` says (bound, with defaults), with the tags of `desired`. Returns its id."""

    @abstractmethod
    async def update(self, run: Run, wanted: P, observed: Observed, fields: frozenset[str]) -> None:
        """Change those fields to what `wanted` says (bound)."""

    @abstractmethod
    async def delete(self, run: Run, observed: Observed) -> None:
        """Delete the resource and wait until it is gone; already gone is success."""

    def of(self, observed: Observed) -> P:
        """The observed properties. Raises TypeError for a resource of another kind."""
        if not isinstance(observed.state, self.properties):
            raise TypeError(f"{observed.address} is no {self.name}")
        return observed.state  # type: ignore[return-value]  # P is bound to the class that was just looked at


AnyKind = Kind[Any]
"""A kind whose properties' class doesn't matter."""


@runtime_checkable
class Prepares(Protocol):
    """A kind that reads early what `create` will need, while other steps still run."""

    def prepare(self, run: Run, wanted: Any) -> None:
        """Begin to read it."""
        ...


@runtime_checkable
class Ordered(Protocol):
    """A kind whose members have an order that is set for all of them in one call."""

    async def set_order(self, run: Run, order: SetPriorities) -> None:
        """Set it."""
        ...


@runtime_checkable
class Serves(Protocol):
    """A kind that takes part in answering requests."""

    async def wait_until_serving(self, run: Run, observed: Observed, timeout: float) -> None:
        """Wait until it does. Raises WaitError with what is waited for after `timeout` seconds."""
        ...


@runtime_checkable
class Protected(Protocol):
    """A kind that AWS can protect from being deleted."""

    protection: ClassVar[str]
    """What that is called."""

    async def is_protected(self, aws: Aws, observed: Observed) -> bool:
        """Whether AWS would refuse to delete it. One that is gone isn't."""
        ...

    def unprotects(self, path: str, before: object) -> bool:
        """Whether a change of that property switches the protection off."""
        ...
