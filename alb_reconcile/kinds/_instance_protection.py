"""What protects instances from being terminated, and from being stopped (EC2 ModifyInstanceAttribute DisableApiTermination,
DisableApiStop)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.errors import ignoring

STOP: Final = "disable_api_stop"
ATTRIBUTES: Final = ("disable_api_termination", STOP)


async def is_on(aws: Aws, instance: str, attribute: str) -> bool:
    """Whether such an attribute (disableApiStop) is on: DescribeInstanceAttribute."""
    with ignoring("InvalidInstanceID*"):  # gone meanwhile
        answer = await aws.call("ec2", "describe_instance_attribute", InstanceId=instance, Attribute=attribute)
        return bool(answer.get(attribute[:1].upper() + attribute[1:], {}).get("Value", False))
    return False


@asynccontextmanager
async def stoppable(run: Run, wanted: Any, instance: str) -> AsyncIterator[None]:
    """Within the block AWS stops the instance, whatever protects it before and after."""
    if not (run.lifts_protection or wanted.disable_api_stop):
        yield
        return

    async def protect(value: bool) -> None:
        operation, retry = "modify_instance_attribute", waits.INSTANCE_BUSY
        await run.aws.call("ec2", operation, retry=retry, InstanceId=instance, DisableApiStop={"Value": value})

    await protect(False)
    try:
        yield
    finally:
        await protect(True)
