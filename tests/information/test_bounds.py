"""Bounds on beta: the paper's formulas, their generalisation, clipping, refusal, and the choice of beta."""

from __future__ import annotations

import json
import random
from itertools import combinations

import pytest

from omib_cli.errors import NumericError, UsageError
from omib_cli.information.bounds import (
    bounds,
    bounds_of_seeds,
    choose_beta,
    maximum_spanning_tree,
    spread,
)
from omib_cli.recipe.information import BetaOptions

TWO = bounds({"a": 6.0, "b": 5.0}, {("a", "b"): 4.0}, 0.1)


def test_two_modalities_reproduce_proposition_5_7():
    assert TWO["lower"] == pytest.approx(1 / (3 * 11))
    assert TWO["upper"]["star"] == pytest.approx(1 / (3 * 7))
    assert TWO["upper"]["tree"] == pytest.approx(1 / (3 * 7))
    assert TWO["objective"] == pytest.approx(1 / 3)


def test_three_modalities_reproduce_lemma_d_4():
    found = bounds({"a": 6.0, "b": 5.0, "c": 4.0}, {("a", "b"): 3.0, ("a", "c"): 1.0, ("b", "c"): 2.0}, 0.1)
    assert found["lower"] == pytest.approx(1 / (5 * 15))
    assert found["upper"]["star"] == pytest.approx(1 / (5 * (15 - 2 / 3 * 6)))
    assert found["upper"]["tree"] == pytest.approx(1 / (5 * (15 - 3 - 2)))
    assert found["objective"] == pytest.approx(1 / 5)


def test_spanning_tree_is_the_best_of_all_trees():
    draw = random.Random(0)
    names = list("abcd")
    mutual = {pair: draw.random() for pair in combinations(names, 2)}
    chosen = sum(mutual[pair] for pair in maximum_spanning_tree(names, mutual))

    def spans(edges):
        reached = {"a"}
        for _ in names:
            reached |= {name for edge in edges if reached & set(edge) for name in edge}
        return len(reached) == len(names)

    assert chosen == pytest.approx(max(sum(mutual[e] for e in c) for c in combinations(mutual, 3) if spans(c)))


@pytest.mark.parametrize("count", [2, 3, 4, 6])
def test_tree_bound_is_never_below_star_bound_nor_that_below_the_lower_one(count):
    draw = random.Random(count)
    for _ in range(50):
        entropy = {f"m{i}": draw.uniform(0.5, 8) for i in range(count)}
        mutual = {pair: draw.uniform(-1, 9) for pair in combinations(entropy, 2)}
        found = bounds(entropy, mutual, 0.1)
        assert found["lower"] <= found["upper"]["star"] <= found["upper"]["tree"] * (1 + 1e-12)
        assert found["total"]["star"] >= sum(entropy.values()) / count - 1e-9


def test_mutual_information_above_an_entropy_is_cut_and_reported():
    found = bounds({"a": 6.0, "b": 2.0}, {("a", "b"): 4.0}, 0.1)
    assert found["clipped"] == ["a|b"]
    assert "I(a; b)" in found["warnings"][0]
    assert found["total"]["star"] == pytest.approx(6.0)
    assert TWO["clipped"] == []
    assert TWO["warnings"] == []


def test_too_little_information_is_refused_with_the_numbers():
    with pytest.raises(NumericError) as error:
        bounds({"rna": 0.04, "dna": 0.03}, {("rna", "dna"): 0.01}, 0.1)
    message = str(error.value)
    assert "rna 0.04" in message
    assert "0.06 nats" in message
    assert "information.floor" in message


def test_total_that_is_not_a_number_is_refused():
    with pytest.raises(NumericError):
        bounds({"a": float("nan"), "b": 1.0}, {("a", "b"): 0.0}, 0.1)


def test_spread_over_seeds_is_that_of_each_seeds_bounds():
    found = bounds_of_seeds({"a": [6.0, 4.0], "b": [5.0, 5.0]}, {("a", "b"): [4.0, 4.0]}, 0.1)
    first, second = 1 / 33, 1 / 27
    assert found["lower"] == pytest.approx(1 / 30)
    assert found["spread"]["lower"] == pytest.approx(abs(first - second) / 2**0.5)
    for name, each in found["spread"]["upper"].items():  # I cut from totals of 6 + 5 - 4 and 4 + 5 - 4
        assert each == pytest.approx(abs(1 / 21 - 1 / 15) / 2**0.5), name
    assert json.loads(json.dumps(found)) == found


def test_one_seed_without_information_is_named_and_the_others_give_the_spread():
    found = bounds_of_seeds({"a": [6.0, 0.01], "b": [5.0, 0.01]}, {("a", "b"): [4.0, 0.0]}, 0.1)
    assert any("seed 1" in warning for warning in found["warnings"])
    assert found["spread"]["lower"] is None


