"""What a test of `make soak` rests on, in a digest: what has passed needn't be tried again while it stays the same.

A test rests on all committed files but documents, the tests' own modules, and what only checks and packs; and on those of them that it
imports or names (a page as `sync.md`), with the `conftest.py` of its folders. Of a module counts what `make soak` does with it: no comments, nothing that is for the
suite alone (the last part of `x if SOAK else y`; that cases are `at_length`, or a test `only_at_length`), and of tests that are imported only what
is none, and no docstrings. So a commit that mends the judge of one test undoes nothing of the others, and one that changes how much the suite tries
undoes nothing at all.
"""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

APART = ("scripts/", "Containerfile", "Makefile", ".ci/", ".pre-commit-config.yaml", ".dockerignore", ".editorconfig")
"""What checks and packs, and is no part of what runs."""
Part = Literal["run", "imported", "whole"]
"""What counts of a module: what `make soak` runs; what others take of it, which are no tests; or all of it, since others run it as they like."""
ONLY_KEEP = {"tests/soak.py", "tests/soak_inputs.py", "tests/at_length.py"}
"""Which only keep the results, and say how much the suite tries."""
FOR_THE_SUITE = {"try_seeds": 0, "seeds": 0}
"""Functions with an argument that says how much the suite tries, and its place."""


def git(root: Path, *words: str) -> str:
    """What git says, or nothing."""
    return subprocess.run(["git", *words], cwd=root, capture_output=True, encoding="utf-8", check=False).stdout.strip()


def state(root: Path) -> str:
    """A digest of all that is checked out but documents; empty if anything differs from it."""
    files = {path: about for path, about in _committed(root).items() if not _is_document(path)}
    return _digest(files.items()) if files and not git(root, "status", "--porcelain") else ""


def inputs(root: Path) -> dict[str, str]:
    """By the file of each test, a digest of all that the test rests on."""
    files = _committed(root)
    modules = {
        path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path
        for path in files
        if path.startswith(APART) or _is_document(path) or (path.startswith("tests/") and path.endswith(".py"))
    }
    common = [(path, files[path]) for path in files if path not in modules.values()]

    @cache
    def tree(path: str, part: Part) -> ast.Module:
        return _tree((root / path).read_text(encoding="utf-8") if path.endswith(".py") else "", path, part)

    @cache
    def named(path: str, part: Part) -> frozenset[tuple[str, Part]]:
        return frozenset(_named(tree(path, part), modules))

    def rests_on(path: str) -> set[tuple[str, Part]]:
        folders = (f"{folder}/conftest.py" for folder in Path(path).parents)
        further: list[tuple[str, Part]] = [(item, "run") for item in (path, *folders) if item in modules.values()]
        found = {*further}
        while further:
            more = named(*further.pop()) - found
            found |= more
            further += more
        return {(item, part) for item, part in found if item not in ONLY_KEEP}

    @cache
    def digest(path: str, part: Part) -> str:
        if path.startswith(APART) or _is_document(path):
            return files[path]
        return _digest([(path, repr(_plain(tree(path, part))))])

    of_tests = [path for path in modules.values() if _has_tests(path)]
    return {
        path: _digest([*common, *((item, digest(item, part)) for item, part in rests_on(path))]) for path in of_tests
    }


def _named(tree: ast.Module, modules: Mapping[str, str]) -> Iterator[tuple[str, Part]]:
    """The files of modules (by name) that one imports, also by a text with the beginning of their names, or names as files. They are whole if they
    are run or a test of theirs is taken."""
    imported: set[str] = set()
    takes_tests = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{name.name}" for name in node.names}
            imported |= {node.module, *names}
            takes_tests |= any(_is_tests(name.rpartition(".")[2]) for name in names - modules.keys())
        elif isinstance(node, ast.Attribute):
            takes_tests |= _is_tests(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value.startswith("tests."):
                imported.update(name for name in modules if name.startswith(node.value))
            else:
                yield from ((file, "whole") for file in _of_path(node.value, modules.values()))
    with_packages = {
        name[:end] for name in imported for end in (*(dot.start() for dot in re.finditer(r"[.]", name)), None)
    }
    yield from ((modules[name], "whole" if takes_tests else "imported") for name in with_packages if name in modules)


def _of_path(text: str, files: Collection[str]) -> list[str]:
    """The files whose path ends with a text."""
    if not re.fullmatch(r"[\w./-]+", text):
        return []
    return [file for file in files if file.endswith(text) and f"/{file}".endswith(f"/{text}")]


def _tree(text: str, path: str, part: Part) -> ast.Module:
    module = ast.parse(text)
    if part == "whole":
        return module
    if _has_tests(path):
        if part == "imported":
            module.body = [item for item in module.body if not _is_tests(getattr(item, "name", ""))]
        module = _WithoutDocstrings().visit(module)
    found: ast.Module = _AtLength().visit(module)
    return found


class _WithoutDocstrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else self.generic_visit(node)


class _AtLength(ast.NodeTransformer):
    """What `make soak` does: of `x if SOAK else y` only x, and all that is `at_length` as if it stood there."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if node.module == "tests.at_length" else node

    def visit_Starred(self, node: ast.Starred) -> ast.AST | list[ast.AST]:
        if isinstance(node.value, ast.Call) and _is_named(node.value.func, "at_length"):
            return [self.visit(argument) for argument in node.value.args]
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        called = [item.func if isinstance(item, ast.Call) else item for item in node.decorator_list]
        decorators = zip(node.decorator_list, called, strict=True)
        node.decorator_list = [item for item, name in decorators if not _is_named(name, "only_at_length")]
        return self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        return self.visit(node.body) if _is_soak(node.test) else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        place = FOR_THE_SUITE.get(node.func.id) if isinstance(node.func, ast.Name) else None
        args = [item for number, item in enumerate(node.args) if number != place]
        return self.generic_visit(ast.Call(node.func, args, node.keywords))


def _is_named(item: ast.expr, name: str) -> bool:
    return isinstance(item, ast.Name) and item.id == name


def _is_soak(test: ast.expr) -> bool:
    return ast.unparse(test) in ("SOAK", "os.environ.get('SOAK')")


def _has_tests(path: str) -> bool:
    return Path(path).name.startswith("test_")


def _is_tests(name: str) -> bool:
    return name.startswith(("test_", "Test"))


def _plain(item: Any) -> Any:
    """Syntax as tuples, the same in each version of Python: one that has more fields leaves them empty here."""
    if isinstance(item, list):
        return tuple(map(_plain, item))
    if isinstance(item, ast.Constant):
        return repr(item.value)
    if not isinstance(item, ast.AST):
        return item
    fields = ((name, value) for name, value in ast.iter_fields(item) if name != "ctx" and value not in (None, []))
    return (type(item).__name__, *((name, _plain(value)) for name, value in fields))


def _committed(root: Path) -> dict[str, str]:
    """The digests of all files."""
    lines = (line.partition("\t") for line in git(root, "ls-tree", "-r", "HEAD").splitlines())
    return {path: about for about, _, path in lines}


def _is_document(path: str) -> bool:
    return path.startswith("docs/") or path.endswith(".md")


def _digest(files: Iterable[tuple[str, str]]) -> str:
    return hashlib.sha256(repr(sorted(files)).encode()).hexdigest()[:12]
