"""Limits the damage that a plan, or a part of one, may do: by protections, the policy's limits, and the user's word."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, NamedTuple

from alb_reconcile.engine.plan.auth_bypass import find_bypasses
from alb_reconcile.engine.plan.cascade_deletes import lineage
from alb_reconcile.engine.plan.duplicates import find_twins
from alb_reconcile.engine.plan.empty_groups import find_forsaken
from alb_reconcile.engine.plan.gaps import tell_gap
from alb_reconcile.engine.plan.lost_answers import find_closures
from alb_reconcile.engine.plan.rehearsal import find_gaps
from alb_reconcile.engine.plan.renames import find_successors, told_with
from alb_reconcile.engine.safety import shift_of
from alb_reconcile.kinds import load_kinds
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import keeps_out, unsupported
from alb_reconcile.model.actions import is_opaque
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.policy import Policy
from alb_reconcile.model.resource import Observed, Properties, each_of
from alb_reconcile.model.service import Balancer, Member, Server, StaticAddress
from alb_reconcile.model.steps import Deregister, TakeOver

_SMALL_STACK: Final = 5
_MOST_NAMES: Final = 10
_UNCOUNTED: Final = "limits don't count targets and security group rules, which are part of their group"
"""Why a limit's count differs from the plan's: a roll also replaces each instance's targets, which is no additional damage."""
_ROLLED: Final = "nor {} replaced behind the load balancer, where as many targets stay healthy"
"""The same, for replacements that are no damage."""
ANY_TIME: Final = "any-time"
"""The word in `allow` that overrides a policy's windows."""


def find_refusal(plan: Plan, target: DesiredStack, allow: Mapping[str, int], now: datetime) -> str:
    """The damage that the user hasn't allowed; empty if there is none. A destroy is meant to delete the whole stack, so its damage isn't
    counted.

    `allow` holds how much of each kind of damage the user allows (`--allow`), `now` is aware.
    """
    policy = target.policy
    problems = [] if target.destroy else [*find_successors(plan.steps, plan.ids)]
    if plan.steps and not problems:
        problems = [text for _, text in (*find_forsaken(plan), *_forbidden(plan, policy, allow))]
        problems += _closed(policy, allow, now) if target.destroy else _exceeded(plan, plan.steps, policy, allow, now)
    return told_with(plan.renames, "\n".join(dict.fromkeys(problems))) if problems else ""


def find_forbidden(plan: Plan, policy: Policy, allow: Mapping[str, int] | None = None) -> dict[str, str]:
    """Why a step must not be done at all, by step key: because of the resources that it deletes, or that AWS deletes with them.

    A step must not delete a resource that has `prevent_destroy`, that belongs to another stack, or that others forward to, nor one of the
    kinds in `never_delete` (unless `allow` has enough of `never-delete`); nor cause a loss for a listener or rule (`find_losses`).
    """
    reasons: dict[str, str] = {}
    for victim, text in _forbidden(plan, policy, allow or {}):
        for step in victim.steps:
            reasons.setdefault(step.key, text)
    for keys, text in find_forsaken(plan):
        reasons |= dict.fromkeys(keys, text)
    return find_losses(plan) | reasons


def find_losses(plan: Plan) -> dict[str, str]:
    """What a listener or rule would lose by a step, by step key: settings that a spec can't express, authentication of users, or the
    answers to its requests."""
    return {key: text for _, text, keys in _losses(plan, plan.steps) for key in keys}


def _losses(plan: Plan, steps: tuple[Step, ...]) -> Iterator[tuple[str, str, Collection[str]]]:
    """The word that allows a loss, the loss, and the keys of the steps that cause it."""
    for word, found in (
        ("remove-unsupported", _unsupported_lost(steps)),
        ("remove-authentication", _authentication_lost(steps, plan.live)),
    ):
        yield from ((word, text, (key,)) for key, text in found.items())
    for closure in find_closures(plan, steps):
        yield "empty-target-group" if closure.is_emptied else "close", closure.text, closure.keys
    for step in steps:
        for proof in shift_of(step).proofs:
            if proof.rejected:
                text = f"the new version in {proof.group} {proof.rejected}; apply another version, or the old one"
                yield "retry", text, (step.key,)
    part = replace(plan, steps=steps)  # a part of a safe plan needn't be safe
    yield from (("gap", tell_gap(part, gap), (gap.begin.key,)) for gap in find_gaps(part))


def _unsupported_lost(steps: Iterable[Step]) -> dict[str, str]:
    return {
        step.key: f"{step.address} would lose what no spec can say: {', '.join(item.partition(' ')[0] for item in lost)}"
        for step in steps
        if step.action in ("update", "replace") and step.observed and (lost := _lost_words(step, step.observed.state))
    }


