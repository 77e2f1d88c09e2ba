"""One buffer for logits and gradient gives what the library's cross-entropy gives."""

import pytest
import torch
from torch import nn

from stablellava.model.answer_entropy import sum_entropy

# More positions than one piece holds, and one piece that is not full.
POSITIONS, VOCABULARY, WIDTH = 70, 10_000, 8


def losses_and_gradients(own: bool, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    draws = torch.Generator().manual_seed(0)
    head = nn.Linear(WIDTH, VOCABULARY, bias=False, dtype=torch.float64)
    with torch.no_grad():
        head.weight.copy_(torch.randn(VOCABULARY, WIDTH, generator=draws, dtype=torch.float64))
    head = head.to(dtype)
    hidden = torch.randn(POSITIONS, WIDTH, generator=draws, dtype=torch.float64).to(dtype).requires_grad_()
    targets = torch.randint(0, VOCABULARY, (POSITIONS,), generator=draws)
    logits = head(hidden)
    loss = sum_entropy(logits, targets) if own else nn.functional.cross_entropy(logits, targets, reduction="sum")
    (loss / 7).backward()
    assert hidden.grad is not None and head.weight.grad is not None
    return loss.detach(), hidden.grad, head.weight.grad


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
def test_loss_and_gradients_are_the_librarys(dtype: torch.dtype, tolerance: float) -> None:
    for own, other in zip(losses_and_gradients(True, dtype), losses_and_gradients(False, dtype), strict=True):
        assert torch.allclose(own, other, rtol=tolerance, atol=tolerance)


def test_float32_is_as_near_to_the_truth_as_the_librarys() -> None:
    truth = losses_and_gradients(False, torch.float64)
    for own, other, exact in zip(losses_and_gradients(True), losses_and_gradients(False), truth, strict=True):
        assert (own - exact).abs().max() <= 2 * (other - exact).abs().max() + 1e-9


def test_no_position_gives_no_loss_and_no_gradient() -> None:
    logits = torch.zeros(0, 5, requires_grad=True)
    loss = sum_entropy(logits * 1, torch.zeros(0, dtype=torch.long))
    loss.backward()
    assert loss == 0
    assert logits.grad is not None and logits.grad.shape == (0, 5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_logit_that_is_no_number_shows_in_the_loss(bad: float) -> None:
    logits = torch.zeros(2, 5, requires_grad=True)
    loss = sum_entropy(
        logits * torch.tensor([1.0, 1, 1, 1, bad]) + torch.tensor([0.0, 0, 0, 0, bad]), torch.tensor([0, 1])
    )
    assert not torch.isfinite(loss)


def test_without_a_gradient_the_logits_stay() -> None:
    logits = torch.randn(3, 5)
    before = logits.clone()
    sum_entropy(logits, torch.tensor([0, 1, 2]))
    assert torch.equal(logits, before)
