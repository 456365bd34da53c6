import numpy as np
import pandas as pd
import pytest

from synthgan.errors import ConditionError, ParameterError
from synthgan.schema import Schema
from synthgan.transforms import TableCodec
from synthgan.transforms.where import parse_where


@pytest.fixture(scope="module")
def codec():
    n = 60
    frame = pd.DataFrame(
        {
            "age": np.arange(n) % 50,
            "rate": np.arange(n) / 8,
            "sex": ["F", "M", "F,M", None] * (n // 4),
            "rich": [True, False] * (n // 2),
            "zip": [10115, 99999] * (n // 2),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(n) * 7 % 59, unit="D"),
            "a=b": list("xy") * (n // 2),
            "a": list("xyz") * (n // 3),
            "same": 3,
        }
    )
    return TableCodec(Schema.infer(frame, kinds={"zip": "categorical", "rate": "numerical"})).fit(frame)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("age=30", 30),
        ("age= 30 ", 30),
        ("age=-3", -3),
        ("age=30.5", 30.5),
        ("age=30..40", (30, 40)),
        ("age=30..", (30, None)),
        ("age=..40", (None, 40)),
        ("age=..", (None, None)),
        ("rate=0.5..1.5", (0.5, 1.5)),
        ("rate=.5...75", (0.5, 0.75)),
        ("rate=1e-3..1", (0.001, 1)),
        ("age=3,4,5", [3, 4, 5]),
        ("age=", None),
        ("age=3,", [3, None]),
        ("age=old", "old"),
        ("sex=F", "F"),
        ("sex=F,M", "F,M"),
        ("sex=M,F", ["M", "F"]),
        ("sex=", None),
        ("sex=F,", ["F", None]),
        ("sex=F..M", "F..M"),
        ("rich=True", True),
        ("rich=true", True),
        ("rich=true,false", [True, False]),
        ("zip=10115", 10115),
        ("day=2024-01-05..2024-01-09", ("2024-01-05", "2024-01-09")),
        ("day=2024-01-05", "2024-01-05"),
        ("a=x", "x"),
        ("a=b=y", "y"),
        ("same=3", 3),
    ],
)
def test_texts_are_read_by_the_kind_of_the_column(codec, text, expected):
    (value,) = parse_where([text], codec).values()
    assert value == expected
    assert type(value) is type(expected) or isinstance(expected, bool | int)


def test_the_longest_name_counts(codec):
    assert parse_where(["a=b=y", "a=x"], codec) == {"a=b": "y", "a": "x"}


@pytest.mark.parametrize(
    ("texts", "kind", "message"),
    [
        (["age"], ParameterError, "must look like column=value or column=low..high. Got 'age'"),
        (["agee=3"], ConditionError, "'agee', which is not a column. Did you mean 'age'?"),
        (["age=3", "age=4"], ParameterError, "'age' has two conditions"),
    ],
)
def test_other_texts_are_refused(codec, texts, kind, message):
    with pytest.raises(kind) as error:
        parse_where(texts, codec)
    assert message in str(error.value)
