"""Explains, for a round of `sync` that finds nothing of a stack, what this host's history says of it."""

import re
from dataclasses import replace
from pathlib import Path

from alb_reconcile.engine.stack import StackPlan
from alb_reconcile.journal.files import RecordError
from alb_reconcile.journal.history import describe_elsewhere, runs_of
from alb_reconcile.journal.past import UNRECORDED_END, find_past
from alb_reconcile.journal.record import RunRecord
from alb_reconcile.model.advice import advised
from alb_reconcile.model.resource import Desired
from alb_reconcile.model.service import Balancer
from alb_reconcile.sync.selection import NEVER_APPLIED
from alb_reconcile.sync.stack import Ending


def explain(ending: Ending, planned: StackPlan, folder: Path, seen: RunRecord, began: str) -> Ending:
    """The ending of a run that has found nothing of a stack: an outage where the stack was there, unless it was destroyed or forgotten
    on this host. `seen` is the run's record so far."""
    selection = ending.selection
    balancers = [item for item in planned.plan.desired.values() if isinstance(item.state, Balancer)]
    is_like_nothing = set(selection.withheld.values()) == {NEVER_APPLIED}
    try:
        past = find_past(runs_of(folder, seen), began)
        elsewhere = describe_elsewhere(folder, seen.stack, seen.region, seen.account, seen.place)
    except RecordError:
        return ending
    if past is None:
        return replace(ending, selection=selection.because(elsewhere and f"; {elsewhere}"))
    if past.how == "forgotten":
        adopt = f"{advised('adopt', seen.spec_file)} takes it back"
        text = f", as it was forgotten on this host {past.text}: remove the spec from this folder; {adopt}"
        return replace(ending, selection=selection.because(text))
    if past.how == "destroyed":
        text = f", as it was destroyed on this host {past.text}: run apply once, or remove the spec"
        return replace(ending, selection=selection.because(text)) if is_like_nothing else ending
    if not is_like_nothing and (not balancers or any(_answers(item, planned) for item in balancers)):
        return replace(ending, selection=selection.adding("; if somebody ran forget, remove the spec from this folder"))
    anew = ", which gives load balancers other DNS names" if balancers else ""
    text = f", and {UNRECORDED_END}: run apply once{anew}, or remove the spec"
    told = replace(selection.because(text if is_like_nothing else ""), causes=dict.fromkeys(selection.causes, "drift"))
    return replace(ending, selection=told, problems=(*ending.problems, past.text))


def _answers(balancer: Desired, planned: StackPlan) -> bool:
    """Whether a load balancer of this name exists, whichever stack owns it now."""
    name = getattr(balancer.state, "name", None)
    derived = re.compile(re.escape(balancer.tags["Name"]) + "(-[0-9a-f]{8})?")
    names = (taken for kind, taken in planned.discovery.taken if kind == balancer.address.kind)
    return any(taken == name or derived.fullmatch(taken) for taken in names)
