"""The bounds M_l and M_u on beta, from entropies and mutual information.

Lemma 5.5 (Lemma D.4 for three modalities) allows beta up to M_u = 1 / ((1 + sum r_i) H), H the information of all
modalities together. The M - 1 relative weights r_i change during training but stay below 2, so the paper takes
2M - 1 for the factor (Proposition 5.7). For H it takes H(v_1) + H(v_2) - I(v_1; v_2).

For M modalities H is at most the sum of the H_i less the I_ij along the edges of any tree that joins all of them
(chain rule, then dropping conditions). A star joins one modality with each other; the average over the M stars is
the paper's expression for two and three modalities: ``star``. ``tree`` takes the tree with the largest sum of I_ij.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from omib_cli.errors import NumericError, UsageError
from omib_cli.recipe.information import BetaOptions
from omib_cli.runtime.seeds import derive_seed

Entropy = Mapping[str, float]
Mutual = Mapping[tuple[str, str], float]


def clipped_mutual(entropy: Entropy, mutual: Mutual) -> tuple[dict[tuple[str, str], float], list[str]]:
    """I_ij forced into [0, min(H_i, H_j)], and the pairs for which that changed the value."""
    kept = {pair: min(max(value, 0.0), entropy[pair[0]], entropy[pair[1]]) for pair, value in mutual.items()}
    return kept, ["|".join(pair) for pair, value in mutual.items() if kept[pair] != value]


def star_total(entropy: Entropy, mutual: Mutual) -> float:
    """sum H_i - (2/M) sum_{i<j} I_ij, in nats: the bracket of Lemma 5.5 (M = 2) and of Lemma D.4 (M = 3)."""
    return sum(entropy.values()) - 2.0 / len(entropy) * sum(mutual.values())


def tree_total(entropy: Entropy, mutual: Mutual) -> float:
    """sum H_i less the I_ij of the maximum spanning tree, in nats: of all trees, the least bound on H(v_1..v_M)."""
    return sum(entropy.values()) - sum(mutual[pair] for pair in maximum_spanning_tree(list(entropy), mutual))


def maximum_spanning_tree(names: Sequence[str], mutual: Mutual) -> list[tuple[str, str]]:
    """The M - 1 pairs that join all names and have the largest sum (Kruskal 1956; of equal ones, the first by name)."""
    group = {name: name for name in names}
    chosen = []
    for pair in sorted(mutual, key=lambda pair: (-mutual[pair], pair)):
        left, right = group[pair[0]], group[pair[1]]
        if left != right:
            chosen.append(pair)
            group = {name: left if home == right else home for name, home in group.items()}
    return chosen


def objective_bound(modalities: int) -> float:
    """1 / (2M - 1) <= 1 / (1 + sum r_i): the bound on beta for Equation 10, the loss that is really minimised.

    The proof of Lemma 5.5 divides the task's information by an entropy (Definition C.1), Equation 10 does not. With
    nats in both terms the same argument ends at 1 / (1 + sum r_i), and no entropy enters.
    """
    return 1.0 / (2 * modalities - 1)


def bounds(entropy: Entropy, mutual: Mutual, floor: float) -> dict[str, Any]:
    """M_l, M_u and what they were made of, as plain values.

    Parameters
    ----------
    entropy
        H_i by modality, in nats.
    mutual
        I_ij by pair of modalities (all pairs), in nats.
    floor
        Least total information for which a bound is given.

    Returns
    -------
    dict
        ``lower``; ``upper`` and ``total`` by ``star`` and ``tree``; ``objective``; ``clipped`` pairs; ``warnings``.

    Raises
    ------
    NumericError
        The total is below ``floor``: 1 over it says nothing.
    """
    pairs, clipped = clipped_mutual(entropy, mutual)
    totals = {"star": star_total(entropy, pairs), "tree": tree_total(entropy, pairs)}
    if not min(totals.values()) >= floor:
        raise NumericError(
            "the estimated information is too small for a bound on beta",
            where="H " + ", ".join(f"{name} {value:.3g}" for name, value in entropy.items()),
            got=f"{min(totals.values()):.3g} nats in all",
            expected=f"at least {floor:g} (information.floor)",
            do="give the critic more epochs or a higher rate (information.epochs, information.lr), or another "
            "information.estimator; of continuous data H is infinite, so a small value means an untrained critic",
        )
    factor = objective_bound(len(entropy))
    warnings = [
        f"I({pair.replace('|', '; ')}) was estimated above the smaller of its two entropies and was cut down to it"
        for pair in clipped
    ]
    return {
        "lower": factor / sum(entropy.values()),
        "upper": {name: factor / total for name, total in totals.items()},
        "objective": factor,
        "total": totals,
        "clipped": clipped,
        "warnings": warnings + _beyond_objective(totals, factor),
    }


def _beyond_objective(totals: Mapping[str, float], objective: float) -> list[str]:
    """M_u is the objective's bound divided by the total information: below one nat in all it is the larger of them."""
    return [
        f"M_u ({name}) is {objective / total:.3g}, above {objective:.3g}, the bound for the loss that is minimised: "
        f"the modalities hold only {total:.3g} nats in all; a beta between the two may cost task-relevant information"
        for name, total in totals.items()
        if total < 1.0
    ]


