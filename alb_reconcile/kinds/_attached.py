"""Checks whether an earlier run has already put target groups at weight 0 into a forward: a read may be older than that run's call."""

from typing import Any

from alb_reconcile.aws.polling import repeat_until
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.errors import RefusedError, ignoring
from alb_reconcile.model.resource import bind
from alb_reconcile.model.steps import Attach


class InUse(set[str]):
    """Target groups that a load balancer uses already: groups that this run was to make, and that an earlier run had made and attached."""


async def is_attached(run: Run) -> bool:
    """Whether a load balancer uses the groups that the step at hand is to add to a forward (DescribeTargetGroups LoadBalancerArns).

    The groups may serve by now, and the forward's earlier groups no longer. For a group that this run was to make, AWS's answer to the
    create has said it (`InUse`); an existing group is read until no read is older than the run. Raises RefusedError if only some
    of several groups are in use.
    """
    attach, in_use = run.step.detail(Attach), run.shared.of(InUse)
    groups, idle = ({bind(group, run.ids) for group in part} for part in (attach.groups, attach.idle))
    asked = sorted(str(group) for group in idle & run.own)

    async def look() -> bool:
        rows: list[dict[str, Any]] = []
        with ignoring("TargetGroupNotFound"):
            rows = await run.aws.pages("elbv2", "describe_target_groups", "TargetGroups", TargetGroupArns=asked)
        in_use.update(row["TargetGroupArn"] for row in rows if row.get("LoadBalancerArns"))
        return in_use.issuperset(asked)

    if asked:
        run.say(f"this run to be {waits.EARLIER_RUN} s old: until then AWS may show what was before an earlier one")
        await repeat_until(run.aws, look, bool, max(0.0, run.began + waits.EARLIER_RUN - run.aws.now()))
    attached = idle & in_use
    if attached and attached != groups:
        raise RefusedError("an earlier run has changed what this forwards to, and AWS didn't show it yet; run again")
    return bool(attached)
