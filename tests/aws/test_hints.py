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


@pytest.mark.parametrize(
    "code",
    ["AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "OptInRequired", "RegionDisabledException"],
)
def test_a_region_that_is_not_enabled_is_thought_of(code: str) -> None:
    """EC2 calls the credentials invalid there, STS the token."""
    assert "region" in explain_code("sts", "get_caller_identity", code)


def test_the_action_is_the_one_that_aws_names() -> None:
    said = "User: arn:aws:sts::1:assumed-role/ci/x is not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/web because …"
    assert "allow the IAM action iam:PassRole to" in explain_code("ec2", "run_instances", "UnauthorizedOperation", said)
    assert "ec2:RunInstances to" in explain_code("ec2", "run_instances", "UnauthorizedOperation", "You are not")


def test_what_is_not_permitted_depends_on_the_call() -> None:
    """ELBv2: "This AWS account currently does not support creating load balancers. For more information, please contact AWS Support.\""""
    assert "ask AWS Support" in explain_code("elbv2", "create_load_balancer", "OperationNotPermitted")
    assert "protection is on" in explain_code("elbv2", "delete_load_balancer", "OperationNotPermitted")
    assert "protection is on" in explain_code("ec2", "terminate_instances", "OperationNotPermitted")


@pytest.mark.parametrize("code", ["ExpiredToken", "RequestExpired"])
def test_as_whom_to_log_in_again(code: str) -> None:
    assert "log in again with the profile prod" in explain_code("ec2", "describe_vpcs", code, profile="prod")
    assert explain_code("ec2", "describe_vpcs", code).startswith("log in again")


@pytest.mark.parametrize(
    ("service", "operation", "action"),
    [
        ("elbv2", "create_rule", "elasticloadbalancing:CreateRule"),
        ("service-quotas", "get_service_quota", "servicequotas:GetServiceQuota"),
        ("s3", "list_buckets", "s3:ListAllMyBuckets"),
        ("s3", "put_public_access_block", "s3:PutBucketPublicAccessBlock"),
        ("s3", "get_bucket_tagging", "s3:GetBucketTagging"),
    ],
)
def test_an_action_has_the_name_that_iam_knows(service: str, operation: str, action: str) -> None:
    """Found: `service-quotas:GetServiceQuota` was advised, which no policy can allow."""
    assert f"allow the IAM action {action} to" in explain_code(service, operation, "AccessDenied")


def test_s3s_actions_have_names_of_their_own() -> None:
    for name, action in S3.items():
        assert iam_action("s3", name) == f"s3:{action}"
