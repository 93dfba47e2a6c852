"""A World that looks at the health of what serves whenever AWS is called, and portraits of a stack to compare."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Network
from typing import TYPE_CHECKING, Any

from alb_reconcile.engine.discover import discover
from alb_reconcile.engine.plan.rehearsal import find_gaps
from alb_reconcile.engine.safety import ALONE, ELSEWHERE, MISSING
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import extra_tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import field_names
from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from alb_reconcile.sandbox.strict.health import balancer_of
from alb_reconcile.sandbox.strict.history import Copy, put_in_place
from alb_reconcile.sandbox.strict.world import World as Account
from tests import direct
from tests.harness import CATALOGUE, FAKE_ENVIRONMENT, READS, REGION, Result, Spec, World, load
from tests.properties import backends
from tests.properties.reach import dark_subnets, reaches, ways_out

if TYPE_CHECKING:
    from alb_reconcile.aws.client import Aws
    from alb_reconcile.aws.transport import Response
    from alb_reconcile.model.discovery import Discovery
    from alb_reconcile.model.resource import Observed
    from alb_reconcile.spec.stack import Stack

ACCOUNT = "123456789012"
OWNERSHIP = (tags.STACK, tags.ADDRESS)
FOREIGN = {
    "vpc": "vpc-0f0e0d0c0b0a09081",
    "internet_gateway": "igw-0f0e0d0c0b0a09081",
    "security_group": "sg-0f0e0d0c0b0a09081",
    "certificate": "arn:aws:acm:us-east-1:123456789012:certificate/0f0e0d0c-0000-4000-8000-0b0a09080706",
}
"""What a spec says of resources of others; a world puts their own ids there."""


@dataclass(frozen=True)
class Low:
    """The fewest healthy targets that a group had while requests were sent to it, and when."""

    healthy: int
    time: float
    before: str
    """The call before which it was so."""


@dataclass(frozen=True)
class Moment:
    """An account between two calls of a run: all that is left of the run if it is killed there."""

    words: str
    time: float
    backends: Copy
    others: dict[str, dict[str, Any]]
    """By service: roles, certificates, buckets and records."""
    past: dict[Account, Any]
    """What reads that lag may still see."""
    lows: dict[str, Low]


class WatchedWorld(World):
    """A World that samples target health, without lag, before every call."""

    def __init__(self, strict: StrictAws, clock: VirtualClock) -> None:
        super().__init__(strict, clock)
        self.account = Account(ACCOUNT, REGION)
        self.lows: dict[str, Low] = {}
        """By the target group's address."""
        self.dark: dict[tuple[str, str], str] = {}
        """The subnets in which a load balancer couldn't answer at some time, and the call before which it was so."""
        self._ways: set[tuple[str, str]] = set()
        self._cut: dict[tuple[str, str], str] = {}
        self.least_served: dict[str, int] = {}
        """By load balancer: the fewest targets that any of its groups had which get requests, since it first served."""
        self.serving_when_gone: dict[str, dict[str, int]] = {}
        """What the others served when a load balancer had gone."""
        self._seen: tuple[float, int, float] | None = None
        self._answers: dict[tuple[str, str], bytes] = {}
        """What AWS has answered to the same question at the same moment."""
        self._names: dict[str, str] = {}
        self._moments: list[Moment] | None = None
        self._last = -1.0
        self._wanted: Iterator[bool] = iter(())
        self.strangers: dict[str, str] = {}
        """What stands in specs for what somebody else owns, by its id here."""

    def add_strangers(self) -> None:
        """A network with a gateway and a security group, and a certificate, that somebody else owns."""
        ec2, acm = self.client("ec2"), self.client("acm")
        vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)
        group = ec2.create_security_group(GroupName="theirs", Description="theirs", VpcId=vpc)["GroupId"]
        certificate = acm.request_certificate(DomainName="*.example.com")["CertificateArn"]
        self.strangers = dict(zip((vpc, gateway, group, certificate), FOREIGN.values(), strict=True))

    def localized(self, spec: Spec) -> Spec:
        """The spec with the ids that the strangers have in this account."""
        text = json.dumps(spec)
        for own, placeholder in self.strangers.items():
            text = text.replace(placeholder, own)
        local: Spec = json.loads(text)
        return local

    def _call(self, service: str, operation: str, params: Mapping[str, Any]) -> Response:
        if "DryRun" in params:
            return direct.call(service, operation, params)
        moment = (self.clock.now(), self.strict.changes, self.strict.lag)
        if self._seen != moment:  # else nothing has happened since the last look
            self.sample(operation)
            self._seen, self._answers = moment, {}
        if self._moments is None or operation.startswith(READS):
            return self._answer(service, operation, params)
        number = sum(not name.startswith(READS) for name, _ in self.log) + 1
        if self._last != self.clock.now():
            self._keep(f"before call {number}, {operation}")  # else it is the moment after the call before
        answer = self._answer(service, operation, params)
        self._keep(f"after call {number}, {operation}")
        return answer

    def _answer(self, service: str, operation: str, params: Mapping[str, Any]) -> Response:
        if service not in direct.RESPONSES or operation in CATALOGUE:
            return super()._call(service, operation, params)
        self.log.append((operation, params))
        if not operation.startswith(READS):
            return direct.call(service, operation, params)
        question = (operation, repr(sorted(params.items())))
        if question not in self._answers:
            self._answers[question] = pickle.dumps(direct.call(service, operation, params))
        answer: Response = pickle.loads(self._answers[question])
        return answer

    def moment(self, words: str = "") -> Moment:
        """The account as it is now."""
        past = dict(self.strict._history._past)
        others = backends.copied(ACCOUNT, REGION)
        return Moment(words, self.clock.now(), Copy(self.account), others, past, dict(self.lows))

    def _keep(self, words: str) -> None:
        assert self._moments is not None
        self._last = self.clock.now()
        if next(self._wanted):
            self._moments.append(self.moment(words))

    @contextmanager
    def moments(self, first: int = 0, every: int = 1) -> Iterator[list[Moment]]:
        """Collects what the account is before and after each mutating call, or from one of these on each so many-th."""
        found: list[Moment] = []
        self._moments, self._last = found, -1.0
        self._wanted = (number >= first and (number - first) % every == 0 for number in itertools.count())
        try:
            yield found
        finally:
            self._moments = None

    def go_back(self, moment: Moment) -> None:
        """Let the account be what it was then, as often as needed."""
        put_in_place(self.account, *moment.backends.make())
        backends.put_back(ACCOUNT, REGION, moment.others)
        self.strict._history._past = dict(moment.past)
        self.clock._now = moment.time
        self._seen = None
        self.lows = dict(moment.lows)

    async def go(self, aws: Aws, spec: Spec, **options: Any) -> Result:
        """A run as in any world, of a plan that keeps every door open in whichever order its steps come."""
        result = await super().go(aws, spec, **options)
        gaps = [] if options.get("destroy") else [gap.text for gap in find_gaps(result.plan)]
        # conditions that two rules exchange, and zones that a roll empties: refused where the plan is checked
        assert all(f": {MISSING} " in text or ELSEWHERE in text or ALONE in text for text in gaps), gaps
        return result

    def watch_balancers(self) -> None:
        """From here on each load balancer counts."""
        self.least_served, self.serving_when_gone, self._seen = {}, {}, None

    def _sample_balancers(self, healthy: Mapping[str, int]) -> None:
        here: dict[str, int] = {}
        for group, count in healthy.items():
            balancer = balancer_of(self.account, group)
            if balancer is not None:
                here[balancer.arn] = min(count, here.get(balancer.arn, count))
        for arn in self.least_served.keys() - here.keys() - self.serving_when_gone.keys():
            self.serving_when_gone[arn] = here
        for arn, count in here.items():
            if count or arn in self.least_served:  # from when it first served on
                self.least_served[arn] = min(count, self.least_served.get(arn, count))

    def watch(self) -> None:
        """Forget what was seen: from here on the lows count."""
        self.lows, self.dark, self._seen = {}, {}, None
        self._ways, self._cut = ways_out(self.account), {}

    def gaps(self) -> dict[tuple[str, str], str]:
        """The ways out of subnets that there were, and are, and weren't meanwhile; and the calls before which it was so."""
        return {way: call for way, call in self._cut.items() if way in ways_out(self.account)}

    def sample(self, operation: str = "") -> None:
        """Look at every group that requests are sent to now."""
        now = self.clock.now()
        self.strict._settle(self.account, now)
        healthy = {arn: self._healthy(arn, now) for arn in self._receivers()}
        self._sample_balancers(healthy)
        for balancer in self.account.elb.load_balancers.values():
            for subnet in dark_subnets(self.account, balancer):
                self.dark.setdefault((balancer.arn, subnet), operation)
        for way in self._ways - ways_out(self.account):
            self._cut.setdefault(way, operation)
        for arn, count in healthy.items():
            name = self._name(arn)
            if name not in self.lows or count < self.lows[name].healthy:
                self.lows[name] = Low(count, now, operation)

    def served(self) -> dict[str, tuple[str, int]]:
        """The load balancer and the healthy targets of each group that requests are sent to, by the group's address."""
        now = self.clock.now()
        self.strict._settle(self.account, now)
        found = {}
        for arn in self._receivers():
            balancer = balancer_of(self.account, arn)
            found[self._name(arn)] = (balancer.arn if balancer else "", self._healthy(arn, now))
        return found

    def is_dark(self) -> bool:
        """Whether a load balancer can't answer in one of its subnets now."""
        return any(dark_subnets(self.account, item) for item in self.account.elb.load_balancers.values())

    def healthy_targets(self, name: str) -> set[str]:
        """The instances that are healthy in the groups of that address which requests are sent to."""
        now = self.clock.now()
        self.strict._settle(self.account, now)
        return {
            item.id
            for arn in self._receivers()
            if self._name(arn) == name
            for item in self.account.ledger.targets.get(arn, {}).values()
            if item.timeline.state(now) == "healthy"
        }

    def _healthy(self, arn: str, now: float) -> int:
        """How many targets are healthy and reached by the load balancer."""
        balancer, group = balancer_of(self.account, arn), self.account.elb.target_groups[arn]
        targets = self.account.ledger.targets.get(arn, {}).values()
        if group.target_type == "lambda":
            return sum(item.timeline.state(now) in ("healthy", "unavailable") for item in targets)
        return sum(
            item.gone_at is None
            and item.timeline.state(now) == "healthy"
            and (instance := self.account.target_instance(group, item.id)) is not None
            and reaches(self.account, balancer, instance, item.port)
            for item in targets
        )

    def _name(self, arn: str) -> str:
        if arn not in self._names:
            found = self.account.elb.tagging_service.get_tag_dict_for_resource(arn)
            self._names[arn] = found.get(tags.ADDRESS, arn)
        return self._names[arn]

    def _receivers(self) -> set[str]:
        found: set[str] = set()
        for rule in self.account.rules():
            for action in rule.actions:
                groups = (action.data.get("ForwardConfig") or {}).get("TargetGroups") or []
                found.update(item["TargetGroupArn"] for item in groups if item.get("Weight", 1) > 0)
        return found

    def discover(self, spec: Spec) -> Discovery:
        """What the product sees of the stack."""
        stack = load(spec)

        async def main(aws: Aws) -> Discovery:
            return await discover(aws, stack.name, stack.desired, everything=True)

        found: Discovery = self._run(main)
        return found


