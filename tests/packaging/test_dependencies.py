"""What `make check` says of the packages that users get: their licences, and what PyPI knows of them."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scripts import dependencies
from scripts.dependencies import allowed, audit, installed, kept, licence, main

if TYPE_CHECKING:
    from collections.abc import Callable

NETWORK = (
    "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded with "
    "url: /pypi/amqp/5.4.2/json (Caused by NewConnectionError('Failed to establish a new connection'))"
)


@pytest.mark.parametrize(
    "text",
    [
        "MIT",
        "mit",
        "Apache-2.0 OR BSD-3-Clause",
        "Apache-2.0 AND CNRI-Python",
        "GPL-3.0-only OR MIT",
        "MIT OR LicenseRef-Sold",
        "MIT AND (LGPL-2.1-only OR ISC)",
        "Apache-2.0 WITH LLVM-exception",
        "BSD",
        "BSD License",
        "BSD License, Apache Software License",
        "MIT, Mozilla Public License 2.0 (MPL 2.0)",
    ],
)
def test_licences_that_are_allowed(text: str) -> None:
    assert allowed(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "UNKNOWN",
        "Dual License",
        "GPL-3.0-only",
        "GPL-3.0-only AND MIT",
        "MIT AND GPL-3.0-only",
        "Apache-2.0 AND LGPL-2.1-only",
        "MIT AND (LGPL-2.1-only OR GPL-2.0-only)",
        "(MIT OR Apache-2.0) AND AGPL-3.0-only",
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "MIT WITH Commons-Clause",
        "BSD-3-Clause-No-Nuclear-License",
        "BSD-4-Clause",
        "LicenseRef-MIT",
        "Business Source License, MIT later",
        "GNU General Public License v3 (GPLv3), MIT License",
        "MIT License, GNU Lesser General Public License v2 (LGPLv2)",
        "MIT License with Commons Clause",
        "Not MIT",
        "MIT AND",
        "MIT,",
    ],
)
def test_licences_that_are_refused(text: str) -> None:
    assert not allowed(text)


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
    file.write_text(json.dumps({"pywin32": "PSF", "vine": "old", "gone": "MIT"}), encoding="utf-8")
    monkeypatch.setattr(dependencies, "LICENCES", file)
    assert json.loads(kept(three())) == {"pywin32": "PSF"} | {name: licence(item) for name, item in three().items()}


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


def test_all_packages_are_asked_about(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(monkeypatch, answer(known=("amqp", "urllib3", "vine")))[0] == []
    assert capsys.readouterr().out == "vulnerabilities: 3 packages asked about\n"


def test_known_vulnerabilities_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found, packages = asked(monkeypatch, answer(known=("amqp", "vine"), vulnerable=("urllib3",)))
    version = packages["urllib3"].version
    assert found == [
        f"urllib3 {version}: PYSEC-2026-1; fixed in 9.0, 9.1",
        f"urllib3 {version}: PYSEC-2026-2; fixed in no version yet",
    ]


def test_one_that_isnt_known_leaves_out_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even the first of them all."""
    found, _ = asked(monkeypatch, answer(vulnerable=("urllib3",)))
    assert len(found) == 2
    assert capsys.readouterr().out == (
        "vulnerabilities: 1 packages asked about\n"
        "vulnerabilities: skipped for 2, of which PyPI tells nothing: amqp, vine\n"
    )


def test_those_of_which_nothing_is_said_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = json.dumps({"dependencies": [{"name": "amqp", "version": "5.4.2", "vulns": []}], "fixes": []})
    assert asked(monkeypatch, lambda command, **_: subprocess.CompletedProcess(command, 0, told, ""))[0] == []
    assert capsys.readouterr().out == (
        "vulnerabilities: 1 packages asked about\n"
        "vulnerabilities: skipped for 2, of which PyPI tells nothing: urllib3, vine\n"
    )


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (answer(), "PyPI tells nothing here: Dependency not found on PyPI and could not be audited: amqp (5.4.2)"),
        (answer(stderr=f"Traceback (most recent call last):\n{NETWORK}\n"), NETWORK),
        (
            lambda command, **_: subprocess.CompletedProcess(command, 0, '{"dependencies": [], "fixes": []}', ""),
            "PyPI tells nothing here: pip-audit names no package",
        ),
        (lambda command, **_: subprocess.CompletedProcess(command, 1, "", ""), "pip-audit said nothing"),
        (lambda command, **_: subprocess.CompletedProcess(command, 1, "not JSON", ""), "pip-audit said nothing"),
    ],
    ids=["an index that tells nothing", "no network", "an empty answer", "no answer", "no JSON"],
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
