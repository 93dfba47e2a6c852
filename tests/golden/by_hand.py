"""What people do beside the tool: in the account, and at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.e2e.tool import Account


def mine(account: Account, kind: str, name: str = "") -> list[dict[str, Any]]:
    """EC2's resources of the stacks, or of that address."""
    key, value = ("tag:alb-reconcile:address", f"{name}") if name else ("tag-key", "alb-reconcile:stack")
    filters = [{"Name": key, "Values": [value]}]
    found: dict[str, Any]
    if kind == "instance":
        states = {"Name": "instance-state-name", "Values": ["pending", "running", "stopped"]}
        found = account.ec2.describe_instances(Filters=[*filters, states])
        return [item for each in found["Reservations"] for item in each["Instances"]]
    found = getattr(account.ec2, f"describe_{kind}s")(Filters=filters)
    items: list[dict[str, Any]] = next(value for value in found.values() if isinstance(value, list))
    return items


def protect(account: Account) -> None:
    """The load balancer and web-1 are protected."""
    (balancer,) = account.elb.describe_load_balancers()["LoadBalancers"]
    account.elb.modify_load_balancer_attributes(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Attributes=[{"Key": "deletion_protection.enabled", "Value": "true"}],
    )
    (web,) = mine(account, "instance", "instance.web-1")
    account.ec2.modify_instance_attribute(InstanceId=web["InstanceId"], DisableApiTermination={"Value": True})


def tags_of(account: Account) -> str:
    """Each tag of each resource that carries a stack's: what other versions of the tool have to understand."""
    found: dict[str, dict[str, str]] = {}
    for item in account.ec2.describe_tags()["Tags"]:
        found.setdefault(item["ResourceId"], {})[item["Key"]] = item["Value"]
    arns = [item["LoadBalancerArn"] for item in account.elb.describe_load_balancers()["LoadBalancers"]]
    arns += [item["TargetGroupArn"] for item in account.elb.describe_target_groups()["TargetGroups"]]
    for arn in [arn for arn in arns if ":loadbalancer/" in arn]:
        listeners = account.elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
        arns += [item["ListenerArn"] for item in listeners]
    for item in account.elb.describe_tags(ResourceArns=arns)["TagDescriptions"] if arns else ():
        found[item["ResourceArn"]] = {each["Key"]: each["Value"] for each in item["Tags"]}
    lines = [
        f"{tags['alb-reconcile:address']} {identity.partition('-')[0].partition('/')[0].split(':')[-1]}\n"
        + "".join(f"  {key} = {value}\n" for key, value in sorted(tags.items()))
        for identity, tags in found.items()
        if "alb-reconcile:address" in tags
    ]
    return "".join(sorted(lines))
