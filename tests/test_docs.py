"""The documentation agrees with the code."""

import json
import re
from pathlib import Path

import pytest

from synthgan.evaluation.metrics import FAMILIES, METRICS

DOCS = Path(__file__).parent.parent / "docs"
MARK = "<!-- metrics: made from synthgan.evaluation.metrics.METRICS, checked by tests/test_docs.py -->\n"


def metric_tables():
    """All metrics as Markdown."""
    lines = []
    for family in FAMILIES:
        lines += [f"\n**{family.capitalize()}**\n", "| metric | what | best | units |", "|---|---|--:|---|"]
        for metric in METRICS.values():
            if metric.family == family:
                best = (
                    "the ceiling" if metric.direction == "match" else f"{metric.best:g}".replace("nan", "-")
                )
                lines.append(f"| `{metric.name}` | {metric.source} | {best} | {metric.units} |")
    return "\n".join(lines) + "\n"


def test_the_page_on_evaluation_lists_every_metric_as_it_is():
    """To mend it, from the folder of the tests: python -c "import test_docs; test_docs.write()"."""
    page = (DOCS / "evaluation.md").read_text(encoding="utf-8")
    assert page.partition(MARK)[2] == metric_tables()


def write():
    path = DOCS / "evaluation.md"
    page = path.read_text(encoding="utf-8")
    path.write_text(page.partition(MARK)[0] + MARK + metric_tables(), encoding="utf-8")


@pytest.mark.parametrize("name", ["training-curves.md", "gans-for-tables.md"])
def test_the_code_of_a_page_runs_as_it_is_printed(name, tmp_path, monkeypatch):
    """Blocks marked py instead of python need packages that are no dependencies."""
    page = (DOCS / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    names = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"{name}, block {number}", "exec"), names)


def test_the_pages_show_pictures_that_are_there():
    for page in DOCS.glob("*.md"):
        for target in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert (DOCS / target).stat().st_size < 100_000, f"{page.name}: {target}"


def test_the_table_of_the_family_is_that_of_its_measurements():
    """To mend it: python -m benchmarks.family compare --table."""
    import pandas as pd

    from benchmarks.family import BEGIN, CSV, END, page_table

    page = (DOCS / "gans-for-tables.md").read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0] == page_table(pd.read_csv(CSV))


def test_reports_follow_the_published_schema(tmp_path):
    import pandas as pd

    from synthgan import evaluate

    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((DOCS / "report.schema.json").read_text(encoding="utf-8"))
    frame = pd.DataFrame({"a": [1.0, 2.0, 2.5, 3.0] * 5, "b": ["x", "y", "y", None] * 5})
    for options in ({}, {"holdout": frame, "target": "b"}, {"parts": ["utility"]}):
        found = json.loads(evaluate(frame, frame, **options).to_json())
        jsonschema.validate(found, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(found | {"schema": "synthgan-report/1"}, schema)
