"""Imitates AWS's rules for the buckets that load balancers write logs to, which moto doesn't check."""

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from moto.s3.models import s3_backends

from .rule import Call, after, before, refuse

LOGS = {"access_logs": "Access", "connection_logs": "Connection", "health_check_logs": "HealthCheck"}
SERVICE = "logdelivery.elasticloadbalancing.amazonaws.com"
US_EAST_1 = "127311923021"
"""Elastic Load Balancing's account in us-east-1, which older bucket policies name."""


def switched_on(call: Call) -> Iterator[tuple[str, str, str]]:
    """The logs that a request changes and that are enabled after it, with bucket and prefix."""
    given = {item["Key"]: str(item.get("Value", "")) for item in call.given("Attributes", [])}
    found = call.world.elb.load_balancers.get(call.given("LoadBalancerArn"))
    wanted = (found.attrs if found else {}) | given
    for logs in LOGS:
        if wanted.get(f"{logs}.s3.enabled") == "true" and any(key.startswith(f"{logs}.s3.") for key in given):
            prefix = wanted.get(f"{logs}.s3.prefix", "")
            yield logs, wanted.get(f"{logs}.s3.bucket", ""), f"{prefix}/" if prefix else ""


@before("ModifyLoadBalancerAttributes")
def logs_need_a_bucket_that_lets_them_in(call: Call) -> None:
    """AWS ELB, 'Enable access logs for your Application Load Balancer': 'The bucket must have a bucket policy that grants Elastic
    Load Balancing permission to write', and 'must be located in the same Region'; in 'Troubleshooting' InvalidConfigurationRequest,
    'Access Denied for bucket'. The principal is the service or, as before August 2022, the region's account."""
    for _, bucket, prefix in switched_on(call):
        if not bucket:
            continue
        found = s3_backends[call.world.account]["aws"].buckets.get(bucket)
        file = f"arn:aws:s3:::{bucket}/{prefix}AWSLogs/{call.world.account}/file"
        if found is None or found.region_name != call.world.region or not allows(found.policy, file):
            text = f"Access Denied for bucket: {bucket}. Please check S3bucket permission"
            refuse("InvalidConfigurationRequest", text)


@after("ModifyLoadBalancerAttributes")
def the_bucket_is_tried(call: Call, answer: Any) -> Any:
    """'Step 4: Verify bucket permissions': 'Elastic Load Balancing validates the S3 bucket and creates a test file'."""
    for logs, bucket, prefix in switched_on(call):
        key = f"{prefix}AWSLogs/{call.world.account}/ELB{LOGS[logs]}LogTestFile"
        s3_backends[call.world.account]["aws"].put_object(bucket, key, b"Enable the log")
    return answer


def allows(policy: bytes | None, file: str) -> bool:
    statements = json.loads(policy or b"{}").get("Statement", [])
    return any(
        item["Effect"] == "Allow"
        and "Condition" not in item
        and any(who in ("*", SERVICE) or US_EAST_1 in who for who in principals(item["Principal"]))
        and any(fnmatchcase("s3:PutObject", action) for action in listed(item["Action"]))
        and any(fnmatchcase(file, resource) for resource in listed(item["Resource"]))
        for item in listed(statements)
    )


def principals(value: Any) -> list[str]:
    return [who for item in value.values() for who in listed(item)] if isinstance(value, dict) else listed(value)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
