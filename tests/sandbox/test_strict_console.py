"""What EC2 tells of an instance's console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sandbox.strict_world import refused

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import StrictAws
    from tests.sandbox.strict_world import Network


def test_it_is_what_the_instance_has_written(network: Network, aws: StrictAws) -> None:
    instance = network.running()
    told = network.ec2.get_console_output(InstanceId=instance)
    assert (told["InstanceId"], told["Output"]) == (instance, "")
    aws.console = {instance: "größer\n".encode()}.__getitem__
    later = network.ec2.get_console_output(InstanceId=instance)
    assert later["Output"] == "größer\n"
    network.clock.advance(5)
    assert (network.ec2.get_console_output(InstanceId=instance)["Timestamp"] - later["Timestamp"]).total_seconds() == 5


def test_an_instance_that_isnt_there_has_none(network: Network) -> None:
    with refused("InvalidInstanceID.NotFound"):
        network.ec2.get_console_output(InstanceId="i-0123456789abcdef0")
