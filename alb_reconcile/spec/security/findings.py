"""What a check of security finds, before it is known whether somebody has accepted it."""

from typing import NamedTuple

from alb_reconcile.model.nodes import Path


class Finding(NamedTuple):
    """A control that an entry doesn't meet. `path` is what has to be written or changed, whether it is there or not."""

    control: str
    address: str
    path: Path
    problem: str
    change: str
