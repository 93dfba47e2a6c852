"""Whether a web ACL is there (WAF GetWebACL)."""

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds.base import Intent
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError


async def check_web_acl(aws: Aws, item: Intent) -> list[Finding]:
    """What stands against the web ACL that a load balancer is to have. Who may not look finds nothing."""
    arn: str = item.wanted.web_acl or ""
    if not arn or (item.fields is not None and "web_acl" not in item.fields):
        return []
    try:
        await aws.call("wafv2", "get_web_acl", ARN=arn)
    except AwsError as error:
        if error.code == "WAFNonexistentItemException":
            text = f"there is no web ACL {arn} in this region and account; create it, or correct the ARN"
            return [Finding(item.desired, "web_acl", text)]
    return []
