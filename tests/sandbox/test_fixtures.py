"""What `sandbox prepare` makes: what a stack names or looks up and doesn't declare."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.kinds.images import PARAMETER, search_for
from alb_reconcile.model.lookup import Lookup
from alb_reconcile.sandbox.allowed_services import service_of
from alb_reconcile.sandbox.fixtures import make_others
from alb_reconcile.sandbox.preparation import describe
from alb_reconcile.sandbox.secrets import make_places
from alb_reconcile.sandbox.strict.world import World
from alb_reconcile.spec.stack import parse_stack
from tests.harness import SPECS
from tests.sandbox.strict_world import IMAGE, client

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alb_reconcile.sandbox.strict import StrictAws

REGION = "us-east-1"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:orders:live"
Make = Callable[..., list[str]]


def looked_up(kind: str, *, many: bool = False, ssm: str = "", **tags: str) -> dict[str, Any]:
    found = Lookup.of(kind, "ssm" if ssm else "tag", ssm or tags, many=many)
    return {
        "kind": kind, "tags": dict(found.tags), "parameter": found.parameter, "many": many, "words": found.words
    }  # fmt: skip


@pytest.fixture
def make(aws: StrictAws, tmp_path: Path) -> Make:
    """What is made for states and lookups, and nothing the second time."""

    def prepare(*states: dict[str, Any], lookups: Sequence[dict[str, Any]] = ()) -> list[str]:
        made = make_others(aws, REGION, [*states], [*lookups], tmp_path)
        assert make_others(aws, REGION, [*states], [*lookups], tmp_path) == []
        return made

    return prepare


def test_what_is_looked_up_is_made_in_the_vpc_that_is_looked_up(make: Make) -> None:
    lookups = [
        looked_up("subnet", many=True, Tier="private"),
        looked_up("security_group", Name="inner"),
        looked_up("internet_gateway", Name="way-out"),
        looked_up("vpc", Name="shared"),
    ]
    assert [line.partition(" (for ")[2] for line in make(lookups=lookups)] == [
        "tag Name=shared)", "tag Tier=private)", "tag Tier=private)", "tag Name=inner)", "tag Name=way-out)"
    ]  # fmt: skip
    ec2 = client("ec2")
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": ["shared"]}])["Vpcs"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "tag:Tier", "Values": ["private"]}])["Subnets"]
    assert {item["VpcId"] for item in subnets} == {vpc["VpcId"]}
    assert len({item["AvailabilityZone"] for item in subnets}) == 2


def test_a_parameter_gets_the_ids_of_what_is_made_for_it(make: Make) -> None:
    lookups = [looked_up("subnet", many=True, ssm="/net/subnets"), looked_up("vpc", ssm="/net/vpc")]
    assert len(make(lookups=lookups)) == 3
    found = client("ssm").get_parameters(Names=["/net/vpc", "/net/subnets"])["Parameters"]
    values = {item["Name"]: item["Value"].split(",") for item in found}
    subnets = client("ec2").describe_subnets(SubnetIds=values["/net/subnets"])["Subnets"]
    assert [item["VpcId"] for item in subnets] == values["/net/vpc"] * 2


def test_images_are_made_for_what_names_them(make: Make) -> None:
    ubuntu = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-*-server-*"
    states = [
        {"image_id": "ami-0a7c4e3b2d1f09876", "instance_type": "t4g.small"},
        {"image_id": "ami-0a7c4e3b2d1f09877", "instance_type": "t3.small"},
        {"image_id": IMAGE, "instance_type": "t3.small"},
        {"image_id": "ami-web", "instance_type": "t3.small"},  # no image has such an id
        {"image_id": search_for({"owner": "099720109477", "name": ubuntu, "architecture": "arm64"})},
        {"image_id": search_for({"owner": "self", "name": "golden-*", "architecture": "x86_64"})},
        {"image_id": f"{PARAMETER}/golden/image", "instance_type": "t4g.small"},
    ]
    assert len(make(*states)) == 5
    ec2 = client("ec2")
    found = ec2.describe_images(ImageIds=["ami-0a7c4e3b2d1f09876", "ami-0a7c4e3b2d1f09877"])["Images"]
    assert {image["Architecture"] for image in found} == {"arm64", "x86_64"}
    for owner, name in (("099720109477", ubuntu), ("self", "golden-*")):
        (image,) = ec2.describe_images(Owners=[owner], Filters=[{"Name": "name", "Values": [name]}])["Images"]
        ec2.run_instances(ImageId=image["ImageId"], InstanceType="t4g.small", MinCount=1, MaxCount=1)
    made = client("ssm").get_parameter(Name="/golden/image")["Parameter"]["Value"]
    assert ec2.describe_images(ImageIds=[made])["Images"][0]["Architecture"] == "arm64"


def test_a_function_has_a_policy_and_an_alias_and_is_never_run(make: Make) -> None:
    """moto would run functions in containers."""
    assert make({"target": FUNCTION}) == ["function orders (which nothing runs)"]
    assert client("lambda").get_alias(FunctionName="orders", Name="live")["FunctionVersion"] == "1"
    signed = {"HTTP_AUTHORIZATION": "AWS4-HMAC-SHA256 Credential=sandbox/20260101/us-east-1/lambda/aws4_request, …"}
    base, served = "/2015-03-31/functions", ("/orders/policy", "/orders/policy/ours", "/orders/configuration")
    for path in ("", *served, "/orders/invocations", "/orders"):
        assert bool(service_of({**signed, "PATH_INFO": f"{base}{path}"})) == (path in served)
    assert service_of({**signed, "PATH_INFO": f"{base}/orders/configuration", "REQUEST_METHOD": "PUT"}) is None


def test_what_trust_stores_name_is_made_with_a_client(make: Make, tmp_path: Path) -> None:
    file = tmp_path / "client.pem"
    made = make({
        "ca_certificates_bundle_s3_bucket": "our-ca",
        "ca_certificates_bundle_s3_key": "ca.pem",
        "revocations": [["our-lists", "a.crl", "", "CRL"]],  # a named tuple, as JSON tells it
    })  # fmt: skip
    assert made == [f"s3://our-ca/ca.pem, s3://our-lists/a.crl (a client's certificate and key: {file})"]
    assert file.stat().st_mode & 0o077 == 0
    bundle = {"CaCertificatesBundleS3Bucket": "our-ca", "CaCertificatesBundleS3Key": "ca.pem"}
    elb = client("elbv2")
    store = elb.create_trust_store(Name="clients", **bundle)["TrustStores"][0]["TrustStoreArn"]
    lists = [{"S3Bucket": "our-lists", "S3Key": "a.crl"}]
    assert elb.add_trust_store_revocations(TrustStoreArn=store, RevocationContents=lists)
    authority = x509.load_pem_x509_certificate(client("s3").get_object(Bucket="our-ca", Key="ca.pem")["Body"].read())
    x509.load_pem_x509_certificate(file.read_bytes()).verify_directly_issued_by(authority)


def test_buckets_for_logs_let_elastic_load_balancing_write(make: Make) -> None:
    made = make({"attributes": {"access_logs.s3.bucket": "our-logs", "connection_logs.s3.bucket": "log_bucket.own"}})
    assert made == ["bucket our-logs (Elastic Load Balancing may write logs to it)"]
    policy = client("s3").get_bucket_policy(Bucket="our-logs")["Policy"]
    assert "logdelivery.elasticloadbalancing.amazonaws.com" in policy


def test_client_secrets_are_made_where_they_are_said_to_be(make: Make) -> None:
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:web/oidc-a1B2c3"

    def secret(source: str, name: str, **more: str) -> dict[str, Any]:
        return {"client_secret": {"source": source, "name": name, "version": "", **more}}

    places = (("ssm", "/web/oidc"), ("secretsmanager", arn), ("secretsmanager", "plain"), ("env", "HERE"))
    inner = [{"action": {"authentication": secret(*place)}} for place in places]
    assert make(*inner, secret("secretsmanager", "web", json_key="client_secret"))[:3] == [
        "SSM parameter /web/oidc (a client secret)",
        f"secret {arn} (a client secret)",
        "secret plain (a client secret)",
    ]
    assert client("ssm").get_parameter(Name="/web/oidc", WithDecryption=True)["Parameter"]["Value"]
    texts = [client("secretsmanager").get_secret_value(SecretId=name)["SecretString"] for name in (arn, "plain", "web")]
    assert all(texts)
    assert json.loads(texts[2]) == {"client_secret": "sandbox"}


DECLARED = """\
stack: own
region: us-east-1
vpcs: {main: {cidr_block: 10.0.0.0/16}}
subnets:
  a: {cidr_block: 10.0.1.0/24, availability_zone: a}
  b: {cidr_block: 10.0.2.0/24, availability_zone: b}
