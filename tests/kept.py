"""A World that goes back to what was made before: many tests begin with the same stack, and to make it is half of their work.

What it goes back to is all that EC2 and ELBv2 held when the first run had converged, at the same time on the same calendar. A stack that
another service had a part in is made each time, as is one in an account that isn't fresh.
"""

from __future__ import annotations

import copy
import json
import os
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from alb_reconcile.sandbox.strict.history import SHARED, Copy, put_in_place
from alb_reconcile.sandbox.strict.world import Ledger
from alb_reconcile.sandbox.strict.world import World as Place
from tests import direct
from tests.harness import CATALOGUE, FAKE_ENVIRONMENT, NOTHING, REGION, World, world
from tests.harness import _asks_for_public as asks_for_public

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    import pytest

    from alb_reconcile.aws.transport import Response
    from alb_reconcile.sync.stack import Ending
    from tests.harness import Result, Spec

PLACE = Place(DEFAULT_ACCOUNT_ID, REGION)
MOST = 50
"""So many are kept, the last that were asked for: a module's tests run one after another."""


@dataclass(frozen=True)
class Kept:
    """What a run in a fresh account led to, and how it went."""

    backends: Copy
    result: Result
    log: tuple[tuple[str, Mapping[str, Any]], ...]
    changes: int
    time: float
    origin: datetime


_kept: OrderedDict[str, Kept] = OrderedDict()


class KeptWorld(World):
    """A World that needn't make again what another test has made from nothing."""

    def __init__(self, strict: StrictAws, clock: VirtualClock) -> None:
        super().__init__(strict, clock)
        self._others_asked = False
        self._fresh = self._settings()

    def _settings(self) -> object:
        """All that is to be as in a fresh account: what AWS is like, and what stands between it and the tool."""
        aws, patched = self.strict, vars(self).keys() - {"_fresh"}
        about = (
            aws.timing,
            aws.lag,
            aws.lag_of_read,
            aws.reference_lag,
            aws.page_size,
            aws.health,
            aws.changes,
            self.clock.now(),
        )
        return about, self.endpoint, dict(self.closed), self.outside, patched

    def _call(self, service: str, operation: str, params: Mapping[str, Any]) -> Response:
        self._others_asked |= not (
            service in (*direct.RESPONSES, "service-quotas")  # of which there are none in a fresh account
            or operation in CATALOGUE
            or asks_for_public(operation, params)
            or NOTHING.get(operation, lambda: False)()
        )
        return super()._call(service, operation, params)

    def converge(self, spec: Spec, **options: Any) -> Result:
        is_plain = isinstance(spec, dict)  # a spec that was loaded may hold variables, which no text says
        if (
            not is_plain
            or self._fresh != self._settings()
            or PLACE.ledger != Ledger()
            or not all(none() for none in NOTHING.values())
        ):
            return super().converge(spec, **options)
        asked = json.dumps([spec, options])
        if asked in _kept:
            _kept.move_to_end(asked)
            return self._go_back(_kept[asked])
        self._others_asked = False
        result = super().converge(spec, **options)
        if not self._others_asked:
            _kept[asked] = Kept(
                Copy(PLACE), _copied(result), (*self.log,), self.strict.changes, self.clock.now(), self.strict._origin
            )
            _share_nothing()
            if len(_kept) > MOST:
                _kept.popitem(last=False)
        return result

    def sync(self, spec: Spec, *, now: datetime | None = None, **options: Any) -> Ending:
        """On AWS's calendar, which has gone back as well."""
        return super().sync(spec, now=now or self.today, **options)

    def _go_back(self, kept: Kept) -> Result:
        _put_back(kept.backends)
        self.strict.changes, self.strict._origin, self.clock._now = kept.changes, kept.origin, kept.time
        self.strict._settled = ()
        self.log = [*kept.log]
        return _copied(kept.result)


@cache
def _nothing() -> Copy:
    """A fresh account: the ids of its default VPC are those that each stack was made beside."""
    return Copy(PLACE)


def _put_back(backends: Copy) -> None:
    put_in_place(PLACE, *backends.make())
    _share_nothing()


def _share_nothing() -> None:
    """What a copy takes as it is, since AWS itself never changes it, is the test's own: it may add to it."""
    for name in SHARED:
        setattr(PLACE.ec2, name, copy.copy(getattr(PLACE.ec2, name)))


def _copied(result: Result) -> Result:
    """What a test may change is its own."""
    lists = {name: copy.copy(getattr(result, name)) for name in ("problems", "calls", "events", "warnings")}
    return replace(result, **lists)


@contextmanager
def fresh_world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A fresh account for a test. One that may make the program do otherwise makes its stack itself."""
    if "monkeypatch" in request.fixturenames:
        with world() as made:
            yield made
        return
    os.environ.update(FAKE_ENVIRONMENT)
    clock = VirtualClock()
    with StrictAws(clock=clock.now) as strict:
        _put_back(_nothing())
        yield KeptWorld(strict, clock)
