"""Requests go over to other targets while long ones are open: each has its group's deregistration delay to end in."""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING

import pytest

from tests.load.conftest import SPEED
from tests.load.specs import listener, two_groups, web
from tests.load.stage import ALLOWED

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness import Spec
    from tests.load.stage import Stage

DELAY, SETTLE = 200, 30
SECONDS = 4
"""HTTP time: 120 s of AWS's, more than `settle` and less than the delay."""
PATHS = (f"/slow?seconds={SECONDS}", *("/",) * 9)


def patient(spec: Spec) -> Spec:
    """The spec with that deregistration delay."""
    for group in spec["target_groups"].values():
        group["attributes"] = {**group["attributes"], "deregistration_delay.timeout_seconds": DELAY}
    return spec


def other_port() -> tuple[Spec, Spec]:
    """The instances stay, and listen at both ports."""
    return patient(web(version="80-8080-long")), patient(web(version="80-8080-long", port=8080))


def blue_green() -> tuple[Spec, Spec]:
    """The listener turns to the other group, and the first one's instances go."""
    before = patient(two_groups(forward="web"))
    after = copy.deepcopy(before)
    listener(after)["default_action"] = {"forward": "other"}
    after["instances"]["web"]["count"] = 0
    return before, after


@pytest.mark.parametrize("change", [other_port, blue_green])
def test_no_long_request_is_cut(stage: Stage, change: Callable[[], tuple[Spec, Spec]]) -> None:
    before, after = change()
    with stage.under_load(before, paths=PATHS, requests=1_000) as proof:
        time.sleep(SECONDS)  # as many are open as ever will be
        stage.apply(after, *ALLOWED)
    stage.is_settled(after)
    assert proof.load.failures[:5] == []
    first = proof.watch.sights[0].serving
    turned = next(sight.ended for sight in proof.watch.sights if sight.serving != first)
    open_then = [answer for answer in proof.load.answers if answer.begun < turned < answer.ended - SETTLE / SPEED]
    assert open_then, "requests that were open when others had settled"
