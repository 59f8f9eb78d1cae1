"""Several processes under torchrun: the same training as in one, whoever is interrupted, and one writer."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from small import small_recipe, toy_dataset

from omib_cli.artifacts.checkpoint import read_header
from omib_cli.artifacts.information import read_information
from omib_cli.cli import app
from omib_cli.data.samples import Samples
from omib_cli.distributed import processes
from omib_cli.errors import UsageError
from omib_cli.runtime.job import Job
from omib_cli.stages import embed, train
from omib_cli.training.division import Division, own_rows, share

HERE = Path(__file__).parent
MODALITY = {"encoder": {"kind": "mlp", "hidden": [16], "width": 8, "dropout": 0.2, "input_dropout": 0.1}}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "omib_cli"]


@pytest.fixture
def files(tmp_path):
    """A dataset of which a modality is missing here and there, and a recipe with dropout, noise and selection."""
    phase = {"batch": 31, "optimiser": {"lr": 0.01}}  # no process has as many samples as the other
    recipe = small_recipe(
        beta={},
        information={"epochs": 2, "least_steps": 20, "seeds": 2},
        modalities={"x1": MODALITY, "x2": MODALITY},
        warmup={**phase, "epochs": 2},
        train={**phase, "epochs": 25, "select": "validation", "clip": 0.5},
    )
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe.resolved(), sort_keys=False))
    return toy_dataset(tmp_path / "d.h5", missing=True), path, recipe


def words(files, out):
    return ["train", str(files[0]), "--recipe", str(files[1]), "--out", str(out), "--threads", "1", "--quiet"]


def apart(folder):
    """Where two models go, each in a folder of its own."""
    found = [folder / name / "m.safetensors" for name in ("one", "two")]
    for path in found:
        path.parent.mkdir()
    return found


def rows(out):
    return [json.loads(line) for line in out.with_suffix(".metrics.jsonl").read_text().splitlines()]


def must_agree(ours, theirs, rel):
    assert [(row["phase"], row["epoch"]) for row in ours] == [(row["phase"], row["epoch"]) for row in theirs]
    for one, other in zip(ours, theirs, strict=True):
        figures = {name: value for name, value in one.items() if isinstance(value, float) and name != "seconds"}
        assert figures == pytest.approx({name: other[name] for name in figures}, rel=rel, abs=rel)


def test_two_processes_train_estimate_and_embed_as_one(files, tmp_path):
    dataset, _, recipe = files
    one, two = apart(tmp_path)
    train.run(recipe, dataset, one, Job(threads=1, device="cpu"))
    found = subprocess.run([*TORCHRUN, *words(files, two), "--json"], capture_output=True, text=True, check=True)
    assert len(found.stdout.splitlines()) == 1  # one process speaks
    must_agree(rows(one), rows(two), 1e-5)
    ours, theirs = (read_information(path.with_name("information.h5")) for path in (one, two))
    for name, values in ours.entropy.items():
        assert np.array_equal(values, theirs.entropy[name])
    out = tmp_path / "two" / "e.h5ad"
    subprocess.run([*TORCHRUN, "embed", str(dataset), "--model", str(two), "--out", str(out), "--quiet"], check=True)
    alone = embed.run(dataset, two, tmp_path / "one" / "e.h5ad", Job(threads=1, device="cpu"))
    assert embed.run(dataset, two, out, Job(threads=1, device="cpu")).hash == alone.hash


def test_two_nodes_train_as_one_process(files, tmp_path):
    dataset, _, recipe = files
    one, two = apart(tmp_path)
    train.run(recipe, dataset, one, Job(threads=1, device="cpu"))
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    meeting = ["--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port", str(port)]
    nodes = [
        subprocess.Popen([*TORCHRUN[:3], *meeting, "--node-rank", node, "-m", "omib_cli", *words(files, two)])
        for node in "01"
    ]
    assert [node.wait(timeout=120) for node in nodes] == [0, 0]
    must_agree(rows(one), rows(two), 1e-5)


def test_a_stop_reaches_all_processes_and_any_number_can_go_on(files, tmp_path):
    dataset, _, recipe = files
    whole, parts, alone = (tmp_path / f"{name}.safetensors" for name in ("whole", "parts", "alone"))
    process = subprocess.Popen([*TORCHRUN, *words(files, parts)], stderr=subprocess.DEVNULL)
    log = parts.with_suffix(".metrics.jsonl")
    while process.poll() is None and not (log.exists() and len(log.read_text().splitlines()) > 3):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) != 0
    assert not parts.exists()
    shutil.copytree(f"{parts}.partial", f"{alone}.partial")
    made = {"information": tmp_path / "information.h5", "warmup": tmp_path / "warmup.safetensors"}
    given = [word for name, path in made.items() for word in (f"--{name}", str(path))]
    for out in (parts, whole):
        subprocess.run([*TORCHRUN, *words(files, out), *given], check=True, stdout=subprocess.DEVNULL)
    assert read_header(parts).hash == read_header(whole).hash
    train.run(recipe, dataset, alone, Job(threads=1, device="cpu"), **made)
    must_agree(rows(whole), rows(alone), 1e-3)


def run_in(count, program, *words):
    """A program of this folder in so many processes: its output."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count)]
    paths = os.pathsep.join([str(HERE), str(HERE.parent), str(HERE.parents[1])])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [*torchrun, str(HERE / program), *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.timeout(900)  # six processes, each of which imports torch
def test_a_process_that_is_killed_ends_the_others_with_a_message_and_nothing_is_lost(files, tmp_path):
    dataset, path, _ = files
    whole, pieces = apart(tmp_path)
    pieces.with_name("information.h5").symlink_to(whole.with_name("information.h5"))
    expected = run_in(2, "killed_process.py", path, dataset, whole, 0).stdout
    killed = run_in(2, "killed_process.py", path, dataset, pieces, 35)
    assert "SIGKILL" in killed.stderr
    assert "another process of this command has ended" in killed.stderr
    assert not pieces.exists()
    assert run_in(2, "killed_process.py", path, dataset, pieces, 0).stdout == expected != ""


def test_sums_through_common_memory_are_those_of_messages():
    found = run_in(3, "summing.py")
    assert found.stdout.count("equal") == 3, found.stderr


@pytest.fixture
def three(monkeypatch):
    """As if this were the second of three processes."""
    for name, value in (("WORLD_SIZE", "3"), ("RANK", "1")):
        monkeypatch.setenv(name, value)


def test_shares_are_disjoint_whole_and_never_without_a_stand_in(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    for size in (2, 3, 7, 31):
        seen = []
        for rank in range(3):
            monkeypatch.setenv("RANK", str(rank))
            seen += range(*share(10, 10 + size))
            begin, end = own_rows(10, 10 + size)
            assert 10 <= begin < end <= 10 + size
        assert seen == list(range(10, 10 + size))


def test_a_command_that_cannot_be_divided_says_so(three, capsys):
    with pytest.raises(SystemExit) as end:
        app.main(["run", "sim-i"])
    assert end.value.code == UsageError.exit_code


def test_a_method_that_compares_samples_cannot_be_divided(three, files, tmp_path):
    recipe = small_recipe(fusion={"method": "misa", "width": 4})
    with pytest.raises(UsageError, match="cannot be divided"):
        train.run(recipe, files[0], tmp_path / "m.safetensors", Job(threads=1))


def test_micro_batches_add_up_to_the_batch(tmp_path):
    dataset = toy_dataset(tmp_path / "whole.h5", missing=True)
    found = []
    for micro in (None, 8):
        phase = {"batch": 31, "optimiser": {"lr": 0.01}, "micro_batch": micro}
        parts = {"fusion": {"method": "omib", "relative_weight": "one"}, "beta": {"policy": "value", "value": 0.02}}
        sections = {**parts, "warmup": {**phase, "epochs": 2}, "train": {**phase, "epochs": 3}}
        own = small_recipe(modalities={"x1": MODALITY, "x2": MODALITY}, **sections)
        out = tmp_path / f"{micro}" / "m.safetensors"
        out.parent.mkdir()
        train.run(own, dataset, out, Job(threads=1))
        found.append(rows(out))
    must_agree(*found, 1e-4)


def test_alone_there_is_nothing_to_wait_for():
    assert "WORLD_SIZE" not in os.environ
    assert (processes.world_size(), processes.rank(), processes.all_gather(3), processes.any_process(False)) == (
        1,
        0,
        [3],
        False,
    )
    processes.barrier()
    whole = Samples([], torch.zeros(4), torch.ones(4, 2, dtype=torch.bool), complete=True)
    ((piece, batch),) = Division(4).pieces(whole)
    assert piece is whole
    assert batch.is_whole
