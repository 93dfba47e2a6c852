"""What a step has at hand while it runs: AWS, names and tags, waits that share their reads, and a voice."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from alb_reconcile.aws.batching import Batch
from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.polling import Watch, repeat_until
from alb_reconcile.aws.tagging import service_of
from alb_reconcile.aws.tasks import set_off
from alb_reconcile.aws.transport import Response
from alb_reconcile.kinds import waits
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.errors import AwsError, ReconcileError, ignoring
from alb_reconcile.model.resource import Desired, Properties
from alb_reconcile.model.steps import Details
from alb_reconcile.model.text import physical_name

_D = TypeVar("_D")


class NeverMadeError(ReconcileError):
    """What was waited for isn't made."""


async def all_of(*parts: Awaitable[object]) -> None:
    """Do all at the same time, and then raise the first error, of what never came only where nothing else went wrong."""
    results = await asyncio.gather(*parts, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in sorted(errors, key=lambda error: isinstance(error, NeverMadeError)):
        raise error


async def _already_made(ref: Ref) -> str:
    if isinstance(ref, Address):
        raise NeverMadeError(f"{ref} doesn't exist yet")
    return ref


class Announce(Protocol):
    """Says that what a step makes is there, or what it deletes is of no use any more, before the step has ended."""

    def __call__(self, made: str, /, *, usable: bool) -> None:
        """Those that need it late go on (`Properties.needed_late`); where it is `usable`, all who need it begin."""


@dataclass
class Run:
    """One run over one stack."""

    aws: Aws
    stack: str
    ids: dict[Address, str] = field(default_factory=dict)
    began: float = 0.0
    """When, on AWS's clock."""
    own: frozenset[str] = frozenset()
    """The ids of all that carried the stack's tags when the run began, of what has ended, too."""
    applied: Mapping[str, str] = field(default_factory=dict)
    """What the tags are to say of the spec that was applied."""
    zones: str = ""
    """What the tag about hosted zones is to say."""
    say: Callable[[str], None] = lambda _: None
    """Reports what the step at hand waits for."""
    warn: Callable[[str], None] = lambda _: None
    """Tells the user what a step couldn't do, and what to do about it."""
    announce: Announce = lambda _, *, usable: None
    """Tells the others, by its id, that what the step at hand makes is there."""
    made: Callable[[Ref], Awaitable[str]] = _already_made
    """The id behind a reference, also of what another step makes meanwhile: waits until it is made. Raises ReconcileError."""
    coming: Callable[[], Iterable[Properties]] = tuple
    """What other steps are still to make or change without waiting for the step at hand."""
    watches: dict[str, Watch] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)
    reads: dict[str, asyncio.Future[Any]] = field(default_factory=dict)
    leaving: frozenset[str] = frozenset()
    """The ids of all that this run deletes, but for the registrations of instances that it restarts."""
    resting: frozenset[str] = frozenset()
    """Those of these registrations that were healthy."""
    departed: set[str] = field(default_factory=set)
    """Registrations that this run has ended, and instances; a read may not show it yet."""
    arrived: set[str] = field(default_factory=set)
    """Registrations that this run has made. One by address may be what an earlier instance with that address has left."""
    passed: set[str] = field(default_factory=set)
    """Those of them that have become healthy, and have stayed so for as long as they must."""
    in_use: set[str] = field(default_factory=set)
    """Target groups that were to be made, and that a load balancer has already: no read had shown what an earlier run did."""
    moved: dict[str, tuple[Ref, ...]] = field(default_factory=dict)
    """The subnets that this run has given a load balancer, by its ARN."""
    ready: dict[str, float] = field(default_factory=dict)
    """When, on AWS's clock, this run first saw a load balancer active or a registration healthy, by id."""
    details: Details | None = None
    """What is special about the step at hand."""
    beside: str = ""
    """The id of what the step at hand replaces, beside which it needs another name."""
    lifts_protection: bool = False
    """Whether the step at hand may switch off what protects its resource from being deleted."""

    def detail(self, of: type[_D]) -> _D:
        """What is special about the step at hand; where nothing is, a value of that class that says so."""
        return self.details if isinstance(self.details, of) else of()

    def once(self, name: str, read: Callable[[], Awaitable[Any]]) -> asyncio.Future[Any]:
        """The result of a read of what doesn't change in this run, which whoever asks first sets off."""
        if name not in self.reads:
            self.reads[name] = set_off(read())
        return self.reads[name]

    def tag_list(self, desired: Desired) -> list[dict[str, str]]:
        """The tags for a create call."""
        made = tags.tags_of(desired, self.stack)
        # a launch is repeated with the very same tags, so what other entries say stays out of it
        if self.applied and desired.state.carries_applied:
            made |= self.applied
        if self.zones and tags.tells_of_zones(desired.state):
            made[tags.ZONES] = self.zones
        return tags.to_list(made)

    def tag_specification(self, desired: Desired) -> list[dict[str, Any]]:
        """The same for EC2."""
        return [{"ResourceType": desired.address.kind.replace("_", "-"), "Tags": self.tag_list(desired)}]

    def physical_name(self, desired: Desired, settings: Iterable[object], limit: int) -> str:
        """The name of what the step at hand makes (`model.text.physical_name`)."""
        return physical_name(self.stack, str(desired.address), settings, self.beside, limit)

    def watch(
        self, name: str, fetch: Callable[[set[str]], Awaitable[Mapping[str, Any]]], *, slowest: float = 10.0
    ) -> Watch:
        """The one watch of that name."""
        if name not in self.watches:
            self.watches[name] = Watch(self.aws, fetch, slowest=slowest)
        return self.watches[name]

    async def together(
        self,
        name: str,
        member: str,
        send: Callable[[Sequence[str]], Awaitable[object]],
        *,
        most: int,
        retry: waits.Codes | None = None,
        of_all: Sequence[str] = (),
        names: Callable[[str, str], bool] | None = None,
    ) -> None:
        """One call for all who ask for a member at the same time, under one name. Raises what AWS says of the member."""
        if name not in self.batches:
            self.batches[name] = Batch(self.aws, send, most=most, retry=retry, of_all=of_all, names=names)
        await self.batches[name].add(member)

    async def tag(self, resource: str, wanted: Mapping[str, str]) -> None:
        """Write tags; resources of one service that get the same ones are written together."""
        service = service_of(resource)
        name = f"tag {service.name} {sorted(wanted.items())}"
        await self.together(name, resource, lambda members: service.write(self.aws, members, wanted), most=service.most)

    async def create_once(
        self, service: str, operation: str, find: Callable[[], Awaitable[str | None]], **params: Any
    ) -> Response | str:
        """A create without a token and a unique name: after an ambiguous failure its tag is looked up, with patience,
        before it is repeated.

        Returns AWS's answer, or the id that `find` found.
        """
        for attempt in range(3):
            try:
                return await self.aws.call(service, operation, once=True, **params)
            except AwsError as error:
                if not error.ambiguous or attempt == 2:
                    raise
                await self.aws.sleep(1)
                found = await repeat_until(self.aws, find, bool, waits.LOST_REPLY)
                if found:
                    return found
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def gone(
        self,
        service: str,
        operation: str,
        *,
        retry: Mapping[str, float] | None = None,
        missing: Iterable[str],
        **params: Any,
    ) -> bool:
        """A call for which "not found" is no failure, as for a delete. Returns whether there was something."""
        with ignoring(*missing):
            await self.aws.call(service, operation, retry=retry, **params)
            return True
        return False

    @asynccontextmanager
    async def unlocked(self, service: str, operation: str, **params: Any) -> AsyncIterator[waits.Codes]:
        """A call switches off what protects a resource from being deleted, where the step may do that.

        Gives the codes for which its delete is repeated then. Whatever goes wrong within is told with what was done.
        """
        if not self.lifts_protection:
            yield {}
            return
        await self.gone(service, operation, **params)
        try:
            yield waits.PROTECTION_LIFTED
        except ReconcileError as error:
            note = "; its protection is off now: run again, or switch it back on by hand"
            if note not in str(error):  # several may have been refused by one answer
                error.args = (f"{error}{note}",)
            raise
