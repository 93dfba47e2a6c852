"""Tells which part of a run each step belongs to: what is new is prepared, requests move, and what serves no more goes."""

from dataclasses import replace

from alb_reconcile.engine.plan.graph import Graph
from alb_reconcile.model.plan import Act, Step


def set_acts(graph: Graph) -> None:
    """Give each step its act. An update that only takes members away has it already.

    Where nothing answers yet, listeners, rules and names are prepared like all else; where all goes, all is cleaned up.
    """
    serves = any(item.state.action_field for item in graph.decisions.live)
    for key, step in graph.steps.items():
        if graph.destroy or (step.takes_away and not _moves(step)):
            act = Act.CLEAN_UP
        else:
            act = Act.MOVE if serves and _moves(step) else Act.PREPARE
        graph.steps[key] = replace(step, act=act)


def _moves(step: Step) -> bool:
    """Whether a step decides who answers requests: of an update, whether one of the fields that do so changes."""
    if step.attaches or (step.takes_away and step.action == "update"):
        return False
    state = step.state or (step.observed.state if step.observed else None)
    if state is None:
        return step.carried_by == "rule"  # the order of rules
    fields = {change.path.partition(".")[0] for change in step.changes}
    return bool(state.moves) and (step.action != "update" or not state.moves.isdisjoint(fields))

