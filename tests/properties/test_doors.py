"""What the model of doors says of a stack is what the emulator's own groups and tables say of it."""

from __future__ import annotations

import copy
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.engine.doors import find_cut, find_doors
from alb_reconcile.engine.world import World as Model
from alb_reconcile.kinds.load_balancer import LoadBalancer
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.model.errors import PlanError, RefusedError
from alb_reconcile.model.resource import each_of
from tests.properties.account import account
from tests.properties.changes import draw_change
from tests.properties.reach import dark_subnets, reaches
from tests.properties.scenes import ALLOW
from tests.properties.seeds import SOAK, draw_from, first_seed
from tests.properties.walks import BASES

if TYPE_CHECKING:
    from alb_reconcile.model.resource import Observed
    from tests.properties.watched import WatchedWorld


@pytest.mark.parametrize(
    "base", ["wide", *(pytest.param(base, marks=pytest.mark.slow) for base in ("secure", "private"))]
)
def test_what_is_shut_by_the_model_is_shut_in_the_emulator(base: str) -> None:
    """Along changes of any property, where no security group lets anything in, and where all do again."""
    number = first_seed(f"doors {base}", 3)
    random, spec, shut = Random(number), BASES[base](), list[str]()
    with account() as here:
        for _ in range(20 if SOAK else 2):
            closed = copy.deepcopy(spec)
            for group in closed["security_groups"].values():
                group["ingress"] = []
            for state in (spec, closed):
                draw_from(number)
                with suppress(PlanError, RefusedError):
                    here.world.apply(here.world.localized(state), timeout=1, allow=ALLOW)
                shut += _compare(here.world, list(here.world.discover(state).resources))
            spec = draw_change(random, spec).made(spec)
    assert shut, "some of the specs shut something"


def _compare(world: WatchedWorld, resources: list[Observed]) -> list[str]:
    """The ids of what is shut, by both."""
    model, account = Model(resources), world.account
    cut = find_cut(model)
    doors = list(find_doors(model))
    served = {reach.group: door.balancer for door in doors for reach in door.reaches}
    instances = {item.id: item for item in account.instances()}
    found = []
    for item, state in each_of(resources, Registration):
        balancer = account.elb.load_balancers.get(served.get(str(state.target_group), ""))
        if balancer is None or str(state.target) not in instances or state.port is None:
            continue
        instance = instances[str(state.target)]
        is_open = reaches(account, balancer, instance, state.port)
        worn = {*balancer.security_groups, *(group.id for group in instance.security_groups)}
        is_known = model.admissions.keys() >= worn  # a stranger's group counts as open
        assert item.id not in cut if is_open else item.id in cut or not is_known, (item.address, cut.get(item.id))
        found += [] if is_open else [item.id]
    for item, _ in each_of(resources, LoadBalancer):
        dark = {name for door in doors if door.balancer == item.id for shut in door.barred for name in shut.by}
        own = {subnet.id for subnet in account.elb.load_balancers[item.id].subnets}
        by_emulator = dark_subnets(account, account.elb.load_balancers[item.id])
        assert dark & own <= by_emulator, "what follows the VPC's main table isn't read, and counts as open"
        found += dark & own
    return found
