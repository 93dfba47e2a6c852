"""What a user is told to do about errors of AWS's, and of the way to it."""

from __future__ import annotations

import pytest
from botocore.exceptions import BotoCoreError, LoginRefreshRequired, SSOTokenLoadError

from alb_reconcile.aws.hints import explain_code, transport_error
from alb_reconcile.model.errors import UnreachableError

NAMED = "User: arn:aws:sts::1:assumed-role/ci/x is not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/web because …"


@pytest.mark.parametrize(
    ("call", "code", "message", "told"),
    [
        *(  # EC2 calls the credentials invalid in a region that isn't enabled, STS the token
            (("sts", "get_caller_identity"), code, "", "region")
            for code in (
                "AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "OptInRequired", "RegionDisabledException",
            )
        ),
        (("ec2", "run_instances"), "UnauthorizedOperation", NAMED, "allow the IAM action iam:PassRole to"),
        (("ec2", "run_instances"), "UnauthorizedOperation", "You are not", "ec2:RunInstances to"),
        (("elbv2", "create_load_balancer"), "OperationNotPermitted", "", "ask AWS Support"),
        (("elbv2", "delete_load_balancer"), "OperationNotPermitted", "", "protection is on"),
        (("ec2", "terminate_instances"), "OperationNotPermitted", "", "protection is on"),
        *(
            ((action[0], operation), "AccessDenied", "", f"allow the IAM action {action[1]} to")
            for operation, action in {
                "create_rule": ("elbv2", "elasticloadbalancing:CreateRule"),
                "get_service_quota": ("service-quotas", "servicequotas:GetServiceQuota"),
                "list_buckets": ("s3", "s3:ListAllMyBuckets"),
                "put_public_access_block": ("s3", "s3:PutBucketPublicAccessBlock"),
                "get_bucket_tagging": ("s3", "s3:GetBucketTagging"),
            }.items()
        ),
    ],
)  # fmt: skip
def test_what_to_do_about_a_code(call: tuple[str, str], code: str, message: str, told: str) -> None:
    assert told in explain_code(*call, code, message)


@pytest.mark.parametrize("kind", [SSOTokenLoadError, LoginRefreshRequired])
def test_a_login_that_is_over_is_about_credentials(kind: type[BotoCoreError]) -> None:
    error = transport_error("ec2", "describe_vpcs", kind(error_msg="it is over"))
    assert isinstance(error, UnreachableError)
    assert str(error).startswith("no usable AWS credentials: ")
