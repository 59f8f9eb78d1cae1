r"""Data that does not fit into memory, and several processes; whole commands, each in a process of its own.

    python benchmarks/scale.py streaming --folder /scratch --repeats 5
    python benchmarks/scale.py figure-4 --folder /scratch --figure figure-4.png
    python benchmarks/scale.py processes --folder /scratch --repeats 5
    python benchmarks/scale.py accuracy --recipe sim-i-best --folder /scratch --repeats 5

*streaming*: samples a second and peak memory of an epoch with `--memory 512M` beside the same in memory, in turn, on
200,000 samples of 2,000 columns (targets: .95 of the rate, below 1.5 GiB).
*figure-4*: the paper's Figure 4, seconds of an epoch of warm-up and of main training for 100,000 to 1,000,000 samples
of case iii, with the exponent of the power law that fits them (target: at most 1.02) and the peak memory of simulate,
estimate-mi, warmup, train and embed.
*processes*: samples a second of two processes under torchrun, one thread each, beside what two independent runs of
half the batch reach at the same time (target: .9).
*accuracy*: on the test split, of the same run in one process and in two, for so many seeds.

Epochs are timed inside the commands (`*.metrics.jsonl`), without start-up and reading; peak memory is that of the
whole process. Datasets stay in the folder and are used again: 8 GB for the largest.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

OMIB = [sys.executable, "-m", "omib_cli"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "omib_cli"]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
SIZES = (100_000, 200_000, 400_000, 600_000, 800_000, 1_000_000)


def dataset_of(samples: int, folder: Path) -> Path:
    """Case iii with so many samples, simulated unless it is there."""
    path = folder / f"sim-iii-{samples}.h5"
    if not path.exists():
        words = ["simulate", "--case", "iii", "--samples", str(samples), "--out", str(path), "--quiet"]
        finish([start(words)])
    return path


class Running:
    """A command at work, with the peak memory of its process once it has ended."""

    def __init__(self, words: list[str], program: list[str]) -> None:
        self.words = words
        self._began = time.monotonic()
        self.process = subprocess.Popen([*program, *words], env=ONE_THREAD, stdout=subprocess.DEVNULL)

    def end(self) -> None:
        """Wait for it."""
        _, status, usage = os.wait4(self.process.pid, 0)
        self.seconds = time.monotonic() - self._began
        self.peak_mib = usage.ru_maxrss / 2**10
        if status:
            sys.exit(f"omib {' '.join(self.words)} failed")


def start(words: list[str], program: list[str] | None = None) -> Running:
    """Begin a command."""
    return Running(words, program or OMIB)


def finish(running: list[Running]) -> list[Running]:
    """Wait for commands that run at the same time."""
    for each in running:
        each.end()
    return running


def training(dataset: Path, recipe: str, out: Path, *more: str, phase: str = "train") -> list[str]:
    """One epoch of a phase, with beta given and everything made anew."""
    settings = {"beta": '{"policy": "value", "value": 0.02}', "train.epochs": "1", "train.select": "last"}
    settings |= {"warmup.epochs": "1" if phase == "warmup" else "0", "warmup.select": "last"}
    words = [phase, str(dataset), "--recipe", recipe, "--out", str(out), "--fresh", "--quiet", "--threads", "1", *more]
    for key, value in settings.items():
        words += ["--set", f"{key}={value}"]
    return words


def epoch_seconds(out: Path) -> float:
    """Of the only epoch, as the loop has timed it."""
    return float(json.loads(out.with_suffix(".metrics.jsonl").read_text().splitlines()[-1])["seconds"])


def streaming(options: argparse.Namespace) -> None:
    """Against in-memory, in turn."""
    dataset, out = dataset_of(options.samples, options.folder), options.folder / "model.safetensors"
    count = round(options.samples * 0.9)
    found: dict[str, list[tuple[float, float]]] = {"in memory": [], "--memory 512M": []}
    for _ in range(options.repeats):
        for name, memory in (("in memory", "64G"), ("--memory 512M", "512M")):
            (run,) = finish([start(training(dataset, options.recipe, out, "--memory", memory))])
            found[name].append((count / epoch_seconds(out), run.peak_mib))
    print("| | samples/s | peak MiB |\n| --- | --- | --- |")
    rates = {name: median(rate for rate, _ in runs) for name, runs in found.items()}
    for name, runs in found.items():
        print(f"| {name} | {rates[name]:,.0f} | {max(peak for _, peak in runs):,.0f} |")
    held, streamed = rates.values()
    print(f"\nratio {streamed / held:.3f} (target .95)")


def figure_4(options: argparse.Namespace) -> None:
    """Seconds of an epoch and peak memory against the number of samples."""
    rows: list[dict[str, Any]] = []
    print("| samples | warm-up, s | main training, s | " + " | ".join(f"{name} MiB" for name in STAGES) + " |")
    print(f"|{' --- |' * (3 + len(STAGES))}")
    for samples in options.sizes:
        row = scaled(samples, options)
        rows.append(row)
        peaks = " | ".join(f"{row['peak'][name]:,.0f}" for name in STAGES)
        print(f"| {samples:,} | {row['warmup']:.1f} | {row['train']:.1f} | {peaks} |", flush=True)
    for phase in ("warmup", "train"):
        slope, _ = np.polyfit(np.log([row["samples"] for row in rows]), np.log([row[phase] for row in rows]), 1)
        print(f"\nexponent of {phase}: {slope:.3f} (target: at most 1.02)", end="")
    print()
    if options.figure is not None:
        draw(rows, options.figure)


STAGES = ("simulate", "estimate-mi", "warmup", "train", "embed")


def scaled(samples: int, options: argparse.Namespace) -> dict[str, Any]:
    """Everything that is measured of one size."""
    folder, peak = options.folder, {}
    path, memory = folder / f"sim-iii-{samples}.h5", ("--memory", "512M")
    path.unlink(missing_ok=True)
    words = ["simulate", "--case", "iii", "--samples", str(samples), "--out", str(path), "--quiet", "--fresh"]
    peak["simulate"] = finish([start(words)])[0].peak_mib
    information = [
        "estimate-mi",
        str(path),
        "--recipe",
        options.recipe,
        "--out",
        str(folder / "information.h5"),
        "--fresh",
    ]
    cheap = ("epochs=1", "seeds=1", "estimator=infonce", "evaluation_samples=2000")
    information += ["--quiet", "--threads", "1", *(word for one in cheap for word in ("--set", f"information.{one}"))]
    peak["estimate-mi"] = finish([start(information)])[0].peak_mib
    row: dict[str, Any] = {"samples": samples, "peak": peak}
    for phase in ("warmup", "train"):
        out = folder / f"{phase}.safetensors"
        peak[phase] = finish([start(training(path, options.recipe, out, *memory, phase=phase))])[0].peak_mib
        row[phase] = epoch_seconds(out)
    words = ["embed", str(path), "--model", str(folder / "train.safetensors"), "--out", str(folder / "embedding.h5ad")]
    peak["embed"] = finish([start([*words, "--fresh", "--quiet", "--threads", "1"])])[0].peak_mib
    if not options.keep:
        path.unlink()
    return row


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Seconds of an epoch against samples."""
    from omib_cli.report.drawing import styled

    def figure() -> Any:
        from matplotlib.figure import Figure

        drawn = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes = drawn.subplots()
        samples = [row["samples"] / 1e6 for row in rows]
        for phase, label, colour in (("warmup", "warm-up", "#009E73"), ("train", "main training", "#0072B2")):
            axes.plot(samples, [row[phase] for row in rows], marker="o", color=colour, label=label)
        axes.set(xlabel="million samples", ylabel="seconds an epoch", xlim=(0, None), ylim=(0, None))
        axes.legend()
        return drawn

    found = styled(figure)
    assert found is not None
    path.write_bytes(found[1])


