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

# Large, and never changed by a request that the sandbox knows.
SHARED = ("amis", "snapshots", "managed_prefix_lists")
# IAM's own objects, and what never changes.
AS_THEY_ARE = (InstanceProfile, IPv4Address, IPv4Network, IPv6Address, IPv6Network)


class History:
    """Copies of the world as it was before each change, with the time until which each one held."""

    def __init__(self) -> None:
        self._past: dict[World, list[tuple[float, Copy]]] = {}

    def keep(self, world: World, until: float, horizon: float) -> None:
        """The world is about to change: keep what it was, and drop what nobody can look back to."""
        past = [entry for entry in self._past.get(world, []) if entry[0] > horizon]
        self._past[world] = [*past, (until, Copy(world))]

    @contextmanager
    def shown(self, world: World, at: float) -> Iterator[None]:
        """Within the block moto's backends are those of that time."""
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
    """moto's backends of a world as they are now. It is pickled, which takes a fifth of the time of a deep copy, and most copies
    are never looked at."""

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
        """The object itself."""
        self._kept.append(item)
        return _item, (len(self._kept) - 1,)

    def make(self) -> tuple[Any, Any]:
        """Backends that are as those were."""
        ec2, elb = _Unpickler(self._pickled, self._kept).load()
        vars(ec2).update(self._shared)
        return ec2, elb

    @cached_property
    def backends(self) -> tuple[Any, Any]:
        """The same each time, for who only looks."""
        return self.make()


def _without_shared(backend: EC2Backend) -> tuple[Any, ...]:
    state = {name: value for name, value in vars(backend).items() if name not in SHARED}
    return copyreg.__newobj__, (type(backend),), state  # type: ignore[attr-defined]  # typeshed leaves it out


def _item(number: int) -> Any:
    """Stands in pickles for what gives back an object that is kept as it is."""
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
