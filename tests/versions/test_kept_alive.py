"""Law 1: the version that serves is kept alive, whatever the file says (V5, V14)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import demo
from tests.versions.service import Answer, listener, version

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness import Spec
    from tests.versions.service import Service


def rolled_back(service: Service) -> Spec:
    """The file still says the version that was left."""
    service.deploy(version("1"))
    service.deploy(version("2"))
    assert service.roll_back(version("2")).code == 0
    return version("2")


def put_back(service: Service) -> Spec:
    """The file says the version that serves again, and nobody has applied it."""
    rolled_back(service)
    return version("1")


def failed(service: Service) -> Spec:
    service.deploy(version("1"))
    service.fail("2")
    return version("2")


def not_applied(service: Service) -> Spec:
    """Merged, and nobody has run `apply` yet."""
    service.deploy(version("1"))
    return version("2")


def as_applied(service: Service) -> Spec:
    service.deploy(version("1"))
    return version("1")


FILES: dict[str, Callable[[Service], Spec]] = {
    "as applied": as_applied,
    "rolled back": rolled_back,
    "put back": put_back,
    "failed": failed,
    "not applied": not_applied,
}


LOSING = {
    "rolled back": "V5: the withheld change of the listener hides the lost instance, which the plan doesn't name",
    "put back": "V5: the entry has a newer instance in the version that was left, and isn't healed",
    "failed": "V5: the withheld change of the listener hides the lost instance, which the plan doesn't name",
    "not applied": "V5: it is told, and made by apply only, which makes it as the file says",
}


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(
            file,
            id=name,
            marks=pytest.mark.xfail(strict=True, raises=AssertionError, reason=LOSING[name]) if name in LOSING else (),
        )
        for name, file in FILES.items()
    ],
)
def test_sync_puts_back_what_it_has_lost(service: Service, file: Callable[[Service], Spec]) -> None:
    spec = file(service)
    service.lose("1")
    ended = service.sync(spec)
    assert service.serving == {"1": 2}, ended.text


def test_where_no_instance_of_it_lives_nothing_is_guessed(service: Service) -> None:
    """A person has to say what is to serve: the file says a version that was left for a reason."""
    spec = rolled_back(service)
    service.lose("1", 2)
    ended = service.sync(spec)
    assert ended.code == 1, ended.text
    assert "2" not in service.serving


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="V5: the newest instance is that of the version that failed, and its value is taken",
)
def test_a_value_that_is_not_given_is_that_of_the_version_that_serves(service: Service) -> None:
    """And not that of the newest instances, which are those of a version that has failed."""
    spec = demo()
    spec["instances"]["web"] |= {
        "user_data": "#!/bin/sh\nexec web-api\n",
        "user_data_values": {"VERSION": "${VERSION}"},
        "rollout": {"strategy": "blue_green", "keep": "30m"},
    }
    assert service.apply(spec, "--set", "VERSION=1").code == 0
    service.behaves["2"] = lambda _: 500
    assert service.apply(spec, "--set", "VERSION=2").code != 0
    assert service.serving == {"1": 2}
    service.lose("1")
    ended = service.sync(spec)
    assert service.serving == {"1": 2}, ended.text


def _answers_only(spec: Spec, status: int) -> Spec:
    listener(spec)["default_action"] = {
        "fixed_response": {"status_code": status, "content_type": "text/plain", "message_body": "soon"}
    }
    return spec


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="V14: sync makes the listener with the 503 that nobody applied"
)
@pytest.mark.parametrize("before", ["alone", "another stands by"])
def test_sync_makes_no_listener_as_nobody_has_applied_it(service: Service, before: str) -> None:
    """Somebody deletes the listener, while the file says another action that nobody has applied."""
    service.deploy(version("1"))
    if before != "alone":
        service.deploy(version("2"))
    (name,) = service.serving
    service.world.client("elbv2").delete_listener(ListenerArn=service.listener_arn())
    service.let_pass(5)
    service.sync(_answers_only(version(name), 503))
    assert Answer("", 503) not in service.gets()


def test_sync_makes_a_listener_again_that_is_as_it_was_applied(service: Service) -> None:
    service.deploy(version("1"))
    service.world.client("elbv2").delete_listener(ListenerArn=service.listener_arn())
    service.let_pass(5)
    service.sync(version("1"))
    assert service.gets() == {Answer("1", 200)}


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="V14: sync makes the listener as the file says, with the version that was left",
)
def test_sync_leads_a_lost_listener_to_the_version_that_serves(service: Service) -> None:
    """It is as it was applied, but for the version, from which requests were taken back."""
    spec = rolled_back(service)
    service.world.client("elbv2").delete_listener(ListenerArn=service.listener_arn())
    service.let_pass(5)
    service.sync(spec)
    assert Answer("2", 200) not in service.gets()
