"""The windows of a policy: time zones that there are, and a length."""

from collections.abc import Mapping
from typing import Any

from alb_reconcile.model.policy import zone_of
from alb_reconcile.spec.document import Path
from alb_reconcile.spec.outline import Outline


def check(outline: Outline) -> None:
    """The spec's own policy."""
    policy = outline.data.get("policy")
    if isinstance(policy, dict):
        check_policy(outline, policy, ("policy",))


def check_policy(outline: Outline, policy: Mapping[str, Any], path: Path) -> None:
    """A policy that stands at a path of the document."""
    for index, window in enumerate(policy.get("windows") or ()):
        if isinstance(window, dict):
            _check_window(outline, window, (*path, "windows", index))


def _check_window(outline: Outline, window: Mapping[str, Any], path: Path) -> None:
    if "time_zone" in window:
        try:
            zone_of(window["time_zone"])
        except ValueError as error:
            outline.error((*path, "time_zone"), str(error))
    refused = outline.given(path).keys() - window.keys()
    start, end = window.get("from", "00:00"), window.get("to", "24:00")
    if start == end and not refused:
        key = "to" if "to" in window else "from"
        outline.error(
            (*path, key), "is also when it begins, so it has no length; for the whole day leave out from and to"
        )
