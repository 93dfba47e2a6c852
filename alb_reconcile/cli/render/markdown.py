"""Renders a plan as Markdown for a pull request: a summary, why it is refused, and folded details as differences.

Texts of AWS, specs and tags stand in a fence or a span of code, where GitHub reads no Markdown, no HTML and no mentions.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from alb_reconcile.cli.render.acts import ActPart, read_in_acts
from alb_reconcile.cli.render.plan import (
    estimate,
    forces_replacement,
    part_time,
    properties_of,
    summarize,
)
from alb_reconcile.kinds.display import short_id, show_change
from alb_reconcile.model.advice import advised
from alb_reconcile.model.markdown import code_block, code_span, one_line
from alb_reconcile.model.plan import Plan, Step

MOST: Final = 65_000
"""Characters of one comment: GitHub takes 65,536, and the program that posts the comment adds a line to find it again."""
_NOTICES: Final = 5
"""The part of the space (one in so many) that refusals may take; warnings and notes may take as much each."""
_GROUPS: Final = {"delete": "Deleted", "replace": "Replaced", "update": "Updated", "create": "Created"}
"""The titles of a plan that has no acts, the most dangerous first."""
_MARKS: Final = {"delete": "-", "replace": "!", "update": "!", "create": "+"}
_DANGERS: Final = ("delete", "replace")
"""Actions that are unfolded, as is the act that moves requests."""


class _Group(NamedTuple):
    """Steps that are folded together, and the part of the plan that they belong to."""

    title: str
    steps: Sequence[Step]
    part: ActPart


def plan_markdown(plan: Plan, refusal: str = "", note: str = "", most: int = MOST) -> str:
    """The whole plan in at most `most` characters; what is left out is counted. `note` is added to the plan's own notes."""
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
    """A comment that says why there is no plan."""
    return "\n\n".join(
        [f"### No plan of {code_span(file)}", f"> [!CAUTION]\n> Exit code {exit_code}", _notice(error, MOST)]
    )


def _groups(plan: Plan, space: int) -> Iterator[str]:
    """A folded part for each act, or for each action where there is one act. Where the parts are too long, first steps lose their
    details, then lists their steps; deletions and replacements get the space first."""
    groups = _grouped(plan)
    before = ["".join(f"Wait until {code_span(text)}\n\n" for text in group.part.awaited) for group in groups]
    space -= 400 * len(groups) + len("".join(before))  # the markup around them
    if space < 0:
        yield f"The steps are left out here; {code_span(advised('plan'))} shows them."
        return
    heads = [[_head(group.part, step) for step in group.steps] for group in groups]
    sizes = [sum(len(head) + 1 for head in each) for each in heads]
    first = sorted(range(len(groups)), key=lambda number: -number if groups[number].part.name else number)
    for rank, number in enumerate(first):
        group = groups[number]
        # the steps of later parts are named before one of these is shown in all its lines
        later = min(sum(sizes[other] for other in first[rank + 1 :]), max(space - sizes[number], 0))
        lines, left = _fill(plan, group, heads[number], space - later)
        space -= sum(len(line) + 1 for line in lines)
        text = code_block(lines, "diff")
        if left:
            text += f"\n\n{left} more of them are left out here; {code_span(advised('plan'))} shows them."
        is_open = group.part.number == "2" or any(step.action in _DANGERS for step in group.steps)
        before[number] += _folded(group.title, text, is_open=is_open)
    yield from before


def _grouped(plan: Plan) -> list[_Group]:
    parts, counts = read_in_acts(plan), plan.count()
    if parts[0].name:
        told = [" · ".join(filter(None, [part.counts, part_time(part)])) for part in parts]
        titles = [f"{part.number} {part.name}: {words}" for part, words in zip(parts, told, strict=True)]
        return [_Group(title, part.entries, part) for title, part in zip(titles, parts, strict=True)]
    found = {action: [step for step in parts[0].entries if step.action == action] for action in _GROUPS}
    return [
        _Group(f"{_GROUPS[action]} ({counts[action]})", steps, parts[0]) for action, steps in found.items() if steps
    ]


def _fill(plan: Plan, group: _Group, heads: Sequence[str], space: int) -> tuple[list[str], int]:
    """The lines that there is space for, and how many steps aren't among them: details only if all heads fit."""
    lines: list[str] = []
    ahead = sum(len(head) + 1 for head in heads)
    for number, (step, head) in enumerate(zip(group.steps, heads, strict=True)):
        ahead -= len(head) + 1
        space -= len(head) + 1
        if space < 0:
            return lines, len(heads) - number
        lines.append(head)
        if space > ahead:
            body = [one_line(line) for line in _body(plan, group.part, step)]
            size = sum(len(line) + 1 for line in body)
            if size + ahead <= space:
                lines += body
                space -= size
    return lines, 0


def _head(part: ActPart, step: Step) -> str:
    known = f"  {short_id(step.id)}" if step.id and step.action != "create" else ""
    remark = part.remark(step)
    remark = f"({remark})" if remark and step.action != "replace" else remark
    return one_line(f"{_MARKS[step.action]} {step.address}{known}  {remark}".rstrip())


def _body(plan: Plan, part: ActPart, step: Step) -> Iterator[str]:
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
    yield from (f"-     {address}  (deleted with it)" for address in part.also_deletes(step))
    yield from (f"#     {text}" for text in part.said(step))


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
