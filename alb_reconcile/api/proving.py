"""Asks a new version through the load balancer before any other requests reach it: a rule for one random header leads to its target group."""

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.safety import shift_of
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import LeadsByHeader
from alb_reconcile.kinds.context import Prove
from alb_reconcile.model.errors import CheckError, RefusedError
from alb_reconcile.model.plan import Plan
from alb_reconcile.model.resource import RequestCheck
from alb_reconcile.model.secrets import mark
from alb_reconcile.model.steps import Proof
from alb_reconcile.model.text import printable
from alb_reconcile.sandbox import client as sandbox_client
from alb_reconcile.verification.attribution import Attribution
from alb_reconcile.verification.client import ERRORS, Client, Endpoint, Reply, Shot, Trust
from alb_reconcile.verification.expect import Statuses
from alb_reconcile.verification.matching import Request, read_conditions, takes

HEADER: Final = "x-alb-reconcile-check"
_TIMES: Final = 30
"""How often each check is made. A version that answers one of three requests with an error passes once in 190,000 times, and one of ten,
once in 24."""
_TURNS: Final = 10
"""How often a version that has the requests is asked while its change reaches every node."""
_AT_ONCE: Final = 5
_TIMEOUT: Final = 10.0
_LOOKS: Final = 3
"""The most wrong answers that an error shows."""
_BODY: Final = 200


def prover(*, sandbox: bool) -> Prove:
    """What asks target groups: through the sandbox's ports, or at the load balancers' names."""

    async def prove(aws: Aws, stack: str, proof: Proof) -> None:
        endpoint = await _endpoint(aws, proof.listener, sandbox=sandbox)
        await _reach(endpoint, proof)  # else a good version would fail
        if proof.moved:
            await _ask_in_their_way(aws, endpoint, proof)
            return
        value = secrets.token_hex(16)
        mark(value)
        async with (
            _leader().leading(aws, stack, proof.listener, str(proof.group), (HEADER, value)),
            Client.opened(Attribution.parse("none"), _TIMEOUT) as client,
        ):
            await aws.sleep(proof.settle)
            for check in proof.checks:
                await _ask(client, endpoint, check, value, times=_TIMES)

    return prove


async def _ask_in_their_way(aws: Aws, endpoint: Endpoint, proof: Proof) -> None:
    """Ask as customers do, for as long as a change may take to be everywhere. Checks that another rule would answer, or that would have to
    log in, are left out. Raises CheckError."""
    rules = await aws.pages("elbv2", "describe_rules", "Rules", ListenerArn=proof.listener)
    checks = [check for check in proof.checks if _answers(rules, proof, _request(endpoint, check))]
    async with Client.opened(Attribution.parse("none"), _TIMEOUT) as client:
        for _ in range(_TURNS if checks else 0):
            for check in checks:
                await _ask(client, endpoint, check, "", times=1)
            await aws.sleep(proof.settle / _TURNS)


def _answers(rules: Iterable[Mapping[str, Any]], proof: Proof, request: Request) -> bool:
    """Whether a request certainly takes the way of the requests that have moved, without a login."""
    for item in sorted(
        rules, key=lambda item: (item["Priority"] == "default", int("0" + item["Priority"].strip("default")))
    ):
        verdict = takes(read_conditions(_leader().conditions_in(item)), request)
        if verdict is None:
            return False
        if verdict:
            is_it = item["RuleArn"] == proof.moved or (item["Priority"] == "default" and proof.moved == proof.listener)
            return is_it and [action["Type"] for action in item["Actions"]] == ["forward"]
    return False


def _request(endpoint: Endpoint, check: RequestCheck, value: str = "") -> Request:
    path, _, query = check.path.partition("?")
    pairs = tuple(parse_qsl(query, keep_blank_values=True))
    return Request(check.host or endpoint.host, path, headers=((HEADER, value),) if value else (), query=pairs)


def _leader() -> LeadsByHeader:
    return next(kind for kind in load_kinds().values() if isinstance(kind, LeadsByHeader))


async def check_reach(aws: Aws, plan: Plan, *, sandbox: bool) -> None:
    """Find out whether the load balancers can be reached from here through which a run is to ask new versions. Raises RefusedError if one
    can't, AwsError."""
    for proof in {
        proof.listener: proof for step in plan.steps for proof in shift_of(step).proofs if proof.checks
    }.values():
        await _reach(await _endpoint(aws, proof.listener, sandbox=sandbox), proof)


async def _reach(endpoint: Endpoint, proof: Proof) -> None:
    try:
        async with asyncio.timeout(_TIMEOUT):
            _, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
            writer.close()
    except OSError as error:
        why = error.strerror or str(error) or "no connection within 10 s"
        raise RefusedError(
            f"the new version in {proof.group} is to be asked through {endpoint.host}:{endpoint.listener_port}, which can't be reached from here "
            f"({why}); run this where it can be, or write rollout: {{checks: []}}"
        ) from None


async def _endpoint(aws: Aws, listener: str, *, sandbox: bool) -> Endpoint:
    (found,) = (await aws.call("elbv2", "describe_listeners", ListenerArns=[listener]))["Listeners"]
    trust = Trust() if found["Protocol"] == "HTTPS" else None
    if sandbox and (running := sandbox_client.running()) is not None:
        doors = (await asyncio.to_thread(running.look)).doors
        local = next((door.local_port for door in doors if door.listener_arn == listener), 0)
        own = Trust(ca_file=running.ca_file) if trust else None
        return Endpoint(sandbox_client.HOST, local, found["Port"], own)
    answer = await aws.call("elbv2", "describe_load_balancers", LoadBalancerArns=[found["LoadBalancerArn"]])
    (balancer,) = answer["LoadBalancers"]
    return Endpoint(balancer["DNSName"], found["Port"], found["Port"], trust)


async def _ask(client: Client, endpoint: Endpoint, check: RequestCheck, value: str, *, times: int) -> None:
    """Make a check some times. Raises CheckError with what was answered instead."""
    request = _request(endpoint, check, value)
    shot = Shot(check.path, endpoint, request, check_name=bool(check.host), keep_body=True)
    turns, loop = asyncio.Semaphore(_AT_ONCE), asyncio.get_running_loop()

    async def once() -> str:
        async with turns:
            began = loop.time()
            reply = await client.fire(shot)
            return _wrong(check, reply, loop.time() - began)

    wrong = [text for text in await asyncio.gather(*(once() for _ in range(times))) if text]
    if wrong:
        told = "; ".join(dict.fromkeys(wrong[:_LOOKS]))
        raise CheckError(
            f"the new version failed its check, {len(wrong)} of {times} times: GET {check.path}: {told}"
            + ". Only this run has asked it; the old version serves on. Correct the version, or the check" * bool(value)
        )


def _wrong(check: RequestCheck, reply: Reply, seconds: float) -> str:
    """What is wrong with an answer; empty if nothing is."""
    if reply.error:
        return ERRORS[reply.error]
    body = reply.body.decode("utf-8", "replace")
    if reply.status is None or reply.status not in Statuses.parse(check.status):
        return f"answered {reply.status}, not {check.status}: {printable(body[:_BODY].strip())}"
    if check.body and check.body not in body:
        return f"the answer doesn't have {check.body!r} in it: {printable(body[:_BODY].strip())}"
    if check.within is not None and seconds > check.within:
        return f"took {seconds:.3f} s, not {check.within:g} s at most"
    return ""
