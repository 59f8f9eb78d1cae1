"""Gaussian modalities whose task-relevant and superfluous parts are known (Appendix F; Appendix D for three).

Two modalities: x1 = [b0; b1; a0; a1] and x2 = [b0; b2; a0; a2] (Equation 101), y = 1[<delta, [a0; a1; a2]> > 0]
(Equation 103). Every block of rows is a function of the seed and its position alone: a sample's values depend
neither on how many samples there are nor on what was generated before.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, cast, overload

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.dataset_writer import Block, DatasetPlan, ModalityPlan
from omib_cli.errors import RecipeError, UsageError
from omib_cli.runtime.seeds import derive_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.artifacts.prepared import Prepared
    from omib_cli.recipe.schema import Recipe
    from omib_cli.recipe.sources.simulation import SimulationOptions

TWO = {"0": (0, 1), "1": (0,), "2": (1,)}
"""Which modalities (counted from 0) hold part a_i and part b_i, where there are two (Appendix F)."""
THREE = {"00": (0, 1, 2), "12": (0, 1), "13": (0, 2), "23": (1, 2), "11": (0,), "22": (1,), "33": (2,)}
"""The same for three (Assumption D.1): a_00 in all, a_ij in modalities i and j, a_ii in i alone."""

FEW = 100
"""Below so many samples a class may be absent by chance, so that it is worth looking."""


class SimulationSource:
    """The simulated data sets of the paper, in any size.

    Parameters
    ----------
    recipe
        Its ``data`` section is a simulation.
    input_path
        Not used: a simulation reads nothing.
    like
        A trained model, for which no files of new samples can be read.

    Raises
    ------
    UsageError
        New samples are asked for.
    """

    def __init__(self, recipe: Recipe, input_path: Path | None = None, like: Prepared | None = None) -> None:
        if like is not None:
            raise UsageError(
                "the model was trained on simulated data, of which there are no files",
                where=like.path,
                do="omib simulate, then omib embed",
            )
        self.options = cast("SimulationOptions", recipe.data)
        self.seed = recipe.seed
        self.warnings: list[str] = []
        self.names = list(recipe.modalities)
        self.sizes = self.options.sizes
        holders = THREE if "a00" in self.sizes else TWO
        self.parts = {  # the parts of each modality, in the order of its columns
            name: [f"{kind}{part}" for kind in "ba" for part, holding in holders.items() if index in holding]
            for index, name in enumerate(self.names)
        }
        self.relevant = [part for part in self.sizes if part.startswith("a")]
        self._drawn = _ranges(list(self.sizes), self.sizes)
        self._recipe = recipe

    def files(self) -> dict[str, str]:
        """Nothing is read."""
        return {}

    def plan(self) -> DatasetPlan:
        """Sizes, splits and the truth.

        Raises
        ------
        RecipeError
            Sizes that leave a modality or a split empty, or a task other than classification.
        """
        import numpy as np

        counts = self._split_counts()
        self._must_be_possible(counts)
        return DatasetPlan(
            ids=_Numbered(range(self.options.samples)),
            split=np.repeat(np.arange(len(fmt.SPLITS), dtype=np.uint8), counts),
            task=self._recipe.task.kind,
            classes=["0", "1"],
            modalities={
                name: ModalityPlan(
                    (self._width(name),),
                    features=[f"{part}_{index}" for part in parts for index in range(self.sizes[part])],
                )
                for name, parts in self.parts.items()
            },
            delta=self.delta(),
            facts={fmt.TRUTH: self.truth()},
        )

    def truth(self) -> dict[str, object]:
        """Where each part is: ``columns[modality][part]`` and ``delta_columns[part]`` are [start, stop]."""
        return {
            "sizes": self.sizes,
            "relevant": self.relevant,
            "columns": {name: _ranges(parts, self.sizes) for name, parts in self.parts.items()},
            "delta_columns": _ranges(self.relevant, self.sizes),
        }

    def delta(self) -> NDArray[np.float64]:
        """The normal of the separating hyperplane, drawn once per data set: (columns of all a parts,) float64."""
        import numpy as np

        generator = np.random.Generator(np.random.Philox(key=derive_seed(self.seed, "simulate", "delta")))
        return generator.standard_normal(sum(self.sizes[part] for part in self.relevant))

    def block(self, start: int, stop: int) -> Block:
        """Rows ``start`` to ``stop``: values (rows, d_i) by modality and labels (rows,)."""
        import numpy as np

        first = start - start % fmt.BLOCK_ROWS
        pieces = [self._draw(at, min(stop, at + fmt.BLOCK_ROWS) - at) for at in range(first, stop, fmt.BLOCK_ROWS)]
        drawn = (pieces[0] if len(pieces) == 1 else np.concatenate(pieces))[start - first :]
        parts = {part: drawn[:, begin:end] for part, (begin, end) in self._drawn.items()}
        relevant = np.concatenate([parts[part] for part in self.relevant], axis=1)
        score = relevant.astype(np.float64) @ self.delta()  # in double: no label hangs on the order of a sum
        return Block(
            values={name: np.concatenate([parts[part] for part in own], axis=1) for name, own in self.parts.items()},
            present={name: np.ones(stop - start, dtype=bool) for name in self.names},
            labels=(score > 0).astype(np.float64),
        )

    def _draw(self, first: int, rows: int) -> NDArray[np.float32]:
        """The first ``rows`` rows of the block that starts at row ``first``: (rows, columns of all parts)."""
        import numpy as np

        key = derive_seed(self.seed, "simulate", first // fmt.BLOCK_ROWS)
        generator = np.random.Generator(np.random.Philox(key=key))
        return generator.standard_normal((rows, sum(self.sizes.values())), dtype=np.float32)

    def _width(self, modality: str) -> int:
        return sum(self.sizes[part] for part in self.parts[modality])

    def _split_counts(self) -> list[int]:
        options = self.options
        test = round(options.samples * options.test)
        validation = round((options.samples - test) * options.validation)
        return [options.samples - test - validation, validation, test]

    def _must_be_possible(self, counts: list[int]) -> None:
        problems = [
            f"data.parts: modality {name!r} would have no column (all of {' '.join(parts)} are 0)"
            for name, parts in self.parts.items()
            if not self._width(name)
        ]
        if self._recipe.task.kind != "classification":
            problems.append(
                f"task.kind: a simulation has two classes, so `classification`, not {self._recipe.task.kind!r}"
            )
        shares = {"train": 1.0, "validation": self.options.validation, "test": self.options.test}
        for (split, share), count in zip(shares.items(), counts, strict=True):
            if count < (2 if split == "train" else 1) and share > 0:
                problems.append(f"data.samples: {self.options.samples} leave {count} for {split}; simulate more")
        if not problems and counts[0] < FEW and len(set(self.block(0, counts[0]).labels)) < 2:
            problems.append(f"data.samples: the {counts[0]} training samples are all of one class; simulate more")
        if problems:
            raise RecipeError(self._recipe.name, problems)


class _Numbered(Sequence[str]):
    """The samples' ids, made when they are asked for: a million names take as much memory as a thousand samples."""

    def __init__(self, numbers: range) -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [f"s{index:07d}" for index in self._numbers[place]]
        return f"s{self._numbers[place]:07d}"


def _ranges(parts: list[str], sizes: dict[str, int]) -> dict[str, list[int]]:
    """[start, stop] of each part when they stand side by side; equal numbers for a part of no columns."""
    edges = accumulate((sizes[part] for part in parts), initial=0)
    return {part: list(edge) for part, edge in zip(parts, pairwise(edges), strict=True)}
