"""What `make check` says of the packages that users get: their licences, and what PyPI knows of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import Distribution, distribution, packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import dependencies
from scripts.dependencies import allowed, audit, installed, kept, licence, main

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent.parent
LOCK = ROOT / "requirements-dev.lock"
DEMO = ROOT / "requirements-demo.lock"
NETWORK = (
    "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded with "
    "url: /pypi/amqp/5.4.2/json (Caused by NewConnectionError('Failed to establish a new connection'))"
)
ALLOWED = (
    "MIT", "mit", "Apache-2.0 OR BSD-3-Clause", "Apache-2.0 AND CNRI-Python", "GPL-3.0-only OR MIT", "MIT OR LicenseRef-Sold",
    "MIT AND (LGPL-2.1-only OR ISC)", "Apache-2.0 WITH LLVM-exception", "BSD", "BSD License", "BSD License, Apache Software License",
    "MIT, Mozilla Public License 2.0 (MPL 2.0)",
)  # fmt: skip
REFUSED = (
    "", "UNKNOWN", "Dual License", "GPL-3.0-only", "GPL-3.0-only AND MIT", "MIT AND GPL-3.0-only", "Apache-2.0 AND LGPL-2.1-only",
    "MIT AND (LGPL-2.1-only OR GPL-2.0-only)", "(MIT OR Apache-2.0) AND AGPL-3.0-only", "GPL-2.0-only WITH Classpath-exception-2.0",
    "MIT WITH Commons-Clause", "BSD-3-Clause-No-Nuclear-License", "BSD-4-Clause", "LicenseRef-MIT", "Business Source License, MIT later",
    "GNU General Public License v3 (GPLv3), MIT License", "MIT License, GNU Lesser General Public License v2 (LGPLv2)",
    "MIT License with Commons Clause", "Not MIT", "MIT AND", "MIT,",
)  # fmt: skip


@pytest.mark.parametrize("text", [*ALLOWED, *REFUSED])
def test_licences(text: str) -> None:
    assert allowed(text) == (text in ALLOWED)


def test_licences_of_what_users_get() -> None:
    assert [(name, licence(item)) for name, item in installed().items() if not allowed(licence(item))] == []


def test_a_refused_licence_fails_the_check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(dependencies, "licence", lambda item: "MIT AND GPL-3.0-only" if item.name == "vine" else "MIT")
    monkeypatch.setattr(subprocess, "run", answer(known=("amqp", "urllib3", "vine")))
    monkeypatch.setattr(dependencies, "installed", three)
    assert main() == 1
    refused, stale = capsys.readouterr().err.splitlines()
    assert refused == "vine: its licence is 'MIT AND GPL-3.0-only'"
    assert stale.startswith("requirements-licences.json isn't up to date; run ")


def test_the_kept_licences_are_those_of_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And of what other platforms have, as somebody wrote it there; of nothing that the lock file hasn't."""
    assert dependencies.LICENCES.read_text(encoding="utf-8") == kept(installed())
    file = tmp_path / "licences.json"
    file.write_text(json.dumps({"colorama": "BSD", "vine": "old", "gone": "MIT"}), encoding="utf-8")
    monkeypatch.setattr(dependencies, "LICENCES", file)
    assert json.loads(kept(three())) == {"colorama": "BSD"} | {name: licence(item) for name, item in three().items()}


def three() -> dict[str, Distribution]:
    return {name: distribution(name) for name in ("amqp", "urllib3", "vine")}


