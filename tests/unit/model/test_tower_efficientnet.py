import pytest
import torch

from stablellava.core.errors import ConfigError
from stablellava.model.tower_efficientnet import NUM_CLASSES, NUM_FEATURES, load_efficientnet_lite


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))


def test_larger_patches_are_the_mean_of_their_cells(pixels: torch.Tensor) -> None:
    with torch.inference_mode():
        cells = load_efficientnet_lite(128)(pixels).last_hidden_state
        patches = load_efficientnet_lite(128, patch_size_px=64)(pixels).last_hidden_state
    assert cells.shape == (2, 16, NUM_FEATURES)
    assert patches.shape == (2, 4, NUM_FEATURES)
    first = cells.reshape(2, 4, 4, NUM_FEATURES)[:, :2, :2].mean(dim=(1, 2))
    assert torch.allclose(patches[:, 0], first, atol=1e-5)


def test_the_posterior_comes_with_a_token_for_the_whole_picture(pixels: torch.Tensor) -> None:
    with torch.inference_mode():
        tokens = load_efficientnet_lite(128, patch_size_px=64, posterior=True)(pixels).last_hidden_state
    assert tokens.shape == (2, 5, NUM_FEATURES + NUM_CLASSES)
    features, posterior = tokens[..., :NUM_FEATURES], tokens[..., NUM_FEATURES:]
    assert torch.allclose(features[:, 0], features[:, 1:].mean(dim=1), atol=1e-5)
    assert torch.allclose(posterior.sum(dim=-1), torch.ones(2, 5), atol=1e-5)


@pytest.mark.parametrize(
    ("image_size_px", "patch_size_px", "message"),
    [
        (128, 48, "patch_size_px=48 is not a multiple of 32"),
        (160, 64, "image_size_px=160 is not a multiple of 64"),
    ],
)
def test_sizes_that_do_not_divide_are_refused_with_one_that_does(
    image_size_px: int, patch_size_px: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=f"{message}.*Nearest that works: "):
        load_efficientnet_lite(image_size_px, patch_size_px)
