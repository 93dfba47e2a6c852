"""A world to test in: the strict AWS in process, on a virtual clock, and the product's own line through it."""

from __future__ import annotations

import atexit
import copy
import json
import os
import pickle
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import boto3
import yaml
from moto.acm.models import acm_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.resource_tagging import iter_taggable_backends
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.dry_run import Transport
from alb_reconcile.aws.transport import BotoTransport, Response
from alb_reconcile.engine.apply import Event, Outcome
from alb_reconcile.engine.lookups import resolve_lookups
from alb_reconcile.engine.permissions import check_permissions
from alb_reconcile.engine.stack import Options, apply_stack, plan_stack
from alb_reconcile.kinds.shared_reader import SharedReads
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import AwsError, CheckError
from alb_reconcile.model.plan import Plan
from alb_reconcile.model.steps import Proof
from alb_reconcile.sandbox.strict import StrictAws, Timing, VirtualClock
from alb_reconcile.sandbox.strict.world import World as Place
from alb_reconcile.spec.stack import Stack, parse_stack
from alb_reconcile.sync.stack import Ending, Ways, correct, survey
from tests import direct
from tests.denial import Denial
from tests.virtual import run_virtually

REGION = direct.REGION
SPECS = Path(__file__).parent.parent / "specs"
Spec = dict[str, Any]
FAKE_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}
READS = ("describe_", "get_", "list_")
CATALOGUE = ("describe_instance_types", "describe_instance_type_offerings", "get_caller_identity")
"""What AWS answers to everybody alike."""


def others_tagged() -> bool:
    """Whether anything has tags, or had some, that isn't EC2's, ELBv2's, ACM's or S3's, which nothing looks for in the index of tags."""
    backends = iter_taggable_backends(DEFAULT_ACCOUNT_ID, REGION)
    tagged = (item.arn.split(":")[2] for backend in backends for item in backend.iter_tagged_resources() if item.tags)
    had = (arn.split(":")[2] for arn in Place(DEFAULT_ACCOUNT_ID, REGION).ledger.tagged)
    return not {"acm", "ec2", "elasticloadbalancing", "s3"}.issuperset((*tagged, *had))


NOTHING: Mapping[str, Callable[[], bool]] = {
    "list_buckets": lambda: not s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets,
    "list_instance_profiles": lambda: not iam_backends[DEFAULT_ACCOUNT_ID]["aws"].instance_profiles,
    "list_certificates": lambda: (
        not any(vars(acm_backends[DEFAULT_ACCOUNT_ID][REGION]).get(name) for name in ("_certificates", "strict_tokens"))
    ),
    "get_resources": lambda: not others_tagged(),
}
"""What each discovery reads, and whether there never was anything of it: then the answer is always the same."""


def _asks_for_public(operation: str, params: Mapping[str, Any]) -> bool:
    """For the parameters that AWS publishes."""
    return operation == "get_parameters" and all(name.startswith("/aws/service/") for name in params["Names"])


@cache
def _transport() -> BotoTransport:
    os.environ.update(FAKE_ENVIRONMENT)
    transport = BotoTransport(region=REGION)
    transport.prepare()
    transport._attempts = 1  # botocore would wait on our own clock
    return transport


@cache
def _abroad(region: str) -> BotoTransport:
    return _transport().in_region(region)


@cache
def _catalogued(service: str, operation: str, params: str) -> bytes:
    """What is the same in every world, as one of them has answered it: reading it takes moto long."""
    return pickle.dumps(_transport()(service, operation, json.loads(params)))


@cache
def by_hand(service: str) -> Any:
    """One boto3 client a process: making one takes longer than most tests' calls."""
    os.environ.update(FAKE_ENVIRONMENT)
    return boto3.client(service, region_name=REGION)


