"""A recipe in plain words: what each part will do, a line or two each."""

from __future__ import annotations

from omib_cli.recipe.encoders import EncoderOptions, MlpOptions, ResNetOptions
from omib_cli.recipe.fusion import OmibOptions
from omib_cli.recipe.information import BetaOptions
from omib_cli.recipe.options import Options
from omib_cli.recipe.phases import PhaseOptions
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.sources.common import InnerFoldOptions, LabelOptions, SourceOptions, SplitOptions
from omib_cli.recipe.sources.media import ClipOptions
from omib_cli.recipe.sources.simulation import SimulationOptions
from omib_cli.recipe.sources.tables import TablesOptions
from omib_cli.recipe.tasks import ClassificationOptions, RegressionOptions

Lines = dict[str, str]
"""What is said of each part, by its name."""


def explain(recipe: Recipe) -> Lines:
    """What a recipe will do, by part: data, split, preprocessing, task, encoders, and so on to the report."""
    said = {"data": _data(recipe)}
    said |= _divided(recipe.data)
    said["task"] = _task(recipe)
    said |= {f"encoder {name}": _encoder(modality.encoder) for name, modality in recipe.modalities.items()}
    said["fusion"] = _fusion(recipe)
    if recipe.warms_up:
        said["warm-up"] = f"each encoder with a head of its own (Algorithm 1): {_phase(recipe.warmup)}"
    if recipe.fusion.uses_beta and recipe.beta.policy != "value":
        said["information"] = _information(recipe)
    if recipe.fusion.uses_beta:
        said["beta"] = _beta(recipe.beta)
    said["training"] = f"the whole network: {_phase(recipe.main_phase)}"
    said["evaluation"] = (
        "one embedding and one prediction for each sample; metrics on the test split"
        + (f" with 95 % intervals from {recipe.evaluate.bootstrap:,} resamples" if recipe.evaluate.bootstrap else "")
        + f"; a map of the embedding by {recipe.evaluate.projection.upper()}"
    )
    return said


def _data(recipe: Recipe) -> str:
    data = recipe.data
    if isinstance(data, TablesOptions):
        tables = ", ".join(f"{name} from {_files(data.tables[name].files)}" for name in recipe.modalities)
        how = "matched by id; one that lacks a modality is kept and masked" if data.join == "id" else "matched by row"
        return f"{tables}; labels: {_label(data.labels)}; samples are {how}"
    if isinstance(data, SimulationOptions):
        return f"{data.samples:,} simulated samples of {len(recipe.modalities)} Gaussian modalities of known truth"
    return f"{_first_line(data)}: {', '.join(recipe.modalities)}"


def _files(files: object) -> str:
    """One file, several, or these for each split, in words."""
    if isinstance(files, dict):
        return ", ".join(f"{_files(own)} ({split})" for split, own in files.items())
    return " + ".join(files) if isinstance(files, list) else str(files)


def _label(labels: LabelOptions) -> str:
    column = f"column {labels.column!r} of {_files(labels.files)}"
    if labels.event_column is not None:
        meaning = " or ".join(labels.event_values)
        column += f" (time), event in {labels.event_column!r}" + (f" ({meaning})" if meaning else "")
    return column + (f", groups in {labels.group!r}" if labels.group else "")


def _divided(data: SourceOptions) -> Lines:
    """Split and preprocessing, as far as the source has options of them."""
    said: Lines = {}
    split = getattr(data, "split", None)
    if isinstance(split, SplitOptions):
        said["split"] = _split(split)
    if isinstance(data, TablesOptions):
        said["preprocessing"] = "; ".join([*_steps(data), _preprocessing(data)])
    if isinstance(data, ClipOptions):
        audio, video = data.audio, data.video
        said["preprocessing"] = (
            f"sound: {audio.seconds:g} s at {audio.rate:,} Hz as a log-spectrogram; "
            f"film: {video.frames} frames of {video.size} x {video.size} pixels"
        )
    return said


def _split(split: SplitOptions) -> str:
    ways = {
        "given": "as the files or a column of the labels say",
        "random": "drawn at random",
        "stratified": "drawn so that each class, or range of values, keeps its share",
        "group": "drawn by whole groups, none of which is on two sides",
    }
    share = split.validation_share
    validation = f"; {share:.0%} of the rest for validation" if share else ""
    if isinstance(split.validation, InnerFoldOptions):
        validation = f"; fold {split.validation.number} of {split.validation.folds} of the rest validates"
    if split.fold is not None:
        one = split.fold
        tested = f"fold {one.number} of {one.folds} is the test, in division {one.repeat} of all samples, groups whole"
        return tested + validation
    test = "" if split.by == "given" else f"; {split.test:.0%} of the samples for the test"
    return f"{ways[split.by]}{test}{validation}"


