"""`adopt`: what of an account a spec means, what would differ, and the tags that make it the stack's."""

import asyncio
import base64
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from alb_reconcile.adoption.hypothetical import HypotheticalReader
from alb_reconcile.adoption.match import NEW, Match, Matcher
from alb_reconcile.adoption.preview import Preview, preview_plan
from alb_reconcile.adoption.survey import held, survey_rest, survey_vpcs, told_place
from alb_reconcile.adoption.tagging import Tagging, excess
from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.discover import resolve_images
from alb_reconcile.engine.lookups import resolve_lookups
from alb_reconcile.kinds import in_order_of_recognition
from alb_reconcile.kinds.images import RESOLVE
from alb_reconcile.kinds.instance import Instance
from alb_reconcile.kinds.instance.options import UNSHOWN, attributes, read_attributes
from alb_reconcile.kinds.listener.secrets import current_version, secret_of, secret_tag
from alb_reconcile.kinds.recognition import Candidate, Known
from alb_reconcile.kinds.record.values import AliasTarget
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address, UserData
from alb_reconcile.model.advice import advised
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.resource import Desired, Observed, each_of
from alb_reconcile.model.text import printable

_REGION: Final = re.compile(r"\.([a-z0-9-]+)\.elb\.amazonaws\.com")
"""In the DNS name of an Application Load Balancer."""


@dataclass(frozen=True)
class Adoption:
    """What adopting would do. Nothing has been written yet."""

    target: DesiredStack
    matches: tuple[Match, ...]
    held: tuple[Address, ...]
    """The entries that the stack has already."""
    missing: tuple[Address, ...]
    """The entries for which nothing was found."""
    taggings: tuple[Tagging, ...]
    preview: Preview
    notes: tuple[str, ...] = ()
    knowing: tuple[Tagging, ...] = ()
    """What the stack has already, and that says from now on in which zones its records are: else `destroy` wouldn't look there."""
    vpcs: frozenset[str] = frozenset()
    """Where it was looked: the stack's own, those that were matched, and those that the spec names or its subnets are in."""


class UnmatchedError(RefusedError):
    """What the entries at these addresses mean can't be told without ids."""

    def __init__(self, text: str, addresses: Iterable[Address]) -> None:
        super().__init__(text)
        self.addresses = tuple(addresses)


@dataclass(frozen=True)
class Keep:
    """What of the resources counts as the spec's though it can't be seen: that `images` are those that references lead to, and
    that the client `secrets` are those that the spec names."""

    images: bool = False
    secrets: bool = False


async def find_adoption(
    aws: Aws,
    target: DesiredStack,
    given: Mapping[Address, str],
    *,
    keep_images: bool = False,
    keep_secrets: bool = False,
) -> Adoption:
    """Match the entries that the stack doesn't have yet. `given` holds ids, or `new`, by address.

    With `keep_images` an instance counts as launched by its image reference, whatever that leads to now; with `keep_secrets`
    the client secret that AWS has counts as the one that the spec names. Raises RefusedError with everything that is
    ambiguous, somebody else's or not there.
    """
    target = await resolve_lookups(aws, target)
    reader = HypotheticalReader(aws, target.stack, target.desired, [item for item in given.values() if item != NEW])
    try:
        return await _find(reader, target, given, Keep(keep_images, keep_secrets))
    except BaseException:  # an interruption too: no read may go on behind it
        await reader.cancel()
        raise


async def _find(reader: HypotheticalReader, target: DesiredStack, given: Mapping[Address, str], keep: Keep) -> Adoption:
    references = {
        state.image_id for _, state in each_of(target.desired.values(), Instance) if state.image_id.startswith(RESOLVE)
    }
    (images, lost), vpcs = await asyncio.gather(
        resolve_images(reader.aws, references, target.desired.values()), survey_vpcs(reader)
    )
    _refuse(list(dict.fromkeys(map(str, lost))))
    known = Known(target.desired, target.stack, images=images)
    matcher = Matcher(target.stack, known, given, await told_place(reader.aws))
    there = held(reader, vpcs)
    known.ids.update({address: item.id for address, item in there.items()})
    matcher.match("vpc", vpcs)
    own = {item.found.id for item in vpcs if item.owner == target.stack}
    matched = {item.found.found.id for item in matcher.matches.values()}
    found, known.subnet_vpcs = await survey_rest(reader, own | matched)
    every = [item for part in (vpcs, *found.values()) for item in part]
    there |= held(reader, every)
    known.ids.update({address: item.id for address, item in there.items()})
    known.learn(found)
    for kind in in_order_of_recognition()[1:]:
        matcher.match(kind, found[kind])
    ours = [item for item in every if item.owner == target.stack]
    news = [match for match in matcher.matches.values() if match.address.kind == "vpc"]
    wrong = [*_taken(target, given, ours), *_left_elsewhere(target, news, ours, reader.vpcs or ())]
    wrong += _misled(matcher, reader.aws.region)
    _refuse([*wrong, *matcher.problems], matcher.ambiguous)
    return await _prepare(reader, target, matcher, there, keep)


