"""OMIB's losses against values computed by hand, its gradients, and what missing modalities do to it."""

from __future__ import annotations

import math

import pytest
import torch
from methods import batch, make

from omib_cli.fusion.attention import CrossAttention
from omib_cli.fusion.bottleneck import Bottleneck, posteriors_of
from omib_cli.fusion.omib import Omib
from omib_cli.fusion.posterior import Posterior, draw, kl_to_prior
from omib_cli.fusion.relative_weight import log_rho, relative_weights
from omib_cli.nn.attention import self_attention
from omib_cli.recipe.fusion import OmibOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.recipe.tasks import ClassificationOptions, RegressionOptions
from omib_cli.tasks.classification import Classification
from omib_cli.tasks.regression import Regression

BATCH, WIDTH = 12, 8


def method(count=2, task="classification", **options) -> Omib:
    torch.manual_seed(0)
    made = (
        Classification(ClassificationOptions(), ["a", "b", "c"])
        if task == "classification"
        else Regression(RegressionOptions(), [])
    )
    fusion = Omib(OmibOptions(**options), {f"m{i}": WIDTH for i in range(count)}, made, HeadOptions(hidden=16))
    fusion.set_beta(0.05, 7.0)
    return fusion


def encodings(count=2, requires_grad=False):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(BATCH, WIDTH, generator=generator).requires_grad_(requires_grad) for _ in range(count)]


def labels(task="classification"):
    return torch.arange(BATCH).float() % 3 if task == "classification" else torch.linspace(-1, 1, BATCH)


def test_kl_to_prior_is_the_closed_form():
    posterior = Posterior(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, math.log(4.0)]]))
    by_hand = 0.5 * (1.0 + 1.0 - 0.0 - 1.0) + 0.5 * (4.0 + 4.0 - math.log(4.0) - 1.0)
    assert kl_to_prior(posterior, "sum").item() == pytest.approx(by_hand)
    assert kl_to_prior(posterior, "mean").item() == pytest.approx(by_hand / 2)


