"""What stands between the tool and AWS and spoils calls."""

from __future__ import annotations

from asyncio import CancelledError, get_running_loop
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn

from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.aws.buckets import buckets_of
from alb_reconcile.aws.hints import explain_code
from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.text import camel
from alb_reconcile.sandbox.strict import Timing
from alb_reconcile.sandbox.strict.rule import Call, RefusedError
from alb_reconcile.sandbox.strict.world import World as Place
from tests.harness import READS, REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from alb_reconcile.sandbox.strict.throttling import Throttling
    from tests.harness import World

    Fault = Callable[[str, str, Callable[[], Any]], Any]
    """Gets service, operation and the call itself, and gives its answer or raises AwsError."""

CODES = {"ec2": ("UnauthorizedOperation", "RequestLimitExceeded"), "elbv2": ("AccessDenied", "Throttling")}
"""What a service calls a call that isn't allowed, and one too many."""


def error_of(service: str, operation: str, code: str, *, ambiguous: bool = False) -> AwsError:
    """An error as the transport makes it."""
    return AwsError(
        service,
        operation,
        code,
        "said the test",
        "req-1",
        hint=explain_code(service, operation, code),
        ambiguous=ambiguous,
    )


@contextmanager
def spoilt(world: World, fault: Fault) -> Iterator[None]:
    """Within the block the fault stands before every call of the tool."""
    real = world._call

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if "DryRun" in params:  # what only the change itself is refused for can't be found out beforehand
            return real(service, operation, params)
        return fault(service, operation, lambda: real(service, operation, params))

    world._call = call  # type: ignore[method-assign]
    try:
        yield
    finally:
        world._call = real  # type: ignore[method-assign]


class Throttled:
    """A share of a service's calls is throttled for so many seconds."""

    def __init__(self, world: World, service: str, share: float, seconds: float) -> None:
        self.refused: Counter[str] = Counter()
        self._now, self._until = world.clock.now, world.clock.now() + seconds
        self._service, self._share = service, share
        self._chance = Random(f"{service} {share}")

    def __call__(self, service: str, operation: str, call: Callable[[], Any]) -> Any:
        if service == self._service and self._now() < self._until and self._chance.random() < self._share:
            self.refused[operation] += 1
            raise error_of(service, operation, CODES[service][1])
        return call()


class Beside:
    """Another tool of the account, that reads of ELBv2 so much a second."""

    def __init__(self, buckets: Throttling, rate: float, now: Callable[[], float]) -> None:
        self.asked = self.refused = 0
        self._buckets, self._rate, self._now, self._began = buckets, rate, now, now()

    def __call__(self, service: str, operation: str, call: Callable[[], Any]) -> Any:
        self.catch_up()
        return call()

    def catch_up(self) -> None:
        """Make the calls that are due by now."""
        while (moment := self._began + self.asked / self._rate) < self._now():
            self.asked += 1
            self.refused += not take(self._buckets, "elbv2", "DescribeTargetGroups", {}, moment)


class Eater:
    """Another tool of the account, that has emptied the buckets, and goes on to take a share of what comes into each that is used."""

    def __init__(self, buckets: Throttling, share: float, now: Callable[[], float]) -> None:
        self.refused: Counter[str] = Counter()
        self._buckets, self._share, self._now = buckets, share, now
        self._due: dict[tuple[str, str], float] = {}
        """By service and action: when it makes its next call."""

    def __call__(self, service: str, operation: str, call: Callable[[], Any]) -> Any:
        if service in CODES:
            self._eat(service, camel(operation))
        try:
            return call()
        except AwsError as error:
            self.refused[operation] += error.is_throttled
            raise

    def _eat(self, service: str, action: str) -> None:
        if service == "elbv2":  # one bucket for all reads, and one for all changes, but for a few
            action = "DescribeTargetGroups" if action.startswith("Describe") else "ModifyRule"
        (_, bucket, _), *_ = buckets_of(service, action, lambda: FILTERED)
        now = self._now()
        if (service, action) not in self._due:
            while take(self._buckets, service, action, FILTERED, now):
                pass
            self._due[service, action] = now
        while self._due[service, action] < now:
            take(self._buckets, service, action, FILTERED, self._due[service, action])
            self._due[service, action] += 1 / (bucket.refill * self._share)


