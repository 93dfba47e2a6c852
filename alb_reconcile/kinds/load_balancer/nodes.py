"""Waits for the nodes of load balancers: until they answer, and until they have left their old subnets."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from alb_reconcile.aws.client import batches
from alb_reconcile.aws.polling import WaitError
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import is_load_balancers, read_interfaces
from alb_reconcile.kinds.context import Run, all_of
from alb_reconcile.model.address import Ref
from alb_reconcile.model.errors import ignoring

_MOST_ARNS: Final = 20
"""Of one DescribeLoadBalancers call."""


class Moved(dict[str, tuple[Ref, ...]]):
    """The subnets that this run has given load balancers, by ARN."""


async def wait_until_gone(run: Run, arn: str) -> None:
    """Wait until a deleted load balancer has no network interface. Raises WaitError.

    They go minutes later, and hold subnets, groups and the gateway until then.
    """
    await _without_interfaces(run, arn, tuple, "network interfaces of the load balancer to be deleted")


async def wait_for_old_nodes(run: Run, balancers: Mapping[str, Collection[Ref]]) -> None:
    """Wait until load balancers, by ARN with their subnets, have no network interface in other subnets. Raises WaitError.

    AWS answers SetSubnets at once. The nodes in the old subnets answer clients until DNS has forgotten them, and need their
    routes and rules as long. A run that was killed after the call leaves this wait to the next one.
    """
    text = "network interfaces of the load balancer to leave the subnets that it has left"

    async def wait(arn: str, known: Collection[Ref]) -> None:
        # another step of the run may move it meanwhile
        await _without_interfaces(run, arn, lambda: run.shared.of(Moved).get(arn, known), text)

    await all_of(*(wait(arn, known) for arn, known in balancers.items()))


async def _without_interfaces(run: Run, arn: str, find_subnets: Callable[[], Collection[Ref]], text: str) -> None:
    """Wait until a load balancer has network interfaces only in the subnets that are found then."""

    async def fetch(descriptions: set[str]) -> Mapping[str, Any]:
        found: dict[str, list[str]] = {}
        for item in await read_interfaces(run.aws, "description", descriptions):
            if is_load_balancers(item):
                found.setdefault(str(item.get("Description", "")), []).append(item["SubnetId"])
        return found

    def check(found: list[str] | None) -> str:
        subnets = find_subnets()
        count = sum(subnet not in subnets for subnet in found or ())
        return f"{count} {text}" if count else ""

    name, key = "load balancer interfaces", "ELB " + arn.partition(":loadbalancer/")[2]
    try:
        # without the right to look, the deletes that follow find out by trying
        with ignoring("UnauthorizedOperation"):
            await run.wait(name, fetch, key, check, waits.INTERFACES_RELEASED, slowest=15)
            return
        if arn in run.shared.of(Moved):
            await run.aws.sleep(waits.NODES_LEFT)
    except WaitError as error:
        raise WaitError(f"{error}; AWS releases them by itself: run again later") from None


async def wait_until_active(run: Run, arn: str, timeout: float) -> None:
    """Wait until a load balancer answers. Raises WaitError if it fails, or isn't active in time."""

    async def read(arns: Sequence[str]) -> list[dict[str, Any]]:
        with ignoring("LoadBalancerNotFound"):  # not shown yet, or gone; then the whole call fails
            return await run.aws.pages("elbv2", "describe_load_balancers", "LoadBalancers", LoadBalancerArns=arns)
        return [item for arn in arns for item in await read([arn])] if len(arns) > 1 else []

    async def fetch(arns: set[str]) -> Mapping[str, Any]:
        parts = await asyncio.gather(*(read(part) for part in batches(sorted(arns), _MOST_ARNS)))
        return {item["LoadBalancerArn"]: item["State"] for part in parts for item in part}

    def check(state: Any) -> str:
        code = state["Code"] if state else "unknown"
        if code == "failed":
            raise WaitError(f"AWS couldn't provision the load balancer: {state.get('Reason', 'no reason given')}")
        # active_impaired answers, but hasn't the capacity that it should have
        return "" if code.startswith("active") else f"the load balancer to be active (now {code})"

    await run.wait("load balancers", fetch, arn, check, timeout)