internet_gateways: {main: {}}
elastic_ips: {nat: {}, web: {}}
nat_gateways: {a: {subnet: a, elastic_ip: nat}}
route_tables: {main: {subnets: [a, b], routes: [{destination_cidr_block: 0.0.0.0/0, internet_gateway: main}]}}
vpc_endpoints: {s3: {service_name: s3, route_tables: [main]}}
security_groups: {web: {description: web, ingress: [{protocol: tcp, port: 80, security_group: web}]}}
key_pairs: {ops: {public_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEZYhM3Ccjb+GXvNTzyb3iEcbnKnNCgaMxRgLBtsKxTF}}
instance_profiles: {web: {session_manager: true}, named: {name: our-web}}
instances:
  web:
    image_id: ami-04681a1dbd79675a5
    instance_type: t3.micro
    subnets: [a]
    security_groups: [web]
    key_name: ops
    iam_instance_profile: web
    elastic_ip: web
target_groups: {web: {protocol: HTTP, port: 80, targets: [web]}}
log_buckets: {logs: {}}
load_balancers:
  main:
    subnets: [a, b]
    security_groups: [web]
    attributes: {access_logs.s3.enabled: true, access_logs.s3.bucket: logs}
    listeners: {http: {protocol: HTTP, port: 80, default_action: {forward: web}}}
