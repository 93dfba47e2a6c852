"""How often a call is tried: as the user's AWS settings say, where they say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.aws import timeouts
from alb_reconcile.aws.transport import BotoTransport
from alb_reconcile.model.errors import AwsError
from tests.aws.test_answers import PAGE, answering

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shared config, with a profile that says it."""
    file = tmp_path / "config"
    keys = "aws_access_key_id = testing\naws_secret_access_key = testing\n"
    file.write_text(f"[profile patient]\n{keys}max_attempts = 2\n[profile confused]\n{keys}max_attempts = many\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.delenv("AWS_MAX_ATTEMPTS", raising=False)
    return file


def tries(
    service: str, operation: str, *, profile: str | None = None, sandbox: bool = False, once: bool = False
) -> int:
    """How often a call reaches a server that is out of order."""
    with answering(502, PAGE) as (usual, asked):
        transport = BotoTransport(region="us-east-1", endpoint_url=usual.endpoint, profile=profile, sandbox=sandbox)
        transport.prepare()
        with pytest.raises(AwsError):
            transport(service, operation, {}, once=once)
        return len(asked)


EC2 = ("ec2", "describe_vpcs")


@pytest.mark.parametrize(
    ("said", "call", "settings", "expected"),
    [
        (1, EC2, {}, 1),
        (2, EC2, {}, 2),
        (1, ("elbv2", "describe_load_balancers"), {"profile": "patient"}, 1),  # the environment comes first
        (None, EC2, {"profile": "patient"}, 2),
        (3, ("ec2", "create_internet_gateway"), {"once": True}, 1),  # what must not be repeated
        (1, EC2, {"sandbox": True}, 4),  # a sandbox isn't meant
    ],
)
def test_who_says_it(
    monkeypatch: pytest.MonkeyPatch, said: int | None, call: tuple[str, str], settings: dict[str, Any], expected: int
) -> None:
    if said:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", str(said))
    assert tries(*call, **settings) == expected


def test_leases_keep_their_own_numbers() -> None:
    """Whether one still holds has to be known soon, and before its next renewal is due."""
    assert timeouts.timeouts_of("s3", attempts=9) == timeouts.timeouts_of("s3")
    assert timeouts.timeouts_of("ec2", attempts=9).attempts == 9
    assert timeouts.timeouts_of("sts", attempts=9).attempts == 9
