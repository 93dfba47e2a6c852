"""Plans `adopt`: which resources of an account a spec means, what would differ, and the tags that make them the stack's."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from alb_reconcile.adoption.hypothetical import HypotheticalReader
from alb_reconcile.adoption.match import NEW, Match, Matcher
from alb_reconcile.adoption.preview import Preview, preview_plan
from alb_reconcile.adoption.survey import held, survey_rest, survey_vpcs, told_place
from alb_reconcile.adoption.tagging import Tagging, excess
from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.discover import resolve_images
from alb_reconcile.engine.lookups import resolve_lookups
from alb_reconcile.kinds import in_order_of_recognition, kind_of, load_kinds
from alb_reconcile.kinds.base import Adopted, Keep
from alb_reconcile.kinds.images import RESOLVE
from alb_reconcile.kinds.recognition import Candidate, Known
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.advice import advised
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.resource import Desired, Observed, each_of
from alb_reconcile.model.service import DnsName, Network, Server
from alb_reconcile.model.text import printable


@dataclass(frozen=True)
class Adoption:
    """What an adoption would do; nothing has been written yet."""

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
    """The tags for resources that the stack has already, which say from now on in which zones its records are: otherwise `destroy` wouldn't
    look there."""
    vpcs: frozenset[str] = frozenset()
    """The VPCs that were searched: the stack's own, those that were matched, and those that the spec names or its subnets are in."""


class UnmatchedError(RefusedError):
    """A refusal because nothing but ids could tell which resources the entries at these addresses mean."""

    def __init__(self, text: str, addresses: Iterable[Address]) -> None:
        super().__init__(text)
        self.addresses = tuple(addresses)


async def find_adoption(
    aws: Aws,
    target: DesiredStack,
    given: Mapping[Address, str],
    *,
    keep_images: bool = False,
    keep_secrets: bool = False,
) -> Adoption:
    """Match the entries that the stack doesn't have yet. `given` holds ids, or `new`, by address.

    With `keep_images` an instance counts as launched by its image reference, whatever that leads to now; with `keep_secrets` the client
    secret that AWS has counts as the one that the spec names. Raises RefusedError with everything that is ambiguous, another stack's or
    doesn't exist.
    """
    target = await resolve_lookups(aws, target)
    reader = HypotheticalReader(aws, target.stack, target.desired, [item for item in given.values() if item != NEW])
    try:
        return await _find(reader, target, given, Keep(keep_images, keep_secrets))
    except BaseException:  # an interruption too: no read may go on after it
        await reader.cancel()
        raise


async def _find(reader: HypotheticalReader, target: DesiredStack, given: Mapping[Address, str], keep: Keep) -> Adoption:
    references = {
        state.image_id for _, state in each_of(target.desired.values(), Server) if state.image_id.startswith(RESOLVE)
    }
    (images, lost), vpcs = await asyncio.gather(
        resolve_images(reader.aws, references, target.desired.values()), survey_vpcs(reader)
    )
    _refuse(list(dict.fromkeys(map(str, lost))))
    known = Known(target.desired, target.stack, images=images)
    matcher = Matcher(target.stack, known, given, await told_place(reader.aws))
    there = held(reader, vpcs)
    known.ids.update({address: item.id for address, item in there.items()})
    matcher.match(kind_of(Network).name, vpcs)
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
    news = [match for match in matcher.matches.values() if isinstance(match.found.found.state, Network)]
    wrong = [*_taken(target, given, ours), *_left_elsewhere(target, news, ours, reader.vpcs or ())]
    wrong += _misled(matcher, reader.aws.region)
    _refuse([*wrong, *matcher.problems], matcher.ambiguous)
    return await _prepare(reader, target, matcher, there, keep)


