"""An instance that is launched again at an address where one was, with other parameters: AWS remembers tokens for a day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.sandbox.strict.world import World as Place
from tests.harness import Spec, World, demo, world

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = 3700.0
"""After that terminated instances aren't shown any more."""


@pytest.fixture
def here() -> Iterator[World]:
    with world() as found:
        yield found


def web(count: int, version: str = "one", **more: Any) -> Spec:
    spec = demo()
    spec["instances"]["web"] |= {"count": count, "user_data": f"#!/bin/sh\nexec web-api {version}\n", **more}
    return spec


def alive(here: World) -> list[str]:
    reservations = here.client("ec2").describe_instances()["Reservations"]
    return [i["InstanceId"] for r in reservations for i in r["Instances"] if i["State"]["Name"] == "running"]


def test_scaled_in_and_out_again_with_a_release_in_between(here: World) -> None:
    here.converge(web(2))
    here.converge(web(1), allow={"delete": 9})
    here.clock.advance(HOUR)
    here.converge(web(2, "two"), allow={"replace": 9})
    assert len(alive(here)) == 2


def test_terminated_by_hand_after_a_tag_was_added_and_noticed_late(here: World) -> None:
    spec = web(2)
    here.converge(spec)
    spec["instances"]["web"]["tags"] = {"owner": "ops"}
    here.converge(spec)
    here.client("ec2").terminate_instances(InstanceIds=[alive(here)[0]])
    here.clock.advance(HOUR)
    here.converge(spec)
    assert len(alive(here)) == 2


def test_another_type_after_there_was_no_capacity(here: World) -> None:
    here.converge(web(0))
    Place(DEFAULT_ACCOUNT_ID, "us-east-1").ledger.no_capacity.add("t3.micro")
    assert any("InsufficientInstanceCapacity" in text for text in here.apply(web(2)).failures)
    here.converge(web(2, instance_type="t3.small"))
    assert len(alive(here)) == 2


def test_a_newer_image_after_the_dead_have_lost_their_tags(here: World) -> None:
    spec = web(2)
    here.converge(spec)
    here.client("ec2").terminate_instances(InstanceIds=[alive(here)[0]])
    here.clock.advance(120)
    real = here._call

    def call(service: str, operation: str, params: Any) -> Any:
        answer = real(service, operation, params)
        if operation == "get_parameters":
            for item in answer["Parameters"]:
                item["Value"] = "ami-1e749f67"
        return answer

    here._call = call  # type: ignore[method-assign]
    here.converge(spec)
    assert len(alive(here)) == 2


def test_one_that_lives_with_other_parameters_is_not_doubled() -> None:
    """Reads lag by a minute: the run that follows one that was killed doesn't see what that one launched."""
    with world(lag=60) as late:
        late.converge(web(0))
        late.clock.advance(60)
        late.apply(web(1), timeout=1)
        launched = set(alive(late))
        late.apply(web(1, "two"), timeout=1)
        late.clock.advance(120)
        assert len(alive(late)) <= 1, launched
