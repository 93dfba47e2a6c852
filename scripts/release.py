"""Builds what a release publishes, with what the lock file has, if the tag, the version and the changelog say the same.

`.venv/bin/python scripts/release.py FOLDER` in a checkout of the tag; without a folder it only says what is missing.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

from alb_reconcile.model.version import __version__

ROOT: Final = Path(__file__).parent.parent
UV: Final = str(Path(sys.executable).with_name("uv"))


def problems(root: Path, version: str, tags: list[str], changed: list[str]) -> list[str]:
    """What keeps the checkout from being released: each a sentence. `tags` are those of the commit, `changed` are files that differ from it."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    heads = re.findall(r"^## (.*)$", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    first = heads[0] if heads else ""
    told = {
        f"pyproject.toml says {project['version']}, and the program says {version}": project["version"] != version,
        f"the commit has the tags {tags}, and none of them is v{version}": f"v{version}" not in tags,
        f"the changelog begins with {first!r}; give {version} its date": not re.fullmatch(
            rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", first
        ),
        f"files differ from the commit: {', '.join(changed)}": bool(changed),
    }
    return [text for text, is_so in told.items() if is_so]


def _asked(*command: str) -> list[str]:
    done = subprocess.run(["git", *command], cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603, S607 (whichever Git there is; the words are written here)
    return done.stdout.split()


def main(folder: str | None) -> int:
    changed = _asked("diff", "--name-only", "HEAD")
    if found := problems(ROOT, __version__, _asked("tag", "--points-at", "HEAD"), changed):
        print(*found, sep="\n", file=sys.stderr)
        return 1
    if folder:
        lock = ("--build-constraint", "requirements-dev.lock", "--require-hashes")
        subprocess.run([UV, "build", "--no-create-gitignore", "--out-dir", folder, *lock], cwd=ROOT, check=True)  # noqa: S603 (a command of our own; the folder is an argument)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else None))
