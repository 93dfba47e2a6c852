"""Puts into a package what is made when it is built: its commit, for `--version`, its manual page, and its bill of materials."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from cyclonedx.model.component import Component

PLACE = "alb_reconcile/commit.txt"
PAGE = "alb-reconcile.1"
BILL = "alb-reconcile.cdx.json"
LOCK = "requirements-dev.lock"
LICENCES = "requirements-licences.json"
"""What each package says of its licence. It is written where they are installed (scripts/dependencies.py), as they aren't where a wheel is built."""


class PackageHook(BuildHookInterface[Any]):
    """A wheel or sdist of a checkout says its commit, with a + where files differ from it; one of an sdist, the sdist's.

    A wheel has a manual page, and a bill of materials (CycloneDX, in .dist-info/sboms after PEP 770). An editable installation has
    the page only, and so needs no packages for bills.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root, made = Path(self.root), Path(self.directory)
        made.mkdir(parents=True, exist_ok=True)
        if self.target_name == "wheel":
            (made / PAGE).write_bytes(_manual_page(root))
            build_data["shared_data"][str(made / PAGE)] = f"share/man/man1/{PAGE}"  # next to bin, where man looks
        if version == "editable":
            return
        if not (root / PLACE).is_file() and (root / ".git").exists() and (commit := _commit(root)):
            (made / "commit.txt").write_text(f"{commit}\n", encoding="utf-8")
            build_data["force_include"][str(made / "commit.txt")] = PLACE
        if self.target_name == "wheel":
            (made / BILL).write_text(_bill(root, self.metadata.version), encoding="utf-8")
            build_data["sbom_files"].append(str(made / BILL))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        for name in ("commit.txt", PAGE, BILL):
            (Path(self.directory) / name).unlink(missing_ok=True)


def _manual_page(root: Path) -> bytes:
    """The manual page of the command line that is packaged. Its colours would depend on the terminal of whoever builds."""
    command = [sys.executable, "-m", "scripts.manual_page"]
    plain = os.environ | {"PYTHON_COLORS": "0"}
    made = subprocess.run(command, cwd=root, env=plain, capture_output=True, check=True)  # noqa: S603 (this interpreter, and a module of this checkout)
    return made.stdout


def _commit(root: Path) -> str:
    """The commit of a checkout; nothing without Git."""
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],  # noqa: S607 (whichever Git there is)
            cwd=root, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return ""
    return said.stdout.strip()


def _bill(root: Path, version: str) -> str:
    """What the program needs, and what that needs, in the lock file's versions, with which it is tested.

    The wheel has no code but the program's own. What only extras need is optional. The same files give the same bytes.
    """
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lock = (root / LOCK).read_text(encoding="utf-8")
    always = {_name(text) for text in project["dependencies"]}
    extras = {_name(text) for extra in project["optional-dependencies"].values() for text in extra}
    pins, needs = _pins(lock), _needs(lock)
    required = _closure(always, needs)
    licences = json.loads((root / LICENCES).read_text(encoding="utf-8"))
    made = {
        name: [
            _component(name, number, licences.get(name), files, is_required=name in required)
            for number, files in pins[name].items()
        ]
        for name in sorted(_closure(always | extras, needs))
    }
    program = _component(project["name"], version, project["license"], [], is_required=True)
    program.type = ComponentType.APPLICATION
    bill = Bom(components=[each for group in made.values() for each in group])
    bill.metadata.component = program
    bill.serial_number = uuid5(NAMESPACE_URL, f"{program.purl}\n{lock}\n{licences}")
    bill.metadata.timestamp = None  # type: ignore[assignment]  # it would differ each time; the standard doesn't ask for it
    for group, names in [([program], always | extras), *((made[name], needs[name]) for name in made)]:
        for each in group:
            bill.register_dependency(each, [other for name in sorted(names) for other in made[name]])
    return str(JsonV1Dot6(bill).output_as_string(indent=2)) + "\n"


def _component(name: str, number: str, licence: str | None, files: list[str], *, is_required: bool) -> Component:
    """`files` are the SHA-256 of its wheels and its sdist, of which one is installed: not the package's own, but its distribution's."""
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
    from cyclonedx.model.component import Component, ComponentScope
    from packageurl import PackageURL

    scope = ComponentScope.REQUIRED if is_required else ComponentScope.OPTIONAL
    place = PackageURL("pypi", name=name, version=number)
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in files]
    kind, page = ExternalReferenceType.DISTRIBUTION, XsUri(f"https://pypi.org/project/{name}/{number}/#files")
    return Component(
        name=name, version=number, bom_ref=f"{name}=={number}", purl=place, scope=scope,
        licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
        external_references=[ExternalReference(type=kind, url=page, hashes=hashes)] if hashes else [],
    )  # fmt: skip


def _name(requirement: str) -> str:
    return str(canonicalize_name(Requirement(requirement).name))


def _pins(lock: str) -> dict[str, dict[str, list[str]]]:
    """By package its versions, of which there may be several, for several Pythons; of each the SHA-256 of its files."""
    found: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)
    for name, number, files in re.findall(r"^([\w.-]+)==([^\s;]+)(.*(?:\n    --hash=.*)*)", lock, re.MULTILINE):
        found[name][number] = re.findall(r"sha256:([0-9a-f]{64})", files)
    return found


def _needs(lock: str) -> dict[str, set[str]]:
    """What each package needs, turned round from what uv notes in the lock file: on whose account each is there (`# via`)."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    name = ""
    for line in lock.splitlines():
        if pinned := re.match(r"([\w.-]+)==", line):
            name = pinned[1]
        elif noted := re.match(r"    # (?:via|  )\s*([\w.-]+)$", line):
            found[noted[1]].add(name)
    return found


def _closure(names: set[str], needs: dict[str, set[str]]) -> set[str]:
    ahead, found = set(names), set[str]()
    while ahead:
        found.add(name := ahead.pop())
        ahead |= needs[name] - found
    return found
