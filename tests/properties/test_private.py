"""A private subnet behind a NAT gateway: runs that are killed, reads that lag, and a way out at every moment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import demo
from tests.kinds.hand import edited
from tests.kinds.test_nat_gateway import PRIVATE, ZONAL
from tests.properties.watched import WatchedWorld, watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.harness import Spec
    from tests.properties.watched import Moment

SOAK = bool(os.environ.get("SOAK"))
EVERY = 1 if SOAK else 5
MOVED: Spec = edited(ZONAL, "nat_gateways/main", {"subnet": "public-b", "elastic_ip": "two"})


class WayOut(WatchedWorld):
    """A world that looks, before each of our calls, whether the private subnet has a way out, once it has had one."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.had = False
        self.dark: dict[Any, str] = {}

    def sample(self, operation: str = "") -> None:
        super().sample(operation)
        tables = self.account.ec2.route_tables.values()
        private = [item for item in tables if self._tag(item.id) == PRIVATE]
        routes = [route for item in private for route in item._routes.values()]
        open_ = [route for route in routes if route.nat_gateway is not None and route.state == "active"]
        if self.had and not open_:
            self.dark["private", operation] = operation
        self.had = self.had or bool(open_)

    def _tag(self, resource: str) -> str:
        return str(self.account.ec2.tags.get(resource, {}).get("alb-reconcile:address", ""))


@pytest.fixture
def world() -> Iterator[WayOut]:
    with watched() as fresh:
        yield WayOut(fresh.strict, fresh.clock)


def moments_of(world: WayOut, run: Callable[[], object]) -> list[Moment]:
    with world.moments() as found:
        run()
    return found[EVERY // 2 :: EVERY]


def allocated(world: WayOut) -> Mapping[str, int]:
    """How many addresses there are, and NAT gateways that aren't on their way out."""
    there = world.account.ec2.nat_gateways.values()
    gateways = [item for item in there if item.state in ("pending", "available")]
    return {"addresses": len(world.account.ec2.addresses), "gateways": len(gateways)}


def test_a_killed_creation_is_finished_without_doubles(world: WayOut) -> None:
    for moment in moments_of(world, lambda: world.converge(ZONAL)):
        world.go_back(moment)
        world.converge(ZONAL)
        assert allocated(world) == {"addresses": 2, "gateways": 1}, moment.words


def test_a_killed_replacement_is_finished_without_a_gap(world: WayOut) -> None:
    world.converge(ZONAL)
    with world.moments() as found:
        world.converge(MOVED)
    assert world.dark == {}
    for moment in found if SOAK else found[::2]:
        world.go_back(moment)
        world.converge(MOVED)
        assert world.dark == {}, moment.words
        assert allocated(world) == {"addresses": 2, "gateways": 1}, moment.words


def test_a_killed_destroy_is_finished(world: WayOut) -> None:
    before = world.strict.inventory()
    world.converge(ZONAL)
    for moment in moments_of(world, lambda: world.destroy(ZONAL)):
        world.go_back(moment)
        world.had = False
        world.destroy(ZONAL)
        assert world.strict.inventory() == before, moment.words


def test_reads_that_lag(world: WayOut) -> None:
    world.strict.lag = 25.0
    before = world.strict.inventory()
    world.converge(ZONAL)
    world.converge(MOVED)
    assert world.dark == {}
    assert allocated(world) == {"addresses": 2, "gateways": 1}
    world.had = False
    world.destroy(MOVED)
    world.clock.advance(60)
    assert world.strict.inventory() == before


def test_instances_move_to_private_subnets_in_one_change(world: WayOut) -> None:
    """As docs/private-instances.md says: each new one is launched when its way out works, and nobody misses a target."""
    world.converge(demo())
    spec = demo()
    zones = {"a": "10.0.16.0/20", "b": "10.0.32.0/20"}
    spec["subnets"] |= {
        f"private-{zone}": {"cidr_block": block, "availability_zone": zone} for zone, block in zones.items()
    }
    spec["elastic_ips"] = {f"nat-{zone}": {} for zone in zones}
    spec["nat_gateways"] = {zone: {"subnet": f"public-{zone}", "elastic_ip": f"nat-{zone}"} for zone in zones}
    spec["route_tables"] |= {
        f"private-{zone}": {
            "subnets": [f"private-{zone}"],
            "routes": [{"destination_cidr_block": "0.0.0.0/0", "nat_gateway": zone}],
        }
        for zone in zones
    }
    spec["instances"]["web"]["subnets"] = ["private-a", "private-b"]
    world.watch()
    world.converge(spec)
    assert {name: low.healthy for name, low in world.lows.items()} == {"target_group.web": 2}
    made = [name for name, _ in world.log if name in ("create_route", "run_instances")]
    assert made == ["create_route", "create_route", "run_instances", "run_instances"]
