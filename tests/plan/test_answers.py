"""Which rule answers which requests, against a listener that tries its rules one after the other."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import product
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alb_reconcile.engine.answers import Answers, _covers, _may_meet
from alb_reconcile.engine.doors import Door
from alb_reconcile.kinds.listener import Listener
from alb_reconcile.kinds.rule import Rule
from alb_reconcile.model.actions import Action
from alb_reconcile.model.address import Address
from alb_reconcile.model.requests.conditions import Condition
from alb_reconcile.model.resource import Observed

if TYPE_CHECKING:
    from random import Random

KEY: Final = ("lb", "HTTP", 80)
HOSTS: Final = ("a.example.com", "B.example.com", "*.example.com")
PATHS: Final = ("/1", "/1/*", "/*", "/2/x")


def door(name: str, state: Rule | Listener, asked: tuple[object, ...]) -> Door:
    return Door(Observed(Address("rule", name), name, state, {}, None), "lb", asked)


def values(field: str, known: tuple[str, ...]) -> st.SearchStrategy[Condition]:
    return st.lists(st.sampled_from(known), min_size=1, max_size=2, unique=True).map(
        lambda found: Condition(field, tuple(found))
    )


CONDITIONS: Final = st.tuples(values("host_header", HOSTS), values("path_pattern", PATHS))


@given(st.lists(CONDITIONS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_first_rule_that_takes_a_request_answers_it(rules: list[tuple[Condition, ...]], random: Random) -> None:
    """Of rules with hosts and paths, each sort of which every request is alike."""
    priorities = list(range(1, len(rules) + 1))
    random.shuffle(priorities)
    listener = door("listener", Listener(load_balancer="lb", port=80, protocol="HTTP", default_action=Action()), KEY)
    doors = [listener]
    for number, (conditions, priority) in enumerate(zip(rules, priorities, strict=True)):
        state = Rule(listener="listener", priority=priority, conditions=conditions, action=Action())
        doors.append(door(str(number), state, (*KEY, conditions)))
    found = Answers(doors, going=()).find(doors)
    order = sorted(range(len(rules)), key=priorities.__getitem__)
    for conditions in rules:
        for host, path in product(conditions[0].values, conditions[1].values):
            takers = (number for number in order if takes(rules[number], host, path))
            sort = frozenset([("host_header", "", host), ("path_pattern", "", path)])
            assert found[*KEY, sort].item.id == str(next(takers))


def takes(conditions: tuple[Condition, ...], host: str, path: str) -> bool:
    hosts, paths = (part.values for part in conditions)
    return any(fnmatchcase(host.lower(), text.lower()) for text in hosts) and any(
        fnmatchcase(path, text) for text in paths
    )


@pytest.mark.parametrize(
    ("one", "other", "covers", "meets"),
    [
        ("/v*", "/v?", True, True), ("/v?", "/v*", False, True), ("/v/*", "/V/*", False, False), ("*.jpg", "/a/*", False, True),
        ("/a/*", "/b*", False, False), ("/a", "/a", True, True), ("/a", "/b", False, False), ("/a?/b", "/a/b", False, False),
    ],
)  # fmt: skip
def test_patterns_hold_others_or_meet_them(one: str, other: str, *, covers: bool, meets: bool) -> None:
    """Paths tell cases apart; what stands for one character doesn't stand for any text (Application Load Balancers, "Path conditions")."""
    first, second = (("path_pattern", "", text) for text in (one, other))
    assert _covers(first, second) == covers
    assert _may_meet(frozenset([first]), frozenset([second])) == meets


@pytest.mark.parametrize(
    ("one", "other", "covers"),
    [("10.0.0.0/8", "10.1.0.0/16", True), ("10.1.0.0/16", "10.0.0.0/8", False), ("10.0.0.0/8", "11.0.0.0/8", False), ("0.0.0.0/0", "2001:db8::/32", False)],
)  # fmt: skip
def test_a_network_holds_those_within_it(one: str, other: str, *, covers: bool) -> None:
    assert _covers(("source_ip", "", one), ("source_ip", "", other)) == covers


def test_what_two_changed_rules_both_take_is_a_sort_of_its_own() -> None:
    states = [
        Rule(listener="l", priority=number, conditions=(condition,), action=Action())
        for number, condition in enumerate(
            (Condition("host_header", ("a",)), Condition("path_pattern", ("/x",))), start=1
        )
    ]
    doors = [door(str(state.priority), state, (*KEY, state.conditions)) for state in states]
    both = frozenset([("host_header", "", "a"), ("path_pattern", "", "/x")])
    assert (*KEY, both) not in Answers(doors, going=()).find(doors)
    assert Answers(doors, doors[1:], going=()).find(doors)[*KEY, both].item.id == "1"
