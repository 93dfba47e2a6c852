"""Relays connections between the front and the instances, and cuts those to targets after the deregistration delay.

The front's Envoy lets a connection to a target end by itself, however long that takes. One that passes on TCP, and gives
the listeners that it loses no time to drain, closes it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from alb_reconcile.sandbox.traffic.envoy import Envoy
from alb_reconcile.sandbox.traffic.ports import Port
from alb_reconcile.sandbox.traffic.snapshot import Addresses, Snapshot
from alb_reconcile.sandbox.traffic.xds import TYPE, Files, address

_CLUSTERS: Final = "clusters"
_LISTENERS: Final = "listeners"
_DELAY: Final = "deregistration_delay.timeout_seconds"
Key = tuple[str, str, int, int]
"""A registration (target group, instance, port), and the instance's local port."""


@dataclass
class _Relay:
    port: Port
    delay: float
    due: float | None = None
    """When to cut the relay's connections; None unless its target was deregistered."""


class Relays:
    """The relays: one for each registration, on a local port of its own. Only one thread may call its methods.

    AWS ELB, 'Deregistration delay' and 'HTTP 502': requests that are still open when the delay ends fail. The delay begins when the load
    balancer knows of the deregistration, and is in real seconds (`clock`), like the duration of requests. A target of a group to which
    nothing forwards is `unused`: it has no delay, and leaves at once. Raises TrafficError.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._clock = clock
        self._relays: dict[Key, _Relay] = {}
        self.targets: dict[int, tuple[str, int]] = {}
        """The instance and port behind each relay's local port, now or last."""
        self._files = Files(folder)
        for name in (_CLUSTERS, _LISTENERS):
            self._files.write(name, [])
        self._envoy = Envoy(folder, self._files.path(_CLUSTERS), self._files.path(_LISTENERS), drain=0)

    def lead(self, snapshot: Snapshot, addresses: Addresses) -> Mapping[str, Addresses]:
        """Make the relays of all registered targets that listen. Returns their local ports, by target group, when they relay."""
        now, led = self._clock(), dict[str, dict[tuple[str, int], int]]()
        staying: set[Key] = set()
        for group in snapshot.target_groups.values():
            delay = float(group.attributes.get(_DELAY) or 300)
            for target in group.targets:
                local = addresses.get((target.instance_id, target.port))
                if local is None:
                    continue
                key = (group.arn, target.instance_id, target.port, local)
                if key not in self._relays:
                    self._relays[key] = _Relay(Port(), delay)
                relay = self._relays[key]
                self.targets[relay.port.number] = (target.instance_id, target.port)
                relay.delay = 0 if target.state == "unused" else delay
                led.setdefault(group.arn, {})[target.instance_id, target.port] = relay.port.number
                if target.state != "draining":
                    staying.add(key)
        for key, relay in self._relays.items():
            relay.due = None if key in staying else now + relay.delay if relay.due is None else relay.due
        self._write()
        return led

    def cut(self) -> None:
        """Close the connections of relays with an expired delay, and start Envoy again if it has ended."""
        if self._envoy.pid is None:
            self._envoy.start()
        over = [key for key, relay in self._relays.items() if relay.due is not None and relay.due <= self._clock()]
        ports = [self._relays.pop(key).port for key in over]
        if ports:
            self._write()
        for port in ports:
            port.close()

    def close(self) -> None:
        """End Envoy, and wait until it has ended."""
        self._envoy.close()
        for relay in self._relays.values():
            relay.port.close()

    def _write(self) -> None:
        ports = sorted({local for *_, local in self._relays})
        clusters = self._files.write(_CLUSTERS, [_cluster(local) for local in ports])
        self._envoy.wait_for({"cluster_manager.cds.version_text": clusters})
        relays = sorted((relay.port.number, key[-1]) for key, relay in self._relays.items())
        listeners = self._files.write(_LISTENERS, [_listener(port, local) for port, local in relays])
        self._envoy.wait_for({"listener_manager.lds.version_text": listeners})


def _cluster(local: int) -> dict[str, Any]:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(local)}}]}]
    return {
        "@type": f"{TYPE}config.cluster.v3.Cluster",
        "name": str(local),
        "type": "STATIC",
        "load_assignment": {"cluster_name": str(local), "endpoints": endpoints},
    }


def _listener(port: int, local: int) -> dict[str, Any]:
    proxy = {
        "@type": f"{TYPE}extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "relay",
        "cluster": str(local),
        "idle_timeout": "0s",
    }
    return {
        "@type": f"{TYPE}config.listener.v3.Listener",
        "name": str(port),
        "address": address(port),
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}]}],
    }
