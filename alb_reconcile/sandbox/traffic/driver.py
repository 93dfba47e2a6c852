"""Keeps processes, health checks and the front in step with the local AWS, from a thread in the server's process."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from alb_reconcile.model.errors import ReconcileError
from alb_reconcile.sandbox.client import Door, Traffic
from alb_reconcile.sandbox.strict import StrictAws
from alb_reconcile.sandbox.strict.health import Check
from alb_reconcile.sandbox.strict.world import World
from alb_reconcile.sandbox.traffic.gaps import Gap, find_gaps
from alb_reconcile.sandbox.traffic.log_events import LogEvents
from alb_reconcile.sandbox.traffic.logbook import Logbook
from alb_reconcile.sandbox.traffic.prober import Key, Probe, Prober
from alb_reconcile.sandbox.traffic.processes import Processes
from alb_reconcile.sandbox.traffic.propagation import Propagation
from alb_reconcile.sandbox.traffic.snapshot import Addresses, Snapshot

PACE: Final = 0.1
"""Seconds between two looks if no request asks for one. If a look takes long, the pause is longer, to leave time for the rest: nine tenths
of the time, or half of it while a change waits to reach the load balancers."""
_SHARE: Final = 9
TIMEOUT: Final = 10.0
"""The most seconds that a request waits until its changes have reached the front."""
_CHECKED: Final = ("initial", "healthy", "unhealthy")


class Front(Protocol):
    """Carries requests to targets as the last snapshot says, and has a door (a local port) for each listener; `front.Front` runs Envoy."""

    def show(self, snapshot: Snapshot, addresses: Addresses) -> None: ...

    def doors(self) -> Iterable[Door]: ...

    def close(self) -> None: ...


class Driver:
    """Keeps processes, health checks and front up to date. `look` takes a snapshot; the driver calls it with the strict AWS's lock held,
    after it has settled each account and region (`World`) for the current time.

    `lag`: the most seconds, on AWS's clock, between a change's API call and its arrival at the load balancers.
    """

    def __init__(
        self,
        strict: StrictAws,
        look: Callable[[], Snapshot],
        front: Front,
        processes: Processes,
        prober: Prober,
        lag: float = 0.0,
        logs: Logbook | None = None,
        events: LogEvents | None = None,
    ) -> None:
        self._strict, self._look, self._front = strict, look, front
        self._processes, self._prober, self._logs, self._events = processes, prober, logs, events
        self._propagation = Propagation(lag)
        self._turn = threading.Condition()
        self._asked = threading.Event()
        self._begun = self._ended = 0
        self._closed = self._clearing = False
        self._problem = ""
        self._gaps: tuple[Gap, ...] = ()
        strict._health.is_real = True
        self._thread = threading.Thread(target=self._run, name="driver", daemon=True)
        self._thread.start()

    def catch_up(self, timeout: float = TIMEOUT) -> bool:
        """Wait until the current state has reached processes, prober and front; False if that takes too long."""
        with self._turn:
            wanted = self._begun + 1
            self._asked.set()
            return self._turn.wait_for(lambda: self._ended >= wanted or self._closed, timeout)

    def keep_up(self) -> None:
        """Wait until all changes that are due have reached the front: on a busy machine, the load balancers would otherwise get changes
        later than AWS's do."""
        if self._propagation.is_due(self._strict.clock()):
            self.catch_up()

    def clear(self) -> None:
        """The local AWS was emptied: kill the instances' processes, and show the front an empty snapshot."""
        self._clearing = True
        self.catch_up()

    def report(self) -> Traffic:
        """The current doors (listeners' local ports), instances' processes, the last step's problem, and settings that aren't imitated."""
        doors = sorted(self._front.doors(), key=lambda door: (door.load_balancer_arn, door.port))
        return Traffic(tuple(doors), self._processes.tell(), self._problem, self._gaps)

    def close(self) -> None:
        """End thread, processes, prober and front, and wait until all have ended."""
        with self._turn:
            self._closed = True
            self._asked.set()
            self._turn.notify_all()
        self._thread.join()
        self._processes.close()
        self._prober.close()
        self._front.close()

    def _run(self) -> None:
        pause = PACE
        while not self._closed:
            self._asked.wait(pause)
            self._asked.clear()
            with self._turn:
                self._begun += 1
            started = time.monotonic()
            self._problem = self._step_and_tell()
            share = 1 if self._propagation.is_waiting else _SHARE
            pause = max(PACE, share * (time.monotonic() - started))
            with self._turn:
                self._ended = self._begun
                self._turn.notify_all()

    def _step_and_tell(self) -> str:
        """Take a step. Returns why it failed; empty if it didn't. The next step may succeed."""
        try:
            self._step()
        except ReconcileError as error:
            return str(error)
        except Exception as error:  # this thread must not die: the sandbox depends on it
            told = f"{type(error).__name__}: {error}"
            if told != self._problem:
                logging.getLogger(__name__).exception("the sandbox's traffic is not up to date")
            return f"the sandbox's traffic is not up to date, by an error of its own ({told}); see its log"
        return ""

    def _step(self) -> None:
        if self._clearing:
            self._clearing = False
            self._processes.clear()
        snapshot, now = self._take_snapshot()
        self._processes.begin(snapshot.instances)
        self._processes.end()  # at once: an instance that stops doesn't wait until the load balancer knows
        addresses = self._processes.addresses()
        known = self._propagation.pass_on(snapshot, now)
        self._prober.watch(dict(_probes(known, addresses)))
        self._front.show(known, addresses)
        self._gaps = tuple(find_gaps(known))

    def _take_snapshot(self) -> tuple[Snapshot, float]:
        """A snapshot after all changes that are due and all health checks' results, and the time on AWS's clock."""
        found = self._prober.results()
        if self._events:
            self._events.take(self._processes.take_lines())
        with self._strict._lock:  # no request is processed meanwhile
            now = self._strict.clock()
            for world in _worlds():
                self._strict._settle(world, now)
            for check in found:
                self._record(check, now)
            snapshot = self._look()
            if self._logs:
                self._logs.write(snapshot, found, now, self._strict.moment(now))
        if self._events:
            for instance_id, why in self._events.send(item.id for item in snapshot.instances):
                self._processes.remark(instance_id, why)
        return snapshot, now

    def _record(self, check: Check, now: float) -> None:
        _, _, _, region, account, _ = check.group.split(":", 5)
        self._strict._health.record(World(account, region), check, now)


def _worlds() -> Iterator[World]:
    """The accounts and regions that were used."""
    from moto.ec2.models import ec2_backends

    for account, regions in list(ec2_backends.items()):
        for region in list(regions):
            yield World(account, region)


def _probes(snapshot: Snapshot, addresses: Addresses) -> Iterator[tuple[Key, Probe]]:
    """The health check of each target that AWS would check: not of unused or draining targets."""
    private = {instance.id: instance.private_ip for instance in snapshot.instances}
    for group in snapshot.target_groups.values():
        for target in group.targets:
            host = target.address or private.get(target.instance_id)
            if target.state not in _CHECKED or host is None:
                continue
            key = (group.arn, target.address or target.instance_id, target.port)
            port = target.port if group.health_check.port is None else group.health_check.port
            probe = Probe(
                group.health_check,
                f"{host}:{port}",
                addresses.get((target.instance_id, port)),
                version=group.protocol_version,
                is_shut_out=not target.is_open,
            )
            yield key, probe
