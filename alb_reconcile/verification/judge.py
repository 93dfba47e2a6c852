"""Tallies the answers to one check as they come, and judges at the end what they prove."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from alb_reconcile.model.advice import advised
from alb_reconcile.verification.attribution import Attribution
from alb_reconcile.verification.authentication import Provider, unasked
from alb_reconcile.verification.checks import Check
from alb_reconcile.verification.client import ERRORS
from alb_reconcile.verification.expect import ANSWERED, Statuses, mismatch
from alb_reconcile.verification.load import Answer
from alb_reconcile.verification.promises import missing_header, untransformed
from alb_reconcile.verification.shares import ENOUGH, AnsweringTarget, Group, expected_shares, judge_share
from alb_reconcile.verification.tls import Tls

GIVE_UP: Final = 5
"""Errors in a row, without a single answer before them, after which a check is given up."""
_MOST: Final = 1000
"""Different statuses, targets and texts that are counted separately: answers may say anything."""
_LISTED: Final = 3
_FINE: Final = ("healthy", "draining")


@dataclass(frozen=True)
class TargetShare:
    """One target's answers. `expected` is a share from 0 to 1, None where it isn't known; `within` None: not judged."""

    target: AnsweringTarget
    group: str
    answers: int
    share: float | None
    expected: float | None
    within: bool | None


@dataclass(frozen=True)
class Finding:
    """The result of one check. Latencies in ms: p50, p95 and p99 of the answers.

    `state`: ok, failed, skipped or unreachable.
    """

    check: Check
    state: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    requests: int = 0
    right: int = 0
    """Requests that were answered as expected."""
    statuses: Mapping[int, int] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    latency: Mapping[str, float] = field(default_factory=dict)
    protocols: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    shares: tuple[TargetShare, ...] = ()
    unknown: Mapping[str, int] = field(default_factory=dict)
    unattributed: int = 0
    websocket: str | None = None
    """None: not tried; empty: the WebSocket works; else what went wrong."""
    tls: tuple[Tls, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the finding is no reason to fail."""
        return self.state in ("ok", "skipped")


@dataclass
class Tally:
    """The answers to one check, counted as they come."""

    check: Check
    statuses: Statuses
    ports: Mapping[int, int]
    requests: int = 0
    right: int = 0
    seen: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    details: dict[str, str] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    protocols: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)
    unattributed: int = 0
    """Right answers that don't say which target sent them."""
    names: tuple[str, ...] = ()
    """The names that the first answer without attribution had instead."""
    mismatches: Counter[str] = field(default_factory=Counter)
    websocket: str | None = None
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Problems that were found apart from the answers."""
    untold: bool = False
    """Whether an answer didn't say what transforms made of its request."""
    tls: Counter[Tls] = field(default_factory=Counter)
    provider: Provider | None = None
    login: tuple[tuple[str, str], ...] | None = None
    """The headers that let requests through a rule that asks for a login; None where verify isn't let in."""

    def add(self, answer: Answer) -> bool:
        """Count one answer, or the lack of an answer. Returns whether it is as expected."""
        is_right = self._add(answer)
        self.right += is_right
        return is_right

    def _add(self, answer: Answer) -> bool:
        reply = answer.reply
        self.requests += 1
        if reply.status is None:
            self.errors[reply.error] += 1
            self.details.setdefault(reply.error, reply.detail)
            return False
        self.latencies.append(answer.latency)
        self.seen[reply.status] += 1
        self.protocols[reply.http] += 1
        _count(self.versions, reply.version)
        asked = self.check.action.authentication
        if answer.shot.anonymous and asked:
            wrong = unasked(asked, answer.shot, reply, self.provider)
            _count(self.mismatches, wrong)
            return not wrong
        wrong = mismatch(self.check.action, answer.shot, reply, self.statuses, self.ports)
        if not wrong and answer.shot.http == "2" and reply.http != "2":
            wrong = f"HTTP/{reply.http} was spoken instead of HTTP/2"
        wrong = wrong or missing_header(self.check.headers, reply)
        if self.check.transforms and not wrong:
            found = untransformed(self.check.transforms, answer.shot, reply)
            self.untold |= found is None
            wrong = found or ""
        if not wrong and self.login and asked and not unasked(asked, answer.shot, reply, self.provider):
            wrong = f"status {reply.status}: not let in, though logged in"
        if reply.tls and len(self.tls) < _LISTED:
            self.tls[reply.tls] += 1
        _count(self.mismatches, wrong)
        if self.check.action.forward:
            _count(self.targets, reply.target)
            if reply.target is None and not wrong:
                self.unattributed += 1
                self.names = self.names or reply.seen
        return not wrong

    @property
    def answers(self) -> int:
        """The answers of targets, as far as answers say that they are."""
        return self.targets.total() + self.unattributed

    @property
    def is_given_up(self) -> bool:
        """Whether sending more requests is in vain."""
        return not self.seen and sum(self.errors.values()) >= GIVE_UP