@contextmanager
def watched(lag: float = 0.0) -> Iterator[WatchedWorld]:
    """A fresh account that is watched."""
    os.environ.update(FAKE_ENVIRONMENT)
    clock = VirtualClock()
    with StrictAws(clock=clock.now, lag=lag) as strict, backends.kept():
        yield WatchedWorld(strict, clock)


def portrait(world: WatchedWorld, spec: Spec, besides: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Everything that the spec declares, as AWS has it, with addresses for ids: equal for equal stacks.

    Raises AssertionError for two resources at one address, or for one that the spec doesn't declare, but for those of the
    kinds `besides`.
    """
    stack = load(spec)
    live = [item for item in world.discover(spec).resources if not item.is_gone and not item.is_leaving]
    names = world.strangers | {item.id: str(item.address) for item in live}
    assert len(set(names.values())) == len(names), f"duplicates: {sorted(names.values())}"
    extra = [
        str(item.address)
        for item in live
        if item.address not in stack.desired
        and item.address.kind not in besides
        and item.state.kind != "security_group_rules"
        and not _unmanaged(item, stack)
    ]
    assert not extra, f"not in the spec: {extra}"
    by_address = {item.address: item for item in live}
    return {str(address): _likeness(by_address.get(address), wish, names) for address, wish in stack.desired.items()}


def _unmanaged(item: Observed, stack: Stack) -> bool:
    """Whether it is a target of a group whose `targets` the spec leaves out, or whose others it keeps: the address of an instance
    that somebody has terminated could be anybody's."""
    group = stack.desired.get(Address("target_group", item.address.name.partition("/")[0]))
    is_ours = group is None or (group.lifecycle.members and not group.lifecycle.keep_others)
    return item.state.kind == "registration" and not is_ours


def _likeness(found: Observed | None, wish: Any, names: Mapping[str, str]) -> Any:
    if found is None:
        return None
    result: dict[str, Any] = {}
    for name in field_names(type(wish.state)):
        wanted, value = getattr(wish.state, name), getattr(found.state, name)
        if wanted is None:
            continue
        if name == "subnets" and found.state.kind == "instance":
            allowed = {names.get(str(item), str(item)) for item in wanted}
            value = sorted({names.get(item, item) for item in value} - allowed)  # any of them is in order
        elif name == "associate_public_ip_address" and value is None:
            value = wanted  # one that was stopped before doesn't show it
        elif isinstance(wanted, Mapping):
            if wanted.get("http_endpoint") == "disabled":  # AWS takes nothing else then
                wanted = {"http_endpoint": "disabled"}
            elif name == "metadata_options" and (value or {}).get("http_endpoint") == "disabled":
                value = wanted  # nor where an earlier spec has disabled it, and this one doesn't say
            # an encrypted disk stays so, whatever is asked for: an account may encrypt all of them
            is_free = {key for key, said in wanted.items() if key.endswith("encrypted") and said is False}
            value = {key: (value or {}).get(key) for key in wanted if key not in is_free}
        result[name] = _by_name(_without_unmanaged(wanted, value), names)
    wanted_tags = {*wish.tags, *extra_tags(wish.state, {}), *OWNERSHIP} if found.state.service else set()
    result["tags"] = {key: found.tags.get(key) for key in sorted(wanted_tags)}
    if tags.BUNDLE in found.tags and wish.state.ca_certificates_bundle_s3_object_version is None:  # left out: it stays
        result["tags"][tags.BUNDLE] = found.tags[tags.BUNDLE].rpartition(" ")[0]
    # who launches with whom, and so shares the entry's Name, a kill may change; adoption keeps it
    may_share = tags.LAUNCH in found.tags or found.tags.get(tags.NAME) == tags.KEPT
    if may_share and found.tags.get("Name") == wish.tags["Name"].rpartition("-")[0]:
        result["tags"]["Name"] = wish.tags["Name"]
    return result


def _without_unmanaged(wanted: Any, value: Any) -> Any:
    """Rules of security groups without the descriptions that nobody declared."""
    if not isinstance(wanted, tuple) or not wanted or not hasattr(wanted[0], "match"):
        return value
    silent = {(item.protocol, item.from_port, item.to_port) for item in wanted if item.description is None}
    return tuple(item._replace(description=None) if item[:3] in silent else item for item in value)


_AMAZON = re.compile("^2400:6500:.*::/64$")


def _nth(found: re.Match[str]) -> str:
    """Which of the 256 ranges it is in the one that Amazon gave the VPC."""
    return f"range {int(IPv6Network(found[0]).network_address) >> 64 & 0xFF}"


def _by_name(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value, _AMAZON.sub(_nth, value))
    if isinstance(value, Mapping):
        return {key: _by_name(item, names) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return sorted((_by_name(item, names) for item in value), key=str)
    if hasattr(value, "forward"):
        return {name: _by_name(getattr(value, name), names) for name in field_names(type(value))}
    return value
