"""Calls AWS's API for one run: paces, pages, counts, guards and repeats the calls."""

from __future__ import annotations

import asyncio
import copy
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import cache, partial
from typing import Any, Final, TypeVar

from alb_reconcile.aws import timeouts
from alb_reconcile.aws.calls import Call, followed
from alb_reconcile.aws.dry_run import READS, DryRun, MakesEarly, Regional, Transport
from alb_reconcile.aws.guard import Guard, ask_guard, guarded
from alb_reconcile.aws.just_named import JustNamed
from alb_reconcile.aws.repeating import repeated
from alb_reconcile.aws.secret_params import hide_secrets
from alb_reconcile.aws.tasks import set_off
from alb_reconcile.aws.throttle import ON_THROTTLING, Places, Throttle, Throttled
from alb_reconcile.aws.transport import Response
from alb_reconcile.model.errors import AwsError, InterruptedRun
from alb_reconcile.model.host import iso

THROTTLED: Final = 300.0
"""Seconds for which a call that AWS throttles is repeated."""
_T = TypeVar("_T")


TOKENS: Final = {
    "NextMarker": "Marker",
    "NextToken": "NextToken",
    "PaginationToken": "PaginationToken",
    "nextToken": "nextToken",
}
"""By an answer's key for the place of the next page, the next call's parameter for the place."""
_MOST_VALUES: Final = 200
"""Values of the filters of one call (EC2)."""


