"""One issue a stack: opened, changed, closed; in GitHub and in a folder."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.aws.client import Aws
from alb_reconcile.journal.files import RecordError
from alb_reconcile.journal.issues.content import find_marker
from alb_reconcile.journal.issues.keeping import Issues
from alb_reconcile.journal.settings import read_settings
from alb_reconcile.model.errors import AwsError, UsageError
from alb_reconcile.model.plan import Step
from tests.journal.github import TOKEN, FakeGitHub, fake_github
from tests.journal.records import RENAMED, REPLACE, corrected, failed, left, made

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from alb_reconcile.journal.record import RunRecord

GROUP = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/1"
HELD = replace(REPLACE, key=f"update:target_group.web@{GROUP}", action="update", id=GROUP, changes=("port: 80 → 81",))


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with fake_github() as found:
        yield found


class Trail:
    """A CloudTrail. `events`: the newest first."""

    endpoint, region = "", "eu-west-1"

    def __init__(self, *events: dict[str, Any], error: str = "") -> None:
        self.events, self.error, self.asked, self.names = list(events), error, 0, list[str]()

    def __call__(self, service: str, operation: str, params: Any, /, *, once: bool = False) -> dict[str, Any]:
        assert (service, operation) == ("cloudtrail", "lookup_events")
        self.asked += 1
        self.names += [item["AttributeValue"] for item in params["LookupAttributes"]]
        if self.error:
            raise AwsError(service, operation, self.error, "no", "")
        return {"Events": self.events}


def event(who: str, name: str = "ModifyTargetGroup", *, agent: str = "aws-cli", **more: Any) -> dict[str, Any]:
    told = {"userIdentity": {"arn": who}, "userAgent": agent, **more}
    moment = datetime(2026, 11, 24, 2, 50, tzinfo=UTC)
    common = {"EventTime": moment, "EventId": "e-1", "ReadOnly": "false"}
    return {"EventName": name, "CloudTrailEvent": json.dumps(told), **common}


def issues_of(github: FakeGitHub, **environ: str) -> Issues:
    settings = read_settings(
        {"HOME": "/nowhere", **github.environ, **environ}, state_dir="/nowhere", issue="github:acme/ops"
    )
    assert settings.issues is not None
    return settings.issues


def update(issues: Issues, *records: RunRecord, trail: Trail | None = None, steps: Sequence[Step] = ()) -> list[str]:
    """What was said of each run that said something."""
    said = []

    async def main() -> None:
        aws = Aws(trail or Trail(), max_workers=0, speed=1000)
        for record in records:
            try:
                await issues.update(record, aws, steps)
            except RecordError as error:
                said.append(str(error))

    asyncio.run(main())
    return said


class TestGitHub:
    """The life of an issue."""

    def test_opened_left_alone_commented_closed_opened_again(self, github: FakeGitHub) -> None:
        assert not update(issues_of(github), made(), left())
        [issue] = github.issues
        assert (issue["title"], issue["state"]) == ("shop (eu-west-1, 123456789012): requires manual action", "open")
        assert "`replace instance.web-1`" in issue["body"]
        assert "replacements are for a person" in issue["body"]
        marker = find_marker(issue["body"])
        assert marker is not None
        assert marker.stack == "shop"
        writes = len(github.writes)
        # another process, a later run, the same drift: nothing is written
        assert not update(issues_of(github), left(run="1" * 32, ended="2026-11-24T03:05:00Z"))
        assert len(github.writes) == writes
        assert not update(issues_of(github), left(REPLACE, HELD))
        assert github.comments[1] == [
            "2 steps require manual action: `replace instance.web-1`, `update target_group.web`"
        ]
        assert "port: 80 → 81" in issue["body"]
        assert not update(issues_of(github), failed())
        assert issue["title"].endswith("runs fail")
        assert not update(issues_of(github), corrected())
        assert issue["state"] == "closed"
        assert "The stack is in sync" in github.comments[1][-1]
        closed = len(github.writes)
        assert not update(issues_of(github), made())
        assert len(github.writes) == closed
        assert not update(issues_of(github), left())
        assert (len(github.issues), issue["state"]) == (1, "open")

    def test_a_new_dns_name_is_a_comment(self, github: FakeGitHub) -> None:
        """Later rounds know nothing of it, and write the body anew."""
        told = "`load_balancer.public: another DNS name than before, new.example.com`"
        assert not update(issues_of(github), left(REPLACE, RENAMED), left())
        assert github.comments[1] == [f"1 step requires manual action: `replace instance.web-1`\n\n- {told}"]
        assert not update(issues_of(github), corrected(steps=(RENAMED,)))
        assert github.comments[1][-1].endswith(f"\n\n- {told}")

    @pytest.mark.parametrize("record", [left(result="held"), left(result="interrupted"), made(not_ready=("x",))])
    def test_runs_that_say_nothing(self, github: FakeGitHub, record: RunRecord) -> None:
        assert not update(issues_of(github), record)
        assert not github.asked

    def test_stacks_of_other_accounts(self, github: FakeGitHub) -> None:
        """A run that didn't get to know its account counts for the one that there is."""
        assert not update(issues_of(github), failed(account=""), left(), failed(account=""))
        assert len(github.issues) == 1
        assert not update(issues_of(github), left(account="999999999999"), failed(account=""))
        assert len(github.issues) == 3  # whose it is can't be said
        assert not update(issues_of(github), made(command="destroy"))
        assert [issue["state"] for issue in github.issues[:2]] == ["closed", "open"]

    def test_found_on_a_later_page_and_among_issues_of_others(self, github: FakeGitHub) -> None:
        assert not update(issues_of(github), left())
        body = github.issues[0]["body"]
        for _ in range(120):
            github.add("somebody's", labels=("alb-reconcile",))
        github.add(body, labels=("alb-reconcile",), pull_request={"url": "x"})
        assert not update(issues_of(github), made())
        assert github.issues[0]["state"] == "closed"
        assert github.issues[-1]["state"] == "open"

    def test_many_stacks_are_listed_once_and_written_at_a_pace(self, github: FakeGitHub) -> None:
        assert not update(issues_of(github), *(left(stack=f"s-{number}") for number in range(40)))
        assert len(github.issues) == 30
        assert sum("state=open" in line for line in github.asked) == 1

    def test_what_a_stranger_has_written_is_text_and_the_largest_fits(self, github: FakeGitHub) -> None:
        evil = replace(REPLACE, reason="--> <b>@acme/all</b> `x` #1", changes=("tags.x: ~~~~ → <script>",))
        assert not update(issues_of(github), left(evil))
        body = github.issues[0]["body"]
        assert "`` --> <b>@acme/all</b> `x` #1 ``" in body
        assert "~~~~~text\ntags.x: ~~~~ → <script>\n~~~~~" in body
        wide = replace(REPLACE, reason="x" * 500, changes=("y" * 400,) * 50)
        large = [replace(wide, key=f"replace:instance.{number}") for number in range(200)]
        assert not update(issues_of(github), left(*large, stack="large", error="z" * 500))
        assert len(github.issues) == 2


