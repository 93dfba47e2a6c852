"""What a user is told to do about errors of AWS's, and of the way to it."""

from __future__ import annotations

import botocore.exceptions
import pytest
from botocore.exceptions import BotoCoreError

from alb_reconcile.aws.hints import explain_code, iam_action, transport_error
from alb_reconcile.model.errors import UnreachableError
from tests.kinds.authorization import S3

LOGINS = [
    kind
    for kind in vars(botocore.exceptions).values()
    if isinstance(kind, type) and issubclass(kind, (botocore.exceptions.LoginError, botocore.exceptions.SSOError))
]


@pytest.mark.parametrize("kind", LOGINS)
def test_a_login_that_is_over_is_about_credentials(kind: type[BotoCoreError]) -> None:
    error = transport_error("ec2", "describe_vpcs", kind(error_msg="it is over"))
    assert isinstance(error, UnreachableError)
    assert str(error).startswith("no usable AWS credentials: ")
    assert str(error).endswith("; set AWS_PROFILE or --profile, or log in")
    assert "\n" not in str(error)


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


@pytest.mark.parametrize("code", ["ExpiredToken", "RequestExpired"])
def test_as_whom_to_log_in_again(code: str) -> None:
    assert "log in again with the profile prod" in explain_code("ec2", "describe_vpcs", code, profile="prod")
    assert explain_code("ec2", "describe_vpcs", code).startswith("log in again")


def test_s3s_actions_have_names_of_their_own() -> None:
    for name, action in S3.items():
        assert iam_action("s3", name) == f"s3:{action}"
