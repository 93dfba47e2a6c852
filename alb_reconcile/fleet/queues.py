"""Opens a queue of cells by its address in Amazon SQS or Redis, and reads what is waiting there."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from alb_reconcile.aws.endpoint import is_address, without_passwords
from alb_reconcile.model.errors import UsageError

VARIABLE: Final = "ALB_RECONCILE_FLEET_QUEUE"
NAME: Final = "cells"
"""Celery's name of the queue, in SQS and in Redis."""
DEAD: Final = "dead-cells"
"""Redis's list of dead letters."""
MOST_DELIVERIES: Final = 5
"""The most deliveries of a message in Redis; in SQS the queue's redrive policy says it."""
_REGION: Final = re.compile(r"sqs(?:-fips)?\.([a-z]{2}(?:-[a-z]+)+-\d)\.")
_VISIBILITY: Final = 120
Ask = Callable[..., dict[str, Any]]
"""A function that calls AWS with a service, an operation and its parameters."""


@dataclass(frozen=True)
class Queue:
    """A queue where cells wait for a worker. `visibility`: seconds for which Redis hides a message that was handed out."""

    url: str
    visibility: int = _VISIBILITY

    @classmethod
    def parse(cls, text: str) -> "Queue":
        """The queue at an address. Raises UsageError."""
        shown = without_passwords(text)[:200]
        if text.startswith(("redis://", "rediss://")):
            try:
                parts = urlsplit(text)
                given = parse_qs(parts.query, strict_parsing=bool(parts.query)).get("visibility_timeout", [_VISIBILITY])
                visibility, _ = int(given[-1]), parts.port
            except ValueError:  # the error's text has parts of the address, where a password may be
                raise UsageError(
                    f"the queue {shown} isn't an address; write redis://HOST:6379/0, with %2F for a slash in a password, %3F for ? and %23 for #"
                ) from None
            if not 1 <= visibility <= 43_200:
                raise UsageError(
                    f"the queue {shown} has a visibility_timeout that isn't from 1 to 43200 seconds; correct it"
                )
            return cls(text.partition("?")[0], visibility)
        if not is_address(text) or urlsplit(text).path.count("/") != 2:
            raise UsageError(
                f"the queue {shown!r} isn't one of Amazon SQS or Redis; give its URL, such as "
                "https://sqs.eu-central-1.amazonaws.com/123456789012/alb-reconcile or redis://localhost:6379/0"
            )
        if text.endswith(".fifo"):
            raise UsageError(f"the queue {shown} is a FIFO queue; use a standard queue: a cell's lease keeps the order")
        return cls(text)

    @property
    def is_sqs(self) -> bool:
        """Whether it is a queue of Amazon SQS."""
        return self.url.startswith("http")

    @property
    def region(self) -> str | None:
        """The region that the queue's address names."""
        found = _REGION.search(self.url)
        return found[1] if found else None

    def __str__(self) -> str:
        return without_passwords(self.url)


@dataclass(frozen=True)
class QueueState:
    """How many messages wait, how many are with workers, and how many were given up, with some of the latter.

    `visibility`: seconds until a message that a worker has appears again, unless the worker asks for longer.
    """

    waiting: int
    in_flight: int
    dead: int
    letters: tuple[str, ...] = ()
    visibility: int = _VISIBILITY
