"""A linear projector without a single step: ridge regression from patches to words.

A projector has to turn what the tower sees into what the language model reads. The words for what
a picture shows have embeddings, so a least-squares map from patches to them is a projector. It is
solved on the stage's pictures and, for what they do not show, on pseudo-photos: patches drawn from
the statistics that the tower's last batch norm keeps of ImageNet, leaning towards a class's row of
its classifier. No photo is needed.

If the tower also gives its class posterior, each class's weight is the embedding of its name, and
the regression from the features explains what the posterior leaves open.

Shape legend: N pictures or pseudo-photos, P tokens per image, F features of a patch (1280),
K classes (1000), D tower width (F, or F + K with the posterior), E width of the language model, R rows.

Departs: 2308.10253v1 trains the projector by gradient steps; this is an option for small machines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import torch
from torch import nn

from stablellava.config.training import ClosedFormSettings
from stablellava.core.errors import ConfigError
from stablellava.model.assembling import Vlm, has_linear_projector
from stablellava.model.feature_cache import FeatureCache
from stablellava.model.tower_efficientnet import NUM_CLASSES, NUM_FEATURES, EfficientNetLiteTower
from stablellava.store.image_refs import ImageRef

CHUNK = 128
RELU6_MAX = 6.0
_ROUNDING = 1e-6
"""A variance that is so small beside the mean square is what float32 makes of equal words."""
_SHARED_NOISE = 0.5
"""Share of the noise variance that the patches of one picture have in common."""


@dataclass(frozen=True)
class ShownPicture:
    """A picture and the words for what it shows."""

    image: ImageRef
    phrase: str
    times: int = 1
    """How often it counts."""


@dataclass(frozen=True)
class ClosedFormResult:
    """What the projector was solved from; ``explained`` is the share of the words' variance it explains."""

    num_pictures: int
    num_pseudo_photos: int
    explained: float


def solve_projector(
    vlm: Vlm, cache: FeatureCache, pictures: Sequence[ShownPicture], settings: ClosedFormSettings, seed: int
) -> ClosedFormResult:
    """Set the model's projector from pictures, all of them computed in the cache.

    Raises: ConfigError if the projector is not linear, or there is nothing to solve it from.
    """
    told = [picture for picture in pictures if picture.phrase] if settings.own_pictures else []
    _check(vlm, settings, bool(told))
    words = Words(vlm)
    regression = _Regression(vlm, words)
    for start in range(0, len(told), CHUNK):
        chunk = told[start : start + CHUNK]
        words_NE = torch.stack([words.embed(picture.phrase) for picture in chunk])
        times_N = torch.tensor([picture.times for picture in chunk])
        regression.add(cache.gather([picture.image for picture in chunk]), words_NE, times_N)
    num_pseudo = settings.pseudo_photos_per_class * NUM_CLASSES
    tower = vlm.model.model.vision_tower
    if isinstance(tower, EfficientNetLiteTower) and num_pseudo:
        source = PseudoPhotos(tower, settings, seed)
        for start in range(0, num_pseudo, CHUNK):
            classes_N = torch.arange(start, min(start + CHUNK, num_pseudo)) % NUM_CLASSES
            regression.add(source.draw(classes_N), regression.names_KE[classes_N], torch.ones_like(classes_N))
    return ClosedFormResult(len(told), num_pseudo, regression.write(settings.ridge))


def _check(vlm: Vlm, settings: ClosedFormSettings, has_pictures: bool) -> None:
    if not has_linear_projector(vlm.model):
        raise ConfigError("training.align.method=closed_form solves for training.model.projector=linear only")
    if settings.pseudo_photos_per_class and not isinstance(vlm.model.model.vision_tower, EfficientNetLiteTower):
        raise ConfigError(
            f"training.align.closed_form.pseudo_photos_per_class={settings.pseudo_photos_per_class}: "
            "this tower has no classifier to draw them from; set it to 0"
        )
    if not has_pictures and not settings.pseudo_photos_per_class:
        raise ConfigError(
            "training.align.closed_form: neither pictures with a phrase nor pseudo-photos to solve from; "
            "set own_pictures=true or pseudo_photos_per_class=3"
        )


