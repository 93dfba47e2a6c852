"""The table of IAM actions in docs/iam.md, from what each kind states; `--write` brings it up to date."""

import sys
from pathlib import Path

from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import AnyKind

PAGE = Path(__file__).parent.parent / "docs" / "iam.md"
BEGIN, END = "<!-- iam: written by scripts/iam_table.py -->", "<!-- iam: end -->"
HEAD = """\
| Kind | For | Actions |
| --- | --- | --- |
"""


def table() -> str:
    """A row for each kind and what is done to it."""
    return HEAD + "".join(map(_rows, load_kinds().values()))


def _rows(kind: AnyKind) -> str:
    found = kind.iam_actions
    uses = {
        "Read": found.read, "Looked at beforehand": found.look,
        "Created": found.create, "Changed": found.update, "Deleted": found.delete,
    }  # fmt: skip
    return "".join(f"| `{kind.name}` | {use} | {_cell(actions)} |\n" for use, actions in uses.items() if actions)


def _cell(actions: tuple[str, ...]) -> str:
    """Actions by service: `ec2:` CreateVpc, CreateTags."""
    services: dict[str, list[str]] = {}
    for action in actions:
        service, _, name = action.partition(":")
        services.setdefault(service, []).append(name)
    return "; ".join(f"`{service}:` {', '.join(names)}" for service, names in services.items())


def with_table(text: str) -> str:
    """The page with the table as it should be."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    written = PAGE.read_text(encoding="utf-8")
    wanted = with_table(written)
    if "--write" in sys.argv:
        PAGE.write_text(wanted, encoding="utf-8")
    elif written != wanted:
        sys.exit(
            "docs/iam.md: the table of IAM actions isn't up to date; run .venv/bin/python scripts/iam_table.py --write"
        )
