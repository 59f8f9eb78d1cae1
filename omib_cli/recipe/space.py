"""What `omib tune` tries: the `tune` section of a recipe, and the space that stands in for a section that is empty.

A key of the section names a key of the recipe; `*` in it stands for every name at that place, so that
`modalities.*.encoder.dropout` is one value for all modalities and `*.optimiser.lr` one for both phases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from omib_cli.recipe.problems import Found, did_you_mean
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.tuning import TuneOptions

FACTOR = 5.0
"""How far from the recipe's own value the default space goes, either way."""
LEAST_DECAY = {"adam": (1e-6, 1e-2), "sgd": (1e-6, 1e-2), "adamw": (1e-3, 3.0)}
"""Weight decay, by optimiser, where the recipe has none: coupled to the gradient, or decoupled."""
NEVER = {
    "objective": "trials are judged by the task's main metric on the validation split, or on inner folds (--folds); "
    "what the test split says may choose nothing",
    "seed": "the best of several seeds is luck, and nothing that can be had again",
    "name": "it decides nothing",
    "tune": "it decides nothing",
    "evaluate": "it decides what is reported, and nothing that is learnt",
    "task.kind": "trials of several tasks cannot be compared",
    "task.sentiment": "it decides what is reported, and nothing that is learnt",
}
MEASURED = ("source", "split", "labels", "test", "validation", "samples", "case", "parts")
"""Keys of `data` that decide which samples there are, and which of them judge."""


def paths_of(values: Mapping[str, Any], key: str) -> list[str]:
    """The keys of a resolved recipe that a key of the section means, with dots; none where there are none."""
    return [".".join(path) for path in _matches(values, key.split("."))]


def value_at(values: Mapping[str, Any], path: str) -> Any:
    """The value of a key with dots, in a resolved recipe that has it."""
    found: Any = values
    for name in path.split("."):
        found = found[name]
    return found


def _matches(values: Any, names: list[str]) -> Iterator[tuple[str, ...]]:
    if not names:
        yield ()
        return
    if not isinstance(values, Mapping):
        return
    for name in values if names[0] == "*" else [names[0]]:
        if name in values:
            yield from ((name, *rest) for rest in _matches(values[name], names[1:]))


def refusal(path: str) -> str | None:
    """Why a key cannot be tuned, whatever its values; None for one that can."""
    for key, why in NEVER.items():
        if path == key or path.startswith(f"{key}."):
            return why
    first, _, rest = path.partition(".")
    if first == "data" and rest.split(".")[0] in MEASURED:
        return "it decides which samples judge, and nothing that is learnt from the others"
    return None


def space_problems(recipe: Recipe, takes: Callable[[Mapping[str, Any]], str | None]) -> list[Found]:
    """What is wrong with a recipe's `tune` section: keys that it does not have, values that it would refuse.

    Parameters
    ----------
    takes
        What is wrong with the recipe if these keys had these values; None where it is valid.
    """
    values = recipe.resolved()
    found = []
    for key, options in recipe.tune.items():
        if (problem := _key_problem(values, key)) is None:
            refused = (takes(dict.fromkeys(paths_of(values, key), end)) for end in options.ends)
            problem = next((each for each in refused if each is not None), None)
        if problem is not None:
            found.append(Found(("tune", key), problem))
    return found


def _key_problem(values: Mapping[str, Any], key: str) -> str | None:
    paths = paths_of(values, key)
    refused = next((why for path in [key, *paths] if (why := refusal(path)) is not None), None)
    if refused is not None:
        return f"cannot be tuned: {refused}"
    if not paths:
        return f"the recipe has no such key{did_you_mean(key, list(_every(values)))}"
    return None