class _Regression:
    """Rows of one ridge regression, with the part that the posterior explains taken off."""

    def __init__(self, vlm: Vlm, words: "Words"):
        config = vlm.model.model.vision_tower.config
        self.projector = vlm.model.model.multi_modal_projector
        self.names_KE = torch.stack([words.embed(name) for name in read_class_names()])
        self.has_posterior = bool(getattr(config, "posterior", False))
        num_features = NUM_FEATURES if self.has_posterior else int(config.hidden_size)
        self.ridge = CentredRidge(num_features, self.names_KE.shape[1])

    def add(self, tokens_NPD: torch.Tensor, words_NE: torch.Tensor, times_N: torch.Tensor) -> None:
        targets_NPE = words_NE[:, None].expand(-1, tokens_NPD.shape[1], -1)
        if self.has_posterior:
            # Only the token for the whole picture surely shows what the words name; most patches are background.
            tokens_NPD, targets_NPE = tokens_NPD[:, :1], targets_NPE[:, :1]
            targets_NPE = targets_NPE - tokens_NPD[..., NUM_FEATURES:] @ self.names_KE
            tokens_NPD = tokens_NPD[..., :NUM_FEATURES]
        times_R = times_N.repeat_interleave(tokens_NPD.shape[1])
        self.ridge.add(tokens_NPD.flatten(0, 1), targets_NPE.flatten(0, 1), times_R)

    def write(self, ridge: float) -> float:
        """Solve, set the projector's first layer and return the explained share of the variance."""
        weight_EF, bias_E = self.ridge.solve(ridge)
        weight_ED = torch.cat((weight_EF, self.names_KE.T), dim=1) if self.has_posterior else weight_EF
        with torch.no_grad():
            self.projector.linear_1.weight.copy_(weight_ED)
            self.projector.linear_1.bias.copy_(bias_E)
        return self.ridge.explained(weight_EF)


class Words:
    """Phrases as the language model reads them: the mean of their tokens' embeddings."""

    def __init__(self, vlm: Vlm):
        self.tokenizer = vlm.chat.tokenizer
        self.embeddings_VE = vlm.model.get_input_embeddings().get_parameter("weight").detach()
        self._known: dict[str, torch.Tensor] = {}

    def embed(self, phrase: str) -> torch.Tensor:
        """Return [E] for a phrase as it stands inside a sentence."""
        if phrase not in self._known:
            ids = self.tokenizer(f" {phrase}", add_special_tokens=False, split_special_tokens=True).input_ids
            self._known[phrase] = self.embeddings_VE[ids].mean(dim=0)
        return self._known[phrase]


