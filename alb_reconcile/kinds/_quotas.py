"""The account's quotas, as far as they can be read (Service Quotas GetServiceQuota, ELBv2 DescribeAccountLimits)."""

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds.base import Intent
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError


async def read_quota(aws: Aws, service: str, code: str) -> float | None:
    """The account's quota in this region; None where it can't be read."""
    try:
        answer = await aws.call("service-quotas", "get_service_quota", ServiceCode=service, QuotaCode=code)
    except AwsError:
        return None
    return float(answer["Quota"]["Value"])


async def read_limit(aws: Aws, name: str) -> float | None:
    """One of ELBv2's limits; None where it can't be read."""
    try:
        limits = await aws.pages("elbv2", "describe_account_limits", "Limits")
    except AwsError:
        return None
    return next((float(item["Max"]) for item in limits if item.get("Name") == name and item.get("Max")), None)


def over_quota(intent: Intent, what: str, quota: float, there: float, more: float) -> list[Finding]:
    """Whether `more` of something fit in beside those that there are."""
    if there + more <= quota:
        return []
    text = f"this account may have {quota:g} {what} in this region and has {there:g}, so {more:g} more don't fit; delete some, or have the quota raised in Service Quotas"
    return [Finding(intent.desired, "", text)]
