"""A change reaches the load balancers late, as on AWS: what doesn't wait for that loses requests."""

from __future__ import annotations

from tests.load.sender import Answer
from tests.load.specs import web
from tests.load.stage import AT_LENGTH, Stage


def rolled(stage: Stage, settle: str) -> list[Answer]:
    """What failed while two instances without a deregistration delay were replaced."""
    before, after = (web(version=version, settle=settle) for version in ("early", "late"))
    for spec in (before, after):
        spec["target_groups"]["web"]["attributes"]["deregistration_delay.timeout_seconds"] = 0
    with stage.under_load(before) as proof:
        stage.apply(after)
    return proof.load.failures


@AT_LENGTH
def test_without_settling_requests_are_lost(stage: Stage) -> None:
    """By how much a change is late is chance, up to 10 s of AWS's time: of eight rolls one at least meets it."""
    assert any(rolled(stage, "0s") for _ in range(8))


@AT_LENGTH
def test_with_it_none_is(stage: Stage) -> None:
    assert rolled(stage, "30s")[:5] == []
