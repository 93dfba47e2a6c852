"""What AWS has answered to the measurements: files (`answers/NAME.json`) that the sandbox's own answers are held to.

There is none until somebody has measured in an account.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.account.measurements.measurement import Measurement
    from tests.account.place import Place

FOLDER: Final = Path(__file__).parent / "answers"
FACTOR: Final = 3.0
"""So many times as long, or as short, a time of the sandbox's may be."""
SLACK: Final = 20.0
"""So many seconds of AWS's may lie between two times in any case: a call takes the sandbox that long, where its time passes fast."""
Facts = Mapping[str, str]
"""What was found out, each fact by its name. Times are written as `3.2 s` or `2 min`, AWS's own words stand in “quotes”."""
_TIME: Final = re.compile(r"\b(\d+(?:\.\d+)?) (s|min)\b")
_WORDS: Final = re.compile(r"“[^”]*”")


def keep(asked: Measurement, place: Place, facts: Facts, seconds: float) -> Path:
    """Write an answer of AWS's; an earlier one is replaced. Returns the file."""
    told = {
        "measured": datetime.now(UTC).date().isoformat(), "region": place.region, "question": asked.question,
        "answers": dict(facts), "seconds": round(seconds),
    }  # fmt: skip
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{asked.name}.json"
    file.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def differences(name: str, facts: Facts) -> list[str]:
    """What AWS has answered otherwise. Nothing where it hasn't been asked. A fact that the sandbox can't know, it may leave out."""
    file = FOLDER / f"{name}.json"
    if not file.exists():
        return []
    kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    both = [key for key in kept["answers"] if key in facts]
    head = f"AWS, {kept['region']}, {kept['measured']}"
    found = [
        f"{key or name}: {head}: {kept['answers'][key]}; here: {facts[key]}"
        for key in both
        if not agree(kept["answers"][key], facts[key])
    ]
    return found if both else [f"{name}: {head}: {kept['answers']}; here nothing of it is answered: {dict(facts)}"]


def agree(one: str, other: str) -> bool:
    """Whether two facts are the same but for AWS's words: codes and all else exactly, times roughly."""
    (text, times), (other_text, other_times) = _parts(one), _parts(other)
    return text == other_text and all(map(_are_near, times, other_times))


def _parts(fact: str) -> tuple[str, list[float]]:
    plain = _WORDS.sub("“”", fact)
    times = [float(number) * (60 if unit == "min" else 1) for number, unit in _TIME.findall(plain)]
    return _TIME.sub("TIME", plain), times


def _are_near(one: float, other: float) -> bool:
    return abs(one - other) <= SLACK or max(one, other) <= FACTOR * min(one, other)
