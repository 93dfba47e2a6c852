"""Recognizes AWS's ids and ARNs, and says which of them a spec may give instead of the name of an entry."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Final

from alb_reconcile.aws.tagging import service_named
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import AnyKind
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.lookup import Lookup

_OTHERS: Final = ("ami-", "eni-", "pl-", "vol-")
"""Prefixes of ids that a spec may hold, or could hold by mistake, and that no kind of this tool has."""


@cache
def _ids() -> re.Pattern[str]:
    prefixes = (*(kind.id_prefix for kind in load_kinds().values() if kind.id_prefix), *_OTHERS)
    return re.compile(f"({'|'.join(map(re.escape, prefixes))})([0-9a-f]{{8}}|[0-9a-f]{{17}})")


def is_aws_id(text: str) -> bool:
    """Whether a reference is a literal id, or a look-up, and so names something outside of the spec."""
    return isinstance(text, Lookup) or text.startswith("arn:") or _ids().fullmatch(text) is not None


def is_id_of(kind: str, text: str) -> bool:
    """Whether a literal id or ARN can name a resource of a kind."""
    if isinstance(text, Lookup):
        return text.kind == kind
    found = load_kinds()[kind]
    if found.id_prefix:
        return text.startswith(found.id_prefix)
    service = found.properties.service
    return bool(service) and service_named(service).names(text, found.arn_type)


def describe_id(kind: AnyKind) -> str:
    """A kind's id in words: a VPC's id (vpc-…)."""
    return f"{kind.noun}'s {f'id ({kind.id_prefix}…)' if kind.id_prefix else 'ARN'}"


def refer(kind: str, target: str) -> Ref:
    """The reference for a text: a literal id as it is, a name as the address of an entry."""
    return target if is_aws_id(target) else Address(kind, target)


def refer_all(kind: str, targets: Iterable[str] | None) -> tuple[Ref, ...] | None:
    """References in a canonical order, for lists in which the order has no meaning."""
    return None if targets is None else tuple(sorted((refer(kind, target) for target in targets), key=str))
