"""What a report says of beta, its bounds and the estimates behind them."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import numpy as np
import pytest
from embeddings import BETA, information, make_embedding

from omib_cli.evaluation.metrics import score_run
from omib_cli.evaluation.runs import read_run
from omib_cli.information.bounds import bounds, choose_beta
from omib_cli.recipe.information import BetaOptions
from omib_cli.report.blocks import headline, limits, warnings_of
from omib_cli.report.compression import beta_and_bounds, weights_in_words
from omib_cli.report.figures import draw_run
from omib_cli.report.strip import beta_figure
from omib_cli.runtime.progress import Progress


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(make_embedding(tmp_path_factory.mktemp("run") / "e.h5ad"))


def with_notes(run, **notes):
    return replace(run, provenance=replace(run.provenance, notes={**run.provenance.notes, **notes}))


def at(value, entropy, mutual):
    """The facts of a run that was given this beta."""
    return choose_beta(BetaOptions(policy="value", value=value), bounds(entropy, mutual, 0.01), 0, len(entropy))


def plain(page):
    return re.sub(r"<[^>]+>", "", page).replace("&nbsp;", " ").replace("\u00a0", " ")


def said(run, beta, estimates=None):
    return plain(beta_and_bounds(with_notes(run, beta=beta, information=estimates)))


def drawn(beta):
    return [text.get_text() for text in beta_figure(beta).axes[0].texts]


ENOUGH = {"a": 6.0, "b": 7.0}, {("a", "b"): 3.0}
LITTLE = {"a": 0.69, "b": 0.69}, {("a", "b"): 0.65}
"""Two copies of a binary column, nearly: less than one nat in all."""
ALONE = {"a": 2.83}, {}


def test_a_beta_within_both_bounds_is_said_to_be_within(run):
    beta = at(0.03, *ENOUGH)
    text = said(run, beta)
    assert "is within the paper's range, from" in text
    assert "is therefore conservative" in text
    assert "above" not in text.replace("well above it", "")
    assert not any("above" in label for label in drawn(beta))


def test_a_beta_between_the_bound_of_the_loss_and_a_larger_upper_bound_is_not_within(run):
    beta = at(0.4, *LITTLE)
    assert (beta["above"], beta["above_objective"]) == (False, True)
    text = said(run, beta)
    assert "within the paper's range, but above the bound of the loss that is minimised" in text
    assert "conservative" not in text
    assert "Mu is above that bound, since the modalities hold less than one nat" in text
    assert "β = 0.4, above the bound of the objective" in drawn(beta)
    found = with_notes(run, beta=beta)
    assert "above the bound of the loss that is minimised" in warnings_of(found, score_run(found, 0, Progress()))


def test_a_beta_above_everything_is_within_nothing_and_its_figure_claims_nothing_else(run):
    beta = at(5.0, *ENOUGH)
    found = with_notes(run, beta=beta)
    assert "is above the paper's range, and above the bound of the loss" in said(run, beta)
    assert "β = 5, above Mᵤ and the bound of the objective" in drawn(beta)
    (picture,) = (each for each in draw_run(found, score_run(found, 0, Progress())) if each.name == "beta")
    assert picture.title == "β and its bounds"


@pytest.mark.parametrize("beta", [at(0.4, *LITTLE), at(0.03, *ENOUGH)])
def test_only_what_is_within_both_bounds_is_green(beta):
    """The strips begin at the left with green, which ends at the smaller of the two upper bounds."""
    first = beta_figure(beta).axes[0].patches[0]
    assert first.get_x() + first.get_width() == pytest.approx(min(beta["upper"], beta["objective"]))


@pytest.mark.parametrize(
    ("policy", "place"),
    [
        ({"policy": "lower"}, "is the paper's bound, Ml = Mu = 0.3534"),
        ({"policy": "value", "value": 0.1}, "is below the paper's bound, Ml = Mu = 0.3534"),
        ({"policy": "value", "value": 0.5}, "is above the paper's bound, Ml = Mu = 0.3534"),
    ],
)
def test_bounds_that_are_one_are_no_range(run, policy, place):
    beta = choose_beta(BetaOptions(**policy), bounds(*ALONE, 0.01), 0, 1)
    text = said(run, beta)
    assert place in text
    assert "range" not in text
    assert "Mₗ = Mᵤ = 0.353" in drawn(beta)


@pytest.mark.parametrize(
    ("estimator", "limit", "there", "absent"),
    [
        ("gaussian", None, "computed from a covariance", "could certify"),
        ("saturation", None, "ln N_eval, the logarithm of the number of samples that a critic would be judged on: "
         "nothing was estimated", "could certify"),
        ("mine", 6.8, "at most 6.80 nats (the largest limit of these estimates)", "covariance"),
        ("mine", None, "what the estimator could certify", "at most"),
    ],
)  # fmt: skip
def test_estimates_are_called_what_they_are(run, estimator, limit, there, absent):
    text = said(run, BETA, {**information(["a", "b"]), "estimator": estimator, "limit": limit})
    assert there in text
    assert absent not in text


def test_bounds_of_saturation_do_not_claim_an_estimate(run):
    estimates = {**information(["a", "b"]), "estimator": "saturation", "limit": None}
    assert "estimated information of the modalities" not in said(run, BETA, estimates)
    found = with_notes(run, information=estimates)
    assert "no information was estimated" in limits(found, score_run(found, 0, Progress()))


def test_a_single_seed_has_a_mean_and_no_spread(run):
    one = {"entropy": {"a": [6.4], "b": [6.9]}, "mutual": {"a|b": [2.9]}, "estimator": "mine", "limit": 9.21}
    text = said(run, BETA, one)
    assert "6.400" in text
    assert "sd" not in text
    assert "sd over seeds" in said(run, BETA, {**one, "entropy": {"a": [6.4, 0.2], "b": [6.9, 0.1]}})


def weighed(run, *values):
    name = run.modalities[1]
    rows = [{"phase": "train", "epoch": epoch, f"r/{name}": value} for epoch, value in enumerate(values)]
    return plain(weights_in_words(with_notes(run, history=rows)))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.5, 0.7), "weighed less than that on"),
        ((1.2, 1.4), "weighed more than that on"),
        ((1.0, 1.01), "close to inert"),
        ((0.8, 1.2), "around 1 on average, though it moved"),
    ],
)
def test_a_weight_is_said_of_the_penalty_and_never_of_what_passed(run, values, said):
    text = weighed(run, *values)
    assert said in text
    assert "What passed each bottleneck is its KL, which can order modalities otherwise" in text
    assert not any(word in text for word in ("compressed more", "compressed less", "lets through"))


def test_the_constant_prediction_is_called_what_it_is(run):
    text = html.unescape(plain(headline(run, score_run(run, 20, Progress()))))
    assert "Predicting the training split's most frequent class for every sample reaches" in text


@pytest.mark.parametrize(
    ("select", "said"), [("validation", "they are optimistic for new data"), ("last", "may have guided")]
)
def test_numbers_of_a_validation_split_are_said_to_be_optimistic_where_it_is_the_headline(run, select, said):
    train = run.recipe.train.model_copy(update={"select": select})
    warmup = run.recipe.warmup.model_copy(update={"select": "last"})
    own = replace(run, recipe=run.recipe.model_copy(update={"train": train, "warmup": warmup}))
    own = replace(own, split=np.where(own.split == "test", "validation", own.split))
    assert own.headline == "validation"
    assert said in plain(warnings_of(own, score_run(own, 0, Progress())))
