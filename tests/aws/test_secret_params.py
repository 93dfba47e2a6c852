"""No error tells what a call was sent with, if that is a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import botocore.session
import pytest
from botocore import xform_name
from botocore.serialize import create_serializer

from alb_reconcile.aws.dry_run import READS
from alb_reconcile.aws.secret_params import hide_secrets
from alb_reconcile.kinds import load_kinds
from alb_reconcile.model.errors import AwsError
from tests.canaries.canaries import canary, forms
from tests.kinds.authorization import PREFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICES = {prefix: service for service, prefix in PREFIXES.items()}
SESSION = botocore.session.get_session()
KNOWN = set(SESSION.get_available_services())
UNMARKED = ("ClientSecret",)
"""What botocore's models should call sensitive, and don't."""
NOT_SENT = {("ModifyInstanceAttribute", "Value"), ("ModifyInstanceAttribute", "UserData")}
"""User data isn't changed in place; attributes have parameters of their own."""
Path = tuple[str, ...]


def calls() -> Iterator[tuple[str, str]]:
    """The service and operation of each call that changes something."""
    for kind in load_kinds().values():
        stated = kind.iam_actions
        for action in {*stated.create, *stated.update, *stated.delete}:
            prefix, _, name = action.partition(":")
            service = SERVICES.get(prefix, prefix)
            is_change = service in KNOWN and not xform_name(name).startswith(READS)
            if is_change and name in SESSION.get_service_model(service).operation_names:
                yield service, name


def secrets_of(shape: Any, path: Path = (), seen: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Where a call's secrets are."""
    if path and (shape.metadata.get("sensitive") or path[-1] in UNMARKED):
        yield path
    elif shape.type_name == "structure" and shape.name not in seen:
        for name, member in shape.members.items():
            yield from secrets_of(member, (*path, name), seen | {shape.name})
    elif shape.type_name in ("list", "map"):
        yield from secrets_of(shape.member if shape.type_name == "list" else shape.value, (*path, ""), seen)


def found() -> list[tuple[str, str, Path]]:
    return sorted(
        (service, name, path)
        for service, name in set(calls())
        for path in secrets_of(SESSION.get_service_model(service).operation_model(name).input_shape)
        if (name, path[0]) not in NOT_SENT
    )


def test_which_they_are() -> None:
    assert {(name, path[-1]) for _, name, path in found()} == {
        ("CreateListener", "ClientSecret"), ("CreateRule", "ClientSecret"), ("ModifyListener", "ClientSecret"),
        ("ModifyRule", "ClientSecret"), ("ImportCertificate", "PrivateKey"), ("RunInstances", "UserData"),
    }  # fmt: skip


@pytest.mark.parametrize("value", [canary("text"), f"-----BEGIN\n{canary('lines')}\n"], ids=["text", "lines"])
@pytest.mark.parametrize(("service", "name", "path"), found())
def test_an_error_that_repeats_the_whole_request_tells_none(service: str, name: str, path: Path, value: str) -> None:
    """As it was sent, and as botocore shows it."""
    params: Any = value.encode() if path[-1] in ("PrivateKey", "UserData") else value
    for part in reversed(path):
        params = {part: params} if part else [params]
    model = SESSION.get_service_model(service)
    serializer = create_serializer(model.metadata["protocol"], include_validation=False)
    body = serializer.serialize_to_request(params, model.operation_model(name))["body"]
    sent = urlencode(body) if isinstance(body, dict) else body.decode()
    error = AwsError(service, name, "Invalid", f"{sent} {params}", "1", hint=sent)
    hide_secrets(error, params)
    told = f"{error.message} {error}".encode()
    assert b"***" in told
    assert [form for form in forms(value) if form in told] == []
