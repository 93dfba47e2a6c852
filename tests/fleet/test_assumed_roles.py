"""Roles by STS, as botocore asks for them and the emulator judges: who may become which, again when it expires, nothing written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from alb_reconcile.aws.role import Role
from alb_reconcile.aws.transport import BotoTransport
from alb_reconcile.model.errors import UnreachableError
from alb_reconcile.sandbox.roles import make_roles, trust
from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from tests.harness import FAKE_ENVIRONMENT, REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT = "111111111111"
ARN = f"arn:aws:iam::{ACCOUNT}:role/ops/alb-reconcile"
ROLE = Role(ARN, "alb-reconcile-shops", "shops-2026", {"team": "platform"})


@pytest.fixture(autouse=True)
def _emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in FAKE_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with StrictAws(clock=VirtualClock().now):
        yield


def _transport(role: Role = ROLE, assumed: dict[str, Any] | None = None) -> BotoTransport:
    transport = BotoTransport(region=REGION, role=role, assumed=assumed)
    transport.prepare()
    return transport


def _make(external_id: str = "shops-2026", **changed: Any) -> None:
    make_roles([{"arn": ARN, "external_id": external_id}])
    (role,) = iam_backends[ACCOUNT]["aws"].roles.values()
    if changed:
        role.assume_role_policy_document = json.dumps({**trust(external_id), **changed})


def _account(transport: BotoTransport) -> str:
    return str(transport("sts", "get_caller_identity", {})["Account"])


def test_it_leads_to_the_roles_account_and_regions_share_it() -> None:
    _make()
    assumed: dict[str, Any] = {}
    assert [_account(_transport(assumed=assumed)) for _ in range(2)] == [ACCOUNT] * 2
    assert len(sts_backends[ACCOUNT]["aws"].assumed_roles) == 1
    (role,) = sts_backends[ACCOUNT]["aws"].assumed_roles
    assert (role.external_id, role.session_name) == ("shops-2026", "alb-reconcile-shops")


def test_what_expires_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    _make()
    transport = _transport()
    assert _account(transport) == ACCOUNT
    later = datetime.now(UTC) + timedelta(minutes=55)  # an hour is what it was asked for
    transport._session._credentials._time_fetcher = lambda: later
    monkeypatch.setattr("botocore.credentials._local_now", lambda: later)
    assert _account(transport) == ACCOUNT
    assert len(sts_backends[ACCOUNT]["aws"].assumed_roles) == 2


@pytest.mark.parametrize(
    ("external_id", "changed", "action"),
    [
        ("another", {}, "sts:AssumeRole"),
        ("shops-2026", {"Statement": trust("shops-2026")["Statement"][:1]}, "sts:TagSession"),
        ("shops-2026", {"Statement": []}, "sts:AssumeRole"),
    ],
)
def test_the_trust_policy_decides(external_id: str, changed: dict[str, Any], action: str) -> None:
    _make(external_id, **changed)
    with pytest.raises(UnreachableError, match=f"is not authorized to perform: {action} on resource: {ARN}; see that"):
        _account(_transport())


def test_one_that_isnt_there_is_refused_and_doesnt_come_to_be() -> None:
    with pytest.raises(UnreachableError, match="can't be assumed: AccessDenied"):
        _account(_transport())
    assert ACCOUNT not in iam_backends
