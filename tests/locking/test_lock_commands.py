"""`lock show` and `lock break`, and --lease, as their user meets them."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from alb_reconcile.cli.main import main
from alb_reconcile.locking.host import StackLock
from tests.harness import REGION, demo, world
from tests.locking.test_lease_store import GOOD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import World

ACCOUNT = "123456789012"
KEY = f"prod/{ACCOUNT}-{REGION}-demo.json"
NAMED = ("--stack", "demo", "--region", REGION)
LEASE = ("--lease", "s3://our-leases/prod")
EXPECTED = "--lease expects a place in S3 such as s3://"
NO_BUCKETS = ("192.168.1.1", "xn--abc", "abc-s3alias", "abc--x-s3", "a..b", "ab", "Abc", "-abc", "a" * 64)


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setenv("ALB_RECONCILE_LOCK_DIR", str(tmp_path / "locks"))
    for name, more in (("plain", {}), ("leased", {"lease": "s3://our-leases/prod/"})):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({**demo(), **more}), encoding="utf-8")
    with world() as found:
        found.client("s3").create_bucket(Bucket="our-leases")
        yield found


def put(account: World, **changes: Any) -> None:
    account.client("s3").put_object(Bucket="our-leases", Key=KEY, Body=json.dumps({**GOOD, **changes}).encode())


def stored(account: World) -> dict[str, Any]:
    answer = account.client("s3").get_object(Bucket="our-leases", Key=KEY)
    found: dict[str, Any] = json.loads(answer["Body"].read())
    return found


def run(capsys: pytest.CaptureFixture[str], *arguments: str, expect: int = 0) -> str:
    code = main(arguments)
    told = capsys.readouterr()
    assert code == expect, told
    return told.out + told.err


def lock() -> StackLock:
    return StackLock(ACCOUNT, REGION, "demo", "")


def take(found: StackLock) -> None:
    asyncio.run(found.acquire("apply", 0, asyncio.sleep, lambda _: None))


@pytest.mark.usefixtures("account")
def test_a_plan_says_who_is_at_work(capsys: pytest.CaptureFixture[str]) -> None:
    take(mine := lock())
    assert "Warning: alb-reconcile apply (user " in run(capsys, "plan", "plain.yaml")
    mine.release()


def test_break_takes_the_lease_only(account: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert "There is nothing to break." in run(capsys, "lock", "break", "leased.yaml", "--yes")
    put(account)
    assert "no terminal to ask for confirmation" in run(capsys, "lock", "break", "leased.yaml", expect=4)
    assert not stored(account)["broken_by"]
    take(mine := lock())
    told = run(capsys, "lock", "break", "leased.yaml", "--yes")
    assert "The lease is broken, and free at 20" in told
    assert "a call in progress may still take effect" in told
    assert "The lock on this host is held until its process ends: end process " in told
    assert stored(account)["broken_by"]
    assert "ends with it: end process" in run(capsys, "lock", "break", "leased.yaml", "--yes", expect=4)
    mine.release()
    assert "There is nothing to break." in run(capsys, "lock", "break", *NAMED, *LEASE, "--yes")


def test_an_object_that_isnt_a_lease_isnt_broken(account: World, capsys: pytest.CaptureFixture[str]) -> None:
    account.client("s3").put_object(Bucket="our-leases", Key=KEY, Body=b"a letter")
    for action in ("show", "break"):
        assert "isn't a lease that this program can read" in run(capsys, "lock", action, "leased.yaml", expect=1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("lock", "show"), "needs SPEC (default stack.yaml), or --stack NAME with --region"),
        (("lock", "break", "leased.yaml", *NAMED), "needs SPEC (default stack.yaml), or --stack NAME with --region"),
        (("lock", "break", "--stack", "demo"), "--stack needs --region too"),
        (("lock", "show", "leased.yaml", *LEASE), "--lease goes with --stack"),
        (("destroy", "leased.yaml", *LEASE), "--lease goes with --stack"),
        (("destroy", *NAMED, "--lease", "s3://our-leases/../theirs"), EXPECTED),
        *((("lock", "show", *NAMED, "--lease", f"s3://{bucket}/x"), EXPECTED) for bucket in NO_BUCKETS),
        (("destroy", "--stack", "../demo", "--region", REGION), "isn't a stack's name"),
    ],
)
@pytest.mark.usefixtures("account")
def test_what_cant_be_meant(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str) -> None:
    assert told in run(capsys, *arguments, expect=64)
