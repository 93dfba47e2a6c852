"""The tags by which a stack owns its resources: their keys, their values, and how they are written and read.

`alb-reconcile:stack` and `alb-reconcile:address` are a contract. The other tags tell drift from a changed spec and keep
protection alive when an entry is removed.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from alb_reconcile.model.abilities import extra_tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Desired, Properties, each_of
from alb_reconcile.model.service import Balancer, DnsName
from alb_reconcile.model.text import digest

STACK: Final = "alb-reconcile:stack"
ADDRESS: Final = "alb-reconcile:address"
SPEC: Final = "alb-reconcile:spec"
IMAGE: Final = "alb-reconcile:image"
USER_DATA: Final = "alb-reconcile:user-data"
VALUE: Final = "alb-reconcile:value:"
"""And the name of a variable: what an apply was given for the values of an entry."""
VERSION: Final = "alb-reconcile:version:"
"""And the name of a thing that an instance's user data names: the version that the thing had when the instance was launched."""
CHECK_NAME: Final = "check-of-a-new-version"
"""The name in the address of a rule that leads a run's own requests to a new version. No entry has it, so the next run removes a rule that a
killed one has left."""
STANDBY: Final = "alb-reconcile:stands-by-until"
"""On the target group of the version before: until when it stands by, so that requests can be moved back to it at once."""
REJECTED: Final = "alb-reconcile:rejected"
"""On a target group: that the version in it failed its checks, or was rolled back, and when. Requests don't move there without the user's word."""
ATTRIBUTES: Final = "alb-reconcile:attributes"
"""The attributes that were set for an instance and that DescribeInstances doesn't show: `disable_api_stop=true …`."""
VOLUME: Final = "alb-reconcile:volume"
"""The name of a volume that outlives its instance, among the instance's data volumes."""
CLIENT_SECRET: Final = "alb-reconcile:client-secret"  # noqa: S105 (the key of a tag)
"""A digest of where the client secret of a listener or rule was read, and the version of it that was written last."""
BUNDLE: Final = "alb-reconcile:bundle"
"""Digests of the bucket, key and version that a trust store's certificates were read from."""
REVOCATIONS: Final = "alb-reconcile:revocations"
"""The ids of a trust store's revocation lists, each with a digest of where it was read from."""
VALIDATION: Final = "alb-reconcile:validation"
"""The hosted zone of a certificate's validation records, and a digest of each that this tool has made there."""
PREVENT_DESTROY: Final = "alb-reconcile:prevent-destroy"
ADOPTED: Final = "alb-reconcile:adopted"
NAME: Final = "alb-reconcile:name"
KEPT: Final = "kept"
"""The value of `alb-reconcile:name` on an adopted resource: the resource's Name tag stays as it is, unless the spec gives one."""
LAUNCH: Final = "alb-reconcile:launch"
"""The tag of instances that one call launched, which gives all of them the same tags: the entry, and the members' numbers in the order of
AWS's launch index (`instance.web 1 3 5`). The address of each instance follows from it, where no tag says another."""
APPLIED: Final = "alb-reconcile:applied"
"""A digest of the whole spec that was applied last, and a code for each of its entries: if an entry is missing, and is wanted as
it was applied, its resource existed, and was deleted outside of this tool."""
ENTRIES: Final = "alb-reconcile:entries"
"""A code for each address of the spec that was applied last: a resource that is missing and has a code existed, whatever the spec says of
it now."""
DESTROYING: Final = "destroying"
"""The value of `applied` from the beginning of a destroy on."""
UNFINISHED: Final = "unfinished"
"""The value of `applied` instead of the digest, while a resource of a rare kind is made (`is_rare`)."""
ZONES: Final = "alb-reconcile:zones"
"""The hosted zones in which the stack has DNS records, which carry no tags: on the resources that carry `applied`, and on load balancers."""
EVERY_ZONE: Final = "*"
"""The value of `zones` where there are more zones than a tag holds."""
IGNORE_UNTIL: Final = "alb-reconcile:ignore-until"
"""Set by hand in an emergency: until that time `sync` leaves the resource as it is."""


