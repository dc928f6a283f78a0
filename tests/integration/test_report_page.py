"""The page of a report in headless Chromium, and its source. The figures are those of tests/support/sample_results.h."""
import html.parser
import json
import pathlib
import subprocess

import pytest

import browser as chromium


@pytest.fixture(scope="session")
def render(binary):
    """render("html", results) -> text; results None: the sample, else a dictionary."""

    def run(kind, results=None, folder=None):
        words = [str(binary.parent / "bin/render_report"), kind]
        if results is not None:
            path = pathlib.Path(folder) / "results.json"
            path.write_text(json.dumps(results))
            words.append(str(path))
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def sample(render):
    return json.loads(render("json"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = chromium.find_chromium()
    if program is None:
        pytest.skip("Chromium is not installed")
    with chromium.Browser(tmp_path_factory.mktemp("profile"), program) as instance:
        yield instance


@pytest.fixture(scope="module")
def page_url(render, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render("html"))
    return path.as_uri()


# What every page must fulfil: measured by the browser, in pixels and as contrast.
LAYOUT = """(() => {
  const box = element => { const b = element.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; };
  const luminance = colour => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map(part => {
      const value = part / 255;
      return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const contrast = (one, other) => {
    const values = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (values[0] + 0.05) / (values[1] + 0.05);
  };
  const style = element => getComputedStyle(element);
  return {
    width: innerWidth, scroll: document.documentElement.scrollWidth,
    background: luminance(style(document.body).backgroundColor),
    contrast: contrast(style(document.body).color, style(document.body).backgroundColor),
    boxes: [...document.querySelectorAll('.scroll')].map(element => [...box(element), element.scrollWidth > element.clientWidth]),
    legends: [...document.querySelectorAll('.legend')].map(box),
    figures: [...document.querySelectorAll('figure')].map(figure => {
      const svg = figure.querySelector('svg'), panel = style(figure).backgroundColor;
      const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
      const texts = [...svg.querySelectorAll('text')];
      return {
        title: figure.querySelector('figcaption').textContent, box: box(svg),
        texts: texts.map(text => [text.textContent, ...box(text)]),
        font: Math.min(...texts.map(text => scale * parseFloat(style(text).fontSize))),
        text_contrast: Math.min(...texts.map(text => contrast(style(text).fill, panel))),
        marks: [...svg.querySelectorAll('.mark')].map(mark => [mark.querySelector('title').textContent, ...box(mark)]),
        mark_contrast: Math.min(...[...svg.querySelectorAll('.mark rect, .mark circle')].map(mark => contrast(style(mark).fill, panel))),
        errors: svg.querySelectorAll('.mark .error').length,
      };
    }),
  };
})()"""


def overlap(one, other):
    return min(one[2], other[2]) - max(one[0], other[0]) > 1 and min(one[3], other[3]) - max(one[1], other[1]) > 1


def problems_of(browser, url):
    """Requests other than the page's own, and what a console would show."""
    found = []
    for name, event in browser.events:
        if name == "Network.requestWillBeSent" and event["request"]["url"] != url:
            found.append(event["request"]["url"])
        if name in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Page.javascriptDialogOpening"):
            found.append(event)
    return found


def check_layout(layout, width):
    assert layout["width"] == width and layout["scroll"] <= width
    assert layout["contrast"] >= 7
    for left, top, right, bottom, _ in layout["boxes"]:
        assert 0 <= left and right <= width and bottom - top > 10
    for left, _, right, _ in layout["legends"]:
        assert 0 <= left and right <= width
    for figure in layout["figures"]:
        left, top, right, bottom = figure["box"]
        name = figure["title"]
        assert 0 <= left and right <= width and right - left > 250 and bottom - top > 150, name
        assert figure["font"] >= 11, name
        assert figure["text_contrast"] >= 4.5 and figure["mark_contrast"] >= 3, name
        assert figure["marks"], name
        for title, *mark in figure["marks"]:
            assert title and mark[2] - mark[0] >= 2 and mark[3] >= mark[1], (name, title)
            assert left <= mark[0] and mark[2] <= right and top <= mark[1] and mark[3] <= bottom, (name, title)
        texts = figure["texts"]
        for i, (text, *area) in enumerate(texts):
            assert left <= area[0] and area[2] <= right and top <= area[1] and area[3] <= bottom, (name, text)
            for other, *other_area in texts[:i]:
                assert not overlap(area, other_area), (name, text, other)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_plots_are_visible(browser, page_url, width, scheme):
    page = browser.open(page_url, width=width, scheme=scheme)
    layout = page.evaluate(LAYOUT)
    assert problems_of(browser, page_url) == []
    requests = [event["request"]["url"] for name, event in browser.events if name == "Network.requestWillBeSent"]
    assert requests == [page_url]
    check_layout(layout, width)
    assert (layout["background"] > 0.8) == (scheme == "light")
    titles = [figure["title"] for figure in layout["figures"]]
    for title in ("Reading a prompt", "Decoding", "Memory of the process (PSS, or RSS)", "Accuracy", "Accuracy kept of f32's"):
        assert title in titles
    by_title = {figure["title"]: figure for figure in layout["figures"]}
    assert by_title["Reading a prompt"]["errors"] == 12 and by_title["Accuracy"]["errors"] == 6
    if width == 390:
        # Wide tables scroll within their box.
        assert any(scrolls for *_, scrolls in layout["boxes"])
    page.close()


def test_print(browser, page_url):
    page = browser.open(page_url, scheme="dark", media="print", width=700)
    layout = page.evaluate(LAYOUT)
    assert layout["background"] > 0.8 and layout["contrast"] >= 7
    assert problems_of(browser, page_url) == []
    pdf = page.pdf()
    assert pdf.startswith(b"%PDF") and pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") >= 2
    page.close()


def changed(sample, **fields):
    results = json.loads(json.dumps(sample))
    results.update(fields)
    return results


MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>\" onload='alert(3)' | `a` [b](javascript:alert(4)) "


def hostile(value):
    """Each text that a results file may choose, as markup."""
    if isinstance(value, dict):
        fixed = ("schema", "test", "limit", "sha256")
        return {key: item if key in fixed else hostile(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return MARKUP + value if isinstance(value, str) else value


def test_markup_stays_text(browser, render, sample, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(render("html", hostile(sample), tmp_path))
    page = browser.open(path.as_uri(), width=390)
    assert problems_of(browser, path.as_uri()) == []
    assert page.evaluate("document.querySelectorAll('script, img, iframe, a').length") == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert MARKUP.split("|")[0] in page.evaluate("document.body.textContent")
    page.close()


def many_variants(sample):
    """Eight variants and six tasks: the most that one would measure."""
    results = changed(sample)
    results["variants"] = [json.loads(json.dumps(sample["variants"][min(i, 1)])) for i in range(8)]
    for i, variant in enumerate(results["variants"]):
        variant["name"] = f"type {i}, q8_0 cache"
        variant["tasks"] = [{**variant["tasks"][0], "task": name, "shots": 25} for name in
                            ("arc_c", "arc_easy", "hellaswag", "piqa", "winogrande", "ceval")]
    return results


@pytest.mark.parametrize("width", [390, 1280])
def test_many_variants_fit(browser, render, sample, tmp_path, width):
    path = tmp_path / "report.html"
    path.write_text(render("html", many_variants(sample), tmp_path))
    page = browser.open(path.as_uri(), width=width)
    check_layout(page.evaluate(LAYOUT), width)
    page.close()


class Source(html.parser.HTMLParser):
    """Checks that tags are closed in order, and collects what a browser would fetch or run."""

    EMPTY = {"meta", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes = [], set(), set()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_source_fetches_and_runs_nothing(render, sample, tmp_path):
    """Holds without a browser, too."""
    for results in (None, hostile(sample), many_variants(sample)):
        text = render("html", results, tmp_path)
        source = Source(text)
        assert not source.tags & {"script", "link", "img", "iframe", "image", "use", "object", "a"}
        assert not source.attributes & {"src", "href", "xlink:href"} and not any(a.startswith("on") for a in source.attributes)
        assert "default-src 'none'" in text and "url(" not in text and "@import" not in text


@pytest.mark.parametrize("field", ["speeds", "memory", "text", "tasks"])
def test_what_was_not_measured_is_left_out(render, sample, tmp_path, field):
    results = changed(sample)
    for variant in results["variants"]:
        if field in ("speeds", "tasks"):
            variant[field] = []
        else:
            del variant[field]
    for kind in ("md", "html"):
        text = render(kind, results, tmp_path)
        for word in ("nan", "inf", "NaN"):
            assert f" {word}" not in text and f">{word}" not in text
    assert {"speeds": "## Speed", "memory": "## Memory", "text": "## Text", "tasks": "## Tasks"}[field] not in render("md", results, tmp_path)
