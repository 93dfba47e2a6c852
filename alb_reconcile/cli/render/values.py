"""Renders values of the Python API as the commands print them, as text and as JSON."""

from alb_reconcile.api.status import Status
from alb_reconcile.cli.render.plan import render_plan
from alb_reconcile.cli.render.status import StatusView, status_json, status_text
from alb_reconcile.cli.render.style import Style
from alb_reconcile.model.plan import Plan
from alb_reconcile.model.secrets import hide, hide_document
from alb_reconcile.verification.session import Report


def to_text(value: Plan | Status | Report) -> str:
    """A plan, a status or a report as `plan`, `status` and `verify` print it, without colours."""
    plain = Style(colored=False)
    if isinstance(value, Plan):
        return hide(render_plan(value, plain))
    if isinstance(value, Status):
        return hide(status_text(_view(value), plain))
    from alb_reconcile.cli.render.verify import verify_text

    return hide(verify_text(value, plain))


def to_json(value: Plan | Status | Report) -> str:
    """A plan, a status or a report as `--format json` prints it: documented, versioned, in stable order, without secrets."""
    if isinstance(value, Plan):
        return value.to_json()
    if isinstance(value, Status):
        return hide_document(status_json(_view(value)))
    from alb_reconcile.cli.render.verify import verify_json

    return hide_document(verify_json(value))


def _view(status: Status) -> StatusView:
    return StatusView(status.stack, status.region, status.discovery, status.local, status.standing)
