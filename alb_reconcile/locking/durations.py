"""The durations of a lease, in seconds, which docs/locking.md explains."""

from typing import Final

LEASE: Final = 600.0
"""How long a lease holds from each write. This must exceed the longest call by far (aws.timeouts.longest)."""
RENEW_INTERVAL: Final = 60.0
"""The time from one renewal to the next."""
RETRY_INTERVAL: Final = 5.0
"""The time from a renewal that failed to the next attempt."""
BREAK_NOTICE: Final = 120.0
"""The time in which a holder that reaches S3 learns that its lease was broken: with MARGIN, RENEW_INTERVAL and S3's two longest calls."""
MARGIN: Final = 10.0
"""What is added before a lease counts as expired: S3 tells whole seconds, and its own clocks may differ a little."""
POLL_INTERVAL: Final = 3.0
"""The time from one look at another run's lease to the next."""
