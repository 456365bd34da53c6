import json

import numpy as np
import pandas as pd
import pytest

from synthgan.errors import ConditionError, DataError
from synthgan.schema import Schema
from synthgan.transforms import TableCodec
from synthgan.transforms.determined import conditions_of, settle
from synthgan.transforms.given import gaps, given_cells
from synthgan.transforms.rules import rules

FRAME = pd.DataFrame(
    {
        "level": pd.Categorical(["low", "mid", "high", "top", None] * 20, ["top", "high", "mid", "low"]),
        "years": [1, 2, 5, 5, 0] * 20,
        "group": [9, 7, 9, 7, 9] * 20,
        "name": ["a", "b", "a", "b", "a"] * 20,
        "x": np.arange(100) % 3,
    }
)
BY = {"years": "level", "name": "group"}  # a category determines a number, a number a category


@pytest.fixture(scope="module")
def codec():
    return TableCodec(Schema.infer(FRAME), determined=BY).fit(FRAME)


def values(conditions, name, codec):
    """What a key may be, as the column spells it."""
    own = codec.codecs_[name]
    if name in conditions.cells:
        cells = conditions.cells[name]
        plain = [
            None if m else v for v, m, k in zip(cells.plain, cells.missing, cells.known, strict=True) if k
        ]
    else:
        wanted = conditions.ranges[name]
        plain = [*wanted.low, *[None] * wanted.missing] if hasattr(wanted, "low") else list(wanted)
    if name == "group":
        return plain
    return [None if p is None or p < 0 else own.levels_[int(p)] for p in plain]


def test_determined_columns_have_no_codes_and_come_back(codec):
    assert codec.layout_.columns == ["level", "group", "x"]
    pd.testing.assert_frame_equal(codec.inverse_transform(codec.transform(FRAME)), FRAME)


def test_any_codes_decode_to_rows_that_keep_the_maps(codec):
    rng = np.random.default_rng(0)
    table = codec.transform(FRAME)
    drawn = codec.inverse_transform(type(table)(rng.integers(0, 9, table.codes.shape), table.alphas))
    known = FRAME.drop_duplicates(["level", "years"])[["level", "years"]]
    assert len(drawn.merge(known, on=["level", "years"])) == len(drawn)


def test_maps_go_to_json_and_back(codec):
    data = json.loads(json.dumps(codec.to_dict(), allow_nan=False))
    again = TableCodec.from_dict(codec.schema, data)
    assert again.to_dict() == codec.to_dict()
    pd.testing.assert_frame_equal(again.inverse_transform(codec.transform(FRAME)), FRAME)


@pytest.mark.parametrize(
    "spoil",
    [
        {"key": 99},
        {"values": []},
        {"effects": [[1, [1, 2]]]},
        {"effects": [[3, [0, 1, 0, 1, 9]]]},
    ],
)
def test_malformed_maps_are_refused(codec, spoil):
    data = codec.to_dict()
    with pytest.raises(DataError, match="malformed"):
        TableCodec.from_dict(codec.schema, data | {"maps": [data["maps"][0] | spoil]})


def test_what_does_not_determine_is_refused():
    with pytest.raises(DataError, match="Column 'x' does not determine column 'years'"):
        TableCodec(Schema.infer(FRAME), determined={"years": "x"}).fit(FRAME)


@pytest.mark.parametrize(
    ("asked", "key", "expected"),
    [
        ({"years": 2}, "level", {"mid"}),
        ({"years": 5}, "level", {"high", "top"}),
        ({"years": (2, None)}, "level", {"mid", "high", "top"}),
        ({"years": [0, 1]}, "level", {"low", None}),
        ({"years": (2, 5), "level": ["low", "high", "mid"]}, "level", {"mid", "high"}),
        ({"years": 0, "level": None}, "level", {None}),
        ({"name": "b"}, "group", {7}),
        ({"name": ["a", "b"], "group": (8, 9)}, "group", {9}),
    ],
)
def test_rules_on_a_determined_column_become_rules_on_its_key(codec, asked, key, expected):
    settled, choices = settle(rules(asked, codec), codec)
    assert choices == []
    assert set(values(settled, key, codec)) == expected


@pytest.mark.parametrize(
    "asked", [{"years": 5, "level": "low"}, {"years": 1, "level": None}, {"name": "a", "group": 7}]
)
def test_rules_that_contradict_the_map_are_refused(codec, asked):
    with pytest.raises(ConditionError, match=r"cannot be met together: '(level|group)' determines"):
        settle(rules(asked, codec), codec)


def test_given_cells_become_cells_of_the_key_or_a_choice(codec):
    given = pd.DataFrame({"years": [1, 5, 0, 5], "name": ["a", "b", "a", "b"]})
    settled, choices = settle(given_cells(given, codec), codec)
    assert values(settled, "level", codec) == ["low", None]
    assert values(settled, "group", codec) == [9, 7, 9, 7]
    (choice,) = choices
    assert choice.rows.tolist() == [1, 3]
    assert len(choice.wanted) == 2


def test_given_cells_that_contradict_each_other_are_refused_and_kept_where_gaps_are_filled(codec):
    given = pd.DataFrame({"years": [1, 1], "level": ["low", "top"]})
    with pytest.raises(ConditionError, match=r"together in 1 row:"):
        settle(given_cells(given, codec), codec)
    whole = FRAME.head(2).assign(level=["low", "top"], years=[1, 1])
    settled, _ = settle(gaps(whole, codec), codec)
    assert values(settled, "level", codec) == ["low", "top"]


def test_what_was_never_seen_says_nothing_about_the_key(codec):
    whole = FRAME.head(3).assign(level=None, years=[99, 2, None]).astype({"years": "Int64"})
    settled, choices = settle(gaps(whole, codec), codec)
    assert settled.cells["level"].known.tolist() == [False, True, False]
    assert choices == []


def test_conditions_of_some_rows_take_what_is_pasted_along(codec):
    whole = FRAME.head(3).assign(name=["a", None, "z"])
    part = conditions_of(gaps(whole, codec), np.array([2, 2, 1, 0]))
    rows, kept = part.pasted["name"]
    assert rows.tolist() == [0, 1, 3]
    assert list(kept) == ["z", "z", "a"]
    assert part.cells["x"].plain.tolist() == [2, 2, 1, 0]
