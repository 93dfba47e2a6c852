"""Decides when "not found" means "not yet": the next calls may not know a resource that was just made (EC2 API, "Eventual consistency")."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from alb_reconcile.model.errors import AwsError

_NEW: Final = 300.0  # seconds for which a new resource may stay unknown (terraform-provider-aws)
_EARLIER: Final = 60.0  # seconds from a run's first change, for resources that an earlier, killed run has made
ENDING: Final = (
    "delete_",
    "deregister_",
    "detach_",
    "disassociate_",
    "release_",
    "remove_",
    "revoke_",
    "terminate_",
    "untag_",
)
"""Calls for which "not found" means that their work is done."""
_NOT_FOUND: Final = re.compile(
    r"Invalid((?!Association)\w+I[Dd]|Group|KeyPair|Volume)\.NotFound|[A-Za-z]+NotFound(Exception)?"
)
"""Codes for a missing resource that a call refers to, rather than for something missing inside the resource."""
_MEMBERS: Final = ("InstanceIds", "ResourceArns", "Resources", "Targets")


class JustNamed:
    """The ids, ARNs and names in AWS's answers to a run's changes, with the time of each."""

    def __init__(self) -> None:
        self._named: dict[str, float] = {}
        self._began: float | None = None

    def note(self, answer: Mapping[str, Any], now: float) -> None:
        """Remember the ids, ARNs and names in the answer to a successful change."""
        self._began = now if self._began is None else self._began
        self._named.update((text, now) for key, text in _texts(answer) if text and key.endswith(("Id", "Arn", "Name")))

    def waits(self, error: AwsError, operation: str, params: Mapping[str, Any], now: float) -> bool:
        """Whether to repeat a change that AWS refuses, since AWS may not know yet a resource that the change names."""
        if operation.startswith(ENDING) or not _NOT_FOUND.fullmatch(error.code):
            return False
        self._began = now if self._began is None else self._began
        texts = [text for _, text in _texts(params)]
        told = [text for text in texts if text in error.message] or texts  # AWS mostly says what it doesn't find
        known = max((self._named.get(text, -_NEW) for text in told), default=-_NEW)
        is_one = all(len(params.get(key, ())) < 2 for key in _MEMBERS)  # of several, `Batch` leaves it out
        return now < max(known + _NEW, self._began + _EARLIER if is_one else 0.0)


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Each text in a value, with the key under which it stands."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(item, name)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item, key)
