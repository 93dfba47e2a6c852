"""A sandbox that carries traffic, and what is seen under load while a stack in it changes."""

from __future__ import annotations

import copy
import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from alb_reconcile.sandbox.client import LAG
from tests.e2e.tool import Account, Tool
from tests.load.sender import Answer, Load
from tests.load.specs import told
from tests.load.watch import ADDRESS, Watch
from tests.processes import GUARD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.harness import Spec

SOAK = bool(os.environ.get("SOAK"))
AT_LENGTH = pytest.mark.skipif(not SOAK, reason="takes half a minute of a core, as others do that are like it: SOAK=1")
REQUESTS = 10_000 if SOAK else 1_200
RATE = 150.0 if SOAK else 100.0
"""Requests a second: so many that a change of a few seconds meets hundreds of them, and a quarter of a core at most."""
ALLOWED = [
    part
    for word in ("delete", "replace", "empty-target-group", "cut-off", "lift-protection", "delete-elastic-ip",
                 "delete-load-balancer", "replace-load-balancer", "close", "gap")
    for part in ("--allow", f"{word}=99")
]  # fmt: skip
LONGEST = 600.0
"""For one run of the tool, at a sandbox's lowest speed too."""


class Stage:
    """A sandbox of its own as its user has it, and what is applied to it."""

    def __init__(self, folder: Path, *, speed: float, serve: str = "") -> None:
        self.tool = Tool(folder, "--sandbox", ALB_RECONCILE_SANDBOX_TRAFFIC="on")
        self.tool.run("sandbox", "start", "--speed", f"{speed:g}", *(("--serve", serve) if serve else ()))
        self.account = Account(self.tool.state()["port"])
        self._speed = speed
        self._current: dict[str, Spec] = {}

    def close(self) -> None:
        """End it with all that it runs."""
        self.tool.run("sandbox", "stop")

    def write(self, spec: Spec) -> str:
        """The spec's file."""
        file = self.tool.folder / f"{spec['stack']}.yaml"
        file.write_text(yaml.safe_dump(spec, sort_keys=False))
        return str(file)

    def apply(self, spec: Spec, *options: str, expect: int = 0) -> str:
        """Run `apply` to its end, which has to be that one. Returns what it said."""
        self._current.pop(spec["stack"], None)
        with self.tool.forked("apply", "--yes", *options, self.write(spec)) as process:
            output, _ = process.communicate(timeout=LONGEST)
        assert process.returncode == expect, output
        assert "Traceback" not in output
        if not expect:
            self._current[spec["stack"]] = copy.deepcopy(spec)
        return str(output)

    def tries(self, spec: Spec) -> bool:
        """Run `apply`, whatever it replaces. Returns whether the stack serves then: nothing else may be wrong."""
        if is_served := self._run("apply", spec) == 0:
            self._current[spec["stack"]] = copy.deepcopy(spec)
        return is_served

    def destroy(self, spec: Spec) -> None:
        """Delete the stack, whatever protects it."""
        assert self._run("destroy", spec) == 0

    def _run(self, command: str, spec: Spec) -> int:
        self._current.pop(spec["stack"], None)
        with self.tool.forked(command, "--yes", *ALLOWED, self.write(spec)) as process:
            output, _ = process.communicate(timeout=LONGEST)
        assert process.returncode in (0, 1), output
        return int(process.returncode)

    def begin(self, spec: Spec) -> str:
        """Have this before a proof begins, whatever the one before has left. Returns its URL."""
        if not self.has(spec):
            self.apply(spec, *ALLOWED)
        return self.url(spec)

    def has(self, spec: Spec) -> bool:
        """Whether this is what was applied last, and it serves."""
        return self._current.get(spec["stack"]) == spec

    def url(self, spec: Spec) -> str:
        """Where the stack is asked."""
        status = self.tool.run("status", "--format", "json", self.write(spec)).stdout
        url, *_ = json.loads(status)["urls"]
        return str(url)

    def wait_for_nodes(self) -> None:
        """Until the load balancers know of all that has been changed: after the lag a call that changes something says so."""
        time.sleep(LAG / self._speed)
        vpc = self.account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        self.account.ec2.create_tags(Resources=[vpc], Tags=[{"Key": "seen", "Value": "changed"}])

    def is_settled(self, spec: Spec) -> None:
        """Nothing is left to do."""
        assert self.tool.plan(self.write(spec))["steps"] == []

    def instance(self, address: str) -> str:
        """The id of the running instance at an address."""
        filters = {f"tag:{ADDRESS}": address, "instance-state-name": "running"}
        found = self.account.ec2.describe_instances(
            Filters=[{"Name": name, "Values": [value]} for name, value in filters.items()]
        )
        ((instance,),) = [item["Instances"] for item in found["Reservations"]]
        return str(instance["InstanceId"])

    def processes(self) -> dict[str, dict[str, Any]]:
        """What the sandbox tells of its instances' processes, by instance."""
        url = f"http://127.0.0.1:{self.tool.state()['port']}/alb-reconcile/sandbox/traffic"
        told_of = httpx.get(url, trust_env=False, timeout=GUARD).json()["processes"]
        return {item["instance_id"]: item for item in told_of}

    @contextmanager
    def under_load(
        self, spec: Spec, *, paths: Sequence[str] = ("/",), requests: int = REQUESTS, around: int = 200
    ) -> Iterator[Proof]:
        """Requests and looks for the length of the block, `around` of them before and after it, and until there were enough."""
        url = self.begin(spec)
        with Watch(self.account, spec["stack"]) as watch, Load(url, rate=RATE, paths=paths) as load:
            load.until(around)
            watch.next()
            delay = spec["target_groups"]["web"]["attributes"]["deregistration_delay.timeout_seconds"]
            proof = Proof(load, watch, delay / self._speed, requests)
            yield proof
            self.wait_for_nodes()
            proof.changed = time.monotonic()
            load.until(max(requests, load.sent + around))
            watch.next()
        proof.tell(spec["stack"])


