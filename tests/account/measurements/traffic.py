"""Measurements with requests: how late load balancers learn of changes, and what their rules match."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.account.bench import NEW
from tests.account.measurements.measurement import Measurement, measurement

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.account.bench import Bench

ALL: list[Measurement] = []
_on_service = partial(measurement, on_service=True, into=ALL)
QUIET = 60.0
"""So many seconds of only one kind of answer, and a change is taken to have reached every node."""
SLOWEST = 300.0
PATIENCE = 120.0
"""Seconds of this machine's: how long connections are kept is counted in these in the sandbox, too."""


def _changes(bench: Bench, has_changed: Callable[[httpx.Response], bool], path: str = "/probe") -> str:
    """How long after now the first answer is of the new kind, and the last of the old kind."""
    began = time.monotonic()
    first, last = None, 0.0
    while True:
        is_new = has_changed(bench.get(path))
        now = bench.tool.place.seconds(time.monotonic() - began)
        if is_new and first is None:
            first = now
        if not is_new:
            last = now
        if now - last > QUIET:
            return f"first new answer after {first or 0:.1f} s, last old one after {last:.1f} s"
        if now > SLOWEST:
            return f"first new answer after {first} s; there were still old ones after {now:.0f} s"
        bench.sleep(0.2)


def _path(pattern: str) -> dict[str, Any]:
    return {"Field": "path-pattern", "PathPatternConfig": {"Values": [pattern]}}


@_on_service()
def propagation_of_rules(bench: Bench) -> str:
    """How late do a load balancer's nodes learn of a rule that is created, and of one that is deleted?"""
    with bench.rule(_path("/probe")):
        created = _changes(bench, lambda reply: reply.text == NEW)
    return f"created: {created}; deleted: {_changes(bench, lambda reply: reply.text != NEW)}"


@_on_service()
def requests_to_a_deregistered_target(bench: Bench) -> str:
    """How long does a target get new requests after DeregisterTargets has been answered?"""
    leaving, statuses = bench.instances[0], set[int]()

    def is_by_another(reply: httpx.Response) -> bool:
        statuses.add(reply.status_code)
        return reply.status_code == 200 and reply.json()["instance_id"] != leaving

    with bench.away(leaving):
        told = _changes(bench, is_by_another, "/")
    return f"{told.partition(', ')[2]} (by it, or failed); statuses: {', '.join(map(str, sorted(statuses)))}"


@_on_service()
def health_checks_at_weight_zero(bench: Bench) -> str:
    """Are the targets of a group that has weight 0 in a listener's action health-checked?"""
    usual = bench.elb.describe_listeners(ListenerArns=[bench.listener])["Listeners"][0]["DefaultActions"]
    with bench.group(HealthCheckPath="/health", HealthCheckIntervalSeconds=10, HealthyThresholdCount=2) as group:
        bench.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": bench.instances[0]}])
        pair = [{"TargetGroupArn": bench.id("target_group.web"), "Weight": 1}, {"TargetGroupArn": group, "Weight": 0}]
        action = {"Type": "forward", "ForwardConfig": {"TargetGroups": pair}}
        bench.elb.modify_listener(ListenerArn=bench.listener, DefaultActions=[action])
        try:
            took = bench.until(lambda: bench.states(group)[bench.instances[0]] == "healthy", patience=180)
            state = bench.states(group)[bench.instances[0]]
        finally:
            bench.elb.modify_listener(ListenerArn=bench.listener, DefaultActions=usual)
    return f"yes: healthy after {took:.0f} s" if took is not None else f"no: it is {state} after 180 s"


@_on_service()
def case_of_host_headers(bench: Bench) -> str:
    """Does a host-header condition keep its capital letters, and does it match hosts without regard to them?"""
    condition = {"Field": "host-header", "HostHeaderConfig": {"Values": ["Api.Example.COM"]}}
    with bench.rule(condition) as arn:
        shown = bench.elb.describe_rules(RuleArns=[arn])["Rules"][0]["Conditions"][0]["HostHeaderConfig"]["Values"]
        hosts = ("Api.Example.COM", "api.example.com", "API.EXAMPLE.COM")
        bench.until(lambda: any(bench.get(host=host).text == NEW for host in hosts), patience=QUIET)
        bench.sleep(QUIET / 2)
        matched = [host for host in hosts if bench.get(host=host).text == NEW]
    return f"shown as {', '.join(shown)}; matches {', '.join(matched) or 'none of ' + ', '.join(hosts)}"


@_on_service()
def regular_expressions_of_paths(bench: Bench) -> str:
    """Has a condition's regular expression to describe the whole path, or a part of it?"""
    condition = {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["/probe[0-9]"]}}
    with bench.rule(condition):
        if bench.until(lambda: bench.get("/probe1").text == NEW, patience=QUIET) is None:
            return "it doesn't even match /probe1"
        bench.sleep(QUIET / 2)
        parts = [path for path in ("/probe1/more", "/before/probe1") if bench.get(path).text == NEW]
    return f"a part is enough: it matches {', '.join(parts)} too" if parts else "the whole path"


@_on_service()
def matches_that_a_transform_replaces(bench: Bench) -> str:
    """Does a transform replace the first match of its regular expression, or each?"""
    rewrites = [{"Regex": "a", "Replace": "b"}]
    transforms = [{"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": rewrites}}]
    forward = [{"Type": "forward", "TargetGroupArn": bench.id("target_group.web")}]
    with bench.rule(_path("/aaa"), Actions=forward, Transforms=transforms):
        bench.until(lambda: bench.get("/aaa").json()["path"] != "/aaa", patience=QUIET)
        path = str(bench.get("/aaa").json()["path"])
    return f"/aaa becomes {path} with {rewrites[0]}"


@_on_service()
def web_sockets_while_draining(bench: Bench) -> str:
    """How long is a WebSocket kept open after its target has been deregistered, with a delay of 5 s?"""
    group, targets = bench.id("target_group.web"), [{"Id": each} for each in bench.instances]

    def drain_for(seconds: int) -> None:
        attribute = {"Key": "deregistration_delay.timeout_seconds", "Value": str(seconds)}
        bench.elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[attribute])

    drain_for(5)
    with connect(bench.url.replace("http://", "ws://").rstrip("/") + "/ws", open_timeout=60) as socket:
        bench.elb.deregister_targets(TargetGroupArn=group, Targets=targets)
        began, kept = time.monotonic(), 0.0
        try:
            while kept < PATIENCE:
                socket.send("still there?")
                socket.recv(timeout=30)
                kept = time.monotonic() - began
                time.sleep(0.1)
        except (ConnectionClosed, TimeoutError, OSError):
            pass
        finally:
            drain_for(30)
            bench.elb.register_targets(TargetGroupArn=group, Targets=targets)
            bench.until(lambda: set(bench.states(group).values()) == {"healthy"}, patience=300)
    return f"{kept:.1f} s" if kept < PATIENCE else f"it was still open after {kept:.0f} s"
