"""Laws 3 and 9: two run, a third while it comes, and all that run at once count (V8, V12, V15)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.aws.client import Aws
from alb_reconcile.model.errors import ExitCode, ReconcileError
from alb_reconcile.sandbox.strict import quotas
from alb_reconcile.sandbox.strict.world import World as Place
from tests.harness import REGION, _Wire
from tests.versions.service import Answer, version

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.versions.service import Service


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="V8: each stands by for itself, and 14 instances run")
def test_of_many_versions_within_the_time_two_run(service: Service) -> None:
    service.watch()
    for name in "1234567":
        service.deploy(version(name))
    assert service.running == {"6": 2, "7": 2}
    assert service.most == 6, "a third one while it comes"
    assert service.roll_back(version("7")).code == 0
    assert service.gets() == {Answer("6", 200)}


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="V8: the forward has five groups, and apply is refused")
def test_a_fix_can_follow_many_versions_when_their_time_is_over(service: Service) -> None:
    """Also after a rollback from the last of them, in the middle of the night."""
    for name in "12345":
        service.deploy(version(name))
    service.roll_back(version("5"))
    service.let_pass(60)
    ended = service.apply(version("6"))
    assert ended.code == 0, ended.text
    assert service.gets() == {Answer("6", 200)}


def _counted(name: str, count: int) -> Spec:
    spec = version(name)
    spec["instances"]["web"]["count"] = count
    return spec


def _limit(**codes: int) -> None:
    """Quotas of this account, by the names of their codes."""
    given = {getattr(quotas, name): most for name, most in codes.items()}
    usual = {
        quotas.VPCS: 50,
        quotas.GATEWAYS: 5,
        quotas.LISTENERS: 50,
        quotas.RULES: 100,
        quotas.GROUPS_A_BALANCER: 100,
    }
    Place(DEFAULT_ACCOUNT_ID, REGION).ledger.quotas |= quotas.USUAL | usual | given


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="V15: the plan counts max_surge, and 4 of 8 launches fail"
)
def test_a_quota_that_has_no_room_for_two_versions_is_told_before_anything_is_made(service: Service) -> None:
    """8 of 2 vCPUs each run, and 24 may."""
    service.deploy(_counted("1", 8))
    _limit(STANDARD_VCPUS=24)
    planned = service.run("plan", _counted("2", 8))
    assert "vcpu" in planned.text.lower(), planned.text
    service.apply(_counted("2", 8))
    assert service.running == {"1": 8}


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="V15: the plan counts max_surge, and nothing that stands by, and 2 of 4 launches fail",
)
def test_one_that_stands_by_counts_as_well(service: Service) -> None:
    """4 run and 4 stand by, and 20 vCPUs have room for two more."""
    service.deploy(_counted("1", 4))
    service.deploy(_counted("2", 4))
    _limit(STANDARD_VCPUS=20)
    planned = service.run("plan", _counted("3", 4))
    assert "vcpu" in planned.text.lower(), planned.text
    service.apply(_counted("3", 4))
    assert "3" not in service.running or service.running["3"] == 4


def test_addresses_of_subnets_count_what_stands_by(service: Service) -> None:
    """11 each, of which 4 serve and 4 stand by."""
    specs = [_counted(name, 8) for name in "123"]
    for spec in specs:
        subnets = spec["subnets"]
        for letter, third in (("a", 1), ("b", 2)):
            subnets[f"balancer-{letter}"] = {**subnets[f"public-{letter}"], "cidr_block": f"10.0.1{third}.0/24"}
            subnets[f"public-{letter}"]["cidr_block"] = f"10.0.{third}.0/28"
        spec["load_balancers"]["public"]["subnets"] = ["balancer-a", "balancer-b"]
        spec["route_tables"]["public"]["subnets"] = list(subnets)
    service.deploy(specs[0])
    service.deploy(specs[1])
    ended = service.apply(specs[2])
    assert ended.code == 4, ended.text
    assert "free addresses" in ended.text
    assert service.running == {"1": 8, "2": 8}


def _both(service: Service, later: int) -> Any:
    """Version 2 is applied on one host, and so many seconds later 3 on another, without a lease. Returns how each went."""
    service.deploy(version("1"))

    async def host(name: str, after: int) -> Any:
        await asyncio.sleep(after)
        world = service.world
        aws = Aws(_Wire(world), max_workers=0, endpoint=world.endpoint, region=REGION, outside=world.outside)
        try:
            return await world.go(aws, version(name))
        except ReconcileError as error:
            return error

    async def both(_: Aws) -> Any:
        return await asyncio.gather(host("2", 0), host("3", later))

    found: Any = service.world._run(both)
    service.let_pass(5)
    return found


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="V12: both fill one new group, and both call it proven")
def test_two_hosts_at_once_never_mix_two_versions(service: Service) -> None:
    _both(service, 0)
    assert len(service.gets()) == 1, service.gets()
    assert all(len(names) == 1 for names in service.groups.values()), service.groups


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="V12: the second one ends the first one's instances, or deletes its rule, and takes over",
)
@pytest.mark.parametrize("later", [5, 40, 90])
def test_a_version_that_comes_belongs_to_its_run(service: Service, later: int) -> None:
    """While its instances start, while they are checked, and while it is asked: the other host is refused, and told who is there."""
    first, second = _both(service, later)
    assert not getattr(first, "failures", [str(first)]), first
    assert getattr(second, "exit_code", None) == ExitCode.HELD
    assert service.serving == {"2": 2}
