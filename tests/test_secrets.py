"""What is shown instead of secrets: in properties, in changes and in texts."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alb_reconcile.aws.secret_params import hide_secrets
from alb_reconcile.cli.render.values import to_json, to_text
from alb_reconcile.kinds.display import show_change
from alb_reconcile.model.actions import Action
from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.plan import plain
from alb_reconcile.model.requests.conditions import Condition
from alb_reconcile.model.resource import Change
from alb_reconcile.model.secrets import (
    CHANGED,
    HIDDEN,
    Headers,
    hide,
    hide_document,
    mark,
    redact,
    redact_change,
    unmark,
)
from alb_reconcile.model.service import Permission
from alb_reconcile.verification.session import Report

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def unmarked() -> Iterator[None]:
    yield
    unmark()


def told(change: Change, headers: Headers = None) -> str:
    """A change as text and as JSON have it."""
    shown = redact_change(change, headers)
    both = [list(show_change(shown, {})), plain(shown.before), plain(shown.after)]
    return json.dumps(both, ensure_ascii=False)


TEXTS = st.text("abcdefghijklmnop", min_size=8, max_size=12)


@given(old=TEXTS, new=TEXTS, name=st.sampled_from(["x-origin-verify", "authorization"]))
def test_a_header_shows_neither_side_and_that_it_changes(old: str, new: str, name: str) -> None:
    before, after = (Condition("http_header", (text,), name=name) for text in (old, new))
    text = told(Change("conditions", (before,), (after,)))
    assert old not in text
    assert new not in text
    assert (CHANGED in text) == (old != new)


@given(old=TEXTS, new=TEXTS, longer=TEXTS)
def test_a_marked_value_hides_what_it_replaces(old: str, new: str, longer: str) -> None:
    mark(new)
    try:
        for before, after in ((old, f"{longer}{new}"), ((old,), (new,)), (None, new), (new, longer)):
            text = told(Change("description", before, after))
            assert new not in text
            assert old not in text
    finally:
        unmark()


@pytest.mark.parametrize(
    ("key", "is_secret"),
    [("db_password", True), ("API-KEY", True), ("PWD", True), ("team", False), ("alb-reconcile:client-secret", False)],
)
def test_a_tag_is_secret_by_its_key(key: str, is_secret: bool) -> None:
    assert (redact_change(Change(f"tags.{key}", "one", "two"), None).before == HIDDEN) == is_secret
    added, removed = (redact_change(Change(f"tags.{key}", *pair), None) for pair in ((None, "x"), ("x", None)))
    shown = HIDDEN if is_secret else "x"
    assert ((added.before, added.after), (removed.before, removed.after)) == ((None, shown), (shown, None))


def test_a_redirect_hides_its_query_only() -> None:
    before, after = (Action(redirect=(("host", "a.example"), ("query", f"k={text}"))) for text in ("one", "two"))
    text = told(Change("action", before, after))
    assert "a.example" in text
    assert f"query {HIDDEN} → " in text
    assert CHANGED in text
    placeholders = Action(redirect=(("query", "#{query}&#{path}"),))
    assert redact(placeholders, None) == placeholders


def test_wildcards_and_other_conditions_stay() -> None:
    conditions = (Condition("host_header", ("a.example",)), Condition("http_header", ("*",), name="x-any"))
    assert redact(conditions, None) == conditions
    assert redact((Condition("http_header", ("a*",), name="x-any"),), frozenset()) == (
        Condition("http_header", ("a*",), name="x-any"),
    )


def test_one_of_several_conditions_changes() -> None:
    """The others aren't told as changed."""
    host = Condition("host_header", ("a.example",))
    before, after = ((host, Condition("query_string", pairs=(("k", text),))) for text in ("one", "two"))
    shown = list(show_change(redact_change(Change("conditions", before, after), None), {}))
    assert shown == [("-", f"query_string k={HIDDEN}"), ("+", f"query_string k={CHANGED}")]


def test_a_text_has_a_marked_secret_in_no_form() -> None:
    secret = 'pa"ss wörd'
    mark(secret)
    forms = (secret, json.dumps({"x": secret}), repr(secret), base64.b64encode(secret.encode()).decode())
    assert all(HIDDEN in hide(f"before {form} after") for form in forms)


def test_a_short_secret_is_hidden_as_a_value_only() -> None:
    mark("on")
    assert hide("one answer") == "one answer"
    assert redact("on", None) == HIDDEN
    assert redact(("one", "on"), None) == ("one", HIDDEN)


def test_a_marked_number_hides_what_has_it() -> None:
    mark("18443")
    rule = Permission("tcp", 18443, 18500, "10.0.0.0/16")
    assert redact((rule,), None) == (HIDDEN,)
    assert "18443" not in told(Change("ingress", (rule,), (rule._replace(to_port=18444),)))


def test_a_mapping_hides_its_values_only() -> None:
    mark("in the path")
    before, after = {"path": "/old", "port": 80}, {"path": "/in the path", "port": 80}
    shown = redact_change(Change("health_check", before, after), None)
    assert (shown.before, shown.after) == (
        {"path": HIDDEN, "port": 80}, {"path": CHANGED, "port": 80},
    )  # fmt: skip


@pytest.mark.parametrize("secret", ["true", "null", "demo", "error"])
def test_json_stays_json(secret: str) -> None:
    mark(secret)
    data = {"error": True, "none": None, "text": f"a {secret}", "list": [secret, 1]}
    found = json.loads(hide_document(json.dumps(data)))
    assert found == {"error": True, "none": None, "text": f"a {HIDDEN}", "list": [HIDDEN, 1]}


def test_case_does_not_matter() -> None:
    mark("MixedTenant")
    assert hide("x-mixedtenant: on") == f"x-{HIDDEN}: on"


def test_an_error_of_aws_hides_what_is_marked_for_users_of_the_python_api_too() -> None:
    mark("marked value")
    error = AwsError("ec2", "create_tags", "InvalidParameterValue", "the marked value is refused", "req-1")
    hide_secrets(error, {})
    assert "marked value" not in f"{error} {error.message}"
    assert HIDDEN in error.message


def test_what_the_python_api_writes_hides_what_is_marked() -> None:
    mark("secret-stack")
    report = Report("secret-stack", "us-east-1", "123456789012")
    assert json.loads(to_json(report))["stack"] == HIDDEN
    assert "secret-stack" not in to_text(report)
