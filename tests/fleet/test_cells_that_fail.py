"""What goes wrong with one cell, or with one of its stacks, is one line; the rest goes on."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.api.session import Session
from alb_reconcile.fleet.sources import SourceError, Sources, _objects
from alb_reconcile.locking.host import StackLock
from alb_reconcile.model.errors import ExitCode, HeldError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alb_reconcile.fleet.results import CellResult, StackResult
    from tests.fleet.conftest import Team

pytestmark = pytest.mark.slow

FIRST = "111111111111/us-east-1"
SMALL = "stack: {}\nvpcs: {{main: {{cidr_block: 10.0.0.0/16}}}}\n"
"""A spec that is soon looked at."""


@pytest.fixture
def small(team: Team) -> Team:
    """Three accounts with small stacks that are applied."""
    for name in ("api", "web"):
        team.write(f"stacks/{name}.yaml", SMALL.format(name))
    team.rewrite("regions: [us-east-1, eu-central-1]", "regions: [us-east-1]")
    assert team.apply().status == "succeeded"
    team.accounts.calls.clear()
    return team


def _only(team: Team, command: Any = "sync") -> tuple[CellResult, tuple[StackResult, ...]]:
    (found,) = team.run(command, [team.cell(FIRST)]).cells
    return found, found.stacks


def test_a_role_that_is_gone_and_an_account_that_is_another(small: Team) -> None:
    small.accounts.gone.add("111111111111")
    small.accounts.other["222222222222"] = "999999999999"
    outcome = small.run("sync")
    gone, other, well = outcome.cells
    assert gone.error == "the role can't be assumed: AccessDenied: it is gone"
    assert other.error.startswith(
        "222222222222 isn't the account that is reached: the role arn:aws:iam::222222222222:role/alb-reconcile belongs to account 999999999999"
    )
    assert [operation for key, operation in small.accounts.calls if key.startswith("9")] == ["get_caller_identity"]
    assert (gone.status, other.status, well.status) == ("failed", "failed", "succeeded")
    assert outcome.code is ExitCode.FAILED


@pytest.mark.parametrize(
    ("file", "text", "place", "broken", "told"),
    [
        ("bad.yaml", "stack: bad\nvpc: {}\n", "", 1, 'stacks/bad.yaml:2:1: vpc: unknown key "vpc"; did you mean vpcs?'),
        ("other.yaml", SMALL.format("web"), "", 2, 'stack: "web" is also the stack of'),
        ("", "", ", nothing/*.yaml", 1, "no file matches"),
        ("", "", ", gone.yaml", 1, "can't be read"),
    ],
)
def test_a_broken_spec_or_none_among_others(
    small: Team, file: str, text: str, place: str, broken: int, told: str
) -> None:
    if file:
        small.write(f"stacks/{file}", text)
    small.rewrite("stacks: [stacks]", f"stacks: [stacks{place}]")
    found, stacks = _only(small)
    assert found.status == "failed"
    assert sorted(item.result for item in stacks) == ["broken"] * broken + ["in_sync"] * (3 - broken)
    assert told in next(item.error for item in stacks if item.error)


class TestACellThatIsHeld:
    """By a run on this host; of other hosts' tests/e2e/test_fleet_leases.py knows."""

    @contextmanager
    def _held(self, name: str) -> Iterator[None]:
        lock = StackLock("999999999999", "us-east-1", name, "")
        asyncio.run(lock.acquire("fleet sync for message 0f-1", 0, asyncio.sleep, lambda _: None))
        try:
            yield
        finally:
            lock.release()

    @pytest.mark.parametrize("command", ["sync", "apply"])
    def test_nothing_is_done_there_and_its_record_is_left_alone(self, small: Team, command: Any) -> None:
        small.run(command, [small.cell(FIRST)])
        before = small.records.read(small.cell(FIRST))
        small.accounts.calls.clear()
        with self._held("fleet-shops-111111111111"):
            outcome = small.run(command, [small.cell(FIRST)])
            assert small.run("plan", [small.cell(FIRST)]).code is ExitCode.OK
        (found,) = outcome.cells
        assert (found.status, found.stacks, outcome.code) == ("held", (), ExitCode.HELD)
        assert (
            "fleet-shops-111111111111 (account 999999999999, us-east-1) is held by alb-reconcile fleet sync"
            in found.error
        )
        assert small.records.read(small.cell(FIRST)) == before
        assert small.run(command, [small.cell(FIRST)]).code is ExitCode.OK

    def test_others_are_looked_at_and_an_apply_that_leaves_it_out_says_so(self, small: Team) -> None:
        """By its exit code: it isn't done there."""
        with self._held("fleet-shops-111111111111"):
            assert [cell.status for cell in small.run("sync").cells] == ["held", "succeeded", "succeeded"]
            outcome = small.apply()
        assert outcome.reason == "stopped in wave canary: 1 of 1 cells failed, and failure_tolerance is 0"
        with self._held("fleet-shops-333333333333"):
            outcome = small.apply()
        assert [cell.status for cell in outcome.cells] == ["succeeded", "succeeded", "held"]
        assert (outcome.status, outcome.code) == ("succeeded", ExitCode.HELD)

    def test_an_apply_keeps_out_others(self, small: Team) -> None:
        small.apply()
        before = small.records.read_operation()
        with (
            self._held("fleet-shops-apply"),
            pytest.raises(
                HeldError, match=r"fleet-shops-apply \(account 999999999999, us-east-1\) is held by alb-reconcile"
            ),
        ):
            small.apply()
        assert small.records.read_operation() == before
        assert small.run("sync").code is ExitCode.OK


