"""Sections of tissue to a dataset: one row for each spot, sections one after another."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.dataset_writer import Block, DatasetPlan, ModalityPlan
from omib_cli.errors import DataError, RecipeError
from omib_cli.recipe.sources.spatial import ColourOptions, DepthOptions, GenesOptions, PatchOptions
from omib_cli.sources.labels import class_labels, must_be_seen
from omib_cli.sources.rows import must_be_ids, must_be_spelt_alike
from omib_cli.sources.sheets import counted
from omib_cli.sources.spatial.colours import names as names_of_colours
from omib_cli.sources.spatial.expression import (
    Features,
    columns,
    depth_features,
    express,
    gene_features,
    pooled,
    thin,
    with_depth,
)
from omib_cli.sources.spatial.graph import mean_around
from omib_cli.sources.spatial.image_features import Patches, SectionPatches, colours_of, planned_patches
from omib_cli.sources.spatial.labels import CLASSES, anomalies, must_be_known
from omib_cli.sources.spatial.new_sections import NewSections
from omib_cli.sources.spatial.reading import Place, file_hashes, neighbours_of, read_sections
from omib_cli.sources.splits import remarks
from omib_cli.sources.table_files import input_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.artifacts.prepared import Prepared
    from omib_cli.recipe.schema import Recipe
    from omib_cli.recipe.sources.spatial import Feature, SpatialOptions

TASKS = ("anomaly", "classification")


@dataclass
class _Prepared:
    """What :meth:`SpatialSource.block` hands out."""

    labels: NDArray[np.float64]
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    present: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    patches: dict[str, Patches] = field(default_factory=dict)


class SpatialSource:
    """Space Ranger folders, legacy Spatial Transcriptomics or AnnData files. Expression lives in memory.

    Of images only the patches of the section being written do.

    Parameters
    ----------
    recipe
        Its ``data`` section names the sections and the parts they play.
    input_path
        The folder that file names are relative to.
    like
        What a trained model's data were prepared with: the sections are new ones, and prepared as those were.

    Raises
    ------
    RecipeError
        Modalities that are made of nothing, or a task that spots have no labels for.
    """

    def __init__(self, recipe: Recipe, input_path: Path | None, like: Prepared | None = None) -> None:
        self.recipe = recipe
        self.options = cast("SpatialOptions", recipe.data)
        self._features = _features(recipe, self.options)
        self._new: NewSections | None = None
        if like is not None:
            self._new = NewSections(recipe, self._features, input_path, like)
            return
        self._folder = input_folder(input_path, recipe.name)
        self._places: list[Place] | None = None
        self._prepared: _Prepared | None = None
        self._warnings: list[str] = []

    @property
    def warnings(self) -> list[str]:
        """What was left out, and what is suspicious but legal."""
        return self._new.warnings if self._new else self._warnings

    def files(self) -> dict[str, str]:
        """SHA-256 of every file of every section, by its name relative to the input."""
        return file_hashes(self._new.read() if self._new else self._read())

    def plan(self) -> DatasetPlan:
        """Read, label, divide and normalise; images are looked at but not decoded.

        Raises
        ------
        DataError
            The first thing that cannot be used, with its place.
        """
        import numpy as np

        if self._new:
            return self._new.plan()
        if not any(section.split == "train" for section in self.options.sections.values()):
            raise RecipeError(self.recipe.name, ["data.sections: none of them is for training (`split: train`)"])
        places = self._read()
        anomaly = self.recipe.task.kind == "anomaly"
        targets, classes = self._targets(places)
        facts = self._choose(places, targets)
        for place in places:
            self._warnings.extend(place.section.warnings)
            if self.options.expression.thin is not None:
                thin(place.section, self.options.expression.thin, self.recipe.seed)
        ids = [f"{place.name}_{place.section.spots[spot]}" for place in places for spot in place.kept]
        split = np.concatenate([np.full(len(place.kept), place.split, dtype=np.uint8) for place in places])
        labels = np.concatenate([target[place.kept] for place, target in zip(places, targets, strict=True)])
        if classes:
            must_be_seen(labels, split, classes, "data.labels")
            self._warnings += remarks(split, labels, classes, test=None, validation=None)
        must_be_ids(ids, len(ids), "data.sections", "spot")
        self._prepared = _Prepared(labels)
        modalities = self._modalities(places, split == 0, facts)
        return DatasetPlan(
            ids=ids,
            split=split,
            task=self.recipe.task.kind,
            classes=CLASSES if anomaly else classes,
            modalities={name: modalities[name] for name in self.recipe.modalities},
            groups=[place.name for place in places for _ in place.kept],
            coordinates=np.concatenate([place.section.positions[place.kept] for place in places]),
            facts={"sections": facts},
        )

    def block(self, start: int, stop: int) -> Block:
        """Rows ``start`` to ``stop``; patches are cut now."""
        if self._new:
            return self._new.block(start, stop)
        prepared = self._prepared
        assert prepared is not None, "plan() comes first"
        values: dict[str, NDArray[Any]] = {name: rows[start:stop] for name, rows in prepared.vectors.items()}
        present = {name: prepared.present[name][start:stop] for name in values}
        for name, patches in prepared.patches.items():
            values[name], present[name] = patches.block(start, stop)
        return Block(values, present, prepared.labels[start:stop])

    def _read(self) -> list[Place]:
        """The sections, ordered by split; read once."""
        if self._places is None:
            self._places = read_sections(self.options, self._folder)
        return self._places

    def _targets(self, places: list[Place]) -> tuple[list[NDArray[np.float64]], list[str]]:
        """The label of every spot, NaN where it has none, by section; and the names of the classes."""
        import numpy as np

        found = {label for place in places for label in place.labels or [] if label}
        if self.recipe.task.kind == "anomaly":
            for place in places:
                if place.labels is not None and place.label_options is not None:
                    must_be_known(place.label_options.anomalous, found)
            return [
                np.array(anomalies(place.labels, place.label_options))
                if place.labels is not None and place.label_options is not None
                else np.full(len(place.section.spots), np.nan)
                for place in places
            ], []
        if not found:
            raise DataError(
                "no spot has a label",
                where="data.labels",
                do="name a table of labels, or set `task.kind: anomaly`, which can do without",
            )
        must_be_spelt_alike(sorted(found), "data.labels", "classes")
        known, classes = class_labels(sorted(found), "data.labels")
        index = dict(zip(sorted(found), known.tolist(), strict=True))
        return [
            np.array([index.get(label, np.nan) for label in place.labels or [""] * len(place.section.spots)])
            for place in places
        ], classes

    def _choose(self, places: list[Place], targets: list[NDArray[np.float64]]) -> dict[str, dict[str, Any]]:
        """Decide which spots are in the dataset; what is known of each section, for the file and for the user."""
        import numpy as np

        facts: dict[str, dict[str, Any]] = {}
        for place, target in zip(places, targets, strict=True):
            unknown = np.isnan(target)
            keep = ~unknown if self.recipe.task.kind == "classification" else self._normal(place, target)
            place.kept = np.flatnonzero(keep)
            counts = {"spots": len(place.kept), "patient": place.patient, "split": fmt.SPLITS[place.split]}
            if self.recipe.task.kind == "anomaly":
                counts |= {"anomalous": int((target[keep] == 1).sum()), "normal": int((target[keep] == 0).sum())}
                left = {"labelled anomalous": int((target[~keep] == 1).sum())}
            else:
                left = {}
            left["without a label"] = int(unknown[~keep].sum())
            for why, count in left.items():
                if count:
                    part = fmt.SPLITS[place.split]
                    self._warnings.append(f"{place.name}: {counted(count, 'spot')} {why}: not used in {part}")
            facts[place.name] = counts | {"left_out": {why: count for why, count in left.items() if count}}
        return facts

    def _normal(self, place: Place, target: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which spots of a section may be used for detecting anomalies (all of a test section, or without labels)."""
        import numpy as np

        everything = np.ones(len(target), dtype=bool)
        if fmt.SPLITS[place.split] == "test" or place.labels is None:
            return everything
        where = f"{place.section.where}, section {place.name}"
        if self.options.train_on == "all":
            if count := int((target == 1).sum()):
                raise DataError(
                    f"{counted(count, 'labelled anomaly' if count == 1 else 'labelled anomalie')} in the "
                    f"{fmt.SPLITS[place.split]} split",
                    where=where,
                    got=f"{count} of {len(target)} spots",
                    expected="normal spots only: what is learnt is what normal is",
                    do="set `data.train_on: normal`, which leaves them out",
                )
            return everything
        normal: NDArray[np.bool_] = target == 0
        if not normal.any():
            raise DataError(
                "a section without a single normal spot",
                where=where,
                got=f"{int((target == 1).sum())} spots labelled anomalous, {int(np.isnan(target).sum())} without label",
                expected=f"normal spots in every section of the {fmt.SPLITS[place.split]} split",
                do="make it a test section, leave it out, or look at `labels.anomalous`",
            )
        return normal

    def _modalities(
        self, places: list[Place], training: NDArray[np.bool_], facts: dict[str, dict[str, Any]]
    ) -> dict[str, ModalityPlan]:
        import numpy as np

        assert self._prepared is not None
        plans: dict[str, ModalityPlan] = {}
        everywhere = np.ones(len(training), dtype=bool)
        vectors = {name: one for name, one in self._features.items() if isinstance(one, GenesOptions | DepthOptions)}
        if vectors:
            counts, genes = pooled([place.section for place in places], self._warnings)
            rows = np.concatenate([place.kept + place.offset for place in places])
            counts = counts[rows]
            numbers = np.repeat(np.arange(len(places)), [len(place.kept) for place in places])
            expression = None
            for name, options in vectors.items():
                if isinstance(options, DepthOptions):
                    features = depth_features(counts, genes, training)
                else:
                    expression = expression or express(counts, genes, training, numbers, self.options.expression)
                    features = _smoothed(gene_features(expression, options), options.smooth, places)
                    features = with_depth(features, counts, genes, training) if options.depth else features
                plans[name] = self._vector(name, features, everywhere, options, places)
        for name, feature in self._features.items():
            if isinstance(feature, PatchOptions):
                self._prepared.patches[name] = Patches(self._with_images(name, places, feature, facts), feature.patch)
                plans[name] = ModalityPlan((3, feature.patch, feature.patch), fmt.IMAGE)
            elif isinstance(feature, ColourOptions):
                features, present = self._colours(name, places, feature, training, facts)
                plans[name] = self._vector(name, features, present, feature, places)
        return plans

    def _vector(
        self,
        name: str,
        features: Features,
        present: NDArray[np.bool_],
        options: GenesOptions | ColourOptions | DepthOptions,
        places: list[Place],
    ) -> ModalityPlan:
        assert self._prepared is not None
        self._prepared.vectors[name], self._prepared.present[name] = features.values, present
        return _vector_plan(features, options, places)

    def _colours(
        self,
        name: str,
        places: list[Place],
        options: ColourOptions,
        training: NDArray[np.bool_],
        facts: dict[str, dict[str, Any]],
    ) -> tuple[Features, NDArray[np.bool_]]:
        """Colours of every spot, zeros where a section has no image, and where there are any."""
        values, present = colours_of(self._with_images(name, places, options, facts))
        if not (training & present).any():
            raise DataError(
                f"no training section has an image for modality {name!r}",
                where="data.files",
                do="name the images with `data.files.image`, or take the modality out",
            )
        features = columns(values, names_of_colours(), training & present, options)
        features.values[~present] = 0
        return _smoothed(features, options.smooth, places), present

    def _with_images(
        self, name: str, places: list[Place], options: PatchOptions | ColourOptions, facts: dict[str, dict[str, Any]]
    ) -> list[SectionPatches]:
        found = planned_patches(name, places, options, facts, self._warnings)
        if all(one.plan is None for one in found):
            raise DataError(
                f"no section has an image for modality {name!r}",
                where="data.files",
                do="name the images with `data.files.image`, or take the modality out",
            )
        return found


