"""Settings for all tests: Hypothesis at a pace for every run, and at length with SOAK=1."""

from __future__ import annotations

import gc
import itertools
import os
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.loaders import JSONFileLoader
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture.engine import ConjectureRunner
from moto.core import models

from alb_reconcile.cli import main
from alb_reconcile.cli.options.parser import make_parser
from alb_reconcile.model.advice import reach_with

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUIET = (HealthCheck.too_slow, HealthCheck.data_too_large)  # this machine's speed is no property of the code
settings.register_profile("suite", derandomize=True, max_examples=60, deadline=None, suppress_health_check=_QUIET)
settings.register_profile("soak", max_examples=5000, deadline=None, suppress_health_check=_QUIET)
# Where it is set, each process that a test starts would compile the program anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
pytest.register_assert_rewrite("tests.kinds.hand")  # so that its asserts explain themselves


@cache
def _models(path: str) -> Any:
    return _load(JSONFileLoader(), path)


# Each boto3 session reads AWS's models anew, a quarter of a second each time; the tests' sessions share them.
_load = JSONFileLoader.load_file
JSONFileLoader.load_file = lambda _, path: _models(path)
# moto makes a key of 2,048 bits for each account's volumes and each certificate, which nobody here uses.
rsa.generate_private_key = cache(rsa.generate_private_key)
_keys: Any = serialization
_keys.load_pem_private_key = cache(_keys.load_pem_private_key)
# Each time moto begins, it prepares six thousand answers for the library requests, which nobody here uses.
vars(models)["RESPONSES_METHODS"] = ()
# What only parses needs no parser of its own; to make one takes longer than most commands that tests run.
vars(main)["make_parser"] = cache(make_parser)
settings.load_profile("soak" if os.environ.get("SOAK") else "suite")


def pytest_report_header() -> str:
    """Which long run this is, so that it can be repeated."""
    return f"make soak SEED={number}" if (number := os.environ.get("SOAK")) else ""


@pytest.fixture(autouse=True)
def advice_as_typed() -> Iterator[None]:
    """What one test's command line said of AWS isn't in the next one's messages."""
    yield
    reach_with(())


@pytest.fixture(scope="module")
def only_fresh() -> Iterator[None]:
    """Each random example is drawn anew: five of six are variations of another, and a third of those of specs its copies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConjectureRunner, "generate_mutations_from", lambda *_: None)
        yield


_PARTS = {"load": (0,), "docs": (1,), "golden": (1,), "e2e": (2, 3)}
"""The quarters of the list that folders begin; a folder's modules take turns."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts processes or sends load is slow. What waits longest begins first, so that it doesn't stand alone at the end: each
    of pytest's workers begins with a part of the list. What takes long follows, and modules stay together."""
    parts: list[list[pytest.Item]] = [[], [], [], []]
    modules: defaultdict[Path, list[pytest.Item]] = defaultdict(list)
    for item in items:
        modules[item.path].append(item)
        if item.path.parent.name in ("e2e", "load"):
            item.add_marker(pytest.mark.slow)
    turns = {folder: itertools.cycle(numbers) for folder, numbers in (*_PARTS.items(), ("properties", range(4)))}
    rest: list[pytest.Item] = []
    for path in sorted(modules, key=lambda path: [*turns, path.parent.name].index(path.parent.name)):
        turn = turns.get(path.parent.name)
        (parts[next(turn)] if turn else rest).extend(modules[path])
    for number, part in enumerate(parts):
        missing = max(0, len(items) * (number + 1) // len(parts) - sum(map(len, parts[: number + 1])))
        part += rest[:missing]
        del rest[:missing]
    items[:] = itertools.chain.from_iterable(parts)


def pytest_collection_finish() -> None:
    """What is there by now (moto, AWS's models) stays: to look for garbage in it took a sixth of the tests' time, and to look after
    each 700 new objects a tenth."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root, which holds specs/ and schemas/."""
    return Path(__file__).parent.parent
