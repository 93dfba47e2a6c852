"""AWS's token buckets on a clock that counts requests, so that a slow machine throttles as often as a fast one."""

from __future__ import annotations

import re
import threading
from collections import Counter
from types import SimpleNamespace
from urllib.parse import parse_qs

from alb_reconcile.sandbox.strict.rule import RefusedError
from alb_reconcile.sandbox.strict.throttling import Throttling

SIGNED = re.compile(r"Credential=([^/]+)/[0-9]+/([a-z0-9-]+)/(ec2|elasticloadbalancing)/")
"""The key of the account, the region and the service that a call is signed for."""


class Buckets:
    """Those of all accounts and regions. `demand`: so many requests of one of them are a second, however long they take."""

    def __init__(self, demand: float) -> None:
        self._demand, self._lock = demand, threading.Lock()
        self._throttling = Throttling()
        self._counts: Counter[tuple[str, str]] = Counter()

    def refusal(self, authorization: str, operation: str, body: bytes) -> tuple[int, bytes] | None:
        """The answer to a call that is throttled: its status and what is in it."""
        signed = SIGNED.search(authorization)
        if signed is None:
            return None
        key, region, service = signed.groups()
        params = {name.partition(".")[0]: value for name, value in parse_qs(body.decode("latin-1")).items()}
        world = SimpleNamespace(account=key, region=region)
        with self._lock:
            self._counts[key, region] += 1
            call, now = (
                SimpleNamespace(action=operation, params=params, world=world),
                self._counts[key, region] / self._demand,
            )
            try:
                self._throttling.take("ec2" if service == "ec2" else "elbv2", call, now)  # type: ignore[arg-type]  # a bucket asks for no more of a call
            except RefusedError as error:
                told = f"<Error><Code>{error.code}</Code><Message>{error.message}</Message></Error>"
                form = (
                    "<Response><Errors>{}</Errors></Response>"
                    if service == "ec2"
                    else "<ErrorResponse>{}</ErrorResponse>"
                )
                return error.status, form.format(told).encode()
        return None
