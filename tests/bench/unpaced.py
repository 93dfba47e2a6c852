"""The tool's command line without its pace below AWS's limits, to set large scenes quickly. Never measured."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from alb_reconcile.aws.throttle import Places, Throttle
from alb_reconcile.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable


def _at_once(self: Throttle, service: str, operation: str, params: Callable[[], object], now: float) -> Places:
    return []


if __name__ == "__main__":
    Throttle.reserve = _at_once  # type: ignore[method-assign]  # to replace it is the point
    sys.exit(main(sys.argv[1:]))
