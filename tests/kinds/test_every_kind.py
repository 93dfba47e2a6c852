"""What holds for every kind, and for the next one too: each says in `EXAMPLE` of its own tests what that needs."""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.api.iam_policy import policy_documents
from alb_reconcile.aws.tagging import service_named
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
from alb_reconcile.model.errors import AwsError, RefusedError, SpecError, UsageError
from alb_reconcile.model.steps import SetPriorities
from alb_reconcile.model.text import snake
from tests.adoption.adopting import Keeper, by_address, keeper, our_tags
from tests.harness import READS, REGION, Spec, load
from tests.kinds import behind
from tests.kinds.authorization import LOOKED_FOR, Guard, actions_of, types_of
from tests.kinds.example import Example, changeable, example_of
from tests.properties.examples import changed
from tests.properties.faults import error_of, spoilt
from tests.properties.scenes import ALLOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from alb_reconcile.api.iam_policy import Command
    from alb_reconcile.model.plan import Plan
    from tests.harness import Result
    from tests.properties.watched import WatchedWorld

KINDS = load_kinds()
TAGGED = {
    name: {snake(action.partition(":")[2]) for action in service_named(name).actions}
    for name in {kind.properties.service for kind in KINDS.values()} - {""}
}
"""The calls that write tags, by service."""
PASSING = {"AvailableIpAddressCount", "RouteTableAssociationId", "LaunchTime", "StateTransitionReason", "AssociationId"}
PASSING |= {"Ipv6CidrBlock", "NetworkInterfaceIds", "PrivateIp"}
"""What AWS says of a resource and is another after something was changed and changed back."""
PLAIN = Style(colored=False)
every_kind = pytest.mark.parametrize("name", KINDS, scope="module")


class Bench:
    """A kind's example, as the tool makes it in a fresh account in one run, while reads lag and new ids are unknown for a while."""

    def __init__(self, name: str, world: WatchedWorld, commands: Keeper) -> None:
        self.kind: AnyKind = KINDS[name]
        self.example: Example = example_of(name)
        self.spec, self.world, self.commands = self.example.spec, world, commands
        self.example.prepare()
        self.nothing, self.before = world.moment(), world.strict.inventory()
        self.planned = render_plan(world.plan(self.spec), PLAIN)
        self.used: set[str] = set()
        """The actions that were called under its policies."""
        self.slow(20.0)
        with self.guarded("apply"):
            self.ids = self.make()
        self.slow(0.0)
        world.clock.advance(60)
        self.made, self.count = world.moment(), len(world.strict.inventory())

    def slow(self, seconds: float) -> None:
        """Reads lag that much, and new ids are unknown for that long."""
        self.world.strict.lag = self.world.strict.reference_lag = seconds

    @contextmanager
    def guarded(self, command: Command) -> Iterator[None]:
        """All calls are allowed by what `iam-policy` prints for the example and each change of it."""
        changes = (self.example.with_change(*change) for change in self.example.every_change)
        specs = [self.spec, *changes, changed(self.kind.name)]
        guard = Guard(self.world)
        guard.documents = policy_documents([load({"region": REGION, **spec}).target() for spec in specs], command)
        yield
        vars(self.world).pop("_call")
        self.used |= guard.used
        denied = {request.action for request in guard.denied}
        assert denied <= (LOOKED_FOR if command == "destroy" else set())

    def converge(self, spec: Spec | None = None, **options: Any) -> Result:
        """One run, after which nothing is left to do."""
        return self.world.converge(spec or self.spec, allow={**ALLOW, **self.example.allow}, **options)

    def make(self, spec: Spec | None = None) -> dict[str, str]:
        """The same. Returns ids by address."""
        rest = self.converge(spec).rest
        assert rest is not None
        return {str(address): physical_id for physical_id, address in rest.names.items()}

    def account(self) -> dict[str, Any]:
        """What AWS says of resources, but for what a detour changes."""
        found = self.world.strict.inventory()
        return {item: _settled(found[item]) for item in self.ids.values() if item in found}

    def is_nothing_left(self) -> bool:
        """Whether there is what there was before, but for a volume that a change has outlive its instance."""
        keeps = "'delete_on_termination': False" in str(changed(self.kind.name))
        found = self.world.strict.inventory()
        return {key: item for key, item in found.items() if not (keeps and key.startswith("vol-"))} == self.before


@pytest.fixture(scope="module")
def made(name: str) -> Iterator[Bench]:
    with keeper() as (world, commands):
        yield Bench(name, world, commands)


