"""Verdicts from answers made by hand: what a bench of servers can't bring about at will."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.cli.render.style import Style
from alb_reconcile.cli.render.verify import verify_text
from alb_reconcile.model.actions import Action, Forward, canonical
from alb_reconcile.model.address import Address
from alb_reconcile.verification import site
from alb_reconcile.verification.attribution import DEMO, Attribution
from alb_reconcile.verification.checks import Check
from alb_reconcile.verification.client import Endpoint, Reply, Shot
from alb_reconcile.verification.expect import ANSWERED, Statuses, mismatch
from alb_reconcile.verification.judge import Finding, Tally, judge, percentiles
from alb_reconcile.verification.load import Answer
from alb_reconcile.verification.matching import Request
from alb_reconcile.verification.session import Report
from alb_reconcile.verification.shares import AnsweringTarget, Group

if TYPE_CHECKING:
    from collections.abc import Sequence

ENDPOINT = Endpoint("127.0.0.1", 8080, 80)
SHOT = Shot("k", ENDPOINT, Request("shop.example.com", "/a/b", query=(("q", "1"),)))
ONE, TWO = AnsweringTarget("i-1", 80, "healthy", "", "web-1"), AnsweringTarget("i-2", 80, "healthy", "", "web-2")
WEB = Group("web", "web", (ONE, TWO))
LOOSE = replace(WEB, uneven="least_outstanding_requests doesn't share equally")


def verdict(
    targets: Sequence[str | None], before: Group = WEB, after: Group = WEB, *more: Group, weight: int = 1,
    how: Attribution = DEMO,
) -> Finding:  # fmt: skip
    groups = {item.arn: item for item in (before, *more)}
    action = Action(forward=tuple(Forward(arn, 1 if arn == before.arn else weight) for arn in groups))
    tally = Tally(Check(Address("rule", "r"), "", "http", 80, action), ANSWERED, {})
    for target in targets:
        tally.add(Answer(SHOT, 0, 0, 0.01, Reply(200, "1.1", target=target, seen=("name",))))
    return judge(tally, groups, {**groups, after.arn: after}, how, 3)


class TestShares:
    """When they are judged."""

    @pytest.mark.parametrize(
        ("before", "after", "note"),
        [
            (WEB, replace(WEB, targets=(ONE, replace(TWO, health="unhealthy"))), "health changed meanwhile"),
            (LOOSE, LOOSE, "least_outstanding_requests doesn't share equally"),
        ],
    )
    def test_not_while_health_changes_nor_where_a_group_need_not_share_equally(
        self, before: Group, after: Group, note: str
    ) -> None:
        found = verdict(["i-1"] * 90 + ["i-2"] * 10, before, after)
        assert (found.state, [row.within for row in found.shares]) == ("ok", [None, None])
        assert any(note in text for text in found.notes)

    def test_a_target_that_came_meanwhile_is_no_stranger(self) -> None:
        grown = replace(WEB, targets=(*WEB.targets, AnsweringTarget("i-3", 80, "healthy")))
        assert verdict(["i-1", "i-2", "i-3"] * 20, WEB, grown).unknown == {}
        assert verdict(["i-1", "i-2", "i-3"] * 20).unknown == {"i-3": 20}

    def test_a_target_that_joins_or_leaves_meanwhile_is_no_failure(self) -> None:
        """As in a roll: it is judged by how it is in the end."""
        joins = replace(WEB, targets=(ONE, replace(TWO, health="initial")))
        answers = ["i-1"] * 60
        assert verdict(answers, joins, WEB).state == "ok"
        assert verdict(answers, joins, replace(WEB, targets=(ONE,))).state == "ok"
        assert verdict(answers, joins, joins).problems == ("web-2 of web: not healthy, so the others get all requests",)
        stopped = replace(WEB, targets=tuple(replace(item, health="unused") for item in (ONE, TWO)))
        told = "web-1, web-2 of web: not healthy, so nobody gets its requests"
        assert told in verdict(answers, stopped, stopped).problems
        alone = replace(WEB, targets=(replace(ONE, health="initial"),))
        assert verdict(answers, alone, replace(WEB, targets=(ONE,))).state == "ok"
        (problem,) = verdict(answers, alone, alone).problems
        assert problem.endswith("(fail-open)")

    def test_a_group_without_targets_is_a_failure_unless_it_weighs_nothing(self) -> None:
        empty = Group("empty", "empty")
        found = verdict(["i-1", "i-2"] * 30, WEB, WEB, empty)
        assert found.problems == ("empty has no registered targets",)
        assert verdict(["i-1", "i-2"] * 30, WEB, WEB, empty, weight=0).state == "ok"

    def test_a_target_that_isnt_registered_is_named(self) -> None:
        """What is there answers all requests, which is no failure."""
        half = replace(WEB, targets=(ONE,), absent=("registration.web/web-2:80",))
        found = verdict(["i-1"] * 60, half, half)
        assert found.state == "ok"
        assert any("registration.web/web-2:80" in note for note in found.notes)

    def test_a_group_to_which_nothing_forwards_is_told_as_that(self) -> None:
        """Somebody has given the listener a fixed response: no target is ill, and there are no others."""
        told = "Target.NotInUse Target group is not configured to receive traffic"
        unused = replace(WEB, targets=tuple(replace(item, health="unused", reason=told) for item in (ONE, TWO)))
        found = verdict([None] * 60, unused, unused)
        assert "web gets no requests: nothing that listens forwards to it now; see alb-reconcile plan" in found.problems
        assert not any("the others" in text for text in found.problems)
        text = verify_text(Report("demo", "us-east-1", "1", (found,)), Style(colored=False))
        assert "0.0%  ✓" not in text

    def test_nothing_sent_is_nothing_proved(self) -> None:
        found = verdict([])
        assert found.state == "failed"
        assert "before a request was sent" in found.problems[0]


class TestAttribution:
    """Answers that don't say which target sent them."""

    def test_they_are_a_note_unless_an_attribute_was_asked_for(self) -> None:
        found = verdict([None] * 60)
        assert (found.state, found.unattributed, found.right) == ("ok", 60, 60)
        assert [(row.share, row.within) for row in found.shares] == [(None, None), (None, None)]
        (note,) = found.notes
        assert note == (
            'not attributed: 60 of 60 answers have no JSON field "instance_id" (they have name), so shares aren\'t judged; '
            "choose --attribute"
        )
        asked = verdict([None] * 60, how=Attribution.parse("json:instance_id"))
        assert (asked.state, asked.unattributed, asked.right) == ("failed", 60, 0)
        assert not any("not attributed" in note for note in asked.notes)
        text = verify_text(Report("demo", "us-east-1", "1", (asked,)), Style(colored=False))
        words = "0 of 1 listeners and rules are as they should be, 0 of 60 requests were answered as expected"
        assert text.splitlines()[-1] == f"Not verified: {words}."
        answers = ["i-1", "i-2"] * 30 + [None]
        assert verdict(answers).state == "ok"
        assert verdict(answers, how=Attribution.parse("json:instance_id")).state == "failed"

    def test_a_share_is_judged_where_the_others_answers_leave_no_doubt(self) -> None:
        """Of 100 answers to two targets, one without a name hides nothing, and half of them may be the silent target's."""
        one = verdict(["i-1"] * 50 + ["i-2"] * 49 + [None])
        assert [row.within for row in one.shares] == [True, True]
        half = verdict(["i-1"] * 50 + [None] * 50)
        assert (half.state, [row.within for row in half.shares]) == ("ok", [None, None])
        assert [row.share for row in half.shares] == [0.5, None]
        assert any("50 of 100 answers" in note and "so shares aren't judged" in note for note in half.notes)
        much = verdict(["i-1"] * 90 + [None] * 10)
        assert (much.state, [row.within for row in much.shares]) == ("failed", [False, False])
        assert much.problems == (
            "web-1 answered 90.0% of the requests instead of 50.0%: more than chance",
            "web-2 answered at most 10.0% of the requests instead of 50.0%: more than chance",
        )

    def test_what_is_judged_of_it_is_told(self) -> None:
        """One answer may be of a target that is to get none."""
        idle = Group("idle", "idle", (AnsweringTarget("i-3", 80, "healthy"),))
        found = verdict(["i-1"] * 50 + ["i-2"] * 49 + [None], WEB, WEB, idle, weight=0)
        assert (found.state, [row.within for row in found.shares]) == ("ok", [True, True, None])
        assert any("so some shares aren't judged" in note for note in found.notes)

    def test_by_weight_a_group_that_names_its_targets_is_judged(self) -> None:
        new = Group("new", "new", (AnsweringTarget("i-3", 80, "healthy", "", "new-1"),))
        right = verdict(["i-1", "i-2"] * 25 + [None] * 50, WEB, WEB, new)
        assert right.state == "ok"
        assert [row.within for row in right.shares] == [None, None, None]
        wrong = verdict(["i-1", "i-2"] * 45 + [None] * 10, WEB, WEB, new)
        assert (wrong.state, [row.within for row in wrong.shares]) == ("failed", [False, False, False])