def _lost_words(step: Step, found: Properties) -> list[str]:
    """The settings that a spec can't express and that a step loses: for an update, those in changed fields that the update doesn't repeat,
    or can't repeat, since AWS doesn't show them; for a replacement, all of them."""
    after = unsupported(step.state) if step.state and step.action == "update" else {}
    touched = step.tops
    return [
        text
        for name, texts in unsupported(found).items()
        if name in touched or step.action == "replace"
        for text in texts
        if text not in after.get(name, ()) or is_opaque(text)
    ]


def _authentication_lost(steps: tuple[Step, ...], live: Iterable[Observed]) -> dict[str, str]:
    """The authentication that is lost, by step key. A deletion counts too, since other rules then get the requests; but not if the listener
    or load balancer is deleted as well."""
    going = {step.id for step in steps if step.action in ("delete", "replace")}
    reasons = find_bypasses(steps, live)
    for step in steps:
        found = step.observed
        if found is None:
            continue
        if step.action in ("update", "replace") and (lost := _lets_in(found.state, step.state)):
            reasons[step.key] = f"{step.address} would let in whoever {', '.join(lost)} keeps out now"
        elif step.action != "delete" or step.part_of is not None or found.parent_id in going:
            continue
        elif found.parent_id and (checks := list(keeps_out(found.state).values())):
            reasons[step.key] = f"{step.address} would be deleted, and with it the check by {', '.join(checks)}"
    return reasons


def _lets_in(found: Properties, wanted: Properties | None) -> list[str]:
    after = keeps_out(wanted)
    return [word for name, word in keeps_out(found).items() if name not in after]


def find_damage(plan: Plan, steps: Iterable[Step], policy: Policy, allow: Mapping[str, int], now: datetime) -> str:
    """How those steps of a plan exceed the limits, or the policy's windows, and how to allow that once; empty if they don't.

    `allow` holds how much of each kind of damage the user allows (`--allow`), `now` is aware.
    """
    return "\n".join(dict.fromkeys(_exceeded(plan, tuple(steps), policy, allow, now)))


def _exceeded(
    plan: Plan, steps: tuple[Step, ...], policy: Policy, allow: Mapping[str, int], now: datetime
) -> Iterator[str]:
    if not steps:
        return
    damage = _measure(plan, steps)
    excess = list(_excess(damage, policy, allow))
    yield from excess
    if excess:
        yield from _victims_named(plan, damage)
        yield from _twins_named(plan, damage)
    if excess and plan.total > len(damage.own):
        yield _UNCOUNTED
        if damage.rolled:
            yield _ROLLED.format(_number(len(damage.rolled), "resource"))
    yield from _lost(plan, steps, allow)
    yield from _closed(policy, allow, now)


def check_windows(policy: Policy, allow: Mapping[str, int], now: datetime) -> None:
    """Refuse a run that would begin outside of the policy's windows. Raises RefusedError."""
    if closed := "".join(_closed(policy, allow, now)):
        raise RefusedError(closed)


def describe_closure(policy: Policy, now: datetime) -> str:
    """The message that a run may not begin now, and when it may; empty if it may."""
    if policy.is_open(now):
        return ""
    opening = policy.next_opening(now)
    until = (
        f"until {policy.show(opening)}" if opening else "at any time: no moment of the next two weeks is in all of them"
    )
    return f"it is outside the policy's windows ({policy.show(now)}); changes are refused {until}"


def _lost(plan: Plan, steps: tuple[Step, ...], allow: Mapping[str, int]) -> Iterator[str]:
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for word, text, _ in _losses(plan, steps):
        found[word][text] = None
    for word, texts in found.items():
        if len(texts) > allow.get(word, 0):
            way_out = "or allow" if word in ("gap", "retry") else "allow"  # their texts say how to avoid it
            yield from (f"{text}; {way_out} it once with --allow {word}={len(texts)}" for text in texts)


def _closed(policy: Policy, allow: Mapping[str, int], now: datetime) -> Iterator[str]:
    text = "" if allow.get(ANY_TIME) else describe_closure(policy, now)
    if text:
        yield f"{text}; allow it once with --allow {ANY_TIME}"


class _Victim(NamedTuple):
    """A resource that is deleted, and the steps that delete it: its own, and those of resources with which AWS deletes it."""

    found: Observed
    steps: tuple[Step, ...]

    def tell(self) -> str:
        """What becomes of the resource, in words."""
        own = [step for step in self.steps if step.id == self.found.id]
        if own:
            return "would be replaced" if any(step.action == "replace" for step in own) else "would be deleted"
        return f"would be deleted with {self.steps[0].address}"


