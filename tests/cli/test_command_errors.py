"""Every failure has its exit code and a message on stderr; stdout stays empty and no traceback is shown."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time

import pytest
from small import toy_dataset

from omib_cli.artifacts.files import explained
from omib_cli.cli import app
from omib_cli.cli.console import say, show_error
from omib_cli.errors import (
    DataError,
    Interrupted,
    MismatchError,
    NumericError,
    RecipeError,
    StaleError,
    UsageError,
    listed,
)


def run(*arguments):
    """The exit code of a command run in this process."""
    with pytest.raises(SystemExit) as end:
        app.main(list(map(str, arguments)))
    return end.value.code


def failing(monkeypatch, error):
    """Make `omib inspect` fail with an error."""
    from omib_cli.artifacts import catalogue

    def fail(_path):
        raise error

    monkeypatch.setattr(catalogue, "describe", fail)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (RecipeError("x", ["y"]), 2),
        (DataError("x"), 3),
        (MismatchError("x"), 4),
        (StaleError("x"), 4),
        (NumericError("x"), 5),
        (Interrupted("x"), 75),
        (OSError(errno.ENOSPC, "No space left on device", "model.safetensors"), 3),
        (PermissionError(errno.EACCES, "Permission denied", "model.safetensors"), 3),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_each_kind_of_failure_has_its_exit_code_and_no_traceback(monkeypatch, capsys, error, code):
    failing(monkeypatch, error)
    assert run("inspect", "file") == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Traceback" not in shown.err


def test_a_full_disk_is_named(monkeypatch, capsys):
    failing(monkeypatch, OSError(errno.ENOSPC, "No space left on device", "model.safetensors"))
    run("inspect", "file")
    assert "the disk is full" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "what", "advice"),
    [
        (errno.EDQUOT, "your quota of disk space is used up", "free some space of yours"),
        (errno.ENOLCK, "a file cannot be read or written", "HDF5_USE_FILE_LOCKING=FALSE"),
        (errno.EROFS, "a file cannot be read or written", "read-only"),
        (errno.EACCES, "a file cannot be read or written", "permission"),
        (errno.EMFILE, "a file cannot be read or written", "ulimit -n"),
        (errno.ENXIO, "a file cannot be read or written", None),
    ],
    ids=lambda value: errno.errorcode[value] if isinstance(value, int) else "",
)
def test_each_refusal_of_the_system_has_the_advice_that_helps(monkeypatch, capsys, tmp_path, code, what, advice):
    refusal = OSError(code, os.strerror(code), "model.safetensors")
    failing(monkeypatch, refusal)
    assert run("inspect", "file") == 3
    shown = capsys.readouterr().err
    assert what in shown
    assert os.strerror(code) in shown
    assert ("free some space" in shown) is (code == errno.EDQUOT)
    assert "try:" not in shown if advice is None else advice in shown
    for raised in (refusal, OSError(f"Unable to create file (errno = {code}, error message = 'x')")):
        with pytest.raises(DataError) as caught, explained(tmp_path / "m.h5"):
            raise raised
        assert caught.value.got == os.strerror(code)
        assert advice is None or advice in caught.value.do


TAKING_A_DEVICE = [
    ["estimate-mi", "d.h5"],
    ["warmup", "d.h5"],
    ["train", "d.h5"],
    ["train", "d.h5", "--dry-run"],
    ["embed", "d.h5", "--model", "m.safetensors"],
    ["evaluate", "e.h5ad"],
    ["run", "sim-i"],
    ["run", "sim-i", "--dry-run"],
    ["compare", "sim-i", "--methods", "omib"],
    ["cross-validate", "rosmap"],
    ["sweep", "sim-i", "--beta", "0.1:1:2"],
]


@pytest.mark.parametrize("command", TAKING_A_DEVICE, ids=" ".join)
def test_a_device_that_is_unknown_or_not_there_is_refused_before_anything_is_done(
    command, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for device in ("gpu", "", "CUDA", "cuda:", "cuda:x", "cuda:²", "cuda:-1", "cuda:01", "cpu:1", "cuda:99", "mps:7"):
        assert run(*command, "--device", device) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert f"--device {device} is not" in shown.err
    assert list(tmp_path.iterdir()) == []


def test_runs_that_are_only_listed_may_name_another_machines_device(capsys):
    for command in (
        ["compare", "sim-i", "--methods", "omib"],
        ["cross-validate", "rosmap"],
        ["sweep", "sim-i", "--beta", "0.1:1:2"],
    ):
        assert run(*command, "--list", "--device", "cuda:99") == 0
        assert "--device cuda:99" in capsys.readouterr().out
        assert run(*command, "--list", "--device", "gpu") == 2
        capsys.readouterr()


def test_a_defect_is_not_dressed_up_as_a_mistake_of_the_user(monkeypatch):
    for defect in (PermissionError("the test split is not readable here"), ZeroDivisionError()):
        failing(monkeypatch, defect)
        with pytest.raises(type(defect)):
            app.main(["inspect", "file"])


def test_debug_shows_the_traceback_wherever_it_stands_and_keeps_the_exit_code(capsys):
    for arguments in (("--debug", "inspect", "none"), ("inspect", "none", "--debug")):
        assert run(*arguments) == 3
        assert "Traceback" in capsys.readouterr().err


def test_a_message_has_a_row_for_what_where_got_expected_and_try(capsys):
    show_error(DataError("no", where="f.h5:/x", got=1, expected=2, do="again"))
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["error:    no", "where:    f.h5:/x", "got:      1", "expected: 2", "try:      again"]


def test_what_a_terminal_would_obey_is_shown_and_what_is_too_long_is_cut(capsys):
    show_error(DataError("a column \x1b[2J", where="a\x07.csv", got="x" * 5000, expected="\u202eabc"))
    say("done \x1b]0;title\x07")
    out, err = capsys.readouterr()
    assert not {"\x1b", "\x07", "\u202e"} & set(out + err)
    assert "\\x1b[2J" in err
    assert "(5,000 characters)" in err
    assert len(err) < 2500
    assert listed(["y" * 500]).endswith("(500 characters)")


def test_problems_of_a_recipe_are_listed_one_a_line(tmp_path, capsys):
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        "name: bad\ndata: {source: simulation, case: iv}\nmodalities: {x1: {}, x2: {}}\ntrain:\n  epoch: 5\n"
        "  batch: 0\nbeta:\n  policy: unifrom\nname: again\n"
    )
    assert run("recipe", "check", bad) == 2
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert shown.out == ""
    assert lines[0] == f"error:    5 problems in recipe {bad}"
    assert [line.split(": ")[0].strip().rsplit(":", 1)[1] for line in lines[1:6]] == ["2", "5", "6", "8", "9"]


def test_a_mistyped_command_is_met_with_the_right_one(capsys):
    assert run("trian") == 2
    assert "Did you mean 'train'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["simulate"],
        ["simulate", "--case", "i", "--dims", "a0=3"],
        ["simulate", "--case", "iv"],
        ["simulate", "--dims", "a0:3"],
        ["simulate", "--dims", "c0=3"],
        ["simulate", "--recipe", "rosmap"],
        ["train"],
        ["run", "no-such-recipe"],
        ["recipe", "show", "no-such-recipe"],
        ["recipe", "check", "sim-i", "--set", "train.epoch=3"],
        ["inspect", "--frobnicate"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2_and_writes_nothing(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    assert capsys.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []


def test_missing_foreign_and_damaged_files_exit_with_3(tmp_path, capsys):
    text = tmp_path / "text.h5"
    text.write_text("hello")
    cut = tmp_path / "cut.h5"
    cut.write_bytes(toy_dataset(tmp_path / "toy.h5").read_bytes()[:3000])
    for path in (tmp_path / "none.h5", text, cut):
        assert run("inspect", path) == 3
        assert run("train", path, "--dry-run") == 3
        assert str(path) in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_error():
    code = f"{sys.executable} -m omib_cli recipe schema | head -n 1"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True)
    assert done.stdout == "{\n"
    assert done.stderr == ""


def test_sigterm_saves_and_exits_with_75_and_the_same_command_finishes(tmp_path):
    command = [sys.executable, "-m", "omib_cli", "simulate", "--dims", "a0=400,a1=400,a2=400", "--samples", "40000"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=_environment())
    while not (tmp_path / "sim-own.h5.partial").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    error = process.communicate()[1]
    assert process.returncode == 75, error
    assert error.splitlines()[-1].startswith("try:      run the same command again")
    assert not (tmp_path / "sim-own.h5").exists()
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, env=_environment()).returncode == 0
    assert (tmp_path / "sim-own.h5").exists()


def _environment():
    from real import REPOSITORY

    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}