def bounds_of_seeds(
    entropy: Mapping[str, Sequence[float]], mutual: Mapping[tuple[str, str], Sequence[float]], floor: float
) -> dict[str, Any]:
    """:func:`bounds` of the means over seeds, with ``spread``: the standard deviations of the seeds' own bounds."""
    result = bounds(
        {name: fmean(values) for name, values in entropy.items()},
        {pair: fmean(values) for pair, values in mutual.items()},
        floor,
    )
    single = []
    for seed in range(len(next(iter(entropy.values())))):
        try:
            single.append(bounds(_of_seed(entropy, seed), _of_seed(mutual, seed), floor))
        except NumericError:
            result["warnings"].append(f"seed {seed} alone finds too little information for a bound of its own")
    result["spread"] = {
        "lower": spread([each["lower"] for each in single]),
        "upper": {name: spread([each["upper"][name] for each in single]) for name in result["upper"]},
    }
    return result


def choose_beta(
    options: BetaOptions, bounds: Mapping[str, Any] | None, seed: int, modalities: int = 2
) -> dict[str, Any]:
    """Beta by the recipe's policy (Algorithm 2, line 5).

    Parameters
    ----------
    bounds
        From :func:`bounds`; None is enough for the policy ``value``.
    modalities
        How many there are, for ``objective`` where there are no bounds.

    Returns
    -------
    dict
        ``policy``, ``value``, ``lower``, ``upper`` (of the chosen bound; None without bounds), ``objective``;
        ``above``: whether beta is known to be above M_u; ``above_objective``: whether it is above the bound for the
        loss that is minimised, which needs no estimate. Beta is inside its bounds where both are false.

    Raises
    ------
    UsageError
        The policy needs bounds and there are none.
    """
    if options.policy == "value" and options.value is not None:
        value = options.value
    elif bounds is None:
        raise UsageError(
            f"beta.policy {options.policy} needs the bounds of an information file",
            do="run omib estimate-mi and give --information FILE, or set beta.policy=value and beta.value",
        )
    else:
        lower, upper = float(bounds["lower"]), float(bounds["upper"][options.bound])
        share = {"lower": 0.0, "midpoint": 0.5, "upper": 1.0}.get(options.policy, _uniform(seed))
        value = min(max((1.0 - share) * lower + share * upper, lower), upper)  # rounding may leave the range
    limit = None if bounds is None else float(bounds["upper"][options.bound])
    objective = objective_bound(modalities) if bounds is None else float(bounds["objective"])
    return {
        "policy": options.policy,
        "value": float(value),
        "lower": None if bounds is None else float(bounds["lower"]),
        "upper": limit,
        "objective": objective,
        "above": limit is not None and value > limit,
        "above_objective": value > objective,
    }


def _uniform(seed: int) -> float:
    return random.Random(derive_seed(seed, "beta")).random()


def spread(values: Sequence[float]) -> float | None:
    """Sample standard deviation (n - 1 in the denominator) of the finite values; None of fewer than two."""
    finite = [value for value in values if math.isfinite(value)]
    return stdev(finite) if len(finite) > 1 else None


def _of_seed(values: Mapping[Any, Sequence[float]], seed: int) -> dict[Any, float]:
    return {name: float(each[seed]) for name, each in values.items()}
