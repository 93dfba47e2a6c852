"""What holds for every kind, and for the next one too: each says in `EXAMPLE` of its own tests what that needs.

In the suite, what takes long is tried with a third of the kinds, not always the same; `make soak` tries all.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.aws.tagging import SERVICES
from alb_reconcile.cli.commands.status import count_by_stack
from alb_reconcile.cli.render.plan import render_plan
from alb_reconcile.cli.render.status import StatusView, status_json, status_text
from alb_reconcile.cli.render.style import Style
from alb_reconcile.engine.plan.situation import situate
from alb_reconcile.engine.standing import find_standing
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import AnyKind
from alb_reconcile.kinds.identifiers import is_id_of
from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import RefusedError, SpecError, UsageError
from alb_reconcile.model.steps import SetPriorities
from tests.adoption.adopting import Keeper, by_address, keeper, our_tags
from tests.at_length import SOAK
from tests.harness import REGION, Spec, load
from tests.kinds import behind
from tests.kinds.example import Example, changeable, example_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from alb_reconcile.model.plan import Plan
    from tests.properties.watched import WatchedWorld

KINDS = load_kinds()
TAGGED = {
    name: {re.sub("(?<!^)(?=[A-Z])", "_", action.partition(":")[2]).lower() for action in row.actions}
    for name, row in SERVICES.items()
}
"""The calls that write tags, by service."""
PASSING = {"AvailableIpAddressCount", "RouteTableAssociationId", "LaunchTime", "StateTransitionReason", "AssociationId"}
PASSING |= {"Ipv6CidrBlock", "NetworkInterfaceIds", "PrivateIp"}
"""What AWS says of a resource and is another after something was changed and changed back."""

PLAIN = Style(colored=False)
every_kind = pytest.mark.parametrize("name", KINDS)


class Bench:
    """A kind's example in a fresh account."""

    def __init__(self, name: str, world: WatchedWorld, commands: Keeper) -> None:
        self.kind: AnyKind = KINDS[name]
        self.example: Example = example_of(name)
        self.world = world
        self.commands = commands
        self.example.prepare()

    def make(self, spec: Spec | None = None) -> dict[str, str]:
        """Let the tool make the example, in one run after which nothing is left to do. Returns ids by address."""
        result = self.world.converge(spec or self.example.spec, allow=self.example.allow)
        assert result.rest is not None
        return {str(address): physical_id for physical_id, address in result.rest.names.items()}

    def account(self, ids: Mapping[str, str]) -> dict[str, Any]:
        """What AWS says of resources, but for what a detour changes."""
        found = self.world.strict.inventory()
        return {item: _settled(found[item]) for item in ids.values() if item in found}

    def drift(self, address: str, path: str, value: Any) -> None:
        """Let somebody give a property another value."""
        behind.change(self.world, self.example.with_change(address, path, value), address, path)

    def delete(self) -> None:
        """Let somebody delete the resource."""
        behind.delete(self.world, self.example.spec, self.example.address)

    def tag(self, resource: str, tags: Mapping[str, str]) -> None:
        """Let somebody write tags."""
        behind.tag(self.world, resource, tags)

    def untag(self, resource: str, keys: Sequence[str]) -> None:
        """Let somebody remove tags."""
        behind.untag(self.world, resource, keys)


@pytest.fixture
def bench(name: str) -> Iterator[Bench]:
    with keeper() as (world, commands):
        yield Bench(name, world, commands)


def _settled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _settled(item) for key, item in value.items() if key not in PASSING}
    return [_settled(item) for item in value] if isinstance(value, list) else value


def changes(plan: Plan) -> set[tuple[str, str, str]]:
    """What a plan changes: action, address and property of each. The order of members is a step of its own, which names
    each of them."""
    found = set()
    for step in plan.steps:
        for path in [item.path for item in step.changes] or [""]:
            if isinstance(step.details, SetPriorities):
                member, _, path = path.rpartition(".")
                found.add((step.action, member, path))
            else:
                found.add((step.action, str(step.address), path))
    return found


