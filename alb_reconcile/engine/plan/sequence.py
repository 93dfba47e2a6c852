"""Orders steps by two rules: what is new is ready before requests come, and requests have gone before anything goes.

1. A step that prepares or moves requests follows all that prepares what it newly leads to.
2. A step that takes something away follows all that led requests there and leads fewer, and, unless it ends a target, all that prepares
   or moves requests in the service that led there.

Both only say in which order steps come; what AWS refuses otherwise is in `order`. What has to go first, since only one can be there,
and what pays for a gap by `max_unavailable`, follows neither (`early`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from alb_reconcile.engine.plan.graph import MAKING, Graph, Strength
from alb_reconcile.engine.plan.decide import named_ids
from alb_reconcile.engine.plan.leads import Leads, as_desired, as_it_is
from alb_reconcile.engine.plan.zero_downtime.forwards import forward_before, shares_of
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.plan import Act, Step
from alb_reconcile.model.resource import Properties, bind


def put_in_sequence(graph: Graph, early: Collection[str]) -> None:
    """Add the edges of both rules. Assumes acts, and the edges that AWS asks for."""
    if not graph.destroy:
        _Sequence(graph, early).add()


class _Sequence:
    def __init__(self, graph: Graph, early: Collection[str]) -> None:
        self.graph, self.early = graph, early
        self.now, self.then = as_it_is(graph.decisions), as_desired(graph.decisions)
        self.names = {key: _names_of(graph, step) for key, step in graph.steps.items()}
        self.adding: dict[str, list[str]] = defaultdict(list)
        """By name, the steps that prepare a resource or move its requests."""
        self.losing: dict[str, list[str]] = defaultdict(list)
        """By id, the steps after which a resource leads to less."""
        for key, step in graph.steps.items():
            if step.act is not Act.CLEAN_UP and (step.action in MAKING or step.act is Act.MOVE):
                for name in self.names[key]:
                    self.adding[name].append(key)
            if step.id and (step.act is not Act.PREPARE) and step.observed is not None:
                self.losing[step.id].append(key)
        for known, key in graph.implied.items():
            self.losing[known].append(key)

    def add(self) -> None:
        for key, step in list(self.graph.steps.items()):
            if key in self.early:
                continue
            if step.action in MAKING and not step.takes_away:
                self._after_what_is_new(key, step)
            if step.act is Act.CLEAN_UP or (step.act is Act.MOVE and step.action in ("update", "delete") and not step.attaches):
                self._after_what_led_there(key, step)

    def _after_what_is_new(self, key: str, step: Step) -> None:
        """The first rule."""
        if step.action != "update" and step.act is Act.PREPARE:
            return  # nobody is answered by what is made now; what it refers to is there before in any case
        new = self._newly(step)
        for name in self.then.under(new):
            for other in self.adding.get(name, ()):
                if other != key and self.graph.steps[other].action in MAKING and not self._leads_to(other, key):
                    self.graph.after(key, other, Strength.ORDERED)

    def _newly(self, step: Step) -> set[str]:
        """What a step's resource leads to, and didn't before, or leads more requests to."""
        state = bind(step.state, self.graph.decisions.ids) if step.state else None
        before = step.observed.state if step.action == "update" and step.observed else None
        new = self.then.referred(state) - self.now.referred(before)
        if state is not None and state.action_field:
            new |= set(_more(action_of(before), action_of(state)))
            (name, *_) = self.names[step.key] or [""]
            if step.action == "create" or redirect_of(state) != redirect_of(before):
                new |= {other for other in self.then.below.get(name, ()) if other.startswith("listener.") or ":listener/" in other}
            if step.action == "create":
                new |= {other for other in self.then.below.get(name, ())} - set(self.then.states) if False else set()
        return new

    def _leads_to(self, other: str, key: str) -> bool:
        """Whether another step's resource leads to this one's, so that it comes after it by the same rule."""
        here = set(self.names[key])
        return bool(here) and not here.isdisjoint(self.then.under(self._newly(self.graph.steps[other]))) and other > key

    def _after_what_led_there(self, key: str, step: Step) -> None:
        """The second rule."""
        found = step.observed
        if found is None or (found.state.is_target and (step.part_of or found.state.kind == "instance")):
            return
        above = self.now.above([found.id])
        above_members = self.now.above(self._members_lost(step)) if step.action == "update" and step.act is Act.CLEAN_UP else set()
        for name in above | above_members:
            for other in self.losing.get(name, ()):
                if other != key and other not in self.early and self._leads_less(other, found.id, step, is_direct=name in above):
                    self.graph.after(key, other, Strength.ORDERED)
        if step.act is not Act.CLEAN_UP or found.state.is_target:
            return
        doors = {name for name in above if self.now.states[name].moves or self.now.states[name].kind == "load_balancer"}
        if not doors:
            return
        scope = self.now.behind(doors) | self.then.behind(self._then_names(doors))
        for name in scope:
            for other in self.adding.get(name, ()):
                if other != key:
                    self.graph.after(key, other, Strength.ORDERED)

    def _members_lost(self, step: Step) -> set[str]:
        found = step.observed
        assert found is not None
        return self.now.referred(found.state) - self.then.referred(bind(step.state, self.graph.decisions.ids) if step.state else None)

    def _leads_less(self, other: str, known: str, step: Step, *, is_direct: bool) -> bool:
        """Whether another step's resource leads there no more after it, or fewer requests."""
        later = self.graph.steps[other]
        if later.act is Act.CLEAN_UP and later.action == "delete" and step.observed and later.id in named_ids(step.observed.state):
            return False  # a part goes before its whole
        if later.action == "delete" or other in self.graph.implied.values():
            return True
        if later.observed is None or later.observed.id == known:
            return False
        if not is_direct and later.act is not Act.MOVE:
            return False
        before, after = later.observed.state, bind(later.state, self.graph.decisions.ids) if later.state else None
        lost = self.now.referred(before) - self.then.referred(after)
        if before.action_field:
            lost |= set(_more(action_of(after), action_of(before)))
            if redirect_of(before) != redirect_of(after):
                lost |= {name for name in self.now.below.get(later.observed.id, ()) if ":listener/" in name}
        return known in self.now.behind(lost) or (not is_direct and not self._members_lost(step).isdisjoint(self.now.behind(lost)))

    def _then_names(self, known: Iterable[str]) -> Iterator[str]:
        """What is in the place of these, when all is as desired."""
        addresses = {item.id: item.address for item in self.graph.decisions.live}
        for name in known:
            yield name
            address = addresses.get(name)
            if address is not None and self.graph.decisions.ids.get(address) != name:
                yield str(self.graph.decisions.ids.get(address, address))


def redirect_of(state: Properties | None) -> tuple[tuple[str, str], ...]:
    return action_of(state).redirect


def _names_of(graph: Graph, step: Step) -> list[str]:
    """The names of the resource that a step is about: as it is found, or as it is to be made."""
    if step.action in ("create", "replace"):
        return [str(step.address)]
    return [str(step.id)] if step.id else []


def _more(before: object, after: object) -> Iterator[str]:
    """The groups to which an action gives a larger share than another one, by name."""
    had = {str(group): share for group, share in shares_of(before.forward).items()}
    for group, share in shares_of(after.forward).items():
        if share > had.get(str(group), 0):
            yield str(group)
