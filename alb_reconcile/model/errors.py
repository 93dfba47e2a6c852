"""The errors that this package raises, as a tree, with the exit code of each class.

ReconcileError (1)
├── AwsError (1)          AWS refused a call, or didn't answer
│   └── UnreachableError (1)  AWS can't be used at all: credentials, settings
├── PlanError (1)         no order of steps leads from here to there
├── SpecError (3)         the spec can't be used: one or more problems, each with its place
├── RefusedError (4)      possible, and not done without the user's word
├── HeldError (5)         another run holds the stack
├── UsageError (64)       the command line is wrong
├── LeaseError (1)        the lease can't be had, kept or read
├── CheckError (1)        a new version answers wrongly; no request has reached it
│   └── WentBackError (6)     it did so after the requests had moved, and they have gone back
└── InterruptedRun (130)  the user stopped it
    └── LeaseLostError (1)    the lease was lost: the run stops before its next change
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from fnmatch import fnmatchcase
from typing import ClassVar, Final

from alb_reconcile.model.text import camel, printable


class ExitCode(IntEnum):
    """What every command's exit code means."""

    OK = 0
    FAILED = 1
    CHANGES = 2
    INVALID = 3
    REFUSED = 4
    HELD = 5
    WENT_BACK = 6
    USAGE = 64
    INTERRUPTED = 130


@dataclass(frozen=True, order=True)
class Problem:
    """A mistake (or, as a warning, a risk) in a spec. Line and column count from 1."""

    line: int
    column: int
    path: str
    message: str
    warning: bool = False

    def render(self, file: str) -> str:
        """FILE:LINE:COLUMN: path: what is wrong; what to do."""
        kind = "warning: " if self.warning else ""
        path = f"{self.path}: " if self.path else ""
        return f"{file}:{self.line}:{self.column}: {kind}{path}{self.message}"


class ReconcileError(Exception):
    """An error that this package raises on purpose; its text is for the user."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED


def needs_extra(what: str, extra: str) -> str:
    """The message for a feature of which the packages aren't installed."""
    return f"{what} an extra: pip install '.[{extra}]' in alb-reconcile's checkout"


class SpecError(ReconcileError):
    """A spec can't be used; `problems` has everything that is wrong with it."""

    exit_code = ExitCode.INVALID

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(problem.render(file) for problem in problems))
        self.file = file
        self.problems = tuple(problems)


THROTTLED: Final = frozenset({
    "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
    "RequestLimitExceeded", "TooManyRequestsException", "EC2ThrottledException", "BandwidthLimitExceeded", "SlowDown",
})  # fmt: skip
_UNAVAILABLE: Final = frozenset(
    {"InternalError", "InternalFailure", "Unavailable", "ServiceUnavailable", "HealthUnavailable"}
)


class AwsError(ReconcileError):
    """A call failed. An `ambiguous` call may have taken effect. `retries`: how often the call was repeated before."""

    def __init__(
        self,
        service: str,
        operation: str,
        code: str,
        message: str,
        request_id: str,
        *,
        hint: str = "",
        ambiguous: bool = False,
        retries: int = 0,
    ) -> None:
        self.service, self.operation, self.code, self.message = service, operation, code, message
        self.request_id, self.hint, self.retries = request_id, hint, retries
        self.ambiguous = ambiguous and not self.is_throttled  # EC2's status for it is 503
        request = f" (request {request_id})" if request_id else ""
        text = f"{camel(operation)}: {code}: {message.rstrip('.')}{request}" + (f"; {hint}" if hint else "")
        super().__init__(printable(text))  # AWS's words are on one line and no terminal obeys them

    @property
    def is_throttled(self) -> bool:
        """Whether AWS has refused the call because of too many other calls, so that the call has had no effect."""
        return self.code in THROTTLED

    @property
    def is_passing(self) -> bool:
        """Whether the same read may well succeed in a moment."""
        return self.ambiguous or self.is_throttled or self.code in _UNAVAILABLE

    def matches(self, key: str) -> bool:
        """Whether a key of a retry table means this error: a code, or a code and a part of the message, `code~part`."""
        code, _, part = key.partition("~")
        return code == self.code and part in self.message


class ignoring:  # noqa: N801 (used like contextlib.suppress)
    """Continue after the block where AWS refuses a call inside the block with one of these codes; `*` stands for any text."""

    def __init__(self, *codes: str) -> None:
        self.codes = codes

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: object, __: object) -> bool:
        return isinstance(error, AwsError) and any(fnmatchcase(error.code, code) for code in self.codes)


class UnreachableError(AwsError):
    """AWS can't be used at all."""

    def __init__(self, message: str) -> None:
        super().__init__("", "", "", message, "")
        self.args = (message,)


class PlanError(ReconcileError):
    """No order of steps leads from the present state to the wanted state; the text says how to get there."""

    exit_code = ExitCode.REFUSED


class RefusedError(ReconcileError):
    """A command was refused for safety's sake; the text says how to allow it."""

    exit_code = ExitCode.REFUSED


class HeldError(ReconcileError):
    """Another run holds the stack's lock."""

    exit_code = ExitCode.HELD


class UsageError(ReconcileError):
    """The command line doesn't make sense."""

    exit_code = ExitCode.USAGE


class LeaseError(ReconcileError):
    """The lease can't be had, kept or read; the text says what to do."""


class CheckError(ReconcileError):
    """A new version didn't answer as its checks want. No other request has reached it."""


class WentBackError(CheckError):
    """A new version answered wrongly when requests had moved to it. They have gone back to the old one."""

    exit_code = ExitCode.WENT_BACK


class InterruptedRun(ReconcileError):  # noqa: N818 (an interruption is no error)
    """The user interrupted the run."""

    exit_code = ExitCode.INTERRUPTED


class LeaseLostError(InterruptedRun):
    """The run has lost its lease. `to_another` says that another run took the lease, rather than that it couldn't be renewed."""

    exit_code = ExitCode.FAILED

    def __init__(self, why: str, *, to_another: bool) -> None:
        super().__init__(f"{why}; nothing more is changed. Run it again to continue")
        self.why, self.to_another = why, to_another
