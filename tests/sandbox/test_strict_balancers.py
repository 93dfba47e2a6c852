"""Load balancers: making, changing and deleting them, and the interfaces they leave behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import Network, refused, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock


def test_provisioning_takes_time(network: Network, elb: Any, clock: VirtualClock) -> None:
    made = elb.create_load_balancer(Name="lb", Subnets=list(network.subnets), SecurityGroups=[network.group])
    assert made["LoadBalancers"][0]["State"]["Code"] == "provisioning"
    assert made["LoadBalancers"][0]["Scheme"] == "internet-facing"
    clock.advance(59)
    assert elb.describe_load_balancers(Names=["lb"])["LoadBalancers"][0]["State"]["Code"] == "provisioning"
    clock.advance(1)
    assert elb.describe_load_balancers(Names=["lb"])["LoadBalancers"][0]["State"]["Code"] == "active"


def test_it_has_an_interface_a_subnet(network: Network, ec2: Any, elb: Any, clock: VirtualClock) -> None:
    arn = network.balancer()
    found = ec2.describe_network_interfaces(Filters=[{"Name": "description", "Values": ["ELB app/lb/*"]}])
    interfaces = found["NetworkInterfaces"]
    assert {eni["SubnetId"] for eni in interfaces} == set(network.subnets)
    for eni in interfaces:
        assert eni["Description"] == "ELB " + arn.split(":loadbalancer/")[1]
        assert (eni["RequesterId"], eni["Status"]) == ("amazon-elb", "in-use")
        assert [group["GroupId"] for group in eni["Groups"]] == [network.group]
        assert eni["Association"]["PublicIp"]
    elb.delete_load_balancer(LoadBalancerArn=arn)
    clock.advance(59)
    assert len(network.interfaces()) == 2
    clock.advance(1)
    assert network.interfaces() == []


def test_interfaces_follow_subnets_and_groups(network: Network, elb: Any, clock: VirtualClock) -> None:
    arn, other = network.balancer(), network.security_group("other")
    third = network.subnet("10.0.3.0/24", "us-east-1c")
    elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=[other])
    assert {g["GroupId"] for eni in network.interfaces() for g in eni["Groups"]} == {other}
    elb.set_subnets(LoadBalancerArn=arn, Subnets=[network.subnets[0], third])
    clock.advance(170)
    assert len(network.interfaces()) == 3, "clients know the address of the one that is left for minutes"
    clock.advance(10)
    assert {eni["SubnetId"] for eni in network.interfaces()} == {network.subnets[0], third}


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("x" * 33, "longer than"),
        ("-x", "hyphen"),
        ("x-", "hyphen"),
        ("x_y", "alphanumeric"),
        ("internal-x", "internal-"),
    ],
)
def test_bad_names_are_refused(network: Network, name: str, match: str) -> None:
    refuses(f"ValidationError: {match}", network.balancer, name)


def test_two_zones_are_needed(network: Network, elb: Any) -> None:
    same_zone = network.subnet("10.0.4.0/24", "us-east-1a")
    refuses("ValidationError: two different Availability Zones", network.balancer, Subnets=[network.subnets[0]])
    with refused("InvalidConfigurationRequest", "same Availability Zone"):
        network.balancer(Subnets=[network.subnets[0], same_zone])
    refuses("SubnetNotFound", network.balancer, Subnets=[network.subnets[0], "subnet-00000000000000000"])
    arn = network.balancer()
    refuses("ValidationError", elb.set_subnets, LoadBalancerArn=arn, Subnets=[network.subnets[0]])


def test_all_is_of_one_vpc(network: Network, ec2: Any, elb: Any, clock: VirtualClock) -> None:
    other = Network.make(ec2, elb, clock, "10.1.0.0/16")
    refuses("InvalidConfigurationRequest", network.balancer, Subnets=[network.subnets[0], other.subnets[1]])
    refuses("InvalidConfigurationRequest: security groups are invalid", network.balancer, SecurityGroups=[other.group])
    refuses("InvalidSecurityGroup", network.balancer, SecurityGroups=["sg-00000000000000000"])
    arn = network.balancer()
    refuses("InvalidConfigurationRequest", elb.set_subnets, LoadBalancerArn=arn, Subnets=list(other.subnets))
    refuses("InvalidConfigurationRequest", elb.set_security_groups, LoadBalancerArn=arn, SecurityGroups=[other.group])


def test_facing_the_internet_needs_a_gateway(network: Network, ec2: Any) -> None:
    ec2.detach_internet_gateway(InternetGatewayId=network.gateway, VpcId=network.vpc)
    refuses(f"InvalidSubnet: VPC {network.vpc} has no internet gateway", network.balancer)
    network.balancer(Scheme="internal")


def test_it_needs_eight_free_addresses_in_each_subnet(network: Network, elb: Any) -> None:
    """Of the eleven in a /28: eight are left, then seven."""
    small = [network.subnet(f"10.0.9.{start}/28", zone) for start, zone in ((0, "us-east-1a"), (16, "us-east-1b"))]
    for _ in range(3):
        network.launch(SubnetId=small[1])
    network.balancer("fits", Subnets=small)
    arn = network.balancer("elsewhere")
    with refused("InvalidSubnet", f"Not enough IP space available in {small[1]}. ELB requires at least 8 free"):
        network.balancer("full", Subnets=small)
    refuses(f"InvalidSubnet: {small[1]}", elb.set_subnets, LoadBalancerArn=arn, Subnets=[network.subnets[0], small[1]])
    fits = elb.describe_load_balancers(Names=["fits"])["LoadBalancers"][0]["LoadBalancerArn"]
    elb.set_subnets(LoadBalancerArn=fits, Subnets=small)  # where it is already it asks for nothing more


def test_the_same_again_is_the_same(network: Network, elb: Any) -> None:
    tags = [{"Key": "owner", "Value": "first"}]
    arn = network.balancer(Tags=tags)
    subnets = list(reversed(network.subnets))
    assert network.balancer(Subnets=subnets, Tags=[{"Key": "owner", "Value": "second"}]) == arn
    assert elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"] == tags
    refuses("DuplicateLoadBalancerName", network.balancer, Scheme="internal")
    refuses("DuplicateTagKeys", network.balancer, "two", Tags=[*tags, *tags])


def test_deletion_protection(network: Network, elb: Any) -> None:
    arn = network.balancer()
    lock = {"Key": "deletion_protection.enabled", "Value": "true"}
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[lock])
    refuses("OperationNotPermitted", elb.delete_load_balancer, LoadBalancerArn=arn)
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[lock | {"Value": "false"}])
    elb.delete_load_balancer(LoadBalancerArn=arn)
    elb.delete_load_balancer(LoadBalancerArn=arn)
    refuses("LoadBalancerNotFound", elb.describe_load_balancers, LoadBalancerArns=[arn])


def test_attributes_have_their_real_defaults(network: Network, elb: Any) -> None:
    arn = network.balancer()
    answer = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    held = {item["Key"]: item["Value"] for item in answer}
    assert held["idle_timeout.timeout_seconds"] == "60"
    assert held["access_logs.s3.enabled"] == "false"
    assert held["routing.http.drop_invalid_header_fields.enabled"] == "false"
    change = {"Key": "idle_timeout.timeout_seconds", "Value": "30"}
    answer = elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[change])["Attributes"]
    assert {item["Key"]: item["Value"] for item in answer} == held | {"idle_timeout.timeout_seconds": "30"}


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("idle_timeout.seconds", "30", "ValidationError"),
        ("idle_timeout.timeout_seconds", "0", "ValidationError"),
        ("routing.http2.enabled", "yes", "ValidationError"),
        ("access_logs.s3.enabled", "true", "InvalidConfigurationRequest"),
    ],
)
def test_bad_attributes_are_refused(network: Network, elb: Any, key: str, value: str, code: str) -> None:
    arn = network.balancer()
    refuses(code, elb.modify_load_balancer_attributes, LoadBalancerArn=arn, Attributes=[{"Key": key, "Value": value}])


def test_every_balancer_named_must_exist(network: Network, elb: Any) -> None:
    arn = network.balancer()
    refuses("LoadBalancerNotFound", elb.describe_load_balancers, LoadBalancerArns=[arn, arn + "0"])
    refuses("LoadBalancerNotFound", elb.describe_load_balancers, Names=["lb", "nobody"])
    refuses("ValidationError", elb.describe_load_balancers, LoadBalancerArns=[arn] * 21)


def test_a_deleted_balancer_takes_its_listeners_along(network: Network, elb: Any) -> None:
    arn, group = network.balancer(), network.target_group()
    listener = network.listener(arn, group)
    refuses("ResourceInUse", elb.delete_target_group, TargetGroupArn=group)
    elb.delete_load_balancer(LoadBalancerArn=arn)
    refuses("ListenerNotFound", elb.describe_listeners, ListenerArns=[listener])
    elb.delete_target_group(TargetGroupArn=group)
    elb.delete_target_group(TargetGroupArn=group)


def test_names_in_dns_tell_balancers_apart(network: Network, elb: Any) -> None:
    network.balancer()
    network.balancer("inside", Scheme="internal")
    inside, outside = elb.describe_load_balancers()["LoadBalancers"]
    assert inside["DNSName"].startswith("internal-inside-")
    assert outside["DNSName"].startswith("lb-")


def test_tags_are_described_all_or_none(network: Network, elb: Any) -> None:
    arn = network.balancer()
    group = network.target_group()
    listener = network.listener(arn, group)
    rule = network.rule(listener, 1)
    for number in range(50):
        elb.add_tags(ResourceArns=[arn], Tags=[{"Key": f"k{number}", "Value": "v"}])
    refuses("TooManyTags", elb.add_tags, ResourceArns=[arn], Tags=[{"Key": "more", "Value": "v"}])
    assert len(elb.describe_tags(ResourceArns=[arn, group, listener, rule])["TagDescriptions"]) == 4
    missing = {
        arn: "LoadBalancerNotFound",
        group: "TargetGroupNotFound",
        listener: "ListenerNotFound",
        rule: "RuleNotFound",
    }
    for known, code in missing.items():
        refuses(code, elb.describe_tags, ResourceArns=[arn, known[:-1] + "z"])
    refuses("ValidationError", elb.describe_tags, ResourceArns=[arn] * 21)
