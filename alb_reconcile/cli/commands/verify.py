"""`verify`, and the end of `apply --verify`: real requests through each listener and rule of a stack."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_address
from typing import Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.render.output import Output
from alb_reconcile.cli.render.style import Style
from alb_reconcile.cli.render.verify import verify_json, verify_text
from alb_reconcile.cli.session.connection import ConnectionOptions, with_stack
from alb_reconcile.cli.session.specs import LoadingOptions, load_stacks
from alb_reconcile.engine.discover import discover
from alb_reconcile.kinds._health import read_health
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.listener import Listener
from alb_reconcile.kinds.load_balancer import Entrance
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.errors import ExitCode, UsageError
from alb_reconcile.model.resource import each_of
from alb_reconcile.sandbox import client as sandbox_client
from alb_reconcile.sandbox.identity.places import local_issuer
from alb_reconcile.verify.attribution import Attribution
from alb_reconcile.verify.client import Endpoint, Trust
from alb_reconcile.verify.expect import ANSWERED, Statuses
from alb_reconcile.verify.names import asking
from alb_reconcile.verify.request_search import is_host
from alb_reconcile.verify.session import Report, verify_stack
from alb_reconcile.verify.site import Sending, Settings, Site, VerifyError

_DOORS: Final = 15.0
"""Seconds for which a new listener's local port is waited for, in the sandbox."""


@dataclass(frozen=True)
class Way:
    """How the load balancers are reached: in the sandbox or by DNS name, or by the host and port given for a listener's port."""

    sandbox: bool = False
    trust: Trust = field(default_factory=Trust)
    instead: Mapping[int, tuple[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class VerifyOptions:
    specs: tuple[str, ...]
    sending: Sending
    attribute: str
    expect_status: str | None
    trust: Trust
    connect_to: Mapping[int, tuple[str, int]]
    output: Output
    loading: LoadingOptions
    connection: ConnectionOptions


def verify(options: VerifyOptions) -> ExitCode:
    """Prove that the load balancers balance. Exits with 1 unless everything answered as expected."""
    settings = _settings(options)
    way = Way(options.connection.sandbox, options.trust, options.connect_to)
    good = True
    for stack in load_stacks(options.specs, options.loading):
        target = stack.target()
        report = with_stack(options.connection, target, check, way, settings)
        good = good and report.ok
        options.output.show(report, verify_text, verify_json)
    return ExitCode.OK if good else ExitCode.FAILED


async def check_applied(aws: Aws, target: DesiredStack, style: Style, *, sandbox: bool) -> Report:
    """The end of `apply --verify`: a verify with nothing but defaults."""
    report = await check(aws, target, Way(sandbox), Settings())
    emit("")
    emit(verify_text(report, style))
    return report


async def check(aws: Aws, target: DesiredStack, way: Way, settings: Settings) -> Report:
    """Read a stack, and verify it. Raises what `discover` and `verify_stack` raise, and SandboxError."""
    found = await discover(aws, target.stack, target.desired, account_ids=target.account_ids)
    endpoints, absent = _by_name(found, way), ""
    if way.sandbox and not way.instead and any(not item.is_gone for item in found.resources):
        endpoints, absent = await _by_door(found, way.trust)
        settings = replace(settings, choice=replace(settings.choice, source_address=sandbox_client.HOST))
    health = partial(read_health, Run(aws, target.stack))
    sandbox = sandbox_client.running() if way.sandbox else None
    provider = partial(local_issuer, sandbox.provider) if sandbox and sandbox.provider else None
    has_names = any(address.kind == "record" for address in target.desired)
    server = (sandbox_client.HOST, sandbox.names) if sandbox and sandbox.names else (None, 53)
    look_up = asking(*server) if has_names and not way.instead else None
    site = Site(
        target.stack,
        target.region,
        found,
        target.desired,
        endpoints,
        health,
        absent,
        provider,
        look_up,
        server[0] is not None,
    )
    return await verify_stack(site, settings, aws.stopping, complain)


def _by_name(found: Discovery, way: Way) -> dict[str, Endpoint]:
    """The listeners' endpoints by ARN, at their load balancers' DNS names."""
    names = {
        item.id: item.detail(Entrance).dns_name for item in found.resources if item.address.kind == "load_balancer"
    }
    endpoints = {}
    for arn, listener in _listeners(found).items():
        host, port = way.instead.get(listener.port, (names[str(listener.load_balancer)], listener.port))
        tls = way.trust if listener.protocol == "HTTPS" else None
        endpoints[arn] = Endpoint(host, port, listener.port, tls)
    return endpoints


async def _by_door(found: Discovery, trust: Trust) -> tuple[dict[str, Endpoint], str]:
    """The listeners' endpoints in the sandbox, and why one may be missing. Waits until all have one, for a while."""
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


def _listeners(found: Discovery) -> dict[str, Listener]:
    return {item.id: state for item, state in each_of(found.resources, Listener)}


def _settings(options: VerifyOptions) -> Settings:
    """The options' values. Raises UsageError."""
    sending, path, host = options.sending, options.sending.choice.path, options.sending.choice.host
    if not re.fullmatch(r"/[!-~]*", path) or re.search(r"[?#]", path):
        raise UsageError("--path expects a path such as /health, without a query")
    if sending.websocket is not None and not re.fullmatch(r"/[!-~]*", sending.websocket):
        raise UsageError("--websocket expects a path such as /ws")
    if host is not None and not is_host(host):
        raise UsageError("--host expects a host name such as shop.example.com, without a port")
    if sending.choice.source_address is not None and not _is_address(sending.choice.source_address):
        raise UsageError("--source-address expects an IP address such as 203.0.113.7")
    if sending.timeout < 1 or sending.duration == 0:
        raise UsageError("--timeout and --duration must be at least one second")
    try:
        attribution = Attribution.parse(options.attribute)
        statuses = Statuses.parse(options.expect_status) if options.expect_status else ANSWERED
    except ValueError as error:
        raise UsageError(str(error)) from None
    return Settings(**vars(sending), attribution=attribution, statuses=statuses)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
