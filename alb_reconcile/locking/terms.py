"""The numbers of a lease, in seconds. docs/locking.md explains them."""

from __future__ import annotations

from typing import Final

SECONDS: Final = 600.0
"""How long a lease holds from each write. It must exceed the longest call by far (patience.longest)."""
RENEW: Final = 60.0
"""From one renewal to the next."""
AGAIN: Final = 5.0
"""From a renewal that failed to the next attempt."""
NOTICE: Final = 120.0
"""Within which a holder that reaches S3 learns that its lease was broken: with MARGIN, RENEW and S3's two longest calls."""
MARGIN: Final = 10.0
"""What is added before a lease counts as expired: S3 tells whole seconds, and its own clocks may differ a little."""
POLL: Final = 3.0
"""From one look at somebody else's lease to the next."""
