"""A report is one file that needs no network, says what it was told, and takes its colours from the reader's page."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure
from rich.table import Table

from necomimi.drawing import INK
from necomimi.errors import ConfigError
from necomimi.report import Report

VOID = {"meta", "br", "img"}


class Tags(HTMLParser):
    """Checks that every tag is closed in its order, and keeps the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def draw() -> Figure:
    figure = Figure(figsize=(3, 2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=INK, marker="o")
    axes.fill_between([0, 1], [0, 1])  # clipped, so that there are references to ids
    axes.imshow([[0.0, 1.0]])
    axes.set_title("a < b & c")
    return figure


def fill(report: Report) -> None:
    report.section("A & B")
    report.text("One <b>paragraph</b>.\n\nAnd another.")
    report.table(
        ("name", "n", "share", "<remark>"),
        [["nerv", 5, "25.4% (20-31)", "<i>"], ["nice", -1, "−0.5", None]],
        caption="two lines\nof words",
        footer=("chance", None, "0.5%", ""),
    )
    report.figure(draw(), "what is 'to be' \"seen\" & <known>")
    report.figure(draw(), "the same again")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "new" / "report.html"
    report = Report("Title <1>", "A lead & more.")
    fill(report)
    report.save(path)
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    return path.read_text(encoding="utf-8")


def test_it_is_whole_and_needs_nothing_else(page: str) -> None:
    assert page.startswith("<!doctype html>")
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.seen.count("svg") == 2
    assert not {"script", "link", "img", "iframe", "object"} & set(tags.seen)
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", page.replace("data:image/png;base64,", ""))
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_text_is_escaped(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    assert not {"b", "i", "remark"} & set(tags.seen)
    words = "".join(tags.words)
    for text in ("Title <1>", "A lead & more.", "One <b>paragraph</b>.", "And another.", "<remark>", "<known>"):
        assert text in words
    assert "a < b & c" in words  # in the figure, as text
    assert page.count("<p>") == 2


def test_columns_of_numbers_stand_on_the_right(page: str) -> None:
    number = '<td class="number">'
    assert f"<tr><td>nerv</td>{number}5</td>{number}25.4% (20-31)</td><td>&lt;i&gt;</td></tr>" in page
    assert f"{number}-1</td>{number}−0.5</td><td></td>" in page
    assert f"<tfoot><tr><td>chance</td>{number}</td>{number}0.5%</td><td></td></tr></tfoot>" in page
    assert "<figcaption>two lines<br>of words</figcaption>" in page


def test_figures_take_the_page_s_colours_and_share_no_ids(page: str) -> None:
    svgs = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    ids: list[str] = []
    for svg in svgs:
        ElementTree.fromstring(svg)
        own = re.findall(r'\bid="([^"]+)"', svg)
        used = re.findall(r'(?:href="|url\()#([^")]+)', svg)
        assert used
        assert set(used) <= set(own)
        ids += own
        assert INK not in svg
        assert "#000000" not in svg
        assert "var(--ink)" in svg
        assert "<metadata>" not in svg
    assert len(ids) == len(set(ids))
    assert 'aria-label="what is &#x27;to be&#x27; &quot;seen&quot; &amp; &lt;known&gt;"' in page


def test_the_same_content_is_the_same_file(page: str, tmp_path: Path) -> None:
    report = Report("Title <1>", "A lead & more.")
    fill(report)
    report.save(tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_tables_of_the_console_look_alike(tmp_path: Path) -> None:
    table = Table(title="title", caption="caption")
    table.add_column("what")
    table.add_column("top-1", justify="right")
    table.add_row("sub-01", "25.4%")
    table.add_row("mean of 1", "25.4%", style="bold")
    table.add_section()
    table.add_row("chance", "0.5%")
    report = Report("A report")
    report.printed(table)
    report.save(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<caption>title</caption>\n<thead><tr><th>what</th><th class="number">top-1</th></tr></thead>' in page
    assert '<tr><td>sub-01</td><td class="number">25.4%</td></tr>\n<tr class="strong"><td>mean of 1' in page
    assert '<tfoot><tr><td>chance</td><td class="number">0.5%</td></tr></tfoot>' in page


def test_rows_fit_their_columns() -> None:
    with pytest.raises(ValueError, match=r"rows of \[1, 2\] cells under 2 columns"):
        Report("A report").table(("a", "b"), [["1", "2"], ["1"]])


def test_a_place_that_cannot_be_written_is_named_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"the report .*report.html cannot be written"):
        Report("A report").save(tmp_path / "file" / "report.html")


def test_a_picture_is_part_of_the_page(tmp_path: Path) -> None:
    report = Report("絵", language="ja")
    png = bytes(range(256))
    report.picture(png, 'a "window" & <more>')
    report.save(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<html lang="ja">' in page
    found = re.search(r'<img src="data:image/png;base64,([^"]+)" alt="a &quot;window&quot; &amp; &lt;more&gt;">', page)
    assert found is not None
    assert base64.b64decode(found[1]) == png
