"""Throttles calls by AWS's documented token buckets (`aws/buckets.py`), for each account and region."""

from __future__ import annotations

from typing import NoReturn

from alb_reconcile.aws.buckets import buckets_of

from .rule import Call, refuse


class Throttling:
    """The buckets of all accounts and regions. `share`: the share of the refill rate that other clients leave."""

    def __init__(self, share: float = 1.0) -> None:
        self._share = share
        self._levels: dict[tuple[str, str, str], tuple[float, float]] = {}
        """The tokens in each bucket, and when that was, by account, region and bucket."""

    def take(self, service: str, call: Call, now: float) -> None:
        """Take a request's tokens from all of its buckets, or from none if it is refused. The error is AWS's."""
        left: dict[tuple[str, str, str], tuple[float, float]] = {}
        for name, bucket, tokens in buckets_of(service, call.action, lambda: call.params):
            key = call.world.account, call.world.region, f"{service} {name}"
            level, since = self._levels.get(key, (bucket.size, now))
            rest = min(bucket.size, level + (now - since) * bucket.refill * self._share) - tokens
            if rest < 0:
                throttle(service)
            left[key] = rest, now
        self._levels |= left


def throttle(service: str) -> NoReturn:
    """Refuse a request. ELB's guide and CloudTrail call the code ThrottlingException; in answers it is Throttling (boto3#3125)."""
    if service == "ec2":
        refuse("RequestLimitExceeded", "Request limit exceeded.", status=503)
    refuse("Throttling", "Rate exceeded")
