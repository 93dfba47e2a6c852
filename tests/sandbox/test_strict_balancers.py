"""Load balancers: making, changing and deleting them, and the interfaces they leave behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.sandbox.strict_world import Network, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock


def test_provisioning_takes_time(network: Network, elb: Any, clock: VirtualClock) -> None:
    def shown(name: str) -> dict[str, Any]:
        return dict(elb.describe_load_balancers(Names=[name])["LoadBalancers"][0])

    network.balancer()
    network.balancer("inside", Scheme="internal")
    outside, inside = shown("lb"), shown("inside")
    assert (outside["State"]["Code"], outside["Scheme"]) == ("provisioning", "internet-facing")
    assert outside["DNSName"].startswith("lb-")
    assert inside["DNSName"].startswith("internal-inside-")
    clock.advance(59)
    assert shown("lb")["State"]["Code"] == "provisioning"
    clock.advance(1)
    assert shown("lb")["State"]["Code"] == "active"


def test_it_has_an_interface_a_subnet(network: Network, ec2: Any, elb: Any, clock: VirtualClock) -> None:
    arn, other = network.balancer(), network.security_group("other")
    found = ec2.describe_network_interfaces(Filters=[{"Name": "description", "Values": ["ELB app/lb/*"]}])
    assert {eni["SubnetId"] for eni in found["NetworkInterfaces"]} == set(network.subnets)
    for eni in found["NetworkInterfaces"]:
        assert eni["Description"] == "ELB " + arn.split(":loadbalancer/")[1]
        assert (eni["RequesterId"], eni["Status"]) == ("amazon-elb", "in-use")
        assert [group["GroupId"] for group in eni["Groups"]] == [network.group]
        assert eni["Association"]["PublicIp"]
    third = network.subnet("10.0.3.0/24", "us-east-1c")
    elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=[other])
    assert {g["GroupId"] for eni in network.interfaces() for g in eni["Groups"]} == {other}
    elb.set_subnets(LoadBalancerArn=arn, Subnets=[network.subnets[0], third])
    clock.advance(170)
    assert len(network.interfaces()) == 3, "clients know the address of the one that is left for minutes"
    clock.advance(10)
    assert {eni["SubnetId"] for eni in network.interfaces()} == {network.subnets[0], third}
    elb.delete_load_balancer(LoadBalancerArn=arn)
    clock.advance(59)
    assert len(network.interfaces()) == 2
    clock.advance(1)
    assert network.interfaces() == []


def test_two_zones_of_one_vpc_are_needed(network: Network, ec2: Any, elb: Any, clock: VirtualClock) -> None:
    first, config = network.subnets[0], "InvalidConfigurationRequest"
    same_zone, other = network.subnet("10.0.4.0/24", "us-east-1a"), Network.make(ec2, elb, clock, "10.1.0.0/16")
    for code, subnets in (
        ("ValidationError: two different Availability Zones", [first]),
        (f"{config}: same Availability Zone", [first, same_zone]),
        ("SubnetNotFound", [first, "subnet-00000000000000000"]),
        (config, [first, other.subnets[1]]),
    ):
        refuses(code, network.balancer, Subnets=subnets)
    refuses(f"{config}: security groups are invalid", network.balancer, SecurityGroups=[other.group])
    refuses("InvalidSecurityGroup", network.balancer, SecurityGroups=["sg-00000000000000000"])
    held = {"LoadBalancerArn": network.balancer()}
    refuses("ValidationError", elb.set_subnets, **held, Subnets=[first])
    refuses(config, elb.set_subnets, **held, Subnets=list(other.subnets))
    refuses(config, elb.set_security_groups, **held, SecurityGroups=[other.group])
    ec2.detach_internet_gateway(**other.attachment)
    refuses(f"InvalidSubnet: VPC {other.vpc} has no internet gateway", other.balancer, "outside")
    other.balancer("inside", Scheme="internal")


def test_it_needs_eight_free_addresses_in_each_subnet(network: Network, elb: Any) -> None:
    """Of the eleven in a /28: eight are left, then seven."""
    small = [network.subnet(f"10.0.9.{start}/28", zone) for start, zone in ((0, "us-east-1a"), (16, "us-east-1b"))]
    network.launch_several(3, SubnetId=small[1])
    fits, arn = network.balancer("fits", Subnets=small), network.balancer("elsewhere")
    told = f"InvalidSubnet: Not enough IP space available in {small[1]}. ELB requires at least 8 free"
    refuses(told, network.balancer, "full", Subnets=small)
    refuses(told, elb.set_subnets, LoadBalancerArn=arn, Subnets=[network.subnets[0], small[1]])
    elb.set_subnets(LoadBalancerArn=fits, Subnets=small)  # where it is already it asks for nothing more


def test_the_same_again_is_the_same(network: Network, elb: Any) -> None:
    tags = [{"Key": "owner", "Value": "first"}]
    arn = network.balancer(Tags=tags)
    subnets = list(reversed(network.subnets))
    assert network.balancer(Subnets=subnets, Tags=[{"Key": "owner", "Value": "second"}]) == arn
    assert elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"] == tags
    refuses("DuplicateLoadBalancerName", network.balancer, Scheme="internal")
    refuses("DuplicateTagKeys", network.balancer, "two", Tags=[*tags, *tags])


def test_deletion_protection_and_what_is_named_must_exist(network: Network, elb: Any) -> None:
    arn, lock = network.balancer(), {"Key": "deletion_protection.enabled", "Value": "true"}
    describe = elb.describe_load_balancers
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[lock])
    refuses("OperationNotPermitted", elb.delete_load_balancer, LoadBalancerArn=arn)
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[lock | {"Value": "false"}])
    refuses("LoadBalancerNotFound", describe, LoadBalancerArns=[arn, arn + "0"])
    refuses("LoadBalancerNotFound", describe, Names=["lb", "nobody"])
    refuses("ValidationError", describe, LoadBalancerArns=[arn] * 21)
    elb.delete_load_balancer(LoadBalancerArn=arn)
    elb.delete_load_balancer(LoadBalancerArn=arn)
    refuses("LoadBalancerNotFound", describe, LoadBalancerArns=[arn])


def test_attributes_have_their_real_defaults(network: Network, elb: Any) -> None:
    arn = network.balancer()
    answer = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    held, timeout = {item["Key"]: item["Value"] for item in answer}, "idle_timeout.timeout_seconds"
    assert held[timeout] == "60"
    assert held["access_logs.s3.enabled"] == "false"
    assert held["routing.http.drop_invalid_header_fields.enabled"] == "false"

    def change(key: str, value: str) -> Any:
        return elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[{"Key": key, "Value": value}])

    assert {item["Key"]: item["Value"] for item in change(timeout, "30")["Attributes"]} == held | {timeout: "30"}
    for key, value, code in (
        ("idle_timeout.seconds", "30", "ValidationError"),
        (timeout, "0", "ValidationError"),
        ("routing.http2.enabled", "yes", "ValidationError"),
        ("access_logs.s3.enabled", "true", "InvalidConfigurationRequest"),
        ("load_balancing.cross_zone.enabled", "false", "InvalidConfigurationRequest"),
        ("connection_logs.s3.enabled", "true", "InvalidConfigurationRequest"),
        ("health_check_logs.s3.enabled", "true", "InvalidConfigurationRequest"),
        ("routing.http.desync_mitigation_mode", "strict", "ValidationError"),
        ("routing.http.xff_header_processing.mode", "", "ValidationError"),
        ("client_keep_alive.seconds", "59", "ValidationError"),
        ("dns_record.client_routing_policy", "any_availability_zone", "ValidationError"),
    ):
        refuses(code, change, key, value)


def test_a_deleted_balancer_takes_its_listeners_along(network: Network, elb: Any) -> None:
    arn, group = network.balancer(), network.target_group()
    listener = network.listener(arn, group)
    refuses("ResourceInUse", elb.delete_target_group, TargetGroupArn=group)
    elb.delete_load_balancer(LoadBalancerArn=arn)
    refuses("ListenerNotFound", elb.describe_listeners, ListenerArns=[listener])
    elb.delete_target_group(TargetGroupArn=group)
    elb.delete_target_group(TargetGroupArn=group)


def test_tags_are_described_all_or_none(network: Network, elb: Any) -> None:
    arn, group = network.balancer(), network.target_group()
    listener = network.listener(arn, group)
    rule = network.rule(listener, 1)
    elb.add_tags(ResourceArns=[arn], Tags=[{"Key": f"k{number}", "Value": "v"} for number in range(50)])
    refuses("TooManyTags", elb.add_tags, ResourceArns=[arn], Tags=[{"Key": "more", "Value": "v"}])
    assert len(elb.describe_tags(ResourceArns=[arn, group, listener, rule])["TagDescriptions"]) == 4
    for known, kind in ((arn, "LoadBalancer"), (group, "TargetGroup"), (listener, "Listener"), (rule, "Rule")):
        refuses(f"{kind}NotFound", elb.describe_tags, ResourceArns=[arn, known[:-1] + "z"])
    refuses("ValidationError", elb.describe_tags, ResourceArns=[arn] * 21)
