"""Notifications: each change of state reaches its receiver once; not on each run, not too often, and never not at all."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.journal.files import RecordError
from alb_reconcile.journal.notify import State, judge, notify
from alb_reconcile.journal.webhook import Webhook, make_webhook
from tests.journal.receiver import Receiver, receiving
from tests.journal.records import FAILED, REPLACE, UPDATE, corrected, failed, left, made

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alb_reconcile.journal.record import RunRecord

IN_SYNC, FAILING, DRIFT = State("in_sync"), State("failing"), State("drift", (REPLACE.key,))
AGAIN = replace(UPDATE, key="create:rule.public/http/soon", action="create")
OTHER = replace(REPLACE, key="delete:subnet.x")
SPEC = replace(REPLACE, key="update:vpc.main", cause="spec")
ONE = "1 resource requires manual action: replace instance.web-1: replacements are for a person"
REFUSED = made(result="refused", exit_code=4)


@pytest.mark.parametrize(
    ("before", "record", "after", "event"),
    [
        (None, made(), IN_SYNC, None),
        (None, failed(), FAILING, "failing"),
        (None, left(), DRIFT, "drift_detected"),
        (None, corrected(), IN_SYNC, "corrected"),
        (None, corrected(steps=(replace(UPDATE, cause="spec"),)), IN_SYNC, None),
        (IN_SYNC, made(), IN_SYNC, None),
        (IN_SYNC, failed(), FAILING, "failing"),
        (IN_SYNC, left(SPEC), State("drift", (SPEC.key,)), "spec_unapplied"),
        (IN_SYNC, left(SPEC, OTHER), State("drift", (OTHER.key, SPEC.key)), "drift_detected"),
        (FAILING, failed(), FAILING, None),
        (FAILING, made(), IN_SYNC, "recovered"),
        (FAILING, corrected(), IN_SYNC, "recovered"),
        (DRIFT, corrected(), IN_SYNC, "recovered"),
        (FAILING, left(), DRIFT, "drift_detected"),
        (DRIFT, left(), DRIFT, None),
        (DRIFT, left(REPLACE, OTHER), State("drift", (OTHER.key, REPLACE.key)), "drift_detected"),
        (State("drift", (OTHER.key, REPLACE.key)), left(), DRIFT, None),
        (DRIFT, left(REPLACE, UPDATE), DRIFT, "corrected"),
        (DRIFT, made(command="apply"), IN_SYNC, "recovered"),
        (DRIFT, failed(), FAILING, "failing"),
        (IN_SYNC, REFUSED, FAILING, "failing"),
        (FAILING, REFUSED, FAILING, None),
        (DRIFT, replace(REFUSED, command="apply"), DRIFT, None),
        (DRIFT, made(result="held"), DRIFT, None),
        (FAILING, made(result="interrupted"), FAILING, None),
        (FAILING, made(command="apply", not_ready=("load_balancer.public is provisioning",)), FAILING, None),
        (FAILING, made(not_ready=("one of two is unhealthy",)), FAILING, None),
        (IN_SYNC, corrected(not_ready=("one of two is unhealthy",)), IN_SYNC, "corrected"),
        (IN_SYNC, failed(steps=(), not_ready=("none is healthy",)), FAILING, "failing"),
        (IN_SYNC, failed(command="apply", steps=(), not_ready=("none is healthy",)), FAILING, "failing"),
        (FAILING, made(command="destroy", result="corrected"), None, None),
        (IN_SYNC, failed(command="destroy"), FAILING, "failing"),
    ],
)  # fmt: skip
def test_what_is_told(before: State | None, record: RunRecord, after: State | None, event: str | None) -> None:
    assert judge(before, record) == (after, event)


class Post:
    """A receiver, and runs that end one after the other."""

    def __init__(self, folder: Path, receiver: Receiver) -> None:
        self.folder, self.receiver = folder, receiver
        self.now = 1_000_000.0
        webhook = make_webhook(receiver.url, "a secret of some length", private=True, plain=True)
        self.webhook: Webhook = replace(webhook, timeout=20.0)

    def run(self, record: RunRecord, after: float = 300.0) -> str:
        self.now += after
        return asyncio.run(notify(self.webhook, self.folder, record, lambda: self.now))

    def lose(self, record: RunRecord, after: float = 300.0) -> str:
        with pytest.raises(RecordError) as caught:
            self.run(record, after)
        return str(caught.value)

    @property
    def events(self) -> list[str]:
        return [f"{message['stack']}: {message['event']}" for message in self.messages]

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, _, _, body in self.receiver.requests]


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    with receiving() as receiver:
        yield Post(tmp_path / "state", receiver)


def test_only_changes_are_told(post: Post) -> None:
    records = (made(), made(), left(), left(), corrected(), made(), failed(), failed(), made(), made())
    assert [post.run(record) for record in records].count("sent") == 4
    assert post.events == ["shop: drift_detected", "shop: recovered", "shop: failing", "shop: recovered"]


def test_a_message(post: Post) -> None:
    """The documented keys, since webhooks are read by other programs; of each step the first ten properties."""
    post.run(left(replace(REPLACE, changes=tuple(f"tags.{n}: 1 → 2" for n in range(12))), FAILED, UPDATE))
    (message,) = post.messages
    assert list(message) == [
        "version", "event", "text", "run", "command", "stack", "region", "account", "place", "started", "ended", "result",
        "host", "error", "code", "counts", "left", "failed", "corrected",
    ]  # fmt: skip
    assert list(message["left"][0]) == ["key", "action", "cause", "code", "error", "request_id", "reason", "changes"]
    assert message["text"] == f"shop (eu-west-1): {ONE}; tags.0: 1 → 2; 1 difference corrected"
    names = ("version", "event", "run", "command", "region", "account", "started", "result", "host")
    assert [message[name] for name in names] == [
        1, "drift_detected", "0" * 32, "sync", "eu-west-1", "123456789012", "2026-11-24T03:00:00Z", "left", "ops-1",
    ]  # fmt: skip
    assert [(item["key"], item["reason"]) for item in message["left"]] == [(REPLACE.key, REPLACE.reason)]
    assert message["left"][0]["changes"] == [f"tags.{n}: 1 → 2" for n in range(10)]
    assert [(item["code"], item["request_id"]) for item in message["failed"]] == [("AccessDenied", "req-1")]
    assert [item["key"] for item in message["corrected"]] == [UPDATE.key]
    assert post.receiver.requests[0][2]["webhook-id"] == f"{'0' * 32}-drift_detected"


def test_stacks_are_told_apart(post: Post) -> None:
    """An emulator is a place of its own."""
    for other in ({}, {"region": "us-east-1"}, {"account": "210987654321"}, {"stack": "blog"}, {"place": "sandbox"}):
        post.run(failed(**other))
    assert len(post.events) == 5
    post.run(made(stack="blog"))
    assert post.events[5:] == ["blog: recovered"]


@pytest.mark.parametrize("status", [500, 302])
def test_what_could_not_be_told_goes_with_the_next_run(post: Post, status: int) -> None:
    """But once in a while only: a receiver that hangs costs its time-out each time."""
    post.receiver.status = status
    assert post.lose(failed()).startswith("the webhook at http://127.0.0.1 didn't get 'failing': it answered with ")
    assert post.run(failed(), after=5.0) == "held_back"
    assert post.lose(failed()).endswith("The next run tries again")
    post.receiver.status = 200
    assert [post.run(failed()), post.run(failed())] == ["sent", "unchanged"]
    assert post.events == ["shop: failing"] * 3


def test_a_correction_is_told_though_all_is_in_order_since(post: Post) -> None:
    """What had passed before it could be told isn't."""
    post.receiver.status = 500
    post.lose(corrected(run="1"))
    post.lose(failed(stack="blog"))
    post.receiver.status = 200
    assert post.run(made(stack="blog")) == "unchanged"
    assert [post.run(made(run="2")), post.run(made(run="3"))] == ["sent", "unchanged"]
    assert [message["run"] for message in post.messages if message["stack"] == "shop"] == ["1", "1"]
    ids = {headers["webhook-id"] for _, _, headers, _ in post.receiver.requests}
    assert "1-corrected" in ids  # the same message again, for a receiver whose answer was lost
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("record", "event", "text"),
    [
        (corrected(run="3", steps=(AGAIN,)), "corrected", "2 differences corrected"),
        (corrected(run="3"), "corrected", "1 difference corrected"),
        (left(run="3"), "drift_detected", f"{ONE} (earlier runs corrected 1 difference)"),
        (failed(run="3"), "failing", "failing: it was denied (earlier runs corrected 1 difference)"),
    ],
)
def test_a_correction_that_was_held_back_goes_with_what_follows(
    post: Post, record: RunRecord, event: str, text: str
) -> None:
    """It isn't lost, though the next message is about something else."""
    post.run(corrected(run="1", steps=(AGAIN,)))
    assert post.run(corrected(run="2"), after=20.0) == "held_back"
    assert post.run(record, after=63.0) == "sent"
    message = post.messages[1]
    assert (message["event"], message["text"]) == (event, f"shop (eu-west-1): {text}")
    assert UPDATE.key in [step["key"] for step in message["corrected"]]


