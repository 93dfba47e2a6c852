"""Drives EC2 instances (RunInstances, ModifyInstanceAttribute, StopInstances, StartInstances, TerminateInstances)."""

import asyncio
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Self

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Ec2Kind, Row
from alb_reconcile.kinds._health import stop_if_ill
from alb_reconcile.kinds._instance_rows import is_alive, is_copy, launched_at, primary_interface
from alb_reconcile.kinds._protection import unlocked
from alb_reconcile.kinds.base import Adopted, Around, Entry, Intent, Keep, Listing, Named, Zones
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.elastic_ip_association import associations
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.images import RESOLVE, search_for
from alb_reconcile.kinds.instance import checks, permissions
from alb_reconcile.kinds.instance import volumes as _volumes
from alb_reconcile.kinds.instance.adoption import adopt_instance
from alb_reconcile.kinds.instance.application.entry import application_of, write_out
from alb_reconcile.kinds.instance.application.role import statements_of
from alb_reconcile.kinds.instance.application.user_data import ARTIFACT, Application
from alb_reconcile.kinds.instance.application.versions import read_version
from alb_reconcile.kinds.instance.audit import audit
from alb_reconcile.kinds.instance.entry import CHOSEN, USUAL, write_instance, write_remembered
from alb_reconcile.kinds.instance.launch_parameters import launch_parameters, metadata, read_image, set_profile
from alb_reconcile.kinds.instance.launchable import check_launches
from alb_reconcile.kinds.instance.launches import (
    Launched,
    change_together,
    find_missing,
    launch_once,
    launched_in,
    wait_for_state,
    warnings_of_copies,
)
from alb_reconcile.kinds.instance.options import (
    UNSHOWN,
    attributes,
    attributes_of,
    change_running,
    change_stopped,
    observe_options,
    read_attributes,
    read_credits,
    read_user_data,
    unmanaged,
    unshown,
)
from alb_reconcile.kinds.instance.persistent_volumes import attach_volumes, read_volumes
from alb_reconcile.kinds.instance.protection import (
    PROTECTIONS,
    STOP,
    STOP_PROTECTION,
    STOPPING,
    find_protections,
    is_on,
    say_unprotected,
    stoppable,
)
from alb_reconcile.kinds.instance.recognition import weigh_instance
from alb_reconcile.kinds.instance.user_data import user_data_of
from alb_reconcile.kinds.instance.volume_plans import check_volumes, handed_on, tell_new, tell_old
from alb_reconcile.kinds.key_pair import key_name
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.recognition import Candidate, Evidence, Known
from alb_reconcile.kinds.security_group import worn_together
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address, Ref, UserData
from alb_reconcile.model.decisions import Decisions
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.errors import Problem, ignoring
from alb_reconcile.model.nodes import Node, Path
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Change, Desired, Lookups, Observed, Properties, each_of, stops
from alb_reconcile.model.service import JointLaunch, Server
from alb_reconcile.model.steps import Launch

_GOES_WITHOUT: Final = "its replacement goes without what no spec can say: "


