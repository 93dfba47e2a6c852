"""Reads and switches the protection of instances from being terminated and stopped (EC2 ModifyInstanceAttribute DisableApiTermination,
DisableApiStop)."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.instance.options import attributes
from alb_reconcile.model import tags
from alb_reconcile.model.errors import ignoring

STOP: Final = "disable_api_stop"
STOPPING: Final = "disableApiStop"
"""`STOP` in AWS's calls and answers."""
STOP_PROTECTION: Final = "stop protection"
PROTECTIONS: Final = {"disable_api_termination": "termination protection", STOP: STOP_PROTECTION}


async def is_on(aws: Aws, instance: str, attribute: str) -> bool:
    """Whether a protecting attribute (disableApiStop) is on (DescribeInstanceAttribute)."""
    with ignoring("InvalidInstanceID*"):  # gone meanwhile
        answer = await aws.call("ec2", "describe_instance_attribute", InstanceId=instance, Attribute=attribute)
        return bool(answer.get(attribute[:1].upper() + attribute[1:], {}).get("Value", False))
    return False


@asynccontextmanager
async def stoppable(run: Run, wanted: Any, instance: str) -> AsyncIterator[None]:
    """Let AWS stop the instance inside the block; stop protection is off there, and on after the block.

    Meanwhile the instance's tag leaves the protection out. If this run is cut short, the next one sees that, and protects the instance.
    """
    if not (run.step.lifts_protection or wanted.disable_api_stop):
        yield
        return

    async def protect(value: bool) -> None:
        operation, retry = "modify_instance_attribute", waits.INSTANCE_BUSY
        await run.aws.call("ec2", operation, retry=retry, InstanceId=instance, DisableApiStop={"Value": value})

    await run.tag(instance, {tags.ATTRIBUTES: attributes(wanted, [STOP])})
    await protect(False)
    try:
        yield
    finally:
        await protect(True)
        await run.tag(instance, {tags.ATTRIBUTES: attributes(wanted)})


async def say_unprotected(run: Run, instance: str, state: Any) -> None:
    """Remove an instance's protections from its tag: the instance may live on, unprotected, if a run is cut short."""
    with ignoring("InvalidInstanceID*"):
        if any(getattr(state, name) for name in PROTECTIONS):
            await run.tag(instance, {tags.ATTRIBUTES: attributes(state, PROTECTIONS)})


async def find_protections(aws: Aws, instance: str) -> Collection[str]:
    """The `PROTECTIONS` of an instance that are on (DescribeInstanceAttribute, which tells one attribute of one instance).

    Protection from being stopped protects from being terminated as well.
    """
    answers = await asyncio.gather(*(is_on(aws, instance, name) for name in ("disableApiTermination", STOPPING)))
    return [path for path, answer in zip(PROTECTIONS, answers, strict=True) if answer]
