"""Describes, by this host's history, the resources that a stack once had and no longer has."""

from collections.abc import Collection, Iterable

from alb_reconcile.journal.record import RunRecord
from alb_reconcile.kinds import load_kinds

_MOST = 10


def describe_gone(runs: Iterable[RunRecord], ids: Collection[str], addresses: Collection[str]) -> str:
    """A sentence about the resources that the runs have made, and not deleted, by records with the newest first, and that don't exist;
    empty if all do.

    `ids` and `addresses` are those of existing resources. A resource counts as existing if its address has one now. A resource without
    tags, such as a registration, comes back with the one that it belongs to.
    """
    tagged = {name for name, kind in load_kinds().items() if kind.properties.service}
    made: dict[str, str] = {}
    for record in reversed([*runs]):
        for step in record.having(how="done"):
            if step.action in ("create", "replace") and step.id and step.address.partition(".")[0] in tagged:
                made[step.id] = step.address
            elif step.action == "delete":
                made = {key: other for key, other in made.items() if key != step.id and other not in step.also_deletes}
    there = {*addresses, *(address for key, address in made.items() if key in ids)}
    gone = sorted({*made.values()} - there)
    more = f" and {len(gone) - _MOST} more" if len(gone) > _MOST else ""
    return f"This host's history has {', '.join(gone[:_MOST])}{more}, too; add what was deleted" if gone else ""
