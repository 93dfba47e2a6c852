"""Sends real requests through each listener and rule of a stack, from here or through the sandbox's ports."""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Final, Literal

from alb_reconcile.api.runs import on_stack
from alb_reconcile.api.session import LOG
from alb_reconcile.api.stacks import Stack
from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.discover import discover
from alb_reconcile.kinds._health import read_health
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.errors import UsageError, needs_extra
from alb_reconcile.model.resource import each_of
from alb_reconcile.model.service import Balancer, DnsName, Entrance, Frontend
from alb_reconcile.sandbox import client as sandbox_client
from alb_reconcile.sandbox.identity.places import local_issuer
from alb_reconcile.verification.attribution import DEMO, Attribution
from alb_reconcile.verification.checks import Choice
from alb_reconcile.verification.client import Endpoint, Trust
from alb_reconcile.verification.expect import ANSWERED, Statuses
from alb_reconcile.verification.names import asking
from alb_reconcile.verification.request_search import is_host
from alb_reconcile.verification.session import Report, verify_stack
from alb_reconcile.verification.site import Sending, Site, VerifyError, VerifySettings

_DOORS: Final = 15.0
"""Seconds to wait in the sandbox for a new listener's local port."""


@dataclass(frozen=True)
class Way:
    """How the load balancers are reached: in the sandbox or by DNS name, or by the host and port given for a listener's port."""

    sandbox: bool = False
    trust: Trust = field(default_factory=Trust)
    instead: Mapping[int, tuple[str, int]] = field(default_factory=dict)


def verify(
    stack: Stack,
    *,
    requests: int = 100,
    duration: int | None = None,
    rate: int = 50,
    concurrency: int = 10,
    timeout: int = 10,
    path: str = "/",
    host: str | None = None,
    http: Literal["1.1", "2", "both"] = "both",
    attribute: str | None = None,
    expect_status: str | None = None,
    ca_file: str | None = None,
    connect_to: Mapping[int, tuple[str, int]] | None = None,
) -> Report:
    """Send real requests through each listener and rule of a stack, and judge the answers. Changes nothing.

    `requests` go to each forward; `duration` in seconds replaces them. `rate`: requests a second in all. `concurrency`: requests at
    once. `timeout`: seconds for one request. `path` and `host` are used where a rule allows any. `http` matters for HTTPS only.
    `attribute` says how an answer names its target: `header:NAME`, `json:FIELD` or `none`, and an answer without it is a problem.
    Without `attribute` it is `json:instance_id`, and answers without it leave shares unjudged. `expect_status`: of forwards, such as
    `200-399`; any below 500 without it. `ca_file`: authorities to trust instead of the system's. `connect_to`: by a listener's port,
    the host and port where it is reached, for example through a tunnel.

    The report's `ok` says whether everything answered as expected: nothing is raised where it didn't. AWS's actions: as for
    `discover`, and elasticloadbalancing:DescribeTargetHealth. Raises VerifyError where there is nothing to verify, UsageError
    for an option that can't be meant, and what `discover` raises.
    """
    sending = Sending(
        choice=Choice(host=host, path=path), requests=requests, duration=duration, rate=rate, concurrency=concurrency,
        http=http, timeout=timeout,
    )  # fmt: skip
    settings = complete(sending, attribute, expect_status)
    way = Way(stack.session.sandbox, Trust(ca_file=ca_file), connect_to or {})
    return on_stack(stack, lambda aws, target: check(aws, target, way, settings, LOG.info))


async def check(
    aws: Aws, target: DesiredStack, way: Way, settings: VerifySettings, say: Callable[[str], None]
) -> Report:
    """Read a stack, and verify it. Raises what `discover` and `verify_stack` raise, and SandboxError."""
    found = await discover(aws, target.stack, target.desired, account_ids=target.account_ids)
    way = replace(way, sandbox=way.sandbox or _is_sandbox(aws.endpoint))
    endpoints, absent = _by_name(found, way), ""
    if way.sandbox and not way.instead and any(not item.is_gone for item in found.resources):
        endpoints, absent = await _by_door(found, way.trust)
        settings = replace(settings, choice=replace(settings.choice, source_address=sandbox_client.HOST))
    health = partial(read_health, Run(aws, target.stack))
    sandbox = sandbox_client.running() if way.sandbox else None
    provider = partial(local_issuer, sandbox.provider) if sandbox and sandbox.provider else None
    has_names = any(isinstance(item.state, DnsName) for item in target.desired.values())
    server = (sandbox_client.HOST, sandbox.names) if sandbox and sandbox.names else (None, 53)
    look_up = asking(*server) if has_names and not way.instead else None
    site = Site(
        target.stack, target.region, found, target.desired, endpoints, health, absent, provider, look_up,
        server[0] is not None,
    )  # fmt: skip
    report = await verify_stack(site, settings, aws.stopping, say)
    return replace(report, secret_headers=target.secret_headers)


