"""Prints a run's progress: one line for each step that ends, and what is being waited for."""

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NamedTuple

from alb_reconcile.aws.polling import WaitError
from alb_reconcile.aws.throttle import Throttled
from alb_reconcile.cli.render.console import complain, emit, is_diverted
from alb_reconcile.cli.render.plan import estimate
from alb_reconcile.cli.render.style import Style, is_terminal, show_seconds
from alb_reconcile.engine.apply import Event, Outcome
from alb_reconcile.engine.plan.zero_downtime.costs import longest
from alb_reconcile.engine.stack import Awaited
from alb_reconcile.kinds import facts_of
from alb_reconcile.kinds.display import short_id
from alb_reconcile.model.address import Address
from alb_reconcile.model.advice import advised
from alb_reconcile.model.counting import by_resource, total
from alb_reconcile.model.decisions import DUPLICATE
from alb_reconcile.model.errors import CheckError
from alb_reconcile.model.plan import Act, Plan, Step
from alb_reconcile.model.text import printable

if TYPE_CHECKING:
    from alb_reconcile.cli.render.footer import Footer, Row

_EVERY: Final = 15.0
"""Seconds after which an unchanged wait is mentioned again where there is no terminal."""
_DOING: Final = {"create": "is created", "replace": "is created", "update": "is updated", "delete": "is deleted"}
_HOW_TO_GO_ON: Final = "Nothing is rolled back; run the same command again to continue."
A_NEW_PLAN: Final = (
    "Nothing is rolled back. To continue: make a new plan, since this one is used up, or apply without --plan."
)
_HOW_TO_MEND: Final = "Nothing is rolled back. If the new version is at fault, correct the spec or put the old version back; then apply it."
_UNSEEN: Final = "not looked at yet"
TWICE: Final = "there twice, old and new, and both cost"


class _Running(NamedTuple):
    """A step under way: since when, by the wall's clock, and what it waits for; how long it had run when that wait began."""

    step: Step
    since: float
    text: str
    before: float = 0


