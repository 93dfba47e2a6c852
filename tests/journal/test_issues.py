"""One issue a stack: opened, changed, closed; in GitHub and in a folder."""

from __future__ import annotations

import asyncio
import json
import shlex
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.aws.client import Aws
from alb_reconcile.journal.files import RecordError
from alb_reconcile.journal.issues.content import find_marker
from alb_reconcile.journal.issues.keeping import Issues
from alb_reconcile.journal.record import DESTROY_BEGUN, NOTHING_THERE, StepRecord
from alb_reconcile.journal.settings import read_settings
from alb_reconcile.model.errors import AwsError, UsageError
from alb_reconcile.model.plan import Step
from tests.journal.github import TOKEN, FakeGitHub, fake_github
from tests.journal.records import FAILED, RENAMED, REPLACE, corrected, failed, left, made

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from alb_reconcile.journal.record import Record

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


def update(issues: Issues, *records: Record, trail: Trail | None = None, steps: Sequence[Step] = ()) -> list[str]:
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

    @pytest.mark.parametrize(
        "reason",
        [
            "it is there already; alb-reconcile adopt --sandbox stack.yaml load_balancer.public=arn:1 takes it over",
            "apply refuses it as a whole: plan says why",
            "its last run was in eu-west-1: is this the right region?",
            "",
        ],
    )
    def test_what_apply_would_make_a_second_time_isnt_applied(self, github: FakeGitHub, reason: str) -> None:
        """The commands are those for the sandbox, where the stack is there."""
        step = replace(REPLACE, reason=reason) if reason else REPLACE
        update(issues_of(github), left(step, place="sandbox", spec_file="my; stack.yaml"))
        body = github.issues[0]["body"]
        assert f"- Left, since `{step.reason}`" in body
        end = " once that is seen to." if reason else ", and `apply --sandbox` does it"
        assert f"`alb-reconcile plan --sandbox 'my; stack.yaml'` shows what is to be done{end}" in body
        assert ("`apply --sandbox` does it" in body) == (not reason)

    @pytest.mark.parametrize(
        ("reason", "told"),
        [
            ("the spec has changed", "The spec was changed, and isn't applied."),
            (DESTROY_BEGUN, "A destroy has deleted it."),
            (f"{NOTHING_THERE}, as it was destroyed on this host", ""),
        ],
    )
    def test_who_has_changed_it(self, github: FakeGitHub, reason: str, told: str) -> None:
        step = StepRecord("create:load_balancer.public", "create", "spec", "withheld", reason=reason)
        assert not update(issues_of(github), left(step))
        body = github.issues[0]["body"]
        assert f"- Left, since `{reason}`" in body
        words = ("The spec was changed, and isn't applied.", "A destroy has deleted it.")
        assert [word for word in words if word in body] == [told] * bool(told)

    def test_a_run_without_steps_says_what_isnt_ready(self, github: FakeGitHub) -> None:
        none = failed(steps=(), not_ready=("target_group.web: none of its 2 targets is healthy",))
        assert not update(issues_of(github), none)
        issue = github.issues[0]
        assert "- `target_group.web: none of its 2 targets is healthy`" in issue["body"]
        assert "alb-reconcile status shop.yaml" in issue["body"]
        assert "apply" not in issue["body"]
        assert not update(issues_of(github), made(not_ready=("target_group.web: 1 of its 2 targets is unhealthy",)))
        assert issue["state"] == "open"
        assert not update(issues_of(github), failed(steps=(), error="no AWS credentials were found"))
        assert "apply" not in issue["body"]

    @pytest.mark.parametrize("record", [left(result="held"), left(result="interrupted"), made(not_ready=("x",))])
    def test_runs_that_say_nothing(self, github: FakeGitHub, record: Record) -> None:
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

    def test_a_token_that_may_not_set_labels(self, github: FakeGitHub) -> None:
        github.may_label = False
        assert not update(issues_of(github), left())
        assert not update(issues_of(github), left(REPLACE, HELD))
        assert len(github.issues) == 1
        assert not update(issues_of(github), made())
        assert github.issues[0]["state"] == "closed"

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
            (410, {}, "has no issues"),
            (301, {"Location": "http://127.0.0.1/elsewhere"}, "has moved"),
            (502, {}, "status 502"),
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

    def test_one_that_was_deleted_is_opened_anew(self, github: FakeGitHub) -> None:
        issues = issues_of(github)
        assert not update(issues, left())
        github.issues[0]["number"] = 99  # and nobody's any more
        github.issues[0]["body"] = ""
        [line] = update(issues, left(REPLACE, HELD), left(REPLACE, HELD))
        assert "#1 was deleted or moved" in line
        assert len(github.issues) == 2

    def test_nobody_answers(self, github: FakeGitHub) -> None:
        [line] = update(issues_of(github, GITHUB_API_URL="http://127.0.0.1:1"), left())
        assert "connect" in line.lower()

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

    def test_events_come_late_and_nobody_is_blamed_before(self, github: FakeGitHub) -> None:
        own = event("arn:aws:iam::1:role/sync", agent="Boto3/1 alb-reconcile")
        trail = Trail(own, event("arn:aws:iam::1:user/bob"))
        assert not update(issues_of(github), left(HELD), trail=trail)
        body = github.issues[0]["body"]
        assert "bob" not in body
        assert "CloudTrail has none yet, or has to be asked by you." in body
        assert f"--lookup-attributes AttributeKey=ResourceName,AttributeValue={HELD.id}`" in body
        trail.events.insert(0, event("arn:aws:iam::1:user/ann"))
        assert not update(issues_of(github), left(HELD, ended="2026-11-24T03:05:00Z"), trail=trail)
        assert "user/ann" in github.issues[0]["body"]
        assert not github.comments  # it isn't news of the stack

    def test_the_command_asks_for_what_cloudtrail_knows(self, github: FakeGitHub) -> None:
        """A target's group, as no target has a name there; and what has lost its tags, where something else waits for it."""
        target = replace(HELD, key="delete:registration.web/web-1", id=f"{GROUP}|i-0123456789abcdef0:81")
        lost = "subnet-0123456789abcdef0 is there already, at vpc.main, and no stack owns it"
        route = replace(HELD, key="update:route_table.main", id="rtb-0123456789abcdef0", reason=lost)
        made = replace(FAILED, id="", error=f"{lost[:24]} has 10.0.0.0/24 in vpc-1, and no stack owns it")
        for step, name in (
            (target, GROUP), (route, lost[:24]), (made, lost[:24]), (replace(HELD, id="arn:a;b"), "arn:a;b"),
        ):  # fmt: skip
            assert not update(issues_of(github), left(step), trail=(trail := Trail()))
            assert trail.names == [name]
            attribute = shlex.quote(f"AttributeKey=ResourceName,AttributeValue={name}")
            assert f"--lookup-attributes {attribute}`" in github.issues[0]["body"]

    def test_since_when_it_is_so(self, github: FakeGitHub) -> None:
        """Though the runs since had other errors; and CloudTrail is asked again for an hour from each."""
        moments = [f"2026-11-24T{hour:02}:00:00Z" for hour in (3, 5, 7)]
        for moment, code in zip(moments, ("AccessDenied", "Throttling", "Throttling"), strict=True):
            assert not update(issues_of(github), failed(ended=moment, code=code))
            assert f"Since: {moments[0]}" in github.issues[0]["body"]
        assert not update(issues_of(github), left(ended="2026-11-24T08:00:00Z"))
        assert "Since: 2026-11-24T08:00:00Z" in github.issues[0]["body"]
        trail = Trail()
        for minute in (0, 30, 59):
            assert not update(issues_of(github), left(HELD, ended=f"2026-11-24T10:{minute:02}:00Z"), trail=trail)
        assert (trail.asked, "Since: 2026-11-24T08:00:00Z" in github.issues[0]["body"]) == (3, True)

    def test_who_may_not_ask(self, github: FakeGitHub) -> None:
        trail = Trail(error="AccessDeniedException")
        other = replace(HELD, key=f"update:target_group.api@{GROUP}2", id=f"{GROUP}2")
        assert not update(issues_of(github), left(HELD, other), left(HELD, other), trail=trail)
        assert github.issues[0]["body"].count("may not call `cloudtrail:LookupEvents`") == 1
        assert trail.asked == 1


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
