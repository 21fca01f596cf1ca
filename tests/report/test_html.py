import dataclasses
import html.parser
import re
import subprocess
import sys

import pytest

from keras_xcons.report import Report

HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>`${1}"


class Page(html.parser.HTMLParser):
    """The tags of a page and its text."""

    VOID = {"meta", "link", "img", "br"}

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        self.words.append(data)

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def everything_hostile(data):
    """Puts a hostile name wherever a user may put a name."""
    name = data["models"][1]["name"]
    for key in ("figures", "differences"):
        data[key][HOSTILE] = data[key].pop(name)
    for curve in data["curves"].values():
        lines = curve.get("y", curve.get("counts"))
        lines[HOSTILE] = lines.pop(name)
    data["models"][1].update(name=HOSTILE, feature_layer=HOSTILE)
    data["metrics"][0].update(label=HOSTILE, description=HOSTILE, source=HOSTILE)
    data.update(title=HOSTILE, notes=[HOSTILE])
    data["left_out"] = [{"metrics": [HOSTILE], "reason": HOSTILE}]
    data["baselines"]["max_box_acc"] = {
        HOSTILE: data["baselines"]["max_box_acc"]["centre Gaussian"]
    }
    facts = data["provenance"]
    facts.update(dataset=HOSTILE, split=HOSTILE, heatmaps=HOSTILE, interval=HOSTILE)
    facts.update(options={HOSTILE: HOSTILE, "list": [HOSTILE]}, commit=HOSTILE)
    facts.update(versions={HOSTILE: HOSTILE})


@pytest.mark.parametrize("names", [["plain"], ["plain", "XCons"], list("abcdefg")])
def test_the_page_is_well_formed_and_loads_nothing(names, make_report):
    text = make_report(names, count=2).to_html()
    page = Page(text)
    assert text.startswith("<!doctype html>")
    assert all(image["src"].startswith("data:image/jpeg") for image in page.all("img"))
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    assert all("src" not in script for script in page.all("script"))
    assert not re.search(r"url\(|@import|https?://(?!arxiv)", text)
    (policy,) = (
        meta["content"]
        for meta in page.all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; img-src data:;")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_picture_is_told_in_words(make_report):
    page = Page(make_report(count=2).to_html())
    texts = [image["alt"] for image in page.all("img")]
    assert len(texts) == 2 * (1 + 2 * 3) and len(set(texts)) == len(texts)
    assert texts[0] == "Image 0 (circle), the object outlined"
    assert texts[1] == "Heatmap of plain on image 0 (circle)"
    assert texts[2] == "image 0 (circle) with its background attacked against plain"
    charts = [svg for svg in page.all("svg") if svg.get("role") == "img"]
    assert len(charts) == len(page.all("desc")) == len(page.all("title")) - 1 == 4
    assert all("aria-labelledby" in svg for svg in charts)


def test_what_is_absent_is_left_out(make_report):
    def bare(data):
        data.update(curves={}, left_out=[], notes=[], baselines={})
        data["provenance"].update(split=None, commit=None)

    page = Page(make_report(["plain"], bare, count=0).to_html())
    ids = {attributes.get("id") for _, attributes in page.tags}
    assert "figures" in ids
    assert ids.isdisjoint({"charts", "gallery", "remarks", "by-model"})
    assert "Split" not in page.words and "unknown" in page.words
    still = Page(make_report(count=2, attacked=False, truth=None).to_html())
    assert len(still.all("img")) == 2 * (1 + 2)
    assert still.all("img")[0]["alt"] == "Image 0 (circle)"


def test_hostile_names_are_text_everywhere(make_report, data):
    clean = Page(make_report(["plain", "b"], count=2).to_html())
    page = Page(make_report(["plain", "b"], everything_hostile, count=0).to_html())
    assert len(page.all("script")) == len(clean.all("script")) == 1
    assert page.all("img") == []
    assert sum(HOSTILE in words for words in page.words) > 20
    everything_hostile(data)
    table = Page(Report(data)._repr_html_())
    assert table.all("script") == table.all("img") == []
    assert sum(HOSTILE in words for words in table.words) == 7


def test_hostile_classes_are_text_in_the_gallery(make_report):
    report = make_report([HOSTILE, "b"], count=2)
    view = dataclasses.replace(report.samples[0].views["b"], predicted=HOSTILE)
    sample = dataclasses.replace(
        report.samples[0],
        label=HOSTILE,
        views={**report.samples[0].views, "b": view},
    )
    page = Page(Report(report.to_dict(), [sample]).to_html())
    assert len(page.all("script")) == 1
    assert all(set(image) == {"src", "alt", "decoding"} for image in page.all("img"))
    assert page.all("img")[0]["alt"] == f"Image 0 ({HOSTILE}), the object outlined"
    options = page.words[page.words.index("all classes") :]
    assert HOSTILE in options
    assert f"{HOSTILE} " in page.words  # what was predicted


def test_arxiv_numbers_are_links(make_report):
    page = Page(make_report(count=0).to_html())
    assert [a["href"] for a in page.all("a")] == [
        "#figures",
        "https://arxiv.org/abs/1608.00507",
    ]


def test_the_notebook_table_keeps_to_itself(data):
    text = Report(data)._repr_html_()
    page = Page(text)
    assert page.tags[0] == ("div", {"class": "keras-xcons-report"})
    assert page.all("script") == page.all("img") == page.all("link") == []
    styles = text[text.index("<style>") + 7 : text.index("</style>")]
    rules = re.sub(r"\{[^}]*\}", "\n", styles)
    selectors = [part.strip() for part in re.split(r"[,\n]", rules) if part.strip()]
    assert len(selectors) > 8
    assert all(one.startswith(".keras-xcons-report") for one in selectors)
    words = " ".join(page.words)
    assert "87.4 %" in words and "[84.4, 90.4]" in words and "7 skipped" in words


def test_importing_the_room_leaves_jinja2_alone():
    # Keras itself may import some of them.
    code = (
        "import sys, keras, tensorflow; before = set(sys.modules); "
        "import keras_xcons.report; "
        "print({'jinja2', 'markupsafe', 'PIL'} & set(sys.modules) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "set()"