def processes(options: argparse.Namespace) -> None:
    """Two processes of one run beside two runs at the same time."""
    print(f"{options.recipe}, {round(options.samples * 0.9):,} samples; ratio: target .9\n")
    print("| batch, both processes together | two runs, samples/s | two processes, samples/s | ratio |")
    print(f"|{' --- |' * 4}")
    for batch in options.batches:
        two_processes(batch, options)


def two_processes(batch: int, options: argparse.Namespace) -> None:
    """A line of the table."""
    dataset, count = dataset_of(options.samples, options.folder), round(options.samples * 0.9)
    outs = [options.folder / f"{name}.safetensors" for name in ("first", "second", "both")]
    found: dict[str, list[float]] = {"two runs at once": [], "one run, two processes": []}
    for _ in range(options.repeats):
        half = ("--set", f"train.batch={batch // 2}")
        finish([start(training(dataset, options.recipe, out, *half)) for out in outs[:2]])
        found["two runs at once"].append(sum(count / epoch_seconds(out) for out in outs[:2]))
        whole = ("--set", f"train.batch={batch}")
        finish([start(training(dataset, options.recipe, outs[2], *whole), TORCHRUN)])
        found["one run, two processes"].append(count / epoch_seconds(outs[2]))
        apart, together = (median(values) for values in found.values())
    print(f"| {batch} | {apart:,.0f} | {together:,.0f} | {together / apart:.2f} |", flush=True)


