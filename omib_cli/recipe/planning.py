"""The rule from the fingerprint of some files to a recipe for them: every default that depends on the data, and why.

Network and training follow the bundled recipe whose data are most alike in number: ``rosmap`` (hundreds of samples),
``cmu-mosi-features`` (thousands), ``sim-i-best`` (more), ``av-digits`` (clips).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from omib_cli.recipe.fingerprint import ClipFacts, Fingerprint, LabelFacts, TableFacts, TableFile

TaskName = Literal["classification", "regression", "survival"]

FEW, SOME, MANY = 1000, 5000, 20_000
"""Samples below which the settings of ``rosmap``, of ``cmu-mosi-features`` and of ``sim-i-best`` are taken; above the
last, encoders get a hidden layer."""
MOST_CLASSES = 20
"""More different whole numbers than this are values."""
LEAST_PER_CLASS = 3
"""Fewer samples of each whole number than this, on average, and they are values."""
WIDE = 1000
"""With more features than this, information is estimated on principal components."""
GENES = 1000
"""From this many columns on, counts are of genes: how deeply a sample was sequenced is divided out."""
KEPT, TOO_WIDE = 2000, 5000
"""How many columns are kept of more than so many."""
SEVERAL_CLASSES = {"kind": "adamw", "lr": 1e-3, "weight_decay": 1}
"""The optimiser for few samples of more than two classes; that of ``rosmap``, which was chosen for two, keeps them from
learning enough (docs/new-recipes.md)."""
TEST, VALIDATION = 0.2, 0.1
LEAST_INFORMED = 40
"""With fewer complete samples information is not estimated: it takes 16 in training that have both of any pair."""
BETA = 0.02
"""Beta where its bounds are not estimated: about the lower bound in ``rosmap`` and in ``cmu-mosi-features``."""
CLIP_STEPS = 500
"""Steps of training on clips, about as many as ``av-digits`` takes."""


@dataclass(frozen=True)
class Plan:
    """A recipe and what is to be said of it.

    Attributes
    ----------
    values
        The recipe, as plain values.
    comments
        Why, by dotted path.
    reasons
        What was decided, and why, in the order of the recipe.
    """

    values: dict[str, Any]
    comments: dict[str, str]
    reasons: dict[str, str]


def plan(found: Fingerprint, name: str, task: TaskName | None = None) -> Plan:
    """A recipe for files of this fingerprint.

    Parameters
    ----------
    name
        The recipe's name.
    task
        What is predicted, where it is not to be told from the labels.
    """
    made = Plan({"name": name}, {}, {})
    kind, reason = (task, "as asked for") if task else task_of(found.labels)
    if found.clips is not None:
        _clips(made, found.clips, found.labels, kind)
    else:
        _tables(made, found, kind)
    made.values["task"] = _task(kind, found.labels, found.samples)
    if "scale" in made.values["task"]:
        reason += "; the network learns them as (label - centre) / scale"
    if "loss" in made.values["task"]:
        reason += "; its loss is in nats, as beta's bounds are"
    made.comments["task"] = reason
    made.reasons["task"] = f"{kind}: {reason}"
    if found.clips is not None:
        _clip_network(made, found.clips)
    else:
        _table_network(made, found, found.labels.distinct if kind == "classification" else 0)
    if found.complete < LEAST_INFORMED:
        made.values["beta"] = {"policy": "value", "value": BETA}
        made.comments["beta"] = f"{found.complete} complete samples are too few to estimate its bounds from"
        made.reasons["beta"] = f"{BETA}: {made.comments['beta']}"
    return made


def task_of(labels: LabelFacts) -> tuple[TaskName, str]:
    """Whether labels are classes, values or times of events, and why."""
    if labels.event is not None:
        return "survival", f"the labels are times, of an event or the end of the follow-up ({labels.events} events)"
    if labels.kind == "names":
        return "classification", f"the labels are {labels.distinct} names"
    if labels.kind == "fractions":
        return "regression", "the labels are numbers with fractions"
    if labels.distinct > MOST_CLASSES:
        return "regression", f"the labels are {labels.distinct} different whole numbers"
    if labels.count < LEAST_PER_CLASS * labels.distinct:
        return "regression", f"{labels.distinct} different whole numbers in {labels.count} samples are values"
    return "classification", f"the labels are {labels.distinct} different whole numbers"


def _task(kind: TaskName, labels: LabelFacts, samples: int) -> dict[str, Any]:
    """The task; of values with the unit in which a network can learn them, where it is far from theirs.

    Few values are learnt in nats; of many, which several processes may divide, the squared error is.
    """
    if kind != "regression":
        return {"kind": kind}
    values: dict[str, Any] = {"kind": kind} | ({"loss": "gaussian"} if samples < SOME else {})
    if labels.kind == "names":
        return values
    far = abs(labels.mean) > labels.deviation or not 0.5 < labels.deviation < 2
    if not far or not labels.deviation:
        return values
    return {**values, "centre": _rounded(labels.mean), "scale": _rounded(labels.deviation)}


def _rounded(value: float) -> float:
    """To two digits: a choice of unit, not something fitted to the samples."""
    return float(f"{value:.2g}")


def _tables(made: Plan, found: Fingerprint, kind: TaskName) -> None:
    """The section ``data`` of tables."""
    data: dict[str, Any] = {"source": "tables"}
    if found.join == "row":
        data["join"] = "row"
        made.comments["data.join"] = "no file names its samples: row i is the same sample everywhere"
    if any(not table.file.header for table in found.tables):
        made.comments["data.tables"] = "feature_names: FILE would name a table's columns, one a line"
    data["tables"] = {table.name: _table(table, made) for table in found.tables}
    data["labels"] = _labels(found.labels)
    data["split"] = _split(made, found.labels, found.samples, kind, given=_has_files_by_split(found))
    data["standardise"] = "zscore"
    if any(table.missing for table in found.tables):
        data["impute"] = "median"
        made.comments["data.impute"] = "of the training samples"
        lacking = [f"{table.name} {100 * table.missing:.2g} %" for table in found.tables if table.missing]
        made.reasons["impute"] = f"median: values are missing ({', '.join(lacking)})"
    made.values["data"] = data


def _table(table: TableFacts, made: Plan) -> dict[str, Any]:
    options = _file(table.file)
    if table.file.transpose:
        options["transpose"] = True
        made.comments[f"data.tables.{table.name}"] = "its samples stand in columns"
    if table.patterns:
        options["columns"] = list(table.patterns)
    if table.suspicious:
        options["exclude"] = list(table.suspicious)
        left = "; ".join(f"{column} ({why})" for column, why in table.suspicious.items())
        made.comments[f"data.tables.{table.name}"] = f"left out: {left}"
        made.reasons[f"columns of {table.name}"] = f"left out: {left}"
    if table.texts:
        options["encode"] = dict.fromkeys(table.texts, "onehot")
        made.reasons[f"text of {table.name}"] = f"zeros and ones for each category: {', '.join(table.texts)}"
    if table.kind == "components":
        options["standardise"] = "block"
        why = "its columns are centred and uncorrelated, as components are, whose variances mean something"
        made.comments.setdefault(f"data.tables.{table.name}", f"block: {why}")
        made.reasons[f"scaling of {table.name}"] = f"block: {why}"
    if steps := _steps(table):
        options["preprocess"] = steps
        said = ", ".join(step["kind"] for step in steps)
        made.reasons[f"preprocess {table.name}"] = f"{said}: {table.width:,} columns ({table.kind})"
    return options


def _steps(table: TableFacts) -> list[dict[str, Any]]:
    """What is done to the values before they are standardised."""
    steps: list[dict[str, Any]] = []
    if table.kind == "counts" and table.width >= GENES:
        steps.append({"kind": "library-size"})
    if table.kind == "counts":
        steps.append({"kind": "log1p"})
    if table.width > TOO_WIDE:
        by = "highly-variable" if table.kind == "counts" else "variance"
        steps.append({"kind": "select", "by": by, "top": KEPT})
    return steps


def _file(file: TableFile) -> dict[str, Any]:
    files = file.files if isinstance(file.files, str) else dict(file.files)
    options: dict[str, Any] = {"files": files}
    if file.key is not None:
        options["key"] = file.key
    if not file.header:
        options["header"] = False
    if file.id is not None:
        options["id"] = file.id
    return options


def _labels(labels: LabelFacts) -> dict[str, Any]:
    options = {**_file(labels.file), "column": labels.column}
    if labels.event is not None:
        value = labels.event_value
        options["event"] = labels.event if value is None else {"column": labels.event, "of": value}
    if labels.group is not None:
        options["group"] = labels.group
    if labels.split is not None:
        options["split"] = labels.split
    return options


def _has_files_by_split(found: Fingerprint) -> bool:
    files = [found.labels.file, *(table.file for table in found.tables)]
    return any(not isinstance(file.files, str) for file in files)


def _split(made: Plan, labels: LabelFacts, samples: int, kind: TaskName, *, given: bool) -> dict[str, Any]:
    """How samples are divided, and the reason."""
    split: dict[str, Any]
    if given or labels.split is not None:
        split = {"by": "given"}
        why = "the files give it" if labels.split is None else f"the column {labels.split!r} gives it"
        if odd := {value: name for value, name in labels.split_names.items() if value != name}:
            split["names"] = odd
    elif labels.group is not None:
        split = {"by": "group", "test": TEST}
        why = f"no {labels.group!r} on two sides, of {labels.groups}"
    else:
        split = {"by": "stratified", "test": TEST}
        what = {"classification": "each class keeps its", "survival": "events keep their"}.get(
            kind, "each range of values keeps its"
        )
        why = f"{what} share; name a column with --group if samples belong together"
    if samples >= SOME and "validation" not in labels.split_names.values():
        split["validation"] = VALIDATION
    made.comments["data.split.by"] = why
    made.reasons["split"] = f"{split['by']}: {why}"
    return split


def _table_network(made: Plan, found: Fingerprint, classes: int) -> None:
    """Encoders, fusion and training by the number of samples; ``classes`` is 0 for values."""
    samples = found.samples
    if samples < FEW:
        like, (encoder, sections) = "rosmap", _few()
    elif samples < SOME:
        like, (encoder, sections) = "cmu-mosi-features", _some()
    else:
        like, (encoder, sections) = "sim-i-best", _many([256] if samples >= MANY else [])
    made.values["modalities"] = {table.name: {"encoder": dict(encoder)} for table in found.tables}
    _reference_first(made)
    made.values.update(sections)
    if max(table.width for table in found.tables) > WIDE:
        made.values["information"] = {"input": "pca"}
        made.comments["information"] = f"some table has more than {WIDE:,} features: from 64 components of each"
    why = f"{samples:,} samples: the settings of the recipe {like}"
    if samples < FEW and classes > 2:
        for phase in ("warmup", "train"):
            made.values[phase]["optimiser"] = dict(SEVERAL_CLASSES)
        why += f", but for rate and decay, since there are {classes} classes"
    made.comments["head"] = why
    made.reasons["network"] = why


def _reference_first(made: Plan) -> None:
    made.comments["modalities"] = "the first is the reference of the relative weights r"


def _few() -> tuple[dict[str, Any], dict[str, Any]]:
    """As ``rosmap``: wide linear encodings with most of them dropped, strong decay, averaged weights, few epochs."""
    phase = {"batch": 512, "optimiser": {"kind": "adamw", "lr": 3e-4, "weight_decay": 3}}
    return {"kind": "mlp", "hidden": [], "width": 500, "dropout": 0.7}, {
        "head": {"hidden": 0},
        "fusion": {
            "method": "omib",
            "latent": 64,
            "norm": False,
            "posterior": "softplus",
            "attention": "none",
            "routing": "routed",
        },
        "beta": {"policy": "lower"},
        "warmup": {"epochs": 40, **phase},
        "train": {"epochs": 50, **phase, "average": 0.95},
    }


def _some() -> tuple[dict[str, Any], dict[str, Any]]:
    """As ``cmu-mosi-features``: narrow linear encoders with much input dropout, averaged weights."""
    phase = {"batch": 128, "optimiser": {"kind": "adam", "lr": 1e-3, "weight_decay": 1e-4}}
    return {"kind": "mlp", "hidden": [], "width": 64, "input_dropout": 0.5}, {
        "head": {"hidden": 0},
        "fusion": {"method": "omib", "latent": 16, "norm": False, "posterior": "softplus"},
        "beta": {"policy": "lower"},
        "warmup": {"epochs": 10, **phase},
        "train": {"epochs": 40, **phase, "average": 0.99},
    }


def _many(hidden: list[int]) -> tuple[dict[str, Any], dict[str, Any]]:
    """As ``sim-i-best``: decoupled decay, a falling rate, the epoch that is best on validation."""
    phase = {"batch": 512, "optimiser": {"kind": "adamw", "lr": 1e-3, "weight_decay": 5}}
    return {"kind": "mlp", "hidden": hidden, "width": 64}, {
        "head": {"hidden": 0},
        "fusion": {"method": "omib", "norm": False, "samples": 4},
        "beta": {"policy": "uniform"},
        "warmup": {"epochs": 2, **phase},
        "train": {"epochs": 12, **phase, "schedule": {"kind": "cosine"}, "select": "validation"},
    }


def _clips(made: Plan, clips: ClipFacts, labels: LabelFacts, kind: TaskName) -> None:
    """The section ``data`` of a folder of clips."""
    data: dict[str, Any] = {"source": clips.source}
    if clips.names is not None:
        data["names"] = clips.names
        made.comments["data.names"] = "label and actor are in the names of the files"
    elif clips.source == "media":
        data["files"] = dict(clips.patterns)
        data["labels"] = _labels(labels)
    if "video" in clips.found:
        data["video"] = {"fps": 1, "frames": 3, "size": 112}
    if clips.source == "media" or labels.group is not None:
        data["split"] = _split(made, labels, clips.clips, kind, given=False)
    lacking = max(1 - count / clips.clips for count in clips.found.values())
    if lacking > 0:
        data["tolerance"] = math.ceil(100 * lacking) / 100
        made.comments["data.tolerance"] = "so many clips may lack sound or pictures; they are kept and masked"
    for name, count in clips.left_out.items():
        made.reasons[name] = f"left out: {count} of {clips.clips} clips have it"
    made.values["data"] = data


def _clip_network(made: Plan, clips: ClipFacts) -> None:
    """Slim residual networks, as long in training as those of ``av-digits``."""
    own = {"audio": {"warp": 0.2}, "video": {"frames": 1, "crop": 0.5, "flip": True}}
    encoder = {"kind": "resnet", "channels": 16, "width": 128}
    made.values["modalities"] = {name: {"encoder": {**encoder, **own[name]}} for name in clips.found}
    _reference_first(made)
    training = max(1, round(clips.clips * (1 - TEST)))
    batch = 64 if training >= 640 else 16
    epochs = min(40, max(6, round(CLIP_STEPS / math.ceil(training / batch))))
    phase = {"batch": batch, "optimiser": {"kind": "adamw", "lr": 1e-3, "weight_decay": 1e-2}}
    made.values.update(
        {
            "head": {"hidden": 128},
            "fusion": {"method": "omib"},
            "beta": {"policy": "uniform"},
            "warmup": {"epochs": max(2, epochs // 4), **phase},
            "train": {"epochs": epochs, **phase, "schedule": {"kind": "cosine"}},
        }
    )
    why = f"{clips.clips:,} clips: slim networks, as those of the recipe av-digits"
    made.comments["head"] = why
    made.reasons["network"] = why


def plain_name(text: str) -> str:
    """A text as a recipe's name: letters, digits, ``.``, ``_`` and ``-``."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "mine"


def odd_modality_names(names: Mapping[str, object]) -> list[str]:
    """Those of the names that no modality may have."""
    return [name for name in names if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name)]
