"""Reads and writes the bucket policy that lets load balancers write logs (Elastic Load Balancing, "Enable access logs for your
Application Load Balancer", "Attach a policy to your S3 bucket")."""

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from alb_reconcile.aws.partitions import partition_of

_SERVICES: Final = ("logdelivery.elasticloadbalancing.amazonaws.com", "logdelivery.elb.amazonaws.com")
"""The services that write logs to buckets; the second one is for Outposts."""
_ACCOUNTS: Final = {
    "us-east-1": "127311923021", "us-east-2": "033677994240", "us-west-1": "027434742980", "us-west-2": "797873946194",
    "af-south-1": "098369216593", "ap-east-1": "754344448648", "ap-northeast-1": "582318560864",
    "ap-northeast-2": "600734575887", "ap-northeast-3": "383597477331", "ap-south-1": "718504428378",
    "ap-southeast-1": "114774131450", "ap-southeast-2": "783225319266", "ap-southeast-3": "589379963580",
    "ca-central-1": "985666609251", "eu-central-1": "054676820928", "eu-north-1": "897822967062",
    "eu-south-1": "635631232127", "eu-west-1": "156460612806", "eu-west-2": "652711504416", "eu-west-3": "009996457667",
    "me-south-1": "076674570225", "sa-east-1": "507241528517", "us-gov-west-1": "048591011584",
    "us-gov-east-1": "190560391635", "cn-north-1": "638102146993", "cn-northwest-1": "037604701340",
}  # fmt: skip
"""Elastic Load Balancing's own accounts in the regions that existed before August 2022. Older bucket policies name these accounts, and AWS
still accepts such policies."""
_SID: Final = "LoadBalancerLogs"


def bucket_arn(name: str, region: str) -> str:
    """The ARN of a bucket in a region's partition."""
    return f"arn:{partition_of(region)}:s3:::{name}"


def statement(name: str, account: str, region: str, prefix: str | None = None) -> dict[str, Any]:
    """The statement that lets load balancers of an account write their logs below a prefix; None stands for every prefix."""
    arn = bucket_arn(name, region)
    ends = [f"AWSLogs/{account}/*", f"*/AWSLogs/{account}/*"]
    if prefix is not None:
        ends = [f"{prefix}/{ends[0]}" if prefix else ends[0]]
    # in China services have other names, and AWS doesn't document this service's name there
    who: dict[str, str] = {} if region.startswith("cn-") else {"Service": _SERVICES[0]}
    if region in _ACCOUNTS:
        who["AWS"] = f"arn:{partition_of(region)}:iam::{_ACCOUNTS[region]}:root"
    resources = [f"{arn}/{end}" for end in ends]
    return {
        "Sid": _SID, "Effect": "Allow", "Principal": who, "Action": "s3:PutObject",
        "Resource": resources if len(resources) > 1 else resources[0],
    }  # fmt: skip


def with_statement(policy: str, wanted: Mapping[str, Any] | None) -> str:
    """A bucket's policy with `wanted` instead of an earlier statement of this tool, or without one; empty where no statement is left."""
    document = json.loads(policy) if policy else {"Version": "2012-10-17"}
    rest = [item for item in _listed(document.get("Statement")) if item.get("Sid") != _SID]
    rest += [wanted] if wanted else []
    return json.dumps({**document, "Statement": rest}) if rest else ""


def may_write(policy: str, name: str, account: str, region: str, prefix: str) -> bool:
    """Whether a statement of a policy lets load balancers write below a prefix. Conditions are taken to be met, and statements that deny
    aren't looked at: AWS tries to write when logs are switched on."""
    file = f"{bucket_arn(name, region)}/{prefix}{'/' * bool(prefix)}AWSLogs/{account}/file"
    return any(
        item.get("Effect") == "Allow"
        and any(_is_delivery(text) for text in _principals(item.get("Principal")))
        and any(fnmatchcase("s3:putobject", str(text).lower()) for text in _listed(item.get("Action", "*")))
        and any(fnmatchcase(file, str(text)) for text in _listed(item.get("Resource", "*")))
        for item in _listed(json.loads(policy or "{}").get("Statement"))
    )


def _principals(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from map(str, _listed(item))
    else:
        yield from map(str, _listed(value))


def _is_delivery(principal: str) -> bool:
    if principal in ("*", *_SERVICES):
        return True
    account = principal.split(":")[4] if principal.startswith("arn:") and principal.count(":") >= 5 else principal
    return account in _ACCOUNTS.values()


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
