"""Options of the ``spatial`` source: sections of tissue with counts, positions, images and labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from omib_cli.recipe.options import Count, Options, Positive
from omib_cli.recipe.sources.common import NONE, SourceOptions, SplitName


class LayoutOptions(Options):
    """What every layout has in common; `{section}` in a file name stands for the name of the section."""

    layout: str
    image: str | None = None
    """The histology image: TIFF, JPEG or PNG of 8 bits, RGB or grey; what is transparent is white. `none`: no image."""
    full_width: Annotated[int, Field(ge=1)] | None = None
    """Width in pixels of the image that the positions refer to, where `image` is a smaller version of it."""
    pitch_um: Positive = 100.0
    """Distance between the centres of neighbouring spots in micrometres: what gives images their scale."""


class SpaceRangerOptions(LayoutOptions):
    """The output folder of 10x Genomics Space Ranger: counts, and `spatial/` with positions and images."""

    layout: Literal["space-ranger"] = "space-ranger"
    folder: str = "{section}"
    """The folder of a section; `.` for `--input` itself."""
    counts: str | None = None
    """The matrix in it, a folder or an .h5 file; None takes `filtered_feature_bc_matrix` or its .h5 file."""


class LegacyOptions(LayoutOptions):
    """Legacy Spatial Transcriptomics: counts with spots `XxY` in rows, and a file of the spots' positions."""

    layout: Literal["legacy"] = "legacy"
    counts: str = "counts/{section}.tsv.gz"
    """Raw counts, genes in columns."""
    spots: str = "spots/{section}_selection.tsv"
    """Positions: columns x, y (array), pixel_x, pixel_y (image) and, where there is one, selected (0: left out)."""
    pitch_um: Positive = 200.0
    """Distance between the centres of neighbouring spots in micrometres: what gives images their scale."""


class H5adOptions(LayoutOptions):
    """An AnnData file with raw counts in X (or a layer) and positions in `obsm`."""

    layout: Literal["h5ad"] = "h5ad"
    file: str = "{section}.h5ad"
    """The file of a section."""
    layer: str | None = None
    """Where the raw counts are: X where None, else `raw` or the name of a layer."""
    positions: str = "spatial"
    """The name in `obsm` of the positions in pixels."""
    genes: str | None = None
    """The column of `var` that names genes as the other sections name them; the index where None. Genes without a name
    are left out."""


class SpotLabelOptions(Options):
    """What pathologists say about spots, in a table or in a column of `obs`."""

    file: str | None = None
    """CSV or TSV; `{section}` stands for the name of the section; None takes a column of the h5ad file's `obs`."""
    column: str = "label"
    """The column of the label."""
    spot: str | None = None
    """The column of spot names; None joins on array coordinates, the rounded columns `x` and `y`."""
    section: str | None = None
    """The column of section names, where one table holds several sections; without it a table is of one section."""
    anomalous: list[str] = []
    """The labels that mean an anomaly, for `task.kind: anomaly`; at least one. All others are normal."""


Layout = Annotated[SpaceRangerOptions | LegacyOptions | H5adOptions, Field(discriminator="layout")]


class SectionOptions(Options):
    """A section of tissue; `files` and `labels` replace those of the source."""

    split: SplitName
    """The split that the section is in; a section is never divided."""
    patient: str | None = None
    """Whose tissue it is: all sections of a patient are in one split. None: of a patient of its own."""
    files: Layout | None = None
    """Where its files are, if not where the others' are."""
    labels: SpotLabelOptions | Literal["none"] | None = None
    """Where its labels are, if not where the others' are; `none` if it has none."""
    image: str | Literal["none"] | None = None
    """Its image, if it is not named as the others' are; `none` if it has none."""
    full_width: Count | None = None
    """Width in pixels of the image that its positions refer to, where its image is a smaller version."""


class ExpressionOptions(Options):
    """From raw counts to expression, fitted on the training spots alone, in this order."""

    thin: Count | None = None
    """Most counts of a spot: the others are thinned to it at random, without replacement, before anything else."""
    min_spots: Count = 10
    """Genes found in fewer training spots are left out."""
    target_sum: Positive | Literal["median"] = "median"
    """Library size to which every spot is scaled; `median` is that of the training spots."""
    top_genes: Count = 3000
    """Highly variable genes to keep (scanpy's flavour `seurat`, on log-normalised values)."""
    top_genes_from: Literal["training", "first"] = "training"
    """Where variability is measured: within each training section, or in the first of them alone (as published)."""