FILTERED = {"Filters": [{"Name": "vpc-id", "Values": ["vpc-1"]}]}
"""What makes a describe of EC2 a cheap one."""


def take(buckets: Throttling, service: str, action: str, params: Mapping[str, Any], now: float) -> bool:
    """Take the tokens of a request; whether there are enough."""
    moment = datetime.fromtimestamp(now, UTC)
    try:
        buckets.take(service, Call(action, dict(params), Place(DEFAULT_ACCOUNT_ID, REGION), Timing(), now, moment), now)
    except RefusedError:
        return False
    return True


class Denied:
    """One action isn't allowed."""

    def __init__(self, action: str) -> None:
        self.asked = 0
        self._action = action

    def __call__(self, service: str, operation: str, call: Callable[[], Any]) -> Any:
        if operation == self._action:
            self.asked += 1
            raise error_of(service, operation, CODES.get(service, ("AccessDenied",))[0])
        return call()


class Refused:
    """The change of that number, counted from 1, is refused, as nobody would have foreseen."""

    def __init__(self, number: int) -> None:
        self.refused = ""
        self._left = number

    def __call__(self, service: str, operation: str, call: Callable[[], Any]) -> Any:
        self._left -= not operation.startswith(READS)
        if self._left == 0 and not self.refused:
            self.refused = operation
            raise error_of(service, operation, "InvalidParameterValue")
        return call()


class Lost:
    """The reply to the change of that number, counted from 1, is lost, or isn't AWS's; the change has been made."""

    def __init__(self, number: int, code: str) -> None:
        self.lost = ""
        self._left, self._code = number, code

    def __call__(self, service: str, operation: str, call: Callable[[], Any]) -> Any:
        answer = call()
        if not operation.startswith(READS):
            self._left -= 1
            if self._left == 0:
                self.lost = operation
                raise error_of(service, operation, self._code, ambiguous=True)
        return answer


class Storm:
    """A share of the calls goes wrong on the way there or back; what isn't sent `once` botocore repeats after that."""

    def __init__(self, chance: Random, share: float) -> None:
        self.hit: Counter[str] = Counter()
        self._chance, self._share = chance, share

    def __call__(self, service: str, operation: str, call: Callable[[], Any], *, once: bool) -> Any:
        reading = operation.startswith(READS)
        if self._chance.random() > self._share / (5 if reading else 1):
            return call()
        how = self._chance.choice(("unsent", "no XML", "repeated", "in vain"))
        self.hit[how] += 1
        if how == "unsent":
            raise error_of(service, operation, "EndpointConnectionError", ambiguous=True)
        answer = call()
        if how == "no XML":
            raise error_of(service, operation, "InvalidResponse", ambiguous=True)
        for _ in range(0 if once else self._chance.randint(1, 3)):
            answer = call()
        if once or how == "in vain":
            raise error_of(service, operation, "InternalError", ambiguous=True)
        return answer


class Gone(SystemExit):
    """The end of a process, which no task outlives."""


class Killed:
    """The process is killed before, or after, the change of that number, counted from 1, also where AWS refuses it: no call is made
    any more."""

    def __init__(self, number: int, when: str) -> None:
        self.words = ""
        """At which call it was, once it was."""
        self._left, self._when = number, when

    def __call__(self, service: str, operation: str, call: Callable[[], Any]) -> Any:
        if self.words:
            raise CancelledError
        if operation.startswith(READS):
            return call()
        self._left -= 1
        if self._left == 0:
            self.words = f"{self._when} {operation}"
            if self._when == "before":
                self._end()
        try:
            return call()
        finally:
            if self.words:
                self._end()

    def _end(self) -> NoReturn:
        get_running_loop().stop()
        raise Gone
