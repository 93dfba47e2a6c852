"""The command `graph`: draws a stack's resources, coloured by what the plan does to each of them."""

from dataclasses import dataclass

from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.pictures.mermaid import stack_mermaid
from alb_reconcile.cli.render.console import emit
from alb_reconcile.cli.session.connection import ConnectionOptions, with_stack
from alb_reconcile.cli.session.specs import LoadingOptions, load_stacks
from alb_reconcile.engine.stack import Options, StackPlan, plan_stack
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import ExitCode


@dataclass(frozen=True)
class GraphOptions:
    spec: str | None
    destroy: bool
    loading: LoadingOptions
    connection: ConnectionOptions


def graph(options: GraphOptions) -> ExitCode:
    """Draw the stack as it will be, together with resources that the plan deletes."""
    (stack,) = load_stacks([options.spec] if options.spec else [], options.loading)
    planned = with_stack(options.connection, stack.target(destroy=options.destroy), _look)
    emit(stack_mermaid(planned))
    return ExitCode.OK


async def _look(aws: Aws, target: DesiredStack) -> StackPlan:
    return await plan_stack(aws, target, Options(check=False))
