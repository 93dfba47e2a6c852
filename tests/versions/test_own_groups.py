"""Law 8: what the tool made, it knows, after any number of versions (V4)."""

from __future__ import annotations

from asyncio import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.properties.faults import Gone, Killed, spoilt
from tests.versions.service import Answer, people, version

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.versions.service import Service


def three_without_sync(service: Service) -> None:
    """Each a day after the one before, and nothing runs `sync` between."""
    for name in "123":
        service.deploy(version(name))
        service.let_pass(24 * 60)


def a_bad_one_then_back(service: Service) -> None:
    service.deploy(version("1"))
    service.fail("2")
    service.apply(version("3"))
    service.roll_back(version("3"))


def two_bad_ones(service: Service) -> None:
    service.deploy(version("1"))
    service.fail("2")
    service.fail("3")


def two_rollbacks(service: Service) -> None:
    service.deploy(version("1"))
    for name in "23":
        service.apply(version(name))
        service.roll_back(version(name))


def a_bad_one_and_a_kill(service: Service) -> None:
    service.deploy(version("1"))
    service.fail("2")
    _killed(service, "3", 3, "after")
    service.let_pass(30)  # the run that made it can't live any more


def _killed(service: Service, name: str, number: int, when: str) -> None:
    with spoilt(service.world, Killed(number, when)), suppress(Gone, CancelledError, RuntimeError):
        service.world.apply(version(name))


PASTS: dict[str, Callable[[Service], None]] = {
    "three without sync": three_without_sync,
    "a bad one, then back": a_bad_one_then_back,
    "two bad ones": two_bad_ones,
    "two rollbacks": two_rollbacks,
    "a bad one and a kill": a_bad_one_and_a_kill,
}


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason='V4: its own group "may never have been the stack\'s", and apply is refused',
)
@pytest.mark.parametrize("past", PASTS.values(), ids=PASTS)
@pytest.mark.parametrize("name", ["4", "1"], ids=["a new version", "the old one"])
def test_the_next_version_is_made_as_any_other(service: Service, past: Callable[[Service], None], name: str) -> None:
    """Nobody has to say how much may be deleted, nor to take tags off, and nothing stays for ever."""
    past(service)
    spec = version(name)
    ended = service.apply(spec)
    assert ended.code == 0, ended.text
    assert service.gets() == {Answer(name, 200)}
    service.let_pass(120)
    ended = service.sync(spec)
    assert ended.code == 0, ended.text
    assert service.running == {name: 2}


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="V4: the left ones wait for a person, exit 2 for ever")
@pytest.mark.parametrize("past", [*PASTS.values()][:-1], ids=[*PASTS][:-1])
def test_sync_does_not_ask_for_a_person_for_ever(service: Service, past: Callable[[Service], None]) -> None:
    """What was left, and what was rejected, has an end, and the file is what serves."""
    past(service)
    (name,) = service.serving
    service.let_pass(24 * 60)
    for _ in range(2):
        ended = service.sync(version(name))
    assert ended.code == 0, ended.text
    assert service.running == {name: 2}


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="V4: after most of the kills apply is refused, for the same group"
)
@pytest.mark.slow
def test_a_bad_one_and_a_kill_at_any_call(tmp_path: Path) -> None:
    refused = []
    for number in range(1, 14):
        for when in ("before", "after"):
            with people(tmp_path) as service:
                service.deploy(version("1"))
                service.fail("2")
                _killed(service, "3", number, when)
                ended = service.apply(version("3"))
                if ended.code or service.gets() != {Answer("3", 200)}:
                    refused.append(f"{when} call {number}: {ended.text.splitlines()[0]}")
    assert not refused, f"{len(refused)} of 26"