def _count(counter: Counter[str], text: str | None) -> None:
    if text:
        counter[text if text in counter or len(counter) < _MOST else "(others)"] += 1


def judge(
    tally: Tally, groups: Mapping[str, Group], after: Mapping[str, Group], how: Attribution, sigmas: float
) -> Finding:
    """The finding of a check from its answers. `groups` and `after`: the target groups before and after, by ARN."""
    check, notes = tally.check, list(tally.notes)
    problems = [
        f"{count} of {tally.requests} requests: {ERRORS[kind]}"
        + (f" ({detail})" if (detail := tally.details[kind]) else "")
        for kind, count in sorted(tally.errors.items())
    ]
    if not tally.requests:
        problems.append("the time was over before a request was sent; give it a longer --duration")
    if tally.is_given_up:
        problems.append(f"given up after {tally.requests} requests without an answer")
    problems += [*_mismatches(tally), *tally.problems]
    notes += [item.warning for item in tally.tls if item.warning]
    if tally.untold:
        notes.append(
            "answers don't tell the path or host that reached the target (JSON fields path and headers.host), so what the transforms do isn't checked"
        )
    if tally.websocket:
        problems.append(f"WebSocket: {tally.websocket}")
    usual = check.action.forward and not check.action.authentication and tally.statuses == ANSWERED
    if usual and tally.seen and min(tally.seen) >= 400 and max(tally.seen) < 500:
        notes.append("no answer but 4xx: verify --path asks for another path, --expect-status 200-399 refuses these")
    shares: tuple[TargetShare, ...] = ()
    unknown: dict[str, int] = {}
    if check.action.forward:
        forwarded = {str(item.target_group): groups[str(item.target_group)] for item in check.action.forward}
        asked = {str(item.target_group) for item in check.action.forward if item.weight}
        for arn, group in forwarded.items():
            (problems if arn in asked else notes).extend(_on_health(group, after.get(arn, group)))
        problems += [
            f"{group.name} has no registered targets"
            for arn, group in forwarded.items()
            if arn in asked and not group.targets
        ]
        notes += [
            f"not there, so the others get its share: {', '.join(group.absent)}; see {advised('plan')}"
            for group in forwarded.values()
            if group.absent and group.targets
        ]
        shares, more = _shares(tally, forwarded, after, how, sigmas)
        both = [*forwarded.values(), *(after[arn] for arn in forwarded if arn in after)]
        known = {target.id for group in both for target in group.targets}
        unknown = {name: count for name, count in sorted(tally.targets.items()) if name not in known}
        problems += _on_strangers(unknown, how) + _on_shares(shares, tally)
        notes += more
        if tally.unattributed and how.how != "none":
            (problems if how.is_required else notes).append(_on_unattributed(tally, how, shares))
    return Finding(
        check=check,
        state="failed" if problems else "ok",
        problems=tuple(problems),
        notes=tuple(notes),
        requests=tally.requests,
        right=tally.right - (tally.unattributed if how.is_required else 0),
        statuses=dict(sorted(tally.seen.items())),
        errors=dict(sorted(tally.errors.items())),
        latency=percentiles(tally.latencies),
        protocols=dict(sorted(tally.protocols.items())),
        versions=dict(sorted(tally.versions.items())),
        shares=shares,
        unknown=unknown,
        unattributed=tally.unattributed if how.how != "none" else 0,
        websocket=tally.websocket,
        tls=tuple(sorted(tally.tls)),
    )


def _mismatches(tally: Tally) -> list[str]:
    rows = sorted(tally.mismatches.items(), key=lambda row: (-row[1], row[0]))
    texts = [f"{count} of {tally.requests} requests: {text}" for text, count in rows[:_LISTED]]
    rest = sum(count for _, count in rows[_LISTED:])
    return texts + ([f"{rest} more with other answers than expected"] if rest else [])


