"""Requests reach a target of an entry that is deployed beside only if its version was asked, whatever made it (V3, V3b)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tests.versions.service import Answer, broken, forward_rule, listener, version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.harness import Spec
    from tests.versions.service import Service


def another_name(spec: Spec) -> Spec:
    """The entry has another name, and nobody has run `move`."""
    spec["instances"]["app"] = spec["instances"].pop("web")
    spec["target_groups"]["web"]["targets"] = ["app"]
    return spec


def another_name_of_the_group(spec: Spec) -> Spec:
    spec["target_groups"]["app"] = spec["target_groups"].pop("web")
    listener(spec)["default_action"] = {"forward": "app"}
    return spec


def a_rule_in_the_place_of_the_default_action(spec: Spec) -> Spec:
    listener(spec)["default_action"] = {
        "fixed_response": {"status_code": 404, "content_type": "text/plain", "message_body": "no"}
    }
    listener(spec)["rules"] = {"all": forward_rule(10, "/*")}
    return spec


def another_count(spec: Spec) -> Spec:
    spec["instances"]["web"]["count"] = 3
    return spec


def another_port_of_the_group(spec: Spec) -> Spec:
    spec["target_groups"]["web"]["port"] = 8080
    return spec


def a_rule_more(spec: Spec) -> Spec:
    listener(spec)["rules"] = {"v2": forward_rule(10, "/v2/*")}
    return spec


def a_listener_more(spec: Spec) -> Spec:
    spec["load_balancers"]["public"]["listeners"]["more"] = {**copy.deepcopy(listener(spec)), "port": 8080}
    return spec


WAYS: dict[str, Callable[[Spec], Spec]] = {
    "nothing else": lambda spec: spec,
    "another name": another_name,
    "another name of the group": another_name_of_the_group,
    "a rule in the place of the default action": a_rule_in_the_place_of_the_default_action,
    "another count": another_count,
    "another port of the group": another_port_of_the_group,
    "a rule more": a_rule_more,
    "a listener more": a_listener_more,
}


def _cases(failing: Mapping[str, str]) -> list[Any]:
    """All ways; some of them fail today."""
    marks = {name: pytest.mark.xfail(strict=True, raises=AssertionError, reason=text) for name, text in failing.items()}
    return [pytest.param(way, id=name, marks=marks.get(name, ())) for name, way in WAYS.items()]


@pytest.mark.parametrize(
    "way",
    _cases(
        {
            "another name": "V3: nothing is asked, the new instances join the group that serves, and the old ones end",
            "a rule in the place of the default action": "V3b: nothing is asked, and the new rule takes all requests",
            "a listener more": "V3: the new listener leads to the version before it is asked, and stays when it has failed",
        }
    ),
)
def test_no_customer_meets_a_bad_version(service: Service, way: Callable[[Spec], Spec]) -> None:
    service.deploy(version("1"))
    service.behaves["2"] = broken
    service.paths |= {"/v2/orders"}
    service.watch()
    ended = service.apply(way(version("2")))
    assert Answer("2", 500) not in service.met
    assert service.gets() == {Answer("1", 200)}
    assert ended.code != 0, ended.text


@pytest.mark.parametrize(
    "way",
    _cases(
        {
            "another name": "V3: the old instances are ended at once, and rollback has nothing",
            "another name of the group": "V3: the old group and its instances are ended at once, and rollback has nothing",
            "a rule in the place of the default action": "V3b: the old group is in no forward, and rollback finds nothing",
        }
    ),
)
def test_a_good_version_can_be_left_again(service: Service, way: Callable[[Spec], Spec]) -> None:
    service.deploy(version("1"))
    spec = way(version("2"))
    service.deploy(spec)
    assert service.gets() == {Answer("2", 200)}
    ended = service.roll_back(spec)
    assert ended.code == 0, ended.text
    assert service.gets() == {Answer("1", 200)}
    assert service.serving == {"1": 2}, "through each door"


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="V3: nothing is asked, and the new entry's instances join the group that serves",
)
def test_another_entry_in_the_same_group_is_asked_too(service: Service) -> None:
    """It is in front of customers as soon as it is healthy, unless it comes with a group of its own."""
    service.deploy(version("1"))
    service.behaves["2"] = broken
    spec = version("1")
    spec["instances"]["more"] = {**version("2")["instances"]["web"], "count": 1}
    spec["target_groups"]["web"]["targets"] = ["web", "more"]
    service.watch()
    service.apply(spec)
    assert Answer("2", 500) not in service.met


def test_a_larger_count_of_the_same_version_needs_no_asking(service: Service) -> None:
    service.deploy(version("1"))
    service.deploy(another_count(version("1")))
    assert service.serving == {"1": 3}


def test_where_nothing_serves_before_nothing_needs_asking(service: Service) -> None:
    service.behaves["1"] = broken
    service.deploy(version("1"))
    assert service.gets() == {Answer("1", 500)}
