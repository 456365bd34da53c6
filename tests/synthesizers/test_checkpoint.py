"""The file that a training goes on from."""

import json
import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synthgan.errors import DataError, ModelFileError
from synthgan.layout import ATOM, EncodedTable, Layout, Span
from synthgan.synthesizers.checkpoint import check_identity, identity_of, read_checkpoint, write_checkpoint

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.text(max_size=5)
    | st.floats(allow_nan=False)
)
TENSORS = st.builds(
    lambda shape, dtype: torch.arange(int(np.prod(shape))).reshape(shape).to(dtype),
    st.lists(st.integers(0, 3), max_size=3),
    st.sampled_from([torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool]),
)
SNAPSHOTS = st.recursive(
    LEAVES | TENSORS,
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.dictionaries(st.text(max_size=4) | st.integers(0, 9), parts, max_size=3)
    ),
    max_leaves=12,
)


def layout(name="a", k=3):
    return Layout.of([Span(name, np.full(k, ATOM, np.int32), np.full(k, np.nan, np.float32))])


def table(*codes):
    return EncodedTable(np.array(codes, dtype=np.int32)[:, None], np.zeros((len(codes), 1)))


def equal(one, other):
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return type(one) is type(other) and one == other


@given(SNAPSHOTS)
def test_what_is_written_is_read(tmp_path_factory, snapshot):
    path = tmp_path_factory.getbasetemp() / "any.checkpoint"
    write_checkpoint({"seed": 1}, path, {"part": snapshot})
    identity, again = read_checkpoint(path)
    assert identity == {"seed": 1}
    assert equal(again, {"part": snapshot})


def test_infinity_and_the_state_of_an_optimiser_come_back(tmp_path):
    network = torch.nn.Linear(2, 2)
    optimiser = torch.optim.Adam(network.parameters(), betas=(0.5, 0.9))
    network(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    write_checkpoint({}, tmp_path / "c", {"loss": float("inf"), "optimiser": optimiser.state_dict()})
    _, snapshot = read_checkpoint(tmp_path / "c")
    assert snapshot["loss"] == float("inf")
    other = torch.optim.Adam(network.parameters())
    other.load_state_dict(snapshot["optimiser"])
    assert tuple(other.param_groups[0]["betas"]) == (0.5, 0.9)
    for one, again in zip(optimiser.state.values(), other.state.values(), strict=True):
        assert torch.equal(one["exp_avg"], again["exp_avg"])


def test_a_file_that_is_not_there_is_none(tmp_path):
    assert read_checkpoint(tmp_path / "absent") is None


def test_damaged_files_and_other_files_are_refused(tmp_path):
    path = tmp_path / "c"
    write_checkpoint({"seed": 1}, path, {"weights": torch.ones(100)})
    whole = path.read_bytes()
    no_document = json.dumps({"__metadata__": {"format": "synthgan-checkpoint-1"}}).encode()
    bad = [b"", b"PK\x03\x04", whole[:50], whole[:-10], whole[:8] + b"?" + whole[9:]]
    bad += [struct.pack("<Q", len(no_document)) + no_document]
    bad += [whole.replace(b"synthgan-checkpoint-1", b"synthgan-checkpoint-9")]
    for content in bad:
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match="checkpoint"):
            read_checkpoint(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(ModelFileError, match="checkpoint"):
        read_checkpoint(path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        write_checkpoint({}, tmp_path / "nowhere" / "c", {})


def test_an_identity_tells_tables_seeds_and_parameters_apart():
    params = {"n_steps": 3, "kinds": {"a": "categorical"}, "verbose": True, "random_state": 7}
    base = identity_of("M", params, 7, table(0, 1, 2), layout())
    assert base == identity_of("M", {**params, "verbose": False, "kinds": None}, 7, table(0, 1, 2), layout())
    check_identity("c", base, base)
    others = {
        "another table": identity_of("M", params, 7, table(0, 1, 1), layout()),
        "another table.": identity_of("M", params, 7, table(0, 1, 2), layout("b")),
        "n_steps is 4 there and 3 here": identity_of(
            "M", {**params, "n_steps": 4}, 7, table(0, 1, 2), layout()
        ),
        "seed is 8 there and 7 here": identity_of("M", params, 8, table(0, 1, 2), layout()),
        "estimator is 'N'": identity_of("N", params, 7, table(0, 1, 2), layout()),
    }
    for words, other in others.items():
        with pytest.raises(DataError, match=words):
            check_identity("c", other, base)
