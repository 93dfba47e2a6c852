"""What an instance may do: what its role's policies say, some seconds after the role has got them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from alb_reconcile.sandbox.metadata import Metadata
from tests.sandbox.strict_world import NO_RETRIES, REGION, Network, client, refused

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import StrictAws

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
ROLES = "/latest/meta-data/iam/security-credentials/"
ACCOUNT = "123456789012"


def allow(*actions: str, resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}


class Machine:
    """An instance with a role, and what it is told and answered."""

    def __init__(self, network: Network, aws: StrictAws) -> None:
        self.network, self.iam = network, client("iam")
        self.metadata = Metadata(aws)
        self.iam.create_role(RoleName="web", AssumeRolePolicyDocument=json.dumps(TRUST))
        self.iam.create_instance_profile(InstanceProfileName="web")
        self.iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="web")
        self.instance = network.running(IamInstanceProfile={"Name": "web"})

    def let(self, *statements: dict[str, Any], wait: float = 11) -> None:
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        self.iam.put_role_policy(RoleName="web", PolicyName="web", PolicyDocument=json.dumps(document))
        self.network.clock.advance(wait)

    def token(self, instance: str = "") -> str:
        headers = {"HTTP_X_AWS_EC2_METADATA_TOKEN_TTL_SECONDS": "60"}
        status, token = self.metadata.answer(instance or self.instance, "PUT", "/latest/api/token", headers)
        assert status == "200 OK"
        return token

    def get(self, path: str, instance: str = "") -> tuple[str, str]:
        asked = instance or self.instance
        headers = {"HTTP_X_AWS_EC2_METADATA_TOKEN": self.token(asked)}
        return self.metadata.answer(asked, "GET", path, headers)

    def client(self, service: str) -> Any:
        """A client with the role's credentials."""
        key = json.loads(self.get(ROLES + "web")[1])
        return boto3.client(
            service, region_name=REGION, config=NO_RETRIES, aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"], aws_session_token=key["Token"],
        )  # fmt: skip


@pytest.fixture
def machine(network: Network, aws: StrictAws) -> Machine:
    return Machine(network, aws)


@pytest.fixture
def versions() -> tuple[str, str]:
    """Two versions of s3://artifacts/web.tar.gz, with the contents 1 and 2."""
    s3 = client("s3")
    s3.create_bucket(Bucket="artifacts")
    s3.put_bucket_versioning(Bucket="artifacts", VersioningConfiguration={"Status": "Enabled"})
    first, second = (
        s3.put_object(Bucket="artifacts", Key="web.tar.gz", Body=body)["VersionId"] for body in (b"1", b"2")
    )
    return first, second


class TestMetadata:
    def test_the_roles_credentials_need_a_token_of_this_instance(self, machine: Machine, network: Network) -> None:
        assert machine.get(ROLES) == ("200 OK", "web")
        told = json.loads(machine.get(ROLES + "web")[1])
        assert (told["Code"], told["AccessKeyId"][:4]) == ("Success", "ASIA")
        assert json.loads(machine.get(ROLES + "web")[1])["AccessKeyId"] == told["AccessKeyId"]
        assert machine.get(ROLES + "other")[0] == "404 Not Found"
        other = network.running()
        headers = {"HTTP_X_AWS_EC2_METADATA_TOKEN": machine.token(other)}
        assert machine.metadata.answer(machine.instance, "GET", ROLES, headers)[0] == "401 Unauthorized"
        assert machine.metadata.answer(machine.instance, "GET", ROLES, {})[0] == "401 Unauthorized"
        assert machine.metadata.answer(machine.instance, "PUT", "/latest/api/token", {})[0] == "400 Bad Request"
        assert machine.metadata.answer(machine.instance, "GET", "/latest/api/token", {})[0] == "405 Method Not Allowed"

    def test_without_a_profile_there_is_no_role(self, machine: Machine, network: Network) -> None:
        other = network.running()
        assert machine.get(ROLES, other)[0] == "404 Not Found"
        assert machine.get("/latest/meta-data/instance-id", other) == ("200 OK", other)
        assert machine.get("/latest/meta-data/placement/region", other) == ("200 OK", REGION)
        assert machine.get("/latest/other", other)[0] == "404 Not Found"

    def test_a_role_that_ec2_may_not_assume_says_so(self, machine: Machine) -> None:
        trust = json.dumps(TRUST).replace("ec2.", "lambda.")
        machine.iam.update_assume_role_policy(RoleName="web", PolicyDocument=trust)
        assert json.loads(machine.get(ROLES + "web")[1])["Code"] == "AssumeRoleUnauthorizedAccess"


