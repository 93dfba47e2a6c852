"""Law 2: what answered is ended only when what serves answers (V1); and whose end is no destruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.versions.service import Answer, version

if TYPE_CHECKING:
    from tests.versions.service import Service


def _two(service: Service) -> None:
    service.deploy(version("1"))
    service.deploy(version("2"))
    assert service.running == {"1": 2, "2": 2}


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="V1: the end of a stand-by asks nobody, and takes the only healthy version",
)
@pytest.mark.parametrize("command", ["sync", "apply"])
def test_an_old_version_stays_while_the_new_one_is_ill(service: Service, command: str) -> None:
    """The time for which it was to stand by is over long since, and it is all that would answer."""
    _two(service)
    service.fall_ill("2")
    service.let_pass(60)
    service.run(command, version("2"), *["--yes"] * (command == "apply"))
    assert service.running == {"1": 2, "2": 2}
    assert service.roll_back(version("2")).code == 0
    assert service.gets() == {Answer("1", 200)}


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="V1: one healthy target of two is enough, and so is none")
def test_it_stays_while_too_few_of_the_new_one_are_well(service: Service) -> None:
    """One of two, where none may be missing."""
    _two(service)
    service.fall_ill(service.instances_of("2")[0])
    service.let_pass(60)
    ended = service.sync(version("2"))
    assert service.running == {"1": 2, "2": 2}
    assert ended.code == 2, "it costs, so somebody has to know"


def test_it_goes_when_the_new_one_is_well_again(service: Service) -> None:
    _two(service)
    service.fall_ill("2")
    assert service.gets() == {Answer("2", 500)}
    service.recover()
    service.let_pass(60)
    ended = service.sync(version("2"))
    assert ended.code == 0, ended.text
    assert service.running == {"2": 2}
    assert service.gets() == {Answer("2", 200)}


def test_it_goes_where_the_missing_one_may_be_missing(service: Service) -> None:
    service.deploy(version("1", max_unavailable=1))
    service.deploy(version("2", max_unavailable=1))
    service.fall_ill(service.instances_of("2")[0])
    service.let_pass(60)
    service.sync(version("2", max_unavailable=1))
    assert service.running == {"2": 2}


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="V1: the latest one that stands by is the ill one, and rollback is refused",
)
def test_a_third_version_does_not_end_the_last_one_that_was_well(service: Service) -> None:
    """The second one was ill when the requests left it, so nobody wants to go back to it."""
    _two(service)
    service.fall_ill("2")
    service.deploy(version("3"))
    ended = service.roll_back(version("3"))
    assert ended.code == 0, ended.text
    assert service.gets() == {Answer("1", 200)}


@pytest.mark.xfail(strict=True, raises=RefusedError, reason="law 3: prevent_destroy refuses each deployment")
@pytest.mark.parametrize("section", ["instances", "target_groups"])
def test_the_end_of_a_version_is_no_destruction_of_its_entry(service: Service, section: str) -> None:
    """`prevent_destroy` protects the address, and another version is there."""
    specs = [version("1"), version("2")]
    for spec in specs:
        spec[section]["web"]["prevent_destroy"] = True
        service.deploy(spec)
    service.let_pass(60)
    ended = service.sync(specs[1])
    assert ended.code == 0, ended.text
    assert service.running == {"2": 2}
