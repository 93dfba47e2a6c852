"""The snapshot says what the API says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.model.address import UserData
from alb_reconcile.sandbox.application import application_in
from alb_reconcile.sandbox.listening import find_refused
from alb_reconcile.sandbox.strict.world import World
from alb_reconcile.sandbox.traffic.moto_snapshot import take_snapshot
from alb_reconcile.sandbox.traffic.snapshot import HealthCheck, Instance, Snapshot, TargetState
from tests.harness import demo, load
from tests.kinds.hand import edited
from tests.kinds.test_listener import CERTIFICATES, upload_certificates
from tests.kinds.test_trust_store import FILES, LISTS, upload
from tests.sandbox.authorities import server_certificate
from tests.sandbox.strict_world import REGION, Network
from tests.sandbox.test_application import DATA

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import StrictAws, VirtualClock

APPLICATION = DATA.decode()
Look = Callable[[], Snapshot]


@pytest.fixture
def look(aws: StrictAws) -> Look:
    """What there is now."""

    def take() -> Snapshot:
        with aws._lock:
            for region in (REGION, "eu-west-1"):
                aws._settle(World(DEFAULT_ACCOUNT_ID, region), aws.clock())
            return take_snapshot(aws)

    return take


def test_load_balancers_appear_once_they_are_active_and_stay_as_they_were_taken(
    look: Look, network: Network, clock: VirtualClock
) -> None:
    assert look() == Snapshot()
    balancer, group = network.balancer(), network.target_group()
    listener = network.listener(balancer, group, 8080)
    late, early = network.rule(listener, 20, group), network.rule(listener, 3)
    assert look().load_balancers == ()
    clock.advance(60)
    before = look()
    (shown,) = before.load_balancers
    assert shown.arn == balancer
    assert shown.dns_name.endswith(".us-east-1.elb.amazonaws.com")
    assert shown.attributes["idle_timeout.timeout_seconds"] == "60"
    (found,) = shown.listeners
    assert (found.arn, found.protocol, found.port, found.certificates) == (listener, "HTTP", 8080, ())
    assert [rule.priority for rule in found.rules] == [3, 20, None]
    assert [rule.arn for rule in found.rules[:2]] == [early, late]
    assert found.rules[1].conditions[0]["Field"] == "path-pattern"
    forwarded = found.rules[2].actions[0]["ForwardConfig"]["TargetGroups"]
    assert [entry["TargetGroupArn"] for entry in forwarded] == [group]
    kept = repr(before)
    network.elb.modify_rule(RuleArn=late, Conditions=[{"Field": "path-pattern", "Values": ["/other"]}])
    pair = {"Key": "idle_timeout.timeout_seconds", "Value": "7"}
    network.elb.modify_load_balancer_attributes(LoadBalancerArn=balancer, Attributes=[pair])
    assert repr(before) == kept
    assert look() != before


def secure(network: Network, *arns: str, **more: Any) -> str:
    """An HTTPS listener with these certificates, of a load balancer that is active."""
    held = [{"CertificateArn": arn} for arn in arns]
    own = {"Protocol": "HTTPS", "Certificates": held[:1], **more}
    listener = network.listener(network.balancer(), network.target_group(), 443, **own)
    if held[1:]:
        network.elb.add_listener_certificates(ListenerArn=listener, Certificates=held[1:])
    network.clock.advance(60)
    return listener


def test_rules_have_their_transforms_and_listeners_their_tls(look: Look, network: Network, clock: VirtualClock) -> None:
    upload_certificates()
    upload()
    elb = network.elb
    bundle = {"CaCertificatesBundleS3Bucket": "our-ca", "CaCertificatesBundleS3Key": "ca.pem"}
    store = elb.create_trust_store(Name="clients", **bundle)["TrustStores"][0]["TrustStoreArn"]
    revoked = [{"S3Bucket": "our-ca", "S3Key": "a.crl"}]
    elb.add_trust_store_revocations(TrustStoreArn=store, RevocationContents=revoked)
    clock.advance(60)
    listener = secure(network, CERTIFICATES[0], MutualAuthentication={"Mode": "verify", "TrustStoreArn": store})
    key = "routing.http.response.x_frame_options.header_value"
    elb.modify_listener_attributes(ListenerArn=listener, Attributes=[{"Key": key, "Value": "DENY"}])
    rewrite = {"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/a", "Replace": "/b"}]}}
    elb.modify_rule(RuleArn=network.rule(listener, 1), Transforms=[rewrite])
    (found,) = look().load_balancers[0].listeners
    assert (found.policy, found.attributes[key]) == ("ELBSecurityPolicy-2016-08", "DENY")
    assert found.mutual is not None
    assert (found.mutual.mode, found.mutual.authorities) == ("verify", FILES["ca.pem"].decode())
    assert (found.mutual.revocations, found.mutual.ignores_expiry) == (LISTS["a.crl"].decode(), False)
    assert [rule.transforms for rule in found.rules] == [(rewrite,), ()]


def test_groups_have_their_settings_and_targets(look: Look, network: Network, clock: VirtualClock) -> None:
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
    found = look().target_groups[group]
    assert found.health_check == HealthCheck("HTTP", 9000, "/health", 10, 5, 3, 2, "200-299")
    assert (found.protocol, found.protocol_version) == ("HTTP", "HTTP1")
    assert found.attributes["deregistration_delay.timeout_seconds"] == "300"
    assert found.targets == (TargetState(one, 80, "healthy", False), TargetState(other, 8080, "draining", False))
    clock.advance(300)
    assert look().target_groups[group].targets == (TargetState(one, 80, "healthy", False),)


def test_targets_by_address_are_the_instances_that_have_it(look: Look, network: Network) -> None:
    group = network.target_group(TargetType="ip")
    instance = network.running()
    address = network.show(instance)["PrivateIpAddress"]
    outside = {"Id": "192.168.0.9", "Port": 80, "AvailabilityZone": "all"}
    network.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": address, "Port": 80}, outside])
    assert look().target_groups[group].targets == (
        TargetState(instance, 80, "unused", address=address),
        TargetState("192.168.0.9", 80, "unused", address="192.168.0.9"),
    )


def test_instances_have_the_digest_of_their_tag(look: Look, network: Network) -> None:
    content = b"#!/bin/sh\necho \xff\n"
    with_data, without = network.launch(UserData=content), network.launch()
    instances = {instance.id: instance for instance in look().instances}
    address = network.show(with_data)["PrivateIpAddress"]
    digest = UserData.of(content).digest
    assert instances[with_data] == Instance(with_data, "pending", f"{REGION}a", address, digest, 0, (80,))
    assert instances[without].user_data_digest == instances[without].owner == ""
    marks = {"alb-reconcile:stack": "shop", "alb-reconcile:address": "instance.web-1"}
    tags = [{"Key": key, "Value": value} for key, value in marks.items()]
    network.ec2.create_tags(Resources=[without], Tags=tags)
    assert {instance.owner for instance in look().instances} == {"", "instance.web-1 of shop"}


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
    look: Look, network: Network, user_data: str, ports: tuple[int, ...]
) -> None:
    network.launch(UserData=user_data)
    assert [found.ports for found in look().instances] == [ports]


@pytest.mark.parametrize(
    ("user_data", "check", "says"),
    [
        ("exec api", "traffic-port", "listen on port 80 and not on 8080, where target_group.web expects them"),
        ("exec api", "9090", "or: sandbox stop, and sandbox start --serve-ports 8080,9090"),
        ("PORT=8080 exec api", "9090", "PORT in their user data says so: write PORT=9090"),
        ("PORT=8080 exec api", "traffic-port", ""),
        (APPLICATION, "9090", "listen on port 8080 and not on 9090"),
        (APPLICATION, "9090", "Their application says so: give it port 9090"),
        (APPLICATION, "traffic-port", ""),
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


def test_an_instance_has_the_application_of_its_user_data(look: Look, network: Network) -> None:
    network.launch(UserData=APPLICATION)
    (found,) = look().instances
    assert (found.application, found.ports) == (application_in(DATA), (8080,))


def test_starts_and_reboots_are_counted_until_it_is_gone(look: Look, network: Network, clock: VirtualClock) -> None:
    def seen() -> list[tuple[str, int]]:
        return [(found.state, found.boots) for found in look().instances]

    ids = {"InstanceIds": [network.running()]}
    network.ec2.reboot_instances(**ids)
    assert seen() == [("running", 1)]
    network.ec2.stop_instances(**ids)
    clock.advance(60)
    assert seen() == [("stopped", 1)]
    network.ec2.start_instances(**ids)
    network.ec2.start_instances(**ids)  # which changes nothing
    assert seen() == [("pending", 2)]
    network.ec2.terminate_instances(**ids)
    assert seen() == [("shutting-down", 2)]
    clock.advance(60)
    assert seen() == []


def test_certificates_have_their_names(look: Look, network: Network) -> None:
    made = [
        boto3.client("acm", region_name=REGION).request_certificate(
            DomainName=f"{name}.example.com", SubjectAlternativeNames=[f"www.{name}.example.com"]
        )["CertificateArn"]
        for name in ("shop", "blog", "unused")
    ]
    secure(network, *made[:2])
    found = look()
    assert found.load_balancers[0].listeners[0].certificates == tuple(made[:2])
    assert {arn: set(names) for arn, names in found.certificates.items()} == {
        made[0]: {"shop.example.com", "www.shop.example.com"},
        made[1]: {"blog.example.com", "www.blog.example.com"},
    }


def test_an_imported_certificate_is_taken_with_its_key(look: Look, network: Network) -> None:
    certificate, key = server_certificate("shop.example.com")
    acm = boto3.client("acm", region_name=REGION)
    arn = acm.import_certificate(Certificate=certificate, PrivateKey=key)["CertificateArn"]
    secure(network, arn)
    found = look()
    assert (found.imported[arn].chain.strip(), found.imported[arn].key) == (certificate.strip(), key)
    assert key not in repr(found)