class TestExpectation:
    """Redirects and fixed responses, to the letter that matters."""

    @pytest.mark.parametrize(
        ("config", "location", "right"),
        [
            ({"protocol": "HTTPS", "port": 443}, "https://shop.example.com:443/a/b?q=1", True),
            ({"protocol": "HTTPS", "port": 443}, "https://SHOP.example.com/a/b?q=1", True),
            ({"protocol": "HTTPS", "port": 443}, "https://shop.example.com:54321/a/b?q=1", True),
            ({"protocol": "HTTPS", "port": 443}, "https://shop.example.com:444/a/b?q=1", False),
            ({"protocol": "HTTPS", "port": 443}, "https://shop.example.com/a/b", False),
            ({"protocol": "HTTPS", "port": 443}, "http://shop.example.com/a/b?q=1", False),
            ({"host": "www.#{host}", "path": "/x/#{path}", "query": ""}, "http://www.shop.example.com/x/a/b", True),
            ({"host": "www.#{host}", "path": "/x/#{path}", "query": "p=#{query}"}, "http://www.shop.example.com/x/a/b?p=q=1", True),
            ({"host": "other.example.com"}, "http://shop.example.com/a/b?q=1", False),
            ({"host": "other.example.com"}, "http://[", False),
            ({"host": "other.example.com"}, "", False),
        ],
    )  # fmt: skip
    def test_redirects(self, config: dict[str, object], location: str, right: bool) -> None:
        action = Action(redirect=canonical({"status_code": "HTTP_302", **config}))
        reply = Reply(302, "1.1", headers={"location": location})
        assert (mismatch(action, SHOT, reply, ANSWERED, {54321: 443}) == "") == right
        assert "status 301 instead of the redirect's 302" in mismatch(action, SHOT, Reply(301, "1.1"), ANSWERED, {})

    @pytest.mark.parametrize(
        ("status", "kind", "body", "wrong"),
        [
            (418, "text/plain; charset=utf-8", b"tea", ""),
            (404, "text/plain", b"tea", "status 404 instead of the fixed response's 418"),
            (418, "text/plain", b"tea?", "the body isn't the fixed response's"),
            (418, "text/html", b"tea", 'the content type is "text/html" instead of "text/plain"'),
        ],
    )
    def test_fixed_responses(self, status: int, kind: str, body: bytes, wrong: str) -> None:
        action = Action(fixed_response=canonical({"status_code": 418, "message_body": "tea"}))
        reply = Reply(status, "1.1", headers={"content-type": kind}, body=body)
        assert mismatch(action, SHOT, reply, ANSWERED, {}) == wrong

    def test_statuses(self) -> None:
        some = Statuses.parse("200,301-308")
        assert [status in some for status in (199, 200, 201, 300, 301, 308, 309)] == [
            False, True, False, False, True, True, False,
        ]  # fmt: skip
        for text in ("", "99", "200-", "300-200", "600", "2xx"):
            with pytest.raises(ValueError, match="write 200, 200-399"):
                Statuses.parse(text)

    def test_percentiles_are_of_what_was_seen(self) -> None:
        assert percentiles([n / 1000 for n in range(100, 0, -1)]) == {"p50": 50, "p95": 95, "p99": 99}
        assert percentiles([0.2]) == {"p50": 200, "p95": 200, "p99": 200}
        assert percentiles([]) == {}


class TestNames:
    """A load balancer's name needs minutes until it resolves."""

    def test_it_is_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(site, "_POLL", 0.01)
        said: list[str] = []

        async def main() -> str:
            tries = iter([OSError("not yet"), OSError("not yet"), None])

            async def lookup(*_: object, **__: object) -> list[object]:
                error = next(tries)
                if error:
                    raise error
                return []

            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
            return await site._resolve("new.example.com", 60, said.append)

        assert asyncio.run(main()) == ""
        assert said == ["waiting up to 60 s for new.example.com to resolve"]