def tags_of(desired: Desired, stack: str) -> dict[str, str]:
    """All tags that a resource is created with."""
    tags = {
        **desired.tags,
        **extra_tags(desired.state, {}),
        STACK: stack,
        ADDRESS: str(desired.address),
        SPEC: spec_tag(desired),
    }
    if desired.lifecycle.prevent_destroy is not None:
        tags[PREVENT_DESTROY] = str(desired.lifecycle.prevent_destroy).lower()
    return tags


def values_in(found: Mapping[str, str], prefix: str = VALUE) -> tuple[tuple[str, str], ...]:
    """What the tags with a prefix (`VALUE`, `VERSION`) keep, by name; an empty tag keeps nothing."""
    return tuple(
        sorted((key.removeprefix(prefix), text) for key, text in found.items() if key.startswith(prefix) and text)
    )


def value_tags(desired: Mapping[Address, Desired]) -> dict[str, str]:
    """The tags that keep all variables that a spec's values were given."""
    every = (extra_tags(item.state, {}) for item in desired.values())
    return {key: text for found in every for key, text in found.items() if key.startswith(VALUE)}


def carried(state: Properties, marks: Mapping[str, str]) -> dict[str, str]:
    """The tags about the whole spec with which a resource is created."""
    # a launch is repeated with the very same tags, so what other entries say stays out of it
    own = marks if state.carries_applied else {ZONES: marks.get(ZONES, "")} if tells_of_zones(state) else {}
    return {key: text for key, text in own.items() if text}


def spec_tag(desired: Desired) -> str:
    """The digest of the declared properties, and a code for each of them, in the 256 characters that a tag has."""
    return " ".join([desired.spec_digest, *sorted(_code(path) for path in desired.declared)])[:256].strip()


def readdressed(desired: Desired, found: Mapping[str, str]) -> dict[str, str]:
    """The address tag as it should be, where the resource has one that says another address than its entry; else nothing."""
    own = str(desired.address)
    return {ADDRESS: own} if not desired.state.keeps_tags and found.get(ADDRESS, own) != own else {}


def spec_digest_of(desired: Mapping[Address, Desired]) -> str:
    """A digest of what a spec wants, variables filled in; the order of its entries doesn't matter."""
    return digest(sorted([str(address), item.spec_digest] for address, item in desired.items()))


def applied_tag(desired: Mapping[Address, Desired]) -> str:
    """The digest of the whole, and the codes of as many entries as a tag's 256 characters hold: first those of resources that are missed first."""
    ranked = sorted(
        (item.state.missed, address, item.spec_digest) for address, item in desired.items() if item.spec_digest
    )
    return " ".join(
        [spec_digest_of(desired), "".join(_entry_code(address, own) for _, address, own in ranked[:_MOST_CODES])]
    )


def entries_tag(desired: Mapping[Address, Desired]) -> str:
    """The codes of as many addresses as a tag's 256 characters hold, those of resources that serve first; some of many instances are left
    out."""
    ranked = sorted(
        (item.lifecycle.group is not None, item.state.missed, address)
        for address, item in desired.items()
        if item.spec_digest
    )
    return "".join(_address_code(address) for *_, address in ranked[:_MOST_ADDRESSES])


def applied_tags(desired: Mapping[Address, Desired]) -> dict[str, str]:
    """The tags that say which spec is applied."""
    return {APPLIED: applied_tag(desired), ENTRIES: entries_tag(desired)}


def zones_tag(desired: Mapping[Address, Desired], *before: str) -> str:
    """The zones of records that a spec declares, and those of earlier tags; empty where there are none."""
    named = {str(state.zone) for _, state in each_of(desired.values(), DnsName)} - {""}
    found = " ".join(sorted(named.union(*(tag.split() for tag in before))))
    return found if len(found) <= 256 else EVERY_ZONE


def tells_of_zones(state: Properties) -> bool:
    """Whether a resource carries the tag `zones`."""
    return state.carries_applied or isinstance(state, Balancer)


