import pytest
import torch

from synthgan.gan.precision import PRECISIONS, mixed_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_products_run_in_the_precision_that_is_asked_for(precision):
    weight = torch.randn(4, 4, requires_grad=True)
    with mixed_precision(precision, CPU):
        product, total = weight @ weight, weight + weight
    assert total.dtype == torch.float32
    if precision != "auto":
        assert product.dtype == getattr(torch, precision)
    product.float().sum().backward()
    assert weight.grad.dtype == torch.float32


@pytest.mark.parametrize(
    ("found", "dtype"),
    [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx512_f": True}, torch.float32),
    ],
)
def test_auto_asks_the_processor(found, dtype, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    with mixed_precision("auto", CPU):
        assert (torch.eye(2) @ torch.eye(2)).dtype == dtype


def test_auto_is_float32_where_torch_does_not_know_the_processor(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    with mixed_precision("auto", CPU):
        assert (torch.eye(2) @ torch.eye(2)).dtype == torch.float32


def test_one_context_can_be_entered_again_and_sees_weights_that_have_changed():
    mixed, weight = mixed_precision("bfloat16", CPU), torch.ones(1, 1, requires_grad=True)
    seen = []
    for _ in range(3):
        with mixed:
            seen.append((torch.ones(1, 1) @ weight).item())
        with torch.no_grad():
            weight += 1
    assert seen == [1, 2, 3]
    assert not torch.is_autocast_enabled("cpu")
