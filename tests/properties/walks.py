"""Walks from spec to spec, a few declared properties at a time, in one account that is watched; and how a failure is made small."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from random import Random
from typing import TYPE_CHECKING, Any

import yaml

from alb_reconcile.kinds import load_kinds
from alb_reconcile.model.errors import PlanError, RefusedError
from tests.harness import load
from tests.kinds.test_nat_gateway import private_stack
from tests.load.specs import two_ports
from tests.properties.advice import REFUSALS, Advice
from tests.properties.changes import Change, draw_change
from tests.properties.clients import Clients
from tests.properties.examples import prepare
from tests.properties.scene import SHAPES, add_subnets
from tests.properties.seeds import draw_from
from tests.properties.test_gaps import coloured
from tests.properties.test_lives import STAYS
from tests.properties.test_pairs import check_capacity, check_ways_out
from tests.properties.watched import WatchedWorld, portrait, watched

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from tests.harness import Spec

LONG = 6 * 3600
"""Seconds after which AWS takes each change of a volume again."""
SEEN = 3600
"""Seconds after which any health check has failed."""
ALL_ILL = (
    "has 0 healthy targets, and needs 1 before it gets requests that others serve now; fix its targets and run again"
)
"""A group whose every target fails is replaced beside another one that serves: an advice that is followed."""
LAST_ONE = re.compile(r"waited \d+ s for: \d other healthy targets before \S+ may be deregistered \(now 0; ")
"""The last healthy target leaves, and what is to stay is ill: likewise."""
STAYS_ILL = re.compile(r"waited \d+ s for: target (i-\w+):\d+ to be healthy \(now unhealthy ")
"""An instance that is changed in place fails as it did before, and the others aren't touched: likewise."""
LAGS = (0.0, 0.0, 0.0, 0.0, 5.0, 25.0)
SIZES = (1, 1, 2, 3, 4)
DEEDS = (None, None, None, None, "ill", "terminated", "stopped", "deregistered")
"""What happens by hand before the change."""
BASES: dict[str, Callable[[], Spec]] = {
    **{shape: SHAPES[shape] for shape in ("wide", "secure", "foreign")},
    "private": private_stack,
    "coloured": lambda: coloured("web", one=(10, ["/1/*", "/3/*"], "blue"), two=(20, ["/2/*"], "green")),
    "two ports": two_ports,
}


@dataclass(frozen=True)
class Pair:
    """Two specs: what is said otherwise in the base first, and then between them; and how the account is then."""

    base: str
    history: tuple[Change, ...]
    changes: tuple[Change, ...]
    deed: str | None = None
    lag: float = 0.0
    number: int = 0
    """Which target it happens to."""

    @cached_property
    def before(self) -> Spec:
        return _made(BASES[self.base](), self.history)

    @cached_property
    def after(self) -> Spec:
        return _made(self.before, self.changes)

    def __str__(self) -> str:
        first, last = (
            yaml.safe_dump(json.loads(json.dumps(spec)), sort_keys=False) for spec in (self.before, self.after)
        )
        diff = "\n".join(
            difflib.unified_diff(first.splitlines(), last.splitlines(), "before.yaml", "after.yaml", "", "", 4, "")
        )
        return f"a target {self.deed or 'in order'}, {self.lag:g} s of lag\n{diff}\n\nbefore.yaml:\n{first}"


def _made(spec: Spec, changes: Sequence[Change]) -> Spec:
    """The spec with these changes, as far as they go together."""
    for change in changes:
        spec = change.made(spec) if change.is_possible(spec) else spec
    return spec


