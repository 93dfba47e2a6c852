"""The snapshot says what the API says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
import trustme
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

from alb_reconcile.model.address import UserData
from alb_reconcile.sandbox.listening import find_refused
from alb_reconcile.sandbox.strict.world import World
from alb_reconcile.sandbox.traffic.moto_snapshot import take_snapshot
from alb_reconcile.sandbox.traffic.snapshot import HealthCheck, Instance, Snapshot, TargetState
from tests.harness import demo, load
from tests.kinds.hand import edited
from tests.kinds.test_listener import CERTIFICATES, upload_certificates
from tests.kinds.test_trust_store import FILES, LISTS, upload
from tests.sandbox.authorities import server_certificate
from tests.sandbox.strict_world import REGION, Network, client

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import StrictAws, VirtualClock


def look(aws: StrictAws) -> Snapshot:
    with aws._lock:
        for region in (REGION, "eu-west-1"):
            aws._settle(World(DEFAULT_ACCOUNT_ID, region), aws.clock())
        return take_snapshot(aws)


def test_an_empty_account_gives_an_empty_snapshot(aws: StrictAws) -> None:
    assert look(aws) == Snapshot()


def test_load_balancers_appear_once_they_are_active(aws: StrictAws, network: Network, clock: VirtualClock) -> None:
    arn = network.balancer()
    network.listener(arn, network.target_group())
    assert look(aws).load_balancers == ()
    clock.advance(60)
    (found,) = look(aws).load_balancers
    assert found.arn == arn
    assert found.dns_name.endswith(".us-east-1.elb.amazonaws.com")
    assert found.attributes["idle_timeout.timeout_seconds"] == "60"


def test_rules_are_in_the_order_of_their_priorities_and_the_default_is_last(
    aws: StrictAws, network: Network, clock: VirtualClock
) -> None:
    balancer, group = network.balancer(), network.target_group()
    listener = network.listener(balancer, group, 8080)
    late, early = network.rule(listener, 20, group), network.rule(listener, 3)
    clock.advance(60)
    (found,) = look(aws).load_balancers[0].listeners
    assert (found.arn, found.protocol, found.port, found.certificates) == (listener, "HTTP", 8080, ())
    assert [rule.priority for rule in found.rules] == [3, 20, None]
    assert [rule.arn for rule in found.rules[:2]] == [early, late]
    assert found.rules[1].conditions[0]["Field"] == "path-pattern"
    forwarded = found.rules[2].actions[0]["ForwardConfig"]["TargetGroups"]
    assert [entry["TargetGroupArn"] for entry in forwarded] == [group]


def test_rules_have_their_transforms_and_listeners_their_tls(
    aws: StrictAws, network: Network, clock: VirtualClock
) -> None:
    upload_certificates()
    upload()
    elb, group = network.elb, network.target_group()
    bundle = {"CaCertificatesBundleS3Bucket": "our-ca", "CaCertificatesBundleS3Key": "ca.pem"}
    store = elb.create_trust_store(Name="clients", **bundle)["TrustStores"][0]["TrustStoreArn"]
    revoked = [{"S3Bucket": "our-ca", "S3Key": "a.crl"}]
    elb.add_trust_store_revocations(TrustStoreArn=store, RevocationContents=revoked)
    clock.advance(60)
    listener = network.listener(
        network.balancer(), group, 443, Protocol="HTTPS", Certificates=[{"CertificateArn": CERTIFICATES[0]}],
        MutualAuthentication={"Mode": "verify", "TrustStoreArn": store},
    )  # fmt: skip
    key = "routing.http.response.x_frame_options.header_value"
    elb.modify_listener_attributes(ListenerArn=listener, Attributes=[{"Key": key, "Value": "DENY"}])
    rewrite = {"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/a", "Replace": "/b"}]}}
    elb.modify_rule(RuleArn=network.rule(listener, 1), Transforms=[rewrite])
    clock.advance(60)
    (found,) = look(aws).load_balancers[0].listeners
    assert found.policy == "ELBSecurityPolicy-2016-08"
    assert found.attributes[key] == "DENY"
    assert found.mutual is not None
    assert (found.mutual.mode, found.mutual.authorities) == ("verify", FILES["ca.pem"].decode())
    assert (found.mutual.revocations, found.mutual.ignores_expiry) == (LISTS["a.crl"].decode(), False)
    assert [rule.transforms for rule in found.rules] == [(rewrite,), ()]


def test_a_snapshot_stays_as_it_was_taken(aws: StrictAws, network: Network, clock: VirtualClock) -> None:
    balancer, group = network.balancer(), network.target_group()
    rule = network.rule(network.listener(balancer, group), 1)
    clock.advance(60)
    before = look(aws)
    kept = repr(before)
    network.elb.modify_rule(RuleArn=rule, Conditions=[{"Field": "path-pattern", "Values": ["/other"]}])
    network.elb.modify_load_balancer_attributes(
        LoadBalancerArn=balancer, Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "7"}]
    )
    assert repr(before) == kept
    assert look(aws) != before


def test_groups_have_their_settings_and_targets(aws: StrictAws, network: Network, clock: VirtualClock) -> None:
    checks = {"HealthCheckPath": "/health", "HealthCheckIntervalSeconds": 10, "HealthyThresholdCount": 3}
    matcher = {"Matcher": {"HttpCode": "200-299"}, "HealthCheckPort": "9000"}
    balancer, group = network.balancer(), network.target_group(**checks, **matcher)
    network.listener(balancer, group)
    clock.advance(60)
    one, other = network.running(), network.running()
    targets = [{"Id": one}, {"Id": other, "Port": 8080}]
    network.elb.register_targets(TargetGroupArn=group, Targets=targets)
    clock.advance(60)
    network.elb.deregister_targets(TargetGroupArn=group, Targets=targets[1:])
    found = look(aws).target_groups[group]
    assert found.health_check == HealthCheck("HTTP", 9000, "/health", 10, 5, 3, 2, "200-299")
    assert (found.protocol, found.protocol_version) == ("HTTP", "HTTP1")
    assert found.attributes["deregistration_delay.timeout_seconds"] == "300"
    assert found.targets == (TargetState(one, 80, "healthy", False), TargetState(other, 8080, "draining", False))
    assert look(aws).target_groups[group] == found
    clock.advance(300)
    assert look(aws).target_groups[group].targets == (TargetState(one, 80, "healthy", False),)


def test_targets_by_address_are_the_instances_that_have_it(aws: StrictAws, network: Network) -> None:
    group = network.target_group(TargetType="ip")
    instance = network.running()
    row = network.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    address = row["PrivateIpAddress"]
    outside = {"Id": "192.168.0.9", "Port": 80, "AvailabilityZone": "all"}
    network.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": address, "Port": 80}, outside])
    assert look(aws).target_groups[group].targets == (
        TargetState(instance, 80, "unused", address=address),
        TargetState("192.168.0.9", 80, "unused", address="192.168.0.9"),
    )


def test_instances_have_the_digest_of_their_tag(aws: StrictAws, network: Network, clock: VirtualClock) -> None:
    content = b"#!/bin/sh\necho \xff\n"
    with_data, without = network.launch(UserData=content), network.launch()
    instances = {instance.id: instance for instance in look(aws).instances}
    address = network.show(with_data)["PrivateIpAddress"]
    digest = UserData.of(content).digest
    assert instances[with_data] == Instance(with_data, "pending", f"{REGION}a", address, digest, 0, (80,))
    assert instances[without].user_data_digest == instances[without].owner == ""
    marks = [
        {"Key": "alb-reconcile:stack", "Value": "shop"},
        {"Key": "alb-reconcile:address", "Value": "instance.web-1"},
    ]
    network.ec2.create_tags(Resources=[without], Tags=marks)
    assert {instance.owner for instance in look(aws).instances} == {"", "instance.web-1 of shop"}
    clock.advance(10)
    assert {instance.state for instance in look(aws).instances} == {"running"}


@pytest.mark.parametrize(
    ("user_data", "ports"),
    [
        ("#!/bin/sh\nPORT=8080 exec api\n", (8080,)),
        ("export PORT='9000'; Environment=PORT=9001 HTTP_PORT=9002 PORTS=1 PORT=9000", (9000, 9001)),
        ("docker run -p 8080:8080 api", (80,)),
        ("PORT=${PORT:-8080} PORT=99999999", (80,)),
    ],
)
def test_an_instance_listens_where_its_user_data_says(
    aws: StrictAws, network: Network, user_data: str, ports: tuple[int, ...]
) -> None:
    network.launch(UserData=user_data)
    assert [found.ports for found in look(aws).instances] == [ports]


@pytest.mark.parametrize(
    ("user_data", "check", "says"),
    [
        ("exec api", "traffic-port", "listen on port 80 and not on 8080, where target_group.web expects them"),
        ("exec api", "9090", "or: sandbox stop, and sandbox start --serve-ports 8080,9090"),
        ("PORT=8080 exec api", "9090", "PORT in their user data says so: write PORT=9090"),
        ("PORT=8080 exec api", "traffic-port", ""),
    ],
)
def test_a_port_at_which_no_instance_listens_is_told_beforehand(user_data: str, check: str, says: str) -> None:
    spec = edited(demo(), "target_groups/web/port", 8080)
    spec = edited(spec, "instances/web/user_data", user_data)
    spec = edited(spec, "target_groups/web/health_check/port", check)
    spec["target_groups"]["web"]["targets"].append("i-0123456789abcdef0")  # of which nothing is known
    lines = find_refused(load(spec).desired, "80")
    assert len(lines) == bool(says)
    assert all(
        line.startswith("spec.yaml:") and ": target_groups.web.port: " in line and says in line for line in lines
    )


def test_starts_and_reboots_are_counted(aws: StrictAws, network: Network, clock: VirtualClock) -> None:
    instance = network.running()
    network.ec2.reboot_instances(InstanceIds=[instance])
    assert [found.boots for found in look(aws).instances] == [1]
    network.ec2.stop_instances(InstanceIds=[instance])
    clock.advance(60)
    assert [(found.state, found.boots) for found in look(aws).instances] == [("stopped", 1)]
    network.ec2.start_instances(InstanceIds=[instance])
    network.ec2.start_instances(InstanceIds=[instance])  # which changes nothing
    assert [(found.state, found.boots) for found in look(aws).instances] == [("pending", 2)]


def test_terminated_instances_are_gone(aws: StrictAws, network: Network, clock: VirtualClock) -> None:
    instance = network.running()
    network.ec2.terminate_instances(InstanceIds=[instance])
    assert [found.state for found in look(aws).instances] == ["shutting-down"]
    clock.advance(60)
    assert look(aws).instances == ()


def test_certificates_have_their_names(aws: StrictAws, network: Network, clock: VirtualClock) -> None:
    acm = boto3.client("acm", region_name=REGION)
    made = [
        acm.request_certificate(DomainName=name, SubjectAlternativeNames=[f"www.{name}"])["CertificateArn"]
        for name in ("shop.example.com", "blog.example.com", "unused.example.com")
    ]
    balancer, group = network.balancer(), network.target_group()
    own = {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": made[0]}]}
    listener = network.listener(balancer, group, 443, **own)
    network.elb.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": made[1]}])
    clock.advance(60)
    found = look(aws)
    assert found.load_balancers[0].listeners[0].certificates == (made[0], made[1])
    assert {arn: set(names) for arn, names in found.certificates.items()} == {
        made[0]: {"shop.example.com", "www.shop.example.com"},
        made[1]: {"blog.example.com", "www.blog.example.com"},
    }


def test_an_imported_certificate_is_taken_with_its_key(aws: StrictAws, network: Network, clock: VirtualClock) -> None:
    certificate, key = server_certificate("shop.example.com")
    acm = boto3.client("acm", region_name=REGION)
    arn = acm.import_certificate(Certificate=certificate, PrivateKey=key)["CertificateArn"]
    own = {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": arn}]}
    network.listener(network.balancer(), network.target_group(), 443, **own)
    clock.advance(60)
    found = look(aws)
    assert (found.imported[arn].chain.strip(), found.imported[arn].key) == (certificate.strip(), key)
    assert key not in repr(found)


def test_server_certificates_of_iam_have_theirs(aws: StrictAws, network: Network, clock: VirtualClock) -> None:
    issued = trustme.CA().issue_cert("shop.example.com", "*.shop.example.com", "10.0.0.1")
    iam = boto3.client("iam", region_name=REGION)
    arn = iam.upload_server_certificate(
        ServerCertificateName="shop",
        CertificateBody=issued.cert_chain_pems[0].bytes().decode(),
        PrivateKey=issued.private_key_pem.bytes().decode(),
    )["ServerCertificateMetadata"]["Arn"]
    own = {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": arn}]}
    network.listener(network.balancer(), network.target_group(), 443, **own)
    clock.advance(60)
    assert look(aws).certificates == {arn: ("shop.example.com", "*.shop.example.com")}
    (kept,) = iam_backends[DEFAULT_ACCOUNT_ID]["aws"].certificates.values()
    kept.cert_body = "no PEM"
    assert look(aws).certificates == {}


@pytest.mark.parametrize("region", ["eu-west-1"])
def test_all_regions_are_in_it(aws: StrictAws, network: Network, region: str) -> None:
    far = client("ec2", region)
    image = far.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    launched = far.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    ids = {network.launch(), launched["Instances"][0]["InstanceId"]}
    assert {instance.id for instance in look(aws).instances} == ids
