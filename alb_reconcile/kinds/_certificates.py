"""Whether a certificate can serve a listener (ACM DescribeCertificate)."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds.base import Intent
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError

_FIELD = "certificate_arn"


async def check_certificate(aws: Aws, item: Intent, hosts: Iterable[str]) -> list[Finding]:
    """What stands against an ACM certificate; as a warning, which of the `hosts` it doesn't cover. IAM's aren't looked at."""
    arn = item.wanted.certificate_arn
    if ":acm:" not in arn:
        return []
    try:
        found: dict[str, Any] = (await aws.call("acm", "describe_certificate", CertificateArn=arn))["Certificate"]
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            return []
        text = f"there is no certificate {arn} in this region and account; correct certificate_arn"
        return [Finding(item.desired, _FIELD, text)]
    status = found.get("Status", "ISSUED")
    if status != "ISSUED":
        text = f"certificate {arn} is {status}, and a listener takes only one that is ISSUED; validate it, or choose another"
        return [Finding(item.desired, _FIELD, text)]
    names = {found.get("DomainName", ""), *found.get("SubjectAlternativeNames", ())}
    bare = sorted(host for host in hosts if not any(_covers(name, host) for name in names))
    if not bare:
        return []
    text = f"its certificate is for {', '.join(sorted(filter(None, names)))}, so clients of {', '.join(bare)} refuse it; add the names, or choose another certificate"
    return [Finding(item.desired, _FIELD, text, warning=True)]


def _covers(name: str, host: str) -> bool:
    """Whether a certificate's name is for a host, or for one that a rule's pattern means. A wildcard stands for one label."""
    name, host = name.lower(), host.lower()
    return fnmatchcase(name, host) or (fnmatchcase(host, name) and host.count(".") == name.count("."))
