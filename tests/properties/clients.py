"""What clients get at every moment of a change: who answers whom, by the listeners, rules, security groups and certificates that there are
then."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from moto.acm.models import acm_backends

from tests.properties.reach import admits

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from tests.properties.watched import WatchedWorld

SOURCES = ("203.0.113.7/32", "10.0.1.7/32", "10.9.0.7/32")
"""Where clients are: somewhere in the internet, in the stack's network, and in somebody else's."""
WITHOUT = " without a target"
Answer = frozenset[str]
"""The target groups that share the requests, by their addresses; or what the load balancer says itself; or nothing."""


class _Rule(NamedTuple):
    conditions: tuple[str, ...]
    answer: Answer


class _Door(NamedTuple):
    """A listener as it is at some moment."""

    sources: tuple[str, ...]
    """From where it is reached."""
    rules: tuple[_Rule, ...]
    """The first one that matches answers; the last one always does."""
    certified: frozenset[str]
    """The names that its certificates are for, or the ARN of one that ACM doesn't have."""


class Request(NamedTuple):
    """What a client asks, of which load balancer and port. `more` are conditions on anything but host and path that it meets."""

    balancer: str
    port: int
    source: str
    host: str
    path: str
    more: tuple[str, ...] = ()


State = dict[tuple[str, int], _Door]


class Clients:
    """Looks, before each call, at who would answer; from `watch` on."""

    def __init__(self, world: WatchedWorld) -> None:
        self._world, self._sample = world, world.sample
        self._states: list[tuple[str, State]] = []
        world.sample = self._look  # type: ignore[method-assign] # a world looks at health at the same moments

    def watch(self) -> None:
        """Forget what was seen."""
        self._states = []
        self._look()

    def strangely_answered(
        self, may_be_empty: Collection[str] = (), may_get_empty: Collection[str] = ()
    ) -> dict[Request, tuple[str, Answer]]:
        """Requests that were answered as neither before nor after, though their load balancer and port were there before and
        after; with the call before which it was so. Of some target groups the spec lets all targets be missing for a while: of those
        that `may_get_empty` only where it is they that are to answer."""
        self._look()
        (_, first), *between, (_, last) = self._states
        found: dict[Request, tuple[str, Answer]] = {}
        for request in set(_requests(first)) | set(_requests(last)):
            ends = _answer(first, request), _answer(last, request)
            if not all(ends):
                continue
            for call, state in between:
                answer = _answer(state, request)
                # what is there again before it goes, or serves already before it is cut off
                served = {item.removesuffix(WITHOUT) for item in ends[0] | ends[1]}
                # a rule and the default action can't change in one call
                others = _default(first, request), _default(last, request)
                served |= {item for one, end in enumerate(ends) if end == others[one] for item in others[1 - one]}
                to_answer = {item.removesuffix(WITHOUT) for item in ends[1] | others[1]}
                empty = served.intersection(may_be_empty) | (served & to_answer).intersection(may_get_empty)
                served |= {f"{item}{WITHOUT}" for item in empty}
                if _is_dark(ends[0], state):  # so whoever takes over loses nothing
                    served |= {f"{item}{WITHOUT}" for item in ends[1]}
                if not answer or not answer <= ends[0] | ends[1] | served:
                    found.setdefault(request, (call, answer))
        return found

    def uncertified(self) -> dict[tuple[str, int, str], str]:
        """By load balancer, port and host name: the call before which the listener had no certificate for a name that it has one
        for before and after."""
        self._look()
        (_, first), *between, (_, last) = self._states
        found: dict[tuple[str, int, str], str] = {}
        for key in first.keys() & last.keys():
            for name in first[key].certified | last[key].certified:
                host = name.replace("*", "x")
                for call, state in between:
                    doors = (first[key], state.get(key), last[key])
                    is_for = [any(map(partial(_is_for, host), door.certified)) for door in doors if door]
                    if is_for == [True, False, True]:
                        found.setdefault((*key, host), call)
        return found

    def answered(self, paths: Iterable[str], port: int = 80) -> dict[str, str]:
        """Which of these paths healthy targets answer now, asked from the internet, and behind which load balancer."""
        state, found = self._state(), {}
        for balancer, here in state:
            for path in paths:
                answer = _answer(state, Request(balancer, here, SOURCES[0], "load.test", path))
                if here == port and answer and all(re.fullmatch(r"target_group\.\S+", item) for item in answer):
                    found[path] = balancer
        return found

    def _look(self, operation: str = "") -> None:
        self._sample(operation)
        state = self._state()
        if not operation or not self._states or self._states[-1][1] != state:
            self._states.append((operation, state))

    def _state(self) -> State:
        account = self._world.account
        groups = {group.id: group for group in account.groups()}
        found: State = {}
        for balancer in account.elb.load_balancers.values():
            front = [groups[item] for item in balancer.security_groups if item in groups]
            for listener in balancer.listeners.values():
                inward = [rule for group in front for rule in group.ingress_rules]
                sources = [item for item in SOURCES if not front or admits(inward, listener.port, set(), [item])]
                rules = sorted(listener.rules.values(), key=lambda rule: (rule.priority == "default", rule.priority))
                told = tuple(_Rule(tuple(map(_condition, rule.conditions)), self._told(rule)) for rule in rules)
                certified = frozenset(name for arn in listener.certificates for name in self._names_of(arn))
                found[balancer.arn, listener.port] = _Door(tuple(sources), told, certified)
        return found

    def _names_of(self, arn: str) -> Iterable[str]:
        account = self._world.account
        known = acm_backends[account.account][account.region]._certificates.get(arn)
        return (known.common_name, *known.sans) if known else (arn,)

    def _told(self, rule: Any) -> Answer:
        found = set()
        for action in rule.actions:
            data = action.data
            for item in (data.get("ForwardConfig") or {}).get("TargetGroups", ()):
                if item.get("Weight", 1) > 0:
                    name, now = self._world._name(item["TargetGroupArn"]), self._world.clock.now()
                    found.add(name if self._world._healthy(item["TargetGroupArn"], now) else f"{name}{WITHOUT}")
            if "ForwardConfig" not in data:
                found.add(json.dumps(data, sort_keys=True, default=str))
        return frozenset(found)


