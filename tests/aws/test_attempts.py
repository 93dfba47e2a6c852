"""How often a call is tried: as the user's AWS settings say, where they say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alb_reconcile.aws import timeouts
from alb_reconcile.aws.transport import BotoTransport
from alb_reconcile.model.errors import AwsError, UnreachableError
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


@pytest.mark.parametrize("said", [1, 2])
def test_the_environment_says_it(monkeypatch: pytest.MonkeyPatch, said: int) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", str(said))
    assert tries("ec2", "describe_vpcs") == said
    assert tries("elbv2", "describe_load_balancers", profile="patient") == said


def test_the_profile_says_it() -> None:
    assert tries("ec2", "describe_vpcs", profile="patient") == 2


def test_what_must_not_be_repeated_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    assert tries("ec2", "create_internet_gateway", once=True) == 1


def test_a_sandbox_is_not_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert tries("ec2", "describe_vpcs", sandbox=True) == 4


def test_leases_keep_their_own_numbers() -> None:
    """Whether one still holds has to be known soon, and before its next renewal is due."""
    assert timeouts.timeouts_of("s3", attempts=9) == timeouts.timeouts_of("s3")
    assert timeouts.timeouts_of("ec2", attempts=9).attempts == 9
    assert timeouts.timeouts_of("sts", attempts=9).attempts == 9


@pytest.mark.parametrize("said", ["0", "-1", "many", "1.5"])
def test_what_is_no_number_of_attempts(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", said)
    with pytest.raises(
        UnreachableError, match=r"AWS_MAX_ATTEMPTS, or max_attempts of the AWS profile, must be a whole"
    ):
        BotoTransport(region="us-east-1").prepare()


def test_what_is_none_in_the_profile() -> None:
    with pytest.raises(UnreachableError, match="AWS_MAX_ATTEMPTS, or max_attempts of the AWS profile"):
        BotoTransport(region="us-east-1", profile="confused").prepare()
