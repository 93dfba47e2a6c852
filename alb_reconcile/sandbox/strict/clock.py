"""A virtual clock, which moves only when a test advances it, and the times that AWS takes for its work."""

import threading
from dataclasses import dataclass


class VirtualClock:
    """A clock for tests, which moves only by `advance`."""

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
    """How many seconds AWS takes. With 0 a change is immediate; None: the target group's settings decide."""

    pending: float = 15.0  # public logs of `terraform apply`: 10 to 40 s, half of them up to 16
    metal: float = 1200.0  # the least that a bare metal instance takes to start or stop
    stopping: float = 15.0
    shutting_down: float = 35.0  # public logs of `terraform destroy`: mostly 30 to 41 s
    tags_linger: float = 60.0  # a terminated instance keeps its tags
    terminated_visible: float = 3600.0
    trust_store: float = 3.0  # until a new trust store is ACTIVE
    provisioning: float = 164.0  # 19 public logs of `terraform apply`: 126 to 192 s, this is the median
    interfaces_linger: float = 60.0
    nodes_linger: float = 180.0
    """Until a load balancer's nodes in its former subnets are gone: new nodes take minutes to start, and old ones stay
    "active until traffic is drained" (AWS re:Post, "SetSubnets"; DNS keeps their addresses for 60 s)."""
    associating: float = 5.0  # a range with a VPC
    endpoint_pending: float = 60.0  # a VPC endpoint with network interfaces
    endpoint_deleting: float = 120.0
    nat_pending: float = 105.0  # until a NAT gateway is available; 9 public logs of `terraform apply`: 84 to 121 s
    nat_failing: float = 30.0
    nat_joining: float = 20.0  # until an additional address of a NAT gateway is in use
    nat_deleting: float = 60.0
    nat_visible: float = 3600.0
    record_change: float = 0.3  # until Route 53 takes the next change of a zone
    record_sync: float = 30.0  # until a change is on all of its name servers
    certificate_visible: float = 3.0  # until a new certificate is shown
    certificate_records: float = 6.0  # until the records that validate it are shown
    certificate_issued: float = 90.0  # after its records exist; the User Guide: up to 30 minutes
    permissions_known: float = 10.0
    """Until services know a policy that a role has got (IAM User Guide, 'Changes that I make are not always immediately visible')."""
    certificate_in_use: float = 10.0  # after the last listener that had it
    initial: float | None = None  # one interval of the health check
    recovering: float | None = None  # healthy threshold × interval
    failing: float | None = None  # unhealthy threshold × interval
    draining: float | None = None  # deregistration_delay.timeout_seconds

    def of(self, instance_type: str, seconds: float) -> float:
        """The seconds for an instance type: bare metal instances take longer to start and stop (EC2 User Guide, 'Amazon EC2 bare metal
        instances')."""
        return max(seconds, self.metal) if ".metal" in instance_type else seconds
