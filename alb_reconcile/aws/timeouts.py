"""Computes how long a call may take: the time-outs of the clients, and the worst case that follows from them."""

from typing import Final, NamedTuple

SIGNED: Final = 300.0
"""IAM User Guide, "AWS Signature Version 4": in most cases AWS denies a request that arrives later than so many seconds
after its time stamp. So AWS refuses what a frozen process sends when it wakes up, if the process slept for longer."""


class Timeouts(NamedTuple):
    """Seconds to connect and to wait for all of an answer, and how often a call is tried."""

    connect: float
    read: float
    attempts: int


_STANDARD: Final = Timeouts(4, 60, 4)
_SERVICES: Final = {"sts": Timeouts(4, 10, 4), "s3": Timeouts(2, 5, 3)}
"""S3 keeps this tool's leases: whether a lease still holds has to be known soon."""
CONTENT: Final = 60.0
"""Seconds for the content of an object, of 2 MB at most."""
_PAUSE: Final = 20.0
_ADDED: Final = 5.0
"""botocore's standard mode waits 2 ** n seconds before it repeats a call, 20 at most, and 5 more if AWS asks for them."""


def timeouts_of(service: str, *, once: bool = False, attempts: int | None = None) -> Timeouts:
    """The time-outs of a service's client; `once` for calls that must not be repeated, `attempts` as the user wants them."""
    limits = _SERVICES.get(service, _STANDARD)
    wanted = None if service == "s3" else attempts
    return limits._replace(attempts=1 if once else wanted or limits.attempts)


def shortest(service: str) -> float:
    """The worst case of one attempt, in seconds."""
    limits = timeouts_of(service)
    return limits.connect + limits.read


def longest(service: str, *, once: bool = False) -> float:
    """The worst case of a call with all its attempts and the pauses between them, in seconds."""
    attempts = timeouts_of(service, once=once).attempts
    pauses = sum(min(2.0**number, _PAUSE) + _ADDED for number in range(attempts - 1))
    return attempts * shortest(service) + pauses


def settled(service: str) -> float:
    """Seconds after which an attempt that is made now can't take effect any more, even if it is delayed or frozen on its way."""
    return max(shortest(service), SIGNED)


def settled_all(service: str, *, once: bool = False) -> float:
    """`settled` for a call with all its attempts; further attempts that the user wants are granted one by one (`Guard.check`)."""
    return max(longest(service, once=once), SIGNED)
