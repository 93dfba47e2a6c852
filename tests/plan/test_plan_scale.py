"""Planning six hundred resources from memory. How long it takes is told; `make bench` plans more, and judges it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from alb_reconcile.engine.plan.planner import make_plan
from tests.harness import Spec, demo, load
from tests.plan.stacks import Account, edited, situation_of

if TYPE_CHECKING:
    import pytest


def large() -> Spec:
    """200 instances, as many registrations, and 100 rules."""
    spec = edited(demo(), {"instances/web/count": 200})
    listener = spec["load_balancers"]["public"]["listeners"]["http"]
    listener["rules"] = {
        f"r{number}": {
            "priority": number,
            "conditions": [{"path_pattern": f"/{number}"}],
            "action": {"forward": "web"},
        }
        for number in range(1, 101)
    }
    for number in range(100):
        spec["security_groups"][f"spare-{number}"] = {"description": "spare"}
    return spec


def test_six_hundred_resources_are_planned(record_property: pytest.FixtureRequest) -> None:
    stack = load(large())
    account = Account(stack)
    assert len(account.resources) > 600
    discovery = account.discovery()
    changed = load(edited(large(), {"instances/web/instance_type": "t3.small"}))
    seconds = {}
    for what, wanted, found in (
        ("nothing", stack, discovery),
        ("roll", changed, discovery),
        ("create", stack, type(discovery)(discovery.account, (), discovery.images)),
        ("destroy", stack, discovery),
    ):
        started = time.perf_counter()
        plan = make_plan(situation_of(wanted, found, destroy=what == "destroy"))
        seconds[what] = time.perf_counter() - started
        counts = plan.count()
        assert (
            counts
            == {
                "nothing": {"create": 0, "update": 0, "replace": 0, "delete": 0},
                "roll": {"create": 0, "update": 0, "replace": 400, "delete": 0},
                "create": {"create": len(stack.desired), "update": 0, "replace": 0, "delete": 0},
                "destroy": {"create": 0, "update": 0, "replace": 0, "delete": len(account.resources)},
            }[what]
        )
    for what, took in seconds.items():
        record_property(what, f"{took:.2f} s")  # type: ignore[operator]
        print(f"{what}: {took:.2f} s")