class Progress:
    """Prints events as they come. On a terminal, with the extra `terminal`, there is a footer: running steps, progress, and the time left."""

    def __init__(self, style: Style, plan: Plan, *, verbose: bool = False, speed: float = 1.0) -> None:
        self.style = style
        self.plan = plan
        self.verbose = verbose
        self.speed = speed
        """How much faster AWS's clock runs than the wall's; all times are shown on AWS's clock."""
        self.live = is_terminal() and not verbose and not is_diverted() and find_spec("rich") is not None
        self.began = time.monotonic()
        self.running: dict[str, _Running] = {}
        self.ended: dict[str, str] = {}
        """How each step ended, by its key."""
        self.awaited: dict[Address, tuple[Awaited, float]] = {}
        """What is waited for at the end, and since when."""
        self._said: dict[str, tuple[str, float]] = {}
        self._skipped: set[Address] = set()
        self._footer: Footer | None = None

    def __call__(self, event: Event) -> None:
        """Take an event."""
        key, text = event.step.key, _brief(event.text)
        if event.what in ("started", "waiting"):
            last = self.running.get(key, _Running(event.step, time.monotonic(), ""))
            is_same = _awaited(last.text) == _awaited(text)
            before = last.before if is_same else event.elapsed
            self.running[key] = _Running(event.step, last.since, text, before)
            if event.what == "started" and self.verbose:
                complain(f"  {event.step.address} started ({event.step.action})")
            if event.what == "waiting" and not self.live:
                waited = round(event.elapsed - before)
                since = f", for {waited} s" if waited else ""
                self._mention(key, f"  {event.step.address} waits for {text}{since}", text)
        else:
            self.running.pop(key, None)
            self.ended[key] = event.what
            address = event.step.address
            if event.what != "skipped" or address not in self._skipped:  # both halves of a replacement may be skipped
                emit(self.style.fit(_describe(event, self.style)))
            self._skipped |= {address} if event.what == "skipped" else set()
        self.tick()

    def waiting(self, item: Awaited) -> None:
        """Take the state of a resource that is waited for outside of any step."""
        since = self.awaited[item.address][1] if item.address in self.awaited else time.monotonic()
        self.awaited[item.address] = (item, since)
        text = _brief(item.text)
        if "(now" in text and not self.live:
            self._mention(str(item.address), f"  {item.address} waits for {text}", text)
        if not text and str(item.address) in self._said:
            del self._said[str(item.address)]
            took = (time.monotonic() - since) * self.speed
            emit(f"  {self.style.paint('✓', 'green')} {item.address} {item.then} ({took:.1f} s)")
        self.tick()

    def tick(self) -> None:
        """Redraw the footer."""
        if not self.live or not (self.plan.steps or self.awaited):
            return
        if self._footer is None:
            from alb_reconcile.cli.render.footer import Footer

            self._footer = Footer(self.style)
        self._footer.show([*self.rows()], self.summary())

    def close(self) -> None:
        """Remove the footer."""
        if self._footer is not None:
            self._footer.close()

    def rows(self) -> Iterator["Row"]:
        """The running steps, the oldest first; when all are done, the resources that don't serve yet."""
        from alb_reconcile.cli.render.footer import Row

        now = time.monotonic()
        for step, since, text, _ in self.running.values():
            what = _plain(text) if text else _DOING[step.action]
            yield Row(str(step.address), what, (now - since) * self.speed)
        for group, items in self._groups().items():
            if any(item.text for item, _ in items):
                yield Row(str(group), _readiness(group, [item for item, _ in items]), (now - items[0][1]) * self.speed)
        if len(self.ended) == len(self.plan.steps) and not self.awaited:
            asked = "all as the spec wants it" if self.plan.desired else "anything left"
            yield Row("the whole stack", f"is read again: is {asked}?", 0)

    def summary(self) -> str:
        """The progress of the run: the acts under way, how much of the plan is done, for how long the run has lasted, and the time left
        by the plan's estimate."""
        counts = Counter(self.ended.values())
        done, total = _progress(self.plan.steps, self.ended)
        acts = {row.step.act for row in self.running.values()}
        is_split = len({step.act for step in self.plan.steps}) > 1
        parts = [", ".join(act for act in Act if act in acts).capitalize()] if acts and is_split else []
        parts += [f"{done} of {total} done"] if total else []
        parts += [
            f"{counts[how]} {word}" for how, word in (("failed", "failed"), ("skipped", "skipped")) if counts[how]
        ]
        elapsed = (time.monotonic() - self.began) * self.speed
        parts += [show_seconds(elapsed), *self._left(elapsed)]
        return " · ".join(parts)

    def _left(self, elapsed: float) -> Iterator[str]:
        """The time left by the plan's estimate, and never less than the remaining steps take one after another."""
        if not estimate(self.plan):
            return
        now = time.monotonic()

        def ahead(index: int) -> float:
            def seconds(step: Step) -> int:
                if step.key in self.ended:
                    return 0
                spent = (now - self.running[step.key].since) * self.speed if step.key in self.running else 0.0
                return max(step.seconds + step.takes[index] - round(spent), 0)

            return max(self.plan.takes[index] - elapsed, longest(self.plan.steps, seconds))

        least, most = (_rounded(ahead(index)) for index in (0, 1))
        if most <= 0:
            yield f"longer than the estimated {show_seconds(self.plan.takes[1])}"
        elif least <= 0 or least == most:
            yield f"up to {show_seconds(most)} left"
        else:
            yield f"about {show_seconds(least)} to {show_seconds(most)} left"

    def _groups(self) -> dict[Address, list[tuple[Awaited, float]]]:
        groups: dict[Address, list[tuple[Awaited, float]]] = {}
        for item, since in self.awaited.values():
            groups.setdefault(item.within, []).append((item, since))
        return groups

    def _mention(self, key: str, line: str, text: str) -> None:
        said, when = self._said.get(key, ("", 0.0))
        now = time.monotonic()
        if _awaited(said) != _awaited(text) or now - when > _EVERY:
            self._said[key] = (text, now)
            emit(self.style.paint(line, "dim"))


