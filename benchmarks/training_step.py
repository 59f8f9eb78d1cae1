r"""Main-training step: arithmetic rate beside torch's own matrix product, and samples a second beside a plain loop.

    python benchmarks/training_step.py --repeats 7 --threads 1 2

Two sizes: the paper's network on SIM-III (two modalities of 1,000 columns, batches of 128 and 512), where arithmetic
dominates, and one of ROSMAP's size (three of 200, batches of 32), where overhead does. Everything of a size is measured
in turn, ``--repeats`` times over in one process; what is shown are medians and ratios of medians.

*Rate*: the step's floating-point operations (of its matrix products, counted by torch's FlopCounterMode) by its time,
beside the rate of ``torch.mm`` of the step's largest layer at the same batch, forward and both gradients.
*Plain loop*: the same network and losses written down plainly (TensorDataset, DataLoader, torch.optim.Adam, a loss
shown at each step), in this file; that its losses are those of omib's loop is checked first.
*Profile*: where a step's time goes, by kind of operation.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from omib_cli.artifacts.partial import Partial
from omib_cli.data.samples import Samples
from omib_cli.recipe.schema import Recipe, recipe_model
from omib_cli.runtime.job import Job
from omib_cli.runtime.start import prepare_torch
from omib_cli.training.log import EpochSums, MetricsLog
from omib_cli.training.loop import Trainer
from omib_cli.training.model import build_model
from omib_cli.training.phases import main_phase

BETA = 0.02
SIZES = {"SIM-III": (2, 1000, (128, 512)), "ROSMAP-sized": (3, 200, (32,))}
SAMPLES = 4096
NAMES = (
    (r"^encoders\.(\d)\.", r"encoders.\1.layers."),
    (r"^trunks\.(\d)\.", r"fusion.bottlenecks.\1.trunk."),
    (r"^means\.(\d)\.", r"fusion.bottlenecks.\1.mean."),
    (r"^log_variances\.(\d)\.", r"fusion.bottlenecks.\1.scale."),
    (r"^branches\.(\d)\.0\.", r"fusion.branches.\1.0."),
    (r"^branches\.(\d)\.2\.", r"fusion.branches.\1.3."),
    (r"^head\.0\.", r"fusion.head.0."),
    (r"^head\.2\.", r"fusion.head.3."),
    (r"^join\.", r"fusion.attention.out."),
    (r"^(modality|attention|norm)", r"fusion.attention.\1"),
)


def recipe_of(modalities: int, batch: int, precision: str = "fp32") -> Recipe:
    """The paper's network (Appendix H) for so many modalities."""
    return recipe_model().model_validate(
        {
            "name": "step",
            "data": {"source": "simulation", "parts": {"a0": 1} if modalities == 2 else {"a00": 1}},
            "modalities": {f"x{i + 1}": {} for i in range(modalities)},
            "beta": {"policy": "value", "value": BETA},
            "warmup": {"epochs": 0},
            "train": {"epochs": 1, "batch": batch, "precision": precision},
        }
    )


def data_of(modalities: int, width: int) -> Samples:
    """Random samples of two classes."""
    generator = torch.Generator().manual_seed(0)
    values = [torch.randn(SAMPLES, width, generator=generator) for _ in range(modalities)]
    labels = (sum(value[:, :50].sum(dim=1) for value in values) > 0).float()
    return Samples(list(values), labels, torch.ones(SAMPLES, modalities, dtype=torch.bool), complete=True)


def trainer_of(recipe: Recipe, width: int, folder: Path, compiled: bool = False) -> Trainer:
    """omib's own loop, as ``omib train`` has it."""
    names = list(recipe.modalities)
    facts = {"shapes": {key: [width] for key in names}, "kinds": dict.fromkeys(names, "vector"), "configs": {}}
    model = build_model(recipe, {**facts, "classes": ["0", "1"]}, torch.device("cpu"))
    model.fusion.set_beta(BETA, 1.0)
    job = Job(threads=1, save_every=1e9, compile=compiled)
    partial = Partial(folder / "model.safetensors", "benchmark", job)
    return Trainer(model, main_phase(model, recipe), recipe.seed, partial, MetricsLog(folder / "log.jsonl"), job)


