"""Law 5: a verdict is about the version that was asked; and law 4 at the end of a run: going back never makes it worse (V2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.versions.service import Answer, broken, version

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.versions.service import Sent, Service


def silent(_: Sent) -> int:
    """A version that takes each request, and never answers."""
    return 0


WAYS_TO_BE_BROKEN = {"answers by errors": broken, "hangs": silent}


def _breaks_under_load(service: Service, name: str) -> Callable[[Sent], int]:
    """It answers well, until it has the customers."""
    return lambda _: 500 if name in service.serving else 200


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="V2: an answer of the old version counts against the new one, which is taken back",
)
@pytest.mark.parametrize("how", WAYS_TO_BE_BROKEN.values(), ids=WAYS_TO_BE_BROKEN)
def test_a_good_version_takes_over_from_a_broken_one(service: Service, how: Callable[[Sent], int]) -> None:
    """Behind a health check that is green. For some seconds after the move the load balancer still leads requests to the old one."""
    service.lag = 10
    service.deploy(version("1"))
    service.behaves["1"] = how
    ended = service.apply(version("2"))
    service.let_pass(1)
    assert service.gets() == {Answer("2", 200)}
    assert ended.code == 0, ended.text


@pytest.mark.parametrize("how", WAYS_TO_BE_BROKEN.values(), ids=WAYS_TO_BE_BROKEN)
def test_a_bad_version_gets_no_request(service: Service, how: Callable[[Sent], int]) -> None:
    service.lag = 10
    service.deploy(version("1"))
    service.behaves["2"] = how
    service.watch()
    ended = service.apply(version("2"))
    assert ended.code == 1, ended.text
    assert service.met == {Answer("1", 200)}


def test_a_version_that_breaks_when_it_has_the_customers_is_taken_back(service: Service) -> None:
    service.lag = 10
    service.deploy(version("1"))
    service.behaves["2"] = _breaks_under_load(service, "2")
    ended = service.apply(version("2"))
    service.let_pass(1)
    assert service.gets() == {Answer("1", 200)}
    assert ended.code == 6, ended.text


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="V2: requests go back to the old version, which nobody has asked"
)
def test_it_stays_where_the_old_one_is_as_broken(service: Service) -> None:
    """Nobody has more of a version that was asked the same in the same half minute, and has failed too."""
    service.deploy(version("1"))
    service.behaves["1"] = broken
    service.behaves["2"] = _breaks_under_load(service, "2")
    ended = service.apply(version("2"))
    assert service.serving == {"2": 2}
    assert ended.code != 0, ended.text


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="law 5: a 403 of a firewall is within 100-499, and all requests move"
)
def test_an_answer_of_a_firewall_is_not_the_versions(service: Service) -> None:
    """Not one check has reached it, so nothing is known of it, and no request moves."""
    service.deploy(version("1"))
    service.firewall = lambda sent: sent.asks
    service.behaves["2"] = broken
    service.watch()
    ended = service.apply(version("2"))
    assert Answer("2", 500) not in service.met
    assert ended.code == 1, ended.text


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="law 4: rollback moves all requests to a version that answers by errors"
)
def test_a_rollback_to_a_version_that_was_asked_and_failed_needs_a_word(service: Service) -> None:
    """It was asked when the new one was, and its health check is green."""
    service.deploy(version("1"))
    service.behaves["1"] = broken
    service.deploy(version("2"))
    ended = service.roll_back(version("2"))
    assert service.gets() == {Answer("2", 200)}
    assert ended.code == 4, ended.text