def test_kl_to_prior_agrees_with_torch_distributions():
    posterior = Posterior(torch.randn(5, 4), torch.randn(5, 4))
    normal = torch.distributions.Normal
    truth = torch.distributions.kl_divergence(normal(posterior.mean, posterior.sd), normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(kl_to_prior(posterior, "sum"), truth)


@pytest.mark.parametrize("rho", [1e-6, 0.5, 1.0, 3.0, 1e6])
def test_relative_weight_is_equation_11(rho):
    expected = 1.0 - math.tanh(math.log(rho))
    assert relative_weights(torch.tensor(rho).log()).item() == pytest.approx(expected, abs=1e-6)
    assert relative_weights(torch.tensor(rho).log()).item() == pytest.approx(2 / (1 + rho**2), rel=1e-4, abs=1e-9)


def test_rho_by_hand_in_both_estimators():
    divergences = torch.tensor([[1.0, 3.0], [2.0, 2.0]])
    ratio = log_rho(divergences, batch(2, y=torch.zeros(2)), "ratio-of-means").exp()
    assert ratio.item() == pytest.approx(2.0 / 2.0, rel=1e-5)
    mean = log_rho(divergences, batch(2, y=torch.zeros(2)), "mean-of-ratios").exp()
    assert mean.item() == pytest.approx((2.0 / 1.0 + 2.0 / 3.0) / 2, rel=1e-5)


def test_rho_compares_only_samples_that_have_both_modalities():
    divergences = torch.tensor([[1.0, 100.0, 3.0], [2.0, 50.0, 6.0]])
    present = torch.tensor([[True, True], [True, False], [True, True]])
    assert log_rho(divergences, batch(2, present, torch.zeros(3)), "ratio-of-means").exp().item() == pytest.approx(
        8.0 / 4.0, rel=1e-5
    )
    nobody = torch.tensor([[True, False]] * 3)
    assert log_rho(divergences, batch(2, nobody, torch.zeros(3)), "ratio-of-means").item() == 0.0


def test_total_is_task_plus_beta_times_weighted_kl_plus_branches():
    fusion = method(3)
    torch.manual_seed(3)
    step = fusion.losses(encodings(3), batch(3))
    terms = {name: value.item() for name, value in step.terms.items()}
    kl = terms["kl/m0"] + terms["r/m1"] * terms["kl/m1"] + terms["r/m2"] * terms["kl/m2"]
    by_hand = terms["task"] + 0.05 * kl + sum(terms[f"trb/m{i}"] for i in range(3))
    assert step.total.item() == pytest.approx(by_hand, rel=1e-5)
    assert "r/m0" not in terms


def test_branch_weight_weighs_the_branches_losses_and_nothing_else():
    def total(weight):
        torch.manual_seed(3)
        return method(branch_weight=weight).losses(encodings(), batch(2))

    whole, tenth = total(1.0), total(0.1)
    assert {name: value.item() for name, value in whole.terms.items()} == pytest.approx(
        {name: value.item() for name, value in tenth.terms.items()}
    )
    branches = sum(whole.terms[f"trb/m{i}"].item() for i in range(2))
    assert whole.total.item() - tenth.total.item() == pytest.approx(0.9 * branches, rel=1e-4)


@pytest.mark.parametrize(
    ("hidden", "layers"), [(None, [(8, 8), (8, 8)]), ([], [(8, 8)]), ([5, 6], [(8, 5), (5, 6), (6, 8)])]
)
def test_bottleneck_has_the_hidden_layers_that_the_recipe_says(hidden, layers):
    vae = method(bottleneck={"hidden": hidden}).bottlenecks[0]
    found = [each for each in vae.modules() if isinstance(each, torch.nn.Linear) and each is not vae.scale]
    assert [(each.in_features, each.out_features) for each in found] == layers
    z, *_ = encodings()
    doubled, origin = vae(2 * z).mean, vae(torch.zeros_like(z)).mean
    assert torch.allclose(doubled - origin, 2 * (vae(z).mean - origin), atol=1e-5) == (hidden == [])


def test_task_scale_divides_only_the_embeddings_loss():
    torch.manual_seed(3)
    plain = method().losses(encodings(), batch(2))
    torch.manual_seed(3)
    scaled = method(task_scale="joint-information").losses(encodings(), batch(2))
    difference = plain.total.item() - scaled.total.item()
    assert difference == pytest.approx(plain.terms["task"].item() * (1 - 1 / 7.0), rel=1e-4)


def test_relative_weight_one_is_the_ablation_without_r():
    terms = method(relative_weight="one").losses(encodings(), batch(2)).terms
    assert terms["r/m1"].item() == 1.0


def test_joint_routing_trains_the_encoders_with_every_loss_and_routed_with_the_branches_alone():
    def gradient(routing, branches):
        z = encodings(requires_grad=True)
        fusion = method(routing=routing)
        if not branches:
            for parameter in fusion.branches.parameters():
                parameter.data.zero_()
        torch.manual_seed(5)
        fusion.losses(z, batch(len(z))).total.backward()
        return z[0].grad.abs().sum().item()

    assert gradient("joint", branches=False) > 0
    assert gradient("routed", branches=False) == 0
    assert gradient("routed", branches=True) > 0


def test_routed_bottlenecks_get_no_gradient_from_the_branches():
    fusion = method(routing="routed")
    fusion.set_beta(0.0, 1.0)
    step = fusion.losses(encodings(), batch(2))
    step.total.backward()
    with_task = fusion.bottlenecks[0].mean.weight.grad.clone()
    fusion.zero_grad()
    torch.manual_seed(0)
    for parameter in fusion.head.parameters():
        parameter.data.zero_()  # the embedding's own loss no longer depends on the embedding
    fusion.losses(encodings(), batch(2)).total.backward()
    assert with_task.abs().sum() > 0
    assert fusion.bottlenecks[0].mean.weight.grad.abs().sum() == 0


def test_r_carries_no_gradient_unless_asked():
    def gradient(mode):
        fusion = method(r_gradient=mode)
        fusion.set_beta(10.0, 1.0)
        torch.manual_seed(2)
        fusion.losses(encodings(), batch(2)).total.backward()
        return fusion.head[0].weight.grad.clone()

    assert not torch.allclose(gradient("stop"), gradient("flow"))


@pytest.mark.parametrize("form", ["tokens", "single", "cross", "none"])
@pytest.mark.parametrize("count", [2, 3])
def test_attention_maps_m_tokens_to_one_embedding_and_reaches_all_its_weights(form, count):
    attention = CrossAttention(count, WIDTH, form, heads=4, norm=True)
    zeta = [torch.randn(BATCH, WIDTH, requires_grad=True) for _ in range(count)]
    xi = attention(zeta, batch(count))
    assert xi.shape == (BATCH, WIDTH)
    xi.square().sum().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in zeta)


