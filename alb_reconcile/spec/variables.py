"""Substitutes `${NAME}` and `${NAME:-default}` in scalars, from `--set` and the environment; `$${` is a literal `${`."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, NamedTuple

from alb_reconcile.model.errors import Problem, SpecError
from alb_reconcile.model.files import read_start
from alb_reconcile.model.nodes import Node, Path, render_path, shorten
from alb_reconcile.model.secrets import SHORTEST, is_secret_name, mark
from alb_reconcile.model.text import did_you_mean, text_of
from alb_reconcile.spec.document import MAX_BYTES, MAX_PROBLEMS, DocumentError, find, parse

_VARIABLE: Final = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-((?:[^}$]|\$(?!\{))*))?\}|\$\{")
_AS_IN: Final = 'as in VERSION: "1.30"'
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VERBATIM: Final = frozenset({"user_data"})
_KEPT: Final = frozenset({"application", "user_data_values"})
"""Mappings of which variables outlive the command that was given them."""
MOST_KEPT: Final = 256
"""The most characters of a tag's value (EC2, "Tag restrictions")."""
_TELLING: Final = 8
"""The fewest characters of a variable's value that is taken for a secret everywhere, if the variable is in a tag with a key that says
so."""


def read_values(file: str) -> dict[str, str]:
    """The variables of a file that has nothing else: a name and a text, whole number or boolean a line (YAML). Raises SpecError."""
    try:
        root, problems = parse(read_start(file, MAX_BYTES + 1), f"give each variable a line, {_AS_IN}")
    except DocumentError as error:
        raise SpecError(file, error.args) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SpecError(file, [Problem(1, 1, "", f"can't be read: {reason}; name a file of variables")]) from None
    entries = root.value if isinstance(root.value, dict) else {}
    if not isinstance(root.value, dict):
        problems.append(Problem(root.line, root.column, "", f"isn't a mapping of variables; write them {_AS_IN}"))
    for name, node in entries.items():
        if not _NAME.fullmatch(name):
            told = "isn't a variable's name; write letters, digits and _, and no digit first"
            problems.append(Problem(*root.keys[name], render_path((name,)), told))
        elif told := _why_no_value(node):
            problems.append(Problem(node.line, node.column, name, told))
    if problems:
        raise SpecError(file, problems)
    return {name: text_of(node.value) for name, node in entries.items()}


def _why_no_value(node: Node) -> str:
    if isinstance(node.value, float):
        return f"is the number {node.value:g} to YAML, without further zeros; put it in quotes, {_AS_IN}"
    if isinstance(node.value, dict | list) or node.value is None:
        return f"isn't one value; write a text, {_AS_IN}"
    return ""


class Missing(NamedTuple):
    """A variable that wasn't given, though an earlier command may have been given it: the first place that names it, and whether it has a
    default there."""

    path: Path
    has_default: bool
    hint: str
    """The nearest name of those that were given, as in " (did you mean VERSION?)"; empty where none is like it."""


@dataclass
class Filled:
    """What came of filling variables into a document: problems; for each entry the variables that were given for values that outlive the
    command; and those of these variables that weren't given, which stay as they are where they have no default."""

    problems: list[Problem] = field(default_factory=list)
    given: dict[Path, dict[str, str]] = field(default_factory=dict)
    missing: dict[str, Missing] = field(default_factory=dict)


def substitute(root: Node, variables: Mapping[str, str]) -> Filled:
    """Put variables into the tree's scalars, in place. User data stays as it is: ${…} is the shell's there.

    An empty variable counts as unset where a default is given, as in a shell. The values of variables under `secret_variables` are hidden
    from then on in all that this process says.
    """
    substitution = _Substitution(variables, {name: path for path, name in _secrets_of(root)})
    substitution.check_secrets(root)
    for path, node in _kept_in(
        root
    ):  # by themselves, since an alias is filled in once only, and may be in several entries
        substitution.note(node, path)
    substitution.visit(root, ())
    return substitution.filled


def _secrets_of(root: Node) -> Iterator[tuple[Path, str]]:
    given = root.value.get("secret_variables") if isinstance(root.value, dict) else None
    for index, node in enumerate(given.value if given and isinstance(given.value, list) else ()):
        if isinstance(node.value, str):
            yield ("secret_variables", index), node.value


def _kept_in(root: Node) -> Iterator[tuple[Path, Node]]:
    """The texts of which variables outlive the command."""
    for section, entries in _children(root):
        for name, entry in _children(entries):
            for key, values in _children(entry):
                if key in _KEPT:
                    yield from _texts(values, (section, name, key))


def _texts(node: Node, path: Path) -> Iterator[tuple[Path, Node]]:
    """A node, or the scalars below a node, each with its path."""
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from _texts(child, (*path, key))
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from _texts(child, (*path, index))
    else:
        yield path, node


def _children(node: Node) -> Iterable[tuple[str, Node]]:
    return node.value.items() if isinstance(node.value, dict) else ()


