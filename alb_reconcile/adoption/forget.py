"""Plans `forget`, which takes a stack's tags off resources and changes nothing else, and what the next apply would do then."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from alb_reconcile.adoption.adopt import entries_of, file_of
from alb_reconcile.adoption.hypothetical import PREFIX, HypotheticalReader, without_ours
from alb_reconcile.adoption.preview import Preview, preview_plan
from alb_reconcile.adoption.readopt_hints import ids_for_adopt
from alb_reconcile.adoption.survey import Survey, survey_rest, survey_vpcs
from alb_reconcile.adoption.tagging import Tagging, waves
from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.discover import read_account
from alb_reconcile.engine.lookups import resolve_lookups
from alb_reconcile.kinds import kind_of, load_kinds
from alb_reconcile.kinds.base import Grouped
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.advice import advised
from alb_reconcile.model.decisions import named_ids
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.resource import Observed
from alb_reconcile.model.service import Network, Server
from alb_reconcile.model.text import did_you_mean


@dataclass(frozen=True)
class Forgetting:
    """What `forget` would do; nothing has been written yet."""

    target: DesiredStack
    taggings: tuple[Tagging, ...]
    found: Mapping[str, Observed] = field(default_factory=dict)
    """The resources that are forgotten, by id."""
    account: str = ""
    whole: bool = False
    """Whether nothing of the stack is left."""
    preview: Preview | None = None
    notes: tuple[str, ...] = ()
    strays: tuple[Tagging, ...] = ()
    """Volumes of the stack that no instance has; they are forgotten with the whole stack."""
    unknowing: tuple[Tagging, ...] = ()
    """The tags to remove from resources that stay, since they would say that forgotten entries, which are still declared, were there: `sync`
    would make these again."""


async def find_own(reader: HypotheticalReader) -> list[Observed]:
    """All resources that carry the stack's tags, including listeners and rules of a load balancer that doesn't, after an interruption."""
    return _own(reader, (await _survey(reader))[0])


async def _survey(reader: HypotheticalReader) -> tuple[Survey, dict[str, str]]:
    """All VPCs, and every resource in those of the stack, whatever its owner; and the VPC of each subnet."""
    vpcs = await survey_vpcs(reader)
    found, subnet_vpcs = await survey_rest(reader, {item.found.id for item in vpcs if item.owner == reader.stack})
    return {**found, kind_of(Network).name: vpcs}, subnet_vpcs


def _own(reader: HypotheticalReader, survey: Survey) -> list[Observed]:
    order = {kind: number for number, kind in enumerate(waves())}
    return sorted(
        (item.found for part in survey.values() for item in part if item.owner == reader.stack),
        key=lambda item: (order[item.state.kind], item.address, item.id),
    )


async def find_forgetting(aws: Aws, target: DesiredStack, addresses: Collection[str]) -> Forgetting:
    """Find the resources that `addresses` name, with those that can't be without them; all if there are no addresses.

    `instances.NAME` names all members of a group. An entry of the spec that the stack doesn't have may have been forgotten
    before, as by a run that was killed. Raises RefusedError for any other address that the stack doesn't have.
    """
    target = await resolve_lookups(aws, target, takes_own=True)
    reader = HypotheticalReader(aws, target.stack, target.desired)
    try:
        account = await read_account(reader.aws, target.account_ids)
        survey, subnet_vpcs = await _survey(reader)
        own = _own(reader, survey)
        chosen, absent = _choose(target, own, addresses)
        going = _with_children(chosen, own) if addresses else own
        volumes = await volumes_of(reader, going)
        taggings = tuple(
            Tagging(item.address, item.id, remove=_ours(reader, item.id, *held), volumes=held)
            for item in going
            for held in (volumes.get(item.id, ()),)
        )
        gone = {key: without_ours(reader.tags[key]) for item in taggings for key in (item.id, *item.volumes)}
        found = {item.id: item for item in going}
        staying = [item for item in own if item.id not in found]
        preview = await preview_plan(reader, target, gone) if staying else None
        strays = () if staying or addresses else await _strays(aws, target.stack)
    except BaseException:  # an interruption too: no read may go on after it
        await reader.cancel()
        raise
    notes = [
        *absent,
        *(
            _declared(target, going)
            if staying
            else _all_of_it(target, ids_for_adopt(target, going, survey, subnet_vpcs))
        ),
        *_left_inside(target, going, staying),
        *_ties(going, staying),
    ]
    notes += [
        f"no instance has {item.id}, a volume of {item.address}: it is forgotten as well, and stays" for item in strays
    ]
    knowing = staying if any(item.address in target.desired for item in going) else []
    unknowing = tuple(
        Tagging(item.address, item.id, remove=(tags.APPLIED, tags.ENTRIES))
        for item in knowing
        if tags.APPLIED in reader.tags[item.id]
    )
    return Forgetting(target, taggings, found, account, not staying, preview, tuple(notes), strays, unknowing)


async def _strays(aws: Aws, stack: str) -> tuple[Tagging, ...]:
    """Volumes that instances have left behind (EC2 DescribeVolumes)."""
    where = {f"tag:{tags.STACK}": [stack], "status": ["available"]}
    rows = await aws.pages("ec2", "describe_volumes", "Volumes", where=where)
    found = {str(row["VolumeId"]): tags.from_list(row.get("Tags")) for row in rows}
    server = kind_of(Server).name
    return tuple(
        Tagging(
            tags.address_of(own, server) or Address(server, key),
            key,
            remove=tuple(sorted(name for name in own if name.startswith(PREFIX))),
        )
        for key, own in sorted(found.items())
    )


def _choose(
    target: DesiredStack, own: Iterable[Observed], addresses: Collection[str]
) -> tuple[list[Observed], list[str]]:
    """The resources that are named, and notes about entries that aren't there."""
    chosen: dict[str, Observed] = {}
    absent, problems = [], []
    for text in addresses:
        # below an entry that a killed run has forgotten there may be some that it hasn't
        found = [item for item in own if is_meant(text, item.address) or is_below(text, item.address)]
        chosen |= {item.id: item for item in found}
        if not found and any(is_meant(text, address) for address in entries_of(target.desired)):
            absent.append(f"nothing is at {text}: there is nothing to forget")
        elif not found:
            hint = did_you_mean(text, (str(item.address) for item in own))
            problems.append(f"{text}: the stack {target.stack} has nothing at this address{hint}")
    if problems:
        raise RefusedError("\n".join(["nothing was forgotten:", *(f"  {item}" for item in problems)]))
    return list(chosen.values()), absent