class TestRefusals:
    """Whatever GitHub answers is one line, and the run goes on."""

    @pytest.mark.parametrize(
        ("status", "headers", "told"),
        [
            (401, {}, "doesn't accept the token"),
            (403, {}, "give it the permission Issues: write"),
            (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1764212400"}, "used up until 2025-11-27T03:00:00Z"),
            (429, {"retry-after": "60"}, "rate limit is used up;"),
            (404, {}, "no repository acme/ops"),
            (403, {"": "You have exceeded a secondary rate limit"}, "rate limit is used up"),
        ],
    )  # fmt: skip
    def test_told_once_for_all(self, github: FakeGitHub, status: int, headers: dict[str, str], told: str) -> None:
        github.message = headers.pop("", "no")
        github.refusals = [(status, headers)]
        [line] = update(issues_of(github), left(), left(stack="other"))
        assert told in line
        assert TOKEN not in line
        assert len(github.asked) == 1
        assert not update(issues_of(github), left())
        assert len(github.issues) == 1

    def test_one_that_is_refused_is_told_for_itself(self, github: FakeGitHub) -> None:
        issues = issues_of(github)
        update(issues, left())
        github.refusals = [(422, {})]
        [line] = update(issues, left(REPLACE, HELD), left(stack="other"))
        assert "the issue of shop in acme/ops at 127.0.0.1" in line
        assert "(status 422): no" in line
        assert len(github.issues) == 2

    @pytest.mark.parametrize(
        ("place", "environ", "told"),
        [
            ("github:acme", {"GITHUB_TOKEN": TOKEN}, "write github:OWNER/REPO"),
            ("github:acme/ops", {}, "set GITHUB_TOKEN"),
            ("github:acme/ops", {"GITHUB_TOKEN": f"{TOKEN}\n"}, "no token has"),
            ("github:acme/ops", {"GITHUB_TOKEN": TOKEN, "GITHUB_API_URL": "http://ghe.example"}, "write https://"),
            ("gitlab:acme/ops", {}, "github:OWNER/REPO or a folder"),
        ],
    )
    def test_mistakes_are_told_before_the_run(self, place: str, environ: dict[str, str], told: str) -> None:
        with pytest.raises(UsageError, match=told) as found:
            read_settings(environ, state_dir="/nowhere", issue=place)
        assert TOKEN not in str(found.value)

    def test_the_token_is_masked(self, github: FakeGitHub) -> None:
        settings = read_settings(github.environ, state_dir="/nowhere", issue="github:acme/ops")
        assert TOKEN not in settings.mask.line(f"it said {TOKEN}") + repr(settings)


class TestWhoItWas:
    """CloudTrail's last change, if it says so."""

    def test_the_last_change(self, github: FakeGitHub) -> None:
        reads = event("arn:aws:iam::1:user/reader", readOnly=True) | {"ReadOnly": "true"}
        refused = event("arn:aws:iam::1:user/denied", errorCode="AccessDenied")
        trail = Trail(reads, refused, event("arn:aws:iam::1:user/ann"), event("arn:aws:iam::1:user/bob"))
        assert not update(issues_of(github), left(HELD), trail=trail)
        line = "- Last changed by `arn:aws:iam::1:user/ann`: `ModifyTargetGroup`, 2026-11-24T02:50:00Z, CloudTrail event `e-1`"
        assert line in github.issues[0]["body"].splitlines()
        assert not update(issues_of(github), left(HELD), trail=trail)
        assert trail.asked == 1  # it is said


class TestFolder:
    """The same as Markdown files."""

    def test_the_life_of_a_file(self, tmp_path: Path) -> None:
        folder = tmp_path / "issues"

        def issues(place: Path = folder) -> Issues:
            found = read_settings({}, state_dir="/nowhere", issue=str(place)).issues
            assert found is not None
            return found

        assert not update(issues(), made())
        assert not folder.exists()
        evil = replace(REPLACE, reason="## History")
        assert not update(issues(), left(evil))
        [file] = folder.glob("*.md")
        assert file.name == "123456789012_eu-west-1_shop.md"
        assert file.stat().st_mode & 0o777 == 0o600
        first = file.read_text(encoding="utf-8")
        assert first.startswith("# shop (eu-west-1, 123456789012): requires manual action\n\nState: open\n")
        assert not update(issues(), left(evil, ended="2026-11-24T03:05:00Z"))
        assert file.read_text(encoding="utf-8") == first
        assert not update(issues(), left(evil, HELD), made())
        lines = file.read_text(encoding="utf-8").splitlines()
        assert "State: closed" in lines
        assert [line.partition(": ")[2][:19] for line in lines[lines.index("## History") + 2 :]] == [
            "opened", "2 steps require man", "The stack is in syn",
        ]  # fmt: skip
        assert not update(issues(), left(evil))
        assert "State: open" in file.read_text(encoding="utf-8")
        (notes := folder / "notes.md").write_text("mine", encoding="utf-8")
        assert not update(issues(), left(), made())
        assert notes.read_text(encoding="utf-8") == "mine"
        [line] = update(issues(notes), left())
        assert "can't be written" in line
