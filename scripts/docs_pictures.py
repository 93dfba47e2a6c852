"""The pictures of the documentation, drawn from a real run in the sandbox: `.venv/bin/python -m scripts.docs_pictures`.

overview.svg: a spec, its plan, and what there is then. recording.svg: the same run as it goes by in a terminal.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

ASSETS: Final = Path(__file__).parent.parent / "docs" / "assets"
ROW, CELL, SIZE = 19, 7.83, 13
COLORS: Final = {
    "✓": "#7ee787",
    "+": "#7ee787",
    "~": "#e3b341",
    "$": "#ffffff",
    "!": "#e3b341",
    "✗": "#ff7b72",
    "#": "#8b949e",
}
PLAIN: Final = "#c9d1d9"
STYLE: Final = (
    f"text{{font:{SIZE}px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}}"
)
WIDTH: Final = 96


class Scene(NamedTuple):
    """A command, what of its output is shown, and how long it stays."""

    command: str
    lines: list[str]
    seconds: float


class Shell:
    """A folder, and a sandbox of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "COLUMNS": str(WIDTH),
            "PYTHONUTF8": "1",
            "ALB_RECONCILE_SANDBOX_DIR": str(folder / "sandbox"),
        }

    def run(self, command: str) -> list[str]:
        """What a command prints. Raises CalledProcessError."""
        done = subprocess.run(  # noqa: S602
            command, shell=True, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=True
        )
        return (done.stderr + done.stdout).rstrip("\n").split("\n")


def shortened(lines: list[str], first: int, last: int) -> list[str]:
    """The beginning and the end, with a mark between them."""
    return lines if len(lines) <= first + last + 1 else [*lines[:first], "  …", *lines[-last:]]


def play(shell: Shell) -> tuple[list[Scene], dict[str, list[str]]]:
    """The run: its scenes, and the texts of the overview."""
    wrote = shell.run("alb-reconcile init")
    spec = (shell.folder / "stack.yaml").read_text(encoding="utf-8").split("\n")
    shell.run("alb-reconcile sandbox start --speed 20")
    try:
        planned = shell.run("alb-reconcile plan --sandbox stack.yaml")
        applied = shell.run("alb-reconcile apply --sandbox --yes stack.yaml")
        progress = applied[next(number for number, line in enumerate(applied) if line.startswith("Takes ")) + 2 :]
        verified = shell.run("alb-reconcile verify --sandbox stack.yaml")
        status = shell.run("alb-reconcile status --sandbox stack.yaml")
    finally:
        shell.run("alb-reconcile sandbox stop")
    scenes = [
        Scene(
            "alb-reconcile init",
            [*wrote, "", "# edit the file; it declares a network, two instances and a load balancer"],
            4,
        ),
        Scene("alb-reconcile plan stack.yaml", shortened(planned, 19, 3), 6),
        Scene("alb-reconcile apply stack.yaml", shortened(progress, 17, 6), 9),
        Scene("alb-reconcile verify stack.yaml", verified, 6),
    ]
    parts = {
        "stack.yaml": list(_excerpt(spec)),
        "plan": [f"  {line.lstrip()}" for line in planned if line.lstrip().startswith("+ ")]
        + ["", *(line.split(",")[0] for line in planned if line.startswith("Plan: "))],
        "status": [
            f"{name:<34} {state}" for name, state in (line.split()[:2] for line in status[2:] if line[:2] == "  ")
        ],
    }
    return scenes, parts


def _excerpt(spec: list[str]) -> Iterator[str]:
    """Of the spec, what fits on a card: from the instances on, without user data, comments and long lines."""
    previous, script = "", 0
    for line in spec[spec.index("instances:") :]:
        text = line.split(" #")[0].rstrip()
        indent = len(text) - len(text.lstrip())
        if text.lstrip().startswith("user_data"):
            script = indent
        elif text and indent <= script:
            script = 0
        told = len(text) <= 40 and not script and not text.lstrip().startswith("#")
        if told and (text or previous):
            previous = text
            yield text
        if "default_action" in text:
            return


