"""Substitutes `${NAME}` and `${NAME:-default}` in scalars, from `--set` and the environment; `$${` is a literal `${`."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from alb_reconcile.model.errors import Problem
from alb_reconcile.model.nodes import Node, Path, render_path, shorten
from alb_reconcile.model.secrets import SHORTEST, is_secret_name, mark
from alb_reconcile.model.text import did_you_mean
from alb_reconcile.spec.document import MAX_BYTES, MAX_PROBLEMS, find

_VARIABLE: Final = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-((?:[^}$]|\$(?!\{))*))?\}|\$\{")
_VERBATIM: Final = frozenset({"user_data"})
_TELLING: Final = 8
"""The fewest characters of a variable's value that is taken for a secret everywhere, if the variable is in a tag with a key that says
so."""


def substitute(root: Node, variables: Mapping[str, str]) -> list[Problem]:
    """Put variables into the tree's scalars, in place. User data stays as it is: ${…} is the shell's there. Returns the problems.

    An empty variable counts as unset where a default is given, as in a shell. The values of variables under `secret_variables` are hidden
    from then on in all that this process says.
    """
    substitution = _Substitution(variables, {name: path for path, name in _secrets_of(root)})
    substitution.check_secrets(root)
    substitution.visit(root, ())
    return substitution.problems


def _secrets_of(root: Node) -> Iterator[tuple[Path, str]]:
    given = root.value.get("secret_variables") if isinstance(root.value, dict) else None
    for index, node in enumerate(given.value if given and isinstance(given.value, list) else ()):
        if isinstance(node.value, str):
            yield ("secret_variables", index), node.value


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
        self.problems: list[Problem] = []
        self.seen: set[int] = set()
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
            node.value = self._replace(node, node.value, path)
            node.substituted = True

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
        if undefined:
            self._problem(node, path, self._undefined(list(undefined)[:8]))
        self.length += len(result)
        if self.length > MAX_BYTES:
            self._problem(node, path, "the variables make the spec too large; shorten their values")
            return ""
        return result

    def check_secrets(self, root: Node) -> None:
        """Report secret variables that the document doesn't use: after a slip there, the one that is meant would be shown."""
        used = {name for name, is_verbatim in variables_in(root) if not is_verbatim} if self.secrets else set()
        for name, path in self.secrets.items():
            if name not in used:
                node, _ = find(root, path)
                what = f"nothing in this file has ${{{name[:64]}}}, outside of user_data, which is kept as it is"
                self._problem(node, path, what + (did_you_mean(name, used) or "; correct it, or take it out"))

    def _undefined(self, names: list[str]) -> str:
        known = [name for name in self.variables if len(name) < 64]
        near = get_close_matches(names[0], known, 1, 0.8)
        hint = f" (did you mean {near[0]}?)" if near else ""
        what, them = f"the variable {names[0]} is", "it"
        if len(names) > 1:
            what, them = f"the variables {', '.join(names)} are", "them"
        way = f"set {them} with --set {names[0]}=VALUE or in the environment, or write ${{{names[0]}:-default}}"
        return f"{what} not defined{hint}; {way}"

    def _problem(self, node: Node, path: Path, message: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(node.line, node.column, render_path(path), message))