class Account:
    """An account with what the specs' examples only name, in which targets can be ill."""

    def __init__(self, world: WatchedWorld) -> None:
        self.world, self.clients = world, Clients(world)
        self.ill: set[str] = set()
        self.left: set[str] = set()
        """Addresses of instances that somebody has terminated, which look like others' where others' targets are kept."""
        world.add_strangers()
        prepare(*load_kinds())
        add_subnets(world)
        world.strict.health = lambda _, target, __: "unhealthy" if target in self.ill else None

    def begin(self, spec: Spec) -> None:
        """Have this, and let some time pass."""
        self._apply(self.world.localized(spec))
        self.world.clock.advance(LONG)

    def go(self, pair: Pair) -> str:
        """From one spec to the other, which it has. Returns how that went, in a word. Raises AssertionError for whatever a
        client, or the next plan, would see of it."""
        world, before, after = self.world, self.world.localized(pair.before), self.world.localized(pair.after)
        self._do(pair.deed, pair.number)
        world.strict.lag = pair.lag
        world.clock.advance(pair.lag)
        start, was_dark = world.served(), world.is_dark()
        world.watch()
        self.clients.watch()
        how = "converged"
        try:
            try:
                self._apply(after)
            except (PlanError, RefusedError) as error:
                how = "renamed" if "alb-reconcile move" in str(error) else "refused"
                after = Advice(before, after, pair.changes, error).lead(world, self._apply)
            world.sample()
            check_capacity(world, before, after, start)
            assert was_dark or world.is_dark() or not world.dark, f"dark: {world.dark}"
            check_ways_out(world, before, after)
            strange = self.clients.strangely_answered()
            assert not strange, f"answered as neither before nor after: {strange}"
            world.clock.advance(max(pair.lag, 60))
            world.strict.lag = 0.0
            self.ill.clear()
            world.sample()  # the checks pass from now on, not from when somebody looks
            world.clock.advance(LONG)
            rest = world.plan(after)
            assert rest.is_empty, [(step.key, step.changes) for step in rest.steps]
        finally:
            self.ill.clear()
            world.strict.lag = 0.0
        return how

    def end(self, spec: Spec) -> dict[str, Any]:
        """What there is of a spec that was applied, once somebody has started who may rest: AWS takes no target that doesn't run."""
        local = self.world.localized(spec)
        stack = load(local)
        resting = [
            item.id
            for item in self.world.discover(local).resources
            if item.status == "stopped"
            and (wish := stack.desired.get(item.address))
            and getattr(wish.state, "state", "") is None
        ]
        if resting:
            self.world.client("ec2").start_instances(InstanceIds=resting)
            self.world.clock.advance(300)  # what it has only while it runs, such as a public address, shows then
            self.begin(spec)
        return portrait(self.world, local, besides=STAYS)

    def _apply(self, spec: Spec) -> None:
        allow: dict[str, int] = {}
        while True:
            try:
                result = self.world.apply(spec, allow=allow)
                break
            except RefusedError as error:
                words = {
                    word: int(number or 1) for word, number in re.findall(r"--allow ([a-z-]+)(?:=(\d+))?", str(error))
                }
                if not words or words.items() <= allow.items():
                    raise
                allow |= words
        if self.ill and any(map(self._is_for_the_ill, result.failures)):
            self.ill.clear()
            self.world.clock.advance(SEEN)
            self._apply(spec)
            return
        if self._registered_by_others(spec, "\n".join(result.failures)):
            self._apply(spec)
            return
        assert not result.failures, "\n".join(result.failures)
        assert result.rest is not None
        assert result.rest.is_empty, [(step.key, step.changes) for step in result.rest.steps]
        keeps = any(group.get("others") == "keep" for group in spec.get("target_groups", {}).values())
        known = self.ill | self.left if keeps else self.ill
        foreign = [text for text in result.problems if not any(item in text for item in known)]
        assert not foreign, foreign

    def _is_for_the_ill(self, failure: str) -> bool:
        """Whether somebody has to mend a target first."""
        same = STAYS_ILL.search(failure)
        return ALL_ILL in failure or bool(LAST_ONE.search(failure)) or (same is not None and same[1] in self.ill)

    def _registered_by_others(self, spec: Spec, failures: str) -> bool:
        """Whether a new group waits for targets that the spec leaves to others, who then register there what its predecessor has."""
        waiting = set(re.findall(r"target_group\.(\S+) has 0 healthy targets", failures))
        left = {f"target_group.{name}" for name in waiting if "targets" not in spec["target_groups"][name]}
        found = self.world.discover(spec).resources if left else ()
        groups = {item.id for item in found if str(item.address) in left}
        targets = self.world.account.ledger.targets
        known = {
            (item.id, item.port) for arn in groups for item in targets.get(arn, {}).values() if item.gone_at is None
        }
        for arn in groups if known else ():
            told = [{"Id": target, "Port": port} for target, port in sorted(known)]
            self.world.client("elbv2").register_targets(TargetGroupArn=arn, Targets=told)
        self.world.clock.advance(SEEN if known else 0)
        return bool(known)

    def _do(self, deed: str | None, number: int) -> None:
        targets = sorted(
            (item.id, arn, item.port)
            for arn, items in self.world.account.ledger.targets.items()
            for item in items.values()
            if item.gone_at is None and item.id.startswith("i-")
        )
        if not targets or deed is None:
            return
        instance, arn, port = targets[number % len(targets)]
        ec2, elb = self.world.client("ec2"), self.world.client("elbv2")
        if deed == "ill":
            self.ill.add(instance)
            self.world.sample()  # the checks fail from now on, not from when somebody looks
            self.world.clock.advance(SEEN)
        elif deed == "deregistered":
            elb.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": instance, "Port": port}])
        elif deed == "stopped":
            ec2.modify_instance_attribute(InstanceId=instance, DisableApiStop={"Value": False})
            ec2.stop_instances(InstanceIds=[instance])
        else:
            (found,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
            self.left.add(f" {found['Instances'][0]['PrivateIpAddress']}:")
            for name in ("DisableApiTermination", "DisableApiStop"):
                ec2.modify_instance_attribute(InstanceId=instance, **{name: {"Value": False}})
            ec2.terminate_instances(InstanceIds=[instance])
        self.world.clock.advance(300)


@contextmanager
def account() -> Iterator[Account]:
    with watched() as world:
        yield Account(world)


@dataclass
class Walk:
    """From a base, chosen by the seed, through so many pairs. `ways` counts how they went."""

    seed: int
    ways: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[Pair, str]] = field(default_factory=list)

    def go(self, length: int, *, compares: bool = False) -> None:
        """Go on after a failure, from where it began. In the end all may be compared with how a fresh account is."""
        draw_from(self.seed)
        random = Random(self.seed)
        base = sorted(BASES)[self.seed % len(BASES)]
        spec, history = BASES[base](), list[Change]()
        with account() as here:
            here.begin(spec)
            for _ in range(length):
                pair = _draw(random, base, spec, tuple(history))
                kept = here.world.moment()
                try:
                    how = here.go(pair)
                except REFUSALS as error:
                    how = "failed"
                    self.wrong.append((pair, f"{type(error).__name__}: {error}"))
                self.ways[how] += 1
                if how == "converged":
                    spec = pair.after
                    history += pair.changes
                else:
                    here.world.go_back(kept)
            found = here.end(spec) if compares else None
        if compares and (other := portrait_of(spec)):
            # where others' are kept, so is what an earlier spec has declared
            keeping = {str(address) for address, item in load(spec).desired.items() if item.lifecycle.keep_others}
            unequal = {
                key: (found[key], other[key]) for key in other.keys() - keeping if found and found[key] != other[key]
            }
            assert not unequal, f"another one than in a fresh account, after {'; '.join(map(str, history))}: {unequal}"
        for item in [item for item in self.wrong if not portrait_of(item[0].after)]:
            self.wrong.remove(item)
            self.ways["failed"] -= 1
            self.ways["invalid"] += 1


