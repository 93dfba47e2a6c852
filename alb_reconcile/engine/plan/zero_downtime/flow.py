"""Orders steps by two rules: a new resource is ready before requests come to it, and requests have left a resource before it is deleted.

1. A step that prepares something or moves requests follows all steps that prepare the resources to which its resource newly leads. No
   single target is needed: the number of targets counts (`capacity`), and a forward comes after the registrations of its new targets,
   unless these wait for the forward.
2. A step that takes a resource away follows every step that reduces the leads to that resource (`request_paths`). Unless the step ends a
   target, it also follows all steps that prepare the service which led there and that move the service's requests. A target that is
   replaced waits only for its successor. Of the steps that move requests, those that take requests over come before those that give them
   up; a rehearsal finds the rest of their order (`engine.plan.rehearsal`).

Two sorts of steps follow neither rule: those that give up a slot, which only one resource can have (`slot_order`), and those that
`max_unavailable` allows (`rollout`). The order without which AWS would refuse steps is in `order`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property

from alb_reconcile.engine.plan.graph import MAKING, Graph
from alb_reconcile.engine.plan.request_paths import Leads, as_desired, as_it_is
from alb_reconcile.engine.plan.zero_downtime.forwards import dropped, shares_of
from alb_reconcile.engine.plan.zero_downtime.rollout import STOPS
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address
from alb_reconcile.model.decisions import named_ids
from alb_reconcile.model.plan import Act, Need, Step
from alb_reconcile.model.resource import Properties
from alb_reconcile.model.service import Balancer, Server


class Flow:
    """Orders a plan's steps by the leads that they add or remove."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @cached_property
    def now(self) -> Leads:
        """The leads between resources as they are now."""
        return as_it_is(self.graph.decisions)

    @cached_property
    def then(self) -> Leads:
        """The leads between resources as desired."""
        return as_desired(self.graph.decisions)

    def add(self) -> None:
        """Add the edges of both rules. Assumes acts, the edges that AWS needs, and `Graph.early`."""
        for key, step in self.graph.steps.items():
            if step.part_of is not None and key not in self.graph.early:
                self.graph.after(key, step.part_of)
        for key, step in self.graph.steps.items():
            if key in self.graph.early:
                continue
            if self._is_asked(key, step):
                self._after_what_is_new(key, step)
            for other in self.led_there(step):
                self.graph.after(key, other, Need.ORDER)
            if step.act is Act.CLEAN_UP:
                self._after_the_service_has_moved(key, step)

    def keep_targets(self) -> None:
        """Let targets that follow neither rule leave as late as they can. Assumes all other edges."""
        for key in sorted(self.graph.early):
            step = self.graph.steps[key]
            for other in sorted(self.led_there(step)) if step.observed and step.observed.state.is_target else ():
                self.graph.rather_after(key, other)

    def let_go_last(self) -> None:
        """Let steps that give requests up follow the steps that take them over, on the same load balancer. Assumes all other edges.

        So a group that one listener or rule takes over from another always has a forward, and resources are changed or deleted after new
        ones are made.
        """
        for key, step in self.graph.steps.items():
            if step.act is Act.MOVE and step.action in ("update", "delete") and key not in self.graph.early:
                takers = self._takers(step)
                for other in takers - self.graph.behind([key]) - {key} if takers else ():
                    self.graph.after(key, other, Need.ORDER)

    def _takers(self, step: Step) -> set[str]:
        found = step.observed
        losses = self.losses(step) if step.action == "update" or found is None else self.now.referred(found.state)
        if not losses:
            return set()
        keys = {key for name in losses for key in self._gaining.get(name, ())}
        own, steps = self._entrances(self.now, str(step.id)), self.graph.steps
        near = {key for key, other in self._moving.items() if not own or not other or own & other}
        made = {key for key in near if steps[key].action != "update"}
        is_name = step.action == "delete" and found is not None and not found.state.action_field
        alike = (name for name, state in self.then.states.items() if is_name and state.kind == step.address.kind)
        # the successor of a deleted name, made now or by an earlier run, may need the changes of its listener first
        keys |= near if any(not own or own & self._entrances(self.then, name) for name in alike) else made
        return keys

    @cached_property
    def _gaining(self) -> dict[str, list[str]]:
        """The steps that move requests to a resource, by its name."""
        found: dict[str, list[str]] = defaultdict(list)
        for key in self._moving:
            for name in self.gains(self.graph.steps[key]):
                found[name].append(key)
        return found

    @cached_property
    def _moving(self) -> dict[str, set[str]]:
        """The steps that make or change an answer to requests, with the load balancers through which the requests come."""
        return {
            key: self._entrances(self.then, str(step.address if step.action in ("create", "replace") else step.id))
            for key, step in self.graph.steps.items()
            if step.act is Act.MOVE and step.action in MAKING and not step.takes_away
        }

    def _entrances(self, leads: Leads, name: str) -> set[str]:
        """The addresses of the load balancers through which requests come to a resource, or to which it leads; empty if one of them isn't
        in the spec, since any other may take its place."""
        near = leads.above([name]) | leads.referred(leads.states.get(name))
        fronts = {other for other in near if isinstance(leads.states.get(other), Balancer)}
        addresses = {self._addresses.get(other, other) for other in fronts}
        return addresses if all(Address.parse(text) in self.graph.decisions.desired for text in addresses) else set()

    @cached_property
    def _addresses(self) -> dict[str, str]:
        return {item.id: str(item.address) for item in self.graph.decisions.live}

    def _is_asked(self, key: str, step: Step) -> bool:
        """Whether requests come to a step's resource already, or as soon as it is made. They don't come to a new name, or to a resource
        that is only prepared."""
        if step.action != "create" or step.act is not Act.MOVE:
            return step.action == "update" or step.act is not Act.PREPARE
        return bool(self.then.upper.get(str(step.address))) or key in dict(self.graph.rooms)

    def gains(self, step: Step) -> set[str]:
        """The names to which a step's resource newly leads after the step, or leads more requests."""
        if step.action not in MAKING or step.takes_away:
            return set()
        before = step.observed if step.action == "update" else None
        had = self.now.own[before.id] if before else set()
        name = str(step.address if step.action != "update" else step.id)
        is_known = self.then.states.get(name) is step.state
        leads = self.then.own[name] if is_known else self.then.referred(step.state)
        return leads - had | _larger(before.state if before else None, step.state)

    def losses(self, step: Step) -> set[str]:
        """The names to which a step's resource no longer leads after the step, or leads fewer requests; for a deleted resource, its own
        name."""
        if step.action == "delete":
            return {str(step.id)}
        if step.action != "update" or step.act is Act.PREPARE or step.observed is None:
            return set()
        before, after = step.observed.state, step.state
        lost = self.now.referred(before) - self.then.referred(after) | _larger(after, before)
        return lost or ({step.observed.id} if step.takes_away and not step.observed.state.action_field else set())

    @cached_property
    def _dropped(self) -> set[str]:
        return {group for _, group in dropped(self.graph)}

    @cached_property
    def _makers(self) -> dict[str, list[str]]:
        """The steps that prepare a resource or move its requests, by its name."""
        found: dict[str, list[str]] = defaultdict(list)
        for key, step in self.graph.steps.items():
            if step.act is not Act.CLEAN_UP and not _only_tags(step):
                found[str(step.address) if step.action in ("create", "replace") else str(step.id)].append(key)
        return found

    @cached_property
    def _losers(self) -> dict[str, list[str]]:
        """The steps that remove a lead to a resource, or reduce its requests, by its name."""
        found: dict[str, list[str]] = defaultdict(list)
        for key, step in self.graph.steps.items():
            for name in self.losses(step):
                found[name].append(key)
        for known, key in self.graph.implied.items():
            found[known].append(key)
        return found

    @cached_property
    def _narrowing(self) -> set[str]:
        """The steps that only remove members of collections."""
        return {key for key, step in self.graph.steps.items() if step.action == "update" and step.takes_away}

    def _losing(self, names: Iterable[str]) -> set[str]:
        """The steps that remove leads to these resources, or reduce their requests."""
        return {key for name in names for key in self._losers.get(name, ())}

    def _after_what_is_new(self, key: str, step: Step) -> None:
        gains = self.gains(step)
        if step.action in ("create", "replace"):
            gains = gains | self.then.own[str(step.address)]
        needed: list[tuple[str, tuple[str, ...]]] = [(name, MAKING) for name in self.then.needed(gains)]
        # clients reach the other listener of a redirect by DNS names, which may be new
        by_name = self.then.above(gains & self.then.listeners)
        needed += [(name, ("create",)) for name in by_name if not self.then.upper.get(name)]
        for name, actions in needed:
            for other in self._makers.get(name, ()):
                if self.graph.steps[other].action in actions:
                    self.graph.after(key, other, Need.ORDER)

    def led_there(self, step: Step) -> set[str]:
        """The steps that reduce the leads to the resource that a step takes away. For an update that moves requests, only other updates
        count."""
        found, steps = step.observed, self.graph.steps
        if found is None or (found.state.is_target and self._has_heir(step)):
            return set()
        keys = self._losing(self.now.above([found.id]))
        if step.act is Act.CLEAN_UP and step.action == "delete":
            if found.state.is_target:  # a removed rule or route may have been for the target
                keys -= self._narrowing
        elif step.act is Act.CLEAN_UP:
            # it also waits for leads to its removed members, and to targets that it leads to, which may still be in use
            near = self.now.above(self.losses(step))
            if not found.state.action_field:
                near |= self.now.targets(self.now.behind([found.id]))
            keys |= self._losing(near) - self._narrowing
        elif step.act is Act.MOVE and step.action in ("update", "delete"):
            keys = {
                other
                for other in keys
                if steps[other].act is Act.MOVE and step.action in ("delete", steps[other].action)
            }
        else:
            return set()
        wholes = set(named_ids(found.state))  # a part is deleted before its whole
        return {
            other
            for other in keys - {step.key} - self.graph.early
            if not (steps[other].action == "delete" and steps[other].id in wholes)
        }

    def _has_heir(self, step: Step) -> bool:
        """Whether the step that ends a target waits only for its successor or, for an instance, for its deregistrations."""
        if step.action != "delete" or step.plays(Server):
            return step.action == "delete"
        group = step.observed.parent_id if step.observed else None
        return step.part_of is not None and group not in self.graph.deleted and group not in self._dropped

    def _after_the_service_has_moved(self, key: str, step: Step) -> None:
        found = step.observed
        if found is None or (found.state.is_target and step.action == "delete"):
            return
        doors = {name for name in self.now.above([found.id]) if self._is_door(self.now.states.get(name))}
        scope = self.now.behind(doors) | self.then.behind(self._in_their_place(doors)) if doors else set()
        named = set(named_ids(found.state))  # a VPC's range is removed after the subnet in it
        for other in (other for name in scope - named for other in self._makers.get(name, ())):
            if STOPS in self.graph.steps[other].effects:  # a restart does both, in turns (`rollout`)
                self.graph.rather_after(key, other)
            else:
                self.graph.after(key, other, Need.ORDER)

    def _is_door(self, state: Properties | None) -> bool:
        return state is not None and (bool(state.moves) or isinstance(state, Balancer))

    def _in_their_place(self, known: Iterable[str]) -> Iterator[str]:
        """The names of the desired resources at the addresses of these resources."""
        for name in known:
            address = Address.parse(self._addresses[name])
            yield str(self.graph.decisions.ids.get(address, address))


def _only_tags(step: Step) -> bool:
    """Whether a step changes only tags and protection, which requests don't notice."""
    return (
        step.action == "update"
        and bool(step.changes)
        and all(change.top in ("tags", "prevent_destroy") for change in step.changes)
    )


def _larger(before: Properties | None, after: Properties | None) -> set[str]:
    """The groups that get a larger share of the requests after a change of action than before it, by name."""
    had = {str(group): share for group, share in shares_of(action_of(before).forward).items()}
    return {
        str(group) for group, share in shares_of(action_of(after).forward).items() if share > had.get(str(group), 0)
    }