@pytest.fixture
def bench(made: Bench) -> Bench:
    made.world.go_back(made.made)
    return made


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


@every_kind
def test_it_is_created_at_once_and_shown(bench: Bench) -> None:
    example, world = bench.example, bench.world
    assert f"+ {example.address}" in bench.planned
    found = world.discover(example.spec)
    view = StatusView("demo", REGION, found, {})
    standing = find_standing(situate(load(example.spec).target(), found))
    assert not (standing.service.nobody)
    assert not (standing.service.partly)
    assert not standing.differs
    shown = {item["address"]: item["id"] for item in json.loads(status_json(view))["resources"]}
    assert shown[example.address] == bench.ids[example.address]
    assert f"  {example.address}  " in status_text(view, PLAIN)
    own = [item.state for item in load(example.spec).desired.values() if item.state.service]
    counts, warnings = world._run(count_by_stack)
    assert not warnings
    assert counts == {"demo": sum(state.parent is None for state in own)}  # listeners and rules come with their parents


@every_kind
def test_each_property_that_somebody_changed_is_changed_back_and_all_is_destroyed(bench: Bench) -> None:
    """Under its policies, of whose actions none is too many."""
    example, world = bench.example, bench.world
    before = bench.account()
    with bench.guarded("apply"):
        for address, path, value in example.every_change:
            world.clock.advance(example.rest)
            behind.change(world, example.with_change(address, path, value), address, path)
            world.clock.advance(example.rest)
            result = bench.converge()
            assert changes(result.plan) == {("update", address, path)}
            assert bench.account() == before, path
        world.clock.advance(example.rest)
        bench.converge(changed(bench.kind.name))
    with bench.guarded("destroy"):
        bench.converge(destroy=True)
    assert bench.is_nothing_left()
    actions = bench.kind.iam_actions
    stated = {*actions.read, *actions.look, *actions.create, *actions.update, *actions.delete}
    assert stated - bench.used == example.uncalled.keys()


@every_kind
def test_tags_that_somebody_changed_are_changed_back_and_protection_spares_it(bench: Bench) -> None:
    example, world = bench.example, bench.world
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
        behind.tag(world, resource, {tag: "other", "somebody": "else"})
        result = world.converge(spec)
        assert changes(result.plan) == {("update", example.address, path)}
        assert result.writes.keys() == TAGGED[service]
    behind.untag(world, resource, list(paths))
    result = world.converge(spec)
    assert changes(result.plan) == {("update", example.address, path) for path in paths.values()}
    assert result.writes.keys() == TAGGED[service]
    with pytest.raises(RefusedError, match=rf"{example.address} .*is protected by prevent_destroy"):
        world.plan(spec, destroy=True, allow={**ALLOW, **example.allow})


@every_kind
def test_one_that_somebody_deleted_is_made_again(bench: Bench) -> None:
    example, world = bench.example, bench.world
    before = world.strict.inventory().keys()
    behind.delete(world, example.spec, example.address)
    result = bench.converge()
    # the rules of a security group are there for as long as the group is, if only as an empty list
    there = example.address in map(str, (item.address for item in result.plan.live))
    assert {(step.action, str(step.address)) for step in result.plan.steps} == {
        ("update" if there else "create", example.address)
    }
    assert not (there and bench.kind.properties.service)
    assert len(world.strict.inventory()) == len(before)


@every_kind
def test_it_is_forgotten_adopted_again_and_moved_to_another_name(bench: Bench) -> None:
    example, ids, world = bench.example, bench.ids, bench.world
    tagged = our_tags(world)
    bench.commands.forget(example.spec, example.entry)
    assert ids[example.entry] not in our_tags(world)
    assert by_address(bench.commands.adopt(example.spec))[example.entry] == ids[example.entry]
    assert world.plan(example.spec).is_empty
    bench.commands.forget(example.spec)
    assert our_tags(world) == {}
    assert world.plan(example.spec, destroy=True).is_empty
    found = by_address(bench.commands.adopt(example.spec))
    assert found.items() <= ids.items()
    assert found.keys() == {str(item.address) for item in load(example.spec).desired.values() if item.tags}
    assert world.converge(example.spec).writes.keys() <= set().union(*TAGGED.values())
    assert our_tags(world).keys() == tagged.keys()
    spec, old, new = example.renamed("moved")
    if example.address != example.entry:
        with pytest.raises(UsageError, match="has no tags of its own"):
            bench.commands.move(spec, example.address, example.address)
    bench.commands.move(spec, old, new)
    result = bench.converge(spec)
    assert all(path.startswith("tags.") for _, _, path in changes(result.plan))
    assert result.rest is not None
    assert set(map(str, result.rest.names.values())) != ids.keys()
    assert set(result.rest.names) == set(ids.values())


