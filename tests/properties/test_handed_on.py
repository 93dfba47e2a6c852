"""Target groups that one listener or rule hands on to another one: they are forwarded to, and keep their healthy targets, throughout."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tests.properties.seeds import sampled
from tests.properties.test_gaps import ALLOW, changed, coloured, listener, nothing, regroup, roll, web
from tests.properties.watched import watched

if TYPE_CHECKING:
    from tests.harness import Spec

pytestmark = pytest.mark.slow

TWO_RULES = coloured("web", one=(10, "/1/*", "blue"), two=(20, "/2/*", "green"))
ROLLED = TWO_RULES | {"instances": changed(roll)["instances"]}


def at_8080(spec: Spec, *rules: str) -> Spec:
    """Another listener, at another port, with these rules: in place of the one there is if those are all of them."""
    found = copy.deepcopy(spec["load_balancers"]["public"])
    first = found["listeners"]["http"]
    other = first | {"port": 8080, "rules": {name: first["rules"].pop(name) for name in rules}}
    found["listeners"] = {"http": first, "other": other} if first["rules"] else {"other": other}
    return spec | {"load_balancers": {"public": found}}


def beside(spec: Spec, answer: dict[str, Any], *rules: str) -> Spec:
    """A new listener at another port for what the one there is forwards by default, or for what these rules do, which answers otherwise."""
    found = copy.deepcopy(spec)
    first = listener(found)
    other = {"protocol": "HTTP", "port": 8080, "default_action": first["default_action"]}
    if rules:
        other["default_action"] = first["rules"][rules[0]]["action"]
    for changes in [first["rules"][name] for name in rules] or [first]:
        changes["action" if rules else "default_action"] = answer
    found["load_balancers"]["public"]["listeners"]["other"] = other
    return found


NOT_FOUND = {"fixed_response": {"status_code": 404}}
AT_404 = beside(TWO_RULES, {"forward": "web"})
"""A listener beside the one there is, which answers nothing."""
AT_404["load_balancers"]["public"]["listeners"]["other"]["default_action"] = NOT_FOUND


def only_other(spec: Spec) -> Spec:
    """That listener alone, which forwards now."""
    found = copy.deepcopy(spec)
    found["load_balancers"]["public"]["listeners"] = {
        "other": {"protocol": "HTTP", "port": 8080, "default_action": {"forward": "web"}}
    }
    found["target_groups"] = {"web": found["target_groups"]["web"]}
    return found


CHANGES: dict[str, tuple[Spec, Spec]] = {
    "a listener for another at another port": (TWO_RULES, at_8080(TWO_RULES, "one", "two")),
    "the same, and a roll": (TWO_RULES, at_8080(ROLLED, "one", "two")),
    "a rule goes over to another listener": (TWO_RULES, at_8080(TWO_RULES, "two")),
    "a listener answers otherwise": (TWO_RULES, beside(TWO_RULES, NOT_FOUND)),
    "a listener answers otherwise, and a roll": (TWO_RULES, beside(ROLLED, NOT_FOUND)),
    "a rule answers otherwise": (TWO_RULES, beside(TWO_RULES, NOT_FOUND, "two")),
    "a listener that is there takes up its group, and a roll": (AT_404, only_other(ROLLED)),
}


@pytest.mark.parametrize("name", sampled(CHANGES, 2))
def test_a_group_is_forwarded_to_throughout(name: str) -> None:
    """Found: who hands it on went first, or at the same time, and a roll in the same run didn't wait for its health."""
    before, after = CHANGES[name]
    with watched() as world:
        world.converge(before)
        world.watch()
        world.converge(after, allow=ALLOW)
        world.sample()
        assert {low.healthy for low in world.lows.values()} == {2}, world.lows


def at_ports(spec: Spec, **ports: int) -> Spec:
    """Listeners of these names at these ports; the one at port 80 forwards to `blue`, or has it at weight 0."""
    found = copy.deepcopy(spec)
    listeners = found["load_balancers"]["public"]["listeners"]
    first = listeners.pop("http")
    for name, port in ports.items():
        group = "blue" if len(ports) > 1 and port == 80 else "web"
        listeners[name] = first | {"port": port, "default_action": {"forward": group}, "rules": {}}
    if len(ports) == 1:
        both = [{"target_group": "web", "weight": 100}, {"target_group": "blue", "weight": 0}]
        listeners["http"]["default_action"] = {"forward": {"target_groups": both}}
    return found


