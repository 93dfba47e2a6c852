"""What protects resources from being deleted, and instances from being stopped (EC2 ModifyInstanceAttribute DisableApiTermination,
DisableApiStop)."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._instance_options import attributes
from alb_reconcile.kinds.context import Run
from alb_reconcile.model import tags
from alb_reconcile.model.errors import ReconcileError, ignoring
from alb_reconcile.model.resource import Change, Observed, Properties, stops

STOP: Final = "disable_api_stop"


async def is_on(aws: Aws, instance: str, attribute: str) -> bool:
    """Whether such an attribute (disableApiStop) is on: DescribeInstanceAttribute."""
    with ignoring("InvalidInstanceID*"):  # gone meanwhile
        answer = await aws.call("ec2", "describe_instance_attribute", InstanceId=instance, Attribute=attribute)
        return bool(answer.get(attribute[:1].upper() + attribute[1:], {}).get("Value", False))
    return False


@asynccontextmanager
async def unlocked(run: Run, service: str, operation: str, **params: Any) -> AsyncIterator[waits.Codes]:
    """A call switches off what protects a resource from being deleted, where the step may do that.

    Gives the codes for which its delete is repeated then. Whatever goes wrong within is told with what was done.
    """
    if not run.step.lifts_protection:
        yield {}
        return
    await run.gone(service, operation, **params)
    try:
        yield waits.PROTECTION_LIFTED
    except ReconcileError as error:
        note = "; its protection is off now: run again, or switch it back on by hand"
        if note not in str(error):  # several may have been refused by one answer
            error.args = (f"{error}{note}",)
        raise


@asynccontextmanager
async def stoppable(run: Run, wanted: Any, instance: str) -> AsyncIterator[None]:
    """Within the block AWS stops the instance, whatever protects it before and after.

    A tag says meanwhile nothing of that, so that whoever follows a run that was cut short protects it.
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
    """Let a tag that says that an instance is protected say nothing of that: it may live on if a run is cut short."""
    with ignoring("InvalidInstanceID*"):
        if any(getattr(state, name) for name in ProtectedInstances.protections):
            await run.tag(instance, {tags.ATTRIBUTES: attributes(state, ProtectedInstances.protections)})


class ProtectedInstances:
    """What a kind of instances says of their protections (`kinds.base.Protected`, `StopProtected`)."""

    stop_protection = "stop protection"
    protections: ClassVar = {"disable_api_termination": "termination protection", STOP: stop_protection}
    properties: ClassVar[type[Properties]]

    async def find_protections(self, aws: Aws, observed: Observed) -> Collection[str]:
        """DescribeInstanceAttribute, which tells one attribute of one instance.

        Protection from being stopped protects from being terminated as well.
        """
        answers = await asyncio.gather(
            *(is_on(aws, observed.id, name) for name in ("disableApiTermination", "disableApiStop"))
        )
        return [path for path, answer in zip(self.protections, answers, strict=True) if answer]

    def stops(self, changes: Sequence[Change]) -> bool:
        """Whether changes stop the instance while its protection is on."""
        after = {change.path: change.after for change in changes}
        return after.get(STOP) is not False and (after.get("state") == "stopped" or stops(changes, self.properties))

    async def is_stop_protected(self, aws: Aws, observed: Observed) -> bool:
        """Whether AWS would refuse to stop it."""
        return await is_on(aws, observed.id, "disableApiStop")
