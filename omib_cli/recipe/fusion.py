"""Options of fusion methods, OMIB and those it is compared with, and their registry.

Defaults of the compared methods are those of their sources where this program can have them; docs/methods.md says where
it cannot.

Labels in square brackets, such as [D2], are places where the paper leaves a choice: docs/choices.md lists them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from omib_cli.recipe.options import Count, NonNegative, Options, Positive, Registry, Share

FUSIONS = Registry("fusion method", "method")


class FusionOptions(Options):
    """What every fusion method has in common: its name."""

    has_warmup: ClassVar[bool] = False
    """Whether training has two phases, the first of which is the warm-up of Algorithm 1. A method without warm-up
    trains for `warmup.epochs` + `train.epochs` in a single phase, so that all methods see the data equally often."""
    least_modalities: ClassVar[int] = 1
    """How many modalities it needs."""

    method: str

    @property
    def uses_beta(self) -> bool:
        """Whether the loss has the redundancy weight, for which bounds must be estimated."""
        return False

    @property
    def couples_samples(self) -> bool:
        """Whether a gradient depends on what other samples are in the batch, which several processes do not see."""
        return False

    def misfits(self, widths: Mapping[str, int]) -> list[str]:
        """What does not go together with modalities whose encodings have these widths, in words."""
        if len(widths) < self.least_modalities:
            return [f"`fusion.method` {self.method} needs {self.least_modalities} modalities, got {len(widths)}"]
        return []


def _undivided(width: int, heads: int, what: str) -> list[str]:
    """The problem that attention has with a width, named by ``what``, that its heads do not divide."""
    return [f"{what.format(width)} is no multiple of `fusion.heads` ({heads})"] if width % heads else []


class BottleneckOptions(Options):
    """The network of each bottleneck, between an encoding and the two heads of its Gaussian."""

    hidden: list[Count] | None = None
    """Widths of its hidden layers; None takes one of the encoding's width (Appendix H), `[]` makes it linear [D6]."""


class OmibOptions(FusionOptions):
    """Optimal multimodal information bottleneck (Equations 5-11); what the paper leaves open is an option."""

    has_warmup: ClassVar[bool] = True

    method: Literal["omib"] = "omib"
    latent: Count | None = None
    """Width k of the bottleneck and of the embedding; None takes the first encoder's width d [D2]."""
    bottleneck: BottleneckOptions = BottleneckOptions()
    """The networks that make a Gaussian of each encoding."""
    branch_weight: Positive = 1.0
    """Weight of the branches' losses beside the embedding's, in main training: what each modality says by itself
    keeps its encoder from what the label takes only in a sum with other modalities [C8]."""
    routing: Literal["joint", "routed"] = "joint"
    """Which loss trains the encoders: `joint` all of them (Algorithm 2); `routed` detaches z before the bottleneck
    and the embedding before the heads of the task-relevance branches (Section 4) [C1]."""
    attention: Literal["tokens", "single", "cross", "none"] = "tokens"
    """Form of the cross-attention network: one token per modality; Equation 105's single concatenated token; each
    modality querying the others; or none, a linear map of the concatenation (the ablation w/o cross-attn) [D1]."""
    heads: Count = 4
    """Attention heads; the latent width must be a multiple of it, with `attention: single` M times the latent width."""
    norm: bool = True
    """Layer normalisation after the attention's residual."""
    kl_reduction: Literal["sum", "mean"] = "sum"
    """KL to the prior, summed or averaged over the latent dimensions [A5]."""
    posterior: Literal["log-variance", "softplus"] = "log-variance"
    """What the second head of the bottleneck means: a log-variance, or s with sigma = softplus(s - 5) [A3]."""
    relative_weight: Literal["dynamic", "one"] = "dynamic"
    """`dynamic` is Equation 11; `one` fixes r = 1 (the ablation w/o r)."""
    r_estimator: Literal["ratio-of-means", "mean-of-ratios"] = "ratio-of-means"
    """How a batch's divergences become rho: Equation 49's quantity, or Equation 11 to the letter [B2]."""
    r_gradient: Literal["stop", "flow"] = "stop"
    """Whether r is a constant for the gradient [B3]."""
    r_momentum: Share = 0.0
    """Exponential moving average of ln rho over batches; 0 uses each batch alone [B4]."""
    samples: Count = 1
    """Posterior samples per training step (the expectation over epsilon) [A6]."""
    inference_samples: Annotated[int, Field(ge=0)] = 0
    """0 predicts with zeta = mu; S averages embedding and prediction over S draws. With `norm` the means of unused
    dimensions, which are near 0, are blown up where training saw noise of variance 1: draws avoid that [C5]."""
    task_scale: Literal["one", "joint-information"] = "one"
    """`joint-information` divides the embedding's task loss by the bound's estimate of H(v_1..v_M), the objective for
    which the paper's bound on beta is proved; `one` is Equation 10 [A4]."""
    main_training: Literal["full", "without-omf"] = "full"
    """`without-omf`: after warm-up, a head on the concatenated encodings alone (the ablation w/o OMF)."""

    @property
    def uses_beta(self) -> bool:
        """In full; without OMF there is nothing that it weighs."""
        return self.main_training == "full"

    @property
    def couples_samples(self) -> bool:
        """If the gradient flows through r, which is a ratio of the batch's means."""
        return self.r_gradient == "flow"

    def misfits(self, widths: Mapping[str, int]) -> list[str]:
        """As for any method, and a token of the attention that its heads do not divide."""
        latent, found = self.latent or next(iter(widths.values())), super().misfits(widths)
        if self.attention == "none" or self.main_training == "without-omf":
            return found
        if self.attention == "single":
            token, what = latent * len(widths), f"{len(widths)} modalities of latent width {latent} make {{}}, which"
        else:
            token, what = latent, "latent width {}"
        return [*found, *_undivided(token, self.heads, what)]