def is_known_in(tag: str, wanted: Desired) -> bool:
    """Whether an `applied` tag holds the code of an entry as it is wanted now."""
    return _has(tag.partition(" ")[2], _entry_code(wanted.address, wanted.spec_digest))


def has_entry(tag: str, address: Address) -> bool:
    """Whether an `entries` tag holds the code of an address."""
    return _has(tag, _address_code(address))


def _has(codes: str, own: str) -> bool:
    return any(codes[start : start + len(own)] == own for start in range(0, len(codes), len(own)))


_MOST_CODES: Final = 60
_MOST_ADDRESSES: Final = 64


def _entry_code(address: Address, spec_digest: str) -> str:
    return _short(f"{address} {spec_digest}")


def _address_code(address: Address) -> str:
    return _short(str(address))


def _short(text: str) -> str:
    """Four characters that a tag may have."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:3]).decode()


def no_longer_declared(desired: Desired, tag: str, candidates: Iterable[str]) -> list[str]:
    """Which of the candidate paths an earlier spec declared (as its tag says) and this one doesn't."""
    earlier = set(tag.split()[1:])
    return sorted(path for path in set(candidates).difference(desired.declared) if _code(path) in earlier)


def has_declared(tag: str, path: str) -> bool:
    """Whether a spec that was applied declared that path, as its tag says; or may have, where the tag has no room for all of its codes."""
    return _code(path) in tag.split()[1:] or len(tag) > 256 - len(" 12345")


def _code(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()[:5]


def launch_tags(desired: Sequence[Desired], stack: str) -> dict[str, str]:
    """The tags with which the members of an instance entry are launched in one call. They share the entry's Name."""
    first, group = desired[0], desired[0].lifecycle.group
    shared = {key: value for key, value in tags_of(first, stack).items() if key != ADDRESS}
    shared["Name"] = shared_name(first, stack)
    numbers = " ".join(item.address.name.removeprefix(f"{group}-") for item in desired)
    return {**shared, LAUNCH: f"{Address(first.address.kind, str(group))} {numbers}"}


def shared_name(desired: Desired, stack: str) -> str:
    """The Name of an instance that was launched with others of its entry: the entry's, unless the spec gives one."""
    own = desired.tags["Name"]
    return f"{stack}-{desired.lifecycle.group}" if own == f"{stack}-{desired.address.name}" else own


def launched_for(tag: str) -> list[Address]:
    """The addresses of the instances of a launch, by the value of its tag; empty if the value isn't of that form."""
    entry, *numbers = tag.split() or [""]
    try:
        kind, name = Address.parse(entry)
        return [Address(kind, f"{name}-{number}") for number in numbers]
    except ValueError:
        return []


def own_tags(found: Mapping[str, str], index: int) -> dict[str, str]:
    """The tags of an instance with its address, whether a tag says it or its launch does. `index` is AWS's launch index."""
    members = launched_for(found.get(LAUNCH, ""))
    if ADDRESS in found or index >= len(members):
        return dict(found)
    return {**found, ADDRESS: str(members[index])}


def from_list(tags: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
    """AWS's list of keys and values as a dict."""
    return {tag["Key"]: tag["Value"] for tag in tags or ()}


def to_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """A dict as AWS's list of keys and values."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def address_of(tags: Mapping[str, str], kind: str) -> Address | None:
    """The address that a resource of that kind says it has."""
    try:
        address = Address.parse(tags.get(ADDRESS, ""))
    except ValueError:
        return None
    return address if address.kind == kind else None


def identity(desired: Desired, stack: str) -> dict[str, str]:
    """The two tags by which a resource is found again."""
    return {STACK: stack, ADDRESS: str(desired.address)}


def own_address(tags: Mapping[str, str], kind: str, physical_id: str) -> Address:
    """The address of what carries the stack's tag: where its tags say no usable one, one that no spec can name."""
    return address_of(tags, kind) or Address(kind, f"({physical_id})")
