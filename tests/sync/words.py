"""What the tests of unattended runs ask of an ending."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from tests.harness import READS

if TYPE_CHECKING:
    from alb_reconcile.sync.stack import Ending
    from tests.harness import Spec
    from tests.kinds.hand import Hand


def left(ending: Ending) -> dict[str, str]:
    """What waits for a person: address and cause."""
    selection = ending.selection
    return {str(step.address): selection.causes[step.key] for step in selection.left if step.part_of is None}


def done(ending: Ending) -> dict[str, str]:
    """What was done: address and cause."""
    causes = ending.acted.causes if ending.acted else {}
    return {str(item.step.address): causes[item.step.key] for item in ending.outcomes if item.how == "done"}


def writes(hand: Hand) -> list[str]:
    return [name for name, _ in hand.world.log if not name.startswith(READS)]


def with_image(spec: Spec, image: str) -> Spec:
    changed = copy.deepcopy(spec)
    changed["instances"]["web"]["image_id"] = image
    return changed
