"""Plans what applying a spec would do."""

from collections.abc import Mapping

from alb_reconcile.api.allowances import check_allowed
from alb_reconcile.api.runs import on_stack
from alb_reconcile.api.stacks import Stack
from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.plan.limits import ANY_TIME
from alb_reconcile.engine.stack import Options, StackPlan, plan_stack
from alb_reconcile.kinds.shared_reader import SharedReads
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Plan


class PlanRefusedError(RefusedError):
    """A plan that `apply` would refuse; the text says why and how to allow it, `plan` is what would be done."""

    def __init__(self, why: str, plan: Plan) -> None:
        super().__init__(why)
        self.plan = plan


def plan(stack: Stack, *, allow: Mapping[str, int] | None = None, destroy: bool = False) -> Plan:
    """Read a stack, and plan what `apply` would do; with `destroy` what `destroy` would do. Changes nothing.

    `allow` is as for `--allow`: how much of what is refused otherwise may be done, such as `{"delete": 3}`. AWS's actions: the
    *Read* and *Looked at beforehand* columns of the permissions by kind, and sts:GetCallerIdentity.

    Raises PlanRefusedError, with the plan, for what `apply` would refuse; RefusedError for a wrong account or a look-up without a
    result; PlanError, AwsError, UnreachableError.
    """
    check_allowed(allow or {})
    planned, refusal = on_stack(stack, lambda aws, target: make(aws, target, allow or {}), destroy=destroy)
    if refusal is not None:
        raise PlanRefusedError(str(refusal), planned.plan)
    return planned.plan


async def make(
    aws: Aws, target: DesiredStack, allow: Mapping[str, int], shared: SharedReads | None = None
) -> tuple[StackPlan, RefusedError | None]:
    """Plan a stack over a connection. Returns the plan with what was read for it, and why it would be refused. `shared` has reads for
    several stacks."""
    options = Options(allow={**allow, ANY_TIME: 1}, check=not target.destroy)  # looking is allowed outside of windows
    try:
        return await plan_stack(aws, target, options, shared=shared), None
    except RefusedError as error:  # what is refused without a plan is refused again
        return await plan_stack(aws, target, Options(check=False), shared=shared), error