def _taken(target: DesiredStack, given: Mapping[Address, str], own: Collection[Candidate]) -> list[str]:
    problems = []
    for there in (item.found for item in own):
        if given.get(there.address, there.id) != there.id:
            inside = [item for item in own if item.vpc == there.id]  # what is in a load balancer is released with it
            first = _has(there.id, inside, target) if inside else "release that first"
            problems.append(f"{there.address}={given[there.address]}: {there.address} is already {there.id}; {first}")
    return problems


def _left_elsewhere(
    target: DesiredStack, news: Iterable[Match], own: Collection[Candidate], vpcs: Collection[str]
) -> list[str]:
    """What of the stack is in a VPC that is none of its own: it was taken by mistake, and then only the VPC was released."""
    lost: dict[str, list[Candidate]] = defaultdict(list)
    for item in own:
        if item.vpc and item.vpc not in vpcs:
            lost[item.vpc].append(item)
    return [
        f"{match.address} can't be {match.found.found.id}: {_has(vpc, inside, target)}"
        for match in news
        for vpc, inside in lost.items()
    ]


def _misled(matcher: Matcher, region: str) -> list[str]:
    """Names that lead to another region: DNS is found from everywhere, and the next apply would turn a live name."""
    return [
        f"{match.address} leads to a load balancer in {there[1]}: is {region} the right region? "
        f"If it is, run adopt with {match.address}={match.found.found.id}"
        for match in matcher.matches.values()
        if isinstance(alias := getattr(match.found.found.state, "alias", None), AliasTarget)
        if isinstance(getattr(matcher.known.desired[match.address].state, "alias", None), Address)
        if (there := _REGION.search(alias.dns_name)) and there[1] != region and match.address not in matcher.given
    ]


def _has(place: str, inside: Iterable[Candidate], target: DesiredStack) -> str:
    names = ", ".join(sorted(str(item.found.address) for item in inside))
    return f"{place} holds the stack's {names}; release the whole stack first: {advised('release', file_of(target))}"


def _refuse(problems: list[str], ambiguous: Iterable[Address] = ()) -> None:
    if problems:
        text = "\n".join(["nothing was adopted:", *(f"  {printable(item)}" for item in problems)])
        raise UnmatchedError(text, ambiguous)


async def _prepare(
    reader: HypotheticalReader, target: DesiredStack, matcher: Matcher, there: Mapping[Address, Observed], keep: Keep
) -> Adoption:
    matches = tuple(matcher.matches[address] for address in target.desired if address in matcher.matches)
    notes: list[str] = []
    parts = await asyncio.gather(*(_tag(reader, target, match, matcher.known.images, notes, keep) for match in matches))
    if has_records := any(match.address.kind == "record" for match in matches):
        told = {match.address: match.found.found for match in matches}
        parts = [replace(item, write={**item.write, **_zones(reader, target, told[item.address])}) for item in parts]
    imagined = {item.id: {**reader.tags[item.id], **item.write} for item in parts}
    imagined |= {
        volume: {**reader.tags.get(volume, {}), **tags.identity(target.desired[item.address], target.stack)}
        for item in parts
        for volume in item.volumes
    }
    preview = await preview_plan(reader, target, imagined)
    behind = preview.entries
    taggings = tuple(
        # an entry that isn't as the spec says gets its digest from the apply that makes it so
        replace(item, write={key: value for key, value in item.write.items() if key != tags.SPEC})
        if item.address in behind
        else item
        for item in parts
    )
    _refuse([text for item in taggings if (text := excess(reader, item))])
    missing = tuple(
        address
        for address, desired in target.desired.items()
        if desired.state.service and address not in matcher.matches and address not in there
    )
    knowing = tuple(
        Tagging(address, item.id, zones)
        for address, item in there.items()
        if has_records and (zones := _zones(reader, target, item))
    )
    held = tuple(address for address in there if address in target.desired)
    vpcs = frozenset(reader.vpcs or ())
    return Adoption(target, matches, held, missing, taggings, preview, (*notes, *preview.elsewhere), knowing, vpcs)


