"""A method's losses of the parts of a batch add up to those of the whole, whatever is missing where."""

from __future__ import annotations

import pytest
import torch
from batches import parts_of
from methods import KINDS, batch, encodings, labels, make

from omib_cli.nn.batch import Batch

SIZES = (5, 1, 6)
ALONE = ("misa", "mmib-cui", "mmib-zhang")
"""Methods that compare the samples of a batch with each other: a part has comparisons of its own."""


def gaps() -> torch.Tensor:
    present = torch.rand(12, 3, generator=torch.Generator().manual_seed(3)) > 0.35
    present[:5, 1] = False
    return present


def gradients_of(fusion, z, batches: list[Batch], warmup: bool) -> tuple[dict[str, float], list[torch.Tensor]]:
    """Terms and gradients, added up over the parts."""
    fusion.zero_grad()
    terms: dict[str, float] = {}
    for part in batches:
        rows = slice(part.rows.start, part.rows.stop)
        torch.manual_seed(7)
        step = (fusion.warmup_losses if warmup else fusion.losses)([zi[rows] for zi in z], part)
        step.total.backward()
        for name, value in {"loss": step.total.detach(), **step.terms}.items():
            terms[name] = terms.get(name, 0.0) + value.item()
    return terms, [parameter.grad.clone() for parameter in fusion.parameters() if parameter.grad is not None]


def must_add_up(fusion, everything: Batch, *, warmup: bool = False):
    z = encodings(3)
    terms, whole = gradients_of(fusion, z, [everything], warmup)
    others, divided = gradients_of(fusion, z, parts_of(everything, *SIZES), warmup)
    assert others == pytest.approx(terms, rel=1e-4, abs=1e-6)
    for one, other in zip(whole, divided, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("task", ["classification", "regression", "anomaly"])
@pytest.mark.parametrize("name", [name for name in KINDS if name not in ALONE])
def test_losses_and_gradients_of_parts_add_up_to_the_wholes(name, task, complete):
    options = {"relative_weight": "one"} if name == "omib" else {}  # r is a ratio of a part's own means
    fusion = make(name, 3, task, **options)
    if name == "omib":
        fusion.set_beta(0.1, 1.0)
    y = torch.linspace(-1, 1, 12) if task == "regression" else None
    must_add_up(fusion, batch(3, None if complete else gaps(), y))


@pytest.mark.parametrize("name", [name for name in KINDS if name not in ALONE])
def test_survival_is_compared_within_a_part_and_weighs_as_many_samples(name):
    """Of a task that compares samples a part's loss is that of its own samples, among those that have the modality."""
    fusion, everything = make(name, 3, "survival"), batch(3, gaps(), labels("survival"))
    for i in range(3):
        outputs = [torch.randn(12, 1) for _ in range(3)]
        own = everything.present[:, i]
        alone = fusion.task.loss(outputs[i][own], everything.label[own]).mean()
        torch.testing.assert_close(fusion.branch_losses(outputs, everything)[i], alone, rtol=1e-5, atol=1e-6)
    output, first = torch.randn(12, 1), parts_of(everything, *SIZES)[0]
    rows = slice(first.rows.start, first.rows.stop)
    expected = fusion.task.loss(output[rows], everything.label[rows]).mean() * len(first) / 12
    torch.testing.assert_close(fusion.task_loss(output[rows], first), expected)


@pytest.mark.parametrize("name", [name for name in KINDS if name not in ALONE])
def test_losses_of_parts_add_up_where_classes_have_weights(name):
    fusion = make(name, 3, **({"relative_weight": "one"} if name == "omib" else {}))
    fusion.task.weights = [0.4, 1.0, 2.5]
    must_add_up(fusion, batch(3, gaps()))


@pytest.mark.parametrize("name", KINDS)
def test_every_method_weighs_the_samples_of_a_class_by_its_weight(name):
    """The loss is an affine function of the weights, and grows with each; weights of 1 change nothing."""
    fusion, z, everything = make(name, 3), encodings(3), batch(3)

    def total(*weights, warmup=False):
        fusion.task.weights = list(weights) or None
        torch.manual_seed(7)
        return (fusion.warmup_losses if warmup else fusion.losses)(z, everything).total.item()

    for warmup in (False, True) if name == "omib" else (False,):
        plain = total(1.0, 1.0, 1.0, warmup=warmup)
        assert total(warmup=warmup) == pytest.approx(plain, rel=1e-6)
        first, last = total(2.0, 1.0, 1.0, warmup=warmup) - plain, total(1.0, 1.0, 2.0, warmup=warmup) - plain
        assert min(first, last) > 0.05
        expected = plain + 2 * first + 0.5 * last
        assert total(3.0, 1.0, 1.5, warmup=warmup) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", [name for name in KINDS if name not in ALONE])
def test_dropout_of_heads_is_the_wholes_in_every_part(name):
    """Every head is told of the batch: which units it drops is drawn for all rows and cut to a part's."""
    options = {"omib": {"relative_weight": "one"}, "dmib": {"gates": True}}.get(name, {})
    fusion = make(name, 3, dropout=0.5, **options).train()
    if name == "omib":
        fusion.set_beta(0.1, 1.0)
    must_add_up(fusion, batch(3))


@pytest.mark.parametrize("name", KINDS)
def test_heads_are_as_the_recipe_says(name):
    """No head of any method has a size of its own."""
    narrow, wide = (sum(p.numel() for p in make(name, 3, hidden=hidden).parameters()) for hidden in (4, 64))
    assert wide > narrow


@pytest.mark.parametrize("complete", [True, False])
def test_warm_up_losses_of_parts_add_up_to_the_wholes(complete):
    must_add_up(make("omib", 3), batch(3, None if complete else gaps()), warmup=True)


@pytest.mark.parametrize("name", ALONE)
def test_what_compares_samples_is_weighed_by_the_rows_and_dropout_is_the_wholes(name):
    """With the comparisons left out, nothing remains that the division could change."""
    off = {"misa": {"difference": 0.0, "similarity": 0.0}, "mmib-cui": {"align": 0.0}, "mmib-zhang": {"mutual": 0.0}}
    fusion, z, everything = make(name, 3, **off[name]), encodings(3), batch(3, gaps())
    terms, whole = gradients_of(fusion, z, [everything], warmup=False)
    others, divided = gradients_of(fusion, z, parts_of(everything, *SIZES), warmup=False)
    compared = ("difference", "similarity", "align", "mutual")
    for kept in (terms, others):
        for key in compared:
            kept.pop(key, None)
    assert others == pytest.approx(terms, rel=1e-4, abs=1e-6)
    for one, other in zip(whole, divided, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_r_of_a_part_is_that_of_its_own_samples_in_both_estimators():
    from omib_cli.fusion.relative_weight import log_rho

    divergences, everything = torch.rand(3, 12) + 0.1, batch(3, gaps())
    for part in parts_of(everything, *SIZES):
        own = divergences[:, part.rows.start : part.rows.stop]
        both = part.has(0, 2)
        if both.any():
            expected = (own[2][both] / own[0][both]).mean().log()
            torch.testing.assert_close(log_rho(own, part, "mean-of-ratios")[1], expected, rtol=1e-4, atol=1e-5)
            means = (own[2][both].mean() / own[0][both].mean()).log()
            torch.testing.assert_close(log_rho(own, part, "ratio-of-means")[1], means, rtol=1e-4, atol=1e-5)
    assert log_rho(divergences[:, :5], parts_of(everything, *SIZES)[0], "ratio-of-means")[0].item() == 0.0
