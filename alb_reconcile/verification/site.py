"""Says where a stack's listeners answer, and how many requests are to be sent to them."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from alb_reconcile.model.address import Address
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.errors import ReconcileError
from alb_reconcile.model.resource import Desired
from alb_reconcile.verification.attribution import DEMO, Attribution
from alb_reconcile.verification.authentication import Provider
from alb_reconcile.verification.checks import Check, Choice
from alb_reconcile.verification.client import Endpoint
from alb_reconcile.verification.expect import ANSWERED, Statuses

DNS_TIMEOUT: Final = 180.0
"""Seconds until a new load balancer's name resolves."""
_POLL: Final = 2.0

Health = Mapping[str, Mapping[str, Any]]
"""DescribeTargetHealth's TargetHealth by `target:port`."""


LookUp = Callable[[str, str], Awaitable[tuple[str, ...]]]
"""A function that returns the values that a name server has for a name and a type; none where it has none."""


class VerifyError(ReconcileError):
    """There is nothing that could be verified; the text says why and what to do."""


@dataclass(frozen=True)
class Sending:
    """Which requests are sent, and how many. `rate` in requests a second over all, times in seconds.

    `requests` go to each forward, `duration` replaces them; `http`: 1.1, 2 or both, on HTTPS; `websocket`: a path.
    `tolerance`: standard deviations that a target's share may be off.
    """

    choice: Choice = field(default_factory=Choice)
    requests: int = 100
    duration: int | None = None
    rate: int = 50
    concurrency: int = 10
    http: Literal["1.1", "2", "both"] = "both"
    websocket: str | None = None
    timeout: int = 10
    tolerance: float = 3


@dataclass(frozen=True)
class VerifySettings(Sending):
    """Which requests are sent, and how answers are judged."""

    attribution: Attribution = DEMO
    statuses: Statuses = ANSWERED
    dns_timeout: float = DNS_TIMEOUT


@dataclass(frozen=True)
class Site:
    """The stack as it is, and the ways to it: `endpoints` by listener ARN, `health` calls DescribeTargetHealth.

    `absent` is why a listener may have no endpoint.
    """

    stack: str
    region: str
    discovery: Discovery
    desired: Mapping[Address, Desired]
    endpoints: Mapping[str, Endpoint]
    health: Callable[[str], Awaitable[Health]]
    absent: str = "its address is unknown"
    provider: Provider | None = None
    """The sandbox's own provider, at which verify logs in."""
    look_up: LookUp | None = None
    """The function that looks names up; None where names can't be looked up."""
    sees_private: bool = False
    """Whether `look_up` knows the names of private zones."""


async def drop_unreachable(
    checks: tuple[Check, ...], site: Site, settings: VerifySettings, say: Callable[[str], None]
) -> tuple[Check, ...]:
    """The checks, without requests where the listener can't be reached."""
    wanted = {check.listener for check in checks if check.state == "send"}
    hosts = {arn: site.endpoints[arn].host for arn in wanted if arn in site.endpoints}
    names = set(hosts.values())
    problems = await asyncio.gather(*(_resolve(name, settings.dns_timeout, say) for name in names))
    unresolved = dict(zip(names, problems, strict=True))
    lost = {arn: unresolved[hosts[arn]] if arn in hosts else site.absent for arn in wanted}
    return tuple(
        replace(check, state="missing", reason=lost[check.listener])
        if lost.get(check.listener)
        else _with_certificate(check, site.endpoints.get(check.listener))
        for check in checks
    )


def _with_certificate(check: Check, endpoint: Endpoint | None) -> Check:
    if check.state != "send" or not check.wants_certificate or endpoint is None or endpoint.tls is None:
        return check
    if endpoint.tls.client_certificate:
        return check
    reason = "lets in only clients with a certificate; give one with --client-certificate"
    return replace(check, state="skipped", reason=reason)


async def _resolve(host: str, dns_timeout: float, say: Callable[[str], None]) -> str:
    """Wait until a name resolves. Returns what is wrong if it doesn't."""
    loop = asyncio.get_running_loop()
    deadline, said = loop.time() + dns_timeout, False
    while True:
        try:
            await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            if loop.time() >= deadline:
                why = getattr(error, "strerror", None) or str(error)
                return f"{host} doesn't resolve ({why}, after {dns_timeout:.0f} s); check DNS, or wait: a new load balancer's name takes minutes"
            if not said:
                say(f"waiting up to {dns_timeout:.0f} s for {host} to resolve")
                said = True
            await asyncio.sleep(min(_POLL, max(0.0, deadline - loop.time())))
        else:
            return ""