@every_kind
def test_its_example_changes_every_property_that_aws_can_change(name: str) -> None:
    example = example_of(name)
    given = {path for _, path, _ in example.every_change}
    open_ended = {f"{path.partition('.')[0]}.*" for path in given}
    missing = sorted(changeable(KINDS[name], example) - given - open_ended)
    if missing:
        text = f"EXAMPLE of {name} leaves out {', '.join(missing)}: give another value of each in `changes`"
        pytest.fail(text, pytrace=False)
    assert {Address.parse(address).kind for address in (example.address, *example.others)} == {name}


@pytest.mark.parametrize("name", [*KINDS] if SOAK else [*KINDS][0::3])
def test_it_is_created_at_once_shown_and_destroyed_without_a_rest(bench: Bench) -> None:
    example = bench.example
    before = bench.world.strict.inventory()
    assert f"+ {example.address}" in render_plan(bench.world.plan(example.spec), PLAIN)
    ids = bench.make()
    found = bench.world.discover(example.spec)
    view = StatusView("demo", REGION, found, {})
    standing = find_standing(situate(load(example.spec).target(), found))
    assert not (standing.service.nobody)
    assert not (standing.service.partly)
    assert not standing.differs
    shown = {item["address"]: item["id"] for item in json.loads(status_json(view))["resources"]}
    assert shown[example.address] == ids[example.address]
    assert f"  {example.address}  " in status_text(view, PLAIN)
    own = [item.state for item in load(example.spec).desired.values() if item.state.service]
    counts, warnings = bench.world._run(count_by_stack)
    assert not warnings
    assert counts == {"demo": sum(state.parent is None for state in own)}  # listeners and rules come with their parents
    bench.world.destroy(example.spec, allow=example.allow)
    assert bench.world.strict.inventory() == before


@pytest.mark.parametrize("name", [*KINDS] if SOAK else [*KINDS][1::3])
def test_every_property_that_somebody_changed_is_changed_back(bench: Bench) -> None:
    ids = bench.make()
    before = bench.account(ids)
    for address, path, value in bench.example.every_change:
        bench.world.clock.advance(bench.example.rest)
        bench.drift(address, path, value)
        plan = bench.world.plan(bench.example.spec, allow=bench.example.allow)
        assert changes(plan) == {("update", address, path)}
        bench.world.clock.advance(bench.example.rest)
        assert bench.make() == ids
        assert bench.account(ids) == before, path


@pytest.mark.parametrize("name", [*KINDS] if SOAK else [*KINDS][1::3])
def test_tags_that_somebody_changed_are_changed_back(bench: Bench) -> None:
    example = bench.example
    service = bench.kind.properties.service
    if not service:
        return  # its entry's tags speak for it
    spec = {**example.with_entry(prevent_destroy=True), "tags": {"service": "demo"}}
    resource = bench.make(spec)[example.address]
    paths = {
        "service": "tags.service",
        "Name": "tags.Name",
        "alb-reconcile:prevent-destroy": "prevent_destroy",
    }
    for tag, path in paths.items():
        bench.tag(resource, {tag: "other", "somebody": "else"})
        assert changes(bench.world.plan(spec)) == {("update", example.address, path)}
        assert bench.world.converge(spec).writes.keys() == TAGGED[service]
    bench.untag(resource, list(paths))
    assert changes(bench.world.plan(spec)) == {("update", example.address, path) for path in paths.values()}
    assert bench.world.converge(spec).writes.keys() == TAGGED[service]


