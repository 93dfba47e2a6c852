"""The reference's pages, from what the program itself says: schemas, command line, schemas of outputs.

What has no description is an error, so that nothing gets in undocumented.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from alb_reconcile.cli.options.parser import make_parser
from alb_reconcile.spec import schema

ROOT: Final = Path(__file__).parent.parent
OUTPUTS: Final = ROOT / "schemas" / "output"
Schema = Mapping[str, Any]

COMMON: Final = {
    "--format": "what to print: text for people, or the other format for programs",
    "specs": "the files of the stacks",
    "spec": "the file of the stack",
    "topic": "what to explain; left out, all kinds are listed",
    "new": "the address that it gets",
}
"""What options and arguments mean whose name says it in the terminal."""


class UndocumentedError(Exception):
    """Something that a reader would look for isn't described."""


@cache
def pages() -> dict[str, str]:
    """Each page of the reference by its name."""
    missing: list[str] = []
    found = {
        "commands.md": _commands(missing),
        "json.md": _outputs(missing),
        **{f"spec/{kind.replace('_', '-')}.md": text for kind, text in _kinds(missing)},
        "spec/index.md": _index(),
    }
    if missing:
        raise UndocumentedError("\n".join(f"{item} has no description" for item in missing))
    return found


# ── the spec ──


def _kinds(missing: list[str]) -> Iterator[tuple[str, str]]:
    examples = _examples()
    for kind in ("stack", *schema.SECTIONS.values()):
        found = schema.resolved(kind)
        lines = [f"# {kind}", "", found["description"], ""]
        section = next((name for name, item in schema.SECTIONS.items() if item == kind), "")
        if section:
            lines += [f"Entries of this kind are in the section `{section}`.", ""]
        if example := examples.get((kind, "")):
            name, entry = example
            lines += ["```yaml", _yaml({section: {name: entry}}).rstrip(), "```", ""]
        for path, item, is_required in _keys(found, kind):
            if "description" not in item:
                missing.append(f"{kind}.{path}")
            lines += _key(path, item, is_required=is_required, example=examples.get((kind, path)))
        yield kind, "\n".join(lines)


def _keys(found: Schema, kind: str, prefix: str = "") -> Iterator[tuple[str, Schema, bool]]:
    """All keys below a schema, depth first; entries of other kinds have pages of their own."""
    seen = set()
    for name, item, is_required in _own_keys(found):
        path = f"{prefix}{name}"
        if path in seen:
            continue
        seen.add(path)
        yield path, item, is_required
        if not _is_section(name, item):
            yield from _keys(item, kind, f"{path}.")


def _is_section(name: str, item: Schema) -> bool:
    """Whether a key holds entries of another kind, by their names."""
    return name in schema.SECTIONS and isinstance(item.get("additionalProperties"), Mapping)


def _own_keys(found: Schema) -> Iterator[tuple[str, Schema, bool]]:
    required = found.get("required", ())
    for name, item in found.get("properties", {}).items():
        yield name, item, name in required
    below = [found.get("items"), found.get("additionalProperties")]
    for word in ("allOf", "oneOf", "anyOf"):
        below += found.get(word, ())
    for item in below:
        if isinstance(item, Mapping):
            yield from _own_keys(item)


def _key(path: str, item: Schema, *, is_required: bool, example: Any) -> list[str]:
    facts = [f"Type: {schema.describe_form(item)}"]  # type: ignore[arg-type]
    if _is_section(path, item):
        kind = schema.SECTIONS[path]
        facts = [f"Type: entries of [{kind}]({kind.replace('_', '-')}.md)"]
    if is_required:
        facts.append("**required**")
    if "default" in item:
        facts.append(f"default: `{_plain(item['default'])}`")
    if "x-refers" in item:
        facts.append(f"refers to {item['x-refers']}")
    if "x-aws" in item:
        facts.append(f"AWS: `{item['x-aws']}`")
    if example is None and "examples" in item:
        example = item["examples"][0]
    text = _inline(example)
    if text:
        facts.append(f"example: `{text}`")
    return [f"## {path}", "", _markdown(item.get("description", "")), "", " · ".join(facts), "{ .facts }", ""]


def _markdown(text: str) -> str:
    """A description with nothing in it that Markdown reads as its own."""
    for mark in ("*", "_", "<", "["):
        text = text.replace(mark, f"\\{mark}")
    return text


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _inline(value: Any) -> str:
    if value is None:
        return ""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, allow_unicode=True, sort_keys=False)
    text = text.strip().removesuffix("...").strip()
    return text if len(text) <= 90 and "`" not in text else ""