def _victims(plan: Plan, steps: Iterable[Step]) -> Iterator[_Victim]:
    """All resources that those steps delete, with those that AWS deletes together with them and that have no step of their own."""
    takers: dict[str, list[Step]] = defaultdict(list)
    for step in steps:
        if step.action in ("delete", "replace") and step.id:
            takers[step.id].append(step)
    known = {item.id: item for item in plan.live} if takers else {}
    for item in known.values():
        found = [step for text in lineage(item, known) for step in takers.get(text, ())]
        if found and not item.is_leaving:
            yield _Victim(item, tuple(found))


def _forbidden(plan: Plan, policy: Policy, allow: Mapping[str, int]) -> list[tuple[_Victim, str]]:
    """The resources that must not be deleted, each with the reason."""
    refused, spared = [], []
    for victim in _victims(plan, plan.steps):
        found = victim.found
        name = f"{found.address} ({found.id})"
        if found.owner not in (None, plan.stack):
            text = (
                f"{name} belongs to the stack {found.owner} and would be deleted with its parent; remove it there first"
            )
            refused.append((victim, text))
            continue
        wanted = plan.desired.get(found.address) if found.owner else None
        declared = wanted is not None and wanted.lifecycle.prevent_destroy is True
        if declared or found.tags.get(tags.PREVENT_DESTROY) == "true":
            text = f"{name} is protected by prevent_destroy; apply prevent_destroy: false first"
            refused.append((victim, text))
        elif found.address.kind in policy.never_delete:
            spared.append((victim, f"{name} {victim.tell()}, and never_delete names {found.address.kind}"))
    if len(spared) > allow.get("never-delete", 0):
        refused += [
            (victim, f"{text}; allow it once with --allow never-delete={len(spared)}") for victim, text in spared
        ]
    return refused


@dataclass(frozen=True)
class _Damage:
    """The damage by steps to the stack's `own` resources with tags, as ids; a replaced resource doesn't count as deleted, and one that is
    `rolled` counts as no damage."""

    balancers: int
    """How many load balancers are replaced; `entrances` are those that are deleted."""
    entrances: set[str]
    addresses: int
    twins: dict[str, str]
    """Why a deleted resource, one of several at its address, can't be a leftover of a replacement, by id."""
    deleted: set[str]
    replaced: set[str]
    rolled: set[str]
    touched: set[str]
    own: set[str]


def _measure(plan: Plan, steps: tuple[Step, ...]) -> _Damage:
    own = {item.id for item in plan.live if item.state.service and item.owner == plan.stack}
    goes_anew = {step.id for step in plan.steps if step.action == "replace"}
    replaced = {
        step.id
        for step in steps
        if step.action == "replace" and step.observed and step.observed.state.service and step.id
    }
    twins = find_twins(plan.stack, plan.live, plan.desired)
    deleted = {
        item.id
        for item, _ in _victims(plan, steps)
        if item.state.service
        and item.id not in replaced
        # a leftover of an interrupted replacement isn't damage: the spec doesn't want it
        and (item.owner != plan.stack or item.address not in plan.desired or item.id in goes_anew or item.id in twins)
    }
    twins = {known: text for known, text in twins.items() if known in deleted and known not in goes_anew}
    updated = {
        _entry(plan, step, own)
        for step in steps
        # a deregistration changes the target's group, unless a successor takes the target's place
        if step.action == "update"
        or (step.action == "delete" and step.part_of is None and step.observed and not step.observed.state.service)
    }
    # a load balancer counts as replaced if others take over from it, unless an earlier run has made its successor
    taken = {
        step.id
        for step in steps
        if step.detail(TakeOver).groups
        and step.part_of is None
        and step.plays(Balancer)
        and plan.ids.get(step.address, step.id) == step.id
    }
    balancers = {item.id for item in plan.live if isinstance(item.state, Balancer)}
    renewed = sum(step.plays(Balancer) and step.action == "replace" for step in steps) + len(taken)
    followed = {step.id for step in steps if step.detail(TakeOver).groups} - twins.keys()
    gone = balancers.intersection(deleted) - followed
    addresses = sum(isinstance(item.state, StaticAddress) and item.id in deleted | replaced for item in plan.live)
    rolled = replaced & _rolled(plan)
    lost = replaced - rolled
    return _Damage(renewed, gone, addresses, twins, deleted, lost, rolled, own & (lost | deleted | updated), own)


def _rolled(plan: Plan) -> set[str]:
    """The ids of the servers that are replaced while their target groups keep all healthy targets (`Deregister.keeps_all`), or stand by with
    them, and whose successors are in the same groups. A server without targets, or with data that goes with it, isn't one of them."""
    kept = {step.id for step in plan.steps if step.detail(Deregister).keeps_all}
    standby = {group for step in plan.steps for group, _ in shift_of(step).standby}
    kept |= {item.id for item, state in each_of(plan.live, Member) if str(state.target_group) in standby}
    places = {(state.target_group, state.target) for _, state in each_of(plan.desired.values(), Member)}
    groups: dict[str, set[bool]] = defaultdict(set)
    for item, state in each_of(plan.live, Member):
        if not item.is_leaving:
            place = (plan.names.get(str(state.target_group)), plan.names.get(str(state.target)))
            groups[str(state.target)].add(item.id in kept and place in places)
    return {
        found.id
        for step in plan.steps
        if step.action == "replace" and step.plays(Server) and (found := step.observed)
        if groups[found.id] == {True} and not load_kinds()[step.address.kind].loses_data(found)
    }