def _is_sandbox(endpoint: str) -> bool:
    """Whether AWS_ENDPOINT_URL or --endpoint-url leads to the sandbox: no resolver knows its load balancers' names."""
    sandbox = sandbox_client.running() if endpoint.startswith(f"http://{sandbox_client.HOST}:") else None
    return sandbox is not None and endpoint.rstrip("/") == sandbox.endpoint_url


def _by_name(found: Discovery, way: Way) -> dict[str, Endpoint]:
    """The listeners' endpoints by ARN, at their load balancers' DNS names."""
    names = {item.id: item.detail(Entrance).dns_name for item in found.resources if isinstance(item.state, Balancer)}
    endpoints = {}
    for arn, listener in _listeners(found).items():
        host, port = way.instead.get(listener.port, (names[str(listener.load_balancer)], listener.port))
        tls = way.trust if listener.protocol == "HTTPS" else None
        endpoints[arn] = Endpoint(host, port, listener.port, tls)
    return endpoints


async def _by_door(found: Discovery, trust: Trust) -> tuple[dict[str, Endpoint], str]:
    """The listeners' endpoints in the sandbox, and why one may be missing. Waits for a while until all listeners have one."""
    sandbox = sandbox_client.running()
    if sandbox is None or not sandbox.traffic:
        raise VerifyError(
            "the sandbox was started without traffic, so nothing can be verified; stop it, and start it without --no-traffic"
        )
    if trust.ca_file is None and not trust.insecure:
        trust = replace(trust, ca_file=sandbox.ca_file)
    listeners = _listeners(found)
    now = asyncio.get_running_loop().time
    deadline = now() + _DOORS
    while True:
        traffic = await asyncio.to_thread(sandbox.look)
        endpoints = {
            door.listener_arn: Endpoint(
                sandbox_client.HOST, door.local_port, door.port, trust if door.protocol == "HTTPS" else None
            )
            for door in traffic.doors
            if door.listener_arn in listeners
        }
        if len(endpoints) == len(listeners) or now() > deadline:
            why = traffic.problem or "it has no local port"
            return endpoints, f"the sandbox doesn't serve it ({why}); see: alb-reconcile sandbox status"
        await asyncio.sleep(0.2)


def _listeners(found: Discovery) -> dict[str, Frontend]:
    return {item.id: state for item, state in each_of(found.resources, Frontend)}


def complete(sending: Sending, attribute: str | None, expect_status: str | None) -> VerifySettings:
    """The settings of a verification; attribution and statuses are given as text. Raises UsageError for invalid ones."""
    path, host = sending.choice.path, sending.choice.host
    if not re.fullmatch(r"/[!-~]*", path) or re.search(r"[?#]", path):
        raise UsageError("--path expects a path such as /health, without a query")
    if sending.websocket is not None and not re.fullmatch(r"/[!-~]*", sending.websocket):
        raise UsageError("--websocket expects a path such as /ws")
    if sending.websocket is not None and find_spec("websockets") is None:
        raise UsageError(needs_extra("--websocket needs", "websocket"))
    if host is not None and not is_host(host):
        raise UsageError("--host expects a host name such as shop.example.com, without a port")
    if sending.choice.source_address is not None and not _is_address(sending.choice.source_address):
        raise UsageError("--source-address expects an IP address such as 203.0.113.7")
    if min(sending.requests, sending.rate, sending.concurrency) < 1:
        raise UsageError("--requests, --rate and --concurrency must be at least 1")
    if sending.timeout < 1 or (sending.duration is not None and sending.duration < 1):
        raise UsageError("--timeout and --duration must be at least one second")
    try:
        attribution = DEMO if attribute is None else Attribution.parse(attribute)
        statuses = Statuses.parse(expect_status) if expect_status else ANSWERED
    except ValueError as error:
        raise UsageError(str(error)) from None
    return VerifySettings(**vars(sending), attribution=attribution, statuses=statuses)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
