"""The page and the comment's charts as a browser draws them: nothing fails, nothing is fetched, nothing is empty."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

import report_worlds as worlds
from conftest import ROOT, require
from lockstep.gates.outcome import Judgement
from lockstep.report.change import Change
from lockstep.report.document import Report
from lockstep.report.markdown import render as comment
from lockstep.report.mermaid import PALETTE
from lockstep.report.page import render

MERMAID = ROOT / "tests" / "node" / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.xdist_group("chromium")


@dataclass
class Seen:
    """A page in a browser, and what it complained about or asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    require(CHROMIUM, "chromium: `apt-get install chromium`")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Without its sandbox it starts as root in a container too; it opens only pages that we made.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


Opens = Callable[..., Seen]


@pytest.fixture
def look(browser: Any, tmp_path: Path) -> Iterator[Opens]:
    """Opens a report's page, everything unfolded."""
    contexts = []

    def opened(report: Report, *, width: int = 1100, scheme: str = "light", script: bool = True) -> Seen:
        path = tmp_path / "report.html"
        path.write_text(render(report), encoding="utf-8")
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=script
        )
        contexts.append(context)
        # What a browser notes without throwing: an observer that is told of its own drawing.
        context.add_init_script("addEventListener('error', (event) => console.error(event.message))")
        seen = Seen(page=context.new_page())
        seen.page.on("console", lambda message: seen.complaints.append(message.text))
        seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        seen.page.on("dialog", lambda dialog: seen.complaints.append(dialog.message))
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        seen.page.goto(path.as_uri())
        if script:
            seen.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
            seen.page.wait_for_timeout(150)
        return seen

    yield opened
    for context in contexts:
        context.close()


def assert_quiet(seen: Seen) -> None:
    assert seen.complaints == []
    assert [url for url in seen.requests if not url.startswith("file:")] == []
    assert len(seen.requests) == 1