class ConcatOptions(FusionOptions):
    """The encodings side by side."""

    method: Literal["concat"] = "concat"


class BasedOptions(FusionOptions):
    """What methods that treat one modality unlike the others have in common: which one it is."""

    least_modalities: ClassVar[int] = 2

    base: str | None = None
    """The modality that the others act on; the method says which one stands for None."""

    def misfits(self, widths: Mapping[str, int]) -> list[str]:
        """As for any method, and a base that is no modality."""
        found = super().misfits(widths)
        if self.base is not None and self.base not in widths:
            found.append(f"`fusion.base` {self.base!r} is none of the modalities {', '.join(widths)}")
        return found


class FilmOptions(BasedOptions):
    """Feature-wise linear modulation (Perez et al. 2018): the others scale and shift the base; None is the last."""

    method: Literal["film"] = "film"
    scale: Literal["raw", "residual"] | None = None
    """Whether what a modality says is the factor itself or the factor less 1; None takes `raw` for two modalities, as
    the literature on CREMA-D does, and `residual` for more, since products of raw factors vanish."""


class BiGatedOptions(BasedOptions):
    """Gates (Kiela et al. 2018): the others let features of the base pass or not; None is the last."""

    method: Literal["bigated"] = "bigated"
    width: Count | None = None
    """Width of the gated features; None takes the first encoder's."""
    gates: Literal["product", "mean"] | None = None
    """How several gates become one; None takes their product for two modalities, their mean for more."""


class MisaOptions(FusionOptions):
    """MISA (Hazarika et al. 2020): each modality has a code that it shares with the others and one of its own."""

    least_modalities: ClassVar[int] = 2

    method: Literal["misa"] = "misa"
    width: Annotated[int, Field(ge=2, multiple_of=2)] = 128
    """Width h of the two codes; even, for two attention heads."""
    difference: NonNegative = 0.3
    """Weight of the loss that keeps codes orthogonal (a sum over pairs of codes)."""
    similarity: NonNegative = 1.0
    """Weight of the central moment discrepancy of the shared codes (a mean over pairs of modalities)."""
    reconstruction: NonNegative = 1.0
    """Weight of the squared error with which both codes restore the projected encoding (a mean over modalities)."""

    @property
    def couples_samples(self) -> bool:
        """Differences and moments are of the batch's codes."""
        return True


class DeepIbOptions(FusionOptions):
    """Deep multi-view information bottleneck (Wang et al. 2019)."""

    method: Literal["deep-ib"] = "deep-ib"
    latent: Count | None = None
    """Width k of every code and of the embedding; None takes half the first encoder's width. The source has 20."""
    kl: NonNegative | list[NonNegative] = 1e-3
    """Weight of each modality's KL to the prior (summed over dimensions): one for all, or a list in the order of the
    modalities. The source has [9e-5, 1e-3]."""
    draws: Count = 10
    """Draws of each modality's code, whose mean is fused."""

    def misfits(self, widths: Mapping[str, int]) -> list[str]:
        """As for any method, and weights that are not one for each modality."""
        found = super().misfits(widths)
        if isinstance(self.kl, list) and len(self.kl) != len(widths):
            found.append(f"`fusion.kl` has {len(self.kl)} weights for {len(widths)} modalities")
        return found


