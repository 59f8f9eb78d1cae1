"""A run of a grid, and how runs are started."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from omib_cli.artifacts.record import RunRecord
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.sources.common import FoldOptions
from omib_cli.recipe.sources.simulation import SimulationOptions
from omib_cli.stages.run import EMBEDDING, Until
from omib_cli.stages.source_files import read_input_key
from omib_cli.stages.variants import Variant

SHARED = "shared"
"""The folder, inside the grid's, of datasets and estimates that several cells use."""


@dataclass(frozen=True)
class Watch:
    """A trial of a study, whose epochs are compared with those of the trials before.

    Attributes
    ----------
    journal, study, number
        The study's file, its name, the trial's number.
    metric
        Which metric of the validation split is compared.
    every
        After how many epochs.
    first
        The epoch before which no trial is pruned.
    """

    journal: Path
    study: str
    number: int
    metric: str
    every: int
    first: int


@dataclass(frozen=True, eq=False)
class Cell:
    """One run of the grid.

    Attributes
    ----------
    reference
        The recipe's bundled name or file.
    recipe
        What it comes to.
    fold
        Which fold it tests, in a cross-validation.
    watch
        Of a trial that may be pruned: where its epochs are compared with those of others.
    inner_score
        Of settings that were chosen inside the fold: the score that chose them.
    """

    reference: str
    variant: Variant
    seed: int
    recipe: Recipe
    overrides: tuple[str, ...]
    folder: Path
    fold: FoldOptions | None = None
    watch: Watch | None = None
    inner_score: float | None = None

    @property
    def name(self) -> str:
        """For the terminal."""
        return f"{self.recipe.name} {self.variant.name} {self.folder.name.replace('-', ' ')}"

    @property
    def embedding(self) -> Path:
        """What its predictions are read from."""
        return self.folder / EMBEDDING

    @property
    def record(self) -> RunRecord:
        """How it went so far."""
        return RunRecord.of(self.folder, self.recipe.hash())


@dataclass(frozen=True)
class Launch:
    """How cells are started: the input of their recipes, the device, the threads and the bytes for samples of each.

    Attributes
    ----------
    until
        With which artifact each ends.
    apart
        Whether each is a process of its own; else cells of small data share processes, which load torch once.
    """

    out: Path
    input_path: Path | None = None
    device: str = "auto"
    threads: int = 1
    memory: int | None = None
    until: Until = "report"
    apart: bool = True
    _input_keys: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def shared(self) -> Path:
        """Where datasets and estimates are that several cells use."""
        return self.out / SHARED

    def is_done(self, cell: Cell) -> bool:
        """Whether a cell has run to its end, on this input: at the same path, with the same content.

        Raises
        ------
        RecipeError, DataError
            It has, and the input cannot be read, so that nobody can say.
        """
        record = cell.record
        return record.state == "done" and (
            isinstance(cell.recipe.data, SimulationOptions) or record.input == self.input_key(cell.recipe)
        )

    def input_key(self, recipe: Recipe) -> str:
        """What a recipe reads, as it is now: path and content; nothing where it reads no files.

        Raises
        ------
        RecipeError, DataError
            The input cannot be read.
        """
        if isinstance(recipe.data, SimulationOptions):
            return ""
        values = recipe.resolved()["data"]
        values.pop("split", None)  # decides which samples are for what, and not what is read
        read = json.dumps([values, list(recipe.modalities), recipe.task.kind])
        if read not in self._input_keys:  # files are many and large, and most cells have them in common
            self._input_keys[read] = read_input_key(recipe, self.input_path)
        return self._input_keys[read]

    def words(self, cell: Cell) -> list[str]:
        """The command line of a cell, after the name of the program."""
        words = ["run", cell.reference, "--seed", str(cell.seed), "--out", str(cell.folder)]
        words += ["--shared", str(self.shared), "--threads", str(self.threads), "--device", self.device]
        words += ["--input", str(self.input_path)] if self.input_path is not None else []
        words += ["--memory", f"{self.memory // 2**20}M"] if self.memory is not None else []
        words += [] if self.until == "report" else ["--no-report"]
        for override in cell.overrides:
            words += ["--set", override]
        return [*words, "--quiet"]
