"""Delays changes on their way to the load balancers' nodes: the control plane hands changes on in batches."""

from dataclasses import replace

from alb_reconcile.sandbox.traffic.snapshot import LoadBalancer, Snapshot, TargetGroup, TargetState

_KNOWN = ("initial", "healthy", "unhealthy")
"""States that the nodes find out by their own health checks, not from the control plane."""


class Propagation:
    """Passes changes of listeners, rules, target groups and registrations on to the nodes at the end of each window of `seconds`.

    aws-load-balancer-controller, pull request 4039: ALB batches changes in windows of 10 s before they reach the data
    plane. A load balancer that becomes active has its configuration of that moment. With zero, changes reach the nodes at once.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._window: float | None = None
        self._shown = self._last = Snapshot()

    @property
    def is_waiting(self) -> bool:
        """Whether there is a change that the nodes don't know yet."""
        return bool(self._seconds) and self._last != self._shown

    def is_due(self, now: float) -> bool:
        """Whether a change waits though its window has ended at `now`: on AWS the nodes would know of it."""
        return self.is_waiting and now // self._seconds != self._window

    def pass_on(self, snapshot: Snapshot, now: float) -> Snapshot:
        """The snapshot that the nodes know at `now` (seconds on AWS's clock). `snapshot` is the control plane's current state."""
        window = now // self._seconds if self._seconds else None
        self._last = snapshot
        if window is None or window != self._window:
            self._window, self._shown = window, snapshot
        else:
            self._shown = self._with_new_balancers(snapshot)
        groups = {
            arn: replace(
                group, targets=tuple(_as_checked(item, snapshot.target_groups.get(arn)) for item in group.targets)
            )
            for arn, group in self._shown.target_groups.items()
        }
        return replace(
            self._shown,
            target_groups=groups,
            instances=snapshot.instances,
            ingress=snapshot.ingress,
            mute=snapshot.mute,
        )

    def _with_new_balancers(self, snapshot: Snapshot) -> Snapshot:
        known = {item.arn for item in self._shown.load_balancers}
        new = tuple(item for item in snapshot.load_balancers if item.arn not in known)
        if not new:
            return self._shown
        behind = {arn for item in new for arn in groups_behind(item)}
        groups = {arn: group for arn, group in snapshot.target_groups.items() if arn in behind}
        return replace(
            self._shown,
            load_balancers=(*self._shown.load_balancers, *new),
            target_groups={**groups, **self._shown.target_groups},
            certificates={**snapshot.certificates, **self._shown.certificates},
        )


def _as_checked(target: TargetState, present: TargetGroup | None) -> TargetState:
    """A registration as the nodes know it, with the current result of its health checks."""
    same = (
        (item for item in present.targets if (item.instance_id, item.port) == (target.instance_id, target.port))
        if present
        else ()
    )
    found = next(iter(same), target)
    return found if found.state in _KNOWN and target.state in _KNOWN else target


def groups_behind(balancer: LoadBalancer) -> set[str]:
    """The ARNs of the target groups that a load balancer forwards to."""
    actions = (action for listener in balancer.listeners for rule in listener.rules for action in rule.actions)
    return {
        item["TargetGroupArn"]
        for action in actions
        for item in (*((action.get("ForwardConfig") or {}).get("TargetGroups") or ()), action)
        if item.get("TargetGroupArn")
    }
