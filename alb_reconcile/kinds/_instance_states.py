"""Waiting for instances to be in a state (EC2 DescribeInstances)."""

import asyncio
from collections.abc import Mapping
from typing import Any

from alb_reconcile.aws.client import batches
from alb_reconcile.aws.polling import WaitError
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.context import Run


async def _fetch(run: Run, ids: set[str]) -> Mapping[str, Any]:
    """Instances by id, 200 a read. By filter, since one unknown id among explicit ones fails the whole call."""
    filters = [{"instance-id": batch} for batch in batches(sorted(ids), 200)]
    parts = await asyncio.gather(
        *(run.aws.pages("ec2", "describe_instances", "Reservations", where=where) for where in filters)
    )
    return {item["InstanceId"]: item for part in parts for reservation in part for item in reservation["Instances"]}


async def wait_for_state(run: Run, instance: str, *states: str) -> None:
    """Wait until an instance is in one of the states. Raises WaitError if it ends instead of getting there."""
    misses = 0

    def check(item: Any) -> str:
        nonlocal misses
        if item is None:
            # absence counts after several looks only
            misses += 1
            return "" if "terminated" in states and misses >= 4 else f"{instance} to be {states[-1]} (not visible yet)"
        name = item["State"]["Name"]
        if name in states:
            return ""
        if name in ("terminated", "shutting-down") and "terminated" not in states:
            reason = (item.get("StateReason") or {}).get("Message", "no reason given")
            raise WaitError(f"{instance} is {name} instead of {states[-1]}: {reason}")
        return f"{instance} to be {states[-1]} (now {name})"

    await run.watch("instances", lambda ids: _fetch(run, ids)).until(instance, check, waits.INSTANCE_STATE, run.say)
