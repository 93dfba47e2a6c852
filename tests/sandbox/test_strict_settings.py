"""Settings that AWS refuses: of disks, tags, attributes, health checks, actions and conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import Network, client, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import StrictAws

SHOWN = {"InstanceMetadataTags": "enabled"}


@pytest.fixture
def secure(aws: StrictAws) -> dict[str, Any]:
    """What makes a listener one of HTTPS."""
    arn = client("acm").request_certificate(DomainName="example.com")["CertificateArn"]
    return {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": arn}]}


def disk(name: str = "/dev/xvda", **settings: Any) -> list[dict[str, Any]]:
    """The root disk of a launch."""
    return [{"DeviceName": name, "Ebs": settings}]


def tagged(*keys: str) -> list[dict[str, Any]]:
    return [{"ResourceType": "instance", "Tags": [{"Key": key, "Value": "a b/c"} for key in keys]}]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"VolumeType": "io1"}, "InvalidParameterCombination: iops must be specified for io1"),
        ({"VolumeType": "io2", "Iops": 99}, "InvalidParameterValue: iops of 99"),
        ({"VolumeType": "io1", "Iops": 64_001}, "InvalidParameterValue: iops of 64001"),
        ({"VolumeType": "gp3", "Iops": 2999}, "InvalidParameterValue: iops of 2999"),
        ({"VolumeType": "gp2", "Iops": 3000}, "InvalidParameterCombination: not supported for gp2"),
        ({"VolumeType": "st1", "VolumeSize": 125}, "InvalidParameterCombination: not supported for st1"),
        ({"VolumeType": "sc1", "VolumeSize": 125}, "InvalidParameterCombination: not supported for sc1"),
        ({"VolumeType": "gp2", "VolumeSize": 16_385}, "InvalidParameterValue: 16385GiB"),
        ({"VolumeType": "standard", "VolumeSize": 1025}, "InvalidParameterValue: 1025GiB"),
        ({"VolumeType": "gp9"}, "InvalidParameterValue: gp9"),
        ({"VolumeSize": 14}, "InvalidBlockDeviceMapping: 14GB is smaller than snapshot .* size >= 15GB"),
    ],
)
def test_impossible_disks_are_refused(network: Network, settings: dict[str, Any], told: str) -> None:
    refuses(told, network.launch, BlockDeviceMappings=disk(**settings))


def test_keys_of_tags_of_an_instance_that_can_read_its_own(network: Network, ec2: Any) -> None:
    told, change = "InvalidParameterValue: is not a valid tag key", ec2.modify_instance_metadata_options
    for key in ("cost center", "team/shop", "_index", ".", "caf\u00e9"):
        refuses(told, network.launch, MetadataOptions=SHOWN, TagSpecifications=tagged(key))
    network.launch(MetadataOptions=SHOWN, TagSpecifications=tagged("alb-reconcile:stack"))
    instance = network.running(TagSpecifications=tagged("cost center"))
    refuses("InvalidParameterValue: 'cost center' is not a valid tag key", change, InstanceId=instance, **SHOWN)
    ec2.delete_tags(Resources=[instance], Tags=[{"Key": "cost center"}])
    change(InstanceId=instance, **SHOWN)
    slashed = [{"Key": "a/b", "Value": "x"}]
    refuses(told, ec2.create_tags, Resources=[instance], Tags=slashed)
    ec2.create_tags(Resources=[instance, network.vpc], Tags=[{"Key": "a.b", "Value": "x"}])
    ec2.create_tags(Resources=[network.vpc], Tags=slashed)


def test_tags_of_load_balancing_have_fewer_characters(network: Network, elb: Any) -> None:
    told = "ValidationError: contains a character that is not valid"
    group = [network.target_group(Tags=[{"Key": "na\u00efve key", "Value": "\u00bd \u6771\u4eac +-=._:/@"}])]
    for bad in ("snow\u2603man", "a,b", "e\u0301", "\U0001f600", "tab\t"):
        for tag in ({"Key": bad, "Value": "x"}, {"Key": "x", "Value": bad}):
            refuses(told, network.target_group, "two", Tags=[tag])
            refuses(told, elb.add_tags, ResourceArns=group, Tags=[tag])
    refuses("ValidationError: reserved", elb.add_tags, ResourceArns=group, Tags=[{"Key": "Aws:x", "Value": "x"}])


def change(elb: Any, group: str, wanted: dict[str, str]) -> None:
    pairs = [{"Key": key, "Value": value} for key, value in wanted.items()]
    elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=pairs)


def test_attributes_of_groups(network: Network, elb: Any) -> None:
    group, health = network.target_group(), "target_group_health"
    for key, value in (
        *(("slow_start.duration_seconds", value) for value in ("1", "29", "901")),
        ("load_balancing.algorithm.type", "random"),
        ("load_balancing.cross_zone.enabled", "off"),
        ("stickiness.type", "source_ip"),
        (f"{health}.dns_failover.minimum_healthy_targets.count", "0"),
        (f"{health}.dns_failover.minimum_healthy_targets.percentage", "101"),
        (f"{health}.unhealthy_state_routing.minimum_healthy_targets.count", "off"),
        ("waf.http2.traffic_inspection_behavior", "inspect_immediately"),
        ("routing.http2.rst_stream_error_forwarding.enabled", "true"),
        ("proxy_protocol_v2.enabled", "true"),
    ):
        refuses("ValidationError", change, elb, group, {key: value})


def test_attributes_that_exclude_each_other(network: Network, elb: Any) -> None:
    group, code = network.target_group(), "InvalidConfigurationRequest"
    algorithm, slow = "load_balancing.algorithm.type", "slow_start.duration_seconds"
    anomaly, cookie = "load_balancing.algorithm.anomaly_mitigation", "stickiness.app_cookie.cookie_name"
    sticky = {"stickiness.enabled": "true", "stickiness.type": "app_cookie"}
    for wanted in ({algorithm: "weighted_random", slow: "30"}, {anomaly: "on"}, {cookie: "AWSALBTG"}, sticky):
        refuses(code, change, elb, group, wanted)
    change(elb, group, {slow: "30"})
    refuses(code, change, elb, group, {algorithm: "least_outstanding_requests"})
    change(elb, group, {slow: "0", algorithm: "weighted_random", anomaly: "on"})
    change(elb, group, {**sticky, cookie: "session"})


@pytest.mark.parametrize("version", ["HTTP2", "GRPC"])
def test_http_2_needs_an_https_listener(network: Network, elb: Any, secure: dict[str, Any], version: str) -> None:
    balancer, group, code = (
        network.balancer(),
        network.target_group(ProtocolVersion=version),
        "InvalidLoadBalancerAction",
    )
    plain = network.listener(balancer, network.target_group("plain"))
    refuses(f"{code}: 'HTTP' is not supported .* '{version}'", network.listener, balancer, group, 81)
    refuses(code, network.rule, plain, 1, group)
    listener = network.listener(balancer, group, 443, **secure)
    network.rule(listener, 1, group)
    refuses(code, elb.modify_listener, ListenerArn=listener, Protocol="HTTP")


def test_redirects_that_aws_refuses(network: Network, elb: Any, secure: dict[str, Any]) -> None:
    balancer, code, path = network.balancer(), "InvalidLoadBalancerAction", {"Field": "path-pattern", "Values": ["/x"]}
    redirects: list[dict[str, Any]] = [
        {"Protocol": "HTTP", "Port": "80"},
        {"Protocol": "HTTPS", "Port": "443"},
        {"Port": "443"},
        {"Protocol": "#{protocol}", "Host": "#{host}", "Path": "/#{path}", "Query": "a=b"},
    ]
    actions = [{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", **config}} for config in redirects]
    for action in actions:
        refuses(code, network.listener, balancer, "", 443, **secure, DefaultActions=[action])
    listener = {"ListenerArn": network.listener(balancer, network.target_group(), 443, **secure)}
    for action in actions:
        refuses(code, elb.modify_listener, **listener, DefaultActions=[action])
        refuses(code, elb.create_rule, **listener, Priority=1, Conditions=[path], Actions=[action])


def test_conditions_that_aws_refuses_and_takes(network: Network, elb: Any) -> None:
    listener = network.listener(network.balancer(), network.target_group())
    rule = network.rule(listener, 7)

    def condition(field: str, *values: str) -> list[dict[str, Any]]:
        config = "HostHeaderConfig" if field == "host-header" else "PathPatternConfig"
        return [{"Field": field, config: {"Values": [*values]}}]

    fixed = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
    for conditions in (
        condition("host-header", "localhost"),
        condition("host-header", "*"),
        condition("host-header", "10.0.0.1"),
        condition("host-header", "shop.example.com", "www._"),
        condition("host-header", "example.com."),
        condition("path-pattern", "/*/*/*/*", "/?/?/?"),
        [{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "Host", "Values": ["x"]}}],
        [{"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["get"]}}],
        [{"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.1"]}}],
        [{"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["(?=a)"]}}],
        [{"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["("]}}],
    ):
        wanted = {"ListenerArn": listener, "Priority": 1, "Conditions": conditions, "Actions": fixed}
        refuses("ValidationError", elb.create_rule, **wanted)
        refuses("ValidationError", elb.modify_rule, RuleArn=rule, Conditions=conditions)
    hosts = condition("host-header", "*.Example.com", "shop-?.org", "alerts-eu-west-1a.*")
    elb.modify_rule(RuleArn=rule, Conditions=hosts + condition("path-pattern", "/*/*", "/?"))
    for text in (r"^/[\w.*+]+$", r"^/a\*+$", r"^/\\1$"):  # stars and pluses that stand for themselves
        regex = {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": [text]}}
        elb.modify_rule(RuleArn=rule, Conditions=[regex])
    rewrite, broken = (
        {"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": regex, "Replace": "b"}]}}
        for regex in ("a", "a++")
    )
    for transforms in ([rewrite, rewrite], [broken]):
        refuses("ValidationError", elb.modify_rule, RuleArn=rule, Transforms=transforms)
