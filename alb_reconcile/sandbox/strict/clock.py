"""A virtual clock, which moves only when a test advances it, and the times that AWS takes for its work."""

import threading
from dataclasses import dataclass


class VirtualClock:
    """A clock for tests: it stands still until somebody advances it."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> float:
        with self._lock:
            return self._now

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("a clock only moves forward")
        with self._lock:
            self._now += seconds


@dataclass(frozen=True)
class Timing:
    """Seconds that AWS takes. 0 makes a change immediate; None derives it from the target group's settings."""

    pending: float = 15.0  # public logs of `terraform apply`: 10 to 40 s, half of them up to 16
    metal: float = 1200.0  # for what an instance of bare metal takes at least
    stopping: float = 15.0
    shutting_down: float = 35.0  # public logs of `terraform destroy`: mostly 30 to 41 s
    tags_linger: float = 60.0  # of an instance that is terminated
    terminated_visible: float = 3600.0
    trust_store: float = 3.0  # until a new trust store is ACTIVE
    provisioning: float = 164.0  # 19 public logs of `terraform apply`: 126 to 192 s, this is the median
    interfaces_linger: float = 60.0
    nodes_linger: float = 180.0
    """Until a load balancer's nodes in subnets that it has left are gone: the new ones take minutes, and the old ones stay
    "active until traffic is drained" (AWS re:Post, "SetSubnets"; DNS keeps their addresses for 60 s)."""
    associating: float = 5.0  # of a range with a VPC
    endpoint_pending: float = 60.0  # of a VPC endpoint with network interfaces
    endpoint_deleting: float = 120.0
    nat_pending: float = 105.0  # until a NAT gateway is available; 9 public logs of `terraform apply`: 84 to 121 s
    nat_failing: float = 30.0
    nat_joining: float = 20.0  # until a further address of one is in use
    nat_deleting: float = 60.0
    nat_visible: float = 3600.0
    record_change: float = 0.3  # until Route 53 takes the next change of a zone
    record_sync: float = 30.0  # until a change is on all of its name servers
    certificate_visible: float = 3.0  # until a new certificate is shown
    certificate_records: float = 6.0  # until the records that validate it are told
    certificate_issued: float = 90.0  # after they are there; the User Guide: up to 30 minutes
    certificate_in_use: float = 10.0  # after a listener has let it go
    initial: float | None = None  # one interval of the health check
    recovering: float | None = None  # healthy threshold × interval
    failing: float | None = None  # unhealthy threshold × interval
    draining: float | None = None  # deregistration_delay.timeout_seconds

    def of(self, instance_type: str, seconds: float) -> float:
        """EC2 User Guide, 'Amazon EC2 bare metal instances': starting and stopping take longer than of virtual ones."""
        return max(seconds, self.metal) if ".metal" in instance_type else seconds
