"""Pages as a browser shows them: nothing runs, nothing is fetched, and axe has nothing serious to say.

With PICTURE=1 the documentation's screenshot is taken.
"""

from __future__ import annotations

import json
import os
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.cli.pictures.fleet import fleet_page
from alb_reconcile.cli.pictures.page import plan_page
from alb_reconcile.cli.pictures.report import report_page
from tests.e2e.browser import BROWSER, browsing
from tests.fleet.test_fleet_page import view
from tests.plan.test_pictures import CANARY, EVIL, many, planned
from tests.test_report import subjects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.browser import Page

IMAGES = Path(__file__).parent.parent.parent / "docs" / "images"
SERIOUS = (
    "r => r.violations.filter(v => ['serious', 'critical'].includes(v.impact)).map(v => v.id + ' ' + v.nodes[0].html)"
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium-headless-shell")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browsing(tmp_path_factory.mktemp("profile")) as found:
        found.listen()
        yield found


def pages() -> dict[str, str]:
    changed = planned(want=CANARY | {"instances/web/instance_type": "t3.small", "instances/web/count": 3})
    hostile = many(2, EVIL)
    return {
        "changed": plan_page(changed, "web-1 would be replaced", "later"),
        "large": plan_page(planned({"instances/web/count": 60})),
        "going": plan_page(planned(destroy=True)),
        "report": report_page("stacks", subjects(), "now"),
        "fleet": fleet_page(view(20, EVIL)),
        "hostile": plan_page(hostile, EVIL, EVIL),
    }


@pytest.mark.parametrize("name", ["fleet", "hostile", "changed", "large", "going", "report"])
def test_it_is_for_everybody_and_nothing_in_it_runs(page: Page, tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.html"
    file.write_text(pages()[name], encoding="utf-8")
    axe = resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    for scheme, width in (("light", 1200), ("dark", 400)):
        page.prefer(scheme, width, 900)
        page.open(file.as_uri())
        page.wait_for("document.querySelector('main')")
        assert (
            page.run("typeof owned + document.querySelectorAll('script, img, iframe, object, link').length")
            == "undefined0"
        )
        # nothing but the parts that scroll by themselves is wider than the screen
        assert page.run("document.documentElement.scrollWidth <= innerWidth")
        page.run(f"{axe}; 0")
        assert page.evaluate(f"axe.run().then({SERIOUS})") == []
    assert page.complaints() == []


@pytest.mark.skipif(not os.environ.get("PICTURE"), reason="takes the documentation's screenshot with PICTURE=1 only")
def test_screenshot(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "changed.html"
    file.write_text(pages()["changed"], encoding="utf-8")
    page.prefer("light", 1000, 1180)
    page.open(file.as_uri())
    page.wait_for("document.querySelector('main')")
    (IMAGES / "picture-changed.png").write_bytes(page.look(1000, 1180))
    assert json.dumps(page.complaints()) == "[]"