def _awaited(text: str) -> str:
    """A text on what is waited for, without its present state."""
    return text.partition("(now")[0]


def _rounded(seconds: float) -> int:
    """Seconds rounded up to ten: the estimate isn't better."""
    return -(-round(max(seconds, 0)) // 10) * 10


def _readiness(group: Address, items: list[Awaited]) -> str:
    """The state of a load balancer, or how many targets of a group are healthy and the states of the others."""
    words = Counter(_state(item.text) for item in items if item.text)
    if [*words] == [_UNSEEN]:
        return _UNSEEN
    if items[0].address == group:
        return f"waits to be active (now {next(iter(words))})"
    others = ", ".join(f"{count} {word}" for word, count in sorted(words.items()))
    return f"{len(items) - words.total()} of {len(items)} targets healthy ({others})"


def _plain(text: str) -> str:
    """A text on what is waited for, without the id or kind of the line's resource."""
    return re.sub(
        r"^waits for (?:target \S+|[a-z]+-[0-9a-f]{8,}|the load balancer) to ", "waits to ", f"waits for {text}"
    )


def _state(text: str) -> str:
    """AWS's word for a state, in a text that says what is waited for."""
    found = re.search(r"\(now ([\w-]+)", text)
    return found[1] if found else _UNSEEN


def _brief(text: str) -> str:
    """A text on what is waited for, without AWS's words for usual states."""
    return printable(re.sub(r"\(now initial .*\)$", "(now initial)", text))


def _describe(event: Event, style: Style) -> str:
    step = event.step
    if event.what == "done":
        word = (
            "replacement created" if step.action == "replace" else f"{step.action}d"
        )  # the resource is replaced when the old one has gone
        if step.part_of is not None:
            word = f"old {step.address.kind.replace('_', ' ')} deleted {short_id(step.id or '')}"
        elif step.action in ("create", "replace") and step.state and step.state.service:
            word += "" if event.text.startswith("arn:") else f" {printable(event.text)}"
        return f"  {style.paint('✓', 'green')} {step.address} {word} ({event.elapsed:.1f} s)"
    if event.what == "skipped":
        why = (
            "its replacement isn't there"
            if step.part_of and event.text == str(step.address)
            else f"it comes after {event.text}"
            if step.action == "delete"
            else f"it needs {event.text}"
        )
        return f"  {style.paint('·', 'dim')} {step.address} skipped: {why}"
    if event.what == "interrupted":
        return f"  {style.paint('·', 'dim')} {step.address} {event.text}"
    return f"  {style.paint('✗', 'red')} {step.address} failed after {event.elapsed:.1f} s: {event.text}"


def render_outcomes(outcomes: Iterable[Outcome], next_step: str = "") -> str:
    """How a run ended that failed: what was done, what failed and what the failure made impossible. `next_step`: how to continue, if
    not by the same command."""
    ended = list(outcomes)
    failed = [item for item in ended if item.how == "failed"]
    hows = {item.step.key: item.how for item in ended}
    steps = [item.step for item in ended]
    done, total = _progress(steps, hows)
    ends = [{hows[step.key] for step in group} for group in by_resource(steps)]
    wrong = sum("failed" in end for end in ends)
    half = sum("done" in end and len(end) > 1 and "failed" not in end for end in ends)
    more = f", {half} begun" * (half > 0)
    lines = [f"{done} of {total} done{more}, {wrong} failed, {total - done - half - wrong} not done."]
    for item in failed:
        lines.append(f"  {item.step.address}: {item.error}")
        victims = [str(other.step.address) for other in ended if other.cause is item.step]
        victims = [name for name in victims if name != str(item.step.address)]
        if victims:
            lines.append(f"    not done because of it: {', '.join(dict.fromkeys(victims))}")
    causes = {item.step.key for item in failed}
    stopped = [item for item in ended if item.how == "interrupted" or (item.cause and item.cause.key not in causes)]
    if stopped:
        names = [str(name) for item in stopped for name in (item.step.address, *item.step.also_deletes)]
        lines.append(f"  not done: {', '.join(dict.fromkeys(names))}")
    if begun := [str(item.step.address) for item in stopped if item.error]:
        lines.append(f"  begun and not finished, so look at them with status: {', '.join(dict.fromkeys(begun))}")
    made = [step for step in steps if step.action == "replace" and hows[step.key] == "done"]
    undone = [step for step in steps if hows[step.key] != "done"]
    unpaired = {step.part_of for step in undone}
    twice = [*(step for step in made if step.key in unpaired), *(step for step in undone if step.reason == DUPLICATE)]
    if left := [str(step.address) for step in twice if facts_of(step.address.kind).is_costly]:
        lines.append(f"  {TWICE}: {', '.join(left)}")
    lines.append(_HOW_TO_MEND if any(map(_is_unhealthy, failed)) else next_step or _HOW_TO_GO_ON)
    return "\n".join(lines)


def after_destroy(spec_file: str) -> str:
    """What to do after a destroy that was cut short: mostly the user has noticed a mistake. `spec_file` may be empty."""
    apply = f"`{advised('apply', spec_file)}`" if spec_file else "apply of its spec"
    return f"Nothing is rolled back. To keep the stack: {apply} makes again what is gone. To finish: run destroy again."


def _is_unhealthy(item: Outcome) -> bool:
    """Whether a step waited for health: of its own resource, or of the resources that stay when it goes; or a new version answered wrongly."""
    return isinstance(item.error, CheckError) or (
        facts_of(item.step.address.kind).is_target
        and isinstance(item.error, WaitError)
        and "healthy" in str(item.error)
    )


def _progress(steps: Sequence[Step], hows: Mapping[str, str]) -> tuple[int, int]:
    """How many resources are done, counted as plans do, and of how many. `hows`: how steps ended, by key."""
    done = (group for group in by_resource(steps) if all(hows.get(step.key) == "done" for step in group))
    return sum(map(total, done)), total(steps)


def render_closing(plan: Plan, times: Mapping[str, float]) -> str:
    """What was done and in which time, and when the stack first served, if the run waited for that and the stack didn't serve before.

    `times` are as in a run's record.
    """
    counts = plan.count()
    words = ", ".join(f"{number} {action}d" for action, number in counts.items() if number)
    taken = show_moment(times.get("converged", times.get("took", 0)))
    parts = [f"{words} in {taken}" if words else f"Waited {taken}"]
    if "answered" in times:
        parts.append(f"{'first answer' if 'ready' in times else 'verified'} after {show_moment(times['answered'])}")
    elif "ready" in times:
        parts.append(f"first healthy target after {show_moment(times['ready'])}")
    return f"{', '.join(parts)}."


def show_moment(seconds: float) -> str:
    """A duration as in a closing line: at least a second."""
    return show_seconds(max(round(seconds), 1))


def render_calls(calls: Mapping[str, int], throttled: Mapping[str, Throttled]) -> str:
    """How many API calls were made, and which; on a line of its own the calls that AWS has throttled."""
    each = ", ".join(f"{count} {name}" for name, count in sorted(calls.items()))
    more = f"\n{render_throttled(throttled)}" if throttled else ""
    return f"{sum(calls.values())} API calls{': ' + each if each else ''}{more}"


def render_throttled(throttled: Mapping[str, Throttled]) -> str:
    """The calls that AWS has throttled: how often, and when last."""
    each = (f"{name} {item.count} ×, last at {item.last}" for name, item in sorted(throttled.items()))
    return f"AWS throttled {'; '.join(each)}"
