"""Settings that AWS refuses: of disks, tags, attributes, health checks, actions and conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import Network, client, refused, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import StrictAws

ROOT = "/dev/xvda"
SHOWN = {"InstanceMetadataTags": "enabled"}


@pytest.fixture
def certificate(aws: StrictAws) -> str:
    return str(client("acm").request_certificate(DomainName="example.com")["CertificateArn"])


def disk(**settings: Any) -> list[dict[str, Any]]:
    """The root disk of a launch."""
    return [{"DeviceName": ROOT, "Ebs": settings}]


def tagged(**tags: str) -> list[dict[str, Any]]:
    return [{"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]


class TestDisks:
    """Of RunInstances."""

    @pytest.mark.parametrize(
        ("settings", "code", "message"),
        [
            ({"VolumeType": "io1"}, "InvalidParameterCombination", "iops must be specified for io1"),
            ({"VolumeType": "io2", "Iops": 99}, "InvalidParameterValue", "iops of 99"),
            ({"VolumeType": "io1", "Iops": 64_001}, "InvalidParameterValue", "iops of 64001"),
            ({"VolumeType": "gp3", "Iops": 2999}, "InvalidParameterValue", "iops of 2999"),
            ({"VolumeType": "gp2", "Iops": 3000}, "InvalidParameterCombination", "not supported for gp2"),
            ({"VolumeType": "st1", "VolumeSize": 125}, "InvalidParameterCombination", "not supported for st1"),
            ({"VolumeType": "sc1", "VolumeSize": 125}, "InvalidParameterCombination", "not supported for sc1"),
            ({"VolumeType": "gp2", "VolumeSize": 16_385}, "InvalidParameterValue", "16385GiB"),
            ({"VolumeType": "standard", "VolumeSize": 1025}, "InvalidParameterValue", "1025GiB"),
            ({"VolumeType": "gp9"}, "InvalidParameterValue", "gp9"),
            ({"VolumeSize": 14}, "InvalidBlockDeviceMapping", "14GB is smaller than snapshot .* size >= 15GB"),
        ],
    )
    def test_impossible_ones_are_refused(
        self, network: Network, settings: dict[str, Any], code: str, message: str
    ) -> None:
        refuses(f"{code}: {message}", network.launch, BlockDeviceMappings=disk(**settings))

    def test_possible_ones_are_made(self, network: Network, ec2: Any) -> None:
        network.launch(BlockDeviceMappings=disk(VolumeType="io2", Iops=256_000, VolumeSize=15))
        (volume,) = ec2.describe_volumes()["Volumes"]
        assert (volume["VolumeType"], volume["Iops"], volume["Size"]) == ("io2", 256_000, 15)
        network.launch(
            BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeType": "st1", "VolumeSize": 125}}]
        )


class TestMetadataTags:
    """Keys of an instance that can read its own tags."""

    def test_at_launch(self, network: Network) -> None:
        for key in ("cost center", "team/shop", "_index", ".", "caf\u00e9"):
            with refused("InvalidParameterValue", "is not a valid tag key"):
                network.launch(MetadataOptions=SHOWN, TagSpecifications=tagged(**{key: "x"}))
        network.launch(MetadataOptions=SHOWN, TagSpecifications=tagged(**{"alb-reconcile:stack": "a b/c"}))
        network.launch(TagSpecifications=tagged(**{"cost center/team": "x"}))

    def test_later(self, network: Network, ec2: Any) -> None:
        instance = network.running(TagSpecifications=tagged(**{"cost center": "x"}))
        with refused("InvalidParameterValue", "'cost center' is not a valid tag key"):
            ec2.modify_instance_metadata_options(InstanceId=instance, **SHOWN)
        ec2.delete_tags(Resources=[instance], Tags=[{"Key": "cost center"}])
        ec2.modify_instance_metadata_options(InstanceId=instance, **SHOWN)
        with refused("InvalidParameterValue", "'a/b' is not a valid tag key"):
            ec2.create_tags(Resources=[instance], Tags=[{"Key": "a/b", "Value": "x"}])
        ec2.create_tags(Resources=[instance, network.vpc], Tags=[{"Key": "a.b", "Value": "x"}])
        ec2.create_tags(Resources=[network.vpc], Tags=[{"Key": "a/b", "Value": "x"}])


def test_tags_of_load_balancing_have_fewer_characters(network: Network, elb: Any) -> None:
    group = network.target_group(Tags=[{"Key": "na\u00efve key", "Value": "\u00bd \u6771\u4eac +-=._:/@"}])
    for bad in ("snow\u2603man", "a,b", "e\u0301", "\U0001f600", "tab\t"):
        for tag in ({"Key": bad, "Value": "x"}, {"Key": "x", "Value": bad}):
            refuses("ValidationError: contains a character that is not valid", network.target_group, "two", Tags=[tag])
            with refused("ValidationError", "contains a character that is not valid"):
                elb.add_tags(ResourceArns=[group], Tags=[tag])
    refuses("ValidationError: reserved", elb.add_tags, ResourceArns=[group], Tags=[{"Key": "Aws:x", "Value": "x"}])


def test_a_trailing_blank_of_a_groups_name_is_trimmed(network: Network, ec2: Any) -> None:
    network.security_group("shop  ")
    found = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [network.vpc]}])["SecurityGroups"]
    assert {group["GroupName"] for group in found} == {"default", "web", "shop"}
    refuses("InvalidGroup.Duplicate", network.security_group, "shop ")


class TestAttributes:
    """Of load balancers and target groups."""

    @pytest.mark.parametrize(
        ("key", "value", "code"),
        [
            ("load_balancing.cross_zone.enabled", "false", "InvalidConfigurationRequest"),
            ("connection_logs.s3.enabled", "true", "InvalidConfigurationRequest"),
            ("health_check_logs.s3.enabled", "true", "InvalidConfigurationRequest"),
            ("routing.http.desync_mitigation_mode", "strict", "ValidationError"),
            ("routing.http.xff_header_processing.mode", "", "ValidationError"),
            ("client_keep_alive.seconds", "59", "ValidationError"),
            ("dns_record.client_routing_policy", "any_availability_zone", "ValidationError"),
        ],
    )
    def test_of_balancers(self, network: Network, elb: Any, key: str, value: str, code: str) -> None:
        arn = network.balancer()
        with refused(code):
            elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[{"Key": key, "Value": value}])

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("slow_start.duration_seconds", "1"),
            ("slow_start.duration_seconds", "29"),
            ("slow_start.duration_seconds", "901"),
            ("load_balancing.algorithm.type", "random"),
            ("load_balancing.cross_zone.enabled", "off"),
            ("stickiness.type", "source_ip"),
            ("target_group_health.dns_failover.minimum_healthy_targets.count", "0"),
            ("target_group_health.dns_failover.minimum_healthy_targets.percentage", "101"),
            ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "off"),
            ("waf.http2.traffic_inspection_behavior", "inspect_immediately"),
            ("routing.http2.rst_stream_error_forwarding.enabled", "true"),
            ("proxy_protocol_v2.enabled", "true"),
        ],
    )
    def test_of_groups(self, network: Network, elb: Any, key: str, value: str) -> None:
        self.refused(elb, network.target_group(), "ValidationError", {key: value})

    def refused(self, elb: Any, group: str, code: str, wanted: dict[str, str]) -> None:
        refuses(code, self.change, elb, group, wanted)

    def change(self, elb: Any, group: str, wanted: dict[str, str]) -> None:
        pairs = [{"Key": key, "Value": value} for key, value in wanted.items()]
        elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=pairs)

    def test_that_go_with_a_protocol_version(self, network: Network, elb: Any) -> None:
        two, grpc = network.target_group("two", ProtocolVersion="HTTP2"), network.target_group(ProtocolVersion="GRPC")
        for group in (two, grpc):
            self.change(elb, group, {"routing.http2.rst_stream_error_forwarding.enabled": "true"})
        inspection = {"waf.http2.traffic_inspection_behavior": "inspect_after_sufficient_data"}
        self.change(elb, two, inspection)
        self.refused(elb, grpc, "ValidationError", inspection)

    def test_that_exclude_each_other(self, network: Network, elb: Any) -> None:
        group = network.target_group()
        algorithm, slow = "load_balancing.algorithm.type", "slow_start.duration_seconds"
        anomaly, cookie = "load_balancing.algorithm.anomaly_mitigation", "stickiness.app_cookie.cookie_name"
        for wanted in (
            {algorithm: "weighted_random", slow: "30"},
            {anomaly: "on"},
            {cookie: "AWSALBTG"},
            {"stickiness.enabled": "true", "stickiness.type": "app_cookie"},
        ):
            self.refused(elb, group, "InvalidConfigurationRequest", wanted)
        self.change(elb, group, {slow: "30"})
        self.refused(elb, group, "InvalidConfigurationRequest", {algorithm: "least_outstanding_requests"})
        self.change(elb, group, {slow: "0", algorithm: "weighted_random", anomaly: "on"})
        self.change(elb, group, {"stickiness.enabled": "true", "stickiness.type": "app_cookie", cookie: "session"})


def test_matchers(network: Network, elb: Any) -> None:
    for version, kind, good, bad in (
        ("HTTP1", "HttpCode", ("200", "200-499", "200,301-302"), ("199", "500", "100-199", "200-500", "200,", "x")),
        ("GRPC", "GrpcCode", ("0", "0-99", "1,12"), ("100", "0-100", "-1")),
    ):
        group = network.target_group(version, ProtocolVersion=version)
        for text in good:
            elb.modify_target_group(TargetGroupArn=group, Matcher={kind: text})
        for text in bad:
            refuses("ValidationError", elb.modify_target_group, TargetGroupArn=group, Matcher={kind: text})
            refuses("ValidationError", network.target_group, "other", ProtocolVersion=version, Matcher={kind: text})
        with refused("ValidationError"):
            elb.modify_target_group(
                TargetGroupArn=group, Matcher={"GrpcCode" if kind == "HttpCode" else "HttpCode": "1"}
            )


def test_a_grpc_group_has_its_own_defaults(network: Network, elb: Any) -> None:
    group = network.target_group(ProtocolVersion="GRPC")
    (shown,) = elb.describe_target_groups(TargetGroupArns=[group])["TargetGroups"]
    assert shown["Matcher"] == {"GrpcCode": "12"}
    assert shown["HealthCheckPath"] == "/AWS.ALB/healthcheck"
    assert network.target_group(ProtocolVersion="GRPC") == group


class TestActions:
    """Of listeners and rules."""

    @pytest.mark.parametrize("version", ["HTTP2", "GRPC"])
    def test_http_2_needs_an_https_listener(self, network: Network, elb: Any, certificate: str, version: str) -> None:
        balancer, group = network.balancer(), network.target_group(ProtocolVersion=version)
        plain = network.listener(balancer, network.target_group("plain"))
        secure = {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": certificate}]}
        with refused("InvalidLoadBalancerAction", f"'HTTP' is not supported .* '{version}'"):
            network.listener(balancer, group, 81)
        refuses("InvalidLoadBalancerAction", network.rule, plain, 1, group)
        listener = network.listener(balancer, group, 443, **secure)
        network.rule(listener, 1, group)
        refuses("InvalidLoadBalancerAction", elb.modify_listener, ListenerArn=listener, Protocol="HTTP")

    @pytest.mark.parametrize(
        "redirect",
        [
            {"Protocol": "HTTP", "Port": "80"},
            {"Protocol": "HTTPS", "Port": "443"},
            {"Port": "443"},
            {"Protocol": "#{protocol}", "Host": "#{host}", "Path": "/#{path}", "Query": "a=b"},
        ],
    )
    def test_redirects_that_aws_refuses(
        self, network: Network, elb: Any, certificate: str, redirect: dict[str, str]
    ) -> None:
        action = {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", **redirect}}
        secure = {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": certificate}]}
        balancer = network.balancer()
        refuses("InvalidLoadBalancerAction", network.listener, balancer, "", 443, **secure, DefaultActions=[action])
        listener = network.listener(balancer, network.target_group(), 443, **secure)
        refuses("InvalidLoadBalancerAction", elb.modify_listener, ListenerArn=listener, DefaultActions=[action])
        path = [{"Field": "path-pattern", "Values": ["/x"]}]
        with refused("InvalidLoadBalancerAction"):
            elb.create_rule(ListenerArn=listener, Priority=1, Conditions=path, Actions=[action])


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("host-header", ["localhost"]),
        ("host-header", ["*"]),
        ("host-header", ["10.0.0.1"]),
        ("host-header", ["shop.example.com", "www._"]),
        ("host-header", ["example.com."]),
        ("path-pattern", ["/*/*/*/*", "/?/?/?"]),
    ],
)
def test_conditions_that_aws_refuses(network: Network, elb: Any, field: str, values: list[str]) -> None:
    listener = network.listener(network.balancer(), network.target_group())
    rule = network.rule(listener, 7)
    config = "HostHeaderConfig" if field == "host-header" else "PathPatternConfig"
    conditions = [{"Field": field, config: {"Values": values}}]
    action = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    with refused("ValidationError"):
        elb.create_rule(ListenerArn=listener, Priority=1, Conditions=conditions, Actions=[action])
    refuses("ValidationError", elb.modify_rule, RuleArn=rule, Conditions=conditions)


def test_conditions_that_aws_takes(network: Network, elb: Any) -> None:
    rule = network.rule(network.listener(network.balancer(), network.target_group()), 7)
    hosts = {
        "Field": "host-header",
        "HostHeaderConfig": {"Values": ["*.Example.com", "shop-?.org", "alerts-eu-west-1a.*"]},
    }
    paths = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*/*", "/?"]}}
    elb.modify_rule(RuleArn=rule, Conditions=[hosts, paths])