class ColumnsOptions(Options):
    """Columns of numbers: as they are, or their principal components."""

    feature: str
    components: Count | None = None
    """Number of principal components, fitted on the training spots; None keeps the columns."""
    standardise: bool = True
    """Whether each column has mean 0 and variance 1 over the training spots."""
    whiten: bool = False
    """Whether each principal component has variance 1 over the training spots."""
    smooth: Count | None = None
    """Last, replace each spot by the mean of itself and this many nearest spots of its section: what a spot shares with
    those around it stays, what only it has, chance above all, goes."""

    @model_validator(mode="after")
    def _only_components_are_whitened(self) -> ColumnsOptions:
        if self.whiten and self.components is None:
            raise ValueError("`whiten` needs `components`")
        return self


class GenesOptions(ColumnsOptions):
    """Log-normalised expression of the highly variable genes, or its principal components."""

    feature: Literal["genes"] = "genes"
    depth: bool = False
    """Whether ln(1 + total counts) is one more column, mean 0 and variance 1 over the training spots, not smoothed."""
    neighbours: Count | None = None
    """Join each spot with this many nearest spots of its section: kind `graph`; None: kind `vector`."""


class ColourOptions(ColumnsOptions):
    """Colours around each spot: mean, standard deviation and median of the patch in RGB, HSV and three stains."""

    feature: Literal["colours"] = "colours"
    patch: Annotated[int, Field(ge=4)] = 32
    """Side of the patch in pixels."""
    mpp: Positive | None = None
    """Micrometres per pixel to which every section's image is brought; None takes each image as it is."""


class PatchOptions(Options):
    """A square of the histology image around each spot, RGB."""

    feature: Literal["image"] = "image"
    patch: Annotated[int, Field(ge=4)] = 32
    """Side of the square in pixels."""
    mpp: Positive | None = None
    """Micrometres per pixel to which every section's image is brought; None takes each image as it is."""


class DepthOptions(Options):
    """Sequencing depth: log of total counts and of detected genes, which normalisation takes out of expression."""

    feature: Literal["depth"] = "depth"


Feature = Annotated[GenesOptions | PatchOptions | ColourOptions | DepthOptions, Field(discriminator="feature")]


class SpatialOptions(SourceOptions):
    """Spatial transcriptomics with histology: sections of spots with counts, positions, image and labels."""

    source: Literal["spatial"] = "spatial"
    files: Layout = SpaceRangerOptions()
    """Where the files of a section are."""
    labels: SpotLabelOptions | None = None
    """Where the labels are, if there are any."""
    sections: dict[str, SectionOptions]
    """The sections by name."""
    train_on: Literal["normal", "all"] = "normal"
    """Anomaly detection: of a labelled section in training or validation, `normal` takes the spots labelled normal and
    leaves out the others; `all` takes every spot and is refused where some are labelled anomalous."""
    expression: ExpressionOptions = ExpressionOptions()
    """From counts to expression."""
    features: dict[str, Feature] = {}
    """What each modality is made of; modalities named genes, image, colours and depth need no entry."""

    @model_validator(mode="after")
    def _one_split_for_each_patient(self) -> SpatialOptions:
        splits: dict[str, dict[str, str]] = {}
        for name, section in self.sections.items():
            splits.setdefault(section.patient or name, {})[section.split] = name
        cut = [patient for patient, sides in splits.items() if len(sides) > 1]
        if cut:
            shown = ", ".join(f"{section} in {split}" for split, section in splits[cut[0]].items())
            raise ValueError(f"patient {cut[0]!r} is on two sides ({shown}): its sections belong in one split")
        return self

    def renamed(self, files: Mapping[str, str], labels: str | None) -> SpatialOptions:
        """These options with another table of labels, for all sections alike; see :class:`SourceOptions`."""
        own = super().renamed(files, None)
        if labels is None:
            return own
        sections = {name: section.model_copy(update={"labels": None}) for name, section in self.sections.items()}
        if labels == NONE:
            return own.model_copy(update={"labels": None, "sections": sections})
        said = [one for one in (self.labels, *(section.labels for section in self.sections.values())) if one]
        options = next((one for one in said if isinstance(one, SpotLabelOptions)), SpotLabelOptions())
        file, colon, column = labels.rpartition(":")
        changed = {"file": file, "column": column} if colon and file else {"file": labels}
        return own.model_copy(update={"labels": options.model_copy(update=changed), "sections": sections})

    def kind(self, modality: str) -> str | None:
        """An image, where it is made of one."""
        return "image" if isinstance(self.feature(modality), PatchOptions) else None

    def feature(self, modality: str) -> GenesOptions | PatchOptions | ColourOptions | DepthOptions | None:
        """What a modality is made of, by its entry or by its name; None where neither says."""
        named = {"genes": GenesOptions, "image": PatchOptions, "colours": ColourOptions, "depth": DepthOptions}
        default = named.get(modality)
        return self.features.get(modality) or (default() if default is not None else None)