def variables_in(node: Node, *, verbatim: bool = False) -> Iterator[tuple[str, bool]]:
    """The variables that a document names, each with whether it stays as it is there."""
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from variables_in(child, verbatim=verbatim or key in _VERBATIM)
    elif isinstance(node.value, list):
        for child in node.value:
            yield from variables_in(child, verbatim=verbatim)
    else:
        yield from ((found[1], verbatim) for found in _VARIABLE.finditer(str(node.value)) if found[1])


class _Substitution:
    def __init__(self, variables: Mapping[str, str], secrets: Mapping[str, Path]) -> None:
        self.variables, self.secrets = variables, secrets
        self.filled = Filled()
        self.problems = self.filled.problems
        self.seen: set[int] = set()
        self.kept: set[int] = set()
        self.length = 0

    def visit(self, node: Node, path: Path) -> None:
        if id(node) in self.seen:  # an alias: done already, and substituting twice would unescape twice
            return
        self.seen.add(id(node))
        if isinstance(node.value, dict):
            for key, child in node.value.items():
                if key not in _VERBATIM:
                    self.visit(child, (*path, key))
        elif isinstance(node.value, list):
            for index, child in enumerate(node.value):
                self.visit(child, (*path, index))
        elif isinstance(node.value, str) and "${" in node.value:
            node.template = node.value
            node.value = self._replace(node, node.value, path)

    def _replace(self, node: Node, text: str, path: Path) -> str:
        undefined: dict[str, None] = {}
        secrets: list[str] = []
        is_named = path[-2:-1] == ("tags",) and is_secret_name(str(path[-1]))

        def value(match: re.Match[str]) -> str:
            found = looked_up(match)
            if match[1] in self.secrets or (is_named and len(found) >= _TELLING):
                secrets.append(found)
            return found

        def looked_up(match: re.Match[str]) -> str:
            name, default = match.groups()
            if match[0] == "$${":
                return "${"
            if len(self.problems) >= MAX_PROBLEMS:
                return match[0]
            if name is None:
                shown = f"{shorten(text)} " * (not self.secrets)
                what = f"{shown}has a ${{ that isn't a variable"
                self._problem(node, path, f"{what}; write ${{NAME}} or ${{NAME:-default}}, or $${{ for a literal ${{")
            elif default is not None:
                return self.variables.get(name) or default
            elif name in self.variables:
                return self.variables[name]
            else:
                undefined[name[:64]] = None
            return match[0]

        result = _VARIABLE.sub(value, text)
        if secrets and not undefined:
            mark(*secrets, *([result] if min(map(len, secrets)) < SHORTEST else ()))
        if undefined and id(node) not in self.kept:
            self._problem(node, path, self._undefined(list(undefined)[:8]))
        self.length += len(result)
        if self.length > MAX_BYTES:
            self._problem(node, path, "the variables make the spec too large; shorten their values")
            return ""
        return result

    def note(self, node: Node, path: Path) -> None:
        """Note the variables in a text that outlive the command."""
        self.kept.add(id(node))
        for match in _VARIABLE.finditer(node.value if isinstance(node.value, str) else ""):
            name, default = match.groups()
            if not name:
                continue
            given = self.variables.get(name, "")  # an empty one counts as not given
            if name in self.secrets or is_secret_name(name):
                why = "is under secret_variables" if name in self.secrets else "looks like a secret"
                told = f"has ${{{name}}}, which {why}, and user data can be read; let the instance read it"
                self._problem(node, path, told)
            elif len(given) > MOST_KEPT:
                told = f"{name} has {len(given)} characters, and the tag that keeps it takes {MOST_KEPT}; give a shorter one"
                self._problem(node, path, told)
            elif given:
                self.filled.given.setdefault(path[:2], {})[name] = given
            else:
                known = self.filled.missing.get(name, Missing(path, has_default=True, hint=self._near(name)))
                self.filled.missing[name] = known._replace(has_default=known.has_default and default is not None)

    def check_secrets(self, root: Node) -> None:
        """Report secret variables that the document doesn't use: after a slip there, the one that is meant would be shown."""
        used = {name for name, is_verbatim in variables_in(root) if not is_verbatim} if self.secrets else set()
        for name, path in self.secrets.items():
            if name not in used:
                node, _ = find(root, path)
                what = f"nothing in this file has ${{{name[:64]}}}, outside of user_data, which is kept as it is"
                self._problem(node, path, what + (did_you_mean(name, used) or "; correct it, or take it out"))

    def _near(self, name: str) -> str:
        known = [other for other in self.variables if len(other) < 64]
        near = get_close_matches(name[:64], known, 1, 0.8)
        return f" (did you mean {near[0]}?)" if near else ""

    def _undefined(self, names: list[str]) -> str:
        hint = self._near(names[0])
        what, them = f"the variable {names[0]} is", "it"
        if len(names) > 1:
            what, them = f"the variables {', '.join(names)} are", "them"
        way = f"set {them} with --set {names[0]}=VALUE or in the environment, or write ${{{names[0]}:-default}}"
        return f"{what} not defined{hint}; {way}"

    def _problem(self, node: Node, path: Path, message: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(node.line, node.column, render_path(path), message))