def test_what_needs_the_port_comes_after_it() -> None:
    """Found: a plan that was a circle, where a listener makes room for another one which takes up what it had at weight 0."""
    spec = coloured("web", one=(10, "/1/*", "blue"))
    with watched() as world:
        world.converge(at_ports(spec, http=80))
        world.converge(at_ports(spec, http=8080, new=80), allow=ALLOW)
    after = at_ports(spec, http=8080, new=80)
    rule = {"priority": 10, "conditions": [{"path_pattern": "/1/*"}], "action": {"forward": "blue"}}
    after["load_balancers"]["public"]["listeners"]["new"] |= {
        "default_action": {"forward": "web"},
        "rules": {"one": rule},
    }
    with watched() as world:
        world.converge(at_ports(spec, http=80))
        world.converge(after, allow=ALLOW)


def test_a_port_is_left_when_who_takes_it_need_not_wait() -> None:
    """Found: a listener left its port first, and the one that takes it waited for the roll of their group, for minutes."""
    before, after = changed(nothing), changed(roll)
    after["load_balancers"]["public"]["listeners"] = {
        "http": listener(before) | {"port": 8080, "default_action": NOT_FOUND}, "new": listener(before)
    }  # fmt: skip
    with watched() as world:
        world.converge(before)
        steps = world.plan(after, allow=ALLOW).steps
        keys = [step.key.partition("@")[0] for step in steps]
        registered = [
            place
            for place, step in enumerate(steps)
            if step.address.kind == "registration" and step.action == "replace"
        ]
        assert max(registered) < keys.index("update:listener.public/http") < keys.index("create:listener.public/new")
        world.converge(after, allow=ALLOW)


def moved_to_80(chain: int) -> tuple[Spec, Spec]:
    """A listener that comes to port 80 and takes up the group of the one that was there, or of one further on, and a roll."""
    before, after = changed(nothing), changed(roll)
    listeners, then = (spec["load_balancers"]["public"]["listeners"] for spec in (before, after))
    serving = listeners.pop("http")
    if chain:
        listeners |= {"http": {**serving, "default_action": NOT_FOUND}, "old": {**serving, "port": 81}}
        then |= {"http": {**serving, "port": 81, "default_action": NOT_FOUND}, "new": serving}
    else:
        listeners |= {"http": serving, "other": {**serving, "port": 8080, "default_action": NOT_FOUND}}
        after["load_balancers"]["public"]["listeners"] = {"other": serving}
    return before, after


@pytest.mark.parametrize("chain", [0, 1])
def test_a_listener_goes_when_who_comes_to_its_port_need_not_wait(chain: int) -> None:
    """Found: it went first, and for the whole roll nobody answered."""
    before, after = moved_to_80(chain)
    with watched() as world:
        world.converge(before)
        steps = world.plan(after, allow=ALLOW).steps
        gone = [
            place for place, step in enumerate(steps) if step.address.kind == "listener" and step.action == "delete"
        ]
        registered = [
            place
            for place, step in enumerate(steps)
            if step.address.kind == "registration" and step.action == "replace"
        ]
        assert max(registered) < min(gone)
        world.watch()
        world.converge(after, allow=ALLOW)


def test_a_listener_goes_when_another_one_has_what_replaces_its_group() -> None:
    """Found: it went first, so that there was none for a while."""
    before = changed(nothing)
    after = changed(regroup, web(8080))
    after["load_balancers"]["public"]["listeners"] = {"other": listener(before) | {"port": 8080}}
    with watched() as world:
        world.converge(before)
        keys = [step.key.partition("@")[0] for step in world.plan(after, allow=ALLOW).steps]
        assert keys.index("create:listener.public/other") < keys.index("delete:listener.public/http")
        world.converge(after, allow=ALLOW)
