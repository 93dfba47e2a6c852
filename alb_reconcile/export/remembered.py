"""What a stack had once, by this host's history, and hasn't any more."""

from collections.abc import Collection, Iterable

from alb_reconcile.journal.record import RunRecord
from alb_reconcile.kinds import load_kinds

_MOST = 10


def describe_gone(runs: Iterable[RunRecord], ids: Collection[str], addresses: Collection[str]) -> str:
    """Whose making the runs tell, the newest first, and no deletion; empty where all of that is there.

    `ids` and `addresses` are what is there. Whatever is at an address now is no gap. What has no tags, such as a registration,
    comes back with what it belongs to.
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
