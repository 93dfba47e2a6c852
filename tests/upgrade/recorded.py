"""Makes a stack as an older program made it: its calls were recorded, and are made again, with the ids that AWS gives this time.

`stacks/NAME.json` has the commit of that program, the spec, and for each call the service, the operation, its parameters, and where its
answer gave an id that a later call names. tests/upgrade/record.py writes such a file; those of older programs were written alike, in checkouts of
their commits.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from alb_reconcile.model.errors import AwsError
from tests.harness import Spec

if TYPE_CHECKING:
    from tests.harness import World

FOLDER: Final = Path(__file__).parent / "stacks"
NAMES: Final = sorted(file.stem for file in FOLDER.glob("*.json"))
_PATIENCE: Final = 200
"""How often a call is tried, 5 s apart: the older program waited for what it needed."""
_BYTES: Final = ("Body", "UserData")
IDS: Final = re.compile(
    r'arn:aws:(?:elasticloadbalancing|acm):[^",\s]+|\b(?:vpc|subnet|igw|rtb|sg|i|vol)-[0-9a-f]{17}\b'
    r"|\bZ[A-Z0-9]{12,}\b|_[0-9a-z]{32}\b|\b[a-z-]+-[0-9a-f]{8}-\d+\.us-east-1\.elb\.amazonaws\.com"
)


@dataclass
class Recorded:
    """A recorded stack. `made` has the ids of this time by those of the recording."""

    name: str
    commit: str
    spec: Spec
    calls: list[Any]
    made: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str) -> Recorded:
        return cls(name, **json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))

    def make(self, world: World) -> None:
        """Make all calls in the world's account."""
        for service, operation, params, gave in self.calls:
            self._make(world, service, operation, self._translated(params), gave)

    def _make(self, world: World, service: str, operation: str, params: Any, gave: dict[str, str]) -> None:
        for tried in range(_PATIENCE):
            try:
                answer = world._ask(service, operation, params)
                for path, text in gave.items():
                    self.made.update(zip(IDS.findall(text), IDS.findall(_at(answer, path)), strict=True))
            except (AwsError, LookupError):
                if tried == _PATIENCE - 1:
                    raise
                world.clock.advance(5)
            else:
                return

    def _translated(self, params: Any) -> Any:
        found = json.loads(IDS.sub(lambda found: self.made[found[0]], json.dumps(params)))
        return {key: item.encode() if key in _BYTES else item for key, item in found.items()}


def _at(answer: Any, path: str) -> str:
    for part in path.split("."):
        answer = answer[int(part) if part.isdigit() else part]
    return str(answer)