def _features(recipe: Recipe, options: SpatialOptions) -> dict[str, Feature]:
    found = {name: options.feature(name) for name in recipe.modalities}
    problems = [
        f"modalities.{name}: made of what? name it genes, image, colours or depth, or say it: "
        f"`data.features.{name}: {{feature: genes}}`"
        for name, feature in found.items()
        if feature is None
    ]
    problems += [
        f"data.features.{name}: no modality bears this name ({', '.join(recipe.modalities)})"
        for name in options.features
        if name not in recipe.modalities
    ]
    if recipe.task.kind not in TASKS:
        problems.append(f"task.kind: spots have labels for {' and '.join(TASKS)}, not for {recipe.task.kind}")
    if problems:
        raise RecipeError(recipe.name, problems)
    return {name: feature for name, feature in found.items() if feature is not None}


def _smoothed(features: Features, count: int | None, places: list[Place]) -> Features:
    """Each spot's mean with ``count`` nearest spots; a section without an image has neighbours without one."""
    if count is None:
        return features
    return Features(mean_around(features.values, neighbours_of(places, count)), features.names, features.fitted)


def _vector_plan(
    features: Features, options: GenesOptions | ColourOptions | DepthOptions, places: list[Place]
) -> ModalityPlan:
    shape = (features.values.shape[1],)
    if not isinstance(options, GenesOptions) or options.neighbours is None:
        return ModalityPlan(shape, fmt.VECTOR, features.names, features.fitted)
    neighbours = neighbours_of(places, options.neighbours)
    return ModalityPlan(shape, fmt.GRAPH, features.names, features.fitted, neighbours=neighbours)
