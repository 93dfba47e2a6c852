"""What people do beside the tool: in the account, and at a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.e2e.tool import Account
    from tests.golden.scene import Ended, Scene


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


def at_terminal(scene: Scene, *arguments: str, answer: str, prompt: str) -> Ended:
    """Run a command at a terminal, and type an answer where it asks."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        scene.tool.arguments(*arguments), cwd=scene.folder, env=scene.environment,
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        seen, typed, deadline = b"", not prompt, time.monotonic() + 60
        while True:
            if not select.select([ours], [], [], 1)[0]:
                assert time.monotonic() < deadline, f"it hangs:\n{seen.decode()}"
                continue
            try:
                seen += os.read(ours, 4096)
            except OSError:  # Linux's way to say that the other side has gone
                break
            if not typed and prompt.encode() in seen:
                os.write(ours, f"{answer}\n".encode())
                typed = True
        os.close(ours)
        code = process.wait(30)
    return subprocess.CompletedProcess(arguments, code, seen.decode().replace("\r\n", "\n"), "")
