"""Applies the passage of time: changes that have fallen due since the last request happen now, in order."""

from collections.abc import Callable
from typing import Any

from moto.ec2.models.instances import InstanceState

from . import nat
from .clock import Timing
from .ec2_endpoints import end_endpoint
from .ec2_ranges import happen_to_range
from .health import Health
from .world import World

STATE_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}


def settle(
    world: World, now: float, timing: Timing, health: Health, before_change: Callable[[World, float], None]
) -> None:
    """Bring the world to the present. `before_change` is called before each event that changes more than states."""
    for when, kind, subject in world.ledger.due(now):
        if kind != "state":
            before_change(world, when)
        show_states(world, when)
        happen(world, when, kind, subject, timing)
        health.evaluate(world, when, timing)
    show_states(world, now)
    health.evaluate(world, now, timing)


def show_states(world: World, now: float) -> None:
    """Write the states at that time into moto's objects, and change nothing else."""
    ec2, ledger = world.ec2, world.ledger
    for instance in world.instances():
        if instance.id in ledger.instances:
            state = ledger.instances[instance.id].state(now)
            if instance._state.name != state:
                instance._state = InstanceState(state, STATE_CODES[state])
    for endpoint_id, timeline in ledger.endpoints.items():
        if endpoint_id in ec2.vpc_end_points:
            ec2.vpc_end_points[endpoint_id].state = timeline.state(now)
    nat.show(world, now)
    for arn, balancer in world.elb.load_balancers.items():
        balancer.state = ledger.balancers[arn].state(now) if arn in ledger.balancers else "active"


def happen(world: World, when: float, kind: str, subject: str, timing: Timing) -> None:
    if kind == "release":
        world.remove_interface(subject)
    elif kind == "terminated":
        end_instance(world, subject)
        world.ledger.schedule(when + timing.tags_linger, "untag", subject)
        world.ledger.schedule(when + timing.terminated_visible, "vanish", subject)
    elif kind == "untag":  # AWS EC2, 'Terminate Amazon EC2 instances': tags are 'gradually disassociated'
        world.ec2.tags.pop(subject, None)
    elif kind == "vanish":
        forget_instance(world, subject)
    elif kind == "attached":
        show_attached(world, subject)
    elif kind == "range":
        happen_to_range(world, subject)
    elif kind == "endpoint":
        end_endpoint(world, subject)
    elif kind.startswith("nat "):
        nat.happen(world, when, kind, subject, timing)
    elif kind == "drained":
        group, instance_id, port = subject.split(" ")
        targets = world.ledger.targets.get(group, {})
        target = targets.get((instance_id, int(port)))
        if target and target.gone_at == when:
            del targets[(instance_id, int(port))]


def show_attached(world: World, subject: str) -> None:
    """Show a volume or a network interface as attached."""
    if attachment := getattr(world.ec2.volumes.get(subject), "attachment", None):
        attachment.status = "attached"
    if interface := world.ec2.enis.get(subject):
        interface.status = "in-use"


class NoInterfaces(dict[int, Any]):
    """The interfaces of a terminated instance, which has none. moto reads the first one's address all the same."""

    def __missing__(self, key: int) -> Any:
        return _NoAddress()


class _NoAddress:
    private_ip_address: str | None = None
    public_ip: str | None = None


def end_instance(world: World, instance_id: str) -> None:
    """Take interfaces, addresses, volumes, groups and profile from an instance that is terminated."""
    instance = world.instance(instance_id)
    if instance is None:
        return
    volumes = [d.volume_id for d in instance.block_device_mapping.values() if d.delete_on_termination]
    nics = list(instance.nics.values())
    # AWS EC2 User Guide, 'Amazon EC2 instance state changes': Elastic IP addresses are disassociated
    for address in world.ec2.addresses:
        if address.eni in nics:
            nat.release_from_interface(address)
    instance.nics = NoInterfaces()  # moto would delete them only in part
    state, reason = instance._state, instance._reason
    instance.terminate()
    instance._state, instance._reason = state, reason or instance._reason
    for nic in nics:
        if nic.delete_on_termination:
            world.remove_interface(nic.id)
        else:
            nic.instance = nic.attachment_id = nic.attach_time = nic.device_index = None
            nic.status = "available"
    for volume_id in volumes:
        world.ec2.tags.pop(volume_id, None)
    instance._subnet_id = None
    instance.security_groups = []
    instance._private_ips = set()
    for targets in world.ledger.targets.values():
        for key in [key for key in targets if key[0] == instance_id]:
            del targets[key]


def forget_instance(world: World, instance_id: str) -> None:
    for reservation in list(world.ec2.reservations.values()):
        kept = [i for i in reservation.instances if i.id != instance_id]
        if len(kept) != len(reservation.instances):
            reservation.instances = kept
        if not kept:
            del world.ec2.reservations[reservation.id]
    world.ec2.tags.pop(instance_id, None)
