"""Which instances one call launches."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from alb_reconcile.engine.plan.graph import Graph
from alb_reconcile.kinds.instance import LaunchedWith
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.plan import Step, plain
from alb_reconcile.model.steps import Launch
from alb_reconcile.model.tags import launch_tags
from alb_reconcile.model.text import digest

LAUNCHED: Final = 50
"""Instances of one call, so that what AWS refuses or loses stays small."""
_LONGEST: Final = 256
"""Characters of a tag's value (EC2)."""
_RECENT: Final = timedelta(minutes=10)
"""So long after a launch a read may still show a part of it only; AWS doesn't take requests of clocks that differ by more."""


def launch_together(graph: Graph, now: datetime) -> None:
    """Tell the instances that are alike, go to one subnet and wait for the same steps that one call launches them.

    Assumes all edges. Guarantees that who launches with whom follows from the plan alone, so that the same plan, made
    again after a kill by reads that don't show the launch yet, makes the same call, with the same token.
    """
    unseen = _unseen(graph.discovery, now)
    alike: dict[Hashable, list[Step]] = defaultdict(list)
    for step in graph.of_kind("instance", "create", "replace"):
        missing = tuple(token for token, members in unseen.items() if step.address in members)
        if missing:  # it may be there already
            graph.specify(step.key, replace(step.detail(Launch), missing=missing))
        elif step.desired is not None and step.desired.lifecycle.group:
            alike[_likeness(graph, step)].append(step)
    for steps in alike.values():
        for part in _parts(graph.decisions.stack, steps):
            together = tuple((step.desired, step.detail(Launch).generation) for step in part if step.desired)
            for step in part if len(part) > 1 else ():
                graph.specify(step.key, replace(step.detail(Launch), together=together))


def _unseen(discovery: Discovery, now: datetime) -> dict[str, set[object]]:
    """The launches of the last minutes of which AWS shows a part, by client token, with those that they were for."""
    launches: dict[str, set[object]] = {}
    shown: Counter[str] = Counter()
    for item in discovery.resources:
        launch = item.details
        if isinstance(launch, LaunchedWith) and launch.members:
            shown[launch.token] += 1
            if datetime.fromisoformat(item.created) > now - _RECENT:
                launches[launch.token] = set(launch.members)
    return {token: members for token, members in launches.items() if shown[token] < len(members)}


def _likeness(graph: Graph, step: Step) -> Hashable:
    wanted = step.desired
    assert wanted is not None  # noqa: S101 (for mypy: the caller looks)
    own = {key: value for key, value in wanted.tags.items() if key != "Name"}
    needs = sorted(graph.edges.get(step.key, ()))
    return digest([plain(step.state), wanted.lifecycle.group, own, wanted.spec_digest, needs, step.pause, step.phase])


def _parts(stack: str, steps: list[Step]) -> Iterator[list[Step]]:
    """In as few calls as their common tag has room for."""
    part: list[Step] = []
    for step in steps:
        entries = [item.desired for item in (*part, step) if item.desired]
        if part and (len(part) == LAUNCHED or max(map(len, launch_tags(entries, stack).values())) > _LONGEST):
            yield part
            part = []
        part.append(step)
    yield part
