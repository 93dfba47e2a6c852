"""A pace below AWS's limits, so that the account's other tools are not throttled because of this one."""

from typing import Final, NamedTuple


class Bucket(NamedTuple):
    """AWS's documented token bucket: how many calls at once, and how many more a second."""

    burst: float
    refill: float


# EC2 API throttling, "Request token bucket sizes and refill rates"; ELB API throttling, the same heading.
BUCKETS: Final = {
    "ec2 read": Bucket(100, 20),
    "ec2 change": Bucket(50, 5),
    "ec2 run": Bucket(5, 2),
    "ec2 terminate": Bucket(100, 5),
    "ec2 tag": Bucket(100, 10),
    "elbv2 read": Bucket(40, 10),
    "elbv2 change": Bucket(20, 3),
    "elbv2 register": Bucket(20, 4),
    "elbv2 place": Bucket(10, 0.2),
}
SHARE: Final = 0.5
"""Of both numbers."""
_SPECIAL: Final = {
    "run_instances": "ec2 run",
    "start_instances": "ec2 run",
    "terminate_instances": "ec2 terminate",
    "create_tags": "ec2 tag",
    "register_targets": "elbv2 register",
    "deregister_targets": "elbv2 register",
    "create_load_balancer": "elbv2 place",
    "set_subnets": "elbv2 place",
}


def bucket_of(service: str, operation: str) -> str | None:
    """The name of the bucket that a call is taken from; none where AWS documents none."""
    verb = "read" if operation.startswith(("describe_", "get_")) else "change"
    name = _SPECIAL.get(operation, f"{service} {verb}")
    return name if name in BUCKETS else None


class Throttle:
    """Token buckets by class of call."""

    def __init__(self) -> None:
        self._levels: dict[str, tuple[float, float]] = {}
        """By bucket, its tokens at a moment."""

    def reserve(self, service: str, operation: str, now: float) -> float:
        """Take a place in the queue for a call. Returns the seconds to wait for it."""
        name = bucket_of(service, operation)
        if name is None:
            return 0.0
        burst, refill = BUCKETS[name].burst * SHARE, BUCKETS[name].refill * SHARE
        tokens, since = self._levels.get(name, (burst, now))
        tokens = min(burst, tokens + (now - since) * refill) - 1
        self._levels[name] = tokens, now
        return max(0.0, -tokens / refill)
