"""What goes wrong while requests come in: a version that is ill, a run that is killed, a web API that crashes."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.sandbox.traffic.processes import web_api_file
from tests.e2e.proxy import in_front_of
from tests.load.conftest import SPEED
from tests.load.sender import CONNECTIONS
from tests.load.specs import told, web
from tests.load.stage import AT_LENGTH, LONGEST, Stage
from tests.processes import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.proxy import Proxy
    from tests.e2e.tool import Tool


@pytest.fixture
def with_ill_versions(tmp_path: Path) -> Iterator[Stage]:
    """A sandbox in which the version `ill` answers its health checks with 500."""
    command = [sys.executable, str(Path(__file__).parent / "ill_api.py"), str(web_api_file()), told("ill")]
    made = Stage(tmp_path, speed=SPEED, serve=shlex.join(command))
    yield made
    made.close()


@AT_LENGTH
def test_a_version_that_fails_its_health_check(with_ill_versions: Stage) -> None:
    """The run fails, and the old ones serve on; then the old spec, and a fixed one, are reached."""
    stage, old, fixed = with_ill_versions, web(version="good"), web(version="fixed")
    with stage.under_load(old) as proof:
        output = stage.apply(web(version="ill", health_timeout="3m"), expect=1)
        failed = time.monotonic()
        stage.apply(old)
        restored = time.monotonic()
        stage.is_settled(old)
        stage.apply(fixed)
    stage.is_settled(fixed)
    assert "Health checks failed with these codes: [500]" in output
    proof.holds(least=2)
    proof.moves("good", "fixed")
    assert set(proof.load.from_versions(ended_before=restored)) == {told("good")}
    states = {
        instance: state
        for sight in proof.watch.sights
        if sight.ended < failed
        for group in sight.states.values()
        for instance, state in group.items()
    }
    assert sorted(states.values()) == ["healthy", "healthy", "unhealthy"]
    assert set(proof.load.from_instances(ended_before=restored)) < set(states)


def is_killed(proxy: Proxy, tool: Tool, file: str, number: int, when: str) -> bool:
    """Whether that run of `apply` was; else it made fewer calls and came to its end."""
    proxy.arm(number, when)
    with tool.forked("apply", "--yes", file) as process:
        proxy.victim = process
        output, _ = process.communicate(timeout=LONGEST)
    proxy.disarm()
    assert process.returncode in (0, -signal.SIGKILL), output
    return process.returncode != 0


@AT_LENGTH
def test_runs_that_are_killed(stage: Stage, tmp_path: Path) -> None:
    """Each roll is killed at another call, and finished by the next run: before and after each, until one comes to its end. A roll of
    two makes eight calls that change something: run, register, deregister, terminate, and again."""
    old, done = "kill-0", 0
    with (
        stage.under_load(web(version=old)) as proof,
        in_front_of(stage.tool, tmp_path / "proxied") as between,
    ):
        before = stage.account.census()
        for number, when in ((number, when) for number in count(1) for when in ("before", "after")):
            new = web(version=f"kill-{done + 1}")
            was_killed = is_killed(*between, stage.write(new), number, when)
            stage.apply(new)
            if not was_killed:
                break
            done += 1
        stage.is_settled(new)
        assert stage.account.census() == before, "nothing is left over"
    assert done >= 16
    proof.holds(least=2)
    assert len(proof.load.from_versions()) >= done + 1, "every version served"


@contextmanager
def rolling(stage: Stage, folder: Path, version: str) -> Iterator[None]:
    """A roll under way: its first new target is registered, and it goes on at the end of the block."""
    spec = web(version=version)
    with in_front_of(stage.tool, folder) as (proxy, tool):
        gate = proxy.hold("RegisterTargets")
        with tool.forked("apply", "--yes", stage.write(spec)) as process:
            gate.wait()
            yield
            gate.open()
            output, _ = process.communicate(timeout=LONGEST)
    assert process.returncode == 0, output
    stage.apply(spec)


@AT_LENGTH
def test_a_target_that_crashes_during_a_roll(stage: Stage, tmp_path: Path) -> None:
    """Requests that were sent to it fail, until it is ejected; all others are answered, and the roll comes to its end."""
    with stage.under_load(web(version="good")) as proof:
        victim = stage.instance("instance.web-2")
        with rolling(stage, tmp_path / "proxied", "swift"):
            died = time.monotonic()
            os.kill(stage.processes()[victim]["pid"], signal.SIGKILL)
            until(lambda: proof.watch.sights[-1].state(victim) != "healthy")
            # A call that changes something is answered when the load balancers know all that happened before.
            stage.account.ec2.create_tags(Resources=[victim], Tags=[{"Key": "seen", "Value": "ejected"}])
            ejected = time.monotonic()
    failures, answers = proof.load.failures, proof.load.answers
    assert {answer.status for answer in failures} == {502}, "as an ALB tells it"
    assert all(answer.ended > died and answer.begun < ejected for answer in failures)
    meanwhile = [answer for answer in answers if answer.ended > died and answer.begun < ejected]
    assert len(failures) <= len(meanwhile) / 2 + CONNECTIONS, "at most those that were its turn"
    assert proof.watch.low() >= 1
    assert proof.watch.hurried(proof.drain) == {}
    proof.moves("good", "swift")
    proof.are_known()
