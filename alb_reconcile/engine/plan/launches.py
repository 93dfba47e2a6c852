"""Decides which instances one call launches, and how they are named."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from alb_reconcile.engine.plan.graph import Graph
from alb_reconcile.engine.plan.pending_launches import Unseen
from alb_reconcile.model import tags
from alb_reconcile.model.plan import Step, plain
from alb_reconcile.model.resource import Change
from alb_reconcile.model.service import Server
from alb_reconcile.model.steps import Launch
from alb_reconcile.model.text import digest

_MOST: Final = 50
"""The most instances of one call, so that a refused call, or a lost answer, concerns few."""
_LONGEST: Final = 256
"""The most characters of a tag's value (EC2)."""


def launch_together(graph: Graph, unseen: Iterable[Unseen]) -> None:
    """Let one call launch the instances that are alike, go to one subnet and wait for the same steps.

    Assumes all edges. Guarantees that the plan alone decides which instances are launched together. So if a run is killed,
    and the next run makes the same plan from reads that don't show the launch yet, the next run makes the same call, with the same token.
    """
    alike: dict[Hashable, list[Step]] = defaultdict(list)
    for step in graph.of(Server, "create", "replace"):
        missing = tuple(launch.token for launch in unseen if step.address in launch.members)
        if missing:
            graph.specify(step.key, replace(step.detail(Launch), missing=missing))
        if step.desired is not None and step.desired.lifecycle.group:
            alike[_likeness(graph, step), missing].append(graph.steps[step.key])
    for steps in alike.values():
        for part in _parts(graph.decisions.stack, steps):
            together = tuple((step.desired, step.detail(Launch).generation) for step in part if step.desired)
            for step in part if len(part) > 1 else ():
                graph.specify(step.key, replace(step.detail(Launch), together=together))


def tell_names(graph: Graph) -> None:
    """Show, as a change, the Name that the replacement of an instance gets if the instance was adopted and kept its Name. Assumes
    `launch_together`."""
    for key, step in graph.steps.items():
        wanted, found = step.desired, step.observed
        if step.action != "replace" or wanted is None or found is None or found.tags.get(tags.NAME) != tags.KEPT:
            continue
        is_shared = bool(step.detail(Launch).together) and "name" not in wanted.declared
        name = tags.shared_name(wanted, graph.decisions.stack) if is_shared else wanted.tags["Name"]
        before = found.tags.get("Name")
        if before and before != name and all(change.path != "tags.Name" for change in step.changes):
            graph.steps[key] = replace(step, changes=(*step.changes, Change("tags.Name", before, name)))


def _likeness(graph: Graph, step: Step) -> Hashable:
    wanted = step.desired
    assert wanted is not None  # noqa: S101 (for mypy: the caller looks)
    own = {key: value for key, value in wanted.tags.items() if key != "Name"}
    needs = sorted(graph.edges.get(step.key, ()))
    return digest([plain(step.state), wanted.lifecycle.group, own, wanted.spec_digest, needs, step.pause, step.act])


def _parts(stack: str, steps: list[Step]) -> Iterator[list[Step]]:
    """The steps, divided into as few calls as the length of their common tag allows."""
    part: list[Step] = []
    for step in steps:
        entries = [item.desired for item in (*part, step) if item.desired]
        if part and (len(part) == _MOST or max(map(len, tags.launch_tags(entries, stack).values())) > _LONGEST):
            yield part
            part = []
        part.append(step)
    yield part
