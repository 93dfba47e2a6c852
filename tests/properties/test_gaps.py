"""Changes in which requests could meet a gap: two healthy targets are reached throughout, and no zone goes dark."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import RefusedError
from tests.harness import Spec, demo
from tests.properties.seeds import sampled
from tests.properties.watched import watched

if TYPE_CHECKING:
    from collections.abc import Callable

SSH = {"protocol": "tcp", "port": 22, "cidr_block": "10.9.0.0/16"}
ALLOW = {
    "close": 9,
    "gap": 9,
    "empty-target-group": 9,
    "delete": 99,
    "replace": 99,
    "replace-load-balancer": 2,
    "delete-elastic-ip": 9,
    "delete-load-balancer": 2,
}


def web(port: int = 80) -> dict[str, Any]:
    """The rule that lets the load balancer's requests in."""
    return {"protocol": "tcp", "port": port, "security_group": "load-balancer"}


def ingress(spec: Spec, *rules: dict[str, Any]) -> Spec:
    """The spec with these rules for the web group."""
    spec["security_groups"]["web"]["ingress"] = list(rules)
    return spec


def changed(change: Callable[[Spec], object], *rules: dict[str, Any]) -> Spec:
    """The demo, with a change and these rules."""
    spec = ingress(demo(), *(rules or (web(),)))
    change(spec)
    return spec


def roll(spec: Spec) -> None:
    """Other instances."""
    spec["instances"]["web"]["instance_type"] = "t3.small"


def regroup(spec: Spec) -> None:
    """Another target group, on another port."""
    spec["target_groups"]["web"]["port"] = 8080


def grow(spec: Spec) -> None:
    """One instance more."""
    spec["instances"]["web"]["count"] = 3


def nothing(_: Spec) -> None:
    """As it is."""


def both(*changes: Callable[[Spec], None]) -> Callable[[Spec], None]:
    """One change after the other."""

    def change(spec: Spec) -> None:
        for item in changes:
            item(spec)

    return change


def listener(spec: Spec) -> dict[str, Any]:
    """The listener's entry."""
    found: dict[str, Any] = spec["load_balancers"]["public"]["listeners"]["http"]
    return found


def guarded(spec: Spec, group: str) -> Spec:
    """The instances in another security group, which lets the same requests in; `web` lets nothing in any more."""
    spec["security_groups"][group] = {**spec["security_groups"]["web"], "description": "other"}
    ingress(spec)
    spec["instances"]["web"]["security_groups"] = [group]
    return spec


def other_front(spec: Spec) -> Spec:
    """The load balancer in another security group, which alone is let in."""
    spec["security_groups"]["front"] = {**spec["security_groups"]["load-balancer"], "description": "other"}
    spec["load_balancers"]["public"]["security_groups"] = ["front"]
    return ingress(spec, {**web(), "security_group": "front"})


def two_ways(name: str, path: str = "/v2/*") -> Spec:
    """Half of the requests by a rule of that name, to a group of its own."""
    spec = demo()
    spec["target_groups"]["api"] = {**spec["target_groups"]["web"]}
    rule = {"priority": 10, "conditions": [{"path_pattern": path}], "action": {"forward": "api"}}
    listener(spec)["rules"] = {name: rule}
    return spec


def other_group_behind(name: str) -> Spec:
    """The same by another rule, to another group."""
    spec = two_ways(name)
    spec["target_groups"]["other"] = spec["target_groups"].pop("api")
    listener(spec)["rules"][name]["action"] = {"forward": "other"}
    return spec


def zones(spec: Spec, *names: str) -> Spec:
    """The load balancer in these zones of three, the instances where the first two are."""
    spec["subnets"]["public-c"] = {
        **spec["subnets"]["public-b"],
        "cidr_block": "10.0.3.0/24",
        "availability_zone": "c",
    }
    spec["route_tables"]["public"]["subnets"] = ["public-a", "public-b", "public-c"]
    spec["load_balancers"]["public"]["subnets"] = list(names)
    spec["instances"]["web"]["subnets"] = list(names)
    return spec