def is_meant(text: str, address: Address) -> bool:
    """Whether an address of the command line means a resource: `instances.web` means all of web-1, web-2 …"""
    section, _, group = text.partition(".")
    kind = load_kinds()[address.kind]
    if isinstance(kind, Grouped) and kind.section == section:
        return kind.group_of(address.name) == group and address.name.removeprefix(f"{group}-").isdigit()
    return text == str(address)


def is_below(text: str, address: Address) -> bool:
    """Whether a resource's entry nests in the one that an address of the command line means."""
    kind, _, name = text.partition(".")
    return kind in ancestors(address.kind) and address.name.startswith(f"{name}/")


def ancestors(kind: str) -> tuple[str, ...]:
    """The kinds in the entries of which those of this kind nest, the closest first."""
    found = load_kinds().get(kind)
    parent = found.properties.parent if found else None
    return (parent, *ancestors(parent)) if parent else ()


def _with_children(chosen: list[Observed], own: list[Observed]) -> list[Observed]:
    """The chosen resources with their listeners and rules, which couldn't be found under a load balancer that isn't the stack's."""
    going = {item.id for item in chosen}
    for item in sorted(own, key=lambda item: load_kinds()[item.state.kind].position):
        going |= {item.id} if item.parent_id in going else set()
    return [item for item in own if item.id in going]