class TestPolicies:
    def test_s3_needs_the_permission_for_a_version_of_the_object(
        self, machine: Machine, versions: tuple[str, str]
    ) -> None:
        s3, asked = machine.client("s3"), {"Bucket": "artifacts", "Key": "web.tar.gz"}
        with refused("AccessDenied", "assumed-role/web/i-.* is not authorized to perform: s3:GetObject on", 403):
            s3.get_object(**asked)
        machine.let(allow("s3:GetObject", resource="arn:aws:s3:::artifacts/web.*"))
        assert s3.get_object(**asked)["Body"].read() == b"2"
        with refused("AccessDenied", "s3:GetObjectVersion", 403):
            s3.get_object(**asked, VersionId=versions[0])
        machine.let(allow("s3:GetObjectV*", resource="arn:aws:s3:::artifacts/web.tar.g?"))
        assert s3.get_object(**asked, VersionId=versions[0])["Body"].read() == b"1"
        with refused("AccessDenied", status=403):
            s3.get_object(**asked)

    def test_s3_tells_what_isnt_there_to_those_who_may_list_the_bucket(
        self, machine: Machine, versions: tuple[str, str]
    ) -> None:
        s3, objects = machine.client("s3"), allow("s3:GetObject*", resource="arn:aws:s3:::artifacts/*")
        machine.let(objects)
        with refused("AccessDenied", "s3:ListBucket", 403):
            s3.get_object(Bucket="artifacts", Key="absent")
        machine.let(objects, allow("s3:ListBucket", resource="arn:aws:s3:::artifacts"))
        with refused("NoSuchKey", status=404):
            s3.get_object(Bucket="artifacts", Key="absent")
        with refused("NoSuchVersion", status=404):
            s3.get_object(Bucket="artifacts", Key="web.tar.gz", VersionId="absent")
        with refused("PreconditionFailed", status=412):
            s3.get_object(Bucket="artifacts", Key="web.tar.gz", IfMatch='"0"')

    def test_parameters_and_secrets(self, machine: Machine) -> None:
        client("ssm").put_parameter(Name="/web/key", Value="v", Type="SecureString")
        arn = client("secretsmanager").create_secret(Name="web/key", SecretString="s")["ARN"]
        ssm, manager = machine.client("ssm"), machine.client("secretsmanager")
        with refused(
            "AccessDeniedException", f"ssm:GetParameter on resource: arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/web/key "
        ):
            ssm.get_parameter(Name="/web/key")
        with refused("AccessDeniedException", f"secretsmanager:GetSecretValue on resource: {arn} "):
            manager.get_secret_value(SecretId="web/key")
        machine.let(
            allow("ssm:GetParameter", resource=[f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/web/*"]),
            allow(
                "secretsmanager:GetSecretValue",
                resource=f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:web/key-??????",
            ),
        )
        assert ssm.get_parameter(Name="/web/key", WithDecryption=True)["Parameter"]["Value"] == "v"
        assert manager.get_secret_value(SecretId="web/key")["SecretString"] == "s"
        with refused("AccessDeniedException"):
            ssm.get_parameter(Name="/other")
        with refused("AccessDeniedException"):
            manager.get_secret_value(SecretId="other")

    def test_a_new_policy_takes_a_while_and_a_managed_one_counts(
        self, machine: Machine, versions: tuple[str, str]
    ) -> None:
        s3, asked = machine.client("s3"), {"Bucket": "artifacts", "Key": "web.tar.gz"}
        machine.iam.attach_role_policy(RoleName="web", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
        machine.network.clock.advance(9)
        with refused("AccessDenied", status=403):
            s3.get_object(**asked)
        machine.network.clock.advance(1)
        assert s3.get_object(**asked)["Body"].read() == b"2"
        machine.let({"Effect": "Deny", "Action": "s3:*", "Resource": "*"}, wait=9)
        assert s3.get_object(**asked)["Body"].read() == b"2"
        machine.network.clock.advance(1)
        with refused("AccessDenied", "explicit deny", 403):
            s3.get_object(**asked)

    def test_other_services_are_judged_by_their_actions(self, machine: Machine) -> None:
        own = {"StringEquals": {"aws:ResourceAccount": ACCOUNT}}
        machine.let(
            allow("ec2:DescribeInstances", Condition=own), allow("logs:*", Condition={"Bool": {"aws:x": "true"}})
        )
        assert machine.client("ec2").describe_instances()["Reservations"]
        with refused("UnauthorizedOperation", status=403):
            machine.client("ec2").describe_vpcs()
        with refused("AccessDenied", status=403):
            machine.client("elbv2").describe_load_balancers()
        with refused("AccessDeniedException"):
            machine.client("logs").describe_log_groups()
        assert ":assumed-role/web/i-" in machine.client("sts").get_caller_identity()["Arn"]

    def test_a_session_of_a_role_that_is_no_instances_isnt_judged(self, machine: Machine) -> None:
        trust = json.dumps(TRUST).replace('"Service": "ec2.amazonaws.com"', f'"AWS": "arn:aws:iam::{ACCOUNT}:root"')
        arn = client("iam").create_role(RoleName="deploy", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        key = client("sts").assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
        s3 = boto3.client("s3", region_name=REGION, aws_access_key_id=key["AccessKeyId"],
                          aws_secret_access_key=key["SecretAccessKey"], aws_session_token=key["SessionToken"])  # fmt: skip
        assert s3.list_buckets()["Buckets"] == []
