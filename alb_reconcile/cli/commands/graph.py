"""`graph`: a picture of a stack, coloured by what the plan does to it."""

from dataclasses import dataclass

from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.pictures.compose import make_scene
from alb_reconcile.cli.pictures.mermaid import scene_mermaid
from alb_reconcile.cli.pictures.page import scene_page
from alb_reconcile.cli.pictures.svg import scene_svg
from alb_reconcile.cli.render.console import emit
from alb_reconcile.cli.render.output import Output
from alb_reconcile.cli.session.connection import ConnectionOptions, with_stack
from alb_reconcile.cli.session.specs import LoadingOptions, load_stacks
from alb_reconcile.engine.stack import Options, StackPlan, plan_stack
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import ExitCode


@dataclass(frozen=True)
class GraphOptions:
    spec: str | None
    destroy: bool
    output: Output
    loading: LoadingOptions
    connection: ConnectionOptions


_FORMS = {"svg": scene_svg, "html": scene_page, "mermaid": scene_mermaid}


def graph(options: GraphOptions) -> ExitCode:
    """Draw the stack as it will be, with what goes still in it."""
    (stack,) = load_stacks([options.spec] if options.spec else [], options.loading)
    planned = with_stack(options.connection, stack.target(destroy=options.destroy), _look)
    emit(_FORMS[options.output.format](make_scene(planned)))
    return ExitCode.OK


async def _look(aws: Aws, target: DesiredStack) -> StackPlan:
    return await plan_stack(aws, target, Options(check=False))