class PseudoPhotos:
    """Patches as photos of a class would give them, as far as the tower's own weights tell.

    Before its clipping the last feature map is normalised: over ImageNet each feature was, by the batch
    norm's statistics, standard normal. A patch that shows a class leans along the class's row.
    """

    def __init__(self, tower: EfficientNetLiteTower, settings: ClosedFormSettings, seed: int):
        norm, classifier = tower.network._bn1, tower.network._fc
        self.tower = tower
        self.num_patches = (tower.config.image_size // tower.config.patch_size) ** 2
        self.settings = settings
        self.scale_F, self.shift_F = norm.weight.detach(), norm.bias.detach()
        self.direction_KF = nn.functional.normalize(classifier.weight.detach(), dim=1)
        self.generator = torch.Generator().manual_seed(seed)

    def draw(self, classes_N: torch.Tensor) -> torch.Tensor:
        """Return tokens [N, P, D] for class indices [N]; each call draws anew."""
        shape = (len(classes_N), self.num_patches)
        common_N1F = torch.randn(len(classes_N), 1, NUM_FEATURES, generator=self.generator)
        own_NPF = torch.randn(*shape, NUM_FEATURES, generator=self.generator)
        noise_NPF = _SHARED_NOISE**0.5 * common_N1F + (1 - _SHARED_NOISE) ** 0.5 * own_NPF
        shows_NP1 = torch.rand(*shape, 1, generator=self.generator) < self.settings.evidence_share
        lean_NPF = self.settings.evidence * shows_NP1 * self.direction_KF[classes_N][:, None]
        features_NPF = (self.shift_F + self.scale_F * (noise_NPF + lean_NPF)).clamp(0.0, RELU6_MAX)
        with torch.inference_mode():
            return self.tower.with_posterior(features_NPF) if self.tower.config.posterior else features_NPF


class CentredRidge:
    """Least squares with an unpenalised intercept, from sums over rows given in pieces."""

    def __init__(self, num_inputs: int, num_outputs: int):
        self.num_rows = 0
        self.sum_x = torch.zeros(num_inputs, dtype=torch.float64)
        self.sum_y = torch.zeros(num_outputs, dtype=torch.float64)
        self.sum_xx = torch.zeros(num_inputs, num_inputs, dtype=torch.float64)
        self.sum_xy = torch.zeros(num_inputs, num_outputs, dtype=torch.float64)
        self.sum_yy = 0.0

    def add(self, x_RF: torch.Tensor, y_RE: torch.Tensor, times_R: torch.Tensor) -> None:
        """Take in rows, each as often as it counts; products in float32, their sums in float64."""
        weighted_RF, weighted_RE = x_RF * times_R[:, None], y_RE * times_R[:, None]
        self.num_rows += int(times_R.sum())
        self.sum_x += weighted_RF.sum(dim=0)
        self.sum_y += weighted_RE.sum(dim=0)
        self.sum_xx += weighted_RF.T @ x_RF
        self.sum_xy += weighted_RF.T @ y_RE
        self.sum_yy += float((weighted_RE * y_RE).sum())

    def solve(self, ridge: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return weight [E, F] and bias [E]; ``ridge`` is a share of the inputs' mean variance."""
        covariance_FF, cross_FE = self._centred()
        penalty = ridge * covariance_FF.diagonal().mean()
        eye = torch.eye(len(covariance_FF), dtype=torch.float64)
        weight_FE = torch.linalg.solve(covariance_FF + penalty * eye, cross_FE)
        bias_E = self.sum_y / self.num_rows - (self.sum_x / self.num_rows) @ weight_FE
        return weight_FE.T.float(), bias_E.float()

    def explained(self, weight_EF: torch.Tensor) -> float:
        """Return the share of the outputs' variance that the weight explains on its rows; 0 without any."""
        mean_square = self.sum_yy / self.num_rows
        variance = mean_square - float((self.sum_y / self.num_rows).square().sum())
        if variance <= _ROUNDING * mean_square:
            return 0.0
        covariance_FF, cross_FE = self._centred()
        weight_FE = weight_EF.T.double()
        gain = 2 * (weight_FE * cross_FE).sum() - (weight_FE * (covariance_FF @ weight_FE)).sum()
        return float(gain) / variance

    def _centred(self) -> tuple[torch.Tensor, torch.Tensor]:
        mean_x, mean_y = self.sum_x / self.num_rows, self.sum_y / self.num_rows
        covariance_FF = self.sum_xx / self.num_rows - torch.outer(mean_x, mean_x)
        return covariance_FF, self.sum_xy / self.num_rows - torch.outer(mean_x, mean_y)


def read_class_names() -> tuple[str, ...]:
    """Return ImageNet's 1,000 class names in the order of the classifier's outputs."""
    text = (files("stablellava.model") / "imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.split("\n")[:-1])
