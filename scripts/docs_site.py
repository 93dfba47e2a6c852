"""The documentation's site, from docs/ and the generated reference: `make docs`. Nothing is fetched.

Zensical builds it, and aborts on what it warns of. Afterwards every link, picture and anchor of the built pages is followed.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from scripts.docs_reference import ROOT, UndocumentedError, pages

BUILD: Final = ROOT / "build" / "docs"
SITE: Final = BUILD / "site"
LINK: Final = re.compile(r"(!?\[(?:[^\]`]|`[^`]*`)*\]\()([^)\s]+)(\))|`[^`]*`")
"""A link, or code, in which there is none."""
CODE: Final = re.compile(r"`[^`]*`")
"""In a table's code GitHub wants `|` behind a backslash, which would be shown here."""
FENCE: Final = re.compile(r"^(?: {0,8})(```|~~~)")
ITEM: Final = re.compile(r"(?:[-*]|\d+\.) +")
"""How an item of a list begins, and so how deep on GitHub what belongs to it is indented."""
RUN_IN: Final = re.compile(r"<p>(?:(?!</p>).)*?\n(?:<[^>]*>)*((?:- |\d+\. |\| )[^\n<]*)", re.DOTALL)
"""A line of a list or table that became part of a paragraph."""
GENERATED: Final = "docs/reference/"
SITE_ONLY: Final = re.compile(r"^<!-- site: (.*) -->$")
"""A line for the site: its links to generated pages would be dead in a clone, so pages have none elsewhere."""
SHIM: Final = "https://unpkg.com/iframe-worker/shim"
"""What Zensical's pages fetch so that the search works without a server; docs/assets/ has a copy."""


class BrokenLinkError(Exception):
    """A page names something that isn't there."""


class Staging:
    """The pages as they are built: docs/, the reference, and whatever they link to beside it, each as a page."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        """By place in the staged folder."""
        self.problems: list[str] = []
        self._reference = {f"{GENERATED}{name}": text for name, text in pages().items()}

    def write(self, folder: Path) -> None:
        for file in sorted((ROOT / "docs").rglob("*")):
            if file.suffix == ".md":
                self._add(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8"))
            elif file.is_file() and file.name != "zensical.toml":
                target = folder / file.relative_to(ROOT / "docs")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target)
        for source, text in self._reference.items():
            self._add(source, text)
        if self.problems:
            raise BrokenLinkError("\n".join(self.problems))
        for place, text in self.texts.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_text(text, encoding="utf-8")

    def _add(self, source: str, text: str) -> None:
        place = _place(source)
        if place not in self.texts:
            self.texts[place] = ""  # pages that link to each other
            self.texts[place] = self._linked(source, place, text)

    def _linked(self, source: str, place: str, text: str) -> str:
        """A page's text with links that hold in the staged folder."""
        lines, fence = [], ""
        for number, line in enumerate(text.split("\n"), 1):
            found = FENCE.match(line)
            if found and fence in ("", found[1]):
                fence = "" if fence else found[1]
            where = f"{source}:{number}"
            if fence or line.startswith("    "):
                lines.append(line)
            elif site_only := SITE_ONLY.match(line):
                lines.append(site_only[1])
            else:
                cells = CODE.sub(lambda found: found[0].replace("\\|", "|"), line) if line.startswith("|") else line
                lines.append(LINK.sub(partial(self._replaced, source, place, where), cells))
        return "\n".join(indented(lines))

    def _replaced(self, source: str, place: str, where: str, found: re.Match[str]) -> str:
        return f"{found[1]}{self._target(source, place, found[2], where)}{found[3]}" if found[1] else found[0]

    def _target(self, source: str, place: str, link: str, where: str) -> str:
        path, mark, anchor = link.partition("#")
        if not path or urlsplit(link).scheme:
            return link
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if {source, wanted} <= self._reference.keys():
            return link
        file = ROOT / wanted
        if file.is_dir() and (file / "README.md").is_file():
            wanted, file = f"{wanted}/README.md", file / "README.md"
        if not file.is_file():
            self.problems.append(f"{where}: there is no {wanted}")
            return link
        if not wanted.startswith("docs/"):
            text = file.read_text(encoding="utf-8")
            self._add(wanted, text if file.suffix == ".md" else _as_page(wanted, text))
        return posixpath.relpath(_place(wanted), posixpath.dirname(place) or ".") + mark + anchor


