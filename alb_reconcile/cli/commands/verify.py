"""The command `verify`, and the check after `apply --verify`: send real requests through each listener and rule of a stack."""

from collections.abc import Mapping
from dataclasses import dataclass

from alb_reconcile.api.verifying import Way, check, complete
from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.render.output import Output
from alb_reconcile.cli.render.style import Style
from alb_reconcile.cli.render.verify import verify_json, verify_text
from alb_reconcile.cli.session.connection import ConnectionOptions, with_stack
from alb_reconcile.cli.session.specs import LoadingOptions, load_stacks
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import ExitCode
from alb_reconcile.verification.client import Trust
from alb_reconcile.verification.session import Report
from alb_reconcile.verification.site import Sending, VerifySettings


@dataclass(frozen=True)
class VerifyOptions:
    specs: tuple[str, ...]
    sending: Sending
    attribute: str | None
    expect_status: str | None
    trust: Trust
    connect_to: Mapping[int, tuple[str, int]]
    output: Output
    loading: LoadingOptions
    connection: ConnectionOptions


def verify(options: VerifyOptions) -> ExitCode:
    """Prove that the load balancers balance. Exits with 1 unless everything answered as expected."""
    settings = complete(options.sending, options.attribute, options.expect_status)
    way = Way(options.connection.sandbox, options.trust, options.connect_to)
    good = True
    for stack in load_stacks(options.specs, options.loading):
        target = stack.target()
        report = with_stack(options.connection, target, check, way, settings, complain)
        good = good and report.ok
        options.output.show(report, verify_text, verify_json)
    return ExitCode.OK if good else ExitCode.FAILED


async def check_applied(aws: Aws, target: DesiredStack, style: Style, *, sandbox: bool) -> Report:
    """Verify at the end of `apply --verify`, with default options."""
    report = await check(aws, target, Way(sandbox), VerifySettings(), complain)
    emit("")
    emit(verify_text(report, style))
    return report
