"""Deployments as people make them, in one apply: requests go from blue to green, by a listener, a rule or weights, while instances of either come, go or change."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import PlanError, RefusedError
from tests.harness import Spec, demo
from tests.properties.account import account
from tests.properties.seeds import SOAK, try_seeds
from tests.properties.walks import DEEDS, LAGS, Pair

if TYPE_CHECKING:
    from random import Random

ENDS = ("kept", "fewer", "no instances", "stopped", "no targets", "moved", "without the group", "gone", "other port")
"""What becomes of blue."""
STARTS = ("new", "unchecked", "at weight 0", "with a share", "behind another rule")
"""What there is of green."""
TURNS = ("listener", "rule", "both", "weights", "canary", "new rule")
"""How the requests go from one to the other."""


def paced(random: Random) -> dict[str, Any]:
    """How instances are changed."""
    surge, unavailable = random.choice(((1, 0), (1, 0), (2, 0), (1, 1), (0, 1), (2, 2)))
    in_place = {"type_change": "in-place"} if unavailable and random.random() < 0.5 else {}
    rollout = {"max_surge": surge, "max_unavailable": unavailable, "settle": random.choice(("5s", "30s"))}
    return {"count": random.choice((1, 2, 2, 3)), "rollout": rollout, **in_place}


def changed(random: Random, entry: dict[str, Any]) -> None:
    """Instances that are replaced or restarted in the same run, or not."""
    what = random.choice(("nothing", "nothing", "version", "type", "count"))
    if what == "version":
        entry["user_data"] = "#!/bin/sh\nexec web-api --new\n"
    elif what == "type":
        entry["instance_type"] = "t3.small"
    elif what == "count":
        entry["count"] += 1


def drawn(random: Random) -> tuple[Spec, Spec]:
    """Before and after."""
    spec = demo()
    own = {**spec["instances"].pop("web"), "subnets": ["public-a", "public-b"]}
    group = {**spec["target_groups"].pop("web"), "target_type": random.choice(("instance", "instance", "ip"))}
    let_in = spec["security_groups"]["web"]["ingress"][0]
    spec["security_groups"]["web"]["ingress"] = [let_in, {**let_in, "port": 8080}]
    for name in ("blue", "green"):
        spec["instances"][name] = {**copy.deepcopy(own), **paced(random)}
        minimum = random.choice(({}, {}, {"min_healthy": 1}))
        spec["target_groups"][name] = {**copy.deepcopy(group), "targets": [name], **minimum}
    start, end, turn = random.choice(STARTS), random.choice(ENDS), random.choice(TURNS)
    listener = spec["load_balancers"]["public"]["listeners"]["http"]
    by_rule = {"priority": 10, "conditions": [{"path_pattern": "/v2/*"}], "action": {"forward": "blue"}}
    listener["default_action"] = {"forward": "blue"}
    listener["rules"] = {"v2": by_rule}
    if start in ("at weight 0", "with a share"):
        listener["default_action"] = weighted(3, 0 if start == "at weight 0" else 1)
    if start == "behind another rule":
        listener["rules"]["v3"] = {
            "priority": 20,
            "conditions": [{"path_pattern": "/v3/*"}],
            "action": {"forward": "green"},
        }
    after = copy.deepcopy(spec)
    if start == "new":
        for section in ("instances", "target_groups"):
            del spec[section]["green"]
    _turn(after["load_balancers"]["public"]["listeners"]["http"], turn)
    changed(random, after["instances"]["green"])
    if end not in ("no instances", "gone"):
        changed(random, after["instances"]["blue"])
    _end(after, end)
    return spec, after


def weighted(blue: int, green: int) -> dict[str, Any]:
    parts = [
        {"target_group": name, "weight": weight}
        for name, weight in (("blue", blue), ("green", green))
        if weight or name == "green"
    ]
    return {"forward": {"target_groups": parts}}


def _turn(listener: dict[str, Any], turn: str) -> None:
    action = {"weights": weighted(0, 1), "canary": weighted(1, 3)}.get(turn, {"forward": "green"})
    if turn != "rule":
        listener["default_action"] = action
    if turn in ("rule", "both", "weights"):
        listener["rules"]["v2"]["action"] = copy.deepcopy(action)
    if turn == "new rule":
        listener["rules"]["v1"] = {"priority": 5, "conditions": [{"path_pattern": "/v2/*"}], "action": action}
        del listener["rules"]["v2"]


def _end(after: Spec, end: str) -> None:
    """Blue is left as it is where requests still go to it and nobody would be there."""
    blue, group = after["instances"]["blue"], after["target_groups"]["blue"]
    listener = after["load_balancers"]["public"]["listeners"]["http"]
    is_asked = "blue" in str(listener)
    if end == "fewer":
        blue["count"] = 1
    elif end == "other port":
        group["port"] = 8080
    elif is_asked:
        return
    elif end == "no instances":
        blue["count"] = 0
    elif end == "stopped":
        blue["state"] = "stopped"
        blue["rollout"] = {"max_unavailable": 1}
    elif end == "no targets":
        group["targets"] = []
    elif end == "moved":
        group["targets"] = []
        after["target_groups"]["green"]["targets"] = ["green", "blue"]
    elif end in ("without the group", "gone"):
        del after["target_groups"]["blue"]
        if end == "gone":
            del after["instances"]["blue"]


@pytest.mark.slow
def test_a_deployment_is_seen_by_nobody() -> None:
    """From healthy and from partly ill starts, with lag and without: everybody is answered by blue or by green, and capacity stays."""
    refused: list[str] = []

    def trial(random: Random) -> None:
        before, after = drawn(random)
        if before == after:
            return
        pair = Pair("a deployment", (), (), random.choice(DEEDS), random.choice(LAGS), random.randrange(99))
        vars(pair).update(before=before, after=after)
        with account() as here:
            here.begin(before)
            try:
                here.go(pair)
            except (PlanError, RefusedError) as error:
                refused.append(str(error))
                here.begin(before)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{pair}") from error

    number = 500 if SOAK else 3
    try_seeds(3, 500, trial)
    assert len(refused) <= (max(4, number // 10) if SOAK else 1), refused
