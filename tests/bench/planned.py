"""One plan from memory: `python -m tests.bench.planned SPEC CASE` prints its processor time and the process's memory as JSON."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from alb_reconcile.engine.plan.planner import make_plan
from alb_reconcile.engine.plan.situation import situate
from alb_reconcile.kinds.instance import Instance
from alb_reconcile.kinds.subnet import Subnet
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import settle
from alb_reconcile.model.address import Address
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.resource import Desired, Lookups, Observed, bind
from alb_reconcile.model.service import Associations, Entrance, Foreign, ServedBy
from alb_reconcile.spec.stack import Stack, load_stack
from tests.bench.memory import peak

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alb_reconcile.model.resource import Properties

REGION: Final = "us-west-2"
_PREFIXES: Final = {
    "vpc": "vpc", "subnet": "subnet", "internet_gateway": "igw", "route_table": "rtb", "security_group": "sg", "instance": "i",
}  # fmt: skip
_DRIFT: Final[Mapping[str, Mapping[str, Any]]] = {
    "vpc": {"enable_dns_hostnames": False},
    "subnet": {"map_public_ip_on_launch": False},
    "internet_gateway": {"vpc": None},
    "route_table": {"routes": ()},
    "security_group_rules": {"ingress": ()},
    "instance": {"security_groups": ()},
    "load_balancer": {"security_groups": ()},
    "listener": {"protocol": "HTTPS"},
    "target_group": {"health_check": {"path": "/other"}},
}
"""What somebody did behind the tool's back, by kind: something that AWS can change in place."""
_DETAILS: Final[Mapping[str, object]] = {
    "route_table": Associations({}),
    "target_group": ServedBy(()),
}


def _id(address: Address, number: int) -> str:
    if prefix := _PREFIXES.get(address.kind):
        return f"{prefix}-{number:017x}"
    kind = {"load_balancer": "loadbalancer/app", "target_group": "targetgroup"}.get(address.kind, address.kind)
    return f"arn:aws:elasticloadbalancing:{REGION}:123456789012:{kind}/{number:016x}"


def observe(stack: Stack, case: str) -> Discovery:
    """What AWS would have after an apply: with `drift`, each resource otherwise than wanted; with `replace`, other images."""
    ids = {address: _id(address, number) for number, address in enumerate(stack.desired, 1)}
    facts = Lookups(desired=stack.desired)
    resources = [
        _observed(stack.name, wish, settle(bind(wish.creation, ids), None, facts), ids, case)
        for wish in stack.desired.values()
    ]
    return Discovery("123456789012", tuple(resources))


def _observed(stack: str, wish: Desired, state: Properties, ids: Mapping[Address, str], case: str) -> Observed:
    kind = wish.address.kind
    if isinstance(state, Instance):
        image = "ami-00000000000000000" if case == "replace" else state.image_id
        state = replace(state, subnets=state.subnets[:1], image_id=image)
    found = tags.tags_of(wish, stack)
    if case == "drift":
        state = replace(state, **_DRIFT.get(kind, {}))
        found = {**found, tags.SPEC: "0"}
    details: object = _DETAILS.get(kind)
    if isinstance(state, Subnet):
        details = Foreign(state.vpc, state.availability_zone, state.size)
    if kind == "load_balancer":
        details = Entrance("", ids[Address("vpc", "main")])
    status = {"instance": "running", "registration": "healthy", "load_balancer": "active"}.get(kind, "")
    return Observed(wish.address, ids[wish.address], state, found, stack, status, details=details)


def main() -> None:
    """Plan once."""
    stack = load_stack(sys.argv[1])
    case = sys.argv[2]
    discovery = Discovery("123456789012") if case == "new" else observe(stack, case)
    desired = {} if case == "destroy" else stack.desired
    started = time.process_time()
    plan = make_plan(situate(DesiredStack(stack.name, REGION, desired, destroy=case == "destroy"), discovery))
    seconds = time.process_time() - started
    assert plan.is_empty == (case == "same"), [step.key for step in plan.steps][:5]
    print(
        json.dumps(
            {
                "seconds": seconds,
                "megabytes": peak(),
                "resources": len(stack.desired),
                "steps": len(plan.steps),
            }
        )
    )


if __name__ == "__main__":
    main()