@cache
def _demo() -> Spec:
    text = (
        (SPECS / "demo.yaml")
        .read_text()
        .replace("${REGION:-us-east-1}", REGION)
        .replace("${ZONE_1:-a}", "a")
        .replace("${ZONE_2:-b}", "b")
    )
    spec: Spec = yaml.safe_load(text)
    del spec["instances"]["web"]["user_data_file"]
    spec["instances"]["web"]["user_data"] = "#!/bin/sh\nexec web-api\n"
    for group in spec["security_groups"].values():  # tests add and move ports, and none of them is to be shut
        (rule,) = group["ingress"]
        others = {key: value for key, value in rule.items() if key != "port"}
        group["ingress"].append({**others, "from_port": 81, "to_port": 9000})
    return spec


def demo() -> Spec:
    """The demo's spec as plain data, to be changed at will."""
    return copy.deepcopy(_demo())


def shop(certificate: str) -> Spec:
    """specs/https.yaml without variables, in the tests' region: its short form written out, with a certificate that there is, and
    without DNS records."""
    text = re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", lambda match: match[1], (SPECS / "https.yaml").read_text())
    spec: Spec = yaml.safe_load(text.replace("eu-central-1", REGION))
    balancer = spec["load_balancers"]["public"]
    short = balancer.pop("https")
    own = {key: short[key] for key in ("default_action", "rules")}
    redirect = {"protocol": "HTTPS", "port": 443, "status_code": "HTTP_301"}
    balancer["listeners"] = {
        "http": {"protocol": "HTTP", "port": 80, "default_action": {"redirect": redirect}},
        "https": {"protocol": "HTTPS", "port": 443, "certificate_arn": certificate, **own},
    }
    return spec


