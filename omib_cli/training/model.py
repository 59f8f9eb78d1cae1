"""The model: one encoder per modality and a fusion method, made from a recipe and a dataset's shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from omib_cli.data.samples import Samples
from omib_cli.encoders.base import Encoder
from omib_cli.errors import DataError, MismatchError
from omib_cli.fusion.base import Fused, FusionMethod, StepLosses
from omib_cli.nn.batch import Batch
from omib_cli.recipe.encoders import ENCODERS
from omib_cli.recipe.fusion import FUSIONS
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.tasks import TASKS
from omib_cli.runtime.seeds import derive_seed
from omib_cli.tasks.base import Task


class MultimodalModel(nn.Module):
    """Encoders Enc_1..Enc_M (Equation 2) and a fusion method.

    ``frozen`` says that the encoders' weights stay as they are.

    Parameters
    ----------
    recipe
        Says which encoders, method and task.
    facts
        What the dataset says: ``shapes`` (of one sample), ``kinds`` and ``configs`` by modality, and ``classes``; with
        what weight each counts in the loss (``class_weights``), where the recipe gives them weights.
    """

    def __init__(self, recipe: Recipe, facts: Mapping[str, Any]) -> None:
        super().__init__()
        self.names = list(recipe.modalities)
        self.frozen = False
        self.task: Task = TASKS.implementation(recipe.task.kind)(
            recipe.task, list(facts["classes"]), facts.get("class_weights")
        )
        encoders = [_encoder(recipe, name, facts, self.task) for name in self.names]
        self.encoders = nn.ModuleList(encoders)
        widths = {name: recipe.modalities[name].encoder.width for name in self.names}
        method = FUSIONS.implementation(recipe.fusion.method)
        self.fusion: FusionMethod = method(recipe.fusion, widths, self.task, recipe.head)

    def train(self, mode: bool = True) -> MultimodalModel:
        """Training mode; frozen encoders stay in evaluation mode, without dropout."""
        super().train(mode)
        if self.frozen:
            self.encoders.eval()
        return self

    def encode(self, values: Sequence[Any], batch: Batch) -> list[torch.Tensor]:
        """z_i = Enc_i(v_i) (Equation 2): M x (B, ...), a Neighbourhood for a graph, to M x (B, d_i)."""
        return [encoder(value, batch) for encoder, value in zip(self.encoders, values, strict=True)]

    def warmup_losses(self, values: Sequence[Any], batch: Batch) -> StepLosses:
        """Losses of a step of Algorithm 1, from inputs M x (B, ...)."""
        return self.fusion.warmup_losses(self.encode(values, batch), batch)

    def losses(self, values: Sequence[Any], batch: Batch) -> StepLosses:
        """Losses of a step of Algorithm 2, from inputs M x (B, ...)."""
        return self.fusion.losses(self.encode(values, batch), batch)

    def fuse(self, samples: Samples) -> Fused:
        """Inference."""
        batch = samples.batch
        return self.fusion.fuse(self.encode(samples.values, batch), batch)

    def warmup_weights(self) -> dict[str, torch.Tensor]:
        """The weights that Algorithm 1 returns: encoders and the branches' heads."""
        prefix = next(name for name, module in self.fusion.named_modules() if module is self.fusion.warmed_up())
        wanted = ("encoders.", f"fusion.{prefix}.")
        return {name: value for name, value in self.state_dict().items() if name.startswith(wanted)}

    def load_warmup(self, weights: Mapping[str, torch.Tensor], where: object) -> None:
        """Take over warm-up weights.

        Raises
        ------
        MismatchError
            They belong to another network.
        """
        own = self.warmup_weights()
        different = [name for name in {*own, *weights} if name not in own or name not in weights]
        different += [name for name in own if name in weights and own[name].shape != weights[name].shape]
        if different:
            raise MismatchError(
                "the warm-up checkpoint is of another network",
                where=where,
                got=f"{len(different)} differing weights, such as {min(different)}",
                do="warm up again with this recipe",
            )
        self.load_state_dict(dict(weights), strict=False)


def build_model(recipe: Recipe, facts: Mapping[str, Any], device: torch.device) -> MultimodalModel:
    """A model with initial weights drawn from the recipe's seed, on the CPU, whatever the device."""
    torch.manual_seed(derive_seed(recipe.seed, "initial weights"))
    return MultimodalModel(recipe, facts).to(device)


def fresh_model(
    recipe: Recipe, facts: Mapping[str, Any], device: torch.device, warn: Callable[[str], None]
) -> MultimodalModel:
    """A model to train, with the pretrained weights that its encoders' options name.

    ``warn`` is told what of a pretrained network is not used.

    Raises
    ------
    DataError
        Weights that are missing or of another network.
    """
    model = build_model(recipe, facts, torch.device("cpu"))
    for name, encoder in zip(recipe.modalities, model.encoders, strict=True):
        if (left := encoder.load_pretrained()) is not None:  # type: ignore[operator]
            warn(f"modality {name!r}: {left}")
    return model.to(device)


def _encoder(recipe: Recipe, name: str, facts: Mapping[str, Any], task: Task) -> Encoder:
    options = recipe.modalities[name].encoder
    kind = facts["kinds"][name]
    encoder_type: type[Encoder] = ENCODERS.implementation(options.kind)
    if kind not in encoder_type.kinds:
        raise DataError(
            f"the {options.kind} encoder cannot read modality {name!r}",
            got=f"a {kind}",
            expected=" or ".join(encoder_type.kinds),
            do=f"choose another modalities.{name}.encoder.kind",
        )
    return encoder_type(options, tuple(facts["shapes"][name]), facts["configs"].get(name), task.bias)
