"""Makes a rule for a short time that leads the requests with one header to a target group (ELBv2 CreateRule, DeleteRule)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from alb_reconcile.aws.client import Aws
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import RefusedError, ignoring


@asynccontextmanager
async def rule_for_header(
    aws: Aws, stack: str, listener: str, group: str, header: tuple[str, str]
) -> AsyncIterator[None]:
    """A rule of a listener that leads requests with a header (its name, and its value) to a group, before all other rules, for the length of
    the block. `listener` and `group` are ARNs.

    Raises AwsError; RefusedError if the rule was gone at the end of the block, since others answered the requests then.
    """
    name, value = header
    priorities = []
    for item in await aws.pages("elbv2", "describe_rules", "Rules", ListenerArn=listener):
        if _is_for(item, name):  # a killed run has left it
            with ignoring("RuleNotFound"):
                await aws.call("elbv2", "delete_rule", RuleArn=item["RuleArn"])
        elif item["Priority"] != "default":
            priorities.append(int(item["Priority"]))
    answer = await aws.call(
        "elbv2", "create_rule", ListenerArn=listener, Priority=max(min(priorities, default=2) - 1, 1),
        Conditions=[{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": name, "Values": [value]}}],
        Actions=[{"Type": "forward", "TargetGroupArn": group}],
        Tags=tags.to_list({tags.STACK: stack, tags.ADDRESS: str(Address("rule", tags.CHECK_NAME))}),
    )  # fmt: skip
    rule = answer["Rules"][0]["RuleArn"]
    try:
        yield
        await _refuse_lost(aws, rule)
    finally:
        gone = aws.aside("elbv2", "delete_rule", urgent=True, RuleArn=rule)  # also when the run is stopped
        with ignoring("RuleNotFound"):
            await asyncio.shield(gone)


async def _refuse_lost(aws: Aws, rule: str) -> None:
    """Raise RefusedError if somebody, such as a run on another host, has deleted a rule (ELBv2 DescribeRules)."""
    with ignoring("RuleNotFound"):
        if (await aws.call("elbv2", "describe_rules", RuleArns=[rule]))["Rules"]:
            return
    raise RefusedError(
        "somebody, or another run, has deleted the rule by which the new version was asked, so others may have answered; run again"
    )


def _is_for(row: Mapping[str, Any], header: str) -> bool:
    """Whether a rule is for one header alone, of this name."""
    found = [item.get("HttpHeaderConfig", {}).get("HttpHeaderName", "").lower() for item in row["Conditions"]]
    return found == [header]
