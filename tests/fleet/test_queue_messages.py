"""What a queue may carry: what this program sends, and nothing else."""

from __future__ import annotations

import base64
import json
import pickle
from typing import Any

import pytest

from alb_reconcile.fleet.cells import MessageError
from alb_reconcile.fleet.messages import TASK, rebuild, text_of
from alb_reconcile.fleet.queues import Queue
from alb_reconcile.model.errors import UsageError

OURS: dict[str, Any] = {"lang": "py", "task": TASK, "id": "0f-1", "eta": None, "expires": "2026-12-01T00:00:00+00:00"}
EMBEDDED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
PROPERTIES = {"delivery_tag": "tag", "delivery_info": {"exchange": "x", "routing_key": "y", "sqs_queue": "url"}}


def encoded(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def message(body: object = None, **headers: Any) -> dict[str, Any]:
    """As Celery sends it, and kombu receives it."""
    return {
        "body": encoded([["{}"], {}, EMBEDDED]) if body is None else body,
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {**OURS, "stamps": {}, **headers},
        "properties": PROPERTIES,
    }


def test_what_we_send_passes_with_nothing_but_what_is_needed() -> None:
    """A message that names further tasks passes without them; what was made anew passes again, as Redis restores it."""
    forged = message(
        encoded([["{}"], {}, {"chain": [{"task": "other"}]}]), shadow="\x1b[2J", timelimit=[1, 1], root_id="r"
    )
    once = rebuild(forged, "cells")
    assert json.loads(once["body"]) == [["{}"], {}, {}]
    assert once["properties"]["delivery_info"] == {"exchange": "", "routing_key": "cells", "sqs_queue": "url"}
    assert not {"shadow", "timelimit", "root_id"} & once["headers"].keys()
    assert once["headers"]["expires"] == OURS["expires"]
    assert rebuild(once, "cells") == once
    assert text_of(forged) == text_of(once) == "{}"


def test_a_dead_letter_obeys_nobody() -> None:
    """Whatever a stranger has put into the queue: what can be read of it is escaped, as what can't."""
    assert text_of(message(encoded([["\x1b[2J{\ud800}"], {}, EMBEDDED]))) == r"\x1b[2J{\ud800}"


@pytest.mark.parametrize(
    ("forged", "said"),
    [
        (message(task="os.system"), 'is for "os.system"'),
        (message(eta="2099-01-01T00:00:00"), "eta"),
        (message(id="a b"), "id"),
        (message(encoded({})), "isn't one of this program's"),
        (message(encoded([["a", "b"], {}, EMBEDDED])), "one argument"),
        (message("[" * 30_000), "isn't one of this program's"),
        (message(base64.b64encode(pickle.dumps([["x"], {}, {}])).decode()), "isn't one of this program's"),
        (message() | {"content-type": "application/x-python-serialize"}, "isn't JSON"),
        ({"body": 5, "properties": PROPERTIES}, "isn't one of this program's"),
        ({**message(), "properties": {"delivery_tag": "tag"}}, "delivery_info"),
        ({key: value for key, value in message().items() if key != "properties"}, "properties"),
    ],
)
def test_what_we_do_not_send_is_refused_in_one_line(forged: dict[str, Any], said: str) -> None:
    with pytest.raises(MessageError, match=said) as raised:
        rebuild(forged, "cells")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("amqp://host/", "isn't one of Amazon SQS or Redis"),
        ("https://sqs.eu-west-1.amazonaws.com/", "isn't one of Amazon SQS or Redis"),
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/a.fifo", "use a standard queue"),
        ("redis://user:secret@host/0?visibility_timeout=never", "isn't an address"),
        ("redis://host/0?visibility_timeout=0", "from 1 to 43200"),
    ],
)
def test_a_queue_that_can_not_be_one(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        Queue.parse(url)
    assert "secret" not in str(raised.value)
