"""A plan as Markdown for a pull request: a summary, why it is refused, and folded details as differences.

Whatever AWS, a spec or a stranger's tag says stands in a fence or a span of code, where GitHub reads no Markdown, no HTML and no
mentions.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from alb_reconcile.cli.render.halves import Halves
from alb_reconcile.cli.render.plan import (
    estimate,
    forces_replacement,
    properties_of,
    summarize,
)
from alb_reconcile.kinds.shown import short_id, show_change
from alb_reconcile.model.advice import advised
from alb_reconcile.model.markdown import code_block, code_span, one_line
from alb_reconcile.model.plan import Plan, Step

MOST: Final = 65_000
"""Characters of one comment: GitHub takes 65,536, and whoever posts it adds a line to find it again."""
_NOTICES: Final = 5
"""What part of the space refusals may take; warnings as much, and notes."""
_GROUPS: Final = (
    ("delete", "-", "Deleted", True),
    ("replace", "!", "Replaced", True),
    ("update", "!", "Updated", False),
    ("create", "+", "Created", False),
)
"""The most dangerous first, which are unfolded and get the space first: action, mark in a difference, title, unfolded."""


def plan_markdown(plan: Plan, refusal: str = "", note: str = "", most: int = MOST) -> str:
    """The whole plan in at most so many characters; what is left out is counted. `note` is said beside the plan's own."""
    title = f"{plan.stack} · {plan.region} · account {plan.account}"
    parts = [f"### Plan of {code_span(title)}", f"**{summarize(plan)}**"]
    if refusal:
        parts += [
            "> [!CAUTION]\n> Refused. `apply` would end with exit code 4 and change nothing.",
            _notice(refusal, most),
        ]
    if plan.warnings:
        parts += ["> [!WARNING]\n> Warnings", _notice("\n".join(plan.warnings), most)]
    if notes := [*plan.kept, *([note] if note else [])]:
        parts += [_folded(f"Notes ({len(notes)})", _notice("\n".join(notes), most), is_open=False)]
    if took := estimate(plan):
        parts.append(f"{took}.")
    head = "\n\n".join(parts)
    return "\n\n".join([head, *_groups(plan, most - len(head))]).rstrip()


def error_markdown(file: str, error: str, exit_code: int) -> str:
    """Why there is no plan."""
    return "\n\n".join(
        [f"### No plan of {code_span(file)}", f"> [!CAUTION]\n> Exit code {exit_code}", _notice(error, MOST)]
    )


def _groups(plan: Plan, space: int) -> Iterator[str]:
    """A folded part for each action. Where they are too long, steps lose their details, and then the list its steps."""
    halves, counts = Halves(plan), plan.count()
    steps = {
        action: [step for step in plan.steps if step.action == action and step.part_of is None]
        for action, _, _, _ in _GROUPS
    }
    space -= 300 * sum(bool(items) for items in steps.values())  # what stands around them
    if space < 0:
        yield f"The steps are left out here; {code_span(advised('plan'))} shows them."
        return
    heads = {action: [_head(halves, step, mark) for step in steps[action]] for action, mark, _, _ in _GROUPS}
    sizes = {action: sum(len(head) + 1 for head in each) for action, each in heads.items()}
    for number, (action, _, title, is_open) in enumerate(_GROUPS):
        items = steps[action]
        if not items:
            continue
        # before one of these is told in all its lines, those that come later are named
        later = min(sum(sizes[name] for name, _, _, _ in _GROUPS[number + 1 :]), max(space - sizes[action], 0))
        lines, left = _fill(plan, halves, items, heads[action], space - later)
        space -= sum(len(line) + 1 for line in lines)
        text = code_block(lines, "diff")
        if left:
            text += f"\n\n{left} more of them are left out here; {code_span(advised('plan'))} shows them."
        yield _folded(f"{title} ({counts[action]})", text, is_open=is_open)


def _fill(plan: Plan, halves: Halves, steps: Sequence[Step], heads: Sequence[str], space: int) -> tuple[list[str], int]:
    """The lines that there is space for, and how many steps aren't among them: details only as far as all heads fit."""
    lines: list[str] = []
    ahead = sum(len(head) + 1 for head in heads)
    for number, (step, head) in enumerate(zip(steps, heads, strict=True)):
        ahead -= len(head) + 1
        space -= len(head) + 1
        if space < 0:
            return lines, len(steps) - number
        lines.append(head)
        if space > ahead:
            body = [one_line(line) for line in _body(plan, halves, step)]
            size = sum(len(line) + 1 for line in body)
            if size + ahead <= space:
                lines += body
                space -= size
    return lines, 0


def _head(halves: Halves, step: Step, mark: str) -> str:
    known = f"  {short_id(step.id)}" if step.id and step.action != "create" else ""
    remark = halves.remark(step)
    remark = f"({remark})" if remark and step.action != "replace" else remark
    return one_line(f"{mark} {step.address}{known}  {remark}".rstrip())


def _body(plan: Plan, halves: Halves, step: Step) -> Iterator[str]:
    if step.action == "create":
        found = properties_of(plan, step)
        width = max((len(name) for name, _ in found), default=0)
        yield from (f"+     {name:<{width}}  {text}" for name, text in found)
    forces = forces_replacement(step)
    for change in plan.shown(step):
        mark = "   forces replacement" if change.path in forces else ""
        for sign, text in show_change(change, plan.names):
            if sign:
                yield f"{sign}     {change.path}  {text}{mark}"
                continue
            before, _, after = text.partition(" → ")
            yield f"-     {change.path}  {before}"
            yield f"+     {change.path}  {after}{mark}"
    yield from (f"-     {address}  (deleted with it)" for address in halves.also_deletes(step))
    yield from (f"#     {text}" for text in halves.said(step))


def _notice(text: str, most: int) -> str:
    """A fence around as many lines as there is space for."""
    lines, shown, space = [one_line(line) for line in text.splitlines()], list[str](), most // _NOTICES - 60
    for line in lines:
        space -= len(line) + 1
        if space < 0:
            break
        shown.append(line)
    if len(shown) < len(lines):
        shown.append(f"… and {len(lines) - len(shown)} more lines")
    return code_block(shown, "text")


def _folded(title: str, text: str, *, is_open: bool) -> str:
    return f"<details{' open' if is_open else ''}><summary>{title}</summary>\n\n{text}\n\n</details>"
