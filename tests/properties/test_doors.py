"""What the model of doors says of a stack is what the emulator's own groups and tables say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, seed, settings

from alb_reconcile.engine.doors import find_cut, find_doors
from alb_reconcile.engine.world import World as Model
from alb_reconcile.kinds.load_balancer import LoadBalancer
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.model.resource import each_of
from tests.properties.reach import dark_subnets, reaches
from tests.properties.seeds import PHASES, SOAK, first_seed
from tests.properties.strategies import pairs
from tests.properties.watched import watched

if TYPE_CHECKING:
    from alb_reconcile.model.resource import Observed
    from tests.harness import Spec
    from tests.properties.watched import WatchedWorld


@pytest.mark.usefixtures("only_fresh")
def test_what_is_shut_by_the_model_is_shut_in_the_emulator() -> None:
    shut: list[str] = []

    @seed(first_seed("doors", 3))
    @settings(max_examples=100 if SOAK else 12, database=None, deadline=None, phases=PHASES)
    @given(pairs())
    def check(pair: tuple[Spec, Spec]) -> None:
        with watched() as world:
            world.add_strangers()
            spec = world.localized(pair[1])
            world.apply(spec, timeout=1)
            shut.extend(_compare(world, list(world.discover(spec).resources)))

    check()
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