def batches(items: Sequence[_T], size: int) -> list[Sequence[_T]]:
    """Items in parts, each for one call."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _filters(where: Mapping[str, str | Iterable[str]]) -> Iterator[dict[str, Any]]:
    """EC2's parameter `Filters`, several times where one call can't take all values."""
    values = {name: [given] if isinstance(given, str) else sorted(given) for name, given in where.items()}
    longest = max(values, key=lambda name: len(values[name]), default="")
    room = _MOST_VALUES - sum(len(given) for name, given in values.items() if name != longest)
    for part in batches(values.get(longest, []), room) or [()]:
        filters = [{"Name": name, "Values": list(part) if name == longest else given} for name, given in values.items()]
        yield {"Filters": filters} if filters else {}


class Aws:
    """A client for one account and region, for use inside an event loop.

    `max_workers` calls run at once, in threads; with 0 they run in the loop itself (for tests with a clock of their own). `outside` calls
    addresses that AWS will call. Waits are divided by `speed`: how much faster an emulator's time runs than AWS's. Once `stopping` is set,
    waits end and nothing is changed any more.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        max_workers: int = 8,
        speed: float = 1.0,
        on_call: Callable[[str], None] | None = None,
        endpoint: str = "",
        region: str = "",
        throttle: Throttle | None = None,
        outside: Callable[..., str] | None = None,
    ) -> None:
        self._transport = transport
        self._outside = outside
        self.speed = speed
        self.endpoint = endpoint
        """The address of the API, where it isn't AWS's own."""
        self.region = region
        """The region's name, where it is known."""
        self._root = self
        self._identity: asyncio.Future[Response] | None = None
        self._on_call = on_call
        self.on_answer: Callable[[Call], None] = lambda _: None
        """Called with each call that has ended."""
        self._pool = ThreadPoolExecutor(max_workers, "aws") if max_workers else None
        # lanes of their own, so that neither calls that hang nor others' turns keep a lease from being renewed
        self._aside = _Lane("aside", 4) if max_workers else None
        self._urgent = _Lane("urgent", 8) if max_workers else None
        self._throttle = throttle or Throttle()
        self._changing = 0
        self._lock = threading.Lock()
        self.guard: Guard | None = None
        """Checks before each change whether the run may make it."""
        self.dry: DryRun | None = None
        """In a dry run, the transport with EC2's answers."""
        self.changed = False
        """Whether a change was sent, whatever its result."""
        self.stopping = asyncio.Event()
        self.halted: InterruptedRun | None = None
        """Why the run was stopped, where the user didn't stop it."""
        self.calls: dict[str, int] = {}
        self.throttled: dict[str, Throttled] = {}  # by operation
        self._just_named = JustNamed()
        self.requests: list[str] = []
        """The operation and AWS's request id (as in CloudTrail) of each call that has changed something."""

    def fork(self, *, anew: bool = False) -> Aws:
        """A client of the same account and region for another run, with the same threads, pace and identity, and its own state of the
        run. With `anew` the fork asks AWS for its account again; its own forks share the answer."""
        other = copy.copy(self)
        other.stopping, other.halted, other.guard = asyncio.Event(), None, None
        other.changed, other._changing, other._lock = False, 0, threading.Lock()
        other.calls, other.throttled, other.requests, other.on_answer = {}, {}, [], lambda _: None
        other._just_named = JustNamed()
        if anew:
            other._root, other._identity = other, None
        return other

    def in_region(self, region: str) -> Aws:
        """A client of the same run that reads in another region, at a pace of its own."""
        assert isinstance(self._transport, Regional)  # noqa: S101 (for mypy: all but tests' are)
        other = copy.copy(self)
        other.region, other._transport, other._throttle = region, self._transport.in_region(region), Throttle()
        return other

    def dry_run(self, asked: set[str]) -> Aws:
        """A fork that changes nothing and doesn't wait. `asked`: the actions about which EC2 was asked already."""
        other = self.fork()
        other.dry = other._transport = DryRun(self._transport, asked)
        return other

    async def call(
        self,
        service: str,
        operation: str,
        *,
        retry: Mapping[str, float] | None = None,
        once: bool = False,
        **params: Any,
    ) -> Response:
        """Make one call. The codes in `retry` mean "not yet": such a call is repeated for so many seconds. So is a change that AWS refuses
        because AWS doesn't find a resource that it has just named.

        A call that is sent `once` isn't repeated after a lost reply, for it has neither a token nor a unique name.

        botocore repeats calls after errors of the transport, and first after throttling; then the call waits, as long as other users of
        the account may keep the buckets empty. Raises AwsError; InterruptedRun before a change once the run is being stopped.
        """
        return await self._patiently(service, operation, lambda: params, retry or {}, once=once)

    async def call_late(self, service: str, operation: str, params: Callable[[], Mapping[str, Any]]) -> Response:
        """Make one call. Its parameters are computed when the pace first lets the call go. Raises as `call`."""
        return await self._patiently(service, operation, cache(params), {})

    async def _patiently(
        self,
        service: str,
        operation: str,
        params: Callable[[], Mapping[str, Any]],
        limits: Mapping[str, float],
        *,
        once: bool = False,
    ) -> Response:
        refused: list[float] = []  # when; before that, the caller has waited for its turn

        def not_yet(error: BaseException) -> bool:
            if not isinstance(error, AwsError):
                return False
            refused.append(self.now())
            limit = next((limits[key] for key in limits if error.matches(key)), -1.0)
            if not operation.startswith(READS) and self._just_named.waits(error, operation, params(), refused[-1]):
                return True
            return refused[-1] - refused[0] < max(limit, THROTTLED if error.is_throttled else -1.0)

        return await repeated(partial(self._once, service, operation, params, once=once), not_yet, self.sleep)

    async def _once(
        self, service: str, operation: str, params: Callable[[], Mapping[str, Any]], *, once: bool = False
    ) -> Response:
        guard = None if operation.startswith(READS) else self.guard
        self._refuse_if_stopping(operation)
        places = self._throttle.reserve(service, operation, params, self.now())
        while delay := self._throttle.delay(places, self.now()):
            await self.sleep(delay)
        if guard is not None:
            await guard.permit(timeouts.settled_all(service, once=once))
            self._refuse_if_stopping(operation)
        self._count(service, operation)
        call = partial(self._send, guard, service, operation, params(), once=once)
        with followed(self.on_answer, service, operation) as told:
            send = partial(self._listen, places, told, asyncio.get_running_loop(), call)
            answer = send() if self._pool is None else await _in(self._pool, send)
            told.note(answer.get("ResponseMetadata", {}))
        if not operation.startswith(READS):
            self._just_named.note(answer, self.now())
            self.requests.append(f"{operation} {told.request_id}".rstrip())
        return answer

    def _refuse_if_stopping(self, operation: str) -> None:
        if self.stopping.is_set() and not operation.startswith(READS):
            raise self._interruption()

    def _listen(
        self, places: Places, told: Call, loop: asyncio.AbstractEventLoop, call: Callable[[], Response]
    ) -> Response:
        """Make a call, and slow down if AWS throttles the call or one of botocore's attempts."""
        sent, heard = loop.time() * self.speed, list[str]()

        def hear() -> None:
            heard.append(iso(time.time()))
            self._throttle.slow_down(places, sent, loop.time() * self.speed)
            told.throttled += 1
            with self._lock:
                past = self.throttled.get(told.operation)
                self.throttled[told.operation] = Throttled(past.count + 1 if past else 1, heard[-1])

        token = ON_THROTTLING.set(hear)
        try:
            return call()
        except AwsError as error:
            if error.is_throttled and not heard:  # else botocore has told
                hear()
            raise
        finally:
            ON_THROTTLING.reset(token)

    def _send(
        self, guard: Guard | None, service: str, operation: str, params: Mapping[str, Any], *, once: bool
    ) -> Response:
        if operation.startswith(READS):
            return self._transport(service, operation, params)
        with self._lock:
            self._changing += 1
        try:
            with guarded(guard, timeouts.settled(service)):
                ask_guard()
                self.changed = True
                transport = partial(self._transport, once=True) if once else self._transport
                return transport(service, operation, params)
        except AwsError as error:
            hide_secrets(error, params)
            raise
        finally:
            with self._lock:
                self._changing -= 1

    @property
    def is_changing(self) -> bool:
        """Whether a change is under way, even if no step waits for it any more."""
        return self._changing > 0

    async def aside(self, service: str, operation: str, *, urgent: bool = False, **params: Any) -> Response:
        """Make one call for the run itself: not paced, not guarded. `urgent` calls, for a lease that the run holds, don't wait
        behind others, and are made also while the run is being stopped.

        The call ends in time whatever happens, from its turn on. Raises AwsError, InterruptedRun.
        """
        send = partial(self._transport, service, operation, params)
        lane = self._urgent if urgent else self._aside
        async with lane.turns if lane is not None else nullcontext():
            if self.stopping.is_set() and not urgent:
                raise self._interruption()
            self._count(service, operation)
            if lane is None:
                return send()
            limit = timeouts.longest(service) + 5
            try:
                async with asyncio.timeout(limit):
                    return await _in(lane.pool, send)
            except TimeoutError:
                raise AwsError(
                    service, operation, "Timeout", f"no answer within {limit:.0f} s", "", ambiguous=True
                ) from None

    def _count(self, service: str, operation: str) -> None:
        self.calls[operation] = self.calls.get(operation, 0) + 1
        if self._on_call:
            self._on_call(f"{service} {operation}")

    async def account(self) -> str:
        """The account's number (STS GetCallerIdentity), read once."""
        root = self._root
        if root._identity is None:
            root._identity = set_off(root.call("sts", "get_caller_identity"))
        return str((await asyncio.shield(root._identity))["Account"])

    async def ask_outside(self, url: str, *, keys: bool = False) -> str:
        """Why an address that AWS will call doesn't answer from here (`outside.ask`); empty if it answers, or isn't to be called."""
        if self._outside is None:
            return ""
        send = partial(self._outside, url, keys=keys)
        return send() if self._pool is None else await asyncio.get_running_loop().run_in_executor(self._pool, send)

    def expect(self, *needed: tuple[str, bool]) -> None:
        """Say which services are going to be called, and whether `once`, so that what a first call needs is read meanwhile."""
        if isinstance(self._transport, MakesEarly):
            self._transport.make_early(*needed)

    def learn_account(self, arn: str) -> None:
        """Take the account's number from the ARN of a resource that AWS shows only to its own account."""
        root = self._root
        if root._identity is None:
            root._identity = asyncio.get_running_loop().create_future()
            root._identity.set_result({"Account": arn.split(":")[4]})

    @property
    def known_account(self) -> str:
        """The account's number, if AWS has told it; else empty."""
        identity = self._root._identity
        if identity is None or not identity.done() or identity.cancelled() or identity.exception():
            return ""
        return str(identity.result()["Account"])

    async def pages(
        self,
        service: str,
        operation: str,
        key: str,
        *,
        where: Mapping[str, str | Iterable[str]] | None = None,
        **params: Any,
    ) -> list[Any]:
        """All members of the list `key` over all pages.

        `where` are EC2's filters: by name, a value or several, one of which a resource must have. A call takes 200 values:
        for more, several calls are made, and a resource with values of two calls may be in the list twice.
        """
        found: list[Any] = []
        for filters in _filters(where or {}):
            if operation == "describe_nat_gateways" and filters:  # the only action with a singular name for it
                filters = {"Filter": filters["Filters"]}
            found += await self._pages(service, operation, key, {**params, **filters})
        return found

    async def _pages(self, service: str, operation: str, key: str, params: Mapping[str, Any]) -> list[Any]:
        found: list[Any] = []
        token: dict[str, Any] = {}
        while True:
            answer = await self.call(service, operation, **params, **token)
            found += answer.get(key, [])
            # EC2 takes no paging parameters together with explicit ids, and answers none either
            token = {into: answer[name] for name, into in TOKENS.items() if answer.get(name)}
            if not token:
                return found

    def now(self) -> float:
        """Seconds on AWS's clock, from any start."""
        return asyncio.get_running_loop().time() * self.speed

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """`asyncio.timeout` on AWS's clock."""
        return asyncio.timeout(seconds / self.speed)

    async def sleep(self, seconds: float) -> None:
        """Wait on AWS's clock. Raises InterruptedRun as soon as the run is being stopped."""
        try:
            async with asyncio.timeout(seconds / self.speed):
                await self.stopping.wait()
        except TimeoutError:
            return
        raise self._interruption()

    async def pause(self, seconds: float) -> None:
        """`sleep` on this machine's clock, for waits that don't depend on the emulator's speed."""
        await self.sleep(seconds * self.speed)

    def halt(self, reason: InterruptedRun) -> None:
        """Stop the run for another reason than the user's word: waits and changes raise the reason from now on."""
        if not self.stopping.is_set():
            self.halted = reason
            self.stopping.set()

    def _interruption(self) -> InterruptedRun:
        return self.halted or InterruptedRun("interrupted")

    def close(self) -> None:
        """End the threads; calls that are under way finish."""
        lanes = (lane.pool for lane in (self._aside, self._urgent) if lane is not None)
        for pool in (self._pool, *lanes):
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)


class _Lane:
    """Threads for `aside` calls, and turns for them: the time of a call counts only from its turn."""

    def __init__(self, name: str, threads: int) -> None:
        self.pool = ThreadPoolExecutor(threads, name)
        self.turns = asyncio.Semaphore(threads)


async def _in(pool: ThreadPoolExecutor, send: Callable[[], Response]) -> Response:
    return await asyncio.get_running_loop().run_in_executor(pool, send)