def test_what_cant_be_kept_is_told_all_the_same(post: Post) -> None:
    """An outage on a host whose disk is full, or where there is no state folder at all: nobody may miss it."""
    post.run(made())
    blocked = post.folder / ".webhook.json.draft"
    blocked.mkdir()  # root could write anywhere else
    told = post.lose(failed())
    assert told.startswith("what the webhook at http://127.0.0.1 was told isn't kept, so it may get a message again, ")
    assert "webhook.json can't be written: " in told
    post.lose(failed(run="2"))
    blocked.rmdir()
    assert [post.run(failed()), post.run(failed()), post.run(made())] == ["sent", "unchanged", "sent"]
    assert post.events == ["shop: failing"] * 3 + ["shop: recovered"]
    post.folder = post.folder / "webhook.json"  # a file
    post.lose(failed())
    assert post.events[4:] == ["shop: failing"]
    post.lose(made())
    assert len(post.events) == 5


def test_not_too_often(post: Post) -> None:
    """What flaps is told of once a minute, and the last state is told in the end; so it is of many stacks."""
    post.run(failed())
    flapping = [post.run(record, after=7.0) for record in (made(), failed()) * 10]
    assert flapping.count("sent") == 2
    assert set(flapping) == {"sent", "held_back", "unchanged"}
    post.run(made(), after=60.0)
    assert post.events[-1] == "shop: recovered"
    assert post.run(failed(), after=-900_000.0) == "sent", "a clock that is put back"
    post.now += 10**6
    post.webhook = replace(post.webhook, a_minute=3)
    told = [post.run(failed(stack=f"stack-{number}"), after=1.0) for number in range(6)]
    assert told == ["sent"] * 3 + ["held_back"] * 3
    assert post.run(failed(stack="stack-5"), after=60.0) == "sent"


