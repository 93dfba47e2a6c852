"""A service of which versions are deployed: what each version answers, what customers get, and the commands that people run.

Nothing here knows how the tool keeps its versions: what runs, what is healthy and where requests go is read from AWS, which version an
instance is from its user data. The checks of a new version are really sent, to load balancers that are imitated in process.
"""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import importlib
import io
import json
import logging
import pkgutil
import re
import time
import types
from collections import Counter
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import datetime, tzinfo
from fnmatch import fnmatchcase
from functools import cache
from http import HTTPStatus
from importlib.util import find_spec
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

import alb_reconcile
from alb_reconcile.api import session
from alb_reconcile.api.proving import prover
from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.throttle import Throttle
from alb_reconcile.cli.main import main
from alb_reconcile.sandbox.strict.world import World as Place
from alb_reconcile.verification.client import Client, Reply, Shot
from tests import direct
from tests.harness import READS, REGION, World, _Wire, demo, world
from tests.virtual import run_virtually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from pathlib import Path

    from tests.harness import Result, Spec

STACK = "demo"
HEALTH = "/health"


def broken(_: Sent) -> int:
    """A version that answers each request by an error, but for its health check."""
    return 500


def version(name: str, **rollout: Any) -> Spec:
    """The demo with this version, which is deployed beside the one before, and stands by for 30 minutes when another one follows."""
    spec = demo()
    spec["instances"]["web"] |= {
        "user_data": f"#!/bin/sh\nexec web-api --version {name}\n",
        "rollout": {"strategy": "blue_green", "keep": "30m", **rollout},
    }
    return spec


def listener(spec: Spec) -> Any:
    """The listener's entry."""
    return spec["load_balancers"]["public"]["listeners"]["http"]


def forward_rule(priority: int, path: str, group: str = "web") -> Spec:
    """A rule's entry."""
    return {"priority": priority, "conditions": [{"path_pattern": path}], "action": {"forward": group}}


class Answer(NamedTuple):
    """What somebody gets: of which version (empty: of the load balancer itself), and the status (0: nothing before the time-out)."""

    version: str
    status: int


class Sent(NamedTuple):
    """A request that reaches a version. `asks`: whether it is one of those that only the tool sends."""

    path: str
    asks: bool


class Ended(NamedTuple):
    """How a command went, and all that it has said."""

    code: int
    text: str


class _Door(NamedTuple):
    host: str
    port: int
    listener: str
    rules: tuple[Mapping[str, Any], ...]


