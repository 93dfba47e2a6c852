"""AWS denies what was made a moment ago: in every World, so that no test passes for want of patience."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from alb_reconcile.aws.just_named import ENDING
from alb_reconcile.model.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from alb_reconcile.sandbox.strict import StrictAws


class Denial:
    """For so many seconds AWS denies the tool what was made; not others, who work by hand."""

    seconds = 2.0

    def __init__(self) -> None:
        self.calls = Counter[str]()
        """Those that were refused, by operation."""
        random.seed(0)  # the pauses before a call is repeated differ by chance; here each time in the same way

    @contextmanager
    def of(
        self, aws: StrictAws, operation: str, params: Mapping[str, Any], log: list[tuple[str, Mapping[str, Any]]]
    ) -> Iterator[None]:
        """Within, one call of the tool's. One that is refused for this isn't in the log. A delete is spared: what AWS
        says of it is believed, and a later run sees what is left. So is a dry run."""
        if operation.startswith(ENDING) or "DryRun" in params:
            yield
            return
        denied, usual, logged = aws.denied, aws.reference_lag, len(log)
        aws.reference_lag = max(self.seconds, usual)
        try:
            yield
        except AwsError:
            if aws.denied > denied:
                self.calls[operation] += 1
                del log[logged:]
            raise
        finally:
            aws.reference_lag = usual
