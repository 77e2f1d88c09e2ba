"""Which parts of the model learn in a stage."""

from torch import nn
from transformers import LlavaForConditionalGeneration

from stablellava.config.training import StageConfig
from stablellava.core.errors import ConfigError
from stablellava.core.record import Record
from stablellava.model.adapters import adapter_parameters
from stablellava.model.assembling import has_linear_projector


class ModulePlan(Record):
    """A part of the model, its size, and how much of it learns."""

    name: str
    num_parameters: int
    num_trainable: int

    @property
    def summary(self) -> str:
        millions = f"{self.num_parameters / 1e6:.1f}M"
        if not self.num_trainable:
            return f"{self.name} {millions} frozen"
        part = "" if self.num_trainable == self.num_parameters else f"{self.num_trainable / 1e6:.1f}M of "
        return f"{self.name} {part}{millions} trained"


def choose_trainable(llava: LlavaForConditionalGeneration, stage: StageConfig, stage_name: str) -> None:
    """Let exactly the parts learn that the stage names; of a language model with adapters, only those.

    Raises: ConfigError if that is none.
    """
    llava.requires_grad_(False)
    projector = llava.model.multi_modal_projector
    projector.requires_grad_(stage.train_projector)
    if has_linear_projector(llava):
        # The paper's projector is one layer; the library's second one stays the identity.
        projector.linear_2.requires_grad_(False)
    if stage.lora is not None:
        for parameter in adapter_parameters(llava):
            parameter.requires_grad_(True)
    elif stage.train_language_model:
        _choose_layers(llava, stage, stage_name)
    if stage.lora is None and not any(parameter.requires_grad for parameter in llava.parameters()):
        raise ConfigError(
            f"training.{stage_name}: nothing would learn; set train_projector or train_language_model to true"
        )


def _choose_layers(llava: LlavaForConditionalGeneration, stage: StageConfig, stage_name: str) -> None:
    language_model = llava.model.language_model
    language_model.requires_grad_(True)
    llava.lm_head.requires_grad_(True)
    if stage.freeze_embeddings or stage.train_last_layers is not None:
        llava.get_input_embeddings().requires_grad_(False)
    if stage.train_last_layers is not None:
        layers = list(language_model.layers)
        if stage.train_last_layers > len(layers):
            raise ConfigError(
                f"training.{stage_name}.train_last_layers={stage.train_last_layers}: "
                f"the language model has {len(layers)} layers"
            )
        for layer in layers[: -stage.train_last_layers]:
            layer.requires_grad_(False)


def describe_modules(llava: LlavaForConditionalGeneration) -> tuple[ModulePlan, ...]:
    """Return tower, projector and language model (its head included) with their sizes."""
    parts: tuple[tuple[str, tuple[nn.Module, ...]], ...] = (
        ("tower", (llava.model.vision_tower,)),
        ("projector", (llava.model.multi_modal_projector,)),
        ("language model", (llava.model.language_model, llava.lm_head)),
    )
    return tuple(_describe(name, modules) for name, modules in parts)


def _describe(name: str, modules: tuple[nn.Module, ...]) -> ModulePlan:
    parameters = {id(parameter): parameter for module in modules for parameter in module.parameters()}.values()
    return ModulePlan(
        name=name,
        num_parameters=sum(parameter.numel() for parameter in parameters),
        num_trainable=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
    )