def without_zone_c(spec: Spec) -> Spec:
    """Two zones, and the third's subnet is gone."""
    zones(spec, "public-a", "public-b")
    del spec["subnets"]["public-c"]
    spec["route_tables"]["public"]["subnets"] = ["public-a", "public-b"]
    return spec


def moved_subnet(spec: Spec) -> None:
    """A subnet of another range in the same zone."""
    spec["subnets"]["public-a"]["cidr_block"] = "10.0.7.0/24"


def coloured(default: Any, **rules: tuple[int, Any, Any]) -> Spec:
    """Groups blue, green and web; rules by name, with priority, path and group or another action."""
    spec = demo()
    for group in ("blue", "green"):
        spec["target_groups"][group] = {**spec["target_groups"]["web"]}

    def action(what: Any) -> dict[str, Any]:
        return {"forward": what} if isinstance(what, str) else what

    listener(spec)["default_action"] = action(default)
    listener(spec)["rules"] = {
        name: {"priority": priority, "conditions": [{"path_pattern": path}], "action": action(what)}
        for name, (priority, path, what) in rules.items()
    }
    used = {what for what in (default, *(rule[2] for rule in rules.values())) if isinstance(what, str)}
    spec["target_groups"] = {key: value for key, value in spec["target_groups"].items() if key in used}
    return spec


MOVED = {"redirect": {"status_code": "HTTP_302", "host": "new.example.com"}}

CHANGES: dict[str, tuple[Spec, Spec]] = {
    "a roll, and a rule that goes": (changed(nothing, web(), SSH), changed(roll)),
    "a roll, and a rule for another": (changed(nothing, web(), SSH), changed(roll, web(), {**SSH, "port": 443})),
    "another group, its rule, one more": (changed(nothing), changed(both(regroup, grow), web(8080))),
    "another group and its rule": (changed(nothing), changed(regroup, web(8080))),
    "all of these and a roll": (changed(nothing), changed(both(regroup, roll, grow), web(8080))),
    "the instances' security group": (demo(), guarded(demo(), "other")),
    "the load balancer's security group": (demo(), other_front(demo())),
    "a rule is renamed": (two_ways("old"), two_ways("new")),
    "a rule is renamed with its group": (two_ways("old"), other_group_behind("new")),
    "a rule goes with its group": (two_ways("old"), demo()),
    "a zone goes": (zones(demo(), "public-a", "public-b", "public-c"), zones(demo(), "public-a", "public-b")),
    "a zone and its subnet go": (zones(demo(), "public-a", "public-b", "public-c"), without_zone_c(demo())),
    "a zone for another": (zones(demo(), "public-a", "public-b"), zones(demo(), "public-b", "public-c")),
    "a zone comes": (zones(demo(), "public-a", "public-b"), zones(demo(), "public-a", "public-b", "public-c")),
    "two groups change places": (
        coloured("blue", test=(10, "/test/*", "green")),
        coloured("green", test=(10, "/test/*", "blue")),
    ),
    "two rules change groups": (
        coloured("web", one=(10, "/1/*", "blue"), two=(20, "/2/*", "green")),
        coloured("web", one=(10, "/1/*", "green"), two=(20, "/2/*", "blue")),
    ),
    "a group is handed on by three rules": (
        coloured("web", xx=(10, "/x/*", "blue"), yy=(20, "/y/*", "green")),
        coloured("web", yy=(20, "/y/*", "blue"), zz=(30, "/z/*", "green")),
    ),
    "a redirect becomes a group": (
        coloured("web", v2=(10, "/v2/*", MOVED)),
        coloured("web", v2=(10, "/v2/*", "blue")),
    ),
    "the default redirect becomes a group": (
        coloured(MOVED, v2=(10, "/v2/*", "blue")),
        coloured("web", v2=(10, "/v2/*", "blue")),
    ),
    "a subnet moves": (changed(nothing), changed(moved_subnet)),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(CHANGES, 3))