def load(spec: Spec) -> Stack:
    """A spec as the loader makes it. Raises SpecError."""
    text = json.dumps(
        spec, ensure_ascii=False
    )  # which is YAML, too, and written ten times as fast, but for what YAML forbids
    return _parsed(re.sub("[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text))


@lru_cache(maxsize=64)
def _parsed(text: str) -> Stack:
    return parse_stack(text.encode(), "spec.yaml", spec_folder(), {}, None)


@cache
def spec_folder() -> Path:
    """The folder in which the specs of `load` lie: a copy of the shipped one, for files that they name."""
    folder = Path(tempfile.mkdtemp(prefix="alb-reconcile-specs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(shutil.copytree(SPECS, folder, dirs_exist_ok=True))


@dataclass
class Result:
    """How a run went. `rest` is the plan after it; `problems` is what didn't serve in the end."""

    plan: Plan
    outcomes: tuple[Outcome, ...] = ()
    rest: Plan | None = None
    problems: list[str] = field(default_factory=list)
    calls: Mapping[str, int] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    blockers: tuple[str, ...] = ()
    """For which the command would have refused to destroy anything."""

    @property
    def writes(self) -> dict[str, int]:
        """Mutating calls."""
        return {name: count for name, count in self.calls.items() if not name.startswith(READS)}

    @property
    def failures(self) -> list[str]:
        """Steps that weren't done, with their errors."""
        return [f"{item.step.key}: {item.how}: {item.error or ''}" for item in self.outcomes if item.how != "done"]


class _Wire:
    """The transport into a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __call__(self, service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False) -> Response:
        return self._world._ask(service, operation, params, once=once)

    def in_region(self, region: str) -> Transport:
        return self._world.in_region(region)


class World:
    """One account, and one region in which everything is made."""

    def __init__(self, strict: StrictAws, clock: VirtualClock) -> None:
        self.strict = strict
        self.clock = clock
        self.log: list[tuple[str, Mapping[str, Any]]] = []
        self.endpoint = ""
        """Where it isn't AWS's own."""
        self.closed: dict[str, str] = {}
        """Other regions that can't be read, each with the code that says so."""
        self.outside: Callable[..., str] | None = None
        """Asks addresses that AWS is going to ask."""
        self.proofs: list[Proof] = []
        """What new versions were asked, each time."""
        self.wrong = ""
        """How a new version answers wrongly; no request is really sent here."""
        self.on_proof: Callable[[Aws, str, Proof], Awaitable[None]] | None = None
        """What is done instead, whenever a new version is asked."""
        self.wrong_later = False
        """Whether it does so only when the requests have moved to it."""
        self.denial = Denial()  # calls that it refuses aren't in `log`, nor counted

    @property
    def today(self) -> datetime:
        """The time on AWS's calendar."""
        return self.strict._origin + timedelta(seconds=self.clock.now() - self.strict._started)

    def client(self, service: str) -> Any:
        """A boto3 client, for what somebody else does by hand."""
        return by_hand(service)

    def _call(self, service: str, operation: str, params: Mapping[str, Any]) -> Response:
        with self.denial.of(self.strict, operation, params, self.log):
            if "DryRun" not in params:
                self.log.append((operation, params))
            return self._answered(service, operation, params)

    def _answered(self, service: str, operation: str, params: Mapping[str, Any]) -> Response:
        if operation in CATALOGUE or _asks_for_public(operation, params) or NOTHING.get(operation, lambda: False)():
            answer: Response = pickle.loads(_catalogued(service, operation, json.dumps(params, sort_keys=True)))
            return answer
        if service == "service-quotas" and not Place(DEFAULT_ACCOUNT_ID, REGION).ledger.quotas:
            raise AwsError(service, operation, "NoSuchResourceException", "There are no quotas here.", "")
        if service in direct.RESPONSES:
            return direct.call(service, operation, params)
        return _transport()(service, operation, params)

    def _ask(self, service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False) -> Response:
        """The transport: botocore's repetitions are no matter here."""
        return self._call(service, operation, params)

    def in_region(self, region: str) -> Transport:
        """The same account in another region, where only reads are to be made."""

        def ask(service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False) -> Response:
            if code := self.closed.get(region):
                raise AwsError(service, operation, code, "No.", "")
            return _abroad(region)(service, operation, params)

        return ask

    def _run(self, main: Any) -> Any:
        self.log, self.denial.calls = [], Counter()

        async def session() -> Any:
            aws = Aws(_Wire(self), max_workers=0, endpoint=self.endpoint, region=REGION, outside=self.outside)
            return await main(aws)

        return run_virtually(self.clock, session())

    def plan(self, spec: Spec | Stack, *, allow: Mapping[str, int] | None = None, destroy: bool = False) -> Plan:
        """Plan, and nothing else."""
        target = _target(spec, destroy=destroy)

        async def main(aws: Aws) -> Plan:
            resolved = await resolve_lookups(aws, target)
            return (await plan_stack(aws, resolved, Options(allow=allow or {}, now=self.today))).plan

        plan: Plan = self._run(main)
        assert not [name for name, _ in self.log if not name.startswith(READS)], "plan must not change anything"
        return plan

    def apply(
        self,
        spec: Spec,
        *,
        allow: Mapping[str, int] | None = None,
        destroy: bool = False,
        check: bool = True,
        timeout: float = 900,
    ) -> Result:
        """Plan, apply, verify and wait until everything serves."""

        async def main(aws: Aws) -> Result:
            return await self.go(aws, spec, allow=allow, destroy=destroy, check=check, timeout=timeout)

        result: Result = self._run(main)
        return result

    async def prove(self, aws: Aws, stack: str, proof: Proof) -> None:
        """Ask a new version."""
        if self.on_proof is not None:
            await self.on_proof(aws, stack, proof)
        self.proofs.append(proof)
        if self.wrong and bool(proof.moved) == self.wrong_later:
            raise CheckError(self.wrong)

    async def go(
        self,
        aws: Aws,
        spec: Spec,
        *,
        allow: Mapping[str, int] | None = None,
        destroy: bool = False,
        check: bool = True,
        timeout: float = 900,
    ) -> Result:
        """`apply` as one of several in the same loop."""
        target = await resolve_lookups(aws, _target(spec, destroy=destroy))
        options = Options(allow=allow or {}, check=check, eager=not destroy, now=self.today)
        planned = await plan_stack(aws, target, options)
        if check:
            await check_permissions(aws, planned.plan)
        result = Result(planned.plan, blockers=planned.blockers)

        def on_event(event: Event) -> None:
            result.events.append(event)
            result.calls = dict(
                Counter(aws.calls) - self.denial.calls
            )  # as many as there were when the last step ended

        applied = await apply_stack(
            aws, planned, on_event=on_event, warn=result.warnings.append, timeout=timeout, prove=self.prove
        )
        if applied.error is not None:
            raise applied.error
        _raise_bugs(applied.outcomes)
        result.outcomes, result.problems = applied.outcomes, list(applied.problems)
        result.rest = applied.found.plan if applied.found else None
        return result

    def converge(self, spec: Spec, *, may_be_shut: bool = False, **options: Any) -> Result:
        """`apply` that must succeed, in one run, with an empty plan after it and everything serving; or `may_be_shut`, where the spec
        itself keeps requests out."""
        result = self.apply(spec, **options)
        assert not result.blockers, "\n".join(result.blockers)
        assert not result.failures, "\n".join(result.failures)
        assert result.rest is not None
        assert result.rest.is_empty, [(step.key, step.changes) for step in result.rest.steps]
        problems = unshut(result.problems) if may_be_shut else result.problems
        assert not problems, problems
        return result

    def sync(
        self,
        spec: Spec,
        *,
        apply_changes: bool = False,
        now: datetime | None = None,
        meanwhile: Callable[[Event], None] = lambda _: None,
    ) -> Ending:
        """One stack's part of a round of `sync`. `meanwhile` is told each event."""
        declared = _target(spec, destroy=False)

        async def main(aws: Aws) -> Ending:
            target = await resolve_lookups(aws, replace(declared, keeps_versions=True))
            ways = Ways(apply_changes, now=lambda: now or datetime.now(UTC))
            found = await survey(aws, target, ways, SharedReads(aws, [target.stack]))
            if not found.selection.steps:
                return found.at_rest()
            ended = await correct(aws, target, ways, found, meanwhile)
            _raise_bugs(ended.outcomes)
            return ended

        ending: Ending = self._run(main)
        return ending

    def destroy(self, spec: Spec, **options: Any) -> Result:
        """Destroy the stack; nothing may be left to do."""
        return self.converge(spec, destroy=True, **options)


def unshut(problems: Iterable[str]) -> list[str]:
    """The problems without those by which a random spec keeps requests out."""
    return [text for text in problems if not _SHUT.match(text)]


_SHUT = re.compile(
    r"no security group of |no subnet of \S+ has a route|\S+ has no listener, so"
    r"|\S+(, \S+)* (is|are) in \S+, a zone that "
)


def _raise_bugs(outcomes: Iterable[Outcome]) -> None:
    """An error that nobody foresaw ends its step only; a test that expects failures must not take it for one of them."""
    for item in outcomes:
        if item.error is not None and item.error.__cause__ is not None:
            raise item.error.__cause__


def _target(spec: Spec | Stack, *, destroy: bool) -> DesiredStack:
    stack = spec if isinstance(spec, Stack) else load(spec)
    return DesiredStack(
        stack.name, REGION, {} if destroy else stack.desired, stack.account_ids, destroy=destroy,
        policy=stack.policy, sync=stack.sync, unset=None if destroy else stack.unset,
    )  # fmt: skip


@contextmanager
def world(timing: Timing | None = None, lag: float = 0.0) -> Iterator[World]:
    """A fresh account."""
    os.environ.update(FAKE_ENVIRONMENT)
    clock = VirtualClock()
    with StrictAws(clock=clock.now, timing=timing or Timing(), lag=lag) as strict:
        yield World(strict, clock)
