"""A plan's head says who changed the stack last, when and from what; and warns where it was somebody or something else."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.cli.session.last_run import LastRun, find_commits, find_last_run
from alb_reconcile.journal.history import write_history
from alb_reconcile.journal.record import StepRecord
from alb_reconcile.journal.revision import commit_of
from alb_reconcile.model.address import Address
from alb_reconcile.model.plan import Step
from alb_reconcile.model.tags import APPLIED, DESTROYING, spec_digest_of
from tests.harness import demo, world
from tests.journal.records import RECORD
from tests.kinds.hand import edited

if TYPE_CHECKING:
    from pathlib import Path

    from alb_reconcile.journal.record import RunRecord
    from alb_reconcile.model.plan import Plan


@pytest.fixture(scope="module")
def plan() -> Plan:
    with world() as aws:
        aws.converge(demo())
        return aws.plan(demo())


@pytest.fixture(autouse=True)
def me(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    monkeypatch.setattr("socket.gethostname", lambda: "desk")


def head(plan: Plan, folder: Path, file: str = "specs/demo.yaml", place: str = "", began: str = "") -> LastRun:
    """What the head of a plan of this file says."""
    return find_last_run(plan, file, place, str(folder), began)


def record(plan: Plan, **changes: object) -> RunRecord:
    """A run that created something, by ann on her desk, from this spec."""
    done = (StepRecord("create:vpc.main", "create", how="done"),)
    mine = replace(
        RECORD, stack=plan.stack, region=plan.region, account=plan.account, place="", command="apply",
        started="2026-01-02T03:04:05Z", ended="2026-01-02T03:05:05Z", user="ann", host="desk",
        spec_file="specs/demo.yaml", spec_digest=spec_digest_of(plan.desired), commit="", result="corrected", steps=done,
    )  # fmt: skip
    return replace(mine, **changes)  # type: ignore[arg-type]  # of the fields' types


def test_who_when_and_from_what(plan: Plan, tmp_path: Path) -> None:
    write_history(record(plan, commit="0123456789abcdef" * 2 + "01234567"), tmp_path)
    write_history(record(plan, started="2026-01-03T00:00:00Z", steps=(), result="in_sync", user="bob"), tmp_path)
    found = head(plan, tmp_path)
    when = "2026-01-02 03:04:05Z"
    assert found.told == f"Last applied on this host {when} by ann@desk, from specs/demo.yaml at commit 0123456789ab."
    assert found.warning == ""


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"user": "bob"}, "the last run was by bob, not by you"),
        ({"host": "ci"}, "the last run was on ci, not here"),
        ({"spec_file": "README.md"}, "the last run was of README.md, not of specs/demo.yaml; see what this one changes: alb-reconcile diff README.md specs/demo.yaml"),
        ({"spec_file": "lost.yaml"}, "the last run was of lost.yaml, not of specs/demo.yaml"),
        ({"command": "sync", "user": "bot"}, ""),
        ({"spec_digest": "another"}, "another spec has been applied since then, by a run that isn't recorded here"),
        ({"user": "\x1b[2J"}, "the last run was by \\x1b[2J, not by you"),
    ],
)  # fmt: skip
def test_another(plan: Plan, tmp_path: Path, changes: dict[str, str], warning: str) -> None:
    write_history(record(plan, **changes), tmp_path)
    assert head(plan, tmp_path).warning == warning


@pytest.fixture(scope="module")
def nothing() -> Plan:
    with world() as aws:
        return aws.plan(demo())


def test_what_somebody_else_has_destroyed_is_told_with_what_comes_of_it(nothing: Plan, tmp_path: Path) -> None:
    def found(**changes: object) -> LastRun:
        write_history(record(nothing, **changes), tmp_path)
        return head(nothing, tmp_path)

    warning = (
        "nothing has its tags any more, and no completed destroy or forget of it is recorded here; made anew, load_balancer.public gets another DNS name: "
        "point the records that aren't in this spec at it"
    )
    last = found()
    assert last.told == "Last applied on this host 2026-01-02 03:04:05Z by ann@desk, from specs/demo.yaml."
    assert (last.warning, last.was_there) == (warning, True)
    lost = "was in sync at 2026-01-02 03:04:05Z; nothing of it is there now"
    since = found(started="2026-01-02T04:00:00Z", command="sync", result="failed", steps=(), not_ready=(lost,))
    assert since == last, "a round has seen it meanwhile"
    balancer = StepRecord("update:load_balancer.public@arn:lb", "update", how="done")
    assert not found(started="2026-01-02T05:00:00Z", command="forget", steps=(balancer,)).warning
    assert not found(started="2026-01-02T06:00:00Z", command="destroy").warning


def test_a_launch_that_was_cut_short_is_the_last_run(plan: Plan, tmp_path: Path) -> None:
    """It may have made an instance, though no step is done."""
    write_history(record(plan), tmp_path)
    cut = StepRecord("create:instance.web-1", "create", how="interrupted")
    write_history(record(plan, started="2026-01-02T04:00:00Z", result="interrupted", steps=(cut,)), tmp_path)
    told = head(plan, tmp_path).told
    assert told.startswith("Last applied on this host 2026-01-02 04:00:00Z")
    assert told.endswith("; that run was interrupted.")
    for result, how in (("left", "interrupted."), ("in_sync", "from specs/demo.yaml."), ("left", "demo.yaml.")):
        write_history(record(plan, started="2026-01-02T05:00:00Z", result=result, steps=()), tmp_path)
        assert head(plan, tmp_path).told.endswith(how), "until all is in sync"


def test_a_stack_that_somebody_else_has_made(tmp_path: Path) -> None:
    """The spec of a second person, with the same name: nothing of the first one is recorded here."""
    with world() as aws:
        assert head(aws.plan(demo()), tmp_path) == LastRun()
        aws.converge(demo())
        other = aws.plan(edited(demo(), "target_groups/web/health_check/interval_seconds", 20))
        same = aws.plan(demo())
    warning = "make sure that demo isn't somebody else's, and that no run of it is unfinished"
    assert warning in head(other, tmp_path).warning
    assert head(same, tmp_path).warning == ""
    assert head(other, tmp_path, place="sandbox").told == ""


def test_a_stack_that_runs_in_another_region(plan: Plan, tmp_path: Path) -> None:
    empty = replace(plan, live=())
    write_history(record(plan, region="eu-west-1"), tmp_path)
    told = "its last run on this host that changed something, 2026-01-02 03:04:05Z, was in eu-west-1, account 123456789012: is this the right region?"
    assert head(empty, tmp_path).warning == told
    assert head(plan, tmp_path).warning == ""
    assert head(empty, tmp_path, place="sandbox").warning == ""
    write_history(record(plan, steps=(), result="left", command="sync"), tmp_path)
    assert head(empty, tmp_path).warning == told, "sync has looked there, and left it"
    write_history(record(plan, region="eu-west-1", command="destroy"), tmp_path)
    assert head(empty, tmp_path).warning == ""
    write_history(record(plan, account="210987654321"), tmp_path)
    assert head(empty, tmp_path).warning.endswith("account 210987654321: are these the right credentials?")
    write_history(record(plan), tmp_path)
    assert not head(empty, tmp_path).warning, "somebody has deleted all of it"


def test_beside_a_begun_destroy_stands_what_was_applied_last(plan: Plan, tmp_path: Path) -> None:
    live = tuple(replace(item, tags={**item.tags, APPLIED: DESTROYING}) for item in plan.live)
    begun = replace(plan, steps=(Step("create", Address("vpc", "more")),), live=live)
    write_history(record(plan, command="destroy", started="2026-01-01T00:00:00Z", result="failed"), tmp_path)
    write_history(record(plan, commit="0123456789abcdef" * 2 + "01234567"), tmp_path)
    told = "a destroy of this stack was begun: apply takes it back and makes again what is gone; destroy finishes it"
    assert head(begun, tmp_path).warning == told, "what was begun before the last apply isn't this destroy"
    assert not head(replace(begun, steps=()), tmp_path).warning
    write_history(
        record(plan, command="destroy", started="2026-01-02T04:00:00Z", result="interrupted", user="bob"), tmp_path
    )
    found = head(begun, tmp_path)
    assert found.told.endswith("2026-01-02 03:04:05Z by ann@desk, from specs/demo.yaml at commit 0123456789ab.")
    assert found.warning.endswith("destroy finishes it (begun 2026-01-02 04:00:00Z by bob@desk)")
    gone = StepRecord("delete:load_balancer.public@arn", "delete", how="interrupted", reason="its DNS name was old.aws")
    again = replace(begun, steps=(*begun.steps, Step("create", Address("load_balancer", "public"))))
    for number, steps in enumerate([(gone,), (StepRecord("delete:vpc.main@vpc-1", "delete", how="done"),)]):
        when = f"2026-01-02T04:1{number}:00Z"
        write_history(record(plan, command="destroy", started=when, result="interrupted", steps=steps), tmp_path)
    told = head(again, tmp_path).warning
    assert told.endswith("(begun 2026-01-02 04:11:00Z by ann@desk); load_balancer.public: its DNS name was old.aws")
    assert "DNS name" not in head(begun, tmp_path).warning, "it is there"
    write_history(record(plan, started="2026-01-02T05:00:00Z", result="failed"), tmp_path)
    assert head(begun, tmp_path).told.endswith("; that run failed.")


def git_in(tree: Path, *words: str) -> str:
    """Run git in a work tree."""
    settings = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", tree, *settings, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_commit_is_read_from_gits_own_files(tmp_path: Path) -> None:
    """On a branch, packed, detached, in a second work tree; and nothing where there is no commit, or no Git."""
    git = partial(git_in, tmp_path / "r")
    (tmp_path / "r" / "specs").mkdir(parents=True)
    file = tmp_path / "r" / "specs" / "demo.yaml"
    assert commit_of(str(file)) == ""
    git("init", "-q")
    assert commit_of(str(file)) == ""
    git("commit", "-q", "--allow-empty", "-m", "one")
    head = git("rev-parse", "HEAD")
    assert commit_of(str(file)) == head
    git("pack-refs", "--all")
    assert commit_of(str(file)) == head
    git("worktree", "add", "-q", "-b", "side", str(tmp_path / "w"))
    assert commit_of(str(tmp_path / "w" / "demo.yaml")) == head
    git("checkout", "-q", "--detach")
    assert commit_of(str(file)) == head
    (tmp_path / "r" / ".git" / "HEAD").write_text("ref: refs/../../secret")
    assert commit_of(str(file)) == ""
    assert commit_of("/dev/null") == ""


def test_a_commit_with_changes_says_so(tmp_path: Path) -> None:
    git = partial(git_in, tmp_path)
    file, beside, elsewhere = tmp_path / "a" / "demo.yaml", tmp_path / "a" / "web.sh", tmp_path / "b" / "other.yaml"
    git("init", "-q")
    for each in (file, beside, elsewhere):
        each.parent.mkdir(exist_ok=True)
        each.write_text("one")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    head = commit_of(str(file))
    (tmp_path / "a" / "saved.plan").write_text("nobody tracks it")
    elsewhere.write_text("two")
    assert commit_of(str(file)) == head
    assert commit_of(str(elsewhere)) == f"{head}-dirty"
    beside.write_text("two")
    assert commit_of(str(file)) == f"{head}-dirty"
    git("commit", "-q", "-a", "-m", "two")
    assert not commit_of(str(file)).endswith("-dirty")


def test_a_filter_of_the_repository_gets_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git runs it to see whether a file has changed. Of Git's settings in the environment it gets whose work trees may be read."""
    tree, seen = tmp_path / "r", tmp_path / "seen"
    tree.mkdir()
    file = tree / "demo.yaml"
    file.write_text("one")
    (tree / ".gitattributes").write_text("*.yaml filter=e\n")
    for words in ("init -q", f"config filter.e.clean 'env > {seen}; cat'", "add .", "commit -q -m one"):
        git_in(tree, *shlex.split(words))
    settings = [("http.extraHeader", "Authorization: s3cret"), ("safe.directory", "*")]
    names = ("AWS_SECRET_ACCESS_KEY", "HOMEBREW_GITHUB_API_TOKEN", "LANGSMITH_API_KEY", "OIDC_SECRET")
    given = dict.fromkeys(names, "s3cret") | {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        given |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    file.write_text("two")
    assert commit_of(str(file)).endswith("-dirty")
    told = seen.read_text()
    assert "s3cret" not in told
    assert "GIT_CONFIG_KEY_0=safe.directory\n" in told


OLD, NEW, BROKEN = ("1" * 40, "2" * 40, "3" * 40)


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        ([(OLD, "corrected"), (NEW, "corrected")], f"{OLD[:12]}..{NEW[:12]}"),
        ([(OLD, "corrected"), (BROKEN, "failed"), (NEW, "corrected"), (NEW, "in_sync")], f"{OLD[:12]}..{NEW[:12]}"),
        ([(OLD, "corrected"), (f"{NEW}-dirty", "corrected")], ""),
        ([("", "corrected"), (NEW, "corrected")], ""),
        ([(NEW, "corrected")], ""),
        ([], ""),
    ],
)
def test_which_commits_a_revert_takes(plan: Plan, tmp_path: Path, runs: list[tuple[str, str]], told: str) -> None:
    for number, (commit, result) in enumerate(runs):
        write_history(record(plan, commit=commit, result=result, started=f"2026-01-02T03:04:0{number}Z"), tmp_path)
    assert find_commits(plan, "", tmp_path) == told