async def volumes_of(reader: HypotheticalReader, items: Iterable[Observed]) -> dict[str, tuple[str, ...]]:
    """The volumes with the stack's tag that instances were launched with, by instance."""
    instances = {item.id for item in items if isinstance(item.state, Server)}
    found: dict[str, tuple[str, ...]] = {}
    if not instances:
        return found
    await reader.tagged("describe_volumes", "Volumes")
    for key in instances:
        ids = [(device.get("Ebs") or {}).get("VolumeId") for device in reader.rows[key].get("BlockDeviceMappings", ())]
        found[key] = tuple(sorted(item for item in ids if item and reader.ours(reader.tags.get(item, {}))))
    return found


def _ours(reader: HypotheticalReader, *ids: str) -> tuple[str, ...]:
    """The keys of all tags of this tool; the stack's is always among them, since the resource was found by it."""
    found = (key for item in ids for key in reader.tags.get(item, ()) if key.startswith(PREFIX))
    return tuple(sorted({tags.STACK, *found}))


def _all_of_it(target: DesiredStack, ids: Mapping[Address, str]) -> list[str]:
    file = file_of(target)
    after = f"apply would make all that {file} declares a second time, and " if target.desired else ""
    back = advised("adopt", file, *(f"{address}={key}" for address, key in ids.items()))
    return [
        f"afterwards the stack {target.stack} owns nothing, and its resources run on: {after}destroy would find nothing; to take them back: {back}"
    ]


def _declared(target: DesiredStack, going: Iterable[Observed]) -> list[str]:
    declared = [item for item in going if item.address in target.desired]
    if not declared:
        return []
    names = ", ".join(sorted(str(item.address) for item in declared))
    first = f"the spec still declares {names}: the next apply creates new ones, unless the entries are removed"
    return [first, *hurdles(target, {item.address: item for item in declared})]


def _left_inside(target: DesiredStack, going: Iterable[Observed], staying: Iterable[Observed]) -> list[str]:
    """Notes about resources that the next apply would delete as others', since they are in a listener or load balancer that stays the
    stack's."""
    parents = {item.id: target.desired.get(item.address) for item in staying}
    inside = [
        str(item.address)
        for item in going
        for parent in [parents.get(item.parent_id or "")]
        if parent is not None and not parent.lifecycle.keep_others
    ]
    if not inside:
        return []
    return [
        f"what it is in stays the stack's: the next apply deletes {', '.join(sorted(inside))} as somebody else's, with or without the entry, unless others: keep stands there"
    ]


def hurdles(target: DesiredStack, gone: Mapping[Address, Observed]) -> list[str]:
    """Notes about resources that would block, by their name, the creation of another one for their entry."""
    notes = []
    for address, item in gone.items():
        physical = item.state.own_name
        if not target.desired[address].state.own_name and re.search("-[0-9a-f]{8}$", physical):
            notes.append(
                f"{address}: {item.id} keeps the generated name {physical} and would block its replacement; give the entry a name: of its own, or remove it"
            )
    return notes


def _ties(going: Iterable[Observed], staying: Collection[Observed]) -> list[str]:
    """Notes about resources of the stack that can't be deleted any more, since a forgotten resource uses them."""
    used: dict[str, list[str]] = {}
    stays = {item.id for item in staying}
    for item in going:
        if not item.state.keeps_used or item.parent_id in stays:
            continue  # or it goes with its load balancer
        for text in named_ids(item.state):
            used.setdefault(text, []).append(f"{item.address} ({item.id})")
    return [
        f"{item.address} can't be deleted while in use by {', '.join(sorted(set(used[item.id])))}, which destroy no longer deletes"
        for item in staying
        if item.id in used
    ]
