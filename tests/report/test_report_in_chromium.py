"""The page in a real browser: what it does, and that it needs nothing else."""

import shutil

import pytest

pytestmark = pytest.mark.browser

HOSTILE = (
    "<script>document.title='hit'</script>",
    '"><img src=x onerror="document.title=\'hit\'">',
    "</script>'`${1} ünï 日本 " + 12 * "long_name_",
)
TILES = "[...document.querySelectorAll('.tile:not([hidden])')]"
# Makes the page's images and its layout final before anything is measured.
DECODED = """
const done = arguments[0];
Promise.all([...document.images].map(image => image.decode())).then(
  () => done("decoded"), error => done(String(error)));
"""


class Browser:
    """What the tests do with a page."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path, width=1280, scheme="light"):
        self.command(
            "Emulation.setDeviceMetricsOverride",
            dict(width=width, height=900, deviceScaleFactor=1, mobile=False),
        )
        scheme = {"name": "prefers-color-scheme", "value": scheme}
        self.command("Emulation.setEmulatedMedia", {"features": [scheme]})
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(path.as_uri())
        assert self.driver.execute_async_script(DECODED) == "decoded"

    def command(self, name, arguments):
        return self.driver.execute_cdp_cmd(name, arguments)

    def js(self, expression):
        return self.driver.execute_script(f"return {expression}")

    def click(self, selector):
        self.driver.find_element("css selector", selector).click()

    def choose(self, selector, text):
        from selenium.webdriver.support.select import Select

        element = self.driver.find_element("css selector", selector)
        Select(element).select_by_visible_text(text)

    def indices(self):
        """The places in the data of the images that are shown, in their order."""
        return self.js(f"{TILES}.map(tile => Number(tile.dataset.index))")

    def shown(self):
        return self.js("document.getElementById('shown').textContent")


@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("there is no chromium and chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability(
        "goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"}
    )
    driver = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def pages(make_report, tmp_path_factory):
    """Paths of the pages that the tests open, by name."""

    def hostile(data):
        data.update(title=HOSTILE[2], notes=list(HOSTILE))
        data["provenance"].update(dataset=HOSTILE[0], split=HOSTILE[1])
        data["metrics"][0].update(label=HOSTILE[0], description=HOSTILE[1])

    def with_a_gap(data):
        del data["figures"]["XCons"]["max_box_acc"]
        del data["differences"]["XCons"]["max_box_acc"]

    def fitted(data):
        centre = data["baselines"]["max_box_acc"]["centre Gaussian"]
        centre["in_sample"] = 0.5
        for name in ("XCons", "long_name_of_a_model"):
            data["figures"][name]["pointing_game"]["flag"] = "flat maps, not aligned"

    folder = tmp_path_factory.mktemp("pages")
    reports = {
        "two": make_report(),
        "three": make_report(
            ["plain", "XCons", "long_name_of_a_model"], fitted, count=0
        ),
        "gaps": make_report(change=with_a_gap, count=0),
        "one": make_report(["plain"], count=4, attacked=False, truth="boxes"),
        "hostile": make_report(HOSTILE, hostile, count=4),
        "bare": make_report(
            ["plain"], lambda data: data.update(curves={}, notes=[]), count=0
        ),
    }
    for name, report in reports.items():
        report.to_html(folder / f"{name}.html")
    return {name: folder / f"{name}.html" for name in reports}


@pytest.fixture(scope="module")
def samples(make_report):
    """What the page of two models shows, to compare with."""
    return make_report().samples


@pytest.mark.parametrize("name", ["two", "one", "hostile", "bare"])
def test_it_opens_silently_and_asks_for_nothing(name, browser, pages):
    import json

    browser.open(pages[name])
    assert browser.driver.get_log("browser") == []
    events = (
        json.loads(entry["message"])["message"]
        for entry in browser.driver.get_log("performance")
    )
    asked = {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert pages[name].as_uri() in asked
    rest = asked - {pages[name].as_uri()}
    assert {url.partition(",")[0] for url in rest} <= {"data:image/jpeg;base64"}


@pytest.mark.parametrize("name", ["two", "one", "hostile"])
def test_every_image_is_there_and_told_in_words(name, browser, pages):
    browser.open(pages[name])
    images = browser.js(
        "[...document.images].map(image => [image.alt.trim(), image.naturalWidth])"
    )
    assert len(images) == {"two": 12 * 7, "one": 4 * 2, "hostile": 4 * 10}[name]
    assert all(alt and width > 0 for alt, width in images)


@pytest.mark.parametrize("column", range(5))
def test_heads_sort_each_group_up_and_down_and_back(column, browser, pages):
    browser.open(pages["two"])
    head = f".figures thead th:nth-child({column + 1})"

    def values():
        return browser.js(
            "[...document.querySelectorAll('.figures tbody')].map(body => "
            "[...body.querySelectorAll('.row')].map(row => "
            f"row.cells[{column}].dataset.value))"
        )

    def key(value):
        return value.lower() if column == 0 else float(value)

    def sorts():
        return browser.js(
            "[...document.querySelectorAll('.figures thead th')].map(head => "
            "head.getAttribute('aria-sort'))"
        )

    before = values()
    assert sorts() == ["none"] * 5
    browser.click(f"{head} button")
    assert values() == [sorted(group, key=key) for group in before]
    assert sorts()[column] == "ascending" and sorts().count("none") == 4
    browser.click(f"{head} button")
    assert values() == [sorted(group, key=key, reverse=True) for group in before]
    assert sorts()[column] == "descending"
    browser.click(f"{head} button")
    assert values() == before and sorts() == ["none"] * 5


def test_sorting_takes_baselines_along_and_another_head_takes_over(browser, pages):
    browser.open(pages["two"])
    browser.click(".figures thead th:nth-child(2) button")
    browser.click(".figures thead th:nth-child(3) button")
    browser.click(".figures thead th:nth-child(3) button")
    rows = browser.js(
        "[...document.querySelectorAll('.figures tbody')[1].rows].map("
        "row => row.dataset.metric ?? row.className)"
    )
    assert rows == [
        *("group", "pointing_game", "max_box_acc", "follows"),
        *("max_box_acc_v2", "follows", "content_heatmap"),
    ]
    first = browser.js("document.querySelector('thead th:nth-child(2)').ariaSort")
    assert first == "none"


@pytest.mark.parametrize("column", [3, 4])
def test_what_was_not_measured_is_last_in_either_order(column, browser, pages):
    browser.open(pages["gaps"])
    for _ in range(2):
        browser.click(f".figures thead th:nth-child({column}) button")
        names = browser.js(
            "[...document.querySelectorAll('tbody')[1].querySelectorAll('.row')].map("
            "row => row.dataset.metric)"
        )
        assert len(names) == 4 and names[-1] == "max_box_acc"


def test_heads_work_by_keyboard(browser, pages):
    from selenium.webdriver.common.keys import Keys

    browser.open(pages["two"])
    button = browser.driver.find_element("css selector", "thead th:nth-child(2) button")
    button.send_keys(Keys.ENTER)
    assert browser.js("document.querySelector('thead th:nth-child(2)').ariaSort") == (
        "ascending"
    )
    outline = browser.js("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_images_are_filtered_by_class(browser, pages, samples):
    browser.open(pages["two"])
    assert browser.shown() == "12 of 12 shown"
    browser.choose("#by-class", "square")
    wanted = [sample.index for sample in samples if sample.label == "square"]
    assert browser.indices() == wanted == [3, 33]
    assert browser.shown() == "2 of 12 shown"


def test_images_are_filtered_by_the_chosen_models_predictions(browser, pages, samples):
    browser.open(pages["two"])
    for model in ("plain", "XCons"):
        browser.choose("#by-model", model)
        for outcome, right in (("right", True), ("wrong", False)):
            browser.choose("#by-outcome", outcome)
            assert browser.indices() == [
                sample.index
                for sample in samples
                if sample.views[model].correct is right
            ]


@pytest.mark.parametrize("model", ["plain", "XCons"])
@pytest.mark.parametrize("figure", ["consistency", "confidence"])
def test_images_are_sorted_by_a_figure_of_a_model(
    model, figure, browser, pages, samples
):
    values = {sample.index: getattr(sample.views[model], figure) for sample in samples}
    known = [index for index in values if values[index] is not None]
    # Image 15 has no consistency, and is last in either order.
    unknown = [index for index in values if values[index] is None]
    browser.open(pages["two"])
    browser.choose("#by-model", model)
    browser.choose("#by-order", f"{figure}, lowest first")
    assert browser.indices() == sorted(known, key=values.get) + unknown
    browser.choose("#by-order", f"{figure}, highest first")
    found = browser.indices()
    assert found == sorted(known, key=values.get, reverse=True) + unknown
    browser.choose("#by-order", "as in the data")
    assert browser.indices() == list(values)


def test_no_image_fits_and_both_buttons_reset(browser, pages, samples):
    browser.open(pages["two"])
    for button in ("#clear", "#reset"):
        browser.choose("#by-model", "XCons")
        browser.choose("#by-order", "confidence, highest first")
        browser.choose("#by-class", "star")
        browser.choose("#by-outcome", "right")
        assert browser.indices() == []
        assert browser.shown() == "0 of 12 shown"
        empty = browser.driver.find_element("css selector", "#empty")
        assert empty.is_displayed() and empty.text.startswith("No image fits.")
        browser.click(button)
        assert not empty.is_displayed()
        assert browser.indices() == [sample.index for sample in samples]
        assert browser.js("document.getElementById('by-model').value") == "0"


@pytest.mark.parametrize("name", ["two", "one", "hostile", "bare"])
@pytest.mark.parametrize("width", [360, 768])
def test_it_fits_a_narrow_window(name, width, browser, pages):
    browser.open(pages[name], width=width)
    assert browser.js("innerWidth") == width
    assert browser.js("document.scrollingElement.scrollWidth") <= width
    # The table is the one thing that scrolls, inside of its own box.
    box = "document.querySelector('.scroller')"
    if name != "one" and name != "bare":
        assert browser.js(f"{box}.scrollWidth > {box}.clientWidth")
    assert browser.js(f"{box}.getBoundingClientRect().right") <= width


def test_three_models_and_their_differences_fit_a_wide_window(browser, pages):
    browser.open(pages["three"], width=1300)
    box = "document.querySelector('.scroller')"
    assert browser.js(f"{box}.scrollWidth <= {box}.clientWidth")
    # Heads break between words, so that none is wider than its cell.
    assert browser.js(
        "[...document.querySelectorAll('.figures thead span')]"
        ".every(head => head.scrollWidth <= head.clientWidth)"
    )
    ends = browser.js(
        "[...document.querySelectorAll('.follows .interval')].slice(0, 2)"
        ".map(part => part.getBoundingClientRect()).map(box => [box.left, box.right])"
    )
    assert ends[1][0] > ends[0][1] + 4


def test_dark_mode_follows_the_system_and_the_button(browser, pages):
    def brightness():
        colour = browser.js("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour[4:-1].split(",")) / 3

    pressed = "document.getElementById('theme').ariaPressed"
    browser.open(pages["two"], scheme="light")
    assert brightness() > 230 and browser.js(pressed) == "false"
    browser.click("#theme")
    assert brightness() < 40 and browser.js(pressed) == "true"
    browser.open(pages["two"], scheme="dark")
    assert brightness() < 40 and browser.js(pressed) == "true"
    browser.click("#theme")
    assert brightness() > 230 and browser.js(pressed) == "false"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(scheme, browser, pages):
    browser.open(pages["two"], scheme=scheme)
    found = browser.js(CONTRASTS)
    assert len(found) > 8
    # WCAG 2.2, level AA, for text of ordinary size.
    assert {name: ratio for name, ratio in found if ratio < 4.5} == {}


CONTRASTS = """(() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((part) => {
      const c = part / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
  };
  const names = ["h1", ".kicker", ".facts dt", ".card h2", ".card dt", ".interval",
    ".better", ".worse", ".legend", ".badge.right", ".badge.wrong", ".picture span",
    "#shown", "#reset", "figcaption p", ".follows th", "a"];
  return names.map((name) => {
    const element = document.querySelector(name);
    const pair = [light(parse(getComputedStyle(element).color)),
      light(behind(element))].sort((a, b) => b - a);
    return [name, (pair[0] + 0.05) / (pair[1] + 0.05)];
  });
})()"""


def test_hostile_names_are_shown_and_not_obeyed(browser, pages):
    browser.open(pages["hostile"])
    assert browser.driver.title == HOSTILE[2].strip()
    models = browser.js(
        "[...document.querySelectorAll('.models strong')].map("
        "name => name.textContent.trim())"
    )
    assert models == [name.strip() for name in HOSTILE]
    assert browser.js("document.querySelectorAll('script').length") == 1
    assert browser.js("document.querySelectorAll('[onerror]').length") == 0
    browser.choose("#by-model", HOSTILE[1])
    browser.choose("#by-outcome", "wrong")
    assert browser.shown() == "1 of 4 shown"
    assert browser.driver.get_log("browser") == []


def test_outlines_lie_on_their_image(browser, pages):
    browser.open(pages["one"])
    away = browser.js(
        "Math.max(...[...document.querySelectorAll('.truth')].flatMap(truth => {"
        "const [image, outline] = [...truth.children].map("
        "  child => child.getBoundingClientRect());"
        "return ['left', 'top', 'right', 'bottom'].map("
        "  side => Math.abs(image[side] - outline[side]));}))"
    )
    assert away < 0.5


def test_a_metric_opens_to_what_it_says(browser, pages):
    browser.open(pages["two"])
    row = "[data-metric=pointing_game]"
    said = browser.driver.find_element("css selector", f"{row} details p")
    assert not said.is_displayed()
    browser.click(f"{row} summary")
    assert said.is_displayed()
    assert said.text.endswith("Zhang et al. 2016, arXiv 1608.00507")
