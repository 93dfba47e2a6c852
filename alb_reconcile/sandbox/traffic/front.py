"""The front: Envoy in front of the sandbox's instances, as its load balancers."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from alb_reconcile.sandbox.client import Door
from alb_reconcile.sandbox.identity.service import Service
from alb_reconcile.sandbox.traffic import xds
from alb_reconcile.sandbox.traffic.authentication import gatekeeper, guards_in
from alb_reconcile.sandbox.traffic.certificates import Authority, Certificate
from alb_reconcile.sandbox.traffic.envoy import Envoy
from alb_reconcile.sandbox.traffic.errors import TrafficError
from alb_reconcile.sandbox.traffic.ports import Port
from alb_reconcile.sandbox.traffic.relays import Relays
from alb_reconcile.sandbox.traffic.routes import ROUTES, Router, configuration, name_of
from alb_reconcile.sandbox.traffic.slow_start import SlowStart
from alb_reconcile.sandbox.traffic.snapshot import Addresses, Listener, Snapshot

__all__ = ["Front", "TrafficError"]

_CLUSTERS: Final = "clusters"
_LISTENERS: Final = "listeners"
Resource = dict[str, Any]


class Front:
    """Carries requests to the instances as a snapshot says. Only one thread may call `show` and `close`; any may call the other methods.

    No other code uses `folder`. `speed` divides slow start's duration; no other time is scaled here. Raises TrafficError if Envoy is
    missing, can't run, or doesn't get ready in time; then no process is left running.
    """

    def __init__(self, folder: Path, speed: float, clock: Callable[[], float] = time.monotonic) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._authority = Authority(folder / "certificates")
        self.records = folder / "records.jsonl"
        """The file in which Envoy records requests and connections, for logs."""
        self._files = xds.Files(folder)
        self._files.write(_CLUSTERS, [])
        self._files.write(_LISTENERS, [])
        self._files.write(ROUTES, [configuration(())])
        self._slow_start = SlowStart(speed, clock)
        self._clusters: dict[str, Resource] = {}
        self._listens = False
        """Whether Envoy has a listener."""
        self._ports: dict[tuple[str, int], Port] = {}
        """Local ports by a listener and its port in AWS. A listener that changes its port gets another local port."""
        self._doors: tuple[Door, ...] = ()
        self._shown: tuple[Snapshot, Addresses] = (Snapshot(), {})
        self._relays = Relays(folder / "relays", clock)
        self._identity = Service()
        self._gatekeeper = gatekeeper(self._identity.port)
        try:
            self._envoy = Envoy(folder, self._files.path(_CLUSTERS), self._files.path(_LISTENERS))
        except BaseException:
            self._relays.close()
            self._identity.close()
            raise
        self._nowhere = Port()

    @property
    def ca_file(self) -> Path:
        """The CA certificate (PEM) for HTTPS listeners."""
        return self._authority.ca_file

    @property
    def provider_url(self) -> str:
        """The address of the local identity provider, to which users are redirected."""
        return self._identity.url

    @property
    def pid(self) -> int | None:
        """Envoy's process id; None while Envoy doesn't run. The next `show` starts it again."""
        return self._envoy.pid

    def targets(self) -> Mapping[int, tuple[str, int]]:
        """The instance and port behind each local port to which Envoy connects."""
        return self._relays.targets

    def doors(self) -> tuple[Door, ...]:
        """Each listener with its local port, which stays the same as long as the listener's port in AWS does."""
        return self._doors

    def show(self, snapshot: Snapshot, addresses: Addresses) -> None:
        """Carry requests as the snapshot says. Returns when Envoy does so.

        Targets without a local port in `addresses` refuse connections. A change drops no connections, except those to targets with an
        expired deregistration delay. Raises TrafficError if Envoy doesn't take the change over.
        """
        if self._envoy.pid is None:
            self._envoy.start()
        self._relays.cut()
        wanted = (snapshot, dict(addresses))
        if wanted == self._shown and not self._slow_start.is_under_way:
            return
        doors = self._open(snapshot)
        guards = guards_in(snapshot)
        self._identity.know(guards_in(self._shown[0]) | guards)  # Envoy uses the old guards until it has the new rules
        try:
            self._publish(snapshot, self._relays.lead(snapshot, addresses))
            self._relays.cut()
        except TrafficError:
            self._files.forget()  # Envoy's state isn't known: write all files the next time
            raise
        self._identity.know(guards)
        self._doors = doors
        for listener in self._ports.keys() - {(door.listener_arn, door.port) for door in doors}:
            self._ports.pop(listener).close()
        self._shown = wanted

    def close(self) -> None:
        """End Envoy, relays and identity provider, and wait until they have ended."""
        self._envoy.close()
        self._relays.close()
        self._identity.close()
        self._doors = ()
        for port in (self._nowhere, *self._ports.values()):
            port.close()

    def _open(self, snapshot: Snapshot) -> tuple[Door, ...]:
        doors = []
        for balancer in snapshot.load_balancers:
            for listener in balancer.listeners:
                if (listener.arn, listener.port) not in self._ports:
                    self._ports[listener.arn, listener.port] = Port()
                local = self._ports[listener.arn, listener.port].number
                url = f"{listener.protocol.lower()}://localhost:{local}/"
                is_open = snapshot.lets_in(balancer.arn, listener.port)
                doors.append(Door(listener.arn, balancer.arn, listener.protocol, listener.port, local, url, is_open))
        return tuple(doors)

    def _publish(self, snapshot: Snapshot, relays: Mapping[str, Addresses]) -> None:
        """Give Envoy new clusters, then listeners and routes, then remove old clusters: so each cluster exists while requests go to it."""
        groups = snapshot.target_groups
        ports = {
            arn: xds.choose_ports(group, relays.get(arn, {}), self._nowhere.number) for arn, group in groups.items()
        }
        weights = self._slow_start.weigh(groups, ports)
        clusters = {name_of(arn): xds.cluster(group, weights[arn]) for arn, group in groups.items()}
        serving = {name_of(arn): clusters[name_of(arn)] for arn in groups if ports[arn]}
        self._write_clusters(clusters | self._clusters | serving)
        self._write_listeners(snapshot)
        self._write_clusters(clusters)
        self._clusters = clusters

    def _write_clusters(self, clusters: Mapping[str, Resource]) -> None:
        version = self._files.write(_CLUSTERS, [self._gatekeeper, *clusters.values()])
        self._envoy.wait_for({"cluster_manager.cds.version_text": version})

    def _write_listeners(self, snapshot: Snapshot) -> None:
        listeners, rules = [], []
        for balancer in snapshot.load_balancers:
            doors = {item.port: self._ports[item.arn, item.port].number for item in balancer.listeners}
            for found in balancer.listeners:
                rules.append(Router(snapshot, balancer, found, doors).virtual_host())
                if not snapshot.lets_in(balancer.arn, found.port):
                    continue  # connections to its local port are refused
                port, certificates = doors[found.port], self._certify(snapshot, found)
                file = self._files.path(ROUTES)
                listeners.append(xds.listener(balancer, found, port, file, certificates, self.records))
        routes = {f"http.front.rds.{ROUTES}.version_text": self._files.write(ROUTES, [configuration(rules)])}
        if self._listens:  # without a listener Envoy doesn't read the routes
            self._envoy.wait_for(routes)
        version = {"listener_manager.lds.version_text": self._files.write(_LISTENERS, listeners)}
        self._envoy.wait_for(version | routes if listeners else version)
        self._listens = bool(listeners)

    def _certify(self, snapshot: Snapshot, found: Listener) -> list[Certificate]:
        if found.protocol != "HTTPS":
            return []
        served = []
        for arn in found.certificates or ("",):
            if imported := snapshot.imported.get(arn):
                served += [self._authority.keep(imported.chain, imported.key), self._authority.certify(())]
            else:
                served.append(self._authority.certify(snapshot.certificates.get(arn, ())))
        return list(dict.fromkeys(served))  # clients of localhost get a certificate for that