def _zones(reader: HypotheticalReader, target: DesiredStack, found: Observed) -> dict[str, str]:
    """The tag about the zones of records, where it belongs on a resource and doesn't say that yet."""
    said = reader.tags.get(found.id, {}).get(tags.ZONES, "")
    zones = tags.zones_tag(target.desired, said)
    return {tags.ZONES: zones} if tags.tells_of_zones(found.state) and zones != said else {}


async def _tag(
    reader: HypotheticalReader,
    target: DesiredStack,
    match: Match,
    images: Mapping[str, str],
    notes: list[str],
    keep: Keep,
) -> Tagging:
    """The tags that creating it would have written, as far as they are true of it, and without the user's own where AWS keeps them."""
    desired, found = target.desired[match.address], match.found.found
    own = {} if desired.state.keeps_tags else {key: value for key, value in desired.tags.items() if key != "Name"}
    bookkeeping = {**tags.tags_of(replace(desired, tags=own), target.stack), tags.NAME: tags.KEPT}
    secret = secret_of(action_of(desired.state))
    if keep.secrets and secret is not None:
        bookkeeping |= secret_tag(replace(secret, version=await current_version(reader.aws, secret)))
    volumes: tuple[str, ...] = ()
    if desired.state.longest_name:
        bookkeeping[tags.ADOPTED] = found.id  # its name doesn't tell whose it is
    if isinstance(desired.state, Instance) and isinstance(found.state, Instance):
        bookkeeping[tags.ADOPTED] = found.id
        if tags.ATTRIBUTES in bookkeeping:
            declared = [name for name in UNSHOWN if getattr(desired.state, name) is not None]
            there = await read_attributes(reader.aws, found.id, declared)
            bookkeeping[tags.ATTRIBUTES] = attributes(replace(desired.state, **there))
        reference = desired.state.image_id
        if images.get(reference, reference) != found.state.image_id and not (
            keep.images and reference.startswith(RESOLVE)
        ):
            del bookkeeping[tags.IMAGE]
        if desired.state.user_data is not None and not await _has_user_data(reader, found.id, desired.state.user_data):
            del bookkeeping[tags.USER_DATA]
            notes.append(
                f"{match.address}: {found.id} was launched with different user data than the spec's; apply leaves it unchanged"
            )
        volumes = _volumes(reader.rows[found.id], desired.state)
    return Tagging(match.address, found.id, bookkeeping, volumes=volumes)


async def _has_user_data(reader: HypotheticalReader, instance: str, wanted: UserData) -> bool:
    answer = await reader.aws.call("ec2", "describe_instance_attribute", InstanceId=instance, Attribute="userData")
    encoded = (answer.get("UserData") or {}).get("Value") or ""
    return UserData.of(base64.b64decode(encoded)) == wanted


def _volumes(row: Mapping[str, Any], wanted: Instance) -> tuple[str, ...]:
    """An instance's root disk, and the data volumes at the devices that its entry names."""
    named = {value for path, value in (wanted.data_volumes or {}).items() if path.endswith(".device_name")}
    return tuple(
        str(device["Ebs"]["VolumeId"])
        for device in row.get("BlockDeviceMappings", ())
        if device.get("DeviceName") in {row.get("RootDeviceName"), *named} and device.get("Ebs")
    )


def entries_of(desired: Mapping[Address, Desired]) -> tuple[Address, ...]:
    """The addresses that carry tags: all that can be adopted, released and moved."""
    return tuple(address for address, desired in desired.items() if desired.state.service)


def file_of(target: DesiredStack) -> str:
    """What stands for the spec in a command that is advised."""
    return next((item.file for item in target.desired.values()), "SPEC")
