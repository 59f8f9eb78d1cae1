"""Whole-or-nothing writing, resumable state, checkpoints."""

from __future__ import annotations

import errno
import os

import pytest
import torch
from safetensors import SafetensorError

from omib_cli.artifacts.checkpoint import read_checkpoint, write_checkpoint
from omib_cli.artifacts.files import replacing
from omib_cli.artifacts.hashing import described
from omib_cli.artifacts.partial import Partial, sweep
from omib_cli.artifacts.provenance import Provenance
from omib_cli.errors import DataError, StaleError
from omib_cli.runtime.job import Job


def failing_write(target, error):
    with replacing(target) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("Can't decrement id ref count (unable to extend file properly, errno = 28, error message = ...)"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_full_disk_leaves_the_old_file_and_no_other_whoever_reports_it(tmp_path, error):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(DataError, match="file could not be written") as caught:
        failing_write(target, error)
    assert caught.value.got == "No space left on device"
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_defect_while_writing_is_no_full_disk(tmp_path):
    with pytest.raises(RuntimeError, match="a defect"):
        failing_write(tmp_path / "file", RuntimeError("a defect"))


def test_what_a_killed_writer_left_is_removed_by_the_next_and_nothing_else(tmp_path):
    target = tmp_path / "file"
    left, others = tmp_path / ".file.tmp-1234", [tmp_path / ".file2.tmp-1234", tmp_path / ".file.tmp-mine"]
    for path in (left, *others):
        path.touch()
    with replacing(target) as temporary:
        temporary.touch()
    assert sorted(tmp_path.iterdir()) == sorted([target, *others])


def test_state_that_is_older_than_its_artifact_is_swept_and_newer_state_is_kept(tmp_path):
    out, partial = tmp_path / "out", Partial(tmp_path / "out", "key", Job(threads=1))
    out.touch()
    partial.save({"epoch": 1})
    os.utime(out, (1, 1))
    sweep(out)
    assert partial.load() == {"epoch": 1}
    os.utime(out)
    sweep(out)
    assert not partial.folder.exists()


def test_a_finished_file_is_readable_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "file") as temporary:
            temporary.touch(0o600)
        assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


def tree():
    return {
        "epoch": 3,
        "names": ["a", "b"],
        "nothing": None,
        "nested": {0: {"step": torch.tensor(5.0), "half": torch.ones(2, dtype=torch.bfloat16)}, 1: [torch.eye(2)]},
        "text": "plain",
    }


def test_state_comes_back_as_it_was_integer_keys_and_dtypes_included(tmp_path):
    partial = Partial(tmp_path / "out", "key", Job(threads=1))
    assert partial.load() is None
    partial.save(tree())
    back = partial.load()
    assert back["epoch"] == 3
    assert back["names"] == ["a", "b"]
    assert back["nothing"] is None
    assert back["nested"][0]["step"].item() == 5.0
    assert back["nested"][0]["half"].dtype == torch.bfloat16
    assert torch.equal(back["nested"][1][0], torch.eye(2))


def test_state_of_other_inputs_is_refused_and_fresh_discards_it(tmp_path):
    Partial(tmp_path / "out", "key", Job(threads=1)).save({"epoch": 1})
    with pytest.raises(StaleError):
        Partial(tmp_path / "out", "other", Job(threads=1)).load()
    assert Partial(tmp_path / "out", "other", Job(threads=1, fresh=True)).load() is None


def test_damaged_state_is_a_message(tmp_path):
    partial = Partial(tmp_path / "out", "key", Job(threads=1))
    partial.save({"epoch": 1})
    (tmp_path / "out.partial" / "state.safetensors").write_bytes(b"garbage")
    with pytest.raises(DataError, match="cannot be read"):
        partial.load()


def test_unsaveable_values_are_a_defect_not_a_surprise(tmp_path):
    with pytest.raises(TypeError, match="object"):
        Partial(tmp_path / "out", "key", Job(threads=1)).save({"what": object()})


def provenance():
    return Provenance(kind="model", recipe={"name": "test"}, recipe_hash="abc", facts={"epoch": 1})


def test_a_checkpoint_comes_back_with_its_weights_and_description(tmp_path):
    weights = {"layer.weight": torch.randn(3, 2), "layer.bias": torch.zeros(3)}
    written = write_checkpoint(tmp_path / "m.safetensors", weights, provenance())
    back, found = read_checkpoint(tmp_path / "m.safetensors", "model")
    assert all(torch.equal(back[name], value) for name, value in weights.items())
    assert found.hash == written.hash
    with pytest.raises(DataError, match="wrong kind"):
        read_checkpoint(tmp_path / "m.safetensors", "warmup")


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_foreign_and_damaged_checkpoints_are_refused(tmp_path, content):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError):
        read_checkpoint(path, "model")


def test_what_a_file_is_instead_is_said_in_words(tmp_path):
    for name, content, words in (
        ("a", b"\x89HDF\r\n\x1a\n more", "an HDF5 file"),
        ("b", b"", "an empty file"),
        ("c", b"hello, hello", "neither HDF5 nor safetensors"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="not a readable checkpoint") as caught:
            read_checkpoint(tmp_path / name, "model")
        assert caught.value.got == words
    with pytest.raises(DataError) as caught:
        read_checkpoint(tmp_path, "model")
    assert caught.value.got == "a folder"


def test_hashes_see_every_change_and_nothing_else():
    a = torch.randn(5000, 3).numpy()
    assert described(a) == described(a.copy())
    b = a.copy()
    b[4999, 2] += 1e-6
    assert described(a)[2] != described(b)[2]
    assert described(a.reshape(3, 5000))[1:] != described(a)[1:]


def test_time_and_command_do_not_enter_the_hash_but_recipe_and_facts_do():
    arrays = {"w": described(torch.ones(2).numpy())}
    one, two = provenance(), provenance()
    two.command, two.created, two.notes = "another", "1999", {"seconds": 5}
    assert one.seal(arrays).hash == two.seal(arrays).hash
    two.facts = {"epoch": 2}
    assert one.hash != two.seal(arrays).hash


def test_what_an_artifact_was_made_from_enters_its_hash():
    """Two models with equal weights are not the same one if one was trained on other data."""
    arrays = {"w": described(torch.ones(2).numpy())}
    hashes = set()
    for parents in ({}, {"dataset": "a"}, {"dataset": "b"}, {"warmup": "a"}, {"dataset": "a", "warmup": "b"}):
        one = provenance()
        one.parents = parents
        hashes.add(one.seal(arrays).hash)
    assert len(hashes) == 5


def test_a_single_number_is_described_as_any_array():
    """Batch normalisation counts its batches in an array without dimensions."""
    one, two = torch.tensor(1).numpy(), torch.tensor(2).numpy()
    assert described(one)[:2] == ("int64", ())
    assert described(one) == described(one.copy())
    assert described(one) != described(two)
