"""Random drifts, found and corrected: `python -m tests.bench.drifted SEED COUNT` prints what came of so many, as JSON.

A draw of which AWS refuses everything, or of which the spec manages nothing, isn't a drift; it is checked and counted apart.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time

from tests.harness import FAKE_ENVIRONMENT
from tests.properties.drifts import Stage, draw, judge
from tests.properties.scene import SHAPES, scene


def main() -> None:
    """So many drifts, spread over all shapes of stacks."""
    seed, count = sys.argv[1], int(sys.argv[2])
    os.environ.update(FAKE_ENVIRONMENT)
    started = time.process_time()
    totals = {"found": 0, "corrected": 0, "deeds": 0, "others": 0}
    problems: list[str] = []
    shapes = sorted(SHAPES)
    for number, shape in enumerate(shapes):
        chance = random.Random(f"{seed} {shape}")
        wanted = count * (number + 1) // len(shapes) - count * number // len(shapes)
        with scene(shape) as made:
            stage = Stage(made)
            while wanted:
                verdict = judge(stage, draw(shape, chance))
                if verdict.problem:
                    problems.append(verdict.problem)
                if not verdict.is_managed:
                    totals["others"] += 1
                    continue
                wanted -= 1
                totals["found"] += verdict.is_found
                totals["corrected"] += verdict.is_corrected
                totals["deeds"] += len(verdict.deeds)
    print(json.dumps({**totals, "problems": problems, "seconds": time.process_time() - started}))


if __name__ == "__main__":
    main()
