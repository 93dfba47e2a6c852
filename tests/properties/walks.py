"""Walks from spec to spec, a few declared properties at a time, in one account that is watched; and how a failure is made small."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from random import Random
from typing import TYPE_CHECKING, Any

import yaml

from alb_reconcile.model.errors import PlanError, RefusedError
from tests.harness import load
from tests.kinds.test_nat_gateway import private_stack
from tests.load.specs import two_ports
from tests.properties.account import account
from tests.properties.advice import REFUSALS
from tests.properties.changes import Change, draw_change
from tests.properties.scene import SHAPES
from tests.properties.seeds import draw_from
from tests.properties.test_gaps import coloured
from tests.properties.watched import portrait

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from tests.harness import Spec
    from tests.properties.account import Account

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


@dataclass
class Walk:
    """From a base, chosen by the seed, through so many pairs. `ways` counts how they went: "invalid" are those of which nobody can have
    the second spec, whose user goes back to the first."""

    seed: int
    ways: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[Pair, str]] = field(default_factory=list)

    def go(self, length: int, *, compares: bool = False) -> None:
        """Go on after a failure, from where it began. In the end all may be compared with how a fresh account is."""
        draw_from(self.seed)
        random = Random(self.seed)
        base = sorted(BASES)[self.seed % len(BASES)]
        spec, history = BASES[base](), list[Change]()
        refused: list[tuple[Pair, Exception, str]] = []
        with account() as here:
            here.begin(spec)
            for _ in range(length):
                pair = _draw(random, base, spec, tuple(history))
                kept = here.world.moment()
                try:
                    how = here.go(pair)
                except REFUSALS as error:
                    how = "failed"
                    if is_refusal(error) or _CALL.search(str(error)):
                        refused.append((pair, error, _going_back(here, pair)))
                    else:
                        self.wrong.append((pair, f"{type(error).__name__}: {error}"))
                self.ways[how] += 1
                if how == "converged":
                    spec = pair.after
                    history += pair.changes
                else:
                    here.world.go_back(kept)
            found = here.end(spec) if compares else {}
        for pair, refusal, back in refused:
            # in a spec that nobody can have only what is known to be refused: another refusal may be the program's mistake
            if is_invalid := is_refused(pair.after) and (is_refusal(refusal) or not is_refused(pair.before)):
                self.ways.update(invalid=1, failed=-1)
            if back or not is_invalid:
                self.wrong.append((pair, back or f"{type(refusal).__name__}: {refusal}"))
        if found and (unequal := _unequal(spec, found)):
            self.wrong.append((Pair(base, tuple(history[:-1]), tuple(history[-1:])), unequal))


def _going_back(here: Account, pair: Pair) -> str:
    """Apply again what there was before a refusal. Returns what is wrong then."""
    try:
        here.begin(pair.before)
    except REFUSALS as error:
        return f"back from what is refused: {type(error).__name__}: {error}"
    return ""


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


_CALL = re.compile(r"failed: [A-Z]\w+: ")
"""A call that AWS has refused in the midst of a run."""
_BY_AWS = re.compile(
    "failed: .*(?:"
    "MalformedPolicyDocument|The allocation size is too big for the pool|isn't a resource planning pool of|InvalidSubnet.Range: The CIDR"
    "|One or more security groups are invalid|belong to different networks|the certificate isn't issued after 30 min: ACM doesn't see CNAME"
    ")"
)
"""What AWS refuses of a spec in the midst of a run, as no plan asks for it before (docs/explanation/reliability.md)."""


def is_refusal(error: Exception) -> bool:
    """Whether the plan says that nobody can have this, or AWS, as far as that is known. Whatever else fails isn't the spec's."""
    return isinstance(error, PlanError | RefusedError) or bool(_BY_AWS.search(str(error)))


def is_refused(spec: Spec) -> bool:
    """Whether nobody can have this, in a fresh account either."""
    with account() as here:
        try:
            here.begin(spec)
        except REFUSALS as error:
            return is_refusal(error)
    return False


def _unequal(spec: Spec, found: dict[str, Any]) -> str:
    """What there is otherwise than in a fresh account; nothing if nobody can have this there."""
    if is_refused(spec):
        return ""
    with account() as here:
        here.begin(spec)
        other = portrait(here.world, here.world.localized(spec))
    # where others' are kept, so is what an earlier spec has declared
    keeping = {str(address) for address, item in load(spec).desired.items() if item.lifecycle.keep_others}
    unequal = {key: (found[key], other[key]) for key in other.keys() - keeping if found[key] != other[key]}
    return f"another one than in a fresh account: {unequal}" if unequal else ""


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
            if here.go(pair) != "converged":
                return ""
        except REFUSALS as error:
            return f"{type(error).__name__}: {error}"
        found = here.end(pair.after)
    return _unequal(pair.after, found)


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