class Plain(nn.Module):
    """OMIB as one would write it for two or three vectors: Algorithm 2, in one piece."""

    def __init__(self, modalities: int, width: int, d: int = 256, hidden: int = 512) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(
            nn.Sequential(nn.Linear(width, d), nn.GELU(), nn.Linear(d, d)) for _ in range(modalities)
        )
        self.trunks = nn.ModuleList(nn.Sequential(nn.Linear(d, d), nn.GELU()) for _ in range(modalities))
        self.means = nn.ModuleList(nn.Linear(d, d) for _ in range(modalities))
        self.log_variances = nn.ModuleList(nn.Linear(d, d) for _ in range(modalities))
        self.modality = nn.Parameter(torch.randn(modalities, d) * 0.02)
        self.attention = nn.MultiheadAttention(d, 4, batch_first=True)
        self.norm = nn.LayerNorm(d)
        self.join = nn.Linear(modalities * d, d)
        self.head = nn.Sequential(nn.Linear(d, hidden), nn.GELU(), nn.Linear(hidden, 2))
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * d, hidden), nn.GELU(), nn.Linear(hidden, 2)) for _ in range(modalities)
        )

    def forward(self, xs: list[torch.Tensor], y: torch.Tensor) -> torch.Tensor:
        """The loss of a batch."""
        zs = [encoder(x) for encoder, x in zip(self.encoders, xs, strict=True)]
        zetas, kls = [], []
        for i, z in enumerate(zs):
            h = self.trunks[i](z)
            mu, log_variance = self.means[i](h), self.log_variances[i](h)
            zetas.append(mu + torch.exp(0.5 * log_variance) * torch.randn_like(mu))
            kls.append(0.5 * (mu**2 + log_variance.exp() - log_variance - 1).sum(dim=1).mean())
        tokens = torch.stack(zetas, dim=1) + self.modality
        tokens = self.norm(tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0])
        xi = self.join(tokens.flatten(1))
        logits = self.head(xi)
        branches = [branch(torch.cat([z, xi], dim=1)) for branch, z in zip(self.branches, zs, strict=True)]
        with torch.no_grad():
            fused = functional.log_softmax(logits, dim=1)
            divergences = []
            for branch in branches:
                own = functional.log_softmax(branch, dim=1)
                divergences.append((own.exp() * (own - fused)).sum(dim=1).mean())
            rs = [2 / (1 + ((kl + 1e-8) / (divergences[0] + 1e-8)) ** 2) for kl in divergences[1:]]
        loss = functional.cross_entropy(logits, y) + BETA * (
            kls[0] + sum(r * kl for r, kl in zip(rs, kls[1:], strict=True))
        )
        return loss + sum(functional.cross_entropy(branch, y) for branch in branches)


