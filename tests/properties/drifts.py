"""Random drift: some things that somebody does by hand to a stack, and what a round of `sync` must make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from alb_reconcile.engine.service import judge as judge_service
from alb_reconcile.model import tags
from alb_reconcile.model.errors import AwsError, ReconcileError, RefusedError
from alb_reconcile.model.resource import references
from tests.harness import READS, by_hand, load
from tests.properties import drifts_examples as examples
from tests.properties import drifts_network as network
from tests.properties import drifts_service as service
from tests.properties.scene import Deed, Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from random import Random

    from alb_reconcile.model.plan import Plan
    from alb_reconcile.sync.stack import Ending

SORTS: tuple[Callable[[Scene], Iterator[Deed]], ...] = (
    service.instance_states, service.targets,
    service.balancers, service.groups, service.additions, service.priorities,
    network.detachments, network.associations,
    network.routes, network.permissions, network.changed_tags, network.removed_tags,
    examples.properties, examples.unmanaged, examples.removals,
)  # fmt: skip
REFUSALS = (
    "NotFound", "DependencyViolation", "OperationNotPermitted", "IncorrectInstanceState", "Duplicate", "Conflict", "InUse",
    "InvalidTarget", "NoSuchEntity", "Invalid IAM Instance Profile", "There is no route defined", "belong to different networks", "NonexistentItem", "must be smaller than",
    "Gateway.NotAttached",
)  # fmt: skip
"""What AWS says where something can't be done, or any more."""
AGES = (0, 30, 1200)
"""Seconds between what is done and the run: things may still be on their way, or gone for long."""
CORRECT_ALL = {"sync": {"correct": ["create", "update", "replace", "delete"]}}
TO_ADOPT = "and no stack owns it; alb-reconcile adopt"
TAKES_AWAY = ("terminate_", "stop_", "start_", "deregister_", "detach_")
LOOSENS = frozenset({"delete_route", "detach_role_policy", "delete_role_policy"})
"""A route is a part of its table, as a rule is of its security group: to take a stray one out changes the table. So are policies of
their role."""


@dataclass(frozen=True)
class Drift:
    """What is drawn: where, what (a sort and a number in it, as far as there are so many), and how long ago."""

    shape: str
    picks: tuple[tuple[int, int], ...]
    age: int


def drifts(shape: str) -> st.SearchStrategy[Drift]:
    """Up to three things that are done to a stack of that shape."""
    picks = st.tuples(st.integers(0, len(SORTS) - 1), st.integers(0, 999))
    return st.builds(Drift, st.just(shape), st.lists(picks, min_size=1, max_size=3).map(tuple), st.sampled_from(AGES))


def draw(shape: str, random: Random) -> Drift:
    """The same, from a seed."""
    picks = ((random.randrange(len(SORTS)), random.randrange(1000)) for _ in range(random.choice((1, 1, 2, 3))))
    return Drift(shape, tuple(picks), random.choice(AGES))


class Stage:
    """A scene, and everything that can be done in it, by sort."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.deeds = [list(sort(scene)) for sort in SORTS]

    def named(self, *words: str) -> tuple[tuple[int, int], ...]:
        """The picks of deeds that are called so."""
        places = {
            deed.words: (sort, number) for sort, deeds in enumerate(self.deeds) for number, deed in enumerate(deeds)
        }
        return tuple(places[text] for text in words)

    def disturb(self, drift: Drift) -> list[Deed]:
        """Do it, in a fresh copy of the scene. Returns what AWS has let be done: what it refuses half-way isn't done at all."""
        self.scene.reset()
        done: list[Deed] = []
        for sort, number in drift.picks:
            deeds = next(
                self.deeds[(sort + step) % len(SORTS)]
                for step in range(len(SORTS))
                if self.deeds[(sort + step) % len(SORTS)]
            )
            deed = deeds[number % len(deeds)]
            if deed in done:
                continue
            before = self.scene.account.moment()
            try:
                deed.act()
            except LookupError:  # what it is about was taken away by something before it
                self.scene.account.go_back(before)
            except ReconcileError as error:
                if isinstance(error, AwsError) and not any(text in f"{error.code} {error}" for text in REFUSALS):
                    raise  # what was meant can't be done like this at all
                self.scene.account.go_back(before)
            else:
                done.append(deed)
        self.scene.account.clock.advance(drift.age)
        return done


@dataclass(frozen=True)
class Verdict:
    """What came of one drift. `is_managed`: whether anything was done that the spec has a say in."""

    deeds: tuple[Deed, ...]
    is_found: bool = False
    is_corrected: bool = False
    problem: str = ""

    @property
    def is_managed(self) -> bool:
        return any(deed.shown_at for deed in self.deeds)


