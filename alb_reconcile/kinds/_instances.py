"""Launching an instance exactly once (EC2 RunInstances, by its client tokens), and waiting for its states (DescribeInstances)."""

from collections.abc import Mapping
from typing import Any, Final

from alb_reconcile.aws.polling import WaitError, repeat_until
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.context import Run
from alb_reconcile.model import tags
from alb_reconcile.model.errors import AwsError, ReconcileError
from alb_reconcile.model.resource import Desired
from alb_reconcile.model.text import digest

_ATTEMPTS: Final = 10


async def launch_once(run: Run, desired: Desired, generation: str, subnet: str, params: Mapping[str, Any]) -> str:
    """Launch, or find what an earlier run launched for the same generation of that address. Returns its id.

    A token is spent when its instance was terminated or released, or when it was used with other parameters, for a launch
    that AWS refused, too: AWS remembers it for a day or more. Then the next one is taken, which holds for these parameters
    alone. Raises AwsError, and ReconcileError if all of them are spent.
    """
    launched = run.tag_list(desired)
    specifications = [{"ResourceType": kind, "Tags": launched} for kind in ("instance", "volume")]
    stem = token_stem(run.stack, str(desired.address))
    for attempt in range(_ATTEMPTS):
        own = [launched, params] if attempt else []
        token = f"{stem}-{digest([generation, attempt, subnet, *own], 12)}"
        try:
            answer = await run.aws.call(
                "ec2", "run_instances", retry=waits.LAUNCH_UNKNOWN, ClientToken=token, MinCount=1, MaxCount=1,
                TagSpecifications=specifications, **params,
            )  # fmt: skip
        except AwsError as error:
            if not await _is_spent(run, desired, stem, error):
                raise
            continue
        instance = answer["Instances"][0]
        if not _is_let_go(run, desired, instance):
            return str(instance["InstanceId"])
    raise ReconcileError(
        f"{desired.address}: AWS answers each launch with an instance that was terminated or released; run again in an hour"
    )


def token_stem(stack: str, address: str) -> str:
    """How the client tokens begin with which instances are made at an address."""
    return digest([stack, address], 24)


async def _is_spent(run: Run, desired: Desired, stem: str, error: AwsError) -> bool:
    """Whether only another token makes a new instance: what was made at this address was terminated, or released since."""
    if error.code == "IdempotentInstanceTerminated":
        return True
    if error.code != "IdempotentParameterMismatch":
        return False

    async def is_alive() -> bool:
        found = await run.aws.pages("ec2", "describe_instances", "Reservations", where={"client-token": f"{stem}-*"})
        made = (instance for reservation in found for instance in reservation["Instances"])
        return any(not _is_let_go(run, desired, instance) for instance in made)

    run.say("EC2 to show what an earlier launch at this address has made, if anything")
    return not await repeat_until(run.aws, is_alive, bool, waits.LAG)


def _is_let_go(run: Run, desired: Desired, instance: Mapping[str, Any]) -> bool:
    """Whether an instance that our token made has ended, or is no longer ours (`release`, `move`). Without any tags it
    counts as ours: what was launched a moment ago may not show them."""
    if instance["State"]["Name"] in ("shutting-down", "terminated"):
        return True
    found = tags.from_list(instance.get("Tags"))
    return bool(found) and not tags.identity(desired, run.stack).items() <= found.items()


async def _fetch(run: Run, ids: set[str]) -> Mapping[str, Any]:
    """Instances by id. By filter, since one unknown id among explicit ones fails the whole call."""
    found = await run.aws.pages("ec2", "describe_instances", "Reservations", where={"instance-id": ids})
    return {item["InstanceId"]: item for reservation in found for item in reservation["Instances"]}


async def wait_for_state(run: Run, instance: str, *states: str) -> None:
    """Wait until an instance is in one of the states. Raises WaitError if it ends instead of getting there."""
    misses, began = 0, run.aws.now()

    def check(item: Any) -> str:
        nonlocal misses
        name = item["State"]["Name"] if item else ""
        misses += item is None
        # absence counts after several looks only
        if name in states or (item is None and "terminated" in states and misses >= 4):
            return ""
        if name in ("terminated", "shutting-down") and "terminated" not in states:
            reason = (item.get("StateReason") or {}).get("Message", "no reason given")
            raise WaitError(f"{instance} is {name} instead of {states[-1]}: {reason}")
        text = f"{instance} to be {states[-1]} ({f'now {name}' if name else 'not visible yet'})"
        is_metal = bool(item) and ".metal" in item["InstanceType"]
        if not is_metal and run.aws.now() - began > waits.INSTANCE_STATE:
            raise WaitError(f"waited {waits.INSTANCE_STATE:.0f} s for: {text}")
        return text

    await run.watch("instances", lambda ids: _fetch(run, ids)).until(instance, check, waits.METAL_STATE, run.say)
