"""An account in which targets fail, rest and go, and how a change is made in it: what its user does is done, what clients see is judged."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from alb_reconcile.kinds import load_kinds
from alb_reconcile.model import tags
from alb_reconcile.model.errors import PlanError, RefusedError
from tests.harness import load, unshut
from tests.properties.advice import Advice
from tests.properties.clients import Clients
from tests.properties.examples import prepare
from tests.properties.scene import add_subnets
from tests.properties.test_pairs import check_capacity, check_ways_out, has_targets, minimum
from tests.properties.watched import WatchedWorld, portrait, watched

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.harness import Spec
    from tests.properties.walks import Pair

STAYS = frozenset({"key_pair", "instance_profile", "trust_store", "certificate", "log_bucket"})
"""Of these, what the spec no longer declares and nothing uses is found by `destroy` only (docs/spec.md)."""
LONG = 6 * 3600
"""Seconds after which AWS takes each change of a volume again."""
SEEN = 3600
"""Seconds after which any health check has failed."""
ILL = re.compile(
    r"has (\d+) healthy targets, and needs (\d+) before it gets requests that others serve now; fix its targets and run again"
)
"""A group takes over from another one that serves, and as many of its targets fail as are missing: an advice that is followed."""
LAST_ONE = re.compile(r"waited \d+ s for: \d other healthy targets before \S+ may be deregistered \(now 0; ")
"""The last healthy target leaves, and what is to stay is ill: likewise."""
UNSEEN = re.compile(r"CNAME (\S+) with the value ([\w.-]+)")
"""Of a certificate whose zone the spec doesn't say: the records to make."""
STAYS_ILL = re.compile(r"waited \d+ s for: target (i-\w+):\d+ to be healthy \(now unhealthy ")
"""An instance that is changed in place fails as it did before, and the others aren't touched: likewise."""


