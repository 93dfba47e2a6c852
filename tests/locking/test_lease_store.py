"""A lease's object that can't be had, isn't ours or can't be trusted: one message each, and nothing is overwritten."""

from __future__ import annotations

import json

import pytest

from alb_reconcile.locking import durations
from alb_reconcile.locking.lease_record import LeaseRecord
from alb_reconcile.locking.store import LeaseLocation
from alb_reconcile.model.errors import HeldError, LeaseError
from tests.locking.fake_s3 import fail
from tests.locking.lab import PLACE, Lab

ARN = "arn:aws:s3:::our-leases/prod/123456789012-eu-west-1-shop.json"
GOOD = {
    "version": 1, "owner": "o", "host": "web-1", "user": "ops", "pid": 7, "command": "apply", "since": "2026",
    "seconds": 600.0, "writes": 1, "released": "", "broken_by": "",
}  # fmt: skip


def refused(lab: Lab) -> str:
    """What a run is told that can't have the lease."""

    async def main() -> str:
        runner = lab.runner()
        with pytest.raises(LeaseError) as error:
            await runner.lease.acquire(60)
        lab.s3.mishaps.clear()
        await runner.lease.release()
        assert not [name for name in lab.s3.log if name not in ("get_object", "put_object")]
        return str(error.value)

    told: str = lab.run(main)
    assert "\n" not in told
    return told


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (
            "NoSuchBucket",
            "the lease's bucket our-leases doesn't exist; create it (aws s3 mb s3://our-leases), or correct lease",
        ),
        ("AccessDenied", f"can't be written: AccessDenied it is; allow the IAM action s3:PutObject on {ARN}"),
        ("PermanentRedirect", "the lease's bucket our-leases is in another region"),
        ("NotImplemented", "its endpoint doesn't support conditional writes (If-None-Match, If-Match)"),
        (
            "EndpointConnectionError",
            f"the lease {PLACE.url} can't be written: PutObject: EndpointConnectionError",
        ),
    ],
)
def test_what_s3_refuses_is_told_with_what_to_do(lab: Lab, code: str, told: str) -> None:
    lab.s3.mishaps = [fail(code)]
    assert told in refused(lab)
    assert not lab.s3.objects


def test_s3_that_stays_busy_is_given_up(lab: Lab) -> None:
    lab.s3.mishaps = [fail("ConditionalRequestConflict")] * 9
    assert "ConditionalRequestConflict" in refused(lab)
    assert lab.clock.now() < 10


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "it isn't JSON"),
        (b'{"version": 1, "more": ' + b"[" * 60_000, "it isn't JSON"),
        (b"[" * 60_000, "Expected `object`, got `array`"),
        (b"{}", "missing required field `version`"),
        (b'{"version": 2}', "it was written by another version"),
        (json.dumps({**GOOD, "mo\x1bre": 1}).encode(), r"unknown field `mo\x1bre`"),
        (json.dumps({**GOOD, "pid": "7"}).encode(), "Expected `int`, got `str` - at `$.pid`"),
        (json.dumps({**GOOD, "seconds": 1e9}).encode(), "Expected `float` <= 86400.0 - at `$.seconds`"),
        (json.dumps({**GOOD, "seconds": float("nan")}).encode(), "it isn't JSON"),
    ],
)
def test_what_isnt_a_lease_is_left_alone(lab: Lab, body: bytes, why: str) -> None:
    lab.s3.put(PLACE.key, body)
    told = refused(lab)
    assert f"{PLACE.url} isn't a lease that this program can read: " in told
    assert why in told
    assert told.isprintable()
    assert lab.s3.objects[PLACE.key][0] == body


@pytest.mark.parametrize("obeyed", [(), ("IfMatch",), ("IfNoneMatch",)])
def test_an_endpoint_that_ignores_conditions_is_never_trusted(lab: Lab, obeyed: tuple[str, ...]) -> None:
    """Not by the second run either, which finds what the first has left."""
    lab.s3.obeys = obeyed
    assert "its endpoint doesn't support conditional writes" in refused(lab)
    assert refused(lab)


def test_what_others_wrote_is_data() -> None:
    record = LeaseRecord.parse(json.dumps({**GOOD, "host": "a\x1b[2J\n", "user": "x" * 5000}).encode())
    assert record.render().isprintable()
    assert len(record.render()) < 500
    assert LeaseRecord.parse(record.to_bytes()) == record


def test_the_stored_form_stays() -> None:
    """Runs of other versions read and write it."""
    record = LeaseRecord.parse(json.dumps(GOOD).encode())
    assert json.loads(record.to_bytes()) == GOOD


async def test_a_bucket_that_belongs_to_another_account_than_the_spec_says_is_left_alone(lab: Lab) -> None:
    """Whoever deletes a bucket gives its name free for all accounts."""
    runner = lab.runner()
    runner.store.location = LeaseLocation.of("s3://our-leases/prod/?owner=999999999999", "1", "eu-west-1", "shop")
    with pytest.raises(LeaseError) as error:
        await runner.lease.acquire(60)
    runner.store.location = LeaseLocation.of("s3://our-leases/prod?owner=123456789012", "1", "eu-west-1", "shop")
    await runner.lease.acquire(60)
    await runner.lease.release()
    told = str(error.value)
    assert "and see that the bucket belongs to account 999999999999" in told
    assert list(lab.s3.objects) == ["prod/1-eu-west-1-shop.json"]


def test_places() -> None:
    place = LeaseLocation.of("s3://b-1", "123456789012", "us-gov-west-1", "shop")
    assert place.url == "s3://b-1/123456789012-us-gov-west-1-shop.json"
    assert place.arn == "arn:aws-us-gov:s3:::b-1/123456789012-us-gov-west-1-shop.json"
    assert (
        LeaseLocation.of("s3://b-1/a/b/", "1", "cn-north-1", "s").arn == "arn:aws-cn:s3:::b-1/a/b/1-cn-north-1-s.json"
    )


@pytest.mark.parametrize("date", ["Tue, 24 Nov 2026 03:00:00 -0000", "yesterday", ""])
async def test_without_a_time_of_s3s_nobody_takes_what_isnt_given_back(
    lab: Lab, date: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of -0000 the zone is unknown, by RFC 5322."""
    monkeypatch.setattr("tests.locking.fake_s3.format_datetime", lambda *_, **__: date)
    first, second = await lab.holder(), lab.runner()
    seen = await second.store.read()
    assert seen is not None
    assert seen.free_in == durations.LEASE + durations.MARGIN
    assert seen.state == "held"
    with pytest.raises(HeldError):
        await second.lease.acquire(0)
    await first.lease.release()
    await second.lease.acquire(0)
    await second.lease.release()