class MmibCuiOptions(BasedOptions):
    """MMIB of Cui et al. (2024): noisy codes, aligned, fused by attention to and from the base; None is the first."""

    method: Literal["mmib-cui"] = "mmib-cui"
    latent: Count | None = None
    """Width k of codes and embedding; None takes the first encoder's. Encodings of another width are mapped to it."""
    heads: Count = 4
    """Attention heads; the latent width must be a multiple of it. The source has 12 for a width of 768."""
    dropout: Share = 0.1
    """Inside the attention."""
    align: NonNegative = 1.0
    """Weight of telling pairs of codes of one sample from pairs of two (a mean over pairs of modalities)."""
    kl: NonNegative = 1.0
    """Weight of each modality's KL to the prior (averaged over dimensions)."""

    def misfits(self, widths: Mapping[str, int]) -> list[str]:
        """As for any method with a base, and a width that heads do not divide."""
        latent = self.latent or next(iter(widths.values()))
        return [*super().misfits(widths), *_undivided(latent, self.heads, "latent width {}")]

    @property
    def couples_samples(self) -> bool:
        """Pairs that do not belong together come from the batch."""
        return True


class MmibZhangOptions(FusionOptions):
    """MMIB of Zhang et al. (2022), rebuilt from the abstract: informative between modalities, terse within."""

    least_modalities: ClassVar[int] = 2

    method: Literal["mmib-zhang"] = "mmib-zhang"
    latent: Count = 64
    """Width k of codes and embedding."""
    hidden: Count = 1024
    """Hidden width of the networks that make codes and of the critics."""
    mutual: NonNegative = 0.1
    """Weight of the mutual information between codes, which is maximised (a mean over pairs of modalities)."""
    compress: Literal["kl", "skl"] = "kl"
    """What is minimised: the KL of each modality's code to the prior, or the symmetric KL of two modalities' codes."""
    kl: NonNegative = 1e-3
    """Weight of `compress` (summed over dimensions; over modalities for `kl`, a mean over pairs for `skl`)."""

    @property
    def couples_samples(self) -> bool:
        """Pairs that do not belong together come from the batch."""
        return True


class DmibOptions(FusionOptions):
    """DMIB (Fang et al. 2024): a narrow deterministic layer that must predict what its input predicts."""

    method: Literal["dmib"] = "dmib"
    observation: NonNegative = 1.0
    """Weight of the loss of the prediction from the concatenated encodings."""
    sufficiency: NonNegative = 1.0
    """Weight of KL(prediction from the encodings || from the bottleneck); the source has 500, of something else."""
    modality: NonNegative = 1.0
    """Weight of the loss of each modality's own prediction; the source has 1000."""
    gates: bool = False
    """Whether encodings are gated feature by feature and weighted by how well their modality predicts."""


class MibOptions(FusionOptions):
    """What the three bottlenecks of Mai et al. (2023) have in common; their source has `latent: 50`."""

    latent: Count | None = None
    """Width k of codes and embedding; None takes the first encoder's."""
    hidden: Count = 1024
    """Hidden width of the networks that make codes."""
    kl: NonNegative = 1e-3
    """Weight beta of every KL to the prior (averaged over dimensions)."""
    main_weight: NonNegative = 2.0
    """Weight of the embedding's loss; the published code counts it twice, the paper once."""


class EMibOptions(MibOptions):
    """E-MIB (Mai et al. 2023): one bottleneck after fusion."""

    method: Literal["e-mib"] = "e-mib"


class LMibOptions(MibOptions):
    """L-MIB (Mai et al. 2023): a bottleneck for each modality before fusion."""

    method: Literal["l-mib"] = "l-mib"


class CMibOptions(MibOptions):
    """C-MIB (Mai et al. 2023): bottlenecks before and after fusion."""

    method: Literal["c-mib"] = "c-mib"


FUSIONS.add(OmibOptions, "omib_cli.fusion.omib:Omib")
FUSIONS.add(ConcatOptions, "omib_cli.fusion.concat:Concat")
FUSIONS.add(FilmOptions, "omib_cli.fusion.film:Film")
FUSIONS.add(BiGatedOptions, "omib_cli.fusion.bigated:BiGated")
FUSIONS.add(MisaOptions, "omib_cli.fusion.misa:Misa")
FUSIONS.add(DeepIbOptions, "omib_cli.fusion.deep_ib:DeepIb")
FUSIONS.add(MmibCuiOptions, "omib_cli.fusion.mmib_cui:MmibCui")
FUSIONS.add(MmibZhangOptions, "omib_cli.fusion.mmib_zhang:MmibZhang")
FUSIONS.add(DmibOptions, "omib_cli.fusion.dmib:Dmib")
FUSIONS.add(EMibOptions, "omib_cli.fusion.e_mib:EMib")
FUSIONS.add(LMibOptions, "omib_cli.fusion.l_mib:LMib")
FUSIONS.add(CMibOptions, "omib_cli.fusion.c_mib:CMib")
