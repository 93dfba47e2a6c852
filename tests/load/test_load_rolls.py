"""Instances that are replaced, changed and scaled while requests come in: not one fails, and capacity is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.load.specs import web

if TYPE_CHECKING:
    from tests.load.stage import Stage

# Each proof begins with what the one before it has left, which saves time where they run in this order.


def test_a_roll_of_two(stage: Stage) -> None:
    with stage.under_load(web(version="swift"), requests=300, around=80) as proof:
        stage.apply(web(version="second"))
    proof.holds(least=2)
    proof.moves("swift", "second")


def test_versions_beside_each_other_and_back(stage: Stage) -> None:
    """All requests move in one call, and go back in one."""
    ways: dict[str, Any] = {"strategy": "blue_green", "keep": "1h", "checks": [{"get": "/"}, {"get": "/health"}]}
    first, second = (web(version=version, count=4, **ways) for version in ("blue", "green"))
    with stage.under_load(first) as proof:
        stage.apply(second)
    proof.holds(least=4)
    proof.moves("blue", "green")
    with stage.under_load(second) as proof:
        stage.tool.run("rollback", "--yes", stage.write(second))
        stage.wait_for_nodes()
    proof.holds(least=4)
    proof.moves("green", "blue")


def test_in_place_type_changes(stage: Stage) -> None:
    """To a larger one and back: each instance leaves, is stopped and changed, and returns."""
    small, large = web(version="second", max_unavailable=1), web(version="second", max_unavailable=1)
    for spec, kind in ((small, "t3.micro"), (large, "t3.small")):
        spec["instances"]["web"] |= {"type_change": "in-place", "instance_type": kind}
    with stage.under_load(small) as proof:
        stage.apply(large)
        stage.apply(small)
    proof.holds(least=1)
    assert proof.watch.low() == 1, "they leave while they are stopped"
    assert len(proof.load.from_instances()) == 2, "the same instances, all the time"


def test_scaling_out_and_in(stage: Stage) -> None:
    with stage.under_load(web(version="third")) as proof:
        stage.apply(web(version="third", count=6))
        proof.load.more(100)
        stage.apply(web(version="third"))
    proof.holds(least=2)
    assert len(proof.load.from_instances()) == 6


def test_targets_that_do_not_drain(stage: Stage) -> None:
    """A change reaches the load balancers late, as on AWS: what doesn't settle loses requests."""
    before, after = (web(version=version, settle="30s") for version in ("early", "late"))
    for spec in (before, after):
        spec["target_groups"]["web"]["attributes"]["deregistration_delay.timeout_seconds"] = 0
    with stage.under_load(before) as proof:
        stage.apply(after)
    assert proof.load.failures[:5] == []