DRAWN = """() => [...document.querySelectorAll('.plot')].map((plot) => {
  const marks = [...plot.querySelectorAll('svg circle, svg polyline, svg .mark-line, svg .mark-tip, svg .bar')]
    .filter((mark) => {
      const box = mark.getBoundingClientRect(), style = getComputedStyle(mark);
      const painted = [style.fill, style.stroke].some((paint) => /^rgb\\(/.test(paint));
      return box.width + box.height > 0 && painted && style.visibility === 'visible';
    });
  return [plot.dataset.plot, marks.length];
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1100])
def test_every_plot_is_drawn_and_the_page_asks_for_nothing(look: Opens, width: int, scheme: str) -> None:
    seen = look(worlds.report(), width=width, scheme=scheme)
    drawn = dict(seen.page.evaluate(DRAWN))
    assert set(drawn) == {"differences", "slices", "curves", "drift"}
    assert drawn["differences"] == 8
    assert drawn["slices"] == 2 * 6 - 1
    assert drawn["curves"] >= 2 * 10 + 2
    assert_quiet(seen)


@pytest.mark.parametrize("name", ["better", "hostile", "first model", "regression", "bare"])
def test_no_page_is_wider_than_a_phone(look: Opens, name: str) -> None:
    made = {
        "better": worlds.report,
        "hostile": lambda: worlds.report(**worlds.huge()),
        "first model": lambda: worlds.report(worlds.first_model(), change=Change()),
        "regression": lambda: worlds.report(worlds.scored(worlds.exam(task="regression"))),
        "bare": lambda: worlds.report(worlds.COMPARISON, change=Change()),
    }[name]()
    seen = look(made, width=360)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert_quiet(seen)


def test_drawing_anew_at_another_width_tells_no_observer_of_itself(look: Opens) -> None:
    seen = look(worlds.report(**worlds.hostile()))
    for width in (420, 1400, 700):
        seen.page.set_viewport_size({"width": width, "height": 700})
        seen.page.wait_for_timeout(120)
    assert_quiet(seen)


def test_many_reasons_do_not_push_the_figures_out_of_sight(look: Opens) -> None:
    broken = tuple(worlds.gate(f"gate {i}", "x", "y", "broken") for i in range(64))
    seen = look(worlds.report(judgement=Judgement(outcomes=broken)))
    assert seen.page.locator(".alert.caution li").count() == 9
    assert seen.page.locator("#gates tbody tr").count() == 64


def test_names_from_the_data_are_text_and_nothing_else(look: Opens) -> None:
    seen = look(worlds.report(**worlds.hostile()))
    assert_quiet(seen)
    assert seen.page.evaluate("document.querySelectorAll('main img, main script, main iframe, main a').length") == 0
    assert "<script>alert(1)</script>" in seen.page.inner_text("#slices")
    assert "49" not in seen.page.inner_text("#change")  # {{ 7*7 }}


def test_curves_are_read_by_pointing_and_by_keys(look: Opens) -> None:
    seen = look(worlds.report())
    seen.page.click(".tabs button:has-text('precision–recall')")
    seen.page.hover(".curves svg")
    read = seen.page.inner_text(".read")
    assert re.search(r"this change recall 0\.\d{3}, precision 0\.\d{3}, threshold 0\.\d{3}", read)
    assert re.search(rf"champion {worlds.CHAMPION.short} recall 0\.\d", read)
    seen.page.focus(".curves svg")
    for _ in range(5):
        seen.page.keyboard.press("ArrowRight")
    assert seen.page.inner_text(".read") != read
    assert_quiet(seen)


def names(seen: Seen) -> list[str]:
    return seen.page.eval_on_selector_all("#slices .row:not(.head) bdi", "all => all.map((each) => each.textContent)")


def test_slices_are_sorted_filtered_and_tell_more(look: Opens) -> None:
    seen = look(worlds.report())
    assert names(seen)[0] == "origin = LGA"
    seen.page.select_option("#slices .tools label:has-text('sort') select", "most rows")
    assert names(seen)[0] == "origin = EWR"
    seen.page.select_option("#slices .tools label:has-text('by') select", "carrier")
    assert {name.split(" = ")[0] for name in names(seen)} == {"carrier"}
    seen.page.fill("#slices input[type=search]", "ua")
    assert names(seen) == ["carrier = UA"]
    seen.page.hover("#slices .row:not(.head)")
    assert "15,000 rows · champion 1a2b3c4 0.660 → this change 0.691" in seen.page.inner_text("#slices .row .more")
    assert_quiet(seen)


def test_a_slice_that_reaches_beyond_the_scale_ends_in_an_arrow_and_not_in_a_false_end(look: Opens) -> None:
    far = worlds.piece("carrier", "YV", 162, 0.9, 0.05, "better")
    seen = look(worlds.report(replace(worlds.scored(), slices=(*worlds.SLICES[:5], far))))
    row = seen.page.locator("#slices .row", has_text="carrier = YV")
    assert (row.locator(".mark-tip").count(), row.locator(".mark-dot").count()) == (1, 0)
    assert seen.page.locator("#slices .mark-tip").count() == 1
    assert_quiet(seen)


def test_better_and_worse_are_told_apart_by_colour_and_by_side(look: Opens) -> None:
    seen = look(worlds.report())
    dot = "(all) => all.map((each) => [getComputedStyle(each).fill, each.cx.baseVal.value])"
    drawn = {word: seen.page.eval_on_selector_all(f"#slices svg.{word} .mark-dot", dot) for word in ("better", "worse")}
    (better, right), (worse, left) = drawn["better"][0], drawn["worse"][0]
    assert (len(drawn["better"]), len(drawn["worse"])) == (3, 1)
    assert better != worse
    assert left < seen.page.evaluate("document.querySelector('#slices .track-of svg').clientWidth") / 2 < right


def test_light_and_dark_follow_the_system_until_somebody_chooses(look: Opens) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    seen = look(worlds.report(), scheme="dark")
    dark = seen.page.evaluate(paper)
    seen.page.click("#theme")
    light = seen.page.evaluate(paper)
    assert dark != light
    assert light == "rgb(255, 255, 255)"
    seen.page.click("#theme")
    assert seen.page.evaluate(paper) == dark


def test_without_scripts_the_numbers_are_there(look: Opens) -> None:
    seen = look(worlds.report(), script=False)
    assert "+0.034 (+0.017 to +0.051)" in seen.page.content()
    assert "Without JavaScript there are tables" in seen.page.content()


def test_the_page_forbids_everything_but_its_own_script_and_style(look: Opens) -> None:
    text = render(worlds.report())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1]
    assert not re.search(r"(?:src|href)=\"(?!#|data:,)", text)
    seen = look(worlds.report())
    seen.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))"
    )
    assert seen.page.evaluate("window.ran") is None


# -- the comment's charts ----------------------------------------------------------------------------------------

MARKS = """async ([id, text]) => {
  const { svg } = await mermaid.render(id, text);
  const box = document.createElement('div');
  document.body.append(box);
  box.innerHTML = svg;
  return [...box.querySelectorAll('g.plot rect, g.plot path')].map((mark) => {
    const size = mark.getBoundingClientRect(), style = getComputedStyle(mark);
    return { size: size.width + size.height, paint: mark.tagName === 'rect' ? style.fill : style.stroke };
  });
}"""


def rgb(colour: str) -> str:
    return "rgb({}, {}, {})".format(*(int(colour[i : i + 2], 16) for i in (1, 3, 5)))


@pytest.mark.parametrize("world", ["better", "regression", "first model"])
def test_mermaid_draws_every_chart_of_the_comment_in_colours_that_are_seen(browser: Any, world: str) -> None:
    require(MERMAID.is_file(), "mermaid in tests/node/node_modules: `npm ci --prefix tests/node`")
    made = {
        "better": worlds.report,
        "regression": lambda: worlds.report(worlds.scored(worlds.exam(task="regression"))),
        "first model": lambda: worlds.report(worlds.first_model(), change=Change()),
    }[world]()
    charts = re.findall(r"```mermaid\n(.*?)\n```", comment(made), flags=re.DOTALL)
    assert charts
    page = browser.new_page()
    page.set_content("<!doctype html><body>")
    page.add_script_tag(path=str(MERMAID))
    page.evaluate("mermaid.initialize({ startOnLoad: false })")
    for index, chart in enumerate(charts):
        marks = page.evaluate(MARKS, [f"chart{index}", chart])
        bars, lines = chart.count("\n  bar ["), chart.count("\n  line [")
        points = chart.count('"', chart.index("["), chart.index("]")) // 2
        assert len(marks) == bars * points + lines
        assert {mark["paint"] for mark in marks} <= {rgb(colour) for colour in PALETTE.values()}
        assert all(mark["size"] > 1 for mark in marks)
    page.close()