def test_a_spec_that_names_its_region_belongs_there(team: Team) -> None:
    team.write("stacks/api.yaml", SMALL.format("api") + "region: eu-central-1\n")
    team.write("stacks/web.yaml", SMALL.format("web") + "region: us-west-2\n")
    with Sources(team.folder / "cache", Session()) as sources:
        here, there = (sources.load(team.cell(f"111111111111/{region}")) for region in ("us-east-1", "eu-central-1"))
    assert (here.stacks, [item.stack for item in there.stacks], there.broken) == ((), ["api"], ())
    assert "region: is us-west-2, which isn't among the regions of 111111111111" in here.broken[0].text


class TestGit:
    @pytest.fixture
    def repository(self, tmp_path: Path) -> Path:
        """A repository with a spec."""
        folder = tmp_path / "repository"
        (folder / "specs").mkdir(parents=True)
        (folder / "specs" / "web.yaml").write_text(SMALL.format("web"))
        for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "first"), ("tag", "v1")):
            self.git(folder, *words)
        return folder

    @staticmethod
    def git(folder: Path, *words: str) -> None:
        who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.com"]
        subprocess.run(["git", *who, *words], cwd=folder, check=True)

    def _load(self, team: Team, given: str) -> Any:
        team.rewrite("stacks: [stacks]", f"stacks: [{given}]")
        with Sources(team.folder / "cache", Session()) as sources:
            found = sources.load(team.cell(FIRST))
        team.rewrite(f"stacks: [{given}]", "stacks: [stacks]")
        return found

    def test_a_ref_is_checked_out_and_its_specs_are_called_by_it(self, team: Team, repository: Path) -> None:
        (repository / "specs" / "web.yaml").write_text("stack: Web\n")
        self.git(repository, "commit", "-qam", "broken")
        at = f"{{git: 'file://{repository}', ref: v1, path: specs}}"
        assert [item.stack for item in self._load(team, at).stacks] == ["web"]
        (broken,) = self._load(team, at.replace("v1", "main")).broken  # what is new is fetched into the same cache
        assert broken.file == f"file://{repository}@main:specs/web.yaml"
        assert broken.text.startswith(f"{broken.file}:1:8: stack: is ")
        assert len(list((team.folder / "cache").glob("*.git"))) == 1


class TestS3:
    """By the two calls that it takes."""

    class Bucket:
        """Keys and what is there; pages of two."""

        def __init__(self, **objects: bytes) -> None:
            self.objects = objects

        def __call__(self, _: str, operation: str, params: Any, /, *, once: bool = False) -> Any:
            """Answer one call."""
            if operation == "get_object":
                return {"Body": self.objects[params["Key"]]}
            keys = [key for key in self.objects if key.startswith(params["Prefix"])]
            start = int(params.get("ContinuationToken", 0))
            rest = {"NextContinuationToken": str(start + 2)} if len(keys) > start + 2 else {}
            return {
                "Contents": [{"Key": key, "Size": len(self.objects[key])} for key in keys[start : start + 2]],
                **rest,
            }

    def test_the_specs_below_a_prefix(self) -> None:
        bucket = self.Bucket(**{"p/a.yaml": b"1", "p/notes.txt": b"", "p/b.yml": b"2", "q/c.yaml": b"3"})
        assert dict(_objects(bucket, "s3://specs/p")) == {"a.yaml": b"1", "b.yml": b"2"}
        with pytest.raises(SourceError, match=r"no \*\.yaml or \*\.yml below s3://specs/x; correct the prefix"):
            list(_objects(self.Bucket(), "s3://specs/x"))


def test_the_word_to_stop_ends_between_two_stacks(team: Team) -> None:
    """What hasn't begun isn't, and the cell says that it was interrupted."""

    def stop(_: str, operation: str, __: Any) -> None:
        if operation == "create_vpc":
            team.stop.set()

    team.accounts.before.append(stop)
    outcome = team.apply()
    assert (outcome.status, outcome.code) == ("interrupted", ExitCode.INTERRUPTED)
    assert {operation for _, operation in team.accounts.changes} == {"create_vpc"}
    assert {cell.status for cell in outcome.cells} == {"interrupted", "cancelled"}
