"""Describes and reads an account's quotas (Service Quotas GetServiceQuota, ELBv2 DescribeAccountLimits)."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from alb_reconcile.aws.client import Aws
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.resource import Desired, Properties
from alb_reconcile.model.text import camel


@dataclass(frozen=True)
class Quota:
    """How many AWS allows of something that a plan makes."""

    code: str
    """Service Quotas' code of one of Amazon VPC's or EC2's, or what DescribeAccountLimits calls one of Elastic Load Balancing's."""
    what: str
    """What is counted, in the plural."""
    usual: float = 0
    """AWS's default. The account's own is read where there would be more."""
    within: tuple[str, ...] = ()
    """The fields by which one gets to the place that is counted, from resource to resource; without any it is the region."""
    path: str = ""
    """The property of each resource that is counted, instead of resources."""
    count: Callable[[Any], int] = len
    only: Mapping[str, Collection[str]] = field(default_factory=dict)
    """The values of properties with which one counts; AWS tells them by the same names."""
    service: str = "vpc"
    """Service Quotas' code of the service."""

    def counts(self, found: Properties | Mapping[str, Any]) -> bool:
        """Whether one counts, desired or as AWS describes it."""
        if isinstance(found, Properties):
            return all(getattr(found, name) in values for name, values in self.only.items())
        return all(found.get(camel(name)) in values for name, values in self.only.items())


@dataclass(frozen=True)
class Limit:
    """An account's quota in a region; None where it has none of its own, or where it couldn't be read, with the reason."""

    most: float | None = None
    why: str = ""


class Unread(Finding):
    """A quota couldn't be read, and there would be more than AWS's default. Told once, without a place."""


async def read_quota(aws: Aws, service: str, code: str) -> Limit:
    """The account's quota in this region."""
    try:
        if code.startswith("L-"):
            answer = await aws.call("service-quotas", "get_service_quota", ServiceCode=service, QuotaCode=code)
            return Limit(float(answer["Quota"]["Value"]))
        limits = await aws.pages("elbv2", "describe_account_limits", "Limits")
    except AwsError as error:
        return Limit(why="" if error.code == "NoSuchResourceException" else str(error))
    return Limit(next((float(item["Max"]) for item in limits if item.get("Name") == code and item.get("Max")), None))


def over_quota(
    desired: Desired,
    what: str,
    quota: Limit,
    there: float,
    more: float,
    place: str = "this region",
    path: str = "",
) -> list[Finding]:
    """Whether `more` of something fit in beside those that there are in a place, if there is one."""
    if quota.why:
        return [Unread(desired, "", f"couldn't read this account's quotas, so limits aren't checked: {quota.why}")]
    if quota.most is None or there + more <= quota.most:
        return []
    held = f" in {place} and has {there:g}, so {more:g} more don't" if place else f", so {more:g} don't"
    text = f"this account may have {quota.most:g} {what}{held} fit; delete some, or have the quota raised in Service Quotas"
    return [Finding(desired, path, text)]