class Account:
    """An account with what the specs' examples only name, in which targets can be ill."""

    def __init__(self, world: WatchedWorld) -> None:
        self.world, self.clients = world, Clients(world)
        self.ill: set[str] = set()
        self.left: set[str] = set()
        """Addresses of instances that somebody has terminated, which look like others' where others' targets are kept."""
        world.add_strangers()
        prepare(*load_kinds())
        add_subnets(world)
        world.strict.health = lambda _, target, __: "unhealthy" if target in self.ill else None

    def begin(self, spec: Spec) -> None:
        """Have this, and let some time pass."""
        self._apply(self.world.localized(spec))
        self.world.clock.advance(LONG)

    def go(self, pair: Pair) -> str:
        """From one spec to the other, which it has. Returns how that went, in a word. Raises AssertionError for whatever a
        client, or the next plan, would see of it."""
        world, before, after = self.world, self.world.localized(pair.before), self.world.localized(pair.after)
        self._do(pair.deed, pair.number)
        world.strict.lag = pair.lag
        world.clock.advance(pair.lag)
        start, was_dark = world.served(), world.is_dark()
        world.watch()
        self.clients.watch()
        how = "converged"
        try:
            try:
                self._apply(after)
            except (PlanError, RefusedError) as error:
                how = "renamed" if "alb-reconcile move" in str(error) else "refused"
                after = Advice(before, after, pair.changes, error).lead(world, self._apply)
            world.sample()
            check_capacity(world, before, after, start)
            assert was_dark or world.is_dark() or not world.dark, f"dark: {world.dark}"
            check_ways_out(world, before, after)
            strange = self.clients.strangely_answered(*_may_be_empty(before, after))
            assert not strange, f"answered as neither before nor after: {strange}"
            assert not (bare := self.clients.uncertified()), f"without a certificate for a name that has one: {bare}"
            world.clock.advance(max(pair.lag, 60))
            world.strict.lag = 0.0
            self.ill.clear()
            world.sample()  # the checks pass from now on, not from when somebody looks
            world.clock.advance(LONG)
            rest = world.plan(after)
            assert rest.is_empty, [(step.key, step.changes) for step in rest.steps]
        finally:
            self.ill.clear()
            world.strict.lag = 0.0
        return how

    def end(self, spec: Spec) -> dict[str, Any]:
        """What there is of a spec that was applied, once somebody has started who may rest: AWS takes no target that doesn't run."""
        local = self.world.localized(spec)
        if self._start_resting(local):
            self.begin(spec)
        return portrait(self.world, local, besides=STAYS)

    def _start_resting(self, spec: Spec) -> bool:
        """Start whoever may rest, and does. Returns whether there was anybody."""
        stack = load(spec)
        resting = [
            item.id
            for item in self.world.discover(spec).resources
            if item.status == "stopped"
            and (wish := stack.desired.get(item.address))
            and getattr(wish.state, "state", "") is None
        ]
        if resting:
            self.world.client("ec2").start_instances(InstanceIds=resting)
            self.world.clock.advance(300)  # what it has only while it runs, such as a public address, shows then
        return bool(resting)

    def _apply(self, spec: Spec) -> None:
        allow: dict[str, int] = {}
        while True:
            try:
                result = self.world.apply(spec, allow=allow)
                break
            except RefusedError as error:
                words = {
                    word: int(number or 1) for word, number in re.findall(r"--allow ([a-z-]+)(?:=(\d+))?", str(error))
                }
                if not words or words.items() <= allow.items():
                    raise
                allow |= words
        if self.ill and any(map(self._is_for_the_ill, result.failures)):
            self.ill.clear()
            self.world.clock.advance(SEEN)
            self._apply(spec)
            return
        # the last target that runs is to leave
        if any(
            "Target.InvalidState" in text and LAST_ONE.search(text) for text in result.failures
        ) and self._start_resting(spec):
            self._apply(spec)
            return
        if self._registered_by_others(spec, "\n".join(result.failures)) or self._validated(result.failures):
            self._apply(spec)
            return
        assert not result.failures, "\n".join(result.failures)
        assert result.rest is not None
        assert result.rest.is_empty, [(step.key, step.changes) for step in result.rest.steps]
        keeps = any(group.get("others") == "keep" for group in spec.get("target_groups", {}).values())
        known = self.ill | self.left if keeps else self.ill
        foreign = [text for text in unshut(result.problems) if not any(item in text for item in known)]
        assert not foreign, foreign

    def _is_for_the_ill(self, failure: str) -> bool:
        """Whether somebody has to mend a target first."""
        same, few = STAYS_ILL.search(failure), ILL.search(failure)
        return (
            bool(LAST_ONE.search(failure))
            or (same is not None and same[1] in self.ill)
            or (few is not None and int(few[2]) - int(few[1]) <= len(self.ill))
        )

    def _registered_by_others(self, spec: Spec, failures: str) -> bool:
        """Whether a group waits for targets that the spec leaves to others, who then register there what its predecessor has, and
        the instances that are to replace them."""
        waiting = set(re.findall(r"target_group\.(\S+) has 0 healthy targets", failures))
        left = {name for name in waiting if "targets" not in spec["target_groups"].get(name, {"targets": []})}
        if not left:
            return False
        found = [
            item
            for item in self.world.discover(spec).resources
            if str(item.address) in {f"target_group.{name}" for name in left}
        ]
        targets = self.world.account.ledger.targets
        known = {
            arn: {item.id: item.port for item in targets.get(arn, {}).values() if item.gone_at is None}
            for arn in (item.id for item in found)
        }
        ec2, elb, more = self.world.client("ec2"), self.world.client("elbv2"), False
        running = [
            row
            for part in ec2.describe_instances()["Reservations"]
            for row in part["Instances"]
            if row["State"]["Name"] == "running"
        ]
        for group in elb.describe_target_groups(TargetGroupArns=[*known])["TargetGroups"]:
            name = "PrivateIpAddress" if group["TargetType"] == "ip" else "InstanceId"
            ports = {port for part in known.values() for port in part.values()}
            entries = {_entry_of(row) for row in running if any(row[name] in part for part in known.values())}
            told = [
                {"Id": row[name], "Port": port}
                for row in running
                if row["VpcId"] == group["VpcId"] and _entry_of(row) in entries
                for port in ports
                if known[group["TargetGroupArn"]].get(row[name]) != port
            ]
            if told:
                elb.register_targets(TargetGroupArn=group["TargetGroupArn"], Targets=told)
                more = True
        self.world.clock.advance(SEEN if more else 0)
        return more

    def _validated(self, failures: Iterable[str]) -> bool:
        """Whether a certificate's owner has made the records that ACM doesn't see, in a zone of the account's."""
        dns = self.world.client("route53")
        zones = {item["Name"]: item["Id"] for item in dns.list_hosted_zones()["HostedZones"]}
        made = False
        for name, value in UNSEEN.findall("\n".join(failures)):
            zone = max((item for item in zones if f".{name}".endswith(f".{item}")), key=len, default=None)
            record = {"Name": name, "Type": "CNAME", "TTL": 300, "ResourceRecords": [{"Value": value}]}
            if zone and record not in dns.list_resource_record_sets(HostedZoneId=zones[zone])["ResourceRecordSets"]:
                batch = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
                dns.change_resource_record_sets(HostedZoneId=zones[zone], ChangeBatch=batch)
                made = True
        return made

    def _do(self, deed: str | None, number: int) -> None:
        targets = sorted(
            (item.id, arn, item.port)
            for arn, items in self.world.account.ledger.targets.items()
            for item in items.values()
            if item.gone_at is None and item.id.startswith("i-")
        )
        if not targets or deed is None:
            return
        instance, arn, port = targets[number % len(targets)]
        ec2, elb = self.world.client("ec2"), self.world.client("elbv2")
        if deed == "ill":
            self.ill.add(instance)
            self.world.sample()  # the checks fail from now on, not from when somebody looks
            self.world.clock.advance(SEEN)
        elif deed == "deregistered":
            elb.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": instance, "Port": port}])
        elif deed == "stopped":
            ec2.modify_instance_attribute(InstanceId=instance, DisableApiStop={"Value": False})
            ec2.stop_instances(InstanceIds=[instance])
        else:
            (found,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
            self.left.add(f" {found['Instances'][0]['PrivateIpAddress']}:")
            for name in ("DisableApiTermination", "DisableApiStop"):
                ec2.modify_instance_attribute(InstanceId=instance, **{name: {"Value": False}})
            ec2.terminate_instances(InstanceIds=[instance])
        self.world.clock.advance(300)


def _entry_of(row: dict[str, Any]) -> str:
    """What an instance is of: its entry in the spec, or itself."""
    address = tags.from_list(row.get("Tags")).get(tags.ADDRESS, "")
    return address.rpartition("-")[0] or row["InstanceId"]


def _may_be_empty(before: Spec, after: Spec) -> tuple[set[str], set[str]]:
    """The target groups of which `max_unavailable` lets all targets be missing, of those that there are, and that there are to be
    (docs/rollout.md)."""
    first, last = load(before).desired, load(after).desired
    names = before.get("target_groups", {}).keys() & after.get("target_groups", {}).keys()
    then = {name for name in names if not minimum(last, name, last)}
    now = {name for name in names if not minimum(first, name, last)} | {
        name for name in then if has_targets(last, name)
    }
    return {f"target_group.{name}" for name in now}, {f"target_group.{name}" for name in then}


@contextmanager
def account() -> Iterator[Account]:
    with watched() as world:
        yield Account(world)
