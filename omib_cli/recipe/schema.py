"""The schema of a recipe: every key, its type, its default and the sentence that explains it."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from typing import Annotated, Any

from pydantic import Field, SerializeAsAny, create_model, field_validator, model_validator

from omib_cli.recipe.encoders import ENCODERS, MlpOptions, ModalityOptions
from omib_cli.recipe.evaluation import EvaluateOptions
from omib_cli.recipe.fusion import FUSIONS, FusionOptions, OmibOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.recipe.information import BetaOptions, InformationOptions
from omib_cli.recipe.options import Options
from omib_cli.recipe.phases import TrainOptions, WarmupOptions
from omib_cli.recipe.sources.common import SourceOptions
from omib_cli.recipe.sources.registry import SOURCES
from omib_cli.recipe.sources.simulation import SimulationOptions
from omib_cli.recipe.sources.tables import TablesOptions
from omib_cli.recipe.tasks import TASKS, ClassificationOptions, TaskOptions
from omib_cli.recipe.tuning import TuneOptions

STAGE_SECTIONS: dict[str, tuple[str, ...]] = {
    "dataset": ("seed", "data", "modalities", "task"),
    "information": ("seed", "information"),
    "warmup": ("seed", "modalities", "task", "head", "fusion", "warmup"),
    "model": ("seed", "modalities", "task", "head", "fusion", "beta", "train"),
    "embedding": (),
    "report": ("seed", "evaluate"),
}
"""The sections that decide what each stage writes, as a rule: an artifact is up to date while these are unchanged."""


class Recipe(Options):
    """Everything a run needs: data, network, estimation, training and evaluation."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Names the run and its files."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of everything drawn at random."""
    data: SerializeAsAny[SourceOptions]
    """Where samples come from."""
    modalities: dict[str, ModalityOptions]
    """The modalities and their encoders; the first listed is the reference of the relative weights r."""
    task: SerializeAsAny[TaskOptions] = ClassificationOptions()
    """What is predicted."""
    head: HeadOptions = HeadOptions()
    """Prediction heads, of every branch alike."""
    fusion: SerializeAsAny[FusionOptions] = OmibOptions()
    """How modalities become one embedding."""
    information: InformationOptions = InformationOptions()
    """Estimation of entropies and mutual information."""
    beta: BetaOptions = BetaOptions()
    """The redundancy weight."""
    warmup: WarmupOptions = WarmupOptions()
    """The first phase."""
    train: TrainOptions = TrainOptions()
    """The second phase."""
    evaluate: EvaluateOptions = EvaluateOptions()
    """The report."""
    tune: dict[str, TuneOptions] = {}
    """What `omib tune` tries, by key, `*` for every name at that place: `"*.optimiser.lr": {low: 1e-4, high: 1e-2,
    log: true}`, `fusion.latent: {choices: [32, 64]}`. Decides nothing else."""

    @field_validator("modalities")
    @classmethod
    def _plain_names(cls, modalities: dict[str, ModalityOptions]) -> dict[str, ModalityOptions]:
        if not modalities:
            raise ValueError("name at least one modality")
        for name in modalities:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
                raise ValueError(f"modality name {name!r}: letters, digits, '_' and '-' only")
        return modalities

    @model_validator(mode="after")
    def _sections_agree(self) -> Recipe:
        problems = []
        names = list(self.modalities)
        if isinstance(self.data, TablesOptions) and set(self.data.tables) != set(names):
            problems.append(f"`data.tables` has {sorted(self.data.tables)} but `modalities` has {sorted(names)}")
        if isinstance(self.data, SimulationOptions):
            count = 3 if "a00" in self.data.sizes else 2
            if len(names) != count:
                problems.append(f"`data` simulates {count} modalities but `modalities` has {len(names)}")
        for name, modality in self.modalities.items():
            if (kind := self.data.kind(name)) is not None:
                found = modality.encoder.misfits(kind, self.data.frames(name))
                problems += [f"`modalities.{name}.encoder`: {problem}" for problem in found]
        problems += self._event_problems()
        problems += self.fusion.misfits({name: self.modalities[name].encoder.width for name in names})
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _event_problems(self) -> list[str]:
        """An event without survival, or survival without one."""
        said = getattr(getattr(self.data, "labels", None), "event", None) is not None
        if self.task.kind == "survival" and not said:
            return ["`task.kind: survival` needs `data.labels.event`, the column that says whether there was an event"]
        if said and self.task.kind != "survival":
            return [f"`data.labels.event` is for `task.kind: survival`, not {self.task.kind}"]
        return []

    @property
    def warms_up(self) -> bool:
        """Whether there is a first phase: the method has one, and it has epochs."""
        return self.fusion.has_warmup and self.warmup.epochs > 0

    @property
    def main_phase(self) -> TrainOptions:
        """The phase that trains the whole network: `train`, for a method without warm-up as long as both phases."""
        if self.fusion.has_warmup:
            return self.train
        return self.train.model_copy(update={"epochs": self.warmup.epochs + self.train.epochs})

    def deciding(self, stage: str) -> tuple[str, ...]:
        """The sections that decide what a stage writes."""
        is_longer = stage == "model" and not self.fusion.has_warmup  # by the epochs of `warmup`
        return (*STAGE_SECTIONS[stage], "warmup") if is_longer else STAGE_SECTIONS[stage]

    def resolved(self, stage: str | None = None) -> dict[str, Any]:
        """The recipe as plain values, defaults filled in; of one stage, only the sections that decide it."""
        values = self.model_dump(mode="json")
        if stage is None:
            return values
        kept = {key: values[key] for key in self.deciding(stage)}
        if stage == "dataset":  # encoders do not change the data
            kept["modalities"] = list(values["modalities"])
            kept["task"] = values["task"]["kind"]
        return kept

    def hash(self, stage: str | None = None) -> str:
        """SHA-256 of :meth:`resolved` as canonical JSON, but for `tune`, which decides nothing that a run makes."""
        values = {key: value for key, value in self.resolved(stage).items() if key != "tune"}
        text = json.dumps(values, separators=(",", ":"))  # unsorted: the order of modalities counts
        return hashlib.sha256(text.encode()).hexdigest()


def recipe_model() -> type[Recipe]:
    """The schema with every registered encoder, method, task and source admitted by name."""
    return _model_of(*(tuple(registry) for registry in (ENCODERS, FUSIONS, TASKS, SOURCES)))


@cache
def _model_of(*_names: tuple[str, ...]) -> type[Recipe]:
    """The schema while these names are registered: making it takes as long as reading a recipe."""
    modality = create_model(
        "Modality",
        __base__=ModalityOptions,
        __doc__=ModalityOptions.__doc__,
        encoder=(
            ENCODERS.union(),
            Field(default=MlpOptions(), description=ModalityOptions.model_fields["encoder"].description),
        ),
    )
    inherited = {name: Recipe.model_fields[name].description for name in ("data", "modalities", "task", "fusion")}
    fields: dict[str, Any] = {
        "data": (SOURCES.union(), Field(description=inherited["data"])),
        "modalities": (dict[str, modality], Field(description=inherited["modalities"])),  # type: ignore[valid-type]
        "task": (TASKS.union(), Field(default=ClassificationOptions(), description=inherited["task"])),
        "fusion": (FUSIONS.union(), Field(default=OmibOptions(), description=inherited["fusion"])),
    }
    return create_model("Recipe", __base__=Recipe, __doc__=Recipe.__doc__, **fields)
