"""Finds the requests that a plan turns from one listener or rule to another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from alb_reconcile.engine.answers import Answers
from alb_reconcile.engine.doors import find_doors
from alb_reconcile.engine.plan.graph import Graph
from alb_reconcile.engine.world import World
from alb_reconcile.model.plan import Act, Step
from alb_reconcile.model.resource import Observed
from alb_reconcile.model.service import Balancer, Router


class Turns:
    """Knows which listeners and rules answer requests now that another listener or rule is going to answer."""

    def __init__(self, graph: Graph) -> None:
        self._givers: dict[str, dict[str, Observed]] = defaultdict(dict)
        self._gives_up = set(graph.deleted) | {
            str(step.id) for step in graph.forwarding("update") if not step.attaches and step.act is Act.MOVE
        }
        is_served = any(item.state.action_field for item in graph.decisions.live)
        if not is_served or not graph.forwarding("create", "update", "delete"):
            return
        before = World(graph.decisions.live)
        moves = (step for step in graph.steps.values() if step.sets_order or step.plays(Balancer, Router))
        last = sorted(moves, key=lambda step: (not step.attaches, step.takes_away))
        now, then = list(find_doors(before)), list(find_doors(before.after(last)))
        answers = Answers(now, then, going=graph.deleted)
        after = answers.find(then)
        for asked, door in answers.find(now).items():
            if asked in after and after[asked].item.id != door.item.id:
                self._givers[after[asked].item.id][door.item.id] = door.item

    def givers(self, step: Step) -> Collection[Observed]:
        """The listeners and rules from which a step's listener or rule takes requests over."""
        return self._givers.get(str(step.id if step.action == "update" else step.address), {}).values()

    def leaving(self, step: Step) -> list[Observed]:
        """The listeners and rules among `givers` that are deleted or changed."""
        return [found for found in self.givers(step) if found.id in self._gives_up]
