"""The state of one account and region: moto's backends, and the state that the strict rules add to them."""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar


@dataclass
class Timeline:
    """States and when they begin. A read at an earlier time gives the earlier state, as lag needs."""

    entries: list[tuple[float, str, str]] = field(default_factory=list)

    def add(self, when: float, state: str, reason: str = "") -> None:
        """Begin a state at that time; states that were planned for later are dropped."""
        self.entries = [entry for entry in self.entries if entry[0] <= when]
        self.entries.append((when, state, reason))

    def then(self, when: float, state: str) -> None:
        self.entries.append((when, state, ""))

    def at(self, now: float) -> tuple[str, str]:
        current = self.entries[0]
        for entry in self.entries:
            if entry[0] <= now:
                current = entry
        return current[1], current[2]

    def state(self, now: float) -> str:
        return self.at(now)[0]


@dataclass
class Registration:
    """A registration: one target on one port of one target group."""

    id: str
    port: int
    since: float
    zone: str = ""  # for a target by address
    verdict: str = "healthy"
    verdict_since: float = 0.0
    streak: int = 0  # real checks in a row: positive if passed, negative if failed
    gone_at: float | None = None
    timeline: Timeline = field(default_factory=Timeline)

    @property
    def phase(self) -> str:
        return self.timeline.entries[-1][1]


@dataclass
class TrustStore:
    """A trust store, which moto doesn't have. `revocations` are the numbers of revoked certificates by list id; `bundle` and `lists` (by
    id) are the files from S3 (PEM)."""

    arn: str
    name: str
    since: float
    certificates: int
    revocations: dict[int, int] = field(default_factory=dict)
    bundle: str = ""
    lists: dict[int, str] = field(default_factory=dict)


@dataclass
class Ledger:
    """The state that the rules keep in addition to moto's objects."""

    instances: dict[str, Timeline] = field(default_factory=dict)
    balancers: dict[str, Timeline] = field(default_factory=dict)
    endpoints: dict[str, Timeline] = field(default_factory=dict)
    balancer_interfaces: dict[str, dict[str, str]] = field(default_factory=dict)  # ARN → subnet → interface
    nats: dict[str, Timeline] = field(default_factory=dict)
    targets: dict[str, dict[tuple[str, int], Registration]] = field(default_factory=dict)
    unhealthy: dict[tuple[str, str], str] = field(default_factory=dict)  # (group, instance) → reason
    tokens: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)  # → (digest, reservation)
    reservations: dict[str, list[str]] = field(default_factory=dict)
    no_capacity: set[str] = field(default_factory=lambda: {"p5.48xlarge"})  # instance types without capacity
    usual_quotas: ClassVar[Mapping[str, float]] = {}
    quotas: dict[str, float] = field(default_factory=lambda: dict(Ledger.usual_quotas))
    """Quotas by Service Quotas' codes; without an entry there is no limit."""
    denied: set[str] = field(default_factory=set)  # actions of EC2 that are refused
    service_roles: set[str] = field(default_factory=set)  # service-linked roles that exist
    hidden: set[str] = field(default_factory=set)  # interfaces that an AWS service manages and hides
    trust_stores: dict[str, TrustStore] = field(default_factory=dict)
    mutual: dict[str, dict[str, Any]] = field(default_factory=dict)  # listener → MutualAuthentication
    certificates_left: dict[str, tuple[float, list[str]]] = field(
        default_factory=dict
    )  # ARN → when its last users gave it up, and these users
    boots: dict[str, int] = field(default_factory=dict)  # instance → how often it was started or rebooted
    modified: dict[str, float] = field(default_factory=dict)  # volume → when it was last modified
    creating: dict[str, float] = field(default_factory=dict)  # volume → until when it is `creating`
    created: dict[str, float] = field(default_factory=dict)
    events: list[tuple[float, str, str]] = field(default_factory=list)
    trail: list[Any] = field(default_factory=list)  # cloudtrail.Change
    tagged: dict[str, list[tuple[float, dict[str, str]]]] = field(
        default_factory=dict
    )  # ARN → former tags, each with the time until which it had them

    def schedule(self, when: float, kind: str, subject: str) -> None:
        heapq.heappush(self.events, (when, kind, subject))

    def due(self, now: float) -> Iterator[tuple[float, str, str]]:
        while self.events and self.events[0][0] <= now:
            yield heapq.heappop(self.events)