def test_no_request_meets_a_gap(name: str) -> None:
    """In one apply; and the same the other way round, of which the suite tries one."""
    forth, back = CHANGES[name], CHANGES[name][::-1]
    for before, after in (forth, back):
        with watched() as world:
            empty = world.strict.inventory()
            world.converge(before)
            world.watch()
            world.converge(after, allow=ALLOW)
            world.sample()
            assert {low.healthy for low in world.lows.values()} == {2}, world.lows
            assert not world.dark
            world.destroy(after)
            assert world.strict.inventory() == empty


def in_subnets(*blocks: str) -> Spec:
    """The load balancer in subnets of its own, of which the instances' rules name the ranges."""
    spec = demo()
    fronts = [f"front-{zone}" for zone, _ in zip("abc", blocks, strict=False)]
    for name, block in zip(fronts, blocks, strict=True):
        spec["subnets"][name] = {"cidr_block": block, "availability_zone": name[-1]}
    spec["route_tables"]["public"]["subnets"] += fronts
    spec["load_balancers"]["public"]["subnets"] = fronts
    rules = ({"protocol": "tcp", "port": 80, "cidr_block": block} for block in blocks)
    return ingress(spec, *rules)


@pytest.mark.slow
@pytest.mark.parametrize(
    "after", [in_subnets("10.0.23.0/24", "10.0.24.0/24"), in_subnets("10.0.21.0/24", "10.0.22.0/24")]
)
def test_nodes_in_subnets_that_a_load_balancer_leaves_answer_until_they_are_gone(after: Spec) -> None:
    """Other ranges, and a zone less; killed at any moment and run again, too. AWS answers SetSubnets at once, and clients know the
    addresses of the old nodes for minutes."""
    with watched() as world:
        world.converge(in_subnets("10.0.21.0/24", "10.0.22.0/24", "10.0.25.0/24"))
        world.watch()
        with world.moments() as moments:
            world.converge(after, allow=ALLOW)
        assert not world.dark
        assert {low.healthy for low in world.lows.values()} == {2}, world.lows
        for moment in moments[::3]:
            world.go_back(moment)
            world.watch()
            world.converge(after, allow=ALLOW)
            assert not world.dark, moment.words
            assert {low.healthy for low in world.lows.values()} == {2}, moment.words


def one_table_less(spec: Spec) -> Spec:
    """The subnet that is left gets a table of its own, without a way out."""
    spec["route_tables"]["public"]["subnets"].remove("front-b")
    spec["route_tables"]["private"] = {"vpc": "main", "subnets": ["front-b"]}
    return spec


def no_old_group(spec: Spec) -> Spec:
    """The instances' rules for the old subnets go with a group of their own."""
    del spec["security_groups"]["old"]
    spec["instances"]["web"]["security_groups"] = ["web"]
    return spec


def with_old_group(spec: Spec) -> Spec:
    rules = spec["security_groups"]["web"]["ingress"]
    spec["security_groups"]["old"] = {"vpc": "main", "ingress": [rules.pop(1)]}
    spec["instances"]["web"]["security_groups"] = ["old", "web"]
    return spec


@pytest.mark.parametrize("change", [one_table_less, no_old_group])
def test_a_run_right_after_a_move_spares_the_old_nodes(change: Callable[[Spec], Spec]) -> None:
    """Found: routes that were replaced, and rules that went with an instance's group, were taken away at once."""
    blocks = {"a": "10.0.21.0/24", "b": "10.0.22.0/24", "c": "10.0.25.0/24"}
    moved = with_old_group(in_subnets(*blocks.values()))
    moved["instances"]["web"]["subnets"] = ["public-a"]
    before = copy.deepcopy(moved)
    moved["load_balancers"]["public"]["subnets"] = ["front-a", "front-c"]
    with watched() as world:
        world.converge(before)
        world.client("elbv2").set_subnets(
            LoadBalancerArn=world.client("elbv2").describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"],
            Subnets=[world.plan(before).ids[Address("subnet", name)] for name in ("front-a", "front-c")],
        )
        world.watch()
        world.converge(change(moved), allow=ALLOW)
        assert not world.dark
        assert {low.healthy for low in world.lows.values()} == {2}, world.lows


