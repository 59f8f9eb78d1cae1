"""What every compared method promises, whatever it computes."""

from __future__ import annotations

import pytest
import torch
from methods import COMPARED, KINDS, batch, encodings, labels, losses, make

from omib_cli.tasks.head import CentredHead

VARIANTS = [(name, {}) for name in COMPARED] + [
    ("film", {"base": "m0", "scale": "residual"}),
    ("bigated", {"base": "m0", "gates": "mean"}),
    ("mmib-cui", {"base": "m1", "latent": 12}),
    ("mmib-zhang", {"compress": "skl"}),
    ("dmib", {"gates": True}),
]
variants = pytest.mark.parametrize(
    ("name", "options"), VARIANTS, ids=lambda value: value if isinstance(value, str) else ",".join(value)
)
methods = pytest.mark.parametrize("name", COMPARED)


def test_all_eleven_are_there():
    expected = "concat film bigated misa deep-ib mmib-cui mmib-zhang dmib e-mib l-mib c-mib"
    assert expected.split() == COMPARED


@variants
@pytest.mark.parametrize(("count", "task"), [(2, "classification"), (3, "regression"), (2, "anomaly"), (2, "survival")])
def test_the_head_predicts_from_the_embedding_in_every_task(name, options, count, task):
    fusion, z = make(name, count, task, **options).eval(), encodings(count)
    fused = fusion.fuse(z, batch(len(z)))
    outputs = {"classification": 3, "regression": 1, "anomaly": 5, "survival": 1}[task]
    assert fused.output.shape == (12, outputs)
    torch.testing.assert_close(fusion.head(fused.embedding, batch()), fused.output)
    assert all(branch.shape == (12, outputs) for branch in fused.branch_outputs.values())
    assert set(fused.branch_outputs) in (set(), {f"m{i}" for i in range(count)})
    assert set(fused.posteriors) in (set(), {f"m{i}" for i in range(count)})
    assert all((each.sd > 0).all() for each in fused.posteriors.values())
    assert torch.isfinite(losses(fusion, z, labels(task), None).total)


@pytest.mark.parametrize(
    ("name", "branches", "spread"),
    [("concat", 0, 0), ("deep-ib", 0, 2), ("mmib-cui", 0, 2), ("dmib", 2, 0), ("e-mib", 0, 0), ("c-mib", 2, 2)],
)
def test_inference_gives_branches_and_spread_where_the_method_has_them(name, branches, spread):
    fused = make(name).fuse(encodings(), batch(2))
    assert (len(fused.branch_outputs), len(fused.posteriors)) == (branches, spread)


@variants
@pytest.mark.parametrize("count", [2, 3])
def test_losses_reach_every_parameter_and_every_encoding(name, options, count):
    fusion, z = make(name, count, **options), encodings(count, requires_grad=True)
    losses(fusion, z, labels()).total.backward()
    assert all(zi.grad.abs().sum() > 0 for zi in z)
    assert [of for of, parameter in fusion.named_parameters() if parameter.grad is None] == []


@methods
def test_inference_has_no_noise_and_training_has_some_where_the_method_is_stochastic(name):
    fusion, z = make(name).eval(), encodings()
    assert torch.equal(fusion.fuse(z, batch(len(z))).embedding, fusion.fuse(z, batch(len(z))).embedding)
    is_stochastic = name in {"deep-ib", "mmib-cui", "mmib-zhang", "e-mib", "l-mib", "c-mib"}
    first, second = (losses(fusion, z, labels(), seed=seed).terms["task"] for seed in (1, 2))
    assert torch.equal(first, second) != is_stochastic


@methods
def test_random_labels_of_a_few_samples_can_be_learnt_by_heart(name):
    fusion, z = make(name, 3, hidden=32), encodings(3, batch=12)
    y = torch.randint(3, (12,), generator=torch.Generator().manual_seed(4)).float()
    free = [zi.clone().requires_grad_() for zi in z]  # in place of encoders
    optimiser = torch.optim.Adam([*fusion.parameters(), *free], lr=0.01)
    torch.manual_seed(0)
    for _ in range(120):
        optimiser.zero_grad()
        fusion.losses(free, batch(len(free), y=y)).total.backward()
        optimiser.step()
    predicted = fusion.eval().fuse(free, batch(len(free))).output.argmax(dim=1)
    assert (predicted == y.long()).all()


@variants
@pytest.mark.parametrize(
    ("batch", "task"),
    [
        ("one sample", "classification"),
        ("one sample", "anomaly"),
        ("one of each class", "classification"),
        ("constant", "regression"),
    ],
)
def test_degenerate_batches_give_finite_losses_and_gradients(name, options, task, batch):
    z = encodings(3, batch=1 if batch == "one sample" else 3)
    if batch == "constant":
        z = [torch.full_like(zi, 0.5) for zi in z]
    z = [zi.requires_grad_() for zi in z]
    fusion = make(name, 3, task, **options)
    step = losses(fusion, z, labels(task, len(z[0])))
    step.total.backward()
    assert torch.isfinite(step.total)
    assert all(torch.isfinite(value) for value in step.terms.values())
    gradients = [value.grad for value in (*z, *fusion.parameters())]
    assert all(torch.isfinite(gradient).all() for gradient in gradients if gradient is not None)


def gaps() -> torch.Tensor:
    """Presence (12, 3): complete samples, samples that lack one or two, and one that has nothing."""
    present = torch.ones(12, 3, dtype=torch.bool)
    present[3:6, 0] = False
    present[5:8, 1] = False
    present[7:11, 2] = False
    present[11] = False
    return present


