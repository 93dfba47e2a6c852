"""What goes wrong while requests come in: a version that is ill, a run that is killed, a web API that crashes."""

from __future__ import annotations

import signal
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.proxy import in_front_of
from tests.load.specs import told, web
from tests.load.stage import LONGEST, Stage

if TYPE_CHECKING:
    from tests.e2e.proxy import Proxy
    from tests.e2e.tool import Tool


def test_a_version_that_fails_its_health_check(stage: Stage) -> None:
    """It doesn't listen where it is asked: the run fails, and the old ones serve on; then the old spec, and a fixed one, are reached."""
    old, fixed = web(version="good"), web(version="fixed")
    with stage.under_load(old) as proof:
        output = stage.apply(web(version="8080-ill", health_timeout="3m"), expect=1)
        failed = time.monotonic()
        stage.apply(old)
        restored = time.monotonic()
        stage.is_settled(old)
        stage.apply(fixed)
    stage.is_settled(fixed)
    assert "Health checks failed" in output
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