def _draw(random: Random, base: str, spec: Spec, history: tuple[Change, ...]) -> Pair:
    changes: list[Change] = []
    after = spec
    for _ in range(random.choice(SIZES)):
        changes.append(draw_change(random, after))
        after = changes[-1].made(after)
    pair = Pair(base, history, tuple(changes), random.choice(DEEDS), random.choice(LAGS), random.randrange(99))
    vars(pair).update(before=spec, after=after)  # what the changes make, which needn't be found out again
    return pair


def asked(seed: int, base: str, paths: Sequence[str]) -> Generator[tuple[Pair, tuple[str, ...]], bool, None]:
    """Pairs along a walk without deeds and lag, for whoever tries them under real load, with those of the paths that instances of
    one load balancer answer at port 80 before and after. Goes on from there if that is sent, else from where it was."""
    random, spec, history = Random(seed), BASES[base](), list[Change]()
    with account() as here:
        here.begin(spec)
        while True:
            pair = replace(draw := _draw(random, base, spec, tuple(history)), deed=None, lag=0.0)
            vars(pair).update(before=draw.before, after=draw.after)
            kept, before = here.world.moment(), here.clients.answered(paths)
            try:
                is_good = here.go(pair) == "converged"
            except REFUSALS:
                is_good = False  # the tests on the virtual clock say so
            same = tuple(
                path for path, balancer in here.clients.answered(paths).items() if before.get(path) == balancer
            )
            if is_good and same and (yield pair, same):
                spec, history = pair.after, [*history, *pair.changes]
            else:
                here.world.go_back(kept)


def portrait_of(spec: Spec) -> dict[str, Any]:
    """What it is in a fresh account; nothing if AWS wouldn't let anybody have this."""
    with account() as here:
        try:
            here.begin(spec)
        except REFUSALS:
            return {}
        return portrait(here.world, here.world.localized(spec))


def failure_of(pair: Pair) -> str:
    """What goes wrong with a pair in an account of its own; empty if nothing does, or there is no such pair."""
    if pair.before == pair.after:
        return ""
    with account() as here:
        try:
            here.begin(pair.before)
        except REFUSALS:
            return ""
        try:
            here.go(pair)
        except REFUSALS as error:
            return f"{type(error).__name__}: {error}"
    return ""


def shrink(pair: Pair, tries: int = 40) -> tuple[Pair, str]:
    """A smaller pair that fails, with what goes wrong; nothing goes wrong if it needs what the walk has left before."""
    text = failure_of(pair)
    while text:
        for smaller in _smaller(pair):
            tries -= 1
            if tries < 0:
                return pair, text
            if found := failure_of(smaller):
                pair, text = smaller, found
                break
        else:
            return pair, text
    return pair, text


def _smaller(pair: Pair) -> Iterator[Pair]:
    other = partial(replace, pair)
    if pair.history:
        yield other(history=())
        for half in (pair.history[len(pair.history) // 2 :], pair.history[: len(pair.history) // 2]):
            if half != pair.history:
                yield other(history=half)
    if pair.deed:
        yield other(deed=None)
    if pair.lag:
        yield other(lag=0.0)
    if len(pair.changes) > 1:
        yield from (
            other(changes=pair.changes[:place] + pair.changes[place + 1 :]) for place in range(len(pair.changes))
        )
    if 1 < len(pair.history) < 12:
        yield from (
            other(history=pair.history[:place] + pair.history[place + 1 :]) for place in range(len(pair.history))
        )
