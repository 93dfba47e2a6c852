"""Finds the steps of a plan that make sense only together with others: which further steps wait when a step is withheld."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Set
from typing import NamedTuple

from alb_reconcile.model.plan import Need, Plan, Step
from alb_reconcile.model.service import Associations, DnsName, Frontend, Member, Routes, RoutingRule, Server
from alb_reconcile.model.steps import HandOver, SetPriorities
from alb_reconcile.sync.severity import weigh


class _Waiting(NamedTuple):
    """The steps that wait, by key; ids of resources that wait to be deleted; instance groups that aren't rolled; by key the withheld step
    that needs a step."""

    keys: Collection[str]
    going: set[str | None]
    rolling: set[str | None]
    heirs: Mapping[str, Step]


def _adds(step: Step) -> bool:
    """Whether an update adds something, and doesn't only remove what others have added."""
    if step.action != "update" or step.takes_away:
        return False
    return any(
        not set(change.after).issubset(change.before or ()) if isinstance(change.after, tuple) else True
        for change in step.changes
        if not change.path.startswith("tags.")
    )


class Dependents:
    """A plan's steps, and how they depend on each other."""

    def __init__(self, plan: Plan, causes: Mapping[str, str], ignored: Set[str] = frozenset()) -> None:
        self._plan = plan
        self._causes, self._ignored = causes, ignored
        self._steps = {step.key: step for step in plan.steps}
        self._pairs = {step.part_of: step.key for step in plan.steps if step.part_of is not None}
        self._users: dict[str, list[str]] = defaultdict(list)
        for step in plan.steps:
            for key in step.needs.keys() - step.needing(Need.ORDER):
                self._users[key].append(step.key)

    def entangled(self, withheld: Mapping[str, str]) -> dict[str, str]:
        """The withheld steps and all steps that must wait because of them, with reasons by key."""
        out = dict(withheld)
        while more := dict(self._more(out.keys() | self._ignored)):
            out |= more
        return out

    def _more(self, out: Collection[str]) -> Iterator[tuple[str, str]]:
        waiting = _Waiting(
            out,
            {self._steps[key].id for key in out if self._steps[key].action == "delete"},
            {
                step.desired.lifecycle.group
                for step in map(self._steps.__getitem__, out)
                if step.action == "replace" and step.plays(Server) and step.desired is not None
            },
            self._heirs(out),
        )
        for step in self._plan.steps:
            if step.key not in out and (reason := self._reason(step, waiting)):
                yield step.key, reason

    def _heirs(self, out: Collection[str]) -> dict[str, Step]:
        """For each step that a withheld step needs, directly or not, the withheld step, by key."""
        heirs: dict[str, Step] = {}
        for step in reversed(self._plan.steps):
            heir = step if step.key in out else heirs.get(step.key)
            if heir is not None:
                heirs |= dict.fromkeys(step.needs.keys() - step.needing(Need.ORDER), heir)
        return heirs

    def _reason(self, step: Step, waiting: _Waiting) -> str:
        out = waiting.keys
        other = step.part_of or self._pairs.get(step.key)
        if other is not None and other in out:
            return f"{self._steps[other].address} is replaced as a whole or not at all"
        missing = next((key for key in step.needs if key in out and self._is_needed(step, key)), None)
        if missing is not None:
            return f"it depends on {self._steps[missing].address}, which isn't done"
        if waiting.going.intersection(arn for arn, _ in step.detail(SetPriorities).priorities):
            return "it would move a rule that requires manual action"
        # a step that takes something away, or attaches a group, may do so only for the sake of a step that is withheld
        heir, weight = waiting.heirs.get(step.key), weigh(step, self._plan.names)
        if heir is not None and (weight in ("delete", "replace") or self._only_for(step, out)):
            return f"it only makes way for {heir.address}, which isn't done"
        if step.action == "create":
            return self._why_not_made(step, waiting)
        return self._keeps_a_subnet(step, out)

    def _only_for(self, step: Step, out: Collection[str]) -> bool:
        """Whether a step attaches a group only for steps that wait."""
        return step.attaches and all(key in out for key in self._users[step.key])

    def _why_not_made(self, step: Step, waiting: _Waiting) -> str:
        """Why a resource isn't created: all its consumers wait, or it is an instance and its group still has instances that wait to be
        replaced."""
        users = self._users[step.key]
        if step.state and step.state.is_for_others and users and all(key in waiting.keys for key in users):
            return f"only {self._steps[users[0]].address} would use it, which isn't done"
        joins = [key for key in users if isinstance(self._steps[key].state, Member)]
        missed = [key for key in joins if self._causes.get(key) == "drift" and key not in self._ignored]
        if missed and step.plays(Server) and all(key in waiting.keys for key in joins):
            return f"it would serve nobody: {self._steps[missed[0]].address} isn't done"
        group = step.desired.lifecycle.group if step.desired and step.plays(Server) else None
        return "the group's other instances are still to be replaced" if group and group in waiting.rolling else ""

    def _is_needed(self, step: Step, key: str) -> bool:
        """Whether a step can't, or mustn't, be done without an earlier step.

        Mere order counts where the earlier step makes a resource, or where the cause of the step is the spec.
        """
        earlier = self._steps[key]
        if step.needs[key] is not Need.ORDER:
            return True
        if (
            step.action == "update"
            and step.plays(RoutingRule, Frontend, DnsName)
            and not (step.attaches or step.takes_away)
        ):
            return self._causes.get(step.key) == "spec"  # an answer that was changed by hand is corrected at once
        if (
            step.action == "update" and step.takes_away
        ):  # removing a zone cuts its targets off; an open port is closed at once
            is_of_zones = any(change.path == "subnets" for change in step.changes)
            return is_of_zones or self._causes.get(step.key) == "spec"
        if step.action == "delete" and step.plays(Member):
            return self._causes.get(step.key) == "spec"  # the target stays as long as requests go to it
        if step.action == "create" and step.plays(Server) and _adds(earlier):
            return True  # the instance's user data runs once, and needs the way out
        return earlier.action in ("create", "replace")

    def _keeps_a_subnet(self, step: Step, out: Collection[str]) -> str:
        """Why a route table keeps a subnet: the route table that is to take the subnet waits; else empty."""
        if not step.plays(Routes) or step.observed is None:
            return ""
        held = set(step.observed.detail(Associations).by_subnet) & step.detail(HandOver).moving
        for key in out:
            taker = self._steps[key]
            claims = taker.state.subnets if isinstance(taker.state, Routes) else ()
            if taker.key != step.key and held.intersection(map(str, claims or ())):
                return f"{taker.address} is to take over its subnets, and isn't done"
        return ""