def plain_epochs(modalities: int, width: int, batch: int, samples: Samples) -> Iterator[float]:
    """Seconds of an epoch of the plain loop, again and again."""
    torch.manual_seed(0)
    model = Plain(modalities, width)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    loader = DataLoader(TensorDataset(*samples.values, samples.labels.long()), batch_size=batch, shuffle=True)
    model.train()
    while True:
        started = time.perf_counter()
        for *xs, y in loader:
            loss = model(xs, y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            _shown = loss.item()
        yield time.perf_counter() - started


def own_epochs(trainer: Trainer, samples: Samples) -> Iterator[float]:
    """Seconds of an epoch of omib's loop."""
    while True:
        trainer.at.step, trainer.sums = 0, EpochSums()
        started = time.perf_counter()
        trainer._train_epoch(samples)
        yield time.perf_counter() - started


def _name_in_omib(name: str) -> str:
    """What a parameter of :class:`Plain` is called in omib, whose heads have a dropout of 0 before their last layer."""
    for plain, own in NAMES:
        name, changed = re.subn(plain, own, name)
        if changed:
            return name
    raise KeyError(name)


def must_be_the_same(modalities: int, width: int, batch: int, samples: Samples, folder: Path) -> None:
    """The plain network has omib's parameters, shape by shape, and with omib's weights omib's loss."""
    trainer = trainer_of(recipe_of(modalities, batch), width, folder)
    plain = Plain(modalities, width)
    own = dict(trainer.model.named_parameters())
    state = {name: own[_name_in_omib(name)].detach() for name in plain.state_dict()}
    assert len(state) == len(own)
    plain.load_state_dict(state)
    some = next(iter(samples.batches(batch)))
    torch.manual_seed(1)
    ours = trainer.phase.losses(some.values, some.batch).total.item()
    torch.manual_seed(1)
    theirs = plain(list(some.values), some.labels.long()).item()
    assert abs(ours - theirs) < 1e-4 * abs(ours), (ours, theirs)


def product_seconds(batch: int, inputs: int, outputs: int) -> Callable[[], float]:
    """Seconds of a layer's three products: its output, and the gradients of its weight and of its input."""
    x, w, g = torch.randn(batch, inputs), torch.randn(inputs, outputs), torch.randn(batch, outputs)
    rounds = max(1, int(2e9 / (batch * inputs * outputs)))

    def measure() -> float:
        started = time.perf_counter()
        for _ in range(rounds):
            torch.mm(x, w)
            torch.mm(x.T, g)
            torch.mm(g, w.T)
        return (time.perf_counter() - started) / rounds

    return measure


def step_flops(trainer: Trainer, batch: Samples) -> int:
    """Of a step's matrix products, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        trainer.phase.losses(batch.values, batch.batch).total.backward()  # type: ignore[no-untyped-call]
    trainer.step.optimiser.zero_grad()
    return int(counter.get_total_flops())


def profile(trainer: Trainer, samples: Samples) -> list[tuple[str, float]]:
    """Share of each kind of operation in the time that operations take themselves, the largest first."""
    kinds = {
        "matrix products": ("aten::addmm", "aten::mm", "aten::bmm", "aten::baddbmm"),
        "optimiser": ("aten::_fused_adam_", "Optimizer.step#Adam.step"),
        "GELU": ("aten::gelu", "aten::gelu_backward"),
        "taking the batch": ("aten::index", "aten::index_select"),
        "random numbers": ("aten::normal_", "aten::randperm"),
    }
    with torch.profiler.profile() as seen:
        next(own_epochs(trainer, samples))
    times = {event.key: event.self_cpu_time_total for event in seen.key_averages()}
    total = sum(times.values())
    shares = [(kind, sum(times.get(name, 0.0) for name in of) / total) for kind, of in kinds.items()]
    shares.append(("everything else", 1.0 - sum(share for _, share in shares)))
    return sorted(shares, key=lambda pair: -pair[1])


def measure(name: str, threads: int, options: argparse.Namespace, folder: Path) -> None:
    """One size: a line of the table for each batch, then the profile."""
    modalities, width, batches = SIZES[name]
    samples = data_of(modalities, width)
    for batch in batches:
        must_be_the_same(modalities, width, batch, samples, folder)
        trainer = trainer_of(recipe_of(modalities, batch, options.precision), width, folder, options.compile)
        own, plain = own_epochs(trainer, samples), plain_epochs(modalities, width, batch, samples)
        product = product_seconds(batch, width, 256) if width > 512 else product_seconds(batch, 512, 512)
        shape = (width, 256) if width > 512 else (512, 512)
        flops = (
            step_flops(trainer_of(recipe_of(modalities, batch), width, folder), next(iter(samples.batches(batch))))
            * SAMPLES
            / batch
        )
        times: dict[str, list[float]] = {"own": [], "plain": [], "product": []}
        for turn in range(options.repeats + 1):
            found = {"own": next(own), "plain": next(plain), "product": product()}
            if turn:  # the first is to warm up
                for key, seconds in found.items():
                    times[key].append(seconds)
        mid = {key: median(values) for key, values in times.items()}
        rate, best = flops / mid["own"] / 1e9, 6.0 * batch * shape[0] * shape[1] / mid["product"] / 1e9
        print(
            f"| {name} | {batch} | {threads} | {SAMPLES / mid['own']:,.0f} | {SAMPLES / mid['plain']:,.0f} | "
            f"{mid['plain'] / mid['own']:.2f} | {rate:.1f} | {best:.1f} | {rate / best:.2f} |",
            flush=True,
        )
        shares = ", ".join(f"{kind} {share:.0%}" for kind, share in profile(trainer, samples))
        print(f"<!-- {name}, batch {batch}, {threads} threads: {shares} -->", flush=True)


def main() -> None:
    """Measure every size with each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--compile", action="store_true", help="omib's step, by torch")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="of omib's step")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    options = parser.parse_args()
    prepare_torch(Job(threads=1, device="cpu"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, {datetime.now(UTC):%Y-%m-%d}\n")
    print("| size | batch | threads | samples/s | plain loop | ratio | GFLOP/s | torch.mm | share |")
    print(f"|{' --- |' * 9}")
    with tempfile.TemporaryDirectory() as folder:
        for threads in options.threads:
            torch.set_num_threads(threads)
            for name in SIZES:
                measure(name, threads, options, Path(folder))


if __name__ == "__main__":
    main()
