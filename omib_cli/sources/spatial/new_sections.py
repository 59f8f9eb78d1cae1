"""New sections of tissue for a trained model: found, and prepared with what its training sections taught."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.dataset_writer import Block, DatasetPlan, ModalityPlan
from omib_cli.errors import RecipeError, UsageError
from omib_cli.recipe.sources.spatial import ColourOptions, DepthOptions, GenesOptions, PatchOptions
from omib_cli.sources.labels import known_labels
from omib_cli.sources.matching import from_bytes
from omib_cli.sources.rows import must_be_ids, must_be_spelt_alike
from omib_cli.sources.spatial.colours import names as names_of_colours
from omib_cli.sources.spatial.expression import (
    GeneChoice,
    columns_like,
    depth_like,
    express_like,
    matched,
    thin,
)
from omib_cli.sources.spatial.finding import found_sections
from omib_cli.sources.spatial.graph import mean_around
from omib_cli.sources.spatial.image_features import Patches, colours_of, planned_patches
from omib_cli.sources.spatial.labels import anomalies
from omib_cli.sources.spatial.reading import Place, neighbours_of, read_new_sections

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.artifacts.prepared import Prepared, PreparedModality
    from omib_cli.recipe.schema import Recipe
    from omib_cli.recipe.sources.spatial import Feature, SpatialOptions


class NewSections:
    """Every section of a folder, labelled or not, with an image or without.

    Parameters
    ----------
    recipe
        The model's own, or with another ``data`` section.
    features
        What each modality is made of.
    input_path
        The folder of the sections; or one section's h5ad file or Space Ranger folder.
    like
        What the model's data were prepared with.

    Raises
    ------
    RecipeError
        No input is named.
    """

    def __init__(
        self, recipe: Recipe, features: Mapping[str, Feature], input_path: Path | None, like: Prepared
    ) -> None:
        if input_path is None:
            raise RecipeError(recipe.name, ["data: name the folder of the new sections"])
        self._recipe, self._features, self._input, self._like = recipe, features, input_path, like
        self._options: SpatialOptions = recipe.data  # type: ignore[assignment]
        self._places: list[Place] | None = None
        self._values: dict[str, NDArray[Any]] = {}
        self._present: dict[str, NDArray[np.bool_]] = {}
        self._patches: dict[str, Patches] = {}
        self._labels: NDArray[np.float64] | None = None
        self.warnings: list[str] = []

    def read(self) -> list[Place]:
        """The sections by name; read once."""
        if self._places is None:
            folder, sections = found_sections(self._options, self._input)
            self._places = read_new_sections(self._options, sections, folder, self.warnings)
        return self._places

    def plan(self) -> DatasetPlan:
        """Read everything but images, match genes by name, scale.

        Raises
        ------
        DataError, MismatchError
            The first thing that cannot be used, with its place.
        """
        import numpy as np

        places = self.read()
        for place in places:
            if self._options.expression.thin is not None:
                thin(place.section, self._options.expression.thin, self._recipe.seed)
        ids = [f"{place.name}_{spot}" for place in places for spot in place.section.spots]
        must_be_ids(ids, len(ids), "the new sections", "spot")
        self._labels = self._known(places, ids)
        facts: dict[str, dict[str, Any]] = {place.name: {"spots": len(place.section.spots)} for place in places}
        plans = {
            name: self._modality(name, self._features[name], one, places, facts)
            for name, one in self._like.modalities.items()
        }
        for place in places:
            self.warnings.extend(note for note in place.section.warnings if note not in self.warnings)
        return DatasetPlan(
            ids=ids,
            split=np.full(len(ids), fmt.ALL_SPLITS.index(fmt.NEW), dtype=np.uint8),
            task=self._recipe.task.kind,
            classes=self._like.classes,
            modalities=plans,
            groups=[place.name for place in places for _ in place.section.spots],
            coordinates=np.concatenate([place.section.positions for place in places]),
            facts={"sections": facts},
        )

    def block(self, start: int, stop: int) -> Block:
        """Rows ``start`` to ``stop``; patches are cut now."""
        assert self._labels is not None, "plan() comes first"
        values: dict[str, NDArray[Any]] = {name: rows[start:stop] for name, rows in self._values.items()}
        present = {name: self._present[name][start:stop] for name in values}
        for name, patches in self._patches.items():
            values[name], present[name] = patches.block(start, stop)
        return Block(values, present, self._labels[start:stop])

    def _known(self, places: list[Place], ids: list[str]) -> NDArray[np.float64]:
        """Labels (N,), NaN where nobody knows them."""
        import numpy as np

        if self._recipe.task.kind == "classification":
            written = [label for place in places for label in place.labels or [""] * len(place.section.spots)]
            return known_labels(written, ids, self._like.classes, "the labels", self.warnings)
        found: list[float] = []
        for place in places:
            if place.labels is None or place.label_options is None:
                found += [np.nan] * len(place.section.spots)
                continue
            said = {*place.labels, *place.label_options.anomalous} - {""}
            must_be_spelt_alike(sorted(said), f"labels of section {place.name}", "labels")
            found += anomalies(place.labels, place.label_options)
        return np.array(found)

    def _modality(
        self,
        name: str,
        feature: Feature,
        like: PreparedModality,
        places: list[Place],
        facts: dict[str, dict[str, Any]],
    ) -> ModalityPlan:
        import numpy as np

        count = sum(len(place.section.spots) for place in places)
        self._must_be_as_trained(name, feature, like)
        self._present[name] = np.ones(count, dtype=bool)
        if isinstance(feature, PatchOptions):
            planned = planned_patches(name, places, feature, facts, self.warnings)
            self._patches[name] = Patches(planned, feature.patch)
            return ModalityPlan(like.shape, like.kind)
        if isinstance(feature, ColourOptions):
            raw, self._present[name] = colours_of(planned_patches(name, places, feature, facts, self.warnings))
            values = columns_like(raw, names_of_colours(), like.fitted, feature)
            values[~self._present[name]] = 0
            values = _smoothed(values, feature.smooth, places)
        elif isinstance(feature, DepthOptions):
            values = self._depth(places, like.fitted["depth_genes"], like.fitted["offset"], like.fitted["scale"])
        else:
            values = self._expression(places, feature, like)
        self._values[name] = values
        neighbours = None
        if isinstance(feature, GenesOptions) and feature.neighbours is not None:
            neighbours = neighbours_of(places, feature.neighbours)
        return ModalityPlan(like.shape, like.kind, like.features, like.fitted, like.config, neighbours=neighbours)

    def _expression(self, places: list[Place], options: GenesOptions, like: PreparedModality) -> NDArray[np.float32]:
        import numpy as np

        choice = GeneChoice.of(like.fitted)
        sections = [place.section for place in places]
        raw = express_like(sections, choice, self._like.allow_missing, self.warnings)
        values = _smoothed(columns_like(raw, choice.chosen, like.fitted, options), options.smooth, places)
        if not options.depth:
            return values
        scaling = (like.fitted[key] for key in ("depth_genes", "depth_offset", "depth_scale"))
        return np.concatenate([values, self._depth(places, *scaling)], axis=1)

    def _depth(
        self, places: list[Place], genes: NDArray[np.uint8], offset: NDArray[np.float64], scale: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        import numpy as np

        names = from_bytes(genes)
        found = [depth_like(matched(place.section, names, self.warnings)[0], offset, scale) for place in places]
        return np.concatenate(found)

    def _must_be_as_trained(self, name: str, feature: Feature, like: PreparedModality) -> None:
        """Refuse a recipe of which this modality is another than the model's."""
        own = self._recipe.data.kind(name) or like.kind
        side = (3, feature.patch, feature.patch) if isinstance(feature, PatchOptions) else like.shape
        if own != like.kind or tuple(side) != like.shape:
            raise UsageError(
                f"modality {name!r} is made of something else than the model's",
                got=f"{feature.feature} {side}",
                expected=f"{like.kind} {like.shape}",
                do="`data.features` must be as in the model's recipe",
            )


def _smoothed(values: NDArray[np.float32], count: int | None, places: list[Place]) -> NDArray[np.float32]:
    return values if count is None else mean_around(values, neighbours_of(places, count))