def _steps(data: TablesOptions) -> list[str]:
    """The steps of each table that has some."""
    stepped = {name: [step.kind for step in table.preprocess] for name, table in data.tables.items()}
    return [f"{name}: {', then '.join(kinds)}" for name, kinds in stepped.items() if kinds]


def _preprocessing(data: TablesOptions) -> str:
    ways = {
        "zscore": "each feature to mean 0 and deviation 1",
        "minmax": "each feature to 0 ... 1",
        "block": "features to mean 0, and all of a table by one number to a mean variance of 1",
        "none": "features stay as they are",
    }
    own = {name: table.standardise for name, table in data.tables.items() if table.standardise}
    scaled = "; ".join([ways[data.standardise], *(f"{name}: {ways[way]}" for name, way in own.items())])
    missing = "missing values are an error" if data.impute == "refuse" else f"missing values become the {data.impute}"
    constant = {"refuse": "are an error", "drop": "are dropped", "keep": "are kept"}[data.constant]
    return f"{scaled}; {missing}; constant features {constant}; all of it fitted on the training split alone"


def _task(recipe: Recipe) -> str:
    task = recipe.task
    if isinstance(task, RegressionOptions):
        ways = {"l1": "absolute error", "mse": "squared error", "gaussian": "a Gaussian's likelihood"}
        return f"regression: one number, {ways[task.loss]}"
    if isinstance(task, ClassificationOptions):
        how = "every class of the same weight" if task.weights == "balanced" else "classes by weights of their own"
        return "classification: one of the classes, cross-entropy" + (f", {how}" if task.weights else "")
    return _first_line(task)


def _encoder(options: EncoderOptions) -> str:
    parts = [f"{options.kind}, encoding {options.width} wide"]
    if isinstance(options, MlpOptions):
        hidden = " and ".join(map(str, options.hidden))
        parts = [f"a network of hidden width {hidden}" if hidden else "a linear map", f"encoding {options.width} wide"]
        parts += [f"{options.input_dropout:.0%} of the input dropped out"] if options.input_dropout else []
        parts += [f"{options.dropout:.0%} of the encoding dropped out"] if options.dropout else []
    elif isinstance(options, ResNetOptions):
        parts = [f"ResNet-18 with {options.channels} channels at first", f"encoding {options.width} wide"]
        parts += [f"pretrained weights of {options.weights}"] if options.weights else []
    return ", ".join(parts)


def _fusion(recipe: Recipe) -> str:
    fusion = recipe.fusion
    if not isinstance(fusion, OmibOptions):
        return f"{fusion.method}: {_first_line(fusion)}"
    latent = fusion.latent or next(iter(recipe.modalities.values())).encoder.width
    how = {
        "tokens": "cross-attention over one token per modality",
        "single": "cross-attention of a single concatenated token",
        "cross": "attention of each modality to the others",
        "none": "a linear map of the concatenation",
    }[fusion.attention]
    weight = "relative weights r adjusted while training" if fusion.relative_weight == "dynamic" else "r = 1"
    return f"OMIB: a bottleneck {latent} wide for each modality, made one embedding by {how}; {weight}"


def _information(recipe: Recipe) -> str:
    options = recipe.information
    what = {"auto": "the data", "raw": "the data", "encodings": "the encodings", "pca": "principal components"}
    return (
        f"entropy of each modality and information between them, from {what[options.input]}, by {options.estimator} "
        f"(mean of {options.seeds} repetitions): they bound beta"
    )


def _beta(options: BetaOptions) -> str:
    return {
        "uniform": "the weight of redundancy, drawn between its bounds M_l and M_u",
        "midpoint": "the weight of redundancy, halfway between its bounds M_l and M_u",
        "upper": "the weight of redundancy, at its upper bound M_u",
        "lower": "the weight of redundancy, at its lower bound M_l",
        "value": f"the weight of redundancy: {options.value}, whatever the bounds",
    }[options.policy]


def _phase(phase: PhaseOptions) -> str:
    optimiser = phase.optimiser
    said = f"{phase.epochs} epochs of batches of {phase.batch}, {optimiser.kind} at rate {optimiser.lr:g}"
    said += f" with weight decay {optimiser.weight_decay:g}" if optimiser.weight_decay else ""
    said += {"constant": "", "step": ", falling in steps", "cosine": ", falling to zero"}[phase.schedule.kind]
    said += ", weights averaged" if phase.average else ""
    return said + (", the best epoch on validation kept" if phase.select == "validation" else ", the last epoch kept")


def _first_line(options: Options) -> str:
    """What a class of options says of itself, in its first sentence."""
    return " ".join((type(options).__doc__ or "").split("\n\n")[0].split()).rstrip(".")