def _text(line: str, x: float, y: float, more: str = "") -> str:
    color = COLORS.get(line.strip()[:1], PLAIN)
    return f'<text x="{x}" y="{y}" fill="{color}"{more}>{escape(line[:WIDTH])}</text>'


def recording(scenes: list[Scene]) -> str:
    """The scenes one after the other; the last one stays. Whoever wants no motion sees the last one."""
    rows = max(len(scene.lines) for scene in scenes) + 1
    width, height = round(WIDTH * CELL) + 40, rows * ROW + 56
    parts = [_frame(width, height, "A recording of init, plan, apply and verify")]
    style = (
        STYLE
        + "@keyframes in{to{opacity:1}}@keyframes out{to{opacity:0;visibility:hidden}}.l{opacity:0;animation:in .01s forwards}"
        ".s{animation:out .01s forwards}@media(prefers-reduced-motion){.l{animation:none;opacity:1}.s{display:none}}"
    )
    parts.append(f"<style>{style}</style>")
    at = 0.4
    for number, scene in enumerate(scenes):
        end = at + scene.seconds
        last = number == len(scenes) - 1
        parts.append("<g>" if last else f'<g class="s" style="animation-delay:{end:.2f}s">')
        shown = [f"$ {scene.command}", *scene.lines]
        pause = scene.seconds * 0.6 / len(shown)
        for row, line in enumerate(shown):
            delay = at + (0 if row == 0 else 0.7 + row * pause)
            parts.append(_text(line, 20, 54 + row * ROW, f' class="l" style="animation-delay:{delay:.2f}s"'))
        parts.append("</g>")
        at = end
    return "\n".join([*parts, "</svg>", ""])


def overview(parts: dict[str, list[str]]) -> str:
    """Three cards with arrows between them."""
    titles = {"stack.yaml": "stack.yaml", "plan": "alb-reconcile plan", "status": "alb-reconcile status"}
    cards = [round(max(map(len, [titles[name], *shown])) * CELL) + 36 for name, shown in parts.items()]
    gap = 40
    rows = max(map(len, parts.values()))
    width, height = sum(cards) + 2 * gap, rows * ROW + 64
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        "<title>A spec, its plan, and the stack that serves</title>",
        f"<style>{STYLE}</style>",
    ]
    left = 0
    for number, ((name, shown), card) in enumerate(zip(parts.items(), cards, strict=True)):
        lines.append(
            f'<rect x="{left}" y="0" width="{card}" height="{height}" rx="10" fill="#0d1117" stroke="#30363d"/>'
        )
        lines.append(f'<text x="{left + 18}" y="29" fill="#8b949e" font-weight="bold">{titles[name]}</text>')
        lines += [_text(line, left + 18, 58 + row * ROW) for row, line in enumerate(shown)]
        if number:
            x, y = left - gap / 2, height / 2
            lines.append(
                f'<path d="M{x - 14} {y}h24m-8 -8l8 8l-8 8" fill="none" stroke="#8b949e" stroke-width="3" stroke-linecap="round"/>'
            )
        left += card + gap
    return "\n".join([*lines, "</svg>", ""])


def _frame(width: int, height: int, title: str) -> str:
    dots = "".join(f'<circle cx="{20 + 18 * n}" cy="19" r="5.5" fill="{fill}"/>' for n, fill in enumerate(_dots()))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"><title>{title}</title>\n'
        f'<rect width="{width}" height="{height}" rx="10" fill="#0d1117" stroke="#30363d"/>{dots}'
    )


def _dots() -> Iterator[str]:
    yield from ("#ff5f56", "#ffbd2e", "#27c93f")


def main() -> None:
    """Draw both."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "my-service")  # after which the stack is called
        folder.mkdir()
        scenes, parts = play(Shell(folder))
    (ASSETS / "recording.svg").write_text(recording(scenes), encoding="utf-8")
    (ASSETS / "overview.svg").write_text(overview(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