@dataclass(frozen=True, kw_only=True)
class Instance(Server):
    """An instance. `subnets` are the subnets in which it may be; observed, the subnet in which it is."""

    kind = "instance"
    worn = "security_groups"
    is_costly = True
    size_field = "instance_type"
    removed_late = ("security_groups",)
    is_target = True
    in_subnets = "subnets"
    service = "ec2"
    addresses = 1
    missed = 0
    leaving = frozenset({"shutting-down"})
    gone = frozenset({"terminated"})
    stopped_on = frozenset({"instance_type", "placement"})
    holds = frozenset({"security_groups"})
    replaced_on = stopped_on | frozenset(
        {
            "image_id", "subnets", "private_ip_address", "key_name", "user_data", "root_volume.encrypted",
            "root_volume.kms_key_id",
        }
    )  # fmt: skip
    follows = (
        "key_pair",
        "internet_gateway",
        "route_table",
        "security_group_rules",
        "vpc_endpoint",
    )  # user data runs once

    image_id: str
    instance_type: str
    subnets: tuple[Ref, ...]
    security_groups: tuple[Ref, ...] | None = None
    key_name: str | None = None
    iam_instance_profile: Ref | None = None
    """A name, or the ARN of a profile of the spec; observed, the ARN."""
    associate_public_ip_address: bool | None = None
    private_ip_address: str | None = None
    source_dest_check: bool | None = None
    root_volume: Mapping[str, Any] | None = None
    data_volumes: Mapping[str, Any] | None = None
    """By path: `logs.volume_size`."""
    metadata_options: Mapping[str, Any] | None = None
    monitoring: Mapping[str, Any] | None = None
    credit_specification: Mapping[str, Any] | None = None
    placement: Mapping[str, Any] | None = None
    instance_initiated_shutdown_behavior: str | None = None
    disable_api_termination: bool | None = None
    disable_api_stop: bool | None = None
    user_data: UserData | None = None
    state: str | None = None

    @property
    def tells_address(self) -> bool:
        return True

    def settle(self, observed: Observed | None, lookups: Lookups) -> Self:
        image, subnets, user_data = (lookups.images.get(self.image_id, self.image_id), self.subnets, self.user_data)
        disk, disks, options = self.root_volume, self.data_volumes, dict(self.metadata_options or {})
        unknown: dict[str, Any] = {}
        endpoint = options.get("http_endpoint")
        if observed and isinstance(observed.state, Instance):
            wanted = lookups.desired.get(observed.address)
            keep = wanted is None or wanted.lifecycle.image_update == "keep"
            if self.image_id.startswith(RESOLVE) and keep and observed.tags.get(tags.IMAGE) == self.image_id:
                image = observed.state.image_id
            if set(observed.state.subnets) <= set(self.subnets):
                subnets = observed.state.subnets
            disk = disk and _volumes.settled(disk, observed.state.root_volume or {})
            disks = disks and _volumes.settled(disks, observed.state.data_volumes or {})
            endpoint = endpoint or (observed.state.metadata_options or {}).get("http_endpoint")
            if tags.ADOPTED in observed.tags and tags.USER_DATA not in observed.tags:
                user_data = None  # only the digest of the launched user data is known
            is_changed = wanted is not None and not observed.tags.get(tags.SPEC, "").startswith(wanted.spec_digest)
            unknown = unshown(self, observed.state, getattr(observed.details, "interface", {}), is_changed)
            if str(observed.state.iam_instance_profile).endswith(f"/{self.iam_instance_profile}"):
                unknown["iam_instance_profile"] = observed.state.iam_instance_profile
        if endpoint == "disabled":  # AWS takes nothing else then, and nothing else matters
            options = {key: value for key, value in options.items() if key == "http_endpoint"}
        settled = {"image_id": image, "subnets": subnets, "user_data": user_data, "metadata_options": options or None}
        return replace(self, **{"root_volume": disk, "data_volumes": disks, **settled, **unknown})

    def fixed(self, observed: Observed) -> frozenset[str]:
        found = observed.state
        if not isinstance(found, Instance):
            return self.replaced_on
        disks = _volumes.unalterable("root_volume", self.root_volume, found.root_volume)
        return self.replaced_on | disks | _volumes.unalterable("data_volumes", self.data_volumes, found.data_volumes)

    def expanded(self, observed: Self, zone_of: Callable[[Ref], str | None]) -> Self:
        return replace(self, security_groups=worn_together(self.security_groups, observed.security_groups))

    def slots(self) -> Iterable[Hashable]:
        if self.private_ip_address is not None:
            yield "private_ip_address", *self.subnets, self.private_ip_address

    def remark(self, found: Observed) -> str:
        is_plain = (self.root_volume or {}).get("encrypted") is False
        if not is_plain or not (getattr(found.state, "root_volume", None) or {}).get("encrypted"):
            return ""
        return "its disk is encrypted all the same, as the account may want by default; take encrypted: false out of the spec"

    def extra_tags(self) -> dict[str, str]:
        found = {tags.IMAGE: self.image_id, tags.ATTRIBUTES: attributes(self)}
        if self.user_data is not None:
            found[tags.USER_DATA] = self.user_data.digest
            found |= {tags.VALUE + name: value for name, value in self.user_data.given}
            found |= {tags.VERSION + name: value for name, value in self.user_data.versions}
        return found


@dataclass(frozen=True)
class LaunchedWith(JointLaunch):
    """An instance's launch, and the interface and volumes of the instance."""

    interface: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The primary network interface, as AWS describes it."""
    volumes: _volumes.Attached = field(default_factory=_volumes.Attached, compare=False)
    unmanaged: tuple[str, ...] = field(default=(), compare=False)
    """The options that no spec can say."""


def _launched_with(own: Mapping[str, str]) -> UserData | None:
    """The user data that an instance was launched with, as far as its tags say."""
    if tags.USER_DATA not in own:
        return None
    versions = tags.values_in(own, tags.VERSION)
    return UserData(own[tags.USER_DATA], given=tags.values_in(own), versions=versions)


def _held(found: Observed | None) -> _volumes.Attached:
    """The volumes of an instance; none for an instance that isn't there yet."""
    return found.details.volumes if found and isinstance(found.details, LaunchedWith) else _volumes.Attached()