def test_a_stack_that_is_gone_is_forgotten(post: Post) -> None:
    post.run(failed())
    post.run(corrected(command="destroy"))
    assert json.loads((post.folder / "webhook.json").read_text()) == {}


KEY = "123456789012_eu-west-1_shop"


@pytest.mark.parametrize(
    "text",
    ["", "null", "{", "[" * 100_000, "\0", *(f'{{"{KEY}": {entry}}}' for entry in ("7", '{"verdict": 1}', '{"tried": "x"}', '{"verdict": "failing", "left": 3}', '{"owed": 1}'))],
)  # fmt: skip
def test_a_file_that_is_none(post: Post, text: str) -> None:
    post.folder.mkdir()
    (post.folder / "webhook.json").write_text(text)
    assert [post.run(failed()), post.run(failed())] == ["sent", "unchanged"]


def test_runs_that_did_not_get_to_know_their_account(post: Post) -> None:
    """Credentials that expire, and are there again, twice: each time it is told, of one and the same stack; until it could be two."""
    post.run(made())
    for _ in range(2):
        post.run(failed(account=""))
        post.run(failed(account=""))
        post.run(made())
    assert post.events == ["shop: failing", "shop: recovered"] * 2
    assert len(json.loads((post.folder / "webhook.json").read_text())) == 1
    post.run(made(account="210987654321"))
    post.run(failed(account=""))
    assert post.events[4:] == ["shop: failing"]
