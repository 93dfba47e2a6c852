"""Laws 4 and 6: going back never makes it worse, and commands repeat safely (V6, V7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.versions.service import Answer, version

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.versions.service import Service


def _many(name: str, **rollout: Any) -> Spec:
    """Four instances of it."""
    spec = version(name, **rollout)
    spec["instances"]["web"]["count"] = 4
    return spec


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="V6: any healthy target is enough, and one of four gets all requests"
)
def test_requests_do_not_go_back_to_too_few(service: Service) -> None:
    """All of them would meet one instance of four."""
    service.deploy(_many("1"))
    service.deploy(_many("2"))
    service.lose("1", 3)
    ended = service.roll_back(_many("2"))
    assert service.serving == {"2": 4}
    assert ended.code == 4, ended.text


def test_requests_go_back_where_as_many_may_be_missing(service: Service) -> None:
    service.deploy(_many("1", max_unavailable=1))
    service.deploy(_many("2", max_unavailable=1))
    service.lose("1")
    ended = service.roll_back(_many("2", max_unavailable=1))
    assert ended.code == 0, ended.text
    assert service.serving == {"1": 3}


def test_requests_go_back_to_any_that_is_well_where_all_others_are_ill(service: Service) -> None:
    service.deploy(_many("1"))
    service.deploy(_many("2"))
    service.lose("1", 3)
    service.fall_ill("2")
    ended = service.roll_back(_many("2"))
    assert ended.code == 0, ended.text
    assert service.gets() == {Answer("1", 200)}


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="V6: two of the old targets are unused, and the two others get all requests",
)
def test_requests_do_not_go_back_to_zones_that_were_left(service: Service) -> None:
    """Half of the old targets are `unused`, as the load balancer isn't in their zone any more."""
    before = _many("1")
    for letter in "cd":
        before["subnets"][f"public-{letter}"] = {
            **before["subnets"]["public-a"], "cidr_block": f"10.0.{ord(letter) - 94}.0/24", "availability_zone": letter,
        }  # fmt: skip
    names = list(before["subnets"])
    before["route_tables"]["public"]["subnets"] = names
    before["load_balancers"]["public"]["subnets"] = before["instances"]["web"]["subnets"] = names
    after = {**before, "load_balancers": {"public": {**before["load_balancers"]["public"], "subnets": names[:2]}}}
    after["instances"] = {"web": {**_many("2")["instances"]["web"], "subnets": names[:2]}}
    service.deploy(before)
    service.deploy(after)
    ended = service.roll_back(after)
    assert sum(service.serving.values()) == 4, ended.text


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="V7: the second one is refused, exit 4")
def test_a_second_rollback_changes_nothing(service: Service) -> None:
    """A job that is repeated, or two people at once."""
    service.deploy(version("1"))
    service.deploy(version("2"))
    assert service.roll_back(version("2")).code == 0
    ended = service.roll_back(version("2"))
    assert service.gets() == {Answer("1", 200)}
    assert ended.code == 0, ended.text


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="V7: the second one goes a version further, to 1")
def test_a_second_rollback_goes_no_version_further(service: Service) -> None:
    for name in "123":
        service.deploy(version(name))
    assert service.roll_back(version("3")).code == 0
    ended = service.roll_back(version("3"))
    assert service.gets() == {Answer("2", 200)}
    assert ended.code == 0, ended.text


def _with(spec: Spec, **group: Any) -> Spec:
    spec["target_groups"]["web"] |= group
    return spec


CHANGES: dict[str, dict[str, Any]] = {
    "health path": {"health_check": {"path": "/healthz", "interval_seconds": 10, "healthy_threshold_count": 2}},
    "port": {"port": 8080},
}


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="V7: requests go to the same instances in the group before, or nowhere if they are ill",
)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("ill", [False, True], ids=["well", "ill"])
def test_a_change_without_a_version_is_nothing_to_go_back_from(
    service: Service, change: dict[str, Any], ill: bool
) -> None:
    """The same instances in another group are the same version."""
    service.deploy(version("1"))
    service.deploy(version("2"))
    spec = _with(version("2"), **change)
    service.deploy(spec)
    if ill:
        service.fall_ill("2")
    ended = service.roll_back(spec)
    assert ended.code == 0, ended.text
    assert service.gets() == {Answer("1", 200)}


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="V7: status says of the group that serves: apply deletes it"
)
def test_status_does_not_say_that_the_group_that_serves_goes(service: Service) -> None:
    service.deploy(version("1"))
    service.deploy(version("2"))
    (before,) = service.serving_groups
    service.roll_back(version("2"))
    (group,) = service.serving_groups
    assert group != before
    told = service.run("status", version("2")).text
    (line,) = [line for line in told.splitlines() if group.rpartition(":")[2] in line]
    assert "deletes" not in line


def test_the_version_to_which_requests_went_back_is_applied_without_a_word(service: Service) -> None:
    """What `rollback` prints as the next command works as it is printed."""
    service.deploy(version("1"))
    service.deploy(version("2"))
    service.roll_back(version("2"))
    ended = service.apply(version("1"))
    assert ended.code == 0, ended.text
    assert service.gets() == {Answer("1", 200)}


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="law 6: it is made a second time, beside the one that stands by"
)
def test_to_apply_the_version_that_stands_by_is_to_go_back_to_it(service: Service) -> None:
    """In seconds, and nothing is made."""
    service.deploy(version("1"))
    old = set(service.instances_of("1"))
    service.deploy(version("2"))
    began = service.world.clock.now()
    ended = service.apply(version("1"))
    assert ended.code == 0, ended.text
    assert service.gets() == {Answer("1", 200)}
    assert set(service.instances_of("1")) == old
    assert service.world.clock.now() - began < 60


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="V7: it is refused, exit 4")
def test_an_abort_where_nothing_comes_is_a_line(service: Service) -> None:
    service.deploy(version("1"))
    ended = service.run("abort", version("1"))
    assert ended.code == 0, ended.text