def _yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Without anchors, and lists indented as people write them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _examples() -> dict[tuple[str, str], Any]:
    """The first value of each key in the specs that come with the program; of each kind, its richest entry."""
    found: dict[tuple[str, str], Any] = {}
    own = sorted(
        (ROOT / "specs").glob("*.yaml"), key=lambda file: (file.stem == "runbook", file.name)
    )  # it is full of variables
    for file in own + sorted((ROOT / "specs" / "examples").glob("*.yaml")):
        _collect(yaml.safe_load(file.read_text(encoding="utf-8")), "stack", "", found)
    return found


def _collect(value: Any, kind: str, path: str, found: dict[tuple[str, str], Any]) -> None:
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                _collect(item, kind, path, found)
    elif isinstance(value, dict):
        for name, item in value.items():
            key = f"{path}.{name}" if path else str(name)
            found.setdefault((kind, key), item)
            if (
                name in schema.SECTIONS
                and isinstance(item, dict)
                and _is_section(name, schema.resolved(kind)["properties"].get(name, {}))
            ):
                for entry_name, entry in item.items():
                    known = found.get((schema.SECTIONS[name], ""))
                    if isinstance(entry, dict) and (known is None or _worth(entry) > _worth(known[1])):
                        found[schema.SECTIONS[name], ""] = (entry_name, _shown(entry))
                    _collect(entry, schema.SECTIONS[name], "", found)
            else:
                _collect(item, kind, key, found)


def _worth(entry: Mapping[str, Any]) -> int:
    """How much an entry shows; variables show little."""
    text = str(_shown(entry))
    return 0 if "${" in text else len(text)


def _shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry without the sections in it and without long texts."""
    return {
        name: value
        for name, value in entry.items()
        if name not in ("listeners", "rules") and not (isinstance(value, str) and "\n" in value)
    }


def _index() -> str:
    rows = [
        f"| [`{section}`]({kind.replace('_', '-')}.md) | {_markdown(schema.resolved(kind)['description'])} |"
        for section, kind in schema.SECTIONS.items()
    ]
    head = """\
# Keys of the spec

Every key, with its type, its default, AWS's own term and an example. In a terminal,
`alb-reconcile explain KIND.KEY` says the same. The rules behind the keys are in [The spec](../../spec.md).

[stack](stack.md) holds the keys of the file itself. Each section has a page:

| Section | Holds |
| --- | --- |
"""
    return head + "\n".join(rows) + "\n"


# ── the command line ──


def commands(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Each command that runs something, with its parser."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield " ".join(words), parser
    for group in below:
        for name, command in group.choices.items():
            yield from commands(command, (*words, name))


def _commands(missing: list[str]) -> str:
    parser = make_parser()
    found = list(commands(parser))
    common = _common(found)
    lines = ["# Commands", "", "`alb-reconcile COMMAND --help` says the same in a terminal.", ""]
    lines += ["| Command | What it does |", "| --- | --- |"]
    for name, command in found:
        lines.append(f"| [`{name}`](#{name.replace(' ', '-')}) | {_markdown(command.description or '')} |")
        if not command.description:
            missing.append(name)
    for name, command in found:
        usage = " ".join(command.format_usage().removeprefix("usage: ").split())
        lines += ["", f"## {name}", "", _markdown(command.description or ""), ""]
        lines += ["```text", _short_usage(usage, common), "```", ""]
        own = [action for action in command._actions if not _is_common(action, common)]
        lines += _options(own, name, missing)
        if any(_is_common(action, common) and action.dest != "help" for action in command._actions):
            lines += ["", "The [common options](#common-options) apply, too."]
    lines += ["", "## Common options", "", "Of every command that reads a spec or calls AWS.", ""]
    lines += _options(list(common.values()), "common", missing)
    return "\n".join(lines) + "\n"


def _common(found: list[tuple[str, argparse.ArgumentParser]]) -> dict[str, argparse.Action]:
    """The options of the group that commands share."""
    for _, command in found:
        for group in command._action_groups:
            if group.title == "common options":
                return {action.option_strings[-1]: action for action in group._group_actions}
    raise UndocumentedError("the command line has no common options any more")


def _is_common(action: argparse.Action, common: Mapping[str, argparse.Action]) -> bool:
    return action.dest == "help" or bool(action.option_strings and action.option_strings[-1] in common)


def _short_usage(usage: str, common: Mapping[str, argparse.Action]) -> str:
    """The usage without what every command has."""
    words = usage.replace("[-h] ", "")
    for action in common.values():
        for option in action.option_strings:
            start = words.find(f"[{option}")
            if start >= 0 and words[start + 1 + len(option)] in " ]":
                words = words[:start] + words[words.index("]", start) + 1 :].lstrip()
    return words


def _options(actions: list[argparse.Action], name: str, missing: list[str]) -> list[str]:
    rows = []
    for action in actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        shown = [*action.option_strings] or [str(action.metavar or action.dest)]
        value = "" if action.nargs == 0 or not action.option_strings else f" {_value(action)}"
        text = action.help or COMMON.get(action.option_strings[-1] if action.option_strings else action.dest, "")
        if not text:
            missing.append(f"{name} {shown[-1]}")
        words = ", ".join(f"`{item}{value}`" for item in shown)
        if action.choices and action.option_strings and action.metavar:
            text += f" ({', '.join(map(str, action.choices))})"
        rows.append(f"| {words.replace('|', chr(92) + '|')} | {_markdown(text.replace('%%', '%'))} |")
    return ["| Option | Meaning |", "| --- | --- |", *rows] if rows else ["It has no options of its own."]


def _value(action: argparse.Action) -> str:
    if action.metavar:
        return str(action.metavar)
    return "|".join(map(str, action.choices)) if action.choices else action.dest.upper()


# ── outputs ──


def _outputs(missing: list[str]) -> str:
    lines = [
        "# JSON outputs",
        "",
        "`--format json` prints one document for programs. A key that is there keeps its name and its meaning; new keys may come.",
        "",
    ]
    files = sorted(OUTPUTS.glob("*.json")) if OUTPUTS.is_dir() else []
    if not files:
        lines += [
            "| Output | Described in |",
            "| --- | --- |",
            "| `plan --format json` | [How it works](../how-it-works.md#the-plan-as-json) |",
            "| `verify --format json` | [Verify](../verify.md#what-it-reports) |",
            "| `history --format json`, the webhook | [Records of runs](../observing.md) |",
            "| `validate --format json` | [Lints](../lints.md#findings-of-security) |",
        ]
    for file in files:
        found = json.loads(file.read_text(encoding="utf-8"))
        title = found.get("title", file.name.removesuffix(".json").removesuffix(".schema"))
        lines += [
            f"## {title}",
            "",
            _markdown(found.get("description", "")),
            "",
            "| Key | Type | Holds |",
            "| --- | --- | --- |",
        ]
        if "description" not in found:
            missing.append(file.name)
        for path, item in _fields(found, found):
            if "description" not in item:
                missing.append(f"{file.name}: {path}")
            lines.append(f"| `{path}` | {_json_type(item)} | {_markdown(str(item.get('description', '')))} |")
        lines.append("")
    return "\n".join(lines) + "\n"


def _fields(found: Schema, whole: Schema, prefix: str = "", seen: tuple[str, ...] = ()) -> Iterator[tuple[str, Schema]]:
    found, seen = _resolved(found, whole, seen)
    for name, item in found.get("properties", {}).items():
        target, below = _resolved(item, whole, seen)
        yield f"{prefix}{name}", target
        yield from _fields(target, whole, f"{prefix}{name}.", below)
    for word in ("items", "additionalProperties"):
        if isinstance(found.get(word), Mapping):
            yield from _fields(
                found[word], whole, f"{prefix.rstrip('.')}[]." if word == "items" else prefix + "*.", seen
            )
    for word in ("oneOf", "anyOf", "allOf"):
        for item in found.get(word, ()):
            yield from _fields(item, whole, prefix, seen)


def _resolved(found: Schema, whole: Schema, seen: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
    """A schema with its reference in place; what refers to itself isn't followed twice."""
    pointer = str(found.get("$ref", ""))
    if not pointer.startswith("#/"):
        return found, seen
    target: Any = whole
    for part in pointer[2:].split("/"):
        target = target[part]
    own = {key: value for key, value in found.items() if key != "$ref"}
    if pointer in seen:
        return {"description": target.get("description", ""), "type": target.get("type", ""), **own}, seen
    return {**target, **own}, (*seen, pointer)


def _json_type(item: Schema) -> str:
    if "enum" in item:
        return ", ".join(f"`{_plain(value)}`" for value in item["enum"])
    if "const" in item:
        return f"`{_plain(item['const'])}`"
    found = item.get("type", "")
    return " or ".join(found) if isinstance(found, list) else str(found)