class Service:
    """The demo in a fresh account."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        self.behaves: dict[str, Callable[[Sent], int]] = {}
        """The status with which a version answers, but for its health check; without one 200 while it is well, and 500 while it is ill."""
        self.ill: set[str] = set()
        """What fails its health checks: versions, and ids of instances."""
        self.firewall: Callable[[Sent], bool] = lambda _: False
        """Which requests never get further than a page of the load balancer's own, with 403."""
        self.lag = 0.0
        """Seconds until a load balancer does what it was told."""
        self.paths = {"/"}
        """What customers ask for."""
        self.met: set[Answer] = set()
        """What customers have got since `watch`."""
        self.most = 0
        """The most instances of the service that ran at once since then."""
        self._versions: dict[str, str] = {}
        self._moment = (-1.0, 0)
        self._shown: dict[str, Any] = {}
        self._past: list[tuple[float, tuple[_Door, ...]]] = []
        self._turn = count()
        self._real = world._call
        world._call = self._call  # type: ignore[method-assign]
        world.prove = prover(sandbox=False)  # type: ignore[assignment,method-assign]
        world.strict.health = self._verdict

    # What people do

    def deploy(self, spec: Spec) -> Result:
        """`apply`, which must do all that it was told in one run, and nobody has to allow anything."""
        return self.world.converge(spec)

    def apply(self, spec: Spec, *options: str) -> Ended:
        """`apply`, which may fail."""
        return self.run("apply", spec, "--yes", *options)

    def run(self, command: str, spec: Spec, *options: str) -> Ended:
        """A command of the command line, with this spec as stack.yaml."""
        file = self.folder / "stack.yaml"
        file.write_text(json.dumps(spec))
        return _typed(command, str(file), *options)

    def apply_fleet(self, spec: Spec, bake: str) -> Ended:
        """`fleet apply` with this account as the canary."""
        stacks, fleet = self.folder / "stacks", self.folder / "fleet.yaml"
        stacks.mkdir(exist_ok=True)
        (stacks / "demo.yaml").write_text(json.dumps(spec))
        waves = [{"name": "canary", "bake": bake}, {"name": "rest"}]
        accounts = [{"account_id": DEFAULT_ACCOUNT_ID, "name": "first", "wave": "canary"}]
        defaults = {"regions": [REGION], "stacks": ["stacks"]}
        fleet.write_text(json.dumps({"fleet": "shops", "waves": waves, "defaults": defaults, "accounts": accounts}))
        return _typed("fleet", "apply", "--yes", str(fleet))

    def roll_back(self, spec: Spec) -> Ended:
        """`rollback`."""
        return self.run("rollback", spec, "--yes")

    def sync(self, spec: Spec) -> Ended:
        """What cron runs."""
        return self.run("sync", spec)

    def let_pass(self, minutes: float) -> None:
        """Time passes."""
        self.world.clock.advance(minutes * 60)

    def fail(self, name: str, spec: Spec | None = None) -> None:
        """Apply a version that answers each check by an error, and correct nothing."""
        self.behaves[name] = broken
        ended = self.apply(spec or version(name))
        assert ended.code != 0, ended.text
        assert all(answer.version != name for answer in self.gets())

    def fall_ill(self, *names: str) -> None:
        """All targets of these versions, or these instances, fail their checks from now on."""
        self._check_on(self.ill | {*names})

    def recover(self) -> None:
        """They pass again."""
        self._check_on(set())

    def lose(self, name: str, number: int = 1) -> None:
        """So many instances of a version are terminated, and not by the tool."""
        self.world.client("ec2").terminate_instances(InstanceIds=self.instances_of(name)[:number])
        self.let_pass(10)

    # What there is

    def instances_of(self, name: str) -> list[str]:
        """The ids of the running instances of a version."""
        return [known for known in self._running() if self._version(known) == name]

    @property
    def running(self) -> dict[str, int]:
        """How many instances of each version run."""
        return dict(Counter(map(self._version, self._running())))

    @property
    def serving(self) -> dict[str, int]:
        """How many healthy targets of each version get customers' requests: where several listeners and rules lead to one, the fewest."""
        found: dict[str, int] = {}
        for door in self._look():
            for rule in door.rules:
                if _asks(rule):
                    continue
                for group in _receiving(rule):
                    for name, number in Counter(self._version(known) for known in self._healthy(group)).items():
                        found[name] = min(number, found.get(name, number))
        return found

    @property
    def serving_groups(self) -> set[str]:
        """The ARNs of the groups that get customers' requests."""
        rules = [rule for door in self._look() for rule in door.rules if not _asks(rule)]
        return {group for rule in rules for group in _receiving(rule)}

    @property
    def groups(self) -> dict[str, set[str]]:
        """The versions of the registered targets of each group that has any, by the group's ARN."""
        found = self._read("elbv2", "describe_target_groups", {})["TargetGroups"]
        named = {item["TargetGroupArn"]: {*map(self._version, self._targets(item["TargetGroupArn"]))} for item in found}
        return {group: names for group, names in named.items() if names}

    @property
    def own_rules(self) -> list[str]:
        """The ARNs of the rules by which only the tool's own requests go anywhere."""
        return [rule["RuleArn"] for door in self._look() for rule in door.rules if _asks(rule)]

    def gets(self, path: str = "/", port: int = 80) -> set[Answer]:
        """All that customers may get now."""
        return self._answers(self._seen(), path, port=port)

    def watch(self) -> None:
        """From here on `met` and `most` count."""
        self.met, self.most = set(), 0
        self._sample()

    def listener_arn(self) -> str:
        """The listener of port 80."""
        return next(door.listener for door in self._look() if door.port == 80)

    # How the imitation works

    def _check_on(self, ill: set[str]) -> None:
        """From now on these are ill; and as many checks as it takes until AWS says so."""
        self.ill = ill
        self.world.strict.health = self._verdict
        for _ in range(2):  # the emulator sees when it is asked, and counts from then on
            self._sample()
            self.let_pass(5)

    def _read(self, service: str, operation: str, params: Mapping[str, Any]) -> Any:
        """What AWS shows at this moment, without the wire."""
        moment = (self.world.clock.now(), self.world.strict.changes)
        if moment != self._moment:
            self._moment, self._shown = moment, {}
        asked = f"{operation} {params}"
        if asked not in self._shown:
            self._shown[asked] = direct.call(service, operation, params)
        return self._shown[asked]

    def _running(self) -> list[str]:
        filters = [
            {"Name": "tag:alb-reconcile:stack", "Values": [STACK]},
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
        ]
        answer = self._read("ec2", "describe_instances", {"Filters": filters})
        return [item["InstanceId"] for part in answer["Reservations"] for item in part["Instances"]]

    def _version(self, instance: str) -> str:
        if instance not in self._versions:
            found = Place(DEFAULT_ACCOUNT_ID, REGION).instance(instance)  # health asks, in the middle of a call
            self._versions[instance] = _version_in(base64.b64decode(str((found and found.user_data) or "")).decode())
        return self._versions[instance]

    def _verdict(self, _: str, target: str, __: int) -> Any:
        return "unhealthy" if self._is_ill(target) else None

    def _is_ill(self, instance: str) -> bool:
        return bool(self.ill) and not self.ill.isdisjoint((instance, self._version(instance)))

    def _targets(self, group: str) -> dict[str, str]:
        answer = self._read("elbv2", "describe_target_health", {"TargetGroupArn": group})
        return {item["Target"]["Id"]: item["TargetHealth"]["State"] for item in answer["TargetHealthDescriptions"]}

    def _healthy(self, group: str) -> list[str]:
        return [known for known, state in self._targets(group).items() if state == "healthy"]

    def _call(self, service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if operation.startswith(READS) or "DryRun" in params:
            return self._real(service, operation, params)
        before = self._look() if self.lag else ()
        answer = self._real(service, operation, params)
        if self.lag:
            self._past.append((self.world.clock.now(), before))
        self._sample()
        return answer

    def _sample(self) -> None:
        for door in self._look():
            for path in self.paths:
                self.met |= self._answers((door,), path, port=door.port)
        self.most = max(self.most, len(self._running()))

    def _look(self) -> tuple[_Door, ...]:
        found = []
        for balancer in self._read("elbv2", "describe_load_balancers", {})["LoadBalancers"]:
            arn = {"LoadBalancerArn": balancer["LoadBalancerArn"]}
            for item in self._read("elbv2", "describe_listeners", arn)["Listeners"]:
                rules = self._read("elbv2", "describe_rules", {"ListenerArn": item["ListenerArn"]})["Rules"]
                rules.sort(
                    key=lambda rule: (rule["Priority"] == "default", int("0" + rule["Priority"].strip("default")))
                )
                found.append(_Door(balancer["DNSName"], item["Port"], item["ListenerArn"], tuple(rules)))
        return tuple(found)

    def _seen(self) -> tuple[_Door, ...]:
        """What the load balancers know of what they were told."""
        known = self.world.clock.now() - self.lag
        return next((doors for until, doors in self._past if until > known), None) or self._look()

    def _answers(
        self,
        doors: tuple[_Door, ...],
        path: str,
        *,
        port: int,
        host: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> set[Answer]:
        for door in doors:
            if door.port == port and host in ("", door.host):
                rule = next(rule for rule in door.rules if _takes(rule, path, headers or {}))
                return self._answers_of(rule, Sent(path, bool(headers)))
        return {Answer("", 0)}

    def _answers_of(self, rule: Mapping[str, Any], sent: Sent) -> set[Answer]:
        if self.firewall(sent):
            return {Answer("", 403)}
        action = rule["Actions"][-1]
        if action["Type"] != "forward":
            return {Answer("", int(action.get("FixedResponseConfig", {}).get("StatusCode", 301)))}
        found: set[Answer] = set()
        for group in _receiving(rule):
            states = self._targets(group)
            able = [known for known, state in states.items() if state == "healthy"]
            able = able or [known for known, state in states.items() if state != "draining"]
            found |= {self._answer(known, sent) for known in able} or {Answer("", 503)}
        return found

    def _answer(self, instance: str, sent: Sent) -> Answer:
        if instance not in self._running():
            return Answer("", 502)
        name, is_ill = self._version(instance), self._is_ill(instance)
        if name not in self.behaves or sent.path == HEALTH:
            return Answer(name, 500 if is_ill else 200)
        return Answer(name, self.behaves[name](sent))

    async def fire(self, client: Client, shot: Shot) -> Reply:
        """The answer to a request that the tool sends, in the place of `Client.fire`."""
        way = shot.endpoint
        headers = {name.lower(): text for name, text in shot.request.headers}
        found = sorted(
            self._answers(self._seen(), shot.request.path, port=way.listener_port, host=way.host, headers=headers)
        )
        told = found[next(self._turn) % len(found)]
        if told.status == 0:
            await asyncio.sleep(client.timeout)
            return Reply(error="timeout")
        if told.version:
            return Reply(told.status, "1.1", body=f"version {told.version}".encode())
        title = f"{told.status} {HTTPStatus(told.status).phrase}"
        page = f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
        return Reply(told.status, "1.1", headers={"server": "awselb/2.0"}, body=page.encode())


def _typed(*arguments: str) -> Ended:
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        code = main(arguments)
    return Ended(code, out.getvalue())


def _version_in(user_data: str) -> str:
    parts = email.message_from_string(user_data, policy=email.policy.default).walk()
    texts = [str(part.get_content()) for part in parts if not part.is_multipart()]
    found = re.search(r"(?:--version |VERSION='?)([\w.]+)", "\n".join(texts))
    return found[1] if found else ""


def _asks(rule: Mapping[str, Any]) -> bool:
    """Whether only the tool's own requests take a rule."""
    return any(item["Field"] == "http-header" for item in rule["Conditions"])


def _receiving(rule: Mapping[str, Any]) -> list[str]:
    """The groups that get a rule's requests."""
    action = rule["Actions"][-1]
    if action["Type"] != "forward":
        return []
    parts = (action.get("ForwardConfig") or {}).get("TargetGroups") or [{"TargetGroupArn": action["TargetGroupArn"]}]
    return [part["TargetGroupArn"] for part in parts if part.get("Weight", 1)]


def _takes(rule: Mapping[str, Any], path: str, headers: Mapping[str, str]) -> bool:
    return all(_meets(item, path, headers) for item in rule["Conditions"])


def _meets(condition: Mapping[str, Any], path: str, headers: Mapping[str, str]) -> bool:
    if condition["Field"] == "http-header":
        wanted = condition["HttpHeaderConfig"]
        return headers.get(wanted["HttpHeaderName"].lower()) in wanted["Values"]
    values = condition.get("Values") or condition["PathPatternConfig"]["Values"]
    return any(fnmatchcase(path, value) for value in values)


class _Connection:
    """What a command of the command line reaches AWS by."""

    speed, sandbox, began = 1.0, False, ""

    def __init__(self, world: World) -> None:
        self._world = world
        self.throttle = Throttle()

    def client(self) -> Aws:
        world = self._world
        return Aws(_Wire(world), max_workers=0, endpoint=world.endpoint, region=REGION, outside=world.outside)

    async def until_answered(self, work: Awaitable[Any]) -> Any:
        return await work


async def _inline(work: Callable[..., Any], *args: Any) -> Any:
    """On the virtual clock nobody waits for a thread."""
    return work(*args)


async def _open_connection(*_: Any, **__: Any) -> Any:
    return None, types.SimpleNamespace(close=lambda: None)


@contextmanager
def people(folder: Path) -> Iterator[Service]:
    """A service in a fresh account, and the tool as people run it: its command line in this process, with the time on AWS's calendar."""
    with world() as fresh, pytest.MonkeyPatch.context() as patch, _logs_as_they_were():
        service = Service(fresh, folder)
        patch.setattr(session, "connect", lambda *_, **__: _Connection(fresh))
        patch.setattr(Client, "fire", lambda client, shot: service.fire(client, shot))
        patch.setattr(asyncio, "open_connection", _open_connection)
        patch.setattr(asyncio, "to_thread", _inline)
        patch.setattr(asyncio, "run", lambda work: run_virtually(fresh.clock, work))
        for name in ("STATE_DIR", "LOCK_DIR"):
            patch.setenv(f"ALB_RECONCILE_{name}", str(service.folder / name.lower()))
        patch.setenv("AWS_REGION", REGION)
        _put_on_calendar(fresh, patch)
        yield service


@contextmanager
def _logs_as_they_were() -> Iterator[None]:
    """`sync` says where log lines go, for the rest of its process."""
    root, own = logging.getLogger(), logging.getLogger("alb_reconcile")
    levels = root.level, own.level
    try:
        yield
    finally:
        for handler in root.handlers[:]:
            if type(handler).__module__.startswith("alb_reconcile"):
                root.removeHandler(handler)
        root.setLevel(levels[0])
        own.setLevel(levels[1])


def _put_on_calendar(fresh: World, patch: pytest.MonkeyPatch) -> None:
    """Let the product have the world's time wherever it would look at this host's clock, whichever module does so."""

    class Told(type):
        def __instancecheck__(cls, item: object) -> bool:
            return isinstance(item, datetime)

    class Calendar(datetime, metaclass=Told):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return fresh.today.astimezone(tz)

    watch = types.ModuleType("time")
    vars(watch).update(vars(time))
    vars(watch)["time"] = lambda: fresh.today.timestamp()
    for module in _modules():
        for key, known in list(vars(module).items()):
            if known is datetime:
                patch.setattr(module, key, Calendar)
            elif known is time:
                patch.setattr(module, key, watch)


@cache
def _modules() -> list[types.ModuleType]:
    """All of the product's but the emulator's, also what commands read late."""
    without = ("__main__", *(() if find_spec("celery") else ("broker", "celery_app", "worker", "beat")))
    found = pkgutil.walk_packages(alb_reconcile.__path__, "alb_reconcile.")
    names = [item.name for item in found if ".sandbox" not in item.name and not item.name.endswith(without)]
    return [importlib.import_module(name) for name in names]
