"""Each compared method's terms against values computed from its weights with numpy, and their weights in the sum.

How a method combines its terms is written down here by hand, after the methods' sources.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from methods import array, batch, cross_entropy, encodings, labels, linear, losses, make, relu, sigmoid, softplus

from omib_cli.fusion.bottleneck import Bottleneck, kl_between
from omib_cli.fusion.misa import cmd, difference
from omib_cli.fusion.mmib_cui import AttentionBlock
from omib_cli.fusion.pairs import PairCritics
from omib_cli.fusion.posterior import Posterior

GENERATOR = np.random.default_rng(0)


def every(rows: int = 12) -> torch.Tensor:
    return torch.ones(rows, dtype=torch.bool)


def head(fusion, u: np.ndarray, of=None) -> np.ndarray:
    """The output of a linear head, as `hidden=0` makes them."""
    return linear((of or fusion.head)[-1], u)


def softmax_kl(p: np.ndarray, q: np.ndarray) -> float:
    p, q = (np.exp(x) / np.exp(x).sum(axis=1, keepdims=True) for x in (p, q))
    return float((p * np.log(p / q)).sum(axis=1).mean())


def gaussian_kl(mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """By entry (B, k)."""
    return 0.5 * (mean**2 + sd**2 - 2 * np.log(sd) - 1)


def layer_norm(x: np.ndarray, layer: torch.nn.LayerNorm) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5) * array(layer.weight) + array(layer.bias)


@pytest.mark.parametrize(
    ("name", "options", "weights"),
    [
        ("concat", {}, {"task": 1}),
        ("film", {}, {"task": 1}),
        ("bigated", {}, {"task": 1}),
        ("misa", {}, {"task": 1, "difference": 0.3, "similarity": 1, "reconstruction": 1}),
        ("deep-ib", {}, {"task": 1, "kl/m0": 1e-3, "kl/m1": 1e-3, "kl/m2": 1e-3}),
        ("deep-ib", {"kl": [0.5, 0.0, 2.0]}, {"task": 1, "kl/m0": 0.5, "kl/m1": 0, "kl/m2": 2}),
        ("mmib-cui", {}, {"task": 1, "align": 1, "kl/m0": 1, "kl/m1": 1, "kl/m2": 1}),
        ("mmib-zhang", {}, {"task": 1, "mutual": -0.1, "kl/m0": 1e-3, "kl/m1": 1e-3, "kl/m2": 1e-3}),
        ("mmib-zhang", {"compress": "skl", "kl": 0.7}, {"task": 1, "mutual": -0.1, "skl": 0.7}),
        ("dmib", {}, {"task": 1, "observation": 1, "sufficiency": 1, "trb/m0": 1, "trb/m1": 1, "trb/m2": 1}),
        (
            "dmib",
            {"sufficiency": 500, "modality": 1000},
            {"task": 1, "observation": 1, "sufficiency": 500, "trb/m0": 1000, "trb/m1": 1000, "trb/m2": 1000},
        ),
        ("e-mib", {}, {"task": 2, "kl": 1e-3}),
        (
            "l-mib",
            {},
            {"task": 2, **{f"trb/m{i}": 1 for i in range(3)}, **{f"kl/m{i}": 1e-3 for i in range(3)}},
        ),
        (
            "c-mib",
            {"main_weight": 1},
            {"task": 1, "kl": 1e-3, **{f"trb/m{i}": 1 for i in range(3)}, **{f"kl/m{i}": 1e-3 for i in range(3)}},
        ),
    ],
)
def test_the_loss_is_this_weighted_sum_of_these_terms(name, options, weights):
    step = losses(make(name, 3, **options), encodings(3), labels())
    assert set(step.terms) == set(weights)
    by_hand = sum(weight * step.terms[term].item() for term, weight in weights.items())
    assert step.total.item() == pytest.approx(by_hand, rel=1e-5)
    assert all(value.item() != 0 for value in step.terms.values())


def test_gates_of_dmib_add_their_mean_and_the_error_of_confidence():
    step = losses(make("dmib", gates=True), encodings(), labels())
    terms = {name: value.item() for name, value in step.terms.items()}
    assert step.total.item() == pytest.approx(sum(terms.values()), rel=1e-5)
    assert {"gate/m0", "gate/m1", "confidence/m0", "confidence/m1"} < set(terms)


def test_concat_by_hand():
    fusion, z = make("concat", hidden=0), encodings()
    u = np.concatenate([array(zi) for zi in z], axis=1)
    assert losses(fusion, z, labels()).terms["task"].item() == pytest.approx(
        cross_entropy(head(fusion, u), labels()), rel=1e-5
    )


def test_film_by_hand_scales_and_shifts_the_last_modality_by_what_the_first_says():
    fusion, z = make("film"), encodings()
    spoken = linear(fusion.modulators["0"], array(z[0]))
    u = spoken[:, :8] * array(z[1]) + spoken[:, 8:]
    np.testing.assert_allclose(array(fusion.fuse(z, batch(len(z))).embedding), u, rtol=1e-4, atol=1e-6)


def test_film_of_three_modulates_in_turn_with_factors_around_one():
    fusion, z = make("film", 3, base="m1"), encodings(3)
    u = array(z[1])
    for i in (0, 2):
        spoken = linear(fusion.modulators[str(i)], array(z[i]))
        u = (1 + spoken[:, :8]) * u + spoken[:, 8:]
    np.testing.assert_allclose(array(fusion.fuse(z, batch(len(z))).embedding), u, rtol=1e-4, atol=1e-6)


def test_film_without_the_speaker_leaves_the_base_as_it_is():
    present = torch.tensor([[False, True]]).expand(12, 2)
    z = encodings()
    assert torch.equal(make("film").fuse(z, batch(len(z), present)).embedding, z[1])


@pytest.mark.parametrize("gates", ["product", "mean"])
def test_bigated_by_hand(gates):
    fusion, z = make("bigated", 3, gates=gates, width=5), encodings(3)
    projected = [linear(layer, array(zi)) for layer, zi in zip(fusion.projections, z, strict=True)]
    one, two = sigmoid(projected[0]), sigmoid(projected[1])
    u = projected[2] * (one * two if gates == "product" else (one + two) / 2)
    np.testing.assert_allclose(array(fusion.fuse(z, batch(len(z))).embedding), u, rtol=1e-4, atol=1e-6)


def test_the_base_of_bigated_is_the_named_modality_or_the_last_and_several_gates_are_averaged():
    two, three = make("bigated", 2, width=5), make("bigated", 3, width=5)
    assert (two.gates, three.gates) == ("product", "mean")
    assert (two.base, three.base) == (1, 2)
    fusion, z = make("bigated", 3, width=5, base="m1"), encodings(3)
    one, base, three = (linear(layer, array(zi)) for layer, zi in zip(fusion.projections, z, strict=True))
    u = base * (sigmoid(one) + sigmoid(three)) / 2
    np.testing.assert_allclose(array(fusion.join(z, batch(3))), u, rtol=1e-4, atol=1e-6)


def test_bigated_averages_the_gates_that_are_there_and_is_open_without_any():
    fusion, z = make("bigated", 3), encodings(3)
    projected = [linear(layer, array(zi)) for layer, zi in zip(fusion.projections, z, strict=True)]
    one = fusion.fuse(z, batch(len(z), torch.tensor([[False, True, True]]).expand(12, 3))).embedding
    np.testing.assert_allclose(array(one), projected[2] * sigmoid(projected[1]), rtol=1e-4, atol=1e-6)
    none = fusion.fuse(z, batch(len(z), torch.tensor([[False, False, True]]).expand(12, 3))).embedding
    np.testing.assert_allclose(array(none), projected[2], rtol=1e-4, atol=1e-6)


def test_central_moment_discrepancy_by_hand():
    x, y = (GENERATOR.random((7, 3)) for _ in range(2))
    by_hand = np.linalg.norm(x.mean(0) - y.mean(0))
    for k in (2, 3, 4, 5):
        moments = [((v - v.mean(0)) ** k).mean(0) for v in (x, y)]
        by_hand += np.linalg.norm(moments[0] - moments[1])
    assert cmd(torch.tensor(x), torch.tensor(y), every(len(x))).item() == pytest.approx(by_hand, rel=1e-3)


def test_central_moment_discrepancy_of_equal_codes_is_almost_nothing_with_a_finite_gradient():
    x = torch.full((4, 3), 0.5, requires_grad=True)
    value = cmd(x, x.detach().clone(), every(4))
    value.backward()
    assert value.item() == pytest.approx(5e-4, rel=1e-3)  # five roots of 1e-8
    assert torch.isfinite(x.grad).all()


def test_difference_loss_by_hand_centres_before_it_normalises():
    x, y = (GENERATOR.random((6, 3)) for _ in range(2))
    unit = [(v - v.mean(0)) / np.linalg.norm(v - v.mean(0), axis=1, keepdims=True) for v in (x, y)]
    by_hand = ((unit[0].T @ unit[1]) ** 2).mean()
    assert difference(torch.tensor(x), torch.tensor(y), every(6)).item() == pytest.approx(by_hand, rel=1e-4)
    rows = torch.tensor([True, True, False, True, False, True])
    kept = [v[rows.numpy()] for v in (x, y)]
    expected = difference(torch.tensor(kept[0]), torch.tensor(kept[1]), every(4))
    torch.testing.assert_close(difference(torch.tensor(x), torch.tensor(y), rows), expected)
    torch.testing.assert_close(
        cmd(torch.tensor(x), torch.tensor(y), rows), cmd(torch.tensor(kept[0]), torch.tensor(kept[1]), every(4))
    )


def test_misa_by_hand():
    fusion, z = make("misa", 3).eval(), encodings(3)
    projected = [
        layer_norm(relu(linear(layers[0], array(zi))), layers[2])
        for layers, zi in zip(fusion.projections, z, strict=True)
    ]
    private = [sigmoid(linear(layer, p)) for layer, p in zip(fusion.private, projected, strict=True)]
    shared = [sigmoid(linear(fusion.shared, p)) for p in projected]
    pairs = [(0, 1), (0, 2), (1, 2)]
    restored = [linear(fusion.restore[i], private[i] + shared[i]) for i in range(3)]
    as_torch = torch.tensor
    apart = [difference(as_torch(private[i]), as_torch(shared[i]), every()) for i in range(3)]
    apart += [difference(as_torch(private[i]), as_torch(private[j]), every()) for i, j in pairs]
    alike = [cmd(as_torch(shared[i]), as_torch(shared[j]), every()) for i, j in pairs]
    terms = losses(fusion, z, labels()).terms
    assert terms["difference"].item() == pytest.approx(sum(apart).item(), rel=1e-4)  # a sum of six
    assert terms["similarity"].item() == pytest.approx(sum(alike).item() / 3, rel=1e-3)  # a mean of three
    errors = [((r - p) ** 2).mean() for r, p in zip(restored, projected, strict=True)]
    assert terms["reconstruction"].item() == pytest.approx(np.mean(errors), rel=1e-4)
    tokens = fusion.mixer(torch.tensor(np.stack([*private, *shared], axis=1)).float())
    torch.testing.assert_close(fusion.fuse(z, batch(len(z))).embedding, tokens.flatten(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("shift", "at_zero"), [(5.0, 0.0067153), (0.0, math.log(2))])
def test_softplus_bottleneck_by_hand(shift, at_zero):
    layer = Bottleneck(4, 3, "softplus", hidden=[6], activation=torch.nn.ReLU, shift=shift)
    x = torch.randn(5, 4)
    hidden = relu(linear(layer.trunk[0], array(x)))
    posterior = layer(x)
    np.testing.assert_allclose(array(posterior.mean), linear(layer.mean, hidden), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(array(posterior.sd), softplus(linear(layer.scale, hidden) - shift), rtol=1e-3)
    torch.nn.init.zeros_(layer.scale.weight)
    torch.nn.init.zeros_(layer.scale.bias)
    assert layer(x).sd.mean().item() == pytest.approx(at_zero, rel=1e-3)


def test_kl_between_gaussians_agrees_with_torch_distributions():
    p, q = (Posterior(torch.randn(5, 4), torch.randn(5, 4)) for _ in range(2))
    normal = torch.distributions.Normal
    truth = torch.distributions.kl_divergence(normal(p.mean, p.sd), normal(q.mean, q.sd)).sum(dim=1)
    torch.testing.assert_close(kl_between(p, q), truth)


def test_deep_ib_has_linear_codes_half_as_wide_whose_kl_is_summed():
    fusion, z = make("deep-ib"), encodings()
    terms = losses(fusion, z, labels()).terms
    for i, layer in enumerate(fusion.bottlenecks):
        mean, sd = linear(layer.mean, array(z[i])), softplus(linear(layer.scale, array(z[i])) - 5)
        assert mean.shape == (12, 4)
        assert terms[f"kl/m{i}"].item() == pytest.approx(gaussian_kl(mean, sd).sum(axis=1).mean(), rel=1e-3)
    u = relu(
        linear(
            fusion.join.linear,
            np.concatenate([linear(b.mean, array(zi)) for b, zi in zip(fusion.bottlenecks, z, strict=True)], axis=1),
        )
    )
    np.testing.assert_allclose(
        array(fusion.fuse(z, batch(len(z))).embedding), linear(fusion.code.mean, u), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(("draws", "spread"), [(1, 1.0), (10, 0.1**0.5)])
def test_deep_ib_fuses_the_mean_of_several_draws(draws, spread):
    fusion, seen = make("deep-ib", draws=draws), []
    for layer in fusion.bottlenecks:
        torch.nn.init.zeros_(layer.scale.weight)
        torch.nn.init.constant_(layer.scale.bias, 5.0 + math.log(math.e - 1))  # sigma 1
    fusion.join.register_forward_hook(lambda _layer, given, _made: seen.append(torch.cat(given[0], dim=1)))
    z = [zi[:1].expand(4000, -1) for zi in encodings()]
    losses(fusion, z, labels(batch=4000))
    assert seen[0].std(dim=0).mean().item() == pytest.approx(spread, rel=0.03)


def test_pair_critics_by_hand_with_one_negative_from_the_sample_before():
    critics, codes = PairCritics(3, 2, []), [torch.randn(5, 2) for _ in range(3)]
    by_hand = []
    for layers, (i, j) in zip(critics.critics, [(0, 1), (0, 2), (1, 2)], strict=True):
        a, b = array(codes[i]), array(codes[j])
        before = np.stack([b[n - 1] for n in range(5)])
        scores, mixed = (linear(layers[0], np.concatenate([a, other], axis=1)) for other in (b, before))
        by_hand.append(-np.log(sigmoid(scores)).mean() - np.log(1 - sigmoid(mixed)).mean())
    assert critics(codes, batch(3, y=torch.zeros(5))).item() == pytest.approx(np.mean(by_hand), rel=1e-4)


def test_pair_critics_leave_out_negatives_that_one_side_lacks():
    critics, codes = PairCritics(2, 2, []), [torch.randn(4, 2) for _ in range(2)]
    present = torch.tensor([[True, True], [True, False], [True, True], [False, True]])
    a, b = (array(code) for code in codes)
    layer = critics.critics[0][0]

    def score(n, m):
        return linear(layer, np.concatenate([a[n], b[m]]))[0]

    matched = [score(0, 0), score(2, 2)]
    mixed = [score(0, 3), score(1, 0)]  # sample 2 would take the second modality of sample 1, which lacks it
    by_hand = np.mean(softplus(-np.array(matched))) + np.mean(softplus(np.array(mixed)))
    assert critics(codes, batch(2, present, torch.zeros(4))).item() == pytest.approx(by_hand, rel=1e-4)


def test_critics_that_cannot_tell_know_that_the_information_is_minus_two_bits():
    """f = 0: I_JS = -log 2 - log 2, the value of which Zhang's term is the negative and Cui's the loss."""
    for name, term, sign in (("mmib-zhang", "mutual", -1), ("mmib-cui", "align", 1)):
        fusion = make(name, 3)
        for parameter in fusion.critics.parameters():
            torch.nn.init.zeros_(parameter)
        assert losses(fusion, encodings(3), labels()).terms[term].item() == pytest.approx(sign * 2 * math.log(2))


def attention_block(block: AttentionBlock, query: np.ndarray, key: np.ndarray) -> np.ndarray:
    """With one key the softmax is 1: what is attended to is its value."""
    width = query.shape[1]
    weight, bias = array(block.attention.in_proj_weight)[2 * width :], array(block.attention.in_proj_bias)[2 * width :]
    a = layer_norm(query + linear(block.attention.out_proj, key @ weight.T + bias), block.first)
    return layer_norm(a + linear(block.linear, a), block.second)


def test_mmib_cui_by_hand():
    fusion, z = make("mmib-cui", base="m1").eval(), encodings()
    spreads, means = [], []
    for layer, zi in zip(fusion.bottlenecks, z, strict=True):
        means.append(attention_block(layer.mean, array(zi), array(zi)))
        spreads.append(np.exp(attention_block(layer.log_variance, array(zi), array(zi)) / 2))
    asked = attention_block(fusion.to_base[0], means[0], means[1])
    fused = fusion.fuse(z, batch(len(z)))
    np.testing.assert_allclose(
        array(fused.embedding), attention_block(fusion.to_others, means[1], asked), rtol=1e-3, atol=1e-4
    )
    terms = losses(fusion, z, labels()).terms
    for i in range(2):
        np.testing.assert_allclose(array(fused.posteriors[f"m{i}"].sd), spreads[i], rtol=1e-3)
        assert terms[f"kl/m{i}"].item() == pytest.approx(gaussian_kl(means[i], spreads[i]).mean(), rel=1e-3)


def test_mmib_cui_does_not_attend_to_what_is_missing():
    """With one of two other modalities missing, the base attends to the other alone: not to a zero beside it."""
    fusion, z = make("mmib-cui", 3).eval(), encodings(3)
    present = torch.tensor([[True, True, False]]).expand(12, 3)
    means = [attention_block(layer.mean, array(zi), array(zi)) for layer, zi in zip(fusion.bottlenecks, z, strict=True)]
    asked = attention_block(fusion.to_base[0], means[1], means[0])
    expected = attention_block(fusion.to_others, means[0], asked)
    np.testing.assert_allclose(array(fusion.fuse(z, batch(len(z), present)).embedding), expected, rtol=1e-3, atol=1e-4)


def test_mmib_zhang_by_hand():
    fusion, z = make("mmib-zhang", 3), encodings(3)
    posteriors = []
    for layer, zi in zip(fusion.bottlenecks, z, strict=True):
        hidden = relu(linear(layer.trunk[0], array(zi)))
        posteriors.append((linear(layer.mean, hidden), softplus(linear(layer.scale, hidden))))
    terms = losses(fusion, z, labels()).terms
    for i, (mean, sd) in enumerate(posteriors):
        assert terms[f"kl/m{i}"].item() == pytest.approx(gaussian_kl(mean, sd).sum(axis=1).mean(), rel=1e-3)
    u = relu(linear(fusion.join.linear, np.concatenate([mean for mean, _ in posteriors], axis=1)))
    np.testing.assert_allclose(array(fusion.fuse(z, batch(len(z))).embedding), u, rtol=1e-4, atol=1e-5)
    symmetric = []
    for i, j in ((0, 1), (0, 2), (1, 2)):
        (m, s), (n, t) = posteriors[i], posteriors[j]
        one = np.log(t / s) + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5
        two = np.log(s / t) + (t**2 + (m - n) ** 2) / (2 * s**2) - 0.5
        symmetric.append(0.5 * (one + two).sum(axis=1).mean())
    other = losses(make("mmib-zhang", 3, compress="skl"), z, labels()).terms["skl"].item()
    assert other == pytest.approx(np.mean(symmetric), rel=1e-3)


def test_dmib_by_hand():
    fusion, z = make("dmib", hidden=0), encodings()
    v = np.concatenate([array(zi) for zi in z], axis=1)
    first, _, second = fusion.bottleneck
    assert first.out_features == 10  # two thirds of 16
    u = linear(second, relu(linear(first, v)))
    said, seen = head(fusion, u), head(fusion, v, fusion.observation)
    terms = losses(fusion, z, labels()).terms
    assert terms["task"].item() == pytest.approx(cross_entropy(said, labels()), rel=1e-4)
    assert terms["observation"].item() == pytest.approx(cross_entropy(seen, labels()), rel=1e-4)
    assert terms["sufficiency"].item() == pytest.approx(softmax_kl(seen, said), rel=1e-3)
    own = [
        cross_entropy(head(fusion, array(zi), branch), labels()) for zi, branch in zip(z, fusion.branches, strict=True)
    ]
    assert [terms["trb/m0"].item(), terms["trb/m1"].item()] == pytest.approx(own, rel=1e-4)


def test_sufficiency_teaches_the_bottleneck_and_not_the_observation():
    fusion, z = make("dmib", observation=0, modality=0), encodings()
    losses(fusion, z, labels()).total.backward()
    assert all(parameter.grad.abs().max() == 0 for parameter in fusion.observation.parameters())
    task_only = make("dmib", observation=0, modality=0, sufficiency=0)
    losses(task_only, z, labels()).total.backward()
    assert not torch.allclose(fusion.bottleneck[0].weight.grad, task_only.bottleneck[0].weight.grad)


def test_sufficiency_of_regression_is_half_the_squared_gap():
    fusion, z = make("dmib", task="regression", hidden=0), encodings()
    v = np.concatenate([array(zi) for zi in z], axis=1)
    gap = head(fusion, v, fusion.observation) - head(fusion, array(fusion.fuse(z, batch(len(z))).embedding))
    terms = losses(fusion, z, labels("regression")).terms
    assert terms["sufficiency"].item() == pytest.approx(0.5 * (gap**2).mean(), rel=1e-4)


def test_gates_and_confidence_of_dmib_by_hand():
    fusion, z = make("dmib", gates=True, hidden=0), encodings()
    y = labels().long().numpy()
    observed = []
    terms = losses(fusion, z, labels()).terms
    for i, zi in enumerate(z):
        gate = sigmoid(linear(fusion.gates[i], array(zi)))
        feature = gate * array(zi)
        logits = head(fusion, feature, fusion.branches[i])
        probability = np.exp(logits[np.arange(12), y]) / np.exp(logits).sum(axis=1)
        confidence = linear(fusion.confidences[i], feature)[:, 0]
        assert terms[f"gate/m{i}"].item() == pytest.approx(gate.mean(), rel=1e-4)
        assert terms[f"confidence/m{i}"].item() == pytest.approx(((confidence - probability) ** 2).mean(), rel=1e-4)
        observed.append(confidence[:, None] * feature)
    first, _, second = fusion.bottleneck
    u = linear(second, relu(linear(first, np.concatenate(observed, axis=1))))
    np.testing.assert_allclose(array(fusion.fuse(z, batch(len(z))).embedding), u, rtol=1e-4, atol=1e-5)


def encode(layer: Bottleneck, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """V of Mai et al.: mean and standard deviation."""
    hidden = relu(linear(layer.trunk[0], x))
    return linear(layer.mean, hidden), softplus(linear(layer.scale, hidden) - 5)


def test_e_mib_by_hand():
    fusion, z = make("e-mib", 3, latent=5), encodings(3)
    x = relu(linear(fusion.join.linear, np.concatenate([array(zi) for zi in z], axis=1)))
    mean, sd = encode(fusion.bottleneck, x)
    assert losses(fusion, z, labels()).terms["kl"].item() == pytest.approx(gaussian_kl(mean, sd).mean(), rel=1e-3)
    np.testing.assert_allclose(array(fusion.fuse(z, batch(len(z))).embedding), mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["l-mib", "c-mib"])
def test_l_mib_and_c_mib_by_hand(name):
    fusion, z = make(name, 3, latent=5, hidden=0), encodings(3)
    terms, fused = losses(fusion, z, labels()).terms, fusion.fuse(z, batch(len(z)))
    codes = [encode(layer, array(zi)) for layer, zi in zip(fusion.bottlenecks, z, strict=True)]
    for i, (mean, sd) in enumerate(codes):
        assert terms[f"kl/m{i}"].item() == pytest.approx(gaussian_kl(mean, sd).mean(), rel=1e-3)
        own = head(fusion, mean, fusion.branches[i])
        np.testing.assert_allclose(array(fused.branch_outputs[f"m{i}"]), own, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(array(fused.posteriors[f"m{i}"].sd), sd, rtol=1e-3)
    x = relu(linear(fusion.join.linear, np.concatenate([mean for mean, _ in codes], axis=1)))
    u = x if name == "l-mib" else encode(fusion.bottleneck, x)[0]
    np.testing.assert_allclose(array(fused.embedding), u, rtol=1e-4, atol=1e-5)
    assert ("kl" in terms) == (name == "c-mib")


@pytest.mark.parametrize("name", ["l-mib", "c-mib", "e-mib"])
def test_with_hardly_any_noise_the_sampled_losses_are_those_of_the_means(name):
    fusion, z = make(name, 2), encodings()
    for layer in (module for module in fusion.modules() if isinstance(module, Bottleneck)):
        torch.nn.init.zeros_(layer.scale.weight)
        torch.nn.init.constant_(layer.scale.bias, -10.0)
    terms, fused = losses(fusion, z, labels()).terms, fusion.fuse(z, batch(len(z)))
    assert terms["task"].item() == pytest.approx(cross_entropy(array(fused.output), labels()), abs=1e-3)
    for i, output in enumerate(fused.branch_outputs.values()):
        assert terms[f"trb/m{i}"].item() == pytest.approx(cross_entropy(array(output), labels()), abs=1e-3)
