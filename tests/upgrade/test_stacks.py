"""What docs/upgrade.md says of a stack that an older program made: it is recognized, and `apply` writes nothing but bookkeeping tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from alb_reconcile.model import tags
from tests.harness import READS, World, world
from tests.kinds.hand import edited, short, update
from tests.upgrade.recorded import NAMES, Recorded

WITHOUT_DIGEST = ("first",)
"""Made before anything said which spec was applied: drift can't be told from a changed spec."""
BOOKKEEPING = {tags.SPEC, tags.APPLIED, tags.ENTRIES, tags.ZONES}
INTERVAL = "target_groups/web/health_check/interval_seconds"


@pytest.fixture(params=NAMES)
def old(request: pytest.FixtureRequest) -> Recorded:
    return Recorded.of(request.param)


@pytest.fixture
def there(old: Recorded, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The account in which the older program has made its stack."""
    monkeypatch.setenv("OIDC_CLIENT_SECRET", "made-up")
    with world() as account:
        old.make(account)
        account.clock.advance(900)  # until its load balancer is active and its targets are healthy
        yield account


def writes(account: World) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, params) for name, params in account.log if not name.startswith(READS)]


def test_it_is_recognized_and_apply_writes_only_tags(there: World, old: Recorded) -> None:
    first = there.plan(old.spec)
    assert (first.is_empty, first.warnings, first.kept) == (True, (), ())
    there.sync(old.spec)
    assert writes(there) == [], "sync writes no tag"
    there.converge(old.spec)
    written = {item["Key"] for _, params in writes(there) for item in params["Tags"]}
    assert {name for name, _ in writes(there)} <= {"create_tags", "add_tags"}
    assert written <= BOOKKEEPING
    assert (tags.ENTRIES in written) == (tags.ENTRIES not in _keys(old.calls))
    there.converge(old.spec)
    assert writes(there) == []


def test_a_changed_spec_changes_what_differs_and_nothing_else(there: World, old: Recorded) -> None:
    """What the older tags say was declared is still known, too."""
    assert short(there.plan(edited(old.spec, INTERVAL, 15))) == [
        update("target_group.web", "health_check.interval_seconds")
    ]
    fewer = edited(old.spec, "vpcs/main", {"cidr_block": "10.0.0.0/16"})
    assert there.plan(fewer).kept == ("vpc.main: enable_dns_hostnames no longer managed; it keeps its value",)


def test_sync_corrects_drift_where_the_tags_say_what_was_applied(there: World, old: Recorded) -> None:
    (group,) = there.client("elbv2").describe_target_groups()["TargetGroups"]
    there.client("elbv2").modify_target_group(TargetGroupArn=group["TargetGroupArn"], HealthCheckIntervalSeconds=30)
    there.sync(old.spec)
    assert [name for name, _ in writes(there) if name == "modify_target_group"] == (
        [] if old.name in WITHOUT_DIGEST else ["modify_target_group"]
    )


@pytest.mark.slow
def test_it_is_destroyed_whole(there: World, old: Recorded) -> None:
    total = there.plan(old.spec).total
    there.destroy(old.spec, allow={"lift-protection": 2})
    assert there.plan(old.spec).count()["create"] == total


def test_every_tag_is_in_a_recorded_stack() -> None:
    """A new tag gets a recording, when the version that writes it is released: values of variables, pinned versions and failed checks have none yet. What a person writes has none,
    and a destroy's is gone with it."""
    recorded = {item for name in NAMES for item in _keys(Recorded.of(name).calls)}
    known = {value for value in vars(tags).values() if isinstance(value, str) and value.startswith("alb-reconcile:")}
    assert known - recorded == {tags.IGNORE_UNTIL, tags.VALUE, tags.VERSION, tags.REJECTED, tags.STANDBY}


def _keys(found: Any) -> Iterator[str]:
    if isinstance(found, list | dict):
        for item in found.values() if isinstance(found, dict) else found:
            yield from _keys(item)
    elif isinstance(found, str) and found.startswith("alb-reconcile:"):
        yield found
