import pandas as pd
import pytest

from synthgan.errors import ConditionError
from synthgan.schema import Schema
from synthgan.transforms import TableCodec
from synthgan.transforms.conditions import rules


@pytest.fixture(scope="module")
def codec():
    frame = pd.DataFrame({"age": [20, 30, 40, 50] * 5, "sex": ["F", "M"] * 10})
    return TableCodec(Schema.infer(frame)).fit(frame)


def test_a_value_is_known_and_a_set_is_permitted(codec):
    encoded = rules({"age": 30, "sex": ["F", "M"]}, codec).encode(codec)
    assert encoded.known.tolist() == [[True, False]]
    assert encoded.table.codes[0, 0] == 1
    assert sorted(encoded.permitted[1].codes) == [0, 1]


def test_an_unknown_category_is_named(codec):
    with pytest.raises(ConditionError, match="Condition sex='X': column 'sex' has no category 'X'"):
        rules({"sex": "X"}, codec)