def _every(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """All keys with dots that hold a value."""
    for name, value in values.items():
        path = f"{above}{name}"
        if isinstance(value, Mapping) and value:
            yield from _every(value, f"{path}.")
        else:
            yield path


def space_of(recipe: Recipe) -> dict[str, TuneOptions]:
    """What is tried: the recipe's `tune` section, or where that is empty what usually matters, around its own values.

    Learning rate and weight decay of both phases, dropout of the encoders that have it, the width of the bottleneck,
    and beta: its value where the recipe gives one, else where in its bound it is taken. Of regression also the loss.
    Of a section, keys that the recipe does not have are left out: it may have another fusion method than its file says.
    """
    values = recipe.resolved()
    if recipe.tune:
        return {key: options for key, options in recipe.tune.items() if paths_of(values, key)}
    optimiser = recipe.train.optimiser
    phases = "*" if recipe.warms_up and optimiser == recipe.warmup.optimiser else "train"
    low, high = LEAST_DECAY[optimiser.kind]
    decay = _around(optimiser.weight_decay) if optimiser.weight_decay else TuneOptions(low=low, high=high, log=True)
    space = {f"{phases}.optimiser.lr": _around(optimiser.lr), f"{phases}.optimiser.weight_decay": decay}
    if paths_of(values, "modalities.*.encoder.dropout"):
        space["modalities.*.encoder.dropout"] = TuneOptions(low=0.0, high=0.8)
    space |= _of_fusion(recipe)
    if recipe.task.kind == "regression":
        space["task.loss"] = TuneOptions(choices=["mse", "l1", "gaussian"])
    return space


def _of_fusion(recipe: Recipe) -> dict[str, TuneOptions]:
    space = {}
    if hasattr(recipe.fusion, "latent"):
        width = recipe.fusion.latent or next(iter(recipe.modalities.values())).encoder.width
        heads = getattr(recipe.fusion, "heads", 1)
        widths = sorted({max(1, round(width * ratio / heads)) * heads for ratio in (0.5, 1.0, 2.0)})
        space["fusion.latent"] = TuneOptions(choices=widths)
    if recipe.fusion.uses_beta and recipe.beta.value:
        space["beta.value"] = _around(recipe.beta.value)
    elif recipe.fusion.uses_beta and recipe.beta.policy != "value":
        space["beta.policy"] = TuneOptions(choices=["lower", "midpoint", "upper"])
    return space


def _around(value: float) -> TuneOptions:
    """A factor either way of a value, to three digits."""
    return TuneOptions(low=float(f"{value / FACTOR:.3g}"), high=float(f"{value * FACTOR:.3g}"), log=True)


def own_values(recipe: Recipe, space: Mapping[str, TuneOptions]) -> dict[str, Any]:
    """The recipe's own value of each key of a space; of a key with `*` that of the first place that it means."""
    values = recipe.resolved()
    return {key: value_at(values, paths_of(values, key)[0]) for key in space}


def with_own(space: Mapping[str, TuneOptions], own: Mapping[str, Any]) -> dict[str, TuneOptions]:
    """The space with the recipe's own values among the choices: the recipe as it is is a place in it."""
    found = {}
    for key, options in space.items():
        is_new = options.choices is not None and own[key] not in options.choices
        found[key] = TuneOptions(choices=[own[key], *(options.choices or [])]) if is_new else options
    return found


def whole_keys(space: Mapping[str, TuneOptions], own: Mapping[str, Any]) -> list[str]:
    """Keys whose values are whole numbers, as the recipe's own is; where it has none, as both ends are."""

    def is_whole(key: str, options: TuneOptions) -> bool:
        if options.choices is not None or isinstance(own[key], float):
            return False
        return all(float(end).is_integer() for end in options.bounds)

    return [key for key, options in space.items() if is_whole(key, options)]


def overrides_of(recipe: Recipe, tried: Mapping[str, Any]) -> dict[str, Any]:
    """Values by key of a space as values by key of the recipe."""
    values = recipe.resolved()
    return {path: value for key, value in tried.items() for path in paths_of(values, key)}