@pytest.mark.parametrize("name", [*KINDS] if SOAK else [*KINDS][2::3])
def test_one_that_somebody_deleted_is_made_again(bench: Bench) -> None:
    example = bench.example
    bench.make()
    before = bench.world.strict.inventory().keys()
    bench.delete()
    plan = bench.world.plan(example.spec)
    # the rules of a security group are there for as long as the group is, if only as an empty list
    there = example.address in map(str, (item.address for item in plan.live))
    assert {(step.action, str(step.address)) for step in plan.steps} == {
        ("update" if there else "create", example.address)
    }
    assert not (there and bench.kind.properties.service)
    bench.make()
    assert len(bench.world.strict.inventory()) == len(before)


@pytest.mark.parametrize("name", [*KINDS] if SOAK else [*KINDS][0::3])
def test_it_is_released_and_adopted_again(bench: Bench) -> None:
    example = bench.example
    ids = bench.make()
    tagged = our_tags(bench.world)
    bench.commands.release(example.spec, example.entry)
    assert ids[example.entry] not in our_tags(bench.world)
    assert by_address(bench.commands.adopt(example.spec))[example.entry] == ids[example.entry]
    assert bench.world.plan(example.spec).is_empty
    bench.commands.release(example.spec)
    assert our_tags(bench.world) == {}
    assert bench.world.plan(example.spec, destroy=True).is_empty
    found = by_address(bench.commands.adopt(example.spec))
    assert found.items() <= ids.items()
    assert found.keys() == {str(item.address) for item in load(example.spec).desired.values() if item.tags}
    assert bench.world.converge(example.spec).writes.keys() <= set().union(*TAGGED.values())
    assert our_tags(bench.world).keys() == tagged.keys()


@pytest.mark.parametrize("name", [*KINDS] if SOAK else [*KINDS][1::3])
def test_it_moves_to_another_name_with_its_tags_only(bench: Bench) -> None:
    example = bench.example
    ids = bench.make()
    spec, old, new = example.renamed("moved")
    if example.address != example.entry:
        with pytest.raises(UsageError, match="has no tags of its own"):
            bench.commands.move(spec, example.address, example.address)
    bench.commands.move(spec, old, new)
    assert all(path.startswith("tags.") for _, _, path in changes(bench.world.plan(spec)))
    assert bench.make(spec).keys() != ids.keys()
    assert set(bench.make(spec).values()) == set(ids.values())


@every_kind
def test_an_id_of_another_kind_is_refused(bench: Bench) -> None:
    example = bench.example
    if not bench.kind.properties.service:
        with pytest.raises(UsageError, match="the spec declares no"):
            bench.commands.look(example.spec, f"{example.address}=vpc-0a1b2c3d4e5f60718")
        return
    wrong = an_id_of_another(bench.kind)
    words = bench.kind.properties.kind.replace("_", " ")
    with pytest.raises(RefusedError, match=f"not a valid {words} id"):
        bench.commands.look(example.spec, f"{example.address}={wrong}")


@every_kind
def test_a_reference_by_an_id_of_another_kind_is_refused(name: str) -> None:
    example = example_of(name)
    for kind, spec in example.with_references_by(an_id_of_another):
        with pytest.raises(SpecError, match="can't name this"):
            load(spec)
        assert not is_id_of(kind.name, an_id_of_another(kind))


def an_id_of_another(kind: AnyKind) -> str:
    """An id that looks like AWS's and can't name a resource of the kind."""
    other = next(item for item in KINDS.values() if item.id_prefix and item is not kind)
    return f"{other.id_prefix}0a1b2c3d4e5f60718"


@every_kind
def test_never_delete_spares_it(bench: Bench) -> None:
    spec = {**bench.example.spec, "policy": {"never_delete": [bench.kind.name]}}
    if not bench.kind.section:
        with pytest.raises(SpecError, match=r"policy\.never_delete"):
            load(spec)
        return
    bench.make(spec)
    count = sum(address.kind == bench.kind.name for address in load(spec).desired)
    with pytest.raises(RefusedError, match=f"never_delete names {bench.kind.name}; .*never-delete={count}"):
        bench.world.plan(spec, destroy=True)
    bench.world.destroy(spec, allow={**bench.example.allow, "never-delete": count})