@pytest.mark.parametrize("form", ["tokens", "cross"])
@pytest.mark.parametrize("missing", [False, True])
def test_attention_is_torchs_own(form, missing):
    torch.manual_seed(0)
    attention = CrossAttention(3, WIDTH, form, heads=4, norm=True)
    tokens = torch.randn(BATCH, 3, WIDTH)
    some = batch(3, torch.rand(BATCH, 3) > 0.4 if missing else None)
    mask = attention._mask(some)
    barred = None if mask is None else ~mask.expand(BATCH, 4, 3, 3).reshape(BATCH * 4, 3, 3)
    expected, _ = attention.attention(tokens, tokens, tokens, attn_mask=barred)
    torch.testing.assert_close(self_attention(attention.attention, tokens, mask, some), expected)


def test_single_token_attention_has_idle_query_and_key_projections():
    """Equation 105 to the letter: one key, so a softmax of 1, so no gradient for W_Q and W_K."""
    attention = CrossAttention(2, WIDTH, "single", heads=4, norm=True)
    attention([torch.randn(BATCH, WIDTH), torch.randn(BATCH, WIDTH)], batch()).square().sum().backward()
    query_key, value = attention.attention.in_proj_weight.grad.split([2 * 2 * WIDTH, 2 * WIDTH])
    assert query_key.abs().max() < 1e-6 * value.abs().max()  # not 0: rounding inside the fused kernel


@pytest.mark.parametrize("form", ["tokens", "cross", "none"])
def test_a_missing_modality_does_not_influence_the_embedding(form):
    fusion = method(3, attention=form)
    z = encodings(3)
    present = torch.ones(BATCH, 3, dtype=torch.bool)
    present[4:, 1] = False
    present[8:, 2] = False
    before = fusion.fuse(z, batch(len(z), present)).embedding
    z[1] = z[1].clone()
    z[1][4:] = 123.0
    z[2] = z[2].clone()
    z[2][8:] = -55.0
    after = fusion.fuse(z, batch(len(z), present)).embedding
    torch.testing.assert_close(before, after)
    assert torch.isfinite(after).all()


def test_all_present_mask_changes_nothing():
    fusion, z = method(3), encodings(3)
    masked = batch(3, complete=False)
    torch.testing.assert_close(fusion.fuse(z, batch(3)).embedding, fusion.fuse(z, masked).embedding)


def test_missing_modality_costs_no_kl_and_no_branch_loss():
    fusion = method()
    present = torch.ones(BATCH, 2, dtype=torch.bool)
    present[:, 1] = False
    terms = fusion.losses(encodings(), batch(2, present)).terms
    assert terms["kl/m1"].item() == 0.0
    assert terms["trb/m1"].item() == 0.0
    assert torch.isfinite(fusion.losses(encodings(), batch(2, present)).total)


def test_warmup_draws_fresh_noise_and_trains_branches_only():
    fusion = method()
    z = encodings(requires_grad=True)
    first = fusion.warmup_losses(z, batch(len(z)))
    second = fusion.warmup_losses(z, batch(len(z)))
    assert first.total.item() != second.total.item()
    first.total.backward()
    assert z[0].grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in fusion.bottlenecks.parameters())


def test_inference_has_no_noise():
    fusion, z = method(), encodings()
    assert torch.equal(fusion.fuse(z, batch(len(z))).embedding, fusion.fuse(z, batch(len(z))).embedding)


def test_more_posterior_samples_lower_the_spread_of_the_loss():
    z = [10 * value for value in encodings()]

    def spread(samples):
        fusion = method(samples=samples)
        torch.manual_seed(0)
        return torch.stack([fusion.losses(z, batch(len(z))).terms["task"] for _ in range(60)]).std().item()

    assert spread(8) < 0.6 * spread(1)