def judge(stage: Stage, drift: Drift) -> Verdict:
    """Do it, and see whether all holds: the plan has it, `sync` corrects what it may and takes nothing away, and `sync`
    that may do everything leaves nothing."""
    done = stage.disturb(drift)
    scene, is_found = stage.scene, False
    try:
        disturbed = scene.account.moment()
        try:
            plan = scene.account.plan(scene.spec)
        except RefusedError as error:  # somebody's group stands where ours is gone: it may be ours, without its tags
            if TO_ADOPT not in str(error):
                raise
            ending = scene.account.sync(scene.spec)
            assert not (wrong := _taken_away(scene)), f"called {wrong}"
            assert any(TO_ADOPT in why for why in ending.selection.withheld.values()), ending.selection.withheld
            return Verdict(tuple(done), is_found=True)
        check_found(plan, done)
        is_found = True
        if not _remembers(scene):
            return Verdict(tuple(done), is_found)
        _check_default(scene, scene.account.sync(scene.spec), plan)
        scene.account.go_back(disturbed)
        spec = {**scene.spec, **CORRECT_ALL}
        ending = scene.account.sync(spec)
        assert not ending.is_failed, [*ending.problems, *_failures(ending)]
        assert not ending.selection.withheld, ending.selection.withheld
        rest = scene.account.plan(spec)
        assert rest.is_empty, [(step.key, step.changes) for step in rest.steps]
    except Exception as error:  # whatever it is, it has to be told with what led to it
        told = f"{drift.shape}, {drift.age} s ago: " + "; ".join(deed.words for deed in done)
        return Verdict(tuple(done), is_found, problem=f"{told}\n{type(error).__name__}: {error}")
    return Verdict(tuple(done), is_found, is_corrected=True)


def check_found(plan: Plan, done: list[Deed]) -> None:
    """Each deed is in the plan, unless the spec doesn't manage what it changed."""
    # what can't be mended now has a note: a target whose instance rests, as it may
    there = [*(str(step.address) for step in plan.steps), *(note.partition(": ")[0] for note in plan.kept)]
    for deed in done:
        hits = [name for name in there if name.startswith(deed.shown_at)] if deed.shown_at else []
        assert hits or not deed.shown_at, f"not found: {deed.words}; the plan has {there}"
    if not any(deed.shown_at for deed in done):
        assert plan.is_empty, f"nothing that is managed was changed, but the plan has {there}"


def _check_default(scene: Scene, ending: Ending, plan: Plan) -> None:
    """What is made and changed is corrected, nothing is taken away, and all of the rest is told as drift."""
    calls = _changes(scene)
    wrong = _taken_away(scene)
    assert not wrong, f"called {wrong}"
    # where what waits for a person keeps requests out, the round fails for that alone, and says what is so
    rest = scene.account.plan(scene.spec)
    made = {step.address for step in ending.selection.left if step.action == "create"}
    nobody = judge_service(rest.live, load(scene.spec).desired, made).nobody
    shut = list(nobody) if ending.selection.left and ending.error is None else []
    assert not ending.is_failed or ending.problems, _failures(ending)
    assert not _failures(ending), _failures(ending)
    assert set(ending.problems) <= set(shut), (ending.problems, shut)
    causes = {**(ending.acted.causes if ending.acted else {}), **ending.selection.causes}
    assert set(causes.values()) <= {"drift"}, causes
    assert calls or not (ending.acted and ending.acted.steps)
    # by address: what the target of an instance that is just going is told as changes while it goes
    left, told = ({str(step.address) for step in steps} for steps in (rest.steps, ending.selection.left))
    replaced = {step.address for step in rest.steps if step.action == "replace" and str(step.address) in told}
    ids = {step.id for step in rest.steps if step.address in replaced}
    left -= {
        str(step.address)
        for step in rest.steps  # what follows from it
        if (step.desired and replaced.intersection(references(step.desired.state)))
        or (step.observed and step.observed.parent_id in ids)
    }
    assert left <= told, f"left {left}, told {told}"
    if plan.steps and all(step.action in ("create", "update") for step in plan.steps):
        small = [step.key for step in plan.steps if step.address.kind == "instance" and step.action == "update"]
        assert rest.is_empty or small, left


def _changes(scene: Scene) -> list[str]:
    """The calls that change something. Nothing drains where the instance is gone already, and its registration is made anew."""
    return [
        name
        for name, params in scene.account.log
        if not name.startswith(READS) and not (name == "deregister_targets" and _is_gone(scene, params))
    ]


def _taken_away(scene: Scene) -> list[str]:
    return [
        name for name in _changes(scene)
        if name.startswith(TAKES_AWAY) or (name.startswith("delete_") and name not in LOOSENS)
    ]  # fmt: skip


def _remembers(scene: Scene) -> bool:
    """Whether anything is left that says which spec was applied: else what is gone could be new in the spec."""
    return any(tags.APPLIED in item.tags for item in scene.account.discover(scene.spec).resources if not item.is_gone)


def _is_gone(scene: Scene, params: Mapping[str, Any]) -> bool:
    """Whether all targets of a call are instances that don't run any more."""
    ids = [target["Id"] for target in params["Targets"]]
    answer = by_hand("ec2").describe_instances(InstanceIds=ids)
    states = [item["State"]["Name"] for part in answer["Reservations"] for item in part["Instances"]]
    return all(state in ("shutting-down", "terminated") for state in states)


def _failures(ending: Ending) -> list[Any]:
    return [f"{item.step.key}: {item.how}: {item.error}" for item in ending.outcomes if item.how != "done"]
