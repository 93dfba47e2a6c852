"""The command `init`: writes a spec to start from, the commented starter or one of this program's templates."""

import re
from dataclasses import dataclass
from importlib import resources
from itertools import takewhile
from pathlib import Path
from typing import Final

from alb_reconcile.cli.render.console import emit
from alb_reconcile.model.advice import typed
from alb_reconcile.model.errors import ExitCode, ReconcileError, RefusedError, UsageError
from alb_reconcile.model.text import printable
from alb_reconcile.spec import schema

_USUAL: Final = "my-service"
_APPLICATION: Final = "application"
"""The template of an application, and the folder of its files."""
_PACKAGE: Final = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class InitOptions:
    file: str
    stack: str | None
    template: str | None
    application: bool


def init(options: InitOptions) -> ExitCode:
    """Write a spec to start from; another file is never overwritten."""
    if options.template == "list":
        emit("\n".join(f"{name:<24}{_title(file)}" for name, file in sorted(templates().items())))
        return ExitCode.OK
    template = _wanted(options)
    source = _chosen(template) if template else None
    text = _text(source) if source else _starter()
    name, note = options.stack, ""
    if name is None and options.file != "-":
        name, note = _derived(Path(options.file))
    if name is not None:
        text = re.sub(r"(?m)^stack: \S+", f"stack: {name}", text, count=1)
    if options.file == "-":
        emit(text.rstrip("\n"))
        return ExitCode.OK
    own = typed(options.file)
    _write(
        Path(options.file), re.sub(r"(?m)^(#   alb-reconcile \w+) stack\.yaml", lambda found: f"{found[1]} {own}", text)
    )
    if note:
        emit(note)
    emit(f"Wrote {options.file}; edit it, then run: {typed('alb-reconcile', 'validate', options.file)}")
    for beside in sorted(set(re.findall(r"user_data_file: ([\w./-]+)", text))) if source else ():
        _copy(_template_folder() / beside, Path(options.file).parent / beside, "which it names")
    if template == _APPLICATION:
        _write_application(Path(options.file))
    return ExitCode.OK


def _wanted(options: InitOptions) -> str | None:
    """The template's name; None for the starter. Raises UsageError."""
    if options.application and options.template not in (None, _APPLICATION):
        raise UsageError(f"--application is the template {_APPLICATION!r}; give it or --template, not both")
    return _APPLICATION if options.application else options.template


def _write_application(spec: Path) -> None:
    """Copy the application's files next to the spec, and name the commands that follow."""
    for file in sorted((_template_folder() / _APPLICATION).iterdir()):
        if file.is_file():
            _copy(file, spec.parent / _APPLICATION / file.name, "a part of the application")
    archive = "app-1.tar.gz"
    emit("Then, without an account:")
    emit(f"  {typed('tar', ('-czf', archive), ('-C', str(spec.parent / _APPLICATION)), '.')}")
    emit(f"  {typed('alb-reconcile', 'sandbox', 'put', archive, f's3://my-artifacts/{archive}')}")
    emit(f"  {typed('alb-reconcile', 'apply', ('--sandbox',), ('--set', 'VERSION=1'), str(spec))}")


def _starter() -> str:
    return resources.files("alb_reconcile").joinpath("starter.yaml").read_text(encoding="utf-8")


def _derived(file: Path) -> tuple[str, str]:
    """The stack's name: the file's, or its folder's where the file's says nothing, or a default where neither can be a name. And a
    remark where the name isn't the file's."""
    says_nothing = file.stem in ("stack", "spec", "alb-reconcile")
    wanted = file.resolve().parent.name if says_nothing else file.stem
    name = re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-")
    allowed = schema.resolved("stack")["properties"]["stack"]
    name = name if re.fullmatch(allowed["pattern"], name) else _USUAL
    if name == wanted:
        return name, ""
    whose = "folder's" if says_nothing else "file's"
    note = f"The stack is called {name}: the {whose} name, {printable(wanted)}, can't be used ({allowed['x-expect']})."
    return name, f"{note} Choose another one with --stack NAME."


def _template_folder() -> Path:
    """The folder of templates: in a wheel inside the package, in a checkout next to it."""
    inside = _PACKAGE / "specs"
    return inside if inside.is_dir() else _PACKAGE.parent / "specs"


def templates() -> dict[str, Path]:
    folder = _template_folder()
    return {file.stem: file for file in (*folder.glob("*.yaml"), *(folder / "examples").glob("*.yaml"))}


def _chosen(name: str) -> Path:
    known = templates()
    if name not in known:
        raise UsageError(f"there is no template {name!r}; known: {', '.join(sorted(known))}")
    return known[name]


def _text(source: Path) -> str:
    """The template's text without the line that tells editors where a schema is in this repository."""
    return re.sub(r"\A# yaml-language-server: .*\n(?:#?\s*\n)*", "", source.read_text(encoding="utf-8"))


def _title(source: Path) -> str:
    """The template's first sentence."""
    lines = takewhile(lambda line: line.startswith("# "), _text(source).splitlines())
    return " ".join(line[2:] for line in lines).partition(". ")[0].rstrip(".")


def _write(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise RefusedError(f"{file} already exists and was left unchanged; name another file") from None
    except OSError as error:
        if not file.parent.is_dir():
            raise ReconcileError(f"there is no folder {file.parent}; create it, or name another file") from None
        raise ReconcileError(f"{file} can't be written: {error.strerror}; name another file") from None


def _copy(source: Path, file: Path, what: str) -> None:
    """Copy a file, and say `what` it is; an existing file stays."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as stream:
            stream.write(source.read_text(encoding="utf-8"))
        emit(f"Wrote {file}, {what}")
    except FileExistsError:
        emit(f"{file}, {what}, was there and was left unchanged")
    except OSError as error:
        if not file.parent.is_dir():
            raise ReconcileError(f"there is no folder {file.parent}; create it, or name another file") from None
        raise ReconcileError(f"{file} can't be written: {error.strerror}; copy it there yourself") from None