@dataclass(frozen=True)
class World:
    """One account and region. The backends are looked up at each use, since lag may replace them by older ones."""

    account: str
    region: str

    @property
    def ec2(self) -> Any:
        return self._here(_backends()[0])

    @property
    def elb(self) -> Any:
        return self._here(_backends()[1])

    def _here(self, backends: Any) -> Any:
        # moto's own look-up, which makes missing backends, takes a lock each time
        return backends.get(self.account, {}).get(self.region) or backends[self.account][self.region]

    @property
    def ledger(self) -> Ledger:
        # Kept on the backend, so that moto's reset deletes it and copies contain it.
        kept = self.ec2.__dict__
        if "strict_ledger" not in kept:
            kept["strict_ledger"] = Ledger()
        memory: Ledger = kept["strict_ledger"]
        return memory

    def instances(self) -> list[Any]:
        return [i for r in self.ec2.reservations.values() for i in r.instances]

    def instance(self, instance_id: str) -> Any | None:
        return next((i for i in self.instances() if i.id == instance_id), None)

    def target_instance(self, group: Any, target: str) -> Any | None:
        """The instance of a group's target, which is an instance id or a private address in the group's VPC."""
        if group.target_type != "ip":
            return self.instance(target)
        return next((i for i in self.instances() if i.vpc_id == group.vpc_id and target in private_addresses(i)), None)

    def subnets(self, vpc_id: str | None = None) -> list[Any]:
        every = [s for zone in self.ec2.subnets.values() for s in zone.values()]
        return [s for s in every if vpc_id is None or s.vpc_id == vpc_id]

    def subnet(self, subnet_id: str) -> Any | None:
        return next((s for s in self.subnets() if s.id == subnet_id), None)

    def groups(self) -> list[Any]:
        return [g for vpc in self.ec2.groups.values() for g in vpc.values()]

    def gateway_of(self, vpc_id: str) -> Any | None:
        gateways = self.ec2.internet_gateways.values()
        return next((g for g in gateways if g.vpc and g.vpc.id == vpc_id), None)

    def interfaces(self, *, subnet_id: str | None = None, vpc_id: str | None = None) -> list[Any]:
        every = self.ec2.enis.values()
        return [
            eni
            for eni in every
            if (subnet_id is None or eni.subnet.id == subnet_id) and (vpc_id is None or eni.subnet.vpc_id == vpc_id)
        ]

    def remove_interface(self, interface_id: str) -> None:
        eni = self.ec2.enis.pop(interface_id, None)
        if eni:
            for address in eni.private_ip_addresses:
                eni.subnet.del_subnet_ip(address["PrivateIpAddress"])
            self.ec2.tags.pop(interface_id, None)

    def listeners(self) -> list[Any]:
        return [li for lb in self.elb.load_balancers.values() for li in lb.listeners.values()]

    def rules(self) -> list[Any]:
        return [rule for listener in self.listeners() for rule in listener.rules.values()]

    def ids(self) -> set[str]:
        """The physical ids of everything a user can refer to."""
        ec2, elb = self.ec2, self.elb
        named = [*ec2.vpcs, *ec2.route_tables, *ec2.internet_gateways, *ec2.enis, *ec2.volumes, *ec2.nat_gateways]
        named += [*ec2.vpc_end_points, *ec2.egress_only_internet_gateways, *(key.id for key in ec2.key_pairs.values())]
        named += [address.allocation_id for address in ec2.addresses]
        listed = [*self.subnets(), *self.groups(), *self.instances()]
        arns = [*elb.load_balancers, *elb.target_groups, *self.ledger.trust_stores]
        elbs = [*self.listeners(), *self.rules()]
        return {*named, *(o.id for o in listed), *arns, *(o.arn for o in elbs)}


@cache
def _backends() -> tuple[Any, Any]:
    from moto.ec2.models import ec2_backends
    from moto.elbv2.models import elbv2_backends

    return ec2_backends, elbv2_backends


def private_addresses(instance: Any) -> list[str]:
    """The private addresses of an instance's interfaces, including IPv6 addresses."""
    nics = instance.nics.values()
    found = [address["PrivateIpAddress"] for nic in nics for address in nic.private_ip_addresses]
    return [*found, *(address for nic in nics for address in nic.ipv6_addresses)]