def test_uniform_beta_depends_on_the_seed_alone_and_covers_the_bound():
    drawn = [choose_beta(BetaOptions(), TWO, seed) for seed in range(200)]
    values = [each["value"] for each in drawn]
    low, high = TWO["lower"], TWO["upper"]["star"]
    assert drawn == [choose_beta(BetaOptions(), TWO, seed) for seed in range(200)]
    assert all(low <= value <= high for value in values)
    assert min(values) < low + 0.1 * (high - low)
    assert max(values) > high - 0.1 * (high - low)
    assert not any(each["above"] for each in drawn)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("lower", 1 / 33), ("upper", 1 / 21), ("midpoint", (1 / 33 + 1 / 21) / 2)],
)
def test_fixed_policies(policy, expected):
    assert choose_beta(BetaOptions(policy=policy), TWO, 0)["value"] == pytest.approx(expected)


def test_tree_bound_can_be_chosen():
    three = bounds({"a": 6.0, "b": 5.0, "c": 4.0}, {("a", "b"): 3.0, ("a", "c"): 1.0, ("b", "c"): 2.0}, 0.1)
    chosen = choose_beta(BetaOptions(policy="upper", bound="tree"), three, 0)
    assert chosen["value"] == chosen["upper"] == three["upper"]["tree"]


def test_given_beta_above_the_bound_is_taken_and_marked():
    chosen = choose_beta(BetaOptions(policy="value", value=0.5), TWO, 0)
    assert chosen["value"] == 0.5
    assert chosen["above"]
    assert not choose_beta(BetaOptions(policy="value", value=0.01), TWO, 0)["above"]


def test_given_beta_needs_no_bounds_and_every_other_policy_does():
    chosen = choose_beta(BetaOptions(policy="value", value=0.5), None, 0, 3)
    assert (chosen["value"], chosen["upper"], chosen["objective"], chosen["above"]) == (0.5, None, 0.2, False)
    with pytest.raises(UsageError, match=r"beta\.policy"):
        choose_beta(BetaOptions(), None, 0)


def copies():
    """Two copies of a binary column: ln 2 nats in all, whatever the number of samples."""
    return bounds({"a": 0.69, "b": 0.69}, {("a", "b"): 0.60}, 0.1)


def test_an_upper_bound_above_the_objectives_is_said():
    assert copies()["upper"]["star"] > copies()["objective"]
    assert any("M_u (star) is 0.427, above 0.333" in warning for warning in copies()["warnings"])
    assert not any("M_u" in warning for warning in TWO["warnings"])


def test_an_upper_bound_is_that_of_the_objective_at_one_nat_in_all_and_said_to_be_more_only_below():
    at, below = (bounds({"a": half, "b": half}, {("a", "b"): 0.0}, 0.1) for half in (0.5, 0.49))
    assert at["upper"]["star"] == at["objective"]
    assert at["warnings"] == []
    assert [warning.split(",")[0] for warning in below["warnings"]] == [
        f"M_u ({name}) is {below['objective'] / 0.98:.3g}" for name in ("star", "tree")
    ]


def test_the_least_information_for_a_bound_is_enough():
    assert bounds({"a": 1.0, "b": 1.0}, {("a", "b"): 1.0}, 1.0)["total"] == {"star": 1.0, "tree": 1.0}


def test_beta_between_the_two_bounds_is_not_called_inside():
    chosen = choose_beta(BetaOptions(policy="upper"), copies(), 0)
    assert chosen["above_objective"]
    assert not chosen["above"]
    assert not choose_beta(BetaOptions(policy="upper"), TWO, 0)["above_objective"]


@pytest.mark.parametrize(("value", "above"), [(0.3, False), (1 / 3, False), (0.34, True), (5.0, True)])
def test_the_objectives_bound_is_known_without_an_estimate(value, above):
    assert choose_beta(BetaOptions(policy="value", value=value), None, 0, 2)["above_objective"] is above


def test_beta_of_one_modality_is_its_single_bound_whatever_the_policy():
    draw = random.Random(0)
    for seed in range(300):
        one = bounds({"a": draw.uniform(1.1, 9.0)}, {}, 0.1)
        assert one["lower"] == one["upper"]["star"] == one["upper"]["tree"]
        for policy in ("uniform", "midpoint", "lower", "upper"):
            assert choose_beta(BetaOptions(policy=policy), one, seed)["value"] == one["lower"]


def test_spread_is_the_sample_standard_deviation_and_unknown_for_one_value():
    assert spread([1.0, 3.0]) == pytest.approx(2**0.5)
    assert spread([1.0, float("nan"), 3.0]) == pytest.approx(2**0.5)
    assert spread([1.0]) is None
    assert spread([1.0, float("nan")]) is None


def test_negative_mutual_information_is_none():
    found = bounds({"a": 2.0, "b": 3.0}, {("a", "b"): -0.5}, 0.1)
    assert found["total"]["star"] == found["total"]["tree"] == 5.0
