"""What `sandbox prepare` makes: what a stack names or looks up and doesn't declare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alb_reconcile.model.lookup import Lookup
from alb_reconcile.sandbox.gate import service_of
from alb_reconcile.sandbox.others import make_others
from tests.sandbox.strict_world import client

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import StrictAws

REGION = "us-east-1"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:orders:live"


def looked_up(kind: str, *, many: bool = False, ssm: str = "", **tags: str) -> dict[str, Any]:
    found = Lookup.of(kind, "ssm" if ssm else "tag", ssm or tags, many=many)
    return {
        "kind": kind, "tags": dict(found.tags), "parameter": found.parameter, "many": many, "words": found.words
    }  # fmt: skip


def test_what_is_looked_up_is_made_once_in_the_vpc_that_is_looked_up(aws: StrictAws) -> None:
    lookups = [
        looked_up("subnet", many=True, Tier="private"),
        looked_up("security_group", Name="inner"),
        looked_up("internet_gateway", Name="way-out"),
        looked_up("vpc", Name="shared"),
    ]
    made = make_others(aws, REGION, [], lookups)
    assert [line.partition(" (for ")[2] for line in made] == [
        "tag Name=shared)", "tag Tier=private)", "tag Tier=private)", "tag Name=inner)", "tag Name=way-out)"
    ]  # fmt: skip
    ec2 = client("ec2")
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": ["shared"]}])["Vpcs"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "tag:Tier", "Values": ["private"]}])["Subnets"]
    assert {item["VpcId"] for item in subnets} == {vpc["VpcId"]}
    assert len({item["AvailabilityZone"] for item in subnets}) == 2
    assert make_others(aws, REGION, [], lookups) == []


def test_a_parameter_gets_the_ids_of_what_is_made_for_it(aws: StrictAws) -> None:
    lookups = [looked_up("subnet", many=True, ssm="/net/subnets"), looked_up("vpc", ssm="/net/vpc")]
    assert len(make_others(aws, REGION, [], lookups)) == 3
    found = client("ssm").get_parameters(Names=["/net/vpc", "/net/subnets"])["Parameters"]
    values = {item["Name"]: item["Value"].split(",") for item in found}
    subnets = client("ec2").describe_subnets(SubnetIds=values["/net/subnets"])["Subnets"]
    assert [item["VpcId"] for item in subnets] == values["/net/vpc"] * 2
    assert make_others(aws, REGION, [], lookups) == []


def test_a_function_has_a_policy_and_an_alias_and_is_never_run(aws: StrictAws) -> None:
    state = {"target": FUNCTION}
    assert make_others(aws, REGION, [state], []) == ["function orders (which nothing runs)"]
    assert make_others(aws, REGION, [state], []) == []
    assert client("lambda").get_alias(FunctionName="orders", Name="live")["FunctionVersion"] == "1"


def test_of_lambda_only_policies_are_served() -> None:
    """moto would run functions in containers."""
    signed = "AWS4-HMAC-SHA256 Credential=sandbox/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host"
    base = "/2015-03-31/functions"
    served = {
        path: service_of({"HTTP_AUTHORIZATION": signed, "PATH_INFO": f"{base}{path}"})
        for path in ("", "/orders/policy", "/orders/policy/ours", "/orders/invocations", "/orders")
    }
    assert [path for path, name in served.items() if name] == ["/orders/policy", "/orders/policy/ours"]


def test_a_bucket_for_logs_is_one_that_load_balancers_may_write_to(aws: StrictAws) -> None:
    state = {"attributes": {"access_logs.s3.bucket": "our-logs", "connection_logs.s3.bucket": "log_bucket.own"}}
    assert make_others(aws, REGION, [state], []) == ["bucket our-logs (which load balancers may write to)"]
    assert make_others(aws, REGION, [state], []) == []
    assert "logdelivery" in client("s3").get_bucket_policy(Bucket="our-logs")["Policy"]