def renamed(spec: Spec) -> Spec:
    """The load balancer's entry under another name."""
    spec["load_balancers"]["front"] = spec["load_balancers"].pop("public")
    return spec


def internal(spec: Spec) -> Spec:
    """A load balancer of another scheme, which replaces it."""
    spec["load_balancers"]["public"]["scheme"] = "internal"
    return spec


def two_fronts(first: str, second: str) -> Spec:
    """Two load balancers with a group each."""
    spec = demo()
    spec["target_groups"]["api"] = {**spec["target_groups"]["web"]}
    spec["load_balancers"]["second"] = copy.deepcopy(spec["load_balancers"]["public"])
    listener(spec)["default_action"] = {"forward": first}
    spec["load_balancers"]["second"]["listeners"]["http"]["default_action"] = {"forward": second}
    return spec


def in_another_network(spec: Spec) -> Spec:
    """Another VPC, with all that is in it."""
    spec["vpcs"]["main"]["cidr_block"] = "10.1.0.0/16"
    for subnet, block in zip(("public-a", "public-b"), ("10.1.1.0/24", "10.1.2.0/24"), strict=True):
        spec["subnets"][subnet]["cidr_block"] = block
    return spec


SUCCESSIONS: dict[str, tuple[Spec, Spec]] = {
    "another scheme": (demo(), internal(demo())),
    "another scheme, with a rule": (two_ways("v2"), internal(two_ways("v2"))),
    "another name in the file": (demo(), renamed(demo())),
    "another name, with a rule": (two_ways("v2"), renamed(two_ways("v2"))),
    "another network": (demo(), in_another_network(demo())),
}


def test_a_group_without_targets_is_succeeded_by_one_without() -> None:
    """Found: the new one waited for a target, "before it gets requests that others serve now", and nobody served them."""
    before = demo()
    before["target_groups"]["idle"] = {**before["target_groups"]["web"]}
    del before["target_groups"]["idle"]["targets"]
    rule = {"priority": 5, "conditions": [{"path_pattern": "/idle/*"}], "action": {"forward": "idle"}}
    listener(before)["rules"] = {"idle": rule}
    with watched() as world:
        world.converge(before)
        world.converge(in_another_network(copy.deepcopy(before)), allow=ALLOW)


@pytest.mark.parametrize("name", sampled(SUCCESSIONS, 3))
def test_a_load_balancer_goes_when_its_successor_serves(name: str) -> None:
    """Clients have to follow a new DNS name, so it wants the user's word; then the old one serves until the new one does."""
    before, after = SUCCESSIONS[name]
    with watched() as world:
        empty = world.strict.inventory()
        world.converge(before)
        with pytest.raises(RefusedError, match="replace-load-balancer=1"):
            world.plan(after, allow={**ALLOW, "replace-load-balancer": 0, "delete-load-balancer": 0})
        (old,) = world.account.elb.load_balancers
        world.watch_balancers()
        world.converge(after, allow=ALLOW)
        (new,) = world.account.elb.load_balancers
        assert world.serving_when_gone[old] == {new: 2}, "the new one served when the old one went"
        assert world.least_served[old] == 2
        world.destroy(after)
        assert world.strict.inventory() == empty


@pytest.mark.parametrize("name", sampled(SUCCESSIONS, 4))
def test_it_goes_no_sooner_when_a_run_was_killed_meanwhile(name: str) -> None:
    """A part of the successor is there already then, and a group without healthy targets beside the one that serves."""
    before, after = SUCCESSIONS[name]
    with watched() as world:
        world.converge(before)
        (old,) = world.account.elb.load_balancers
        with world.moments(1, 8) as moments:
            world.converge(after, allow=ALLOW)
        for moment in moments:
            world.go_back(moment)
            world.watch_balancers()
            if old in world.account.elb.load_balancers:
                world.converge(after, allow=ALLOW)
                assert list(world.serving_when_gone[old].values()) == [2], moment.words
                assert world.least_served[old] == 2, moment.words


