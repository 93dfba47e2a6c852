"""What a kind's verbs get to carry out one step: calls to AWS, ids, a clock, messages, waits, and the run's other steps."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from alb_reconcile.aws.batching import Batch, Send
from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.polling import Fetch, Watch, repeat_until
from alb_reconcile.aws.tagging import service_of
from alb_reconcile.aws.tasks import set_off
from alb_reconcile.aws.transport import Response
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.known_targets import KnownTargets
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.errors import AwsError, ReconcileError, ignoring
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Desired
from alb_reconcile.model.steps import Proof
from alb_reconcile.model.text import physical_name

_T = TypeVar("_T")
_NO_STEP: Final = Step("", Address("", ""))


class NeverMadeError(ReconcileError):
    """A resource that a step waited for isn't made."""


async def all_of(*parts: Awaitable[object]) -> None:
    """Await all parts at the same time, then raise the first error: a NeverMadeError only where no other error was raised."""
    results = await asyncio.gather(*parts, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in sorted(errors, key=lambda error: isinstance(error, NeverMadeError)):
        raise error


class Others:
    """The run's other steps, as the step at hand knows them. This class has no steps; `engine.apply` has a subclass with a plan's."""

    def announce(self, made: str, *, usable: bool) -> None:
        """Tell the other steps, before this step ends, the id of the resource that it has made, or that isn't used any more.

        Steps that need the resource late go on (`Properties.needed_late`); where the resource is `usable`, all steps that need it begin.
        """

    async def made(self, ref: Ref) -> str:
        """The id behind a reference; waits until another step has made the resource, where it isn't made yet. Raises ReconcileError."""
        if isinstance(ref, Address):
            raise NeverMadeError(f"{ref} doesn't exist yet")
        return ref

    def coming(self) -> Iterable[Step]:
        """The steps that are still to make or change something, and don't wait for the step at hand."""
        return ()

    def next(self) -> Iterable[Step]:
        """The steps that begin once steps have ended that are under way."""
        return ()


class Shared:
    """What the steps of a run share: reads that are made once, polls, joint calls, and what the steps note for each other."""

    def __init__(self) -> None:
        self._values: dict[tuple[type, str], Any] = {}

    def of(self, kind: type[_T], name: str = "", make: Callable[[], _T] | None = None) -> _T:
        """The run's one value of a class and a name. The step that asks first makes the value."""
        if (kind, name) not in self._values:
            self._values[kind, name] = (make or kind)()
        found: _T = self._values[kind, name]
        return found

    def once(self, name: str, read: Callable[[], Awaitable[_T]]) -> asyncio.Future[_T]:
        """The result of a read that is made once in a run, for what doesn't change. The step that asks first starts the read."""
        return self.of(asyncio.Future, name, lambda: set_off(read()))


Prove = Callable[[Aws, str, Proof], Awaitable[None]]
"""Asks a target group, for a stack. Raises ReconcileError where the answers aren't as wanted."""


@dataclass(frozen=True)
class Run:
    """One run over one stack, at one of the run's steps: `say`, `step` and `others` are the step's own, the rest is the same for all."""

    aws: Aws
    """Calls, and AWS's clock."""
    stack: str
    ids: dict[Address, str] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    """The ids of all resources that carried the stack's tags when the run began, also of ended ones."""
    began: float = 0.0
    """When the run began, on AWS's clock."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """The tags about the whole spec with which resources are created (`tags.carried`)."""
    prove: Prove | None = None
    """Asks a new version before requests move to it; None where a run can't."""
    warn: Callable[[str], None] = lambda _: None
    """Tells the user what a step couldn't do, and how to help."""
    say: Callable[[str], None] = lambda _: None
    """Reports what the step waits for."""
    step: Step = _NO_STEP
    """What the plan says about the step, in addition to the arguments of the kind's verb: `step.detail`, `step.beside`."""
    others: Others = field(default_factory=Others)
    shared: Shared = field(default_factory=Shared)
    targets: KnownTargets = field(default_factory=KnownTargets)

    async def wait(
        self, name: str, fetch: Fetch, key: str, check: Callable[[Any], str], timeout: float, *, slowest: float = 10.0
    ) -> Any:
        """Wait for one thing of a sort, by its key: all steps that wait with the same `name` share the reads that `fetch` makes.

        Returns and raises what `Watch.until` does. The pauses between reads are `slowest` seconds at most.
        """
        watch = self.shared.of(Watch, name, lambda: Watch(self.aws, fetch, slowest=slowest))
        return await watch.until(key, check, timeout, self.say)

    async def together(
        self, name: str, member: str, send: Send, *, most: int, expects: Callable[[], bool] = lambda: False, **how: Any
    ) -> None:
        """Make one call for all steps that ask with the same `name` at the same time; `most` and `how` are arguments of `Batch`, `expects`
        of `Batch.add`.

        Raises what AWS says of the member.
        """
        await self.shared.of(Batch, name, lambda: Batch(self.aws, send, most=most, **how)).add(member, expects)

    def tag_list(self, desired: Desired) -> list[dict[str, str]]:
        """The tags for a create call."""
        return tags.to_list(tags.tags_of(desired, self.stack) | tags.carried(desired.state, self.marks))

    def physical_name(self, desired: Desired, settings: Iterable[object], limit: int) -> str:
        """The name of what the step makes (`model.text.physical_name`)."""
        return physical_name(self.stack, str(desired.address), settings, self.step.beside, limit)

    async def tag(self, resource: str, wanted: Mapping[str, str]) -> None:
        """Write tags; resources of one service that get the same tags are written together."""
        service = service_of(resource)
        name = f"tag {service.name} {sorted(wanted.items())}"
        await self.together(name, resource, lambda part: service.write(self.aws, part, wanted), most=service.most)

    async def gone(
        self, service: str, operation: str, *, missing: Iterable[str], retry: waits.Codes | None = None, **params: Any
    ) -> bool:
        """Make a call for which "not found" is no failure, as for a delete. Returns whether the resource was found."""
        with ignoring(*missing):
            await self.aws.call(service, operation, retry=retry, **params)
            return True
        return False


async def create_once(
    run: Run, service: str, operation: str, find: Callable[[], Awaitable[str | None]], **params: Any
) -> Response | str:
    """Make a create call that has neither a token nor a unique name: after an ambiguous failure the resource is looked for by its tag,
    for a while, before the call is repeated.

    Returns AWS's answer, or the id that `find` found.
    """
    for attempt in range(3):
        try:
            return await run.aws.call(service, operation, once=True, **params)
        except AwsError as error:
            if not error.ambiguous or attempt == 2:
                raise
            await run.aws.sleep(1)
            found = await repeat_until(run.aws, find, bool, waits.LOST_REPLY)
            if found:
                return found
    raise AssertionError("unreachable: the last attempt returns or raises")