"""


def test_what_the_spec_declares_itself_isnt_made(make: Make) -> None:
    stack = parse_stack(DECLARED.encode(), "own.yaml", SPECS, {}, None)
    states = json.loads(json.dumps(describe(item.creation for item in stack.desired.values()), default=str))
    assert make(*states) == []


def test_an_instance_profile_has_a_role_that_ec2_may_take_and_that_may_do_everything(make: Make) -> None:
    assert make({"iam_instance_profile": "web"}) == ["instance profile web (its role may do everything)"]
    (role,) = client("iam").get_instance_profile(InstanceProfileName="web")["InstanceProfile"]["Roles"]
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "ec2.amazonaws.com"}
    document = client("iam").get_role_policy(RoleName=role["RoleName"], PolicyName="all")["PolicyDocument"]
    assert document["Statement"] == {"Effect": "Allow", "Action": "*", "Resource": "*"}


def test_what_an_application_names_is_made_once(aws: StrictAws) -> None:
    places = ["ssm:/web/key", "ssm:plain", "secretsmanager:db#user", "secretsmanager:db#password", "secretsmanager:api"]
    world = World(DEFAULT_ACCOUNT_ID, REGION)
    assert list(make_places(world, [*places, places[0]])) == [
        "SSM parameter /web/key (its value is 'sandbox')",
        "SSM parameter plain (its value is 'sandbox')",
        "secret db (its value of user, password is 'sandbox')",
        "secret api (its value is 'sandbox')",
    ]
    found = client("ssm").get_parameter(Name="/web/key", WithDecryption=True)["Parameter"]
    assert (found["Type"], found["Value"]) == ("SecureString", "sandbox")
    manager = client("secretsmanager")
    assert json.loads(manager.get_secret_value(SecretId="db")["SecretString"]) == {
        "user": "sandbox",
        "password": "sandbox",
    }
    assert manager.get_secret_value(SecretId="api")["SecretString"] == "sandbox"
    assert list(make_places(world, places)) == []
    ssm_arn = f"arn:aws:ssm:{REGION}:{DEFAULT_ACCOUNT_ID}:parameter/"
    assert list(make_places(world, [f"ssm:{ssm_arn}plain", f"ssm:{ssm_arn}web/key"])) == []