def _taken(target: DesiredStack, given: Mapping[Address, str], own: Collection[Candidate]) -> list[str]:
    problems = []
    for there in (item.found for item in own):
        if given.get(there.address, there.id) != there.id:
            inside = [item for item in own if item.vpc == there.id]  # parts of a load balancer are forgotten with it
            first = _has(there.id, inside, target) if inside else "let the stack forget that first"
            problems.append(f"{there.address}={given[there.address]}: {there.address} is already {there.id}; {first}")
    return problems


def _left_elsewhere(
    target: DesiredStack, news: Iterable[Match], own: Collection[Candidate], vpcs: Collection[str]
) -> list[str]:
    """The refusals for resources of the stack in a VPC that is none of its own: the VPC was taken by mistake, and then it alone was
    forgotten."""
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
    """The refusals for names that lead to another region: DNS is found from everywhere, and the next apply would turn a live name."""
    return [
        f"{match.address} leads to a load balancer in {found.region}: is {region} the right region? "
        f"If it is, run adopt with {match.address}={match.found.found.id}"
        for match in matcher.matches.values()
        for found, wanted in [(match.found.found.state, matcher.known.desired[match.address].state)]
        if isinstance(found, DnsName) and isinstance(wanted, DnsName) and isinstance(wanted.alias, Address)
        if found.region not in ("", region) and match.address not in matcher.given
    ]


def _has(place: str, inside: Iterable[Candidate], target: DesiredStack) -> str:
    names = ", ".join(sorted(str(item.found.address) for item in inside))
    return f"{place} holds the stack's {names}; forget the whole stack first: {advised('forget', file_of(target))}"


def _refuse(problems: list[str], ambiguous: Iterable[Address] = ()) -> None:
    if problems:
        text = "\n".join(["nothing was adopted:", *(f"  {printable(item)}" for item in problems)])
        raise UnmatchedError(text, ambiguous)


async def _prepare(
    reader: HypotheticalReader, target: DesiredStack, matcher: Matcher, there: Mapping[Address, Observed], keep: Keep
) -> Adoption:
    matches = tuple(matcher.matches[address] for address in target.desired if address in matcher.matches)
    adopted = await asyncio.gather(*(_adopt(reader, target, match, matcher.known, keep) for match in matches))
    notes = [f"{item.desired.address}: {item.found.id} {item.note}" for item in adopted if item.note]
    parts = [Tagging(item.desired.address, item.found.id, item.tags, volumes=item.volumes) for item in adopted]
    if has_records := any(isinstance(match.found.found.state, DnsName) for match in matches):
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
    """The tag about the zones of records, if it belongs on a resource and doesn't say that yet."""
    said = reader.tags.get(found.id, {}).get(tags.ZONES, "")
    zones = tags.zones_tag(target.desired, said)
    return {tags.ZONES: zones} if tags.tells_of_zones(found.state) and zones != said else {}


async def _adopt(reader: HypotheticalReader, target: DesiredStack, match: Match, known: Known, keep: Keep) -> Adopted:
    """The tags that creating the resource would have written, as far as they are true of it, and without the user's own if AWS keeps
    them."""
    desired, found = target.desired[match.address], match.found.found
    own = {} if desired.state.keeps_tags else {key: value for key, value in desired.tags.items() if key != "Name"}
    bookkeeping = {**tags.tags_of(replace(desired, tags=own), target.stack), tags.NAME: tags.KEPT}
    if desired.state.tells_address:
        bookkeeping[tags.ADOPTED] = found.id
    item = Adopted(desired, found, bookkeeping)
    return await load_kinds()[match.address.kind].adopt(reader.aws, item, known, keep)


def entries_of(desired: Mapping[Address, Desired]) -> tuple[Address, ...]:
    """The addresses of entries that carry tags: all that can be adopted, forgotten and moved."""
    return tuple(address for address, desired in desired.items() if desired.state.service)


def file_of(target: DesiredStack) -> str:
    """The name of the spec's file in a command that is advised."""
    return next((item.file for item in target.desired.values()), "SPEC")
