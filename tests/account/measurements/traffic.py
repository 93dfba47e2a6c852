"""Measurements with requests: how late load balancers learn of changes, and what their rules match."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.account.bench import NEW
from tests.account.measurements.measurement import Measurement, measurement

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.account.answers import Facts
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

    bench.elb.deregister_targets(TargetGroupArn=bench.id("target_group.web"), Targets=[{"Id": leaving}])
    try:
        told = _changes(bench, is_by_another, "/")
    finally:
        _are_back(bench, [{"Id": leaving}])
    return f"{told.partition(', ')[2]} (by it, or failed); statuses: {', '.join(map(str, sorted(statuses)))}"


@_on_service()
def health_checks_at_weight_zero(bench: Bench) -> str:
    """Are the targets of a group that has weight 0 in a listener's action health-checked?"""
    with (
        bench.group(HealthCheckPath="/health", HealthCheckIntervalSeconds=10, HealthyThresholdCount=2) as group,
        bench.leading() as lead,
    ):
        bench.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": bench.instances[0]}])
        lead((bench.id("target_group.web"), 1), (group, 0))
        took = bench.until(lambda: bench.states(group)[bench.instances[0]] == "healthy", patience=180)
        state = bench.states(group)[bench.instances[0]]
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


def _web_socket(bench: Bench, opened: threading.Event) -> float:
    """For how many of this machine's seconds a WebSocket stays open once it is."""
    with connect(bench.url.replace("http://", "ws://").rstrip("/") + "/ws", open_timeout=60) as socket:
        opened.set()
        began, kept = time.monotonic(), 0.0
        with suppress(ConnectionClosed, TimeoutError, OSError):
            while kept < PATIENCE:
                socket.send("still there?")
                socket.recv(timeout=30)
                kept = time.monotonic() - began
                time.sleep(0.1)
    return kept


def _drain_for(bench: Bench, seconds: int) -> None:
    attribute = {"Key": "deregistration_delay.timeout_seconds", "Value": str(seconds)}
    bench.elb.modify_target_group_attributes(TargetGroupArn=bench.id("target_group.web"), Attributes=[attribute])


def _are_back(bench: Bench, targets: list[Any]) -> None:
    _drain_for(bench, 30)
    bench.elb.register_targets(TargetGroupArn=bench.id("target_group.web"), Targets=targets)
    bench.until(lambda: set(bench.states(bench.id("target_group.web")).values()) == {"healthy"}, patience=300)


@_on_service()
def web_sockets_while_draining(bench: Bench) -> str:
    """How long is a WebSocket kept open after its target has been deregistered, with a delay of 5 s?"""
    targets, opened = [{"Id": each} for each in bench.instances], threading.Event()
    _drain_for(bench, 5)
    try:
        with ThreadPoolExecutor() as pool:
            kept = pool.submit(_web_socket, bench, opened)
            opened.wait(PATIENCE)
            bench.elb.deregister_targets(TargetGroupArn=bench.id("target_group.web"), Targets=targets)
    finally:
        _are_back(bench, targets)
    return _open_for(kept.result())


def _open_for(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < PATIENCE else "it stays open"


def _slow_request(bench: Bench) -> str:
    began = time.monotonic()
    try:
        reply = httpx.get(f"{bench.url.rstrip('/')}/slow?seconds=50", trust_env=False, timeout=PATIENCE)
        told = f"status {reply.status_code}"
    except httpx.TransportError as error:
        told = type(error).__name__
    return f"{told} after {time.monotonic() - began:.1f} s"


@_on_service()
def connections_to_a_group_left(bench: Bench) -> Facts:
    """A group with another check path takes over: are a request of 50 s and a WebSocket to the old one, whose delay is 5 s, cut?

    And does DescribeTargetHealth say `unused` or `draining` of targets that are taken out of it then?
    """
    old, targets, opened = bench.id("target_group.web"), [{"Id": each} for each in bench.instances], threading.Event()
    check = {"HealthCheckPath": "/", "HealthCheckIntervalSeconds": 10, "HealthyThresholdCount": 2}
    _drain_for(bench, 5)
    try:
        with bench.group(**check) as new, bench.leading() as lead, ThreadPoolExecutor() as pool:
            bench.elb.register_targets(TargetGroupArn=new, Targets=targets)
            lead((old, 1), (new, 0))
            bench.until(lambda: set(bench.states(new).values()) == {"healthy"}, patience=180)
            kept, slow = pool.submit(_web_socket, bench, opened), pool.submit(_slow_request, bench)
            opened.wait(PATIENCE)
            time.sleep(1)  # until the request is on its way
            lead((new, 1))
            bench.elb.deregister_targets(TargetGroupArn=old, Targets=targets)
            states = ", ".join(sorted(set(bench.states(old).values()))) or "none shown"
            drained = bench.until(lambda: "draining" not in bench.states(old).values(), patience=600)
            facts = {"request": slow.result(), "WebSocket": _open_for(kept.result())}
    finally:
        _are_back(bench, targets)
    return {"DescribeTargetHealth": states, "no longer draining after": f"{drained or 0:.1f} s", **facts}


@_on_service(balancers=1, addresses=4)
def subnets_of_a_load_balancer(bench: Bench) -> Facts:
    """After SetSubnets, for how long are there interfaces in the old subnets, do old addresses answer, and does the name lead to them?"""
    old = [bench.id("subnet.public-a"), bench.id("subnet.public-b")]
    shown = bench.ec2.describe_subnets(SubnetIds=old)["Subnets"]
    blocks = [f"10.0.{number}.0/24" for number in (201, 202)]
    new = bench.subnets(
        bench.id("vpc.main"), dict(zip(blocks, [item["AvailabilityZone"] for item in shown], strict=True))
    )
    for subnet in new:
        bench.ec2.associate_route_table(RouteTableId=bench.id("route_table.public"), SubnetId=subnet)
    last = dict[str, float]()
    with bench.balancer("move", SecurityGroups=[bench.id("security_group.load-balancer")]) as made:
        arn, name = made["LoadBalancerArn"], made["DNSName"]
        fixed = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]
        bench.elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=fixed, Tags=bench.tags)
        bench.until_active(arn)
        before = _addresses(name)
        bench.elb.set_subnets(LoadBalancerArn=arn, Subnets=new)
        began = time.monotonic()

        def is_left() -> bool:
            where = [{"Name": "subnet-id", "Values": old}]
            found = bench.ec2.describe_network_interfaces(Filters=where)["NetworkInterfaces"]
            holds = {"interfaces": any(f"/{made['LoadBalancerName']}/" in item["Description"] for item in found)}
            if before:  # the sandbox's load balancers have no addresses
                holds |= {"name": bool(before & _addresses(name)), "addresses": any(map(_answers, before))}
            now = bench.tool.place.seconds(time.monotonic() - began)
            last.update({what: now if there else last.get(what, 0.0) for what, there in holds.items()})
            return not any(holds.values())

        bench.until(is_left, patience=900)
    for subnet in new:
        bench.until_taken(partial(bench.ec2.delete_subnet, SubnetId=subnet), patience=900, poll=5)
    return {what: f"for {seconds:.1f} s" for what, seconds in last.items()}


def _addresses(name: str) -> set[str]:
    with suppress(OSError):
        return {str(item[4][0]) for item in socket.getaddrinfo(name, 80, socket.AF_INET)}
    return set()


def _answers(address: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"http://{address}/", trust_env=False, timeout=2).status_code == 200
    return False
