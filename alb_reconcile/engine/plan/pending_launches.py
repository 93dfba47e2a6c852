"""Finds launches of a moment ago of which AWS shows only a part: the other instances may exist."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from alb_reconcile.model.address import Address
from alb_reconcile.model.decisions import subnets_of
from alb_reconcile.model.resource import Observed
from alb_reconcile.model.service import JointLaunch

_RECENT: Final = timedelta(minutes=10)
"""How long after a launch a read may still show only a part of it. Clocks don't differ by more, since AWS would refuse the requests."""


@dataclass(frozen=True)
class Unseen:
    """A launch, by its client token, of which AWS doesn't show all instances: the members that it was for, and its subnet."""

    token: str
    members: frozenset[Address]
    place: tuple[str, ...]


def find_unseen(resources: Iterable[Observed], now: datetime) -> list[Unseen]:
    """The launches of the last minutes that AWS doesn't show completely."""
    launches: dict[tuple[str, tuple[Address, ...]], list[Observed]] = defaultdict(list)
    for item in resources:
        if isinstance(item.details, JointLaunch) and item.details.members:
            launches[item.details.token, item.details.members].append(item)
    return [
        Unseen(token, missing, max(tuple(map(str, subnets_of(item.state))) for item in shown))
        for (token, members), shown in launches.items()
        if (missing := frozenset(members).difference(item.address for item in shown))
        and any(datetime.fromisoformat(item.created) > now - _RECENT for item in shown)
    ]
