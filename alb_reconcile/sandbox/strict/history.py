"""Imitates eventual consistency: describe actions may show the world as it was some seconds ago."""

import copyreg
import io
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from moto.ec2.models import EC2Backend
from moto.iam.models import InstanceProfile

from .world import World

# Large attributes that no request in the sandbox changes: copies share them.
SHARED = ("amis", "snapshots", "managed_prefix_lists")
# Classes with objects that are IAM's, or that never change: copies contain the same objects.
AS_THEY_ARE = (InstanceProfile, IPv4Address, IPv4Network, IPv6Address, IPv6Network)


class History:
    """Copies of the worlds from before each change, each with the time until which it was current."""

    def __init__(self) -> None:
        self._past: dict[World, list[tuple[float, Copy]]] = {}

    def keep(self, world: World, until: float, horizon: float) -> None:
        """Keep a copy of a world before a change. Copies from before `horizon` are dropped, since no read goes back so far."""
        past = [entry for entry in self._past.get(world, []) if entry[0] > horizon]
        self._past[world] = [*past, (until, Copy(world))]

    @contextmanager
    def shown(self, world: World, at: float) -> Iterator[None]:
        """Replace moto's backends, inside the block, by those of that time."""
        held = next((copy for until, copy in self._past.get(world, []) if until > at), None)
        if held is None:
            yield
            return
        present = world.ec2, world.elb
        put_in_place(world, *held.backends)
        try:
            yield
        finally:
            put_in_place(world, *present)


class Copy:
    """A copy of moto's backends of a world. It is pickled, since that takes a fifth of the time of a deep copy, and most copies are never
    read."""

    def __init__(self, world: World) -> None:
        ec2, elb = world.ec2, world.elb
        self._shared = {name: getattr(ec2, name) for name in SHARED}
        self._kept: list[Any] = []
        stream = io.BytesIO()
        pickler = pickle.Pickler(stream, pickle.HIGHEST_PROTOCOL)
        pickler.dispatch_table = (
            copyreg.dispatch_table | {EC2Backend: _without_shared} | dict.fromkeys(AS_THEY_ARE, self._keep)
        )
        pickler.dump((ec2, elb))
        self._pickled = stream.getvalue()

    def _keep(self, item: Any) -> tuple[Callable[[int], Any], tuple[int]]:
        """Let a copy contain the object itself: a pickler's reducer."""
        self._kept.append(item)
        return _item, (len(self._kept) - 1,)

    def make(self) -> tuple[Any, Any]:
        """New backends in the copied state."""
        ec2, elb = _Unpickler(self._pickled, self._kept).load()
        vars(ec2).update(self._shared)
        return ec2, elb

    @cached_property
    def backends(self) -> tuple[Any, Any]:
        """Backends in the copied state, always the same ones, for reads."""
        return self.make()


def _without_shared(backend: EC2Backend) -> tuple[Any, ...]:
    state = {name: value for name, value in vars(backend).items() if name not in SHARED}
    return copyreg.__newobj__, (type(backend),), state  # type: ignore[attr-defined]  # typeshed leaves it out


def _item(number: int) -> Any:
    """Stands, in pickles, for the function that returns a kept object by its number."""
    raise NotImplementedError(number)


class _Unpickler(pickle.Unpickler):
    def __init__(self, pickled: bytes, kept: list[Any]) -> None:
        super().__init__(io.BytesIO(pickled))
        self._kept = kept

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (__name__, _item.__name__):
            return self._kept.__getitem__
        return super().find_class(module, name)


def put_in_place(world: World, ec2: Any, elb: Any) -> None:
    from moto.ec2.models import ec2_backends
    from moto.elbv2.models import elbv2_backends

    ec2_backends[world.account][world.region] = ec2
    elbv2_backends[world.account][world.region] = elb
