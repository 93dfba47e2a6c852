"""What only an account can tell: each measurement asks one question, and returns the answer in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.account.measurements import delays, resources, traffic
from tests.account.place import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.account.measurements.measurement import Measurement

ALL = {each.name: each for each in sorted((*traffic.ALL, *resources.ALL, *delays.ALL), key=lambda each: each.name)}


def listed() -> str:
    """Their names and questions."""
    return "\n".join(f"{each.name:32} {each.question}" for each in ALL.values())


def named(names: Sequence[str]) -> list[Measurement]:
    """Those with these names, those that need the service later, those that end it last. Raises Refused for a name that none has."""
    unknown = sorted(set(names) - {"all", *ALL})
    if unknown:
        raise Refused(f"there is no measurement {', '.join(unknown)}; `make test-aws LIST=1` shows all")
    return sorted(
        (each for each in ALL.values() if "all" in names or each.name in names),
        key=lambda each: (each.on_service, each.ends_it),
    )