class Proof:
    """What is seen while a stack changes. `drain`: how long targets drain, in seconds here; `requests`: how many are enough."""

    def __init__(self, load: Load, watch: Watch, drain: float, requests: int = REQUESTS) -> None:
        self.load, self.watch, self.drain, self.requests = load, watch, drain, requests
        self.began = self.changed = time.monotonic()
        """When the change began and ended."""

    def before(self) -> dict[str, int]:
        """The versions that answered requests before the change, and how often."""
        return dict(self.load.from_versions(ended_before=self.began))

    def after(self) -> dict[str, int]:
        """Those that answered requests that were sent after it."""
        return dict(self.load.from_versions(begun_after=self.changed))

    def holds(self, least: int) -> None:
        """Not one request failed, there were enough, never fewer healthy targets than that, and none left undrained."""
        assert self.load.failures[:5] == [], self.load.failures[:5]
        assert len(self.load.answers) == self.load.sent >= self.requests
        assert self.watch.low() >= least
        assert self.watch.hurried(self.drain) == {}
        self.are_known()

    def are_known(self) -> None:
        """Whoever answered was a target of the stack."""
        known = {name for sight in self.watch.sights for group in sight.states.values() for name in group}
        assert set(self.load.from_instances()) <= known

    def moves(self, old: str, new: str) -> None:
        """One version answers before, the other after, both in between and nobody else."""
        assert set(self.before()) == {told(old)}
        assert set(self.after()) == {told(new)}
        assert set(self.load.from_versions()) == {told(old), told(new)}

    def outlived(self) -> list[Answer]:
        """Requests that were answered by a target that drained before they had ended."""
        left: dict[str, float] = {}
        for sight in self.watch.sights:
            for states in sight.states.values():
                for instance, state in states.items():
                    if state == "draining":
                        left.setdefault(instance, sight.ended)
        return [a for a in self.load.answers if a.is_good and a.begun < left.get(a.instance, 0) < a.ended]

    def tell(self, what: str) -> None:
        """For whoever runs the tests with -rP."""
        during = sum(self.began < answer.begun < self.changed for answer in self.load.answers)
        print(
            f"{what}: {self.load.sent} requests, {during} of them during the change of"
            f" {self.changed - self.began:.1f} s; {len(self.load.failures)} failed;"
            f" at least {self.watch.low()} healthy in {len(self.watch.sights)} looks"
        )