@pytest.mark.parametrize("name", sampled(SUCCESSIONS, 3))
def test_a_successor_that_never_gets_healthy_replaces_nothing(name: str) -> None:
    """The run fails, and the old load balancer serves on."""
    before, after = SUCCESSIONS[name]
    with watched() as world:
        world.converge(before)
        (old,) = world.account.elb.load_balancers
        known = set(world.account.elb.target_groups)
        world.strict.health = lambda group, *_: None if group in known else "unhealthy"
        world.watch_balancers()
        result = world.apply(after, allow=ALLOW)
        assert result.failures
        assert world.least_served[old] == 2
        assert world.apply(after, allow=ALLOW).failures, "another run doesn't take it for one that serves"
        world.strict.health = None
        world.sample()
        world.clock.advance(120)  # until they have passed their checks
        world.converge(after, allow=ALLOW)
        assert list(world.serving_when_gone[old].values()) == [2]
        assert world.least_served[old] == 2


@pytest.mark.parametrize("change", [roll, grow])
def test_a_successor_waits_for_its_launches(change: Callable[[Spec], None]) -> None:
    """Found: a launch that takes longer than AWS's answers lag (a token spent, a type that starts late) wasn't waited for, and the
    groups had too few targets for the old load balancer to go."""
    before = coloured("web", one=(10, "/1/*", "blue"), two=(20, "/2/*", "green"))
    after = renamed(copy.deepcopy(before))
    change(after)
    with watched() as world:
        world.converge(before)
        (old,) = world.account.elb.load_balancers
        world.strict.timing = replace(world.strict.timing, pending=200)
        world.watch_balancers()
        world.converge(after, allow=ALLOW)
        (new,) = world.account.elb.load_balancers
        assert world.serving_when_gone[old] == {new: after["instances"]["web"]["count"]}
        assert world.least_served[old] == 2


SPREAD = coloured("web", one=(10, "/1/*", "blue"), two=(20, "/2/*", "green"))
HANDED_ON: dict[str, tuple[Spec, bool]] = {
    "each group has its successor": (SPREAD, True),
    "two change places": (coloured("blue", one=(10, "/1/*", "web"), two=(20, "/2/*", "green")), True),
    "a rule of another name": (coloured("web", one=(10, "/1/*", "blue"), new=(20, "/2/*", "green")), False),
}


@pytest.mark.parametrize("name", HANDED_ON)
def test_a_successor_needs_no_more_than_it_takes_over(name: str) -> None:
    """Found: each group of the new load balancer had to have as many healthy targets as all of the old one's together, so that with
    a target that stays ill nothing could take over. It is still so where nobody can tell whose requests it takes."""
    after, is_enough = HANDED_ON[name]
    with watched() as world:
        world.converge(SPREAD)
        (old,) = world.account.elb.load_balancers
        ill = min(item.id for item in world.account.instances())
        world.strict.health = lambda _, target, __: "unhealthy" if target == ill else None
        world.sample()
        world.clock.advance(600)
        world.watch_balancers()
        result = world.apply(renamed(copy.deepcopy(after)), allow=ALLOW)
        assert bool(result.failures) is not is_enough, result.failures
        assert world.least_served[old] == 1
        assert [set(here.values()) for here in world.serving_when_gone.values()] == [{1}] * is_enough


@pytest.mark.parametrize("after", [("api", "web"), ("web", "web2")])
def test_groups_change_their_load_balancers(after: tuple[str, str]) -> None:
    """A group serves one load balancer only; where it is to serve another one, it is replaced without a gap."""
    before = two_fronts("web", "api")
    wanted = two_fronts(after[0], "api")
    if after[1] == "web2":
        wanted["target_groups"]["web2"] = {**wanted["target_groups"]["web"]}
    wanted["load_balancers"]["second"]["listeners"]["http"]["default_action"] = {"forward": after[1]}
    wanted["target_groups"] = {key: value for key, value in wanted["target_groups"].items() if key in after}
    with watched() as world:
        world.converge(before)
        world.watch_balancers()
        world.converge(wanted, allow=ALLOW)
        assert set(world.least_served.values()) == {2}
