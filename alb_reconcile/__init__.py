"""An HTTP service behind an AWS Application Load Balancer, from one YAML file and without a state file.

What is here is public, and documented in docs/python.md; everything below is not. Nothing is imported before it is used.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from alb_reconcile.api.applying import Result as Result
    from alb_reconcile.api.applying import UnfinishedError as UnfinishedError
    from alb_reconcile.api.applying import apply as apply
    from alb_reconcile.api.applying import destroy as destroy
    from alb_reconcile.api.planning import PlanRefusedError as PlanRefusedError
    from alb_reconcile.api.planning import plan as plan
    from alb_reconcile.api.session import Session as Session
    from alb_reconcile.api.stacks import Stack as Stack
    from alb_reconcile.api.stacks import load as load
    from alb_reconcile.api.stacks import validate as validate
    from alb_reconcile.api.status import Status as Status
    from alb_reconcile.api.status import discover as discover
    from alb_reconcile.api.verifying import verify as verify
    from alb_reconcile.cli.render.values import to_json as to_json
    from alb_reconcile.cli.render.values import to_text as to_text
    from alb_reconcile.engine.apply import Event as Event
    from alb_reconcile.engine.apply import Outcome as Outcome
    from alb_reconcile.journal.files import RecordError as RecordError
    from alb_reconcile.model.address import Address as Address
    from alb_reconcile.model.errors import AwsError as AwsError
    from alb_reconcile.model.errors import HeldError as HeldError
    from alb_reconcile.model.errors import InterruptedRun as InterruptedRun
    from alb_reconcile.model.errors import LeaseError as LeaseError
    from alb_reconcile.model.errors import LeaseLostError as LeaseLostError
    from alb_reconcile.model.errors import PlanError as PlanError
    from alb_reconcile.model.errors import Problem as Problem
    from alb_reconcile.model.errors import ReconcileError as ReconcileError
    from alb_reconcile.model.errors import RefusedError as RefusedError
    from alb_reconcile.model.errors import SpecError as SpecError
    from alb_reconcile.model.errors import UnreachableError as UnreachableError
    from alb_reconcile.model.errors import UsageError as UsageError
    from alb_reconcile.model.plan import Plan as Plan
    from alb_reconcile.model.plan import Step as Step
    from alb_reconcile.model.resource import Change as Change
    from alb_reconcile.model.resource import Observed as Observed
    from alb_reconcile.model.version import __version__ as __version__
    from alb_reconcile.sandbox.client import SandboxError as SandboxError
    from alb_reconcile.verification.judge import Finding as Finding
    from alb_reconcile.verification.session import Report as Report
    from alb_reconcile.verification.site import VerifyError as VerifyError

_HOMES = {
    "api.applying": ("Result", "UnfinishedError", "apply", "destroy"),
    "api.planning": ("PlanRefusedError", "plan"),
    "api.session": ("Session",),
    "api.stacks": ("Stack", "load", "validate"),
    "api.status": ("Status", "discover"),
    "api.verifying": ("verify",),
    "cli.render.values": ("to_json", "to_text"),
    "engine.apply": ("Event", "Outcome"),
    "journal.files": ("RecordError",),
    "model.address": ("Address",),
    "model.errors": (
        "AwsError", "HeldError", "InterruptedRun", "LeaseError", "LeaseLostError", "PlanError", "Problem", "ReconcileError",
        "RefusedError", "SpecError", "UnreachableError", "UsageError",
    ),
    "model.plan": ("Plan", "Step"),
    "model.resource": ("Change", "Observed"),
    "model.version": ("__version__",),
    "sandbox.client": ("SandboxError",),
    "verification.judge": ("Finding",),
    "verification.session": ("Report",),
    "verification.site": ("VerifyError",),
}  # fmt: skip
_PLACES = {name: home for home, names in _HOMES.items() for name in names}

if not TYPE_CHECKING:  # a type checker is to see that a name is wrong
    __all__ = sorted(set(_PLACES) - {"__version__"})

    def __getattr__(name):
        """What is asked for by name, from where it is."""
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        found = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
        globals()[name] = found
        return found

    def __dir__():
        return [*globals(), *_PLACES]
