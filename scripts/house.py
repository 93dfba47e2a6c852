"""Prints the numbers that the architecture is held to; with --check it exits with 1 if one is exceeded."""

from __future__ import annotations

import argparse
import ast
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Final, NamedTuple

import grimp

ROOT: Final = Path(__file__).parent.parent
PACKAGE: Final = "alb_reconcile"
EMULATOR: Final = "sandbox"
ROOMS: Final = {file.name.removesuffix(".schema.json") for file in (ROOT / "schemas").glob("*.schema.json")} - {
    "common",
    "stack",
}
"""The modules and folders of kinds, by their schemas."""
ERRORS_OF_REQUESTS: Final = "verification/client.py"
"""Has the words for what goes wrong with a request; one is `certificate`."""
NOTES: Final = ("notes", "facts", "memory")
COMMAND_LINES: Final = ("cli/main.py", "cli/options/", f"{EMULATOR}/server.py")
"""Where arguments of a process may be untyped: the command line's parser, and that of the emulator's own process."""


class Number(NamedTuple):
    """One number: what it is called, how it is measured (the number, or the places to count), the limit and its reason."""

    name: str
    measure: Callable[[], int | list[str]]
    limit: int
    reason: str


class Source(NamedTuple):
    """A module of the product: its path inside the package, its text as lines, its syntax."""

    path: str
    lines: list[str]
    tree: ast.Module

    def places(self, counts: Callable[[ast.AST], bool]) -> list[str]:
        """The lines on which there is something that counts."""
        nodes = (node for node in ast.walk(self.tree) if counts(node))
        numbers = {node.lineno for node in nodes if isinstance(node, ast.expr | ast.stmt | ast.pattern)}
        return [f"{PACKAGE}/{self.path}:{line}: {self.lines[line - 1].strip()}" for line in sorted(numbers)]


@cache
def sources() -> list[Source]:
    """All modules of the package."""
    folder = ROOT / PACKAGE
    found = []
    for file in sorted(folder.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        found.append(Source(file.relative_to(folder).as_posix(), text.splitlines(), ast.parse(text)))
    return found


def product() -> Iterator[Source]:
    """All modules but those of the emulator."""
    return (source for source in sources() if not source.path.startswith(f"{EMULATOR}/"))


def modules_in_the_hall() -> list[str]:
    return [f"{PACKAGE}/{source.path}" for source in sources() if "/" not in source.path]


def root_layers() -> list[str]:
    """The layers of the contract over the rooms, which counts imports for types."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    if config.get("exclude_type_checking_imports"):
        raise SystemExit("the contracts have to count imports for types")
    (contract,) = (item for item in config["contracts"] if item["type"] == "layers" and item["containers"] == [PACKAGE])
    return list(contract["layers"])


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(PACKAGE, exclude_type_checking_imports=False, cache_dir=None)


def module_circles() -> list[str]:
    found = graph()
    return circles({module: found.find_modules_directly_imported_by(module) for module in found.modules})


def package_circles() -> list[str]:
    """Circles between the parts of a package, each with all that is in it, for every package."""
    found = graph()
    lines = []
    for package in sorted(module for module in found.modules if found.find_children(module)):
        part_of = {
            module: child
            for child in found.find_children(package)
            for module in (child, *found.find_descendants(child))
        }
        imports: dict[str, set[str]] = {child: set() for child in part_of.values()}
        for module, child in part_of.items():
            known = {part_of.get(other, child) for other in found.find_modules_directly_imported_by(module)}
            imports[child] |= known - {child}
        lines += circles(imports)
    return lines


def circles(imports: Mapping[str, set[str]]) -> list[str]:
    """The groups of modules of which each reaches each."""
    reached = {start: _reach(start, imports) for start in imports}
    groups = {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in imports
        if module in reached[module]
    }
    return sorted(" <-> ".join(sorted(group)) for group in groups)


def _reach(start: str, imports: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    ahead = list(imports[start])
    while ahead:
        module = ahead.pop()
        if module not in seen:
            seen.add(module)
            ahead += imports[module]
    return seen


def notes_by_key() -> list[str]:
    """Where `notes`, `facts` or `memory` are read, asked or filled by a key."""
    return [place for source in product() for place in source.places(_is_keyed)]


def _is_keyed(node: ast.AST) -> bool:
    match node:
        case ast.Subscript(value=owner, slice=key):
            return _is_notes(owner, key)
        case ast.Call(func=ast.Attribute(value=owner, attr="get" | "pop" | "setdefault"), args=[key, *_]):
            return _is_notes(owner, key)
        case ast.Call(func=ast.Attribute(attr="note"), keywords=keywords):
            return bool(keywords)
        case ast.Compare(left=key, ops=[ast.In() | ast.NotIn()], comparators=[owner]):
            return _is_notes(owner, key)
        case ast.Call(keywords=keywords):
            return any(item.arg in NOTES and isinstance(item.value, ast.Dict) for item in keywords)
        case _:
            return False


def _is_notes(owner: ast.expr, key: ast.expr) -> bool:
    """An attribute of that name whatever the key; a variable, which may be a list, only with a text for a key."""
    match owner:
        case ast.Attribute(attr=name, value=ast.Name() | ast.Attribute()):
            return name in NOTES and not isinstance(key, ast.Slice | ast.Attribute)
        case ast.Name(id=name):
            return name in NOTES and isinstance(key, ast.Constant) and isinstance(key.value, str)
        case _:
            return False


@cache
def fields() -> frozenset[str]:
    """The names of kinds' properties."""
    rooms = [source for source in sources() if source.path.startswith("kinds/")]
    classes = [node for source in rooms for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)]
    own = [node for node in classes if any(_says_its_kind(part) for part in node.body)]
    found = {
        part.target.id
        for node in own
        for part in node.body
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    }
    if "cidr_block" not in found:
        raise SystemExit("no properties of kinds were found in kinds/: they say their kind in another way now")
    return frozenset(found) - {"name"}  # the word of many kinds (`Properties.own_name`)