def _tell_lost(replaced: Iterable[Step], discovery: Discovery) -> Iterable[tuple[Step, str]]:
    """Notes on settings of replaced instances that no spec can say: their replacements get AWS's and the subnet's settings."""
    without = {
        item.id for item in discovery.resources if getattr(item.state, "assign_ipv6_address_on_creation", None) is False
    }
    for step in replaced:
        if isinstance(found := step.observed, Observed) and isinstance(has := found.details, LaunchedWith):
            ipv6 = has.interface.get("Ipv6Addresses") and has.interface.get("SubnetId") in without
            if lost := [*has.unmanaged, *(["IPv6 addresses"] if ipv6 else [])]:
                yield step, _GOES_WITHOUT + ", ".join(lost)


class InstanceKind(Ec2Kind[Instance]):
    """Drives instances."""

    properties = Instance
    noun = "an instance"
    position = 60
    section = "instances"
    entry_checks = (checks.check_entries,)
    use_checks = (checks.check_use,)
    audits = (audit,)
    used_by = "the target group"
    recognized_after = ("target_group", "load_balancer")
    id_prefix = "i-"
    listing = Listing("describe_instances", "Reservations", "InstanceId", "instance-id", is_nested=True)
    missing = ("InvalidInstanceID.NotFound",)
    ready = frozenset({"running"})
    quotas = (Quota("L-2AFB9258", "security groups on a network interface", 5, path="security_groups"),)
    iam_actions = permissions.ACTIONS
    usual = USUAL
    chosen = CHOSEN
    file_key = "user_data_file"
    protections = PROTECTIONS
    stop_protection = STOP_PROTECTION

    def grants(self, wanted: Instance, scope: Scope) -> Iterable[Grant]:
        return permissions.instance_grants(wanted, scope)

    def group_of(self, name: str) -> str:
        return name.rpartition("-")[0]

    def entry_of(self, name: str) -> Address:
        return Address(self.name, self.group_of(name))

    def member_of(self, state: Instance, number: int) -> Instance:
        given: Any = state.private_ip_address
        return replace(state, private_ip_address=given[number - 1]) if isinstance(given, list) else state

    def addresses_of(self, name: str, entry: Entry) -> Iterable[Address]:
        """The address of the group, and of each member."""
        count: Any = entry.get("count", 1)
        yield Address(self.name, name)
        yield from (
            Address(self.name, f"{name}-{number}") for number in range(1, count + 1 if type(count) is int else 1)
        )

    def tells_apart(self, entry: Entry) -> bool:
        return "elastic_ip" in entry

    def write_out(
        self, root: Node, invalid: Iterable[Path], schema: Mapping[str, Any], region: str | None
    ) -> list[Problem]:
        return write_out(root, invalid, region)

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> Instance:
        if "key_name" in entry:
            fields["key_name"] = key_name(entry["key_name"], around)
        if (profile := entry.get("iam_instance_profile")) in around.entries("instance_profiles"):
            fields["iam_instance_profile"] = Address("instance_profile", str(profile))
        if "image" in entry:
            fields["image_id"] = search_for(entry["image"])
        if "data_volumes" in entry:
            fields["data_volumes"] = _volumes.flat(entry["data_volumes"])
        state = entry.get("state", "running")
        fields["state"] = None if state == "any" else state
        variables = around.variables_of(("instances", name))
        if app := application_of(around, name, entry):
            fields["user_data"] = UserData.made(app, variables)
        elif (content := user_data_of(around, entry)) is not None:
            fields["user_data"] = UserData.of(content, variables)
        return Instance(**fields)

    def write_entry(self, observed: Observed, entry: Entry, named: Named) -> Entry:
        if lost := observed.detail(LaunchedWith).unmanaged:
            named.remark(_GOES_WITHOUT + ", ".join(lost))
        return write_instance(observed, entry, named)

    def write_remembered(self, entry: Entry, own: Mapping[str, str]) -> Entry:
        return write_remembered(entry, own)

    async def read_unshown(self, aws: Aws, observed: Observed) -> Properties:
        """The instance's properties with its protections, and with its behaviour at a shutdown (DescribeInstanceAttribute)."""
        return replace(self.of(observed), **await read_attributes(aws, observed.id, UNSHOWN))

    async def read_values(self, aws: Aws, stack: str) -> Mapping[str, str]:
        """The variables that the newest of a stack's instances was given."""
        return {name: text for own in await self._read_tags(aws, stack) for name, text in tags.values_in(own)}

    async def read_pinned(self, aws: Aws, stack: str) -> Mapping[str, Mapping[str, str]]:
        """The versions of what the newest instance of each entry was launched with."""
        found: dict[str, Mapping[str, str]] = {}
        for own in await self._read_tags(aws, stack):
            address = tags.own_address(tags.own_tags(own, 0), self.name, "")
            found[self.group_of(address.name)] = dict(tags.values_in(own, tags.VERSION))
        return found

    async def _read_tags(self, aws: Aws, stack: str) -> Sequence[Mapping[str, str]]:
        """The tags of a stack's instances, the newest last (DescribeInstances). Copies of an instance don't count."""
        where = {f"tag:{tags.STACK}": stack, "instance-state-name": ("pending", "running", "stopping", "stopped")}
        reservations = await aws.pages("ec2", self.listing.operation, self.listing.key, where=where)
        rows = (row for reservation in reservations for row in reservation.get("Instances", [reservation]))
        ordered = sorted((row for row in rows if not is_copy(row)), key=launched_at)
        return [tags.from_list(row.get("Tags")) for row in ordered]

    def places_of(self, state: Instance) -> Mapping[str, str]:
        """Where the artifact and the secrets of an application are."""
        return state.user_data.recipe.places if state.user_data and state.user_data.recipe else {}

    def path_of(self, name: str) -> str:
        return f"application.{name}" if name == ARTIFACT else f"application.secrets.{name}"

    def takes_new(self, state: Instance, name: str) -> bool:
        recipe = state.user_data and state.user_data.recipe
        return isinstance(recipe, Application) and recipe.takes_new_secrets and name != ARTIFACT

    def pinned(self, state: Instance, versions: Mapping[str, str]) -> Instance:
        found = state.user_data
        if found is None or found.recipe is None:
            return state
        return replace(state, user_data=UserData.made(found.recipe, dict(found.given), versions))

    def role_statements(self, state: Instance, account: str) -> Sequence[dict[str, Any]]:
        """What an application needs by a profile that the entry names."""
        recipe = state.user_data and state.user_data.recipe
        is_made = isinstance(state.iam_instance_profile, Address)
        return statements_of(recipe, account) if isinstance(recipe, Application) and not is_made else ()

    async def read_version(self, aws: Aws, place: str) -> tuple[str, str]:
        return await read_version(aws, place)

    async def read_file(self, aws: Aws, observed: Observed) -> bytes:
        """The instance's user data."""
        return await read_user_data(aws, observed.id)

    async def find_protections(self, aws: Aws, observed: Observed) -> Collection[str]:
        return await find_protections(aws, observed.id)

    def stops(self, changes: Sequence[Change]) -> bool:
        after = {change.path: change.after for change in changes}
        return after.get(STOP) is not False and (after.get("state") == "stopped" or stops(changes, Instance))

    async def is_stop_protected(self, aws: Aws, observed: Observed) -> bool:
        return await is_on(aws, observed.id, STOPPING)

    def check_plan(self, decisions: Decisions, discovery: Discovery) -> Iterable[Finding]:
        for item, state in each_of(decisions.desired.values(), Instance):
            yield from check_volumes(item, state.data_volumes, _held(item.found), decisions, discovery)

    def loses_data(self, found: Observed) -> bool:
        return bool(_held(found).going)

    def tell_plan(self, steps: Sequence[Step], discovery: Discovery) -> Iterable[tuple[Step, str]]:
        new = [
            (step, step.state.data_volumes)
            for step in steps
            if isinstance(step.state, Instance) and step.action in ("create", "replace")
        ]
        old = [(step, _held(step.observed)) for step in steps if step.action == "delete"]
        handed = [volume for step, disks in new for volume in handed_on(step, disks, discovery).values()]
        yield from tell_new(new, discovery)
        yield from tell_old(old, handed)
        yield from _tell_lost([step for step, _ in old if step.part_of], discovery)

    def members(self, name: str, entry: Entry, around: Around) -> Iterable[tuple[Address, Properties]]:
        return associations(name, entry)

    def defaults_for(self, wanted: Instance, defaults: dict[str, Any]) -> dict[str, Any]:
        if not wanted.data_volumes:
            return defaults
        disks = {name: {**_volumes.DEFAULTS, **disk} for name, disk in _volumes.by_name(wanted.data_volumes).items()}
        return {**defaults, "data_volumes": _volumes.flat(disks)}

    def evidence(self, desired: Desired, item: Candidate, known: Known) -> Evidence | None:
        return weigh_instance(desired, item, known)

    async def owners(self, reader: Reader) -> list[str]:
        """The stacks of instances, without copies, which have the tags of the original, and without ended instances."""
        states = ["pending", "running", "stopping", "stopped"]
        filters = [{"Name": "tag-key", "Values": [tags.STACK]}, {"Name": "instance-state-name", "Values": states}]
        reservations = await reader.aws.pages("ec2", "describe_instances", "Reservations", Filters=filters)
        rows = [row for reservation in reservations for row in reservation["Instances"]]
        reader.warnings += warnings_of_copies(rows)
        return [tags.from_list(row["Tags"])[tags.STACK] for row in rows if not is_copy(row)]

    async def adopt(self, aws: Aws, item: Adopted, known: Known, keep: Keep) -> Adopted:
        return await adopt_instance(aws, item, known.images, keep, _held(item.found))

    async def discover(self, reader: Reader) -> list[Observed]:
        rows = await reader.instances()
        reader.warnings += warnings_of_copies(rows)
        volumes: dict[str, Row] = {}
        wanted = list(each_of(reader.desired.values(), Instance))
        tagged = rows and any(item.tags.keys() - {"Name"} for item, _ in wanted)
        if tagged or reader.everything or any(state.root_volume or state.data_volumes for _, state in wanted):
            volumes = await read_volumes(reader, {item.address: state.data_volumes for item, state in wanted})
        credit: dict[str, Any] = {}
        if reader.thorough or any(state.credit_specification for _, state in wanted):
            bursting = [item["InstanceId"] for item in rows if item["InstanceType"].startswith("t") and is_alive(item)]
            read = read_credits(reader.aws, bursting)
            credit = await reader.beside("credit options", read) or {}
        return [self._observe(reader, item, volumes, credit) for item in rows if not is_copy(item)]

    def _observe(self, reader: Reader, item: Row, volumes: Mapping[str, Row], credit: Mapping[str, Any]) -> Observed:
        found = tags.from_list(item.get("Tags"))
        status = item["State"]["Name"]
        desired = reader.desired.get(tags.own_address(found, self.name, item["InstanceId"]))
        disks = getattr(desired and desired.state, "data_volumes", None)
        if reader.thorough:
            disks = _volumes.at_devices(item)
        state = Instance(
            **observe_options(item) | {"credit_specification": credit.get(item["InstanceId"])},
            **attributes_of(found.get(tags.ATTRIBUTES, "")),
            image_id=item.get("ImageId", ""),
            instance_type=item.get("InstanceType", ""),
            subnets=(item["SubnetId"],) if item.get("SubnetId") else (),
            security_groups=tuple(sorted(group["GroupId"] for group in item.get("SecurityGroups", ()))),
            key_name=item.get("KeyName") or None,
            iam_instance_profile=(item.get("IamInstanceProfile") or {}).get("Arn") or None,
            root_volume=_volumes.observe_root(item, volumes),
            data_volumes=_volumes.observe_data(item, volumes, disks),
            user_data=_launched_with(found),
            state={"pending": "running", "stopping": "stopped"}.get(status, status),
        )
        token, members = str(item.get("ClientToken", "")), tuple(launched_in(item))
        launch = LaunchedWith(token, members, primary_interface(item), _volumes.attached(item), unmanaged(item))
        seen = self.observe(reader, item, state, status, str(item.get("LaunchTime", "")), launch)
        return replace(seen, attached=_volumes.made_tags(launch.volumes, volumes))

    async def check_preconditions(
        self, aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
    ) -> list[Finding]:
        return await check_launches(aws, intents, desired, zones)

    def takes(self, action: str, fields: Collection[str]) -> tuple[int, int]:
        """The time until an instance runs, is stopped and runs again, or is terminated."""
        if action == "update":
            return (30, 150) if not {"state", *Instance.stopped_on}.isdisjoint(fields) else (0, 2)
        return (15, 90) if action == "delete" else (10, 60)

    def prepare(self, run: Run, wanted: Instance) -> None:
        if wanted.root_volume:
            read_image(run, wanted.image_id)

    async def create(self, run: Run, wanted: Instance, desired: Desired) -> str:
        how = run.step.detail(Launch)
        members = how.together or ((desired, how.generation),)

        async def launch() -> Launched:
            await stop_if_ill(run, how.groups)
            found = await find_missing(run, members, how.missing)
            params = await launch_parameters(run, wanted)
            return await launch_once(run, members, str(wanted.subnets[0]), params, found, all_or_none=not how.missing)

        launched: Launched = await asyncio.shield(run.shared.once(f"launch {members[0][0].address}", launch))
        instance = launched.ids.get(desired.address)
        if instance is None:
            raise launched.error or AssertionError(f"{desired.address} wasn't launched")
        if wanted.source_dest_check is False:  # which RunInstances doesn't take
            call = partial(run.aws.call, "ec2", "modify_instance_attribute")
            await call(InstanceId=instance, SourceDestCheck={"Value": False})
        if "name" in desired.declared and (how.together or how.missing):  # one call gives all of them the same tags
            await run.tag(instance, {"Name": desired.tags["Name"]})
        await wait_for_state(run, instance, "running")
        await attach_volumes(run, instance, desired.address, _volumes.persistent(wanted.data_volumes), desired.tags, {})
        if wanted.state == "stopped":
            await self._stop(run, wanted, instance)
        return instance

    async def update(self, run: Run, wanted: Instance, observed: Observed, fields: frozenset[str]) -> None:
        instance = observed.id
        modify = partial(run.aws.call, "ec2", retry=waits.INSTANCE_BUSY, InstanceId=instance)
        if "security_groups" in fields:
            await modify("modify_instance_attribute", Groups=list(wanted.security_groups or ()))
        if any(name.startswith("metadata_options.") for name in fields):
            await modify("modify_instance_metadata_options", **metadata(wanted))
        if "iam_instance_profile" in fields:
            await set_profile(run, wanted.iam_instance_profile, instance)
        has = observed.detail(LaunchedWith)
        if told := fields.intersection(UNSHOWN):
            await run.tag(instance, {tags.ATTRIBUTES: attributes(wanted, told)})
        await change_running(run, wanted, instance, has.interface, fields)
        if told:
            await run.tag(instance, {tags.ATTRIBUTES: attributes(wanted)})
        disks = _volumes.persistent(wanted.data_volumes).items()
        lacking = {name: disk for name, disk in disks if f"data_volumes.{name}.persistent" in fields}
        await attach_volumes(run, instance, observed.address, lacking, observed.tags, has.volumes.ids)
        await _volumes.change_volumes(run, wanted, instance, has.volumes, fields)
        if is_stopped := not fields.isdisjoint(wanted.stopped_on):
            await self._stop(run, wanted, instance)
            await change_stopped(run, wanted, instance, fields)
        if wanted.state == "stopped" and "state" in fields:
            await self._stop(run, wanted, instance)
        elif wanted.state != "stopped" and ("state" in fields or is_stopped):
            await wait_for_state(run, instance, "stopped", "running")  # an instance that is stopping can't be started
            await change_together(run, "start_instances", instance, waits.INSTANCE_BUSY)
            await wait_for_state(run, instance, "running")

    @staticmethod
    async def _stop(run: Run, wanted: Instance, instance: str) -> None:
        async with stoppable(run, wanted, instance):
            await change_together(run, "stop_instances", instance, waits.INSTANCE_BUSY)
        await wait_for_state(run, instance, "stopped")

    async def delete(self, run: Run, observed: Observed) -> None:
        if not observed.is_leaving:
            operation, off = "modify_instance_attribute", {"Value": False}
            where: dict[str, Any] = {"missing": self.missing, "InstanceId": observed.id}
            if run.step.lifts_protection:
                await say_unprotected(run, observed.id, observed.state)
                await run.gone("ec2", operation, **where, DisableApiStop=off)
            async with unlocked(run, "ec2", operation, **where, DisableApiTermination=off) as retry:
                await self.call_delete(run, observed.id, retry)
        await wait_for_state(run, observed.id, "terminated")

    async def call_delete(self, run: Run, physical_id: str, retry: waits.Codes) -> None:
        run.targets.take_out(physical_id)
        with ignoring(*self.missing):
            await change_together(run, "terminate_instances", physical_id, retry)


KIND: Final = InstanceKind()
