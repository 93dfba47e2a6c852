"""What users get with the program: its packages' licences, and their known vulnerabilities, as far as those can be asked for.

pip-audit asks PyPI. Where it gets no answer, that is one line, and no failure: a check that needs the world mustn't stop a commit.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PATIENCE: Final = 60
"""Seconds for one question to PyPI about all packages."""
ALLOWED: Final = re.compile(
    r"\b(MIT|MIT-0|BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla Public License|Unlicense|CC0)", re.I
)
"""Licences that let anybody use and pass on what is built with them. MPL binds changes of its own files only."""


def installed() -> dict[str, Distribution]:
    """The program's dependencies, and theirs, with those of its extras."""
    found: dict[str, Distribution] = {}
    ahead = [("alb-reconcile", frozenset({"fleet", "otel", "sandbox"}))]
    seen = set(ahead)
    while ahead:
        name, extras = ahead.pop()
        try:
            item = distribution(name)
        except PackageNotFoundError:
            continue  # of another platform
        if name != "alb-reconcile":
            found[name] = item
        for text in item.requires or ():
            needed = Requirement(text)
            if any(needed.marker is None or needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                entry = (canonicalize_name(needed.name), frozenset(needed.extras))
                if entry not in seen:
                    seen.add(entry)
                    ahead.append(entry)
    return dict(sorted(found.items()))


def licence(item: Distribution) -> str:
    """What a package says of its licence, in whichever of three places."""

    def first(name: str) -> str:
        return str((item.metadata.get_all(name) or [""])[0]).strip().partition("\n")[0]

    classifiers = [
        text.rpartition(" :: ")[2]
        for text in item.metadata.get_all("Classifier") or ()
        if text.startswith("License ::")
    ]
    return first("License-Expression") or ", ".join(classifiers) or first("License")


def audit(found: dict[str, Distribution]) -> list[str]:
    """Known vulnerabilities, a line each."""
    pins = [f"{name}=={item.version}" for name, item in found.items()]
    told = _asked(pins[:1])
    if isinstance(told, str):
        print(f"vulnerabilities: skipped, {told}")
        return []
    told = _asked(pins)
    if isinstance(told, str):
        print(f"vulnerabilities: skipped, {told}")
        return []
    print(f"vulnerabilities: {len(told)} packages asked about")
    return [
        f"{item['name']} {item['version']}: {each['id']}; fixed in {', '.join(each['fix_versions']) or 'no version yet'}"
        for item in told
        for each in item.get("vulns", ())
    ]


def _asked(pins: list[str]) -> list[dict[str, Any]] | str:
    """What pip-audit tells of each package, or why it can't."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(pins) + "\n")
        file.flush()
        command = [sys.executable, "-m", "pip_audit", "--requirement", file.name]
        command += ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)  # noqa: S603 (this interpreter, and names made here)
        except subprocess.TimeoutExpired:
            return f"PyPI hasn't answered for {PATIENCE} s"
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        return (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
    if all("skip_reason" in item for item in found):
        return f"PyPI tells nothing here: {found[0]['skip_reason']}"
    return list(found)


def main() -> int:
    """Print what is found. Returns 1 for a licence that isn't allowed, and for a known vulnerability."""
    found = installed()
    refused = [
        f"{name}: its licence is {licence(item)!r}" for name, item in found.items() if not ALLOWED.search(licence(item))
    ]
    print(f"licences: {len(found)} packages looked at")
    problems = refused + audit(found)
    print("\n".join(problems), end="\n" if problems else "", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