def test_softplus_posterior_starts_almost_deterministic():
    posterior = Bottleneck(WIDTH, WIDTH, "softplus")(torch.randn(BATCH, WIDTH))
    assert posterior.sd.max() < 0.05


def test_without_omf_is_the_task_loss_on_the_concatenation():
    fusion = method(main_training="without-omf")
    z = encodings()
    step = fusion.losses(z, batch(len(z)))
    by_hand = torch.nn.functional.cross_entropy(fusion.head(torch.cat(z, dim=1), batch()), labels().long())
    assert step.total.item() == pytest.approx(by_hand.item())
    assert fusion.fuse(z, batch(len(z))).embedding.shape == (BATCH, 2 * WIDTH)


def test_regression_divergence_is_half_the_squared_distance():
    task = Regression(RegressionOptions(), [])
    assert task.divergence(torch.tensor([[3.0]]), torch.tensor([[1.0]])).item() == 2.0
    terms = method(task="regression").losses(encodings(), batch(2, y=labels("regression"))).terms
    assert 0.0 <= terms["r/m1"].item() <= 2.0


def test_classification_divergence_is_the_kl_of_softmaxes_and_never_negative():
    task = Classification(ClassificationOptions(), ["a", "b"])
    p, q = torch.randn(50, 2) * 20, torch.randn(50, 2) * 20
    categorical = torch.distributions.Categorical
    truth = torch.distributions.kl_divergence(categorical(logits=p), categorical(logits=q))
    torch.testing.assert_close(task.divergence(p, q), truth, rtol=1e-4, atol=1e-5)
    assert (task.divergence(p, p + 1e-4) >= 0).all()


def test_r_momentum_remembers_earlier_batches():
    fusion = method(r_momentum=0.9)
    fusion.train()
    fusion.losses(encodings(), batch(2))
    remembered = fusion.log_rho.clone()
    assert remembered.abs() > 0
    assert "log_rho" in dict(fusion.named_buffers())
    fusion.eval()
    fusion.losses(encodings(), batch(2))
    assert torch.equal(fusion.log_rho, remembered)


@pytest.mark.parametrize("estimator", ["ratio-of-means", "mean-of-ratios"])
def test_perfect_branches_give_r_of_one_not_nan(estimator):
    assert relative_weights(log_rho(torch.zeros(2, 4), batch(2, y=torch.zeros(4)), estimator)).item() == pytest.approx(
        1.0
    )


def test_inference_samples_average_predictions_not_logits():
    task = Classification(ClassificationOptions(), ["a", "b"])
    logits = torch.tensor([[[4.0, 0.0]], [[0.0, 0.0]]])
    mean = torch.softmax(logits, dim=-1).mean(dim=0)
    torch.testing.assert_close(torch.softmax(task.average(logits), dim=-1), mean)
    regression = Regression(RegressionOptions(), [])
    assert regression.average(torch.tensor([[[1.0]], [[4.0]]])).item() == 2.5


def test_many_inference_samples_approach_the_expectation_and_one_differs_from_the_mean_code():
    z = encodings()
    torch.manual_seed(0)
    a = method(inference_samples=400).fuse(z, batch(len(z))).embedding
    torch.manual_seed(1)
    b = method(inference_samples=400).fuse(z, batch(len(z))).embedding
    single = method(inference_samples=1).fuse(z, batch(len(z))).embedding
    assert (a - b).abs().max() < 0.3 * (single - a).abs().max()


def gaps() -> torch.Tensor:
    present = torch.ones(BATCH, 3, dtype=torch.bool)
    present[4:, 1] = False
    present[8:, 2] = False
    return present


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("form", ["tokens", "single", "cross", "none"])
def test_not_even_noise_comes_from_a_missing_modality_in_training(form, norm):
    """Two draws of what is missing, the same draw of what is there: the same embedding and predictions."""
    fusion, z, some = method(3, attention=form, norm=norm), encodings(3), batch(3, gaps())
    posteriors = posteriors_of(fusion.bottlenecks, z, some)
    one, two = draw(posteriors, some), draw(posteriors, some)
    mixed = [torch.where(some.has(i)[:, None], one[i], two[i]) for i in range(3)]
    assert not torch.equal(mixed[1], one[1])
    ours, theirs = fusion.predict(z, one, some), fusion.predict(z, mixed, some)
    torch.testing.assert_close(ours.xi, theirs.xi, rtol=0, atol=0)
    torch.testing.assert_close(ours.y, theirs.y, rtol=0, atol=0)