def _on_health(group: Group, after: Group) -> list[str]:
    """Remarks on a group's health: targets that were unhealthy before and after are named. During a roll some targets join and some
    leave."""
    if group.fails_open and after.fails_open:
        return [f"no target of {group.name} is healthy, so all of them get requests (fail-open)"]
    if group.targets and all(item.reason.startswith("Target.NotInUse") for item in (*group.targets, *after.targets)):
        return [f"{group.name} gets no requests: nothing that listens forwards to it now; see {advised('plan')}"]
    still = {(item.id, item.port) for item in after.targets if item.health not in _FINE}
    unhealthy = [item.label for item in group.targets if item.health not in _FINE and (item.id, item.port) in still]
    who = "the others get all" if group.serving or after.serving else "nobody gets its"
    return [f"{', '.join(unhealthy)} of {group.name}: not healthy, so {who} requests"] if unhealthy else []


def _shares(
    tally: Tally, groups: Mapping[str, Group], after: Mapping[str, Group], how: Attribution, sigmas: float
) -> tuple[tuple[TargetShare, ...], list[str]]:
    """Each target's share, and why some shares can't be judged. An answer without attribution may be any target's."""
    expected = expected_shares(tally.check.action.forward, groups)
    attributed, total = tally.targets.total(), tally.answers
    moved = any(
        {item.id for item in group.serving} != {item.id for item in after[arn].serving}
        for arn, group in groups.items()
        if arn in after
    )
    notes = [
        f"{group.name}: {group.uneven}, so its targets' shares aren't judged"
        for group in groups.values()
        if group.uneven
    ]
    if how.how == "none":
        notes.append("answers aren't attributed to targets (--attribute none), so shares aren't judged")
    elif moved:
        notes.append("targets' health changed meanwhile, so shares aren't judged; verify again")
    elif attributed and total < ENOUGH:
        notes.append(f"{total} requests are too few to judge shares; {ENOUGH} are enough")
    places: dict[str, list[tuple[Group, AnsweringTarget]]] = {}
    for group in groups.values():
        for target in group.targets:
            places.setdefault(target.id, []).append((group, target))
    rows = []
    for name, found in places.items():
        (group, target), count, share = found[0], tally.targets[name], expected.get(name, 0.0)
        judged = attributed > 0 and not moved and total >= ENOUGH
        # in a group that needn't share equally only the sum is known: one target's share only if that target has it all
        judged = judged and not any(item.uneven and len(item.serving) > 1 for item, _ in found)
        within = judge_share(count, count + tally.unattributed, total, share, sigmas) if judged else None
        part = count / total if total and (count or not tally.unattributed) else None
        rows.append(TargetShare(target, group.name, count, part, share, within))
    return tuple(rows), notes


def _on_unattributed(tally: Tally, how: Attribution, shares: Iterable[TargetShare]) -> str:
    """What answers lack that don't name their target, and what follows."""
    instead = f"they have {', '.join(tally.names)}" if tally.names else "their bodies aren't JSON objects"
    then = "choose --attribute" if min(tally.seen, default=0) < 400 else "ask for another path with --path"
    if how.is_required:
        return (
            f"{tally.unattributed} answers have no {how}, so it is unknown which target sent them ({instead}); {then}"
        )
    judged = [row.within is not None for row in shares]
    so = "" if all(judged) else ", so some shares aren't judged" if any(judged) else ", so shares aren't judged"
    return f"not attributed: {tally.unattributed} of {tally.answers} answers have no {how} ({instead}){so}; {then}"


def _on_strangers(unknown: Mapping[str, int], how: Attribution) -> list[str]:
    if not unknown:
        return []
    names = ", ".join(list(unknown)[:_LISTED]) + (", …" if len(unknown) > _LISTED else "")
    return [
        f"{sum(unknown.values())} answers come from targets that aren't registered: {names}; who sends them, or is {how} the wrong --attribute?"
    ]


def _on_shares(shares: Iterable[TargetShare], tally: Tally) -> list[str]:
    problems = []
    total = tally.answers
    for row in shares:
        if row.within is False and row.expected is not None:
            most = (row.answers + tally.unattributed) / total
            is_less = most < row.expected
            got = f"at most {most:.1%}" if is_less and tally.unattributed else f"{row.answers / total:.1%}"
            other = f"answered {got} of the requests instead of {row.expected:.1%}: more than chance"
            problems.append(
                f"{row.target.label} {other if most else f'never answered; {row.expected:.1%} was expected'}"
            )
    return problems


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50, p95 and p99 in ms (nearest rank); empty for no values."""
    ordered = sorted(seconds)
    ranks = (50, 95, 99) if ordered else ()
    return {f"p{rank}": round(ordered[math.ceil(rank * len(ordered) / 100) - 1] * 1000, 1) for rank in ranks}
