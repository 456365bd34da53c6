import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from synthgan import evaluate
from synthgan.evaluation.answers import show
from synthgan.evaluation.page import render

EVIL = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; background:url(https://example.org/x)",
    "{{ 7 * 7 }} {% raw %}",
    "$x_{1$ \\frac",
    "</style><style>*{display:none}",
    "&lt;b&gt; \x0b\u202e漢字 😀",
]


HARMLESS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "h1",
    "h2",
    "h3",
    "p",
    "section",
    "article",
    "header",
}
HARMLESS |= {
    "div",
    "span",
    "code",
    "svg",
    "circle",
    "path",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "br",
}
HARMLESS |= {"ul", "li", "dl", "dt", "dd", "img", "i", "footer", "details", "summary"}


class Elements(HTMLParser):
    """Collect what a browser would make of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def evil_page():
    rng = np.random.default_rng(0)
    real = pd.DataFrame({name: rng.choice(EVIL, 60) for name in EVIL[:4]})
    for name in EVIL[4:]:
        real[name] = rng.normal(size=60)
    history = pd.DataFrame({"step": [1, 2], "phase": EVIL[:2], EVIL[0]: [1.0, 2.0], EVIL[4]: [0.5, np.nan]})
    report = evaluate(real, real.sample(frac=1, random_state=0), holdout=real, target=EVIL[0])
    return render(report, history)


def test_names_and_categories_are_text_and_nothing_else(evil_page):
    page = Elements(evil_page)
    assert set(page.tags) <= HARMLESS
    assert page.tags.count("style") == 1
    assert not [a for a in page.attributes if a[1].startswith("on")]
    for name in EVIL[:6]:
        assert any(name in text for text in page.text), name
    assert "49" not in [text.strip() for text in page.text]


def test_nothing_is_loaded_and_nothing_runs(evil_page):
    page = Elements(evil_page)
    assert "script" not in page.tags
    for tag, name, value in page.attributes:
        if name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            assert tag == "img"
            assert value.startswith("data:image/svg+xml;base64,")
        if name == "style":
            assert "url(" not in value
    style = evil_page[evil_page.index("<style>") : evil_page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    policy = next(v for t, n, v in page.attributes if n == "content" and "default-src" in v)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "script" not in policy


def test_it_opens_with_the_three_questions(report):
    text = " ".join(Elements(render(report)).text)
    places = [text.index(f"Does it {word} the data?") for word in ("look like", "work like", "leak")]
    assert places == sorted(places)
    assert places[-1] < text.index("The figures behind the answers")
    assert "no proof of privacy" in text
    assert "no evidence of privacy" in text


def test_every_metric_note_and_column_is_there(report):
    text = " ".join(Elements(render(report)).text)
    for words in [*report.frame["metric"], *report.columns["column"], *report.notes]:
        assert words in text


def test_attacks_and_models_are_listed(report):
    text = " ".join(Elements(render(report)).text)
    for words in ("Models", "Attacks on membership", "Guessing a cell", "Singling out", "Copied records"):
        assert words in text
    assert "The attacker has the synthetic table" in text
    assert "supervised" in text


def test_words_stand_on_the_left_and_figures_on_the_right(report):
    page = render(report)
    assert '<th class="word">trained on</th>' in page
    assert '<td class="word">supervised</td>' in page
    assert "<th>AUC</th>" in page
    assert not re.search(r'class="word">[\d<]', page)


def test_a_percent_sign_stays_with_its_number(report):
    start, end = (render(report).index(words) for words in ('<section class="answers">', "</section>"))
    answers = render(report)[start:end]
    assert "\u00a0%" in answers
    assert " %" not in answers


def test_worst_columns_come_first(report):
    text = " ".join(Elements(render(report)).text)
    ordered = report.columns.sort_values("error", ascending=False)["column"]
    start = text.index("Columns, the worst first")
    places = [text.index(f"{name} error", start) if f"{name} error" in text else -1 for name in ordered]
    assert places == sorted(places)


def test_the_worst_pairs_are_those_of_the_figure_that_is_told():
    real = pd.DataFrame({"number": np.arange(60.0), "letter": list("abcdef") * 10})
    moved = real.assign(number=real["number"] + 1000)  # in bins of its own, the pair looks as before
    report = evaluate(real, moved, parts=["fidelity"])
    assert report["trend_error"] < 0.05
    assert report["trend_error_shared"] > 0.9
    worst = show(report["trend_error_shared"], "ratio")
    assert f"number with letter ({worst})" in " ".join(Elements(render(report)).text)


def test_training_curves_are_drawn_when_given(report):
    history = pd.DataFrame(
        {
            "seconds": [0.0, 1.0, 2.0, 3.0],
            "phase": ["autoencoder", "autoencoder", "gan", "gan"],
            "heldout_loss": [3.0, 2.0, np.nan, np.nan],
            "critic_loss": [np.nan, np.nan, -1.0, np.inf],
            "note": list("abcd"),
        }
    )
    without, given = Elements(render(report)), Elements(render(report, history))
    assert "Training" not in without.text
    assert {"Training", "heldout_loss", "critic_loss", "autoencoder", "gan"} <= set(given.text)
    assert "note" not in given.text
    assert given.tags.count("img") == without.tags.count("img") + 2


def test_a_history_without_rows_or_clock_is_no_trouble(report):
    assert "Training" not in Elements(render(report, pd.DataFrame())).text
    assert "loss" in Elements(render(report, pd.DataFrame({"loss": [1.0, 2.0]}))).text


def test_wide_tables_stay_small():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(40, 50)), columns=[f"column {i}" for i in range(50)])
    page = render(evaluate(frame, frame + 0.1, parts=["privacy"]))
    assert len(page) < 1_500_000
    assert "10 further columns" in page
    assert "20 are not" in page


def test_the_file_is_complete_or_not_there(report, tmp_path):
    report.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == render(report)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_values_of_single_people_are_not_on_the_page():
    real = pd.DataFrame({"name": [f"Ms {i % 40}" for i in range(60)], "ill": ["yes", "no", "no"] * 20})
    real.loc[0, "ill"] = "plague"
    page = render(evaluate(real, real, parts=["fidelity"]))
    assert "Ms " not in page
    assert "plague" not in page
    assert "40 rare values" in page
    assert "1 more" in page