def _is_for(host: str, name: str) -> bool:
    """RFC 6125, 6.4.3: a wildcard stands for one label."""
    return host == name or (name.startswith("*.") and host.partition(".")[2] == name[2:])


def _condition(data: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in data.items() if key != "Values"}, sort_keys=True)


def _patterns(condition: str) -> tuple[str, list[str]]:
    """Which of host and path a condition is about, and the patterns; nothing for any other."""
    data = json.loads(condition)
    config = data.get(
        {"host-header": "HostHeaderConfig", "path-pattern": "PathPatternConfig"}.get(data["Field"], ""), {}
    )
    return (data["Field"], config["Values"]) if config.get("Values") else ("", [])


def _requests(state: State) -> Iterator[Request]:
    """For each rule one request that meets its conditions."""
    for (balancer, port), door in state.items():
        for rule in door.rules:
            asked = {"host-header": "nobody.test", "path-pattern": "/nothing"}
            more = []
            for condition in rule.conditions:
                field, patterns = _patterns(condition)
                if field:
                    asked[field] = patterns[0].replace("*", "x").replace("?", "x")
                else:
                    more.append(condition)
            for source in SOURCES:
                yield Request(balancer, port, source, asked["host-header"], asked["path-pattern"], tuple(more))


def _answer(state: State, request: Request) -> Answer:
    door = state.get((request.balancer, request.port))
    if door is None or request.source not in door.sources:
        return frozenset()
    return next(
        (rule.answer for rule in door.rules if all(_meets(request, item) for item in rule.conditions)), frozenset()
    )


def _is_dark(answer: Answer, state: State) -> bool:
    """Whether no group that is to answer has a target, at this moment either."""
    told = {item for door in state.values() for rule in door.rules for item in rule.answer}
    return answer <= told and all(item.endswith(WITHOUT) for item in answer)


def _default(state: State, request: Request) -> Answer:
    door = state[request.balancer, request.port]
    return next((rule.answer for rule in door.rules if not rule.conditions), frozenset())


def _meets(request: Request, condition: str) -> bool:
    field, patterns = _patterns(condition)
    if not field:
        return condition in request.more
    said = request.host if field == "host-header" else request.path
    return any(fnmatchcase(said, pattern) for pattern in patterns)