@every_kind
def test_an_id_of_another_kind_is_refused(bench: Bench) -> None:
    example = bench.example
    bench.world.go_back(bench.nothing)
    for kind, spec in example.with_references_by(an_id_of_another):
        with pytest.raises(SpecError, match="can't name this"):
            load(spec)
        assert not is_id_of(kind.name, an_id_of_another(kind))
    if not bench.kind.properties.service:
        with pytest.raises(UsageError, match="the spec declares no"):
            bench.commands.look(example.spec, f"{example.address}=vpc-0a1b2c3d4e5f60718")
        return
    wrong = an_id_of_another(bench.kind)
    words = bench.kind.properties.kind.replace("_", " ")
    with pytest.raises(RefusedError, match=f"not a valid {words} id"):
        bench.commands.look(example.spec, f"{example.address}={wrong}")


def an_id_of_another(kind: AnyKind) -> str:
    """An id that looks like AWS's and can't name a resource of the kind."""
    other = next(item for item in KINDS.values() if item.id_prefix and item is not kind)
    return f"{other.id_prefix}0a1b2c3d4e5f60718"


@every_kind
def test_never_delete_spares_it(bench: Bench) -> None:
    spec = {**bench.spec, "policy": {"never_delete": [bench.kind.name]}}
    if not bench.kind.section:
        with pytest.raises(SpecError, match=r"policy\.never_delete"):
            load(spec)
        return
    count = sum(address.kind == bench.kind.name for address in load(spec).desired)
    with pytest.raises(RefusedError, match=f"never_delete names {bench.kind.name}; .*never-delete={count}"):
        bench.world.plan(spec, destroy=True)
    assert bench.world.plan(spec, destroy=True, allow={**bench.example.allow, "never-delete": count}).steps


class Losing:
    """The first reply to each of these actions is lost."""

    def __init__(self, actions: Iterable[str]) -> None:
        self._left = set(actions)

    def __call__(self, service: str, operation: str, call: Callable[[], Any]) -> Any:
        answer, action = call(), actions_of(service).get(operation, "")
        if action in self._left and not operation.startswith(READS):
            self._left.remove(action)
            raise error_of(service, operation, "ReadTimeoutError", ambiguous=True)
        return answer


@every_kind
def test_lost_replies_make_nothing_twice(bench: Bench) -> None:
    """Each of the kind's own calls takes effect, and isn't answered the first time, while reads lag."""
    actions, world, example = bench.kind.iam_actions, bench.world, bench.example
    world.go_back(bench.nothing)
    other, allow = changed(bench.kind.name), {**ALLOW, **example.allow}
    for spec, called in ((bench.spec, actions.create), (other, actions.update), (other, actions.delete)):
        destroy, losing = called is actions.delete, Losing(called)
        world.clock.advance(example.rest)
        bench.slow(20.0)
        with spoilt(world, losing), suppress(AwsError):
            world.apply(spec, allow=allow, destroy=destroy)
        bench.slow(0.0)
        world.clock.advance(60 + example.hidden)
        bench.converge(spec, destroy=destroy)
        world.clock.advance(60)
        if called is actions.create:
            assert len(world.strict.inventory()) == bench.count
    assert bench.is_nothing_left()


@every_kind
def test_what_is_said_of_its_actions_is_in_the_service_authorization_reference(name: str) -> None:
    found = KINDS[name].iam_actions
    stated = {*found.read, *found.look, *found.create, *found.update, *found.delete}
    types = {action: types_of(action) for action in stated}  # raises for an action that isn't there
    assert found.on.keys() | found.fields.keys() <= stated
    for action, text in found.on.items():
        for token in text.split():
            _, by_request, by_own = types[action][token.rstrip("+*@")] if token != "*" else (False, True, True)
            assert by_request if token.endswith("+") else by_own or token.endswith("*"), (action, token)
        named = {token.rstrip("+*@") for token in text.split()}
        needed = {
            item for item, (is_required, *_) in types[action].items() if is_required and not item.endswith("/net")
        }
        assert not text or needed <= named | {"image", "listener-rule/app"}, action
    for names in found.fields.values():
        assert all(
            hasattr(KINDS[name].properties, field) or field in KINDS[name].properties.__dataclass_fields__
            for field in names.split()
        )