def find_upheaval(plan: Plan) -> str:
    """A warning that much of a stack is changed and some of it deleted, as if by another stack's spec; empty if a limit says so already, or
    it isn't so."""
    damage = _measure(plan, plan.steps)
    touched, total = len(damage.touched | damage.rolled), len(damage.own)
    if total < _SMALL_STACK or not damage.deleted or touched * 3 <= total or _is_most(damage):
        return ""
    return f"{touched} of the stack's {total} resources would be changed, replaced or deleted: make sure that this is its spec"


def _is_most(damage: _Damage) -> bool:
    """Whether more than half of a stack is deleted or replaced, which the user must allow."""
    return len(damage.own) >= _SMALL_STACK and len(damage.deleted | damage.replaced) * 2 > len(damage.own)


def _victims_named(plan: Plan, damage: _Damage) -> Iterator[str]:
    addresses = {item.id: str(item.address) for item in plan.live}
    for word, ids in (("deleted", damage.deleted), ("replaced", damage.replaced)):
        names = sorted(addresses[key] for key in ids if key in addresses)
        if names:
            more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
            yield f"would be {word}: {', '.join(names[:_MOST_NAMES])}{more}"


def _twins_named(plan: Plan, damage: _Damage) -> Iterator[str]:
    for item in plan.live:
        if item.id in damage.twins:
            kept = plan.ids.get(item.address, "another one")
            yield f"{item.address} ({item.id}) would be deleted as a duplicate beside {kept}: {damage.twins[item.id]}"


def _entry(plan: Plan, step: Step, own: set[str]) -> str | None:
    """The id of the resource that a step touches; for a member without tags, such as a security group's rules, of the entry that carries
    it."""
    if step.id in own:
        return step.id
    if step.desired is not None and step.desired.carrier is not None:
        return plan.ids.get(step.desired.carrier)
    return (step.observed.parent_id if step.observed else None) or step.id


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 'es' if noun.endswith('s') else 's'}"


def _excess(damage: _Damage, policy: Policy, allow: Mapping[str, int]) -> Iterator[str]:
    """The limits that are exceeded, in words."""
    cut_short = "" if damage.entrances <= damage.twins.keys() else " (is the spec cut short?)"
    gone = f"deleted, and the DNS name with it, so that nobody is served by it{cut_short}"
    for word, count, noun, what in (
        (
            "replace-load-balancer",
            damage.balancers,
            "load balancer",
            "replaced, with another DNS name and a gap until clients follow it",
        ),
        ("delete-load-balancer", len(damage.entrances), "load balancer", gone),
        ("delete-elastic-ip", damage.addresses, "Elastic IP address", "given back to AWS, for others to get"),
    ):
        if count > allow.get(word, 0):
            yield f"{_number(count, noun)} would be {what}; allow it with --allow {word}={count}"
    deleted, replaced, touched, total = map(len, (damage.deleted, damage.replaced, damage.touched, damage.own))
    counts = {"delete": deleted, "replace": replaced}
    twins = len(damage.twins.keys() - damage.entrances)
    if twins and deleted > allow.get("delete", 0):
        what = f"{_number(deleted, 'resource')} would be deleted, {twins} of which may never have been the stack's"
        yield f"{what}; allow it once with --allow delete={deleted}"
    exceeded = [action for action, count in counts.items() if count > allow.get(action, 0)]
    if _is_most(damage) and exceeded:
        words = " ".join(f"--allow {action}={counts[action]}" for action in exceeded)
        both = [_number(count, noun) for count, noun in ((deleted, "deletion"), (replaced, "replacement")) if count]
        text = f"{' and '.join(both)} are more than half of the stack's {total} resources"
        yield f"{text}; if that is intended, allow it with {words}"
    for action, noun, limit in (
        ("delete", "deletions", policy.max_deletions),
        ("replace", "replacements", policy.max_replacements),
    ):
        if limit is not None and counts[action] > max(limit, allow.get(action, 0)):
            word = f"--allow {action}={counts[action]}"
            yield f"max_{noun} is {limit}, and the plan has {counts[action]}; allow it once with {word}"
    share = policy.max_touched
    if share is not None and touched * 100 > share * total and touched > allow.get("touch", 0):
        yield (
            f"max_touched is {share}%, and the plan changes, replaces or deletes {touched} of the stack's {total} "
            f"resources; allow it once with --allow touch={touched}"
        )
