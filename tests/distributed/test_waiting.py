"""A process that waits for one that hangs still hears that it should stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from real import REPOSITORY
from small import toy_dataset


@pytest.mark.timeout(300)  # two processes, each of which imports torch
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_ends_a_process_whose_peer_hangs_in_training(tmp_path, sent, code):
    dataset, out = toy_dataset(tmp_path / "d.h5"), tmp_path / "m.safetensors"
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    settings = ["--set", "train.epochs=100000", "--set", "beta={policy: value, value: 0.1}", "--set", "warmup.epochs=1"]
    command = [sys.executable, "-m", "omib_cli", "train", str(dataset), "-o", str(out), "--threads", "1", *settings]
    told = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    told |= {"PYTHONPATH": str(REPOSITORY)}
    processes = [
        subprocess.Popen(
            command, env={**os.environ, **told, "RANK": rank, "LOCAL_RANK": rank}, stderr=subprocess.PIPE, text=True
        )
        for rank in "01"
    ]
    heard, hung = processes
    try:
        log = out.with_suffix(".metrics.jsonl")
        until = time.monotonic() + 120
        while not (log.exists() and len(log.read_text().splitlines()) > 3):
            assert heard.poll() is None, heard.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.05)
        hung.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        heard.send_signal(sent)
        said = heard.communicate(timeout=60)[1]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert heard.returncode == code, said
    assert f"stopped ({sent.name}); another process of this command does not answer" in said
    assert "Traceback" not in said
    assert not out.exists()
