"""Changes of any property, as in tests/properties/test_changes.py, under real load: no request fails, whoever is ill afterwards."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.load.sender import Load
from tests.load.stage import ALLOWED, LONGEST, RATE, SOAK
from tests.properties.seeds import first_seed, tried
from tests.properties.walks import asked

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.load.stage import Stage

PAIRS = 60
PATHS = ("/", "/v2/x")
AROUND = 60
"""Requests before and after each change."""


def is_possible(stage: Stage, spec: Spec) -> bool:
    """Whether the account has what the spec only names: a sandbox makes zones and the like for it, but no health check of Route 53
    and no bucket with certificates."""
    with stage.tool.forked("plan", *ALLOWED, stage.write(spec)) as process:
        output, _ = process.communicate(timeout=LONGEST)
    assert process.returncode in (0, 3, 4), output
    return bool(process.returncode == 0)


@pytest.mark.skipif(not SOAK, reason="sixty changes of a running stack take a quarter of an hour: SOAK=1")
def test_changes_of_any_property(hasty: Stage) -> None:
    """One that the stack can't serve, such as a check that the web API fails, ends with 1, and costs no request either. At least
    half are served."""
    seed = int(os.environ.get("CHANGES_SEED") or first_seed("changes under load"))
    pairs = asked(seed, "two ports", PATHS)
    pair, paths = next(pairs)
    number = served = impossible = 0
    while number < PAIRS:
        if not (
            hasty.has(pair.before) or hasty.tries(pair.before)
        ):  # an earlier change has made it ill: from the base again
            hasty.destroy(pair.before)
            pairs.close()
            pairs = asked(seed + number, "two ports", PATHS)
            pair, paths = next(pairs)
            assert hasty.tries(pair.before)
        if not is_possible(hasty, pair.after):
            print(f"not possible: {'; '.join(map(str, pair.changes))}")
            impossible += 1
            pair, paths = pairs.send(False)
            continue
        told = f"PYTHONHASHSEED=0 SOAK=1 CHANGES_SEED={seed} pytest tests/load/test_load_changes.py repeats it; pair {number}: {pair}"
        with Load(hasty.url(pair.before), rate=RATE, paths=paths) as load:
            load.until(AROUND)
            is_served = hasty.tries(pair.after)
            hasty.wait_for_nodes()
            load.more(AROUND)
        assert load.failures[:5] == [], f"{told}\n{load.failures[:5]}"
        end = "serves" if is_served else "doesn't serve"
        print(
            f"{number} {end} after {'; '.join(map(str, pair.changes))}: {load.sent} requests for {', '.join(paths)}, none failed"
        )
        if is_served:
            hasty.is_settled(pair.after)
        number, served = number + 1, served + is_served
        tried["pairs"] += 1
        pair, paths = pairs.send(is_served)
    pairs.close()
    hasty.destroy(pair.before)  # whoever is tested next has the account's quotas to himself
    print(f"{served} served, {impossible} more not possible here")
    assert served >= PAIRS // 2
    assert impossible <= 2 * PAIRS