def _says_its_kind(node: ast.stmt) -> bool:
    match node:
        case ast.Assign(targets=[ast.Name(id="kind")], value=ast.Constant(value=str(name))):
            return name in ROOMS
        case _:
            return False


def kinds_elsewhere() -> list[str]:
    """Where code outside of kinds/ names a kind, one of its classes, or asks for one of its properties by name."""
    found = []
    for source in product():
        if not source.path.startswith("kinds/"):
            classes = {
                name.asname or name.name
                for node in ast.walk(source.tree)
                if isinstance(node, ast.ImportFrom)
                and (node.module or "").removeprefix(f"{PACKAGE}.kinds.").split(".")[0] in ROOMS
                for name in node.names
            }
            found += source.places(partial(_names_a_kind, classes=classes, keys=_keys_of_output(source)))
    return found


def _keys_of_output(source: Source) -> set[ast.expr]:
    """Words that users read in output, and no questions about a kind: the keys of JSON, and errors of requests."""
    if source.path == ERRORS_OF_REQUESTS:
        return {node for node in ast.walk(source.tree) if isinstance(node, ast.Constant)}
    if not source.path.startswith("cli/render/"):
        return set()
    return {key for node in ast.walk(source.tree) if isinstance(node, ast.Dict) for key in node.keys if key}


def _names_a_kind(node: ast.AST, *, classes: set[str], keys: set[ast.expr]) -> bool:
    if node in keys:
        return False
    match node:
        case ast.Name(id=name):
            return name in classes
        case ast.Constant(value=str(text)):
            return text in ROOMS
        case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(name)), *_]):
            return name in fields()
        case _:
            return False


def _names(node: ast.expr) -> set[str]:
    """The classes' names in `A`, `module.A`, `(A, B)`, `A | B`, `A[B]`."""
    return {
        part.id if isinstance(part, ast.Name) else part.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Name | ast.Attribute)
    }


def _is_shared(path: str) -> bool:
    return path.startswith("kinds/_") and not path.startswith("kinds/__")


def shared_by_few() -> list[str]:
    return [source.path for source in sources() if _is_shared(source.path)]


def formats() -> list[str]:
    """Where a command asks which format is wanted."""
    return [place for source in product() for place in source.places(_asks_for_the_format)]


def _asks_for_the_format(node: ast.AST) -> bool:
    return isinstance(node, ast.Compare) and ast.unparse(node.left) == "args.format"


def namespaces() -> list[str]:
    """Where untyped arguments are handed on."""
    found = [source for source in sources() if not source.path.startswith(COMMAND_LINES)]
    return [place for source in found for place in source.places(_is_namespace)]


def _is_namespace(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and ast.unparse(node) == "argparse.Namespace"


def back_off_loops() -> list[str]:
    """Where a pause is made longer by hand: `pause = min(pause * 2, longest)`, `pause *= 2`."""
    return [place for source in product() for place in source.places(_makes_a_pause_longer)]


def _makes_a_pause_longer(node: ast.AST) -> bool:
    match node:
        case ast.Assign(targets=targets, value=value):
            names = {ast.unparse(part) for target in targets for part in ast.walk(target)}
            return any(
                isinstance(arg, ast.BinOp)
                and isinstance(arg.op, ast.Mult)
                and not names.isdisjoint({ast.unparse(arg.left), ast.unparse(arg.right)})
                for call in ast.walk(value)
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "min"
                for arg in call.args
            )
        case ast.AugAssign(target=target, op=ast.Mult() | ast.Pow()):
            return any(word in ast.unparse(target) for word in ("pause", "delay", "wait", "backoff"))
        case _:
            return False


NUMBERS: Final = (
    Number("modules in the hall", modules_in_the_hall, 2, "__init__ and __main__; everything else has a room"),
    Number(
        "root layers",
        root_layers,
        9,
        "the rooms in one order, with imports for types counted; what users call is one, and many accounts another (docs/adr/0016)",
    ),
    Number("circles between modules", module_circles, 0, "what knows each other is one module"),
    Number("circles between packages", package_circles, 0, "what knows each other is one package"),
    Number("notes, facts, memory by key", notes_by_key, 0, "planner, executor and kinds talk by types"),
    Number(
        "lines that name a kind elsewhere", kinds_elsewhere, 0, "a kind keeps its facts: others ask for what it can do"
    ),
    Number("modules that a few kinds share", shared_by_few, 12, "what is one kind's lies in its folder"),
    Number("args.format ==", formats, 0, "render/ alone knows the formats"),
    Number("argparse.Namespace elsewhere", namespaces, 0, "behind the command line's parser options have types"),
    Number("back-off loops", back_off_loops, 1, "one way to wait, in aws/"),
)


def main() -> int:
    """Print the table. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check",
        action="store_true",
        help="exit with 1 if a limit is exceeded",
    )
    parser.add_argument("--verbose", action="store_true", help="list each place that was counted")
    options = parser.parse_args()
    exceeded = False
    for number in NUMBERS:
        found = number.measure()
        value = found if isinstance(found, int) else len(found)
        exceeded |= value > number.limit
        mark = "!" if value > number.limit else " "
        print(f"{mark} {number.name:32}{value:8,}   at most {number.limit:6,}   {number.reason}")
        for place in found if options.verbose and isinstance(found, list) else ():
            print(f"      {place}")
    return 1 if options.check and exceeded else 0


if __name__ == "__main__":
    sys.exit(main())