@pytest.mark.parametrize("form", ["tokens", "cross"])
def test_a_missing_token_is_neither_attended_to_nor_passed_on(form):
    """Sample by sample what a network of the modalities that are there would make of them."""
    attention = method(3, attention=form, norm=False).attention
    zeta, some = [torch.randn(BATCH, WIDTH) for _ in range(3)], batch(3, gaps())
    own = attention.attention
    tokens = torch.stack(zeta, dim=1) + attention.modality
    found = attention(some.fill_each(zeta), some)
    for n, there in enumerate(gaps()):
        held = tokens[n, there][None]
        barred = torch.eye(int(there.sum()), dtype=torch.bool) if form == "cross" and there.sum() > 1 else None
        attended, _ = own(held, held, held, attn_mask=barred)
        passed = torch.zeros(3, WIDTH)
        passed[there] = (held + attended)[0]
        torch.testing.assert_close(found[n], attention.out(passed.flatten()), rtol=1e-4, atol=1e-5)


def test_each_branch_predicts_from_its_own_encoding_and_the_embedding_in_training_too():
    """Equation 9 by hand, from the losses of main training."""
    fusion, z = method(3), encodings(3)
    seen = {}
    for name, module in {**dict(enumerate(fusion.branches)), "xi": fusion.head}.items():
        module.register_forward_pre_hook(lambda _module, given, name=name: seen.update({name: given[0]}))
    terms, seen = fusion.losses(z, batch(3)).terms, dict(seen)
    for i in range(3):
        assert torch.equal(seen[i], torch.cat([z[i], seen["xi"]], dim=1))
        output = fusion.branches[i](seen[i], batch(3))
        by_hand = torch.nn.functional.cross_entropy(output, labels().long())
        assert terms[f"trb/m{i}"].item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_momentum_is_the_share_of_what_was_before():
    fusion = method(2, r_momentum=0.9)
    divergences = torch.stack([torch.full((BATCH,), 1.0), torch.full((BATCH,), 4.0)])
    fusion._weights(divergences, batch())
    assert fusion.log_rho.item() == pytest.approx(0.1 * math.log(4.0), rel=1e-5)  # a tenth of what is new
    fusion._weights(divergences, batch())
    assert fusion.log_rho.item() == pytest.approx((0.9 * 0.1 + 0.1) * math.log(4.0), rel=1e-5)


def test_a_divergence_is_a_mean_over_the_samples_that_have_the_modality_as_in_every_method():
    some = batch(3, gaps())
    fusion = method(3)
    kl = kl_to_prior(fusion.bottlenecks[1](encodings(3)[1]), "sum")
    assert fusion.losses(encodings(3), some).terms["kl/m1"].item() == pytest.approx(kl[:4].mean().item(), rel=1e-5)
    for name in ("deep-ib", "mmib-zhang"):
        other = make(name, 3)
        kl = kl_to_prior(other.bottlenecks[1](encodings(3)[1]), "sum")
        assert other.losses(encodings(3), some).terms["kl/m1"].item() == pytest.approx(kl[:4].mean().item(), rel=1e-5)


def test_branches_of_survival_are_compared_among_the_samples_that_have_the_modality():
    fusion, everything = make("omib", 2, "survival"), batch(2, y=labels("survival"))
    present = everything.present.clone()
    present[::4, 1] = False
    z = encodings()
    torch.manual_seed(3)
    gaps = fusion.warmup_losses(z, batch(2, present, labels("survival"))).terms["trb/m1"]
    changed = [z[0], torch.where(present[:, 1:], z[1], 50.0)]  # what is not there says nothing
    torch.manual_seed(3)
    again = fusion.warmup_losses(changed, batch(2, present, labels("survival"))).terms["trb/m1"]
    torch.testing.assert_close(gaps, again)