def indented(lines: Iterable[str]) -> Iterator[str]:
    """A page's lines, with four spaces before what belongs to an item of a list, and a blank line behind an item of several paragraphs. GitHub needs
    neither."""
    width, fence, is_long = 0, "", False
    for line in lines:
        found = FENCE.match(line)
        if found and not line.startswith(" ") and fence in ("", found[1]):
            fence = "" if fence else found[1]
        is_long = is_long or not line
        if item := ITEM.match(line):
            if width and is_long:
                yield ""
            width, is_long = 0 if fence else len(item[0]), False
        elif line and not line.startswith(" "):
            width = 0
        yield f"    {line[width:]}" if width and line.startswith(" " * width) else line


def _place(source: str) -> str:
    """Where a file of the repository stands in the site."""
    if source.startswith("docs/"):
        return source.removeprefix("docs/")
    return f"files/{source if source.endswith('.md') else source + '.md'}"


def _as_page(name: str, text: str) -> str:
    """A file that isn't Markdown, as a page."""
    words = {".yaml": "yaml", ".py": "python", ".service": "ini", ".timer": "ini"}
    return f"# {name}\n\n````{words.get(Path(name).suffix, 'text')}\n{text.rstrip()}\n````\n"


class _Page(HTMLParser):
    """What a built page names, and what in it can be named."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.fetched: set[str] = set()
        """What a browser asks for by itself."""
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag in ("a", "img", "link", "script", "source"):
            links = {found[name] for name in ("href", "src") if name in found}
            self.links |= links
            if tag != "a" and found.get("rel") != "canonical":
                self.fetched |= links


def broken(site: Path) -> Iterator[str]:
    """Each link of the built site that leads nowhere, and each file that a reader would have to fetch from elsewhere."""
    read = {file: _Page(file) for file in site.rglob("*.html")}
    for file, page in sorted(read.items()):
        if file.name == "404.html":
            continue
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if parts.netloc and link in page.fetched:
                    yield f"{file.relative_to(site)}: {link}: would be fetched from elsewhere"
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            name = file.relative_to(site)
            if not target.is_file():
                yield f"{name}: {link}: there is no such file"
            elif target in read and parts.fragment and unquote(parts.fragment) not in read[target].anchors:
                yield f"{name}: {link}: there is no such anchor"


def run_in(site: Path) -> Iterator[str]:
    """Each line of a list or table that is shown as part of the paragraph before it."""
    for file in sorted(site.rglob("*.html")):
        for found in RUN_IN.finditer(file.read_text(encoding="utf-8")):
            yield f"{file.relative_to(site)}: shown as part of a paragraph: {found[1]}"


def unnamed(config: str) -> list[str]:
    """The pages that nobody finds: those that aren't in the navigation. Decisions have a list of their own."""
    names = sorted(file.relative_to(ROOT / "docs").as_posix() for file in (ROOT / "docs").rglob("*.md"))
    return [name for name in names if f'"{name}"' not in config and not name.startswith("adr/0")]


def _config() -> str:
    """The site's settings, with the kinds' pages in its navigation. Raises BrokenLinkError."""
    mark = "      # the kinds' pages, put in when the site is built\n"
    names = sorted(name for name in pages() if name.startswith("spec/") and name != "spec/index.md")
    text = (ROOT / "docs" / "zensical.toml").read_text(encoding="utf-8")
    if missing := unnamed(text):
        raise BrokenLinkError(f"not in the navigation of docs/zensical.toml: {', '.join(missing)}")
    return text.replace(mark, "".join(f'      "reference/{name}",\n' for name in names))


def build() -> int:
    """Build the site. Returns the exit code."""
    shutil.rmtree(BUILD, ignore_errors=True)
    try:
        Staging().write(BUILD / "pages")
        (BUILD / "zensical.toml").write_text(_config(), encoding="utf-8")
    except (BrokenLinkError, UndocumentedError) as error:
        print(error, file=sys.stderr)
        return 1
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--strict", "--clean"]
    ended = subprocess.run(command, cwd=BUILD, capture_output=True, text=True, check=False)  # noqa: S603
    if ended.returncode:
        print(ended.stdout, ended.stderr, sep="\n", file=sys.stderr)
        return 1
    for file in SITE.rglob("*.html"):
        up = "../" * (len(file.relative_to(SITE).parts) - 1)
        file.write_text(
            file.read_text(encoding="utf-8").replace(SHIM, f"{up}assets/iframe-worker.js"), encoding="utf-8"
        )
    if found := [*broken(SITE), *run_in(SITE)]:
        print("\n".join(found), file=sys.stderr)
        return 1
    count = sum(1 for _ in SITE.rglob("*.html"))
    print(f"{SITE.relative_to(ROOT)}/index.html: {count} pages; every link in them leads somewhere")
    return 0


if __name__ == "__main__":
    sys.exit(build())