def accuracy(options: argparse.Namespace) -> None:
    """Of one process and of two, seed by seed, on the same estimates."""
    found: dict[str, list[float]] = {"one process": [], "two processes": []}
    for seed in range(options.repeats):
        folder = options.folder / f"{options.recipe}-seed-{seed}"
        folder.mkdir(exist_ok=True)
        dataset, information = str(folder / "dataset.h5"), str(folder / "information.h5")
        common = ["--seed", str(seed), "--quiet"]
        finish([start(["simulate", "--recipe", options.recipe, "--out", dataset, *common])])
        finish([start(["estimate-mi", dataset, "--out", information, "--threads", "1", *common])])
        for (name, figures), program in zip(found.items(), (OMIB, TORCHRUN), strict=True):
            model, embedding, report = (
                str(folder / name.replace(" ", "-") / file)
                for file in ("model.safetensors", "embedding.h5ad", "report")
            )
            words = ["train", dataset, "--information", information, "--out", model, "--threads", "1", *common]
            finish([start(words, program)])
            finish([start(["embed", dataset, "--model", model, "--out", embedding, "--quiet"])])
            finish([start(["evaluate", embedding, "--out", report, "--bootstrap", "0", "--quiet"])])
            run = json.loads((Path(report) / "report.json").read_text())["runs"][0]
            figures.append(run["metrics"]["test"]["fused"]["accuracy"]["value"])
    print(f"{options.recipe}, {options.repeats} seeds, mean and sample standard deviation\n")
    print("| | accuracy |\n| --- | --- |")
    for name, figures in found.items():
        print(f"| {name} | {np.mean(figures):.4f} ± {np.std(figures, ddof=1):.4f} |")
    gaps = np.subtract(*reversed(found.values()))
    print(f"| two less one, by seed | {gaps.mean():+.4f} ± {gaps.std(ddof=1):.4f} |")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["streaming", "figure-4", "processes", "accuracy"])
    parser.add_argument("--folder", type=Path, required=True, help="outside the repository")
    parser.add_argument("--recipe", default="sim-iii")
    parser.add_argument("--samples", type=int, default=None, help="of streaming (200,000) and processes (80,000)")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="of figure-4")
    parser.add_argument("--batches", type=int, nargs="+", default=[512, 1024, 2048], help="of processes, over both")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--figure", type=Path, default=None)
    parser.add_argument("--keep", action="store_true", help="the datasets of figure-4")
    options = parser.parse_args()
    options.samples = options.samples or (200_000 if options.what == "streaming" else 80_000)
    options.folder.mkdir(parents=True, exist_ok=True)
    print(f"{platform.machine()}, {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}\n")
    what = {"streaming": streaming, "figure-4": figure_4, "processes": processes, "accuracy": accuracy}
    what[options.what](options)


if __name__ == "__main__":
    main()
