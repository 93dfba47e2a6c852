"""What users get with the program: its packages' licences, and their known vulnerabilities, as far as those can be asked for.

`--write` keeps the licences in requirements-licences.json, for the bill of materials of a wheel (hatch_build.py).

pip-audit asks PyPI. Where it gets no answer, that is said, and no failure: a check that needs the world mustn't stop a commit.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

from license_expression import ExpressionError, LicenseWithExceptionSymbol, Licensing  # type: ignore[import-untyped]  # it has no types
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parent.parent
LICENCES: Final = ROOT / "requirements-licences.json"
PATIENCE: Final = 60
"""Seconds for one question to PyPI about all packages."""
SPDX: Final = Licensing()
ALLOWED: Final = frozenset(
    {
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "CNRI-Python",
        "ISC",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "PSF-2.0",
        "Unlicense",
    }
)
"""Licences that let anybody use and pass on what is built with them, by their SPDX identifiers.

MPL binds changes of its own files only. CNRI-Python is Python 1.6's, and holds for the part of `regex` that comes from there.
"""
NAMES: Final = frozenset(
    {
        "3-Clause BSD License",
        "Apache Software License",
        "BSD",
        "BSD License",
        "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication",
        "ISC License (ISCL)",
        "MIT License",
        "MIT No Attribution License (MIT-0)",
        "Mozilla Public License 2.0 (MPL 2.0)",
        "Python Software Foundation License",
        "The Unlicense (Unlicense)",
    }
)
"""The same in words: those of classifiers, and of packages that have nothing else."""


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


def allowed(text: str) -> bool:
    """Whether all parts of what a package says of its licence are allowed.

    A part is an SPDX expression or a name in words. Commas between them, as between classifiers, may mean "and" as well as "or".
    """
    return all(part.strip() in NAMES or _expresses_allowed(part.strip()) for part in text.split(","))


def _expresses_allowed(text: str) -> bool:
    """Whether an SPDX expression allows a choice of licences that are all allowed. Whatever isn't one doesn't."""
    try:
        return _permits(SPDX.parse(canonicalize_license_expression(text)))
    except (InvalidLicenseExpression, ExpressionError):
        return False


def _permits(parsed: Any) -> bool:
    """Whether all licences of an AND are allowed, and one of an OR. An exception (WITH) takes conditions away, and adds none."""
    if isinstance(parsed, SPDX.AND):
        return all(_permits(each) for each in parsed.args)
    if isinstance(parsed, SPDX.OR):
        return any(_permits(each) for each in parsed.args)
    if isinstance(parsed, LicenseWithExceptionSymbol):
        parsed = parsed.license_symbol
    return parsed.key in ALLOWED


def kept(found: dict[str, Distribution]) -> str:
    """What the file of licences should be. It keeps what is said there of packages that only other platforms have."""
    lock = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    pinned = set(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE))
    known = json.loads(LICENCES.read_text(encoding="utf-8")) if LICENCES.is_file() else {}
    known |= {canonicalize_name(name): licence(item) for name, item in found.items()}
    return json.dumps({name: known[name] for name in sorted(known.keys() & pinned)}, indent=2) + "\n"


def audit(found: dict[str, Distribution]) -> list[str]:
    """Known vulnerabilities, a line each. Packages about which PyPI can't be asked are printed by name."""
    told = _asked([f"{name}=={item.version}" for name, item in found.items()])
    if isinstance(told, str):
        print(f"vulnerabilities: skipped, {told}")
        return []
    print(f"vulnerabilities: {len(told)} packages asked about")
    if skipped := sorted(found.keys() - {item["name"] for item in told}):
        print(f"vulnerabilities: skipped for {len(skipped)}, of which PyPI tells nothing: {', '.join(skipped)}")
    return [
        f"{item['name']} {item['version']}: {each['id']}; fixed in {', '.join(each['fix_versions']) or 'no version yet'}"
        for item in told
        for each in item["vulns"]
    ]


def _asked(pins: list[str]) -> list[dict[str, Any]] | str:
    """What pip-audit tells of each package that PyPI knows, or why it tells nothing."""
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
    if known := [item for item in found if "skip_reason" not in item]:
        return known
    return f"PyPI tells nothing here: {found[0]['skip_reason'] if found else 'pip-audit names no package'}"


def main() -> int:
    """Print what is found. Returns 1 for a licence that isn't allowed, for one that isn't kept, and for a known vulnerability."""
    found = installed()
    if "--write" in sys.argv:
        LICENCES.write_text(kept(found), encoding="utf-8")
    refused = [
        f"{name}: its licence is {licence(item)!r}" for name, item in found.items() if not allowed(licence(item))
    ]
    print(f"licences: {len(found)} packages looked at")
    stale = not LICENCES.is_file() or LICENCES.read_text(encoding="utf-8") != kept(found)
    told = ["requirements-licences.json isn't up to date; run .venv/bin/python scripts/dependencies.py --write"] * stale
    problems = refused + told + audit(found)
    print("\n".join(problems), end="\n" if problems else "", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