@variants
@pytest.mark.parametrize("mode", ["training", "inference"])
def test_what_is_missing_changes_no_loss_and_no_prediction_and_gets_no_gradient(name, options, mode):
    fusion = make(name, 3, **options).train(mode == "training")
    one, two = encodings(3), encodings(3)
    for i, zi in enumerate(two):
        zi[~gaps()[:, i]] = 100.0 * (i + 1)
    one, two = ([zi.requires_grad_() for zi in z] for z in (one, two))
    before, after = (losses(fusion, z, labels(), gaps()) for z in (one, two))
    torch.testing.assert_close(before.total, after.total)
    torch.testing.assert_close(before.terms, after.terms)
    after.total.backward()
    for i, zi in enumerate(two):
        assert zi.grad[~gaps()[:, i]].abs().max() == 0
        assert zi.grad[gaps()[:, i]].abs().max() > 0
    if mode == "inference":
        torch.testing.assert_close(
            fusion.fuse(one, batch(len(one), gaps())).output, fusion.fuse(two, batch(len(two), gaps())).output
        )
        assert torch.isfinite(fusion.fuse(two, batch(len(two), gaps())).embedding).all()


@pytest.mark.parametrize("name", ["deep-ib", "mmib-zhang", "l-mib", "c-mib"])
def test_not_even_noise_stands_for_a_missing_code_in_training(name):
    fusion, seen = make(name, 3), []
    fusion.join.register_forward_hook(lambda _layer, given, _made: seen.extend(given[0]))
    losses(fusion, encodings(3), labels(), gaps())
    for i, code in enumerate(seen):
        assert code[~gaps()[:, i]].abs().max() == 0
        assert code[gaps()[:, i]].abs().max() > 0


@pytest.mark.parametrize("task", ["classification", "anomaly"])
@pytest.mark.parametrize("name", ["misa", "mmib-cui"])
def test_attention_without_gradients_gives_what_it_gives_with_them(name, task):
    """torch has another implementation for inference."""
    fusion, z = make(name, 3, task).eval(), encodings(3)
    with torch.no_grad():
        fast = fusion.fuse(z, batch(len(z), gaps())).embedding
    torch.testing.assert_close(fast, fusion.fuse(z, batch(len(z), gaps())).embedding, rtol=1e-4, atol=1e-5)


@variants
@pytest.mark.parametrize("mode", ["losses", "inference"])
def test_a_mask_without_gaps_changes_nothing(name, options, mode):
    fusion, z, masked = make(name, 3, **options).eval(), encodings(3), batch(3, complete=False)
    if mode == "inference":
        torch.testing.assert_close(fusion.fuse(z, batch(3)).embedding, fusion.fuse(z, masked).embedding)
    else:
        torch.manual_seed(3)
        torch.testing.assert_close(fusion.losses(z, masked).total, losses(fusion, z, labels()).total)


@variants
def test_a_modality_that_a_whole_batch_lacks_costs_nothing(name, options):
    present = torch.ones(12, 3, dtype=torch.bool)
    present[:, 1] = False
    step = losses(make(name, 3, **options), encodings(3), labels(), present)
    assert torch.isfinite(step.total)
    assert all(value == 0 for of, value in step.terms.items() if of.endswith("/m1"))


@variants
def test_anomaly_detection_has_no_bias_on_the_way_to_a_distance_and_a_centre_for_each_head(name, options):
    """Biases of a spread, a critic or a reconstruction are no way to answer a constant."""
    fusion = make(name, 3, "anomaly", **options)
    beside = ("scale", "critics", "restore", "log_variance")
    biased = [of for of, _ in fusion.named_parameters() if of.endswith("bias") and not any(b in of for b in beside)]
    assert biased == []
    heads = [module for module in fusion.modules() if isinstance(module, CentredHead)]
    for head in heads:
        head.collect()
    losses(fusion, encodings(3), labels())
    for head in heads:
        head.settle(0.1)
    assert all(head.centre.abs().min() >= 0.1 - 1e-6 for head in heads)
    assert len(heads) == {"dmib": 5, "l-mib": 4, "c-mib": 4}.get(name, 1)


@methods
def test_there_is_no_warm_up(name):
    fusion = make(name)
    with pytest.raises(NotImplementedError, match="no warm-up"):
        fusion.warmup_losses(encodings(), batch(2))


@methods
def test_encodings_may_have_different_widths(name):
    widths = {"a": 8, "b": 4, "c": 12}
    z = [torch.randn(5, width) for width in widths.values()]
    fusion = make(name, widths=widths)
    assert torch.isfinite(losses(fusion, z, labels(batch=5)).total)
    assert fusion.fuse(z, batch(len(z), y=labels(batch=5))).output.shape == (5, 3)


class Recorded:
    """A task that remembers the type of every loss and divergence it computes."""

    def __init__(self, task) -> None:
        self.task, self.types = task, set()

    def __getattr__(self, name):
        function = getattr(self.task, name)
        if name not in ("loss", "divergence"):
            return function

        def recorded(*given):
            found = function(*given)
            self.types.add(found.dtype)
            return found

        return recorded


@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in KINDS), ("dmib", {"gates": True})])
def test_products_in_bfloat16_leave_every_loss_in_float32(name, options):
    fusion = make(name, 3, **options)
    fusion.task = Recorded(fusion.task)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        step = fusion.losses(encodings(3), batch(3))
    assert {value.dtype for value in (*step.terms.values(), step.total)} | fusion.task.types == {torch.float32}
