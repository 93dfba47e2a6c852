"""`sync` as a scheduler runs it: what it says of each state of a stack, and its log lines off a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.golden.by_hand import mine

if TYPE_CHECKING:
    from tests.golden.scene import Scene

STACK: Final = """\
stack: {name}
region: us-east-1
vpcs:
  main: {{cidr_block: 10.{number}.0.0/16}}
security_groups:
  web: {{description: web, ingress: [{{protocol: tcp, port: 80, cidr_block: 10.0.0.0/8}}]}}
"""
DRIFT: Final = "somebody renames a VPC"


def stacks(scene: Scene) -> None:
    """Two stacks, applied."""
    for number, name in enumerate(("one", "two"), 1):
        scene.write(f"stacks/{name}.yaml", STACK.format(name=name, number=number))
        scene.run("apply", "--yes", f"stacks/{name}.yaml")


def disturb(scene: Scene, stack: str) -> None:
    """Somebody renames the stack's VPC."""
    scene.note(f"{DRIFT} of {stack}")
    for vpc in mine(scene.account, "vpc"):
        if {"Key": "alb-reconcile:stack", "Value": stack} in vpc["Tags"]:
            scene.account.ec2.create_tags(Resources=[vpc["VpcId"]], Tags=[{"Key": "Name", "Value": "another"}])


@pytest.mark.slow
def test_sync(scene: Scene) -> None:
    """In order, drift, a spec that isn't applied, and broken ones; one stack and many."""
    stacks(scene)
    scene.run("sync", "stacks")
    scene.run("sync", "--format", "json", "stacks/one.yaml")
    scene.run("sync", "-q", "stacks/*.yaml")
    disturb(scene, "two")
    scene.run("plan", "stacks/two.yaml")
    scene.run("sync", "stacks")
    disturb(scene, "two")
    scene.run("sync", "-v", "--format", "json", "stacks/two.yaml")
    scene.write("stacks/one.yaml", STACK.format(name="one", number=1) + "  more: {description: more}\n")
    disturb(scene, "two")
    scene.run("sync", "-q", "stacks")
    scene.run("sync", "--format", "json", "stacks/one.yaml")
    scene.run("sync", "--apply-changes", "stacks/one.yaml")
    scene.write("stacks/bad.yaml", "stack: bad\nregion: nowhere\n")
    scene.write("stacks/again.yml", STACK.format(name="one", number=1))
    scene.run("sync", "stacks")
    scene.run("sync", "--format", "json", "stacks")
    scene.run("sync", "stacks/bad.yaml", "gone.yaml")
    scene.run("history", "stacks/two.yaml")
    scene.check()


@pytest.mark.slow
def test_sync_gone(scene: Scene) -> None:
    """A stack of which nothing is there: destroyed by somebody else, destroyed here, forgotten here."""
    scene.write("one.yaml", STACK.format(name="one", number=1))
    scene.run("apply", "--yes", "one.yaml")
    scene.run("sync", "one.yaml")
    scene.run("destroy", "--yes", "one.yaml", ALB_RECONCILE_STATE_DIR=str(scene.folder / "somebody-else"))
    scene.run("sync", "-q", "--issue", "issues", "one.yaml")
    scene.run("plan", "one.yaml")
    for command in ("destroy", "forget"):
        scene.run("apply", "--yes", "one.yaml")
        scene.run(command, "--yes", "one.yaml")
        scene.run("sync", "-q", "one.yaml")
    scene.check()


@pytest.mark.slow
def test_sync_leaves(scene: Scene) -> None:
    """What is left to a person, by default, by the spec, and by a tag."""
    scene.run("apply", "--yes", "demo.yaml")
    account = scene.account
    (web,) = mine(account, "instance", "instance.web-1")
    scene.note("somebody opens a port, renames the VPC and terminates web-1; a tag keeps web-2, which is renamed")
    account.ec2.terminate_instances(InstanceIds=[web["InstanceId"]])
    account.ec2.get_waiter("instance_terminated").wait(InstanceIds=[web["InstanceId"]], WaiterConfig={"Delay": 1})
    (group,) = mine(account, "security_group", "security_group.web")
    account.ec2.authorize_security_group_ingress(
        GroupId=group["GroupId"], IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
    )
    (vpc,) = mine(account, "vpc", "vpc.main")
    account.ec2.create_tags(Resources=[vpc["VpcId"]], Tags=[{"Key": "Name", "Value": "other"}])
    (web,) = mine(account, "instance", "instance.web-2")
    until = {"Key": "alb-reconcile:ignore-until", "Value": "2099-01-01T00:00Z"}
    account.ec2.create_tags(Resources=[web["InstanceId"]], Tags=[until, {"Key": "Name", "Value": "mine"}])
    text = (scene.folder / "demo.yaml").read_text()
    (scene.folder / "told.yaml").write_text(
        f"{text}\nsync: {{correct: [], report: [update, create], ignore: [vpc.main]}}\n"
    )
    scene.note("told.yaml: the demo with sync: {correct: [], report: [update, create], ignore: [vpc.main]}")
    scene.run("sync", "told.yaml")
    scene.run("sync", "demo.yaml")
    account.ec2.delete_tags(Resources=[web["InstanceId"]], Tags=[until])
    (web,) = mine(account, "instance", "instance.web-1")
    scene.note("the tag is taken away, and somebody stops web-1")
    account.ec2.stop_instances(InstanceIds=[web["InstanceId"]])
    account.ec2.get_waiter("instance_stopped").wait(InstanceIds=[web["InstanceId"]], WaiterConfig={"Delay": 1})
    scene.run("sync", "demo.yaml")
    scene.run("sync", "--format", "json", "demo.yaml")
    scene.run("apply", "--yes", "demo.yaml")
    scene.check()
