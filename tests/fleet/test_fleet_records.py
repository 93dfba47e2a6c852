"""Results in a folder and in S3: what comes back, what an earlier one tells, and what is damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.fleet.records import Operation, Records, _Bucket
from alb_reconcile.fleet.results import CellResult, StackResult
from alb_reconcile.journal.files import RecordError
from alb_reconcile.model.errors import AwsError

if TYPE_CHECKING:
    from tests.fleet.conftest import Team

ONE, TWO = "2026-11-26T12:00:00Z", "2026-11-26T12:15:00Z"


class Bucket(dict[str, bytes]):
    """Objects of a bucket, by the two calls that records take."""

    def __call__(self, _: str, operation: str, params: Any, /, *, once: bool = False) -> Any:
        """Answer one call. Raises AwsError."""
        assert params["Bucket"] == "results"
        key = params["Key"]
        if operation == "put_object":
            self[key] = params["Body"]
            return {}
        if key not in self:
            raise AwsError("s3", operation, "NoSuchKey", "The specified key does not exist.", "")
        return {"Body": self[key]}


def _result(status: Any, ended: str, last_success: str = "") -> CellResult:
    stacks = (StackResult("web", "web.yaml", "in_sync" if last_success else "failed", last_success=last_success),)
    return CellResult(
        "shops", "111111111111", "us-east-1", "canary", "sync", status, ended, ended, stacks=stacks,
        last_success=last_success,
    )  # fmt: skip


@pytest.fixture(params=["folder", "bucket"])
def records(request: pytest.FixtureRequest, team: Team) -> Records:
    if request.param == "folder":
        return team.records
    bucket = Bucket()
    return Records(_Bucket(lambda: bucket, "results", "fleets/shops"))


def test_a_failure_keeps_when_it_was_well(team: Team, records: Records) -> None:
    cell = team.cell("111111111111/us-east-1")
    assert records.read(cell) is None
    records.write(_result("succeeded", ONE, ONE))
    records.write(_result("failed", TWO))
    found = records.read(cell)
    assert found is not None
    assert (found.status, found.ended, found.last_success) == ("failed", TWO, ONE)
    assert found.stacks[0].last_success == ONE
    assert [(run.status, run.ended) for run in found.past] == [("succeeded", ONE)]
    for _ in range(20):
        records.write(_result("failed", TWO))
    found = records.read(cell)
    assert found is not None
    assert len(found.past) == 10


def test_an_operation_comes_back(records: Records) -> None:
    assert records.read_operation() is None
    operation = Operation("abc", "shops", "apply", ONE, status="stopped", wave="rest", cells={"1/a": "failed"})
    records.write_operation(operation)
    assert records.read_operation() == operation


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff", b'{"fleet": "shops"}', b"[" * 3000])
def test_a_damaged_one_is_told_and_replaced_by_the_next(team: Team, damage: bytes) -> None:
    cell = team.cell("111111111111/us-east-1")
    team.records.write(_result("succeeded", ONE, ONE))
    (file,) = (team.folder / "state" / "fleet" / "shops" / "cells").glob("*.json")
    file.write_bytes(damage)
    with pytest.raises(RecordError, match=r"111111111111_us-east-1\.json isn't a record of this program"):
        team.records.read(cell)
    found, problems = team.records.read_all(team.fleet.cells)
    assert (found, len(problems)) == ({}, 1)
    team.records.write(_result("succeeded", TWO, TWO))
    assert team.records.read(cell) == _result("succeeded", TWO, TWO)


def test_a_moment_that_is_none_is_damage(team: Team) -> None:
    team.records.write(_result("succeeded", ONE, ONE))
    (file,) = (team.folder / "state" / "fleet" / "shops" / "cells").glob("*.json")
    file.write_text(file.read_text().replace(ONE, "yesterday"))
    assert team.records.read_all(team.fleet.cells)[0] == {}