def answer(
    known: tuple[str, ...] = (), vulnerable: tuple[str, ...] = (), stderr: str = ""
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """What pip-audit 2.10 prints of the packages that it is asked about; with `stderr`, it prints only that, and fails."""

    def of(pin: str) -> dict[str, Any]:
        name, _, version = pin.partition("==")
        if name not in known + vulnerable:
            reason = f"Dependency not found on PyPI and could not be audited: {name} ({version})"
            return {"name": name, "skip_reason": reason}
        found = [{"id": "PYSEC-2026-1", "fix_versions": ["9.0", "9.1"]}, {"id": "PYSEC-2026-2", "fix_versions": []}]
        return {"name": name, "version": version, "vulns": found if name in vulnerable else []}

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        pins = Path(command[command.index("--requirement") + 1]).read_text(encoding="utf-8").split()
        told = "" if stderr else json.dumps({"dependencies": [of(pin) for pin in pins], "fixes": []})
        return subprocess.CompletedProcess(command, int(bool(stderr or vulnerable)), told, stderr)

    return run


def asked(
    monkeypatch: pytest.MonkeyPatch, run: Callable[..., subprocess.CompletedProcess[str]]
) -> tuple[list[str], dict[str, Distribution]]:
    """What the audit of three packages finds, and these packages."""
    monkeypatch.setattr(subprocess, "run", run)
    return audit(three()), three()


def test_known_vulnerabilities_are_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One that isn't known leaves out no other, not even the first of them all."""
    assert asked(monkeypatch, answer(known=("amqp", "urllib3", "vine")))[0] == []
    assert capsys.readouterr().out == "vulnerabilities: 3 packages asked about\n"
    found, packages = asked(monkeypatch, answer(vulnerable=("urllib3",)))
    version = packages["urllib3"].version
    assert found == [
        f"urllib3 {version}: PYSEC-2026-1; fixed in 9.0, 9.1",
        f"urllib3 {version}: PYSEC-2026-2; fixed in no version yet",
    ]
    skipped = "vulnerabilities: 1 packages asked about\nvulnerabilities: skipped for 2, of which PyPI tells nothing: "
    assert capsys.readouterr().out == f"{skipped}amqp, vine\n"
    told = json.dumps({"dependencies": [{"name": "amqp", "version": "5.4.2", "vulns": []}], "fixes": []})
    assert asked(monkeypatch, lambda command, **_: subprocess.CompletedProcess(command, 0, told, ""))[0] == []
    assert capsys.readouterr().out == f"{skipped}urllib3, vine\n", "of which nothing is said"


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (answer(), "PyPI tells nothing here: Dependency not found on PyPI and could not be audited: amqp (5.4.2)"),
        (answer(stderr=f"Traceback (most recent call last):\n{NETWORK}\n"), NETWORK),
        (lambda command, **_: subprocess.CompletedProcess(command, 1, "not JSON", ""), "pip-audit said nothing"),
    ],
    ids=["an index that tells nothing", "no network", "no JSON"],
)
def test_an_audit_that_cant_ask_is_said_to_be_skipped(
    run: Callable[..., subprocess.CompletedProcess[str]],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert asked(monkeypatch, run)[0] == []
    said = capsys.readouterr().out
    assert said.startswith("vulnerabilities: skipped, ")
    assert reason.replace("5.4.2", distribution("amqp").version) in said
    assert "asked about" not in said


def test_a_slow_index_is_waited_for_only_so_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(command: list[str], timeout: float, **_: Any) -> subprocess.CompletedProcess[str]:
        raise subprocess.TimeoutExpired(command, timeout)

    assert asked(monkeypatch, run)[0] == []
    assert capsys.readouterr().out == "vulnerabilities: skipped, PyPI hasn't answered for 60 s\n"


def test_the_image_doesnt_run_as_root() -> None:
    users = re.findall(r"^USER (.*)$", (ROOT / "Containerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert users == ["65534:65534"]


def test_what_is_built_from_is_sent_to_the_builder() -> None:
    """All that the wheel's build names, and nothing else."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {line[1:] for line in lines if line.startswith("!")}
    assert all((ROOT / name).exists() for name in sent - {".git"})
    built_from = {
        "alb_reconcile",
        "schemas",
        "hatch_build.py",
        "scripts/manual_page.py",
        "pyproject.toml",
        "README.md",
        "LICENSE",
    }
    assert built_from | {"requirements-dev.lock"} <= sent


@pytest.mark.parametrize(("file", "names"), [("Containerfile", ["uv"]), ("Makefile", ["uv"])])
def test_what_comes_first_comes_from_the_lock_file(file: str, names: list[str]) -> None:
    """uv, with its hashes, and nothing else."""
    scripts = re.findall("sed -n '(.*)' .*requirements-dev.lock", (ROOT / file).read_text(encoding="utf-8"))
    for script, name in zip(scripts, names, strict=True):
        taken = subprocess.run(["sed", "-n", script, LOCK], check=True, capture_output=True, text=True).stdout
        assert re.fullmatch(name + r"==\S+( \\\n    --hash=sha256:[0-9a-f]{64})+\n    # via .*\n", taken)


@pytest.mark.parametrize("file", ["Containerfile", "Makefile"])
def test_pip_installs_nothing_without_hashes(file: str) -> None:
    """But this checkout, with nothing that it needs."""
    text = (ROOT / file).read_text(encoding="utf-8")
    found = [line.rstrip("; }\\") for line in re.findall(r"(?<!uv )\bpip install .*", text)]
    own = [line for line in found if line.endswith("--no-deps --no-build-isolation --editable .")]
    assert [line for line in found if line not in own and "--require-hashes" not in line] == []


def test_the_lock_file_fixes_whatever_is_installed_here_byte_for_byte() -> None:
    """What packages are built with is in it as well, since the editable installation is built without isolation."""
    lock = LOCK.read_text(encoding="utf-8")
    pinned = re.findall(r"^(\S+)==\S+(?: ;.*)? \\\n    --hash=sha256:[0-9a-f]{64}", lock, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^\w", lock, re.MULTILINE)) > 100
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    built_with = {canonicalize_name(Requirement(text).name) for text in project["build-system"]["requires"]}
    assert built_with <= set(pinned)


def brought(*extras: str) -> set[str]:
    """The packages that an installation with the extras brings, on any platform, by the demos' lock file; and the program itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(text for extra in extras for text in project["optional-dependencies"][extra])]
    needs: dict[str, set[str]] = {}
    for name, notes in re.findall(
        r"^([\w.-]+)==.*\n(?:    --hash.*\n)+((?:    #.*\n)+)", DEMO.read_text(encoding="utf-8"), re.MULTILINE
    ):
        for needing in re.findall(r"#(?: via)? +([\w.-]+)$", notes, re.MULTILINE):
            needs.setdefault(needing, set()).add(name)
    ahead, found = {str(canonicalize_name(Requirement(text).name)) for text in wanted}, {"alb-reconcile"}
    while ahead:
        found.add(name := ahead.pop())
        ahead |= needs.get(name, set()) - found
    return found


@pytest.mark.parametrize(("extras", "most"), [((), 30), (("sandbox",), 56)], ids=["the program", "with its sandbox"])
def test_an_installation_brings_few_packages(extras: tuple[str, ...], most: int) -> None:
    found = brought(*extras)
    assert {"alb-reconcile", "boto3", "h2", "six"} <= found, "what it needs, and what that needs"
    assert len(found) <= most
    assert not {"cfn-lint", "docker", "networkx", "pydantic", "sympy"} & found


def test_the_demos_have_the_versions_that_are_tested() -> None:
    """Of nothing but what a user gets, and what the editable installation is built with, which no user gets."""
    pins = [
        dict(re.findall(r"^([\w.-]+)==(\S+).*\\\n    --hash=sha256:", lock.read_text(encoding="utf-8"), re.MULTILINE))
        for lock in (DEMO, LOCK)
    ]
    assert pins[0].items() <= pins[1].items()
    assert len(pins[0]) == len(re.findall(r"^\w", DEMO.read_text(encoding="utf-8"), re.MULTILINE))
    built_with = {"editables", "hatchling", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers"}
    assert pins[0].keys() == (brought("sandbox") - {"alb-reconcile"}) | built_with


def test_the_sandbox_needs_no_package_that_it_doesnt_bring() -> None:
    """Its server, the services that it serves, and all of its modules are imported where the other packages aren't found."""
    known = brought("sandbox")
    others = sorted(installed_modules(lambda name: name not in known))
    assert {"cfnlint", "networkx", "sympy"} <= set(others)
    code = f"""
import importlib, pkgutil, sys
sys.modules.update(dict.fromkeys({others!r}))
import alb_reconcile.sandbox
from alb_reconcile.sandbox.allowed_services import SERVICES
from moto.backends import get_backend
for module in pkgutil.walk_packages(alb_reconcile.sandbox.__path__, "alb_reconcile.sandbox."):
    importlib.import_module(module.name)
for service in (*SERVICES.values(), "cloudtrail", "lambda"):
    get_backend(service)
    place = "awslambda" if service == "lambda" else service
    importlib.import_module(f"moto.{{place}}.urls")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def installed_modules(unwanted: Callable[[str], bool]) -> set[str]:
    """The modules of installed packages by the package's name."""
    return {
        module
        for module, packages in packages_distributions().items()
        if module.isidentifier() and all(unwanted(str(canonicalize_name(name))) for name in packages)
    }
