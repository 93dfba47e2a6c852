"""Reports each call to AWS, once the call has ended, to the functions that write traces."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from alb_reconcile.model.errors import AwsError

MADE_FOR: Final[ContextVar[str]] = ContextVar("made_for", default="")
"""The key of the step for which this task makes its calls; empty where it reads or waits for the whole stack."""


@dataclass
class Call:
    """A call to AWS. `started` and `ended` are nanoseconds since the epoch; `retries` are botocore's; `throttled` counts attempts."""

    service: str
    operation: str
    made_for: str
    started: int = field(default_factory=time.time_ns)
    ended: int = 0
    request_id: str = ""
    error: str = ""
    """AWS's error code."""
    retries: int = 0
    throttled: int = 0

    def note(self, meta: dict[str, Any]) -> None:
        """Note what botocore says about an answer (its ResponseMetadata)."""
        self.request_id = str(meta.get("RequestId", ""))
        self.retries = int(meta.get("RetryAttempts", 0))


@contextmanager
def followed(listen: Callable[[Call], None], service: str, operation: str) -> Iterator[Call]:
    """Pass the call inside the block to `listen` when the call has ended, with or without an error."""
    call = Call(service, operation, MADE_FOR.get())
    try:
        yield call
    except AwsError as error:
        call.error, call.request_id, call.retries = error.code, error.request_id, error.retries
        raise
    finally:
        call.ended = time.time_ns()
        listen(call)
