"""Chooses and opens the AWS that is asked, the real one or the sandbox, and runs functions over it."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.connection import Connection
from alb_reconcile.aws.endpoint import endpoint_of
from alb_reconcile.aws.role import Role
from alb_reconcile.aws.throttle import Throttle
from alb_reconcile.aws.transport import BotoTransport
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import UsageError
from alb_reconcile.model.host import iso

if TYPE_CHECKING:
    from alb_reconcile.sandbox.client import Traffic

LOG: Final = logging.getLogger("alb_reconcile.api")
_WORKERS: Final = (1, 64)
_PACES: Final = (0.1, 1.0)
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Session:
    """Which AWS is asked, and how. A new session sends no request.

    `profile`: an AWS profile; else AWS_PROFILE, and where the AWS SDK looks for credentials. `region`: the region of a spec that names
    none; else AWS_REGION, or the profile's. `endpoint_url`: the address of AWS's API; else AWS_ENDPOINT_URL. `sandbox`: the local AWS,
    which is started if none runs. `max_workers`: how many calls run at once, 1 to 64. `pace`: the share of AWS's request limits to
    take at most, 0.1 to 1; else ALB_RECONCILE_PACE, else 1.
    """

    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    sandbox: bool = False
    max_workers: int = 16
    pace: float | None = None

    @cached_property
    def throttles(self) -> dict[str, Throttle]:
        """A throttle for each region, shared by all that is done there."""
        return {}


def connect(
    session: Session, region: str, *, usual_burst: float = 1, say: Callable[[str], None] = LOG.info,
    on_call: Callable[[str], None] | None = None, role: Role | None = None, assumed: dict[str, Any] | None = None,
    prepared: bool = True,
) -> Connection:  # fmt: skip
    """The connection to AWS. `say` is called when a sandbox was started, `on_call` for each call. `role` is assumed, and `assumed`
    keeps its credentials for other regions. Without `prepared`, unusable AWS settings are reported by the first call.

    Raises what `check_session` raises, SandboxError, UnreachableError.
    """
    check_session(session)
    endpoint, speed = session.endpoint_url, 1.0
    if session.sandbox:
        from alb_reconcile.sandbox import client as sandbox_client

        check_sandbox_region(region)
        found, fresh = sandbox_client.start()
        endpoint, speed = found.endpoint_url, found.speed
        if fresh:
            say(
                f"sandbox started at {endpoint}: new and empty, and {speed:g} times as fast as AWS, whose times are shown; "
                "it doesn't run user data, and lasts until: alb-reconcile sandbox stop"
            )
    workers, sandbox = session.max_workers, session.sandbox
    transport = BotoTransport(
        region=region, profile=session.profile, endpoint_url=endpoint, max_workers=workers, sandbox=sandbox,
        role=role, assumed=assumed,
    )  # fmt: skip
    if prepared:
        transport.prepare()
    pace = _pace_of(session)
    throttle = session.throttles.setdefault(region, Throttle(pace or 1.0, pace or usual_burst))
    return Connection(transport, workers, speed, on_call, sandbox, sandbox_began(session), throttle)


def sandbox_began(session: Session) -> str:
    """The time, in ISO 8601, since which the sandbox has its contents: earlier records are of another sandbox. Empty for AWS."""
    if not session.sandbox:
        return ""
    from alb_reconcile.sandbox.client import state_file

    with suppress(FileNotFoundError):  # it has just been stopped
        return iso(state_file().stat().st_mtime)
    return ""


def check_sandbox_region(region: str) -> None:
    """Raises SandboxError for a region that the local AWS doesn't have."""
    from alb_reconcile.sandbox.client import REGION, SandboxError

    if region not in BotoTransport.regions():
        raise SandboxError(f"the sandbox has no region {region}; choose another one, such as {REGION}")


def check_session(session: Session) -> None:
    """Raises UsageError for settings that contradict each other, and for invalid values."""
    _pace_of(session)
    if not _WORKERS[0] <= session.max_workers <= _WORKERS[1]:
        raise UsageError(f"max_workers is {session.max_workers}; give a number from {_WORKERS[0]} to {_WORKERS[1]}")
    if session.sandbox and (session.profile or session.endpoint_url):
        raise UsageError("--sandbox can't be combined with --profile or --endpoint-url: leave them out")
    if not session.sandbox:
        endpoint_of(session.endpoint_url, os.environ)


def _pace_of(session: Session) -> float:
    """The pace that was asked for, else 0."""
    if session.pace is not None:
        if not _PACES[0] <= session.pace <= _PACES[1]:
            raise UsageError(f"pace is {session.pace:g}; give a number from 0.1 to 1")
        return session.pace
    return _pace_of_environment(os.environ)


def _pace_of_environment(environ: Mapping[str, str]) -> float:
    text = environ.get("ALB_RECONCILE_PACE")
    if not text:
        return 0.0
    try:
        pace = float(text)
    except ValueError:
        pace = 0.0
    if not _PACES[0] <= pace <= _PACES[1]:
        raise UsageError(f"ALB_RECONCILE_PACE: {text[:40]!r} isn't a number from 0.1 to 1; correct it, or unset it")
    return pace


def default_region(session: Session) -> str | None:
    """The region that is configured; boto3 doesn't read AWS_REGION. Raises UnreachableError for an unknown profile."""
    if region := os.environ.get("AWS_REGION"):
        return region
    if session.sandbox:
        from alb_reconcile.sandbox import client as sandbox_client

        return os.environ.get("AWS_DEFAULT_REGION") or sandbox_client.REGION
    return BotoTransport.default_region(session.profile)


def over(
    connection: Connection,
    main: Callable[[Aws], Awaitable[_T]],
    *,
    begin: Callable[[Aws], None] = lambda _: None,
    end: Callable[[Aws], None] = lambda _: None,
) -> _T:
    """Run `main`, which asks AWS, to its end. `begin` and `end` are given the client. Raises what `main` raises, and UnreachableError."""

    async def run() -> _T:
        aws = connection.client()
        begin(aws)
        try:
            return await _stoppable(aws, connection.until_answered(main(aws)))
        finally:
            aws.close()
            end(aws)

    return asyncio.run(run())


async def _stoppable(aws: Aws, work: Coroutine[Any, Any, _T]) -> _T:
    """The result of some work. If the work is cancelled (Ctrl-C), nothing new starts, and calls in progress finish first."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        aws.stopping.set()
        await asyncio.gather(task, return_exceptions=True)
        raise


def prepare(session: Session, target: DesiredStack, say: Callable[[str], None]) -> None:
    """Have the sandbox make the resources that a stack names and doesn't declare, so that any spec can be tried in it."""
    states = [item.creation for item in target.desired.values()]
    if not (session.sandbox and states):
        return
    from alb_reconcile.sandbox import client as sandbox_client
    from alb_reconcile.sandbox import listening, preparation

    if found := sandbox_client.running():
        for line in preparation.prepare(found, target.region, states):
            say(f"Made in the sandbox: {line}")
        for line in listening.find_refused(target.desired, found.serve_ports) if found.traffic else ():
            say(f"warning: {line}")


def local_traffic(session: Session) -> "Traffic | None":
    """The processes that carry the sandbox's traffic, if there are any; None for AWS."""
    if not session.sandbox:
        return None
    from alb_reconcile.sandbox import client as sandbox_client

    found = sandbox_client.running()
    return found.look() if found and found.traffic else None


def local_urls(session: Session) -> dict[str, str]:
    """Each listener's local URL in the sandbox, by ARN."""
    traffic = local_traffic(session)
    return traffic.urls if traffic else {}
