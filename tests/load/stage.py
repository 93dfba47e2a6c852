"""A sandbox that carries traffic, and what is seen under load while a stack in it changes."""

from __future__ import annotations

import copy
import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import yaml

from alb_reconcile.sandbox.client import LAG
from tests.e2e.tool import Account, Tool
from tests.load.sender import Load
from tests.load.specs import told
from tests.load.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.harness import Spec
REQUESTS, RATE = 1_200, 100.0
"""How many, and how many a second: a change of a few seconds meets hundreds of them, and a quarter of a core at most."""
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

    def __init__(self, folder: Path, *, speed: float) -> None:
        self.tool = Tool(folder, "--sandbox", ALB_RECONCILE_SANDBOX_TRAFFIC="on")
        self.tool.run("sandbox", "start", "--speed", f"{speed:g}")
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

    def begin(self, spec: Spec) -> str:
        """Have this before a proof begins, whatever the one before has left. Returns its URL."""
        if self._current.get(spec["stack"]) != spec:
            self.apply(spec, *ALLOWED)
        return self.url(spec)

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


class Proof:
    """What is seen while a stack changes. `drain`: how long targets drain, in seconds here; `requests`: how many are enough."""

    def __init__(self, load: Load, watch: Watch, drain: float, requests: int = REQUESTS) -> None:
        self.load, self.watch, self.drain, self.requests = load, watch, drain, requests
        self.began = self.changed = time.monotonic()
        """When the change began and ended."""

    def holds(self, least: int) -> None:
        """Not one request failed, there were enough, never fewer healthy targets than that, none left undrained, and no stranger answered."""
        assert self.load.failures[:5] == [], self.load.failures[:5]
        assert len(self.load.answers) == self.load.sent >= self.requests
        assert self.watch.low() >= least
        assert self.watch.hurried(self.drain) == {}
        known = {name for sight in self.watch.sights for group in sight.states.values() for name in group}
        assert set(self.load.from_instances()) <= known

    def moves(self, old: str, new: str) -> None:
        """One version answers before, the other after, both in between and nobody else."""
        assert set(self.load.from_versions(ended_before=self.began)) == {told(old)}
        assert set(self.load.from_versions(begun_after=self.changed)) == {told(new)}
        assert set(self.load.from_versions()) == {told(old), told(new)}
