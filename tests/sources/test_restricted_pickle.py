"""Foreign pickles: arrays and plain values come through, code does not run."""

from __future__ import annotations

import collections
import os
import pickle  # noqa: TID251
import subprocess

import numpy as np
import pytest

from omib_cli.errors import DataError
from omib_cli.sources.restricted_pickle import read_pickle

VALUE = {
    "arrays": [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([1, 2], dtype=">i4"),
        np.array(["ja", "nein"]),
        np.array([["a", "bc"], [1.5, None]], dtype=object),
        np.array([True, False]),
        np.zeros((0, 5)),
        np.array(2.5),
    ],
    "scalars": (np.float64(2.5), np.float32(-1.0), np.int64(7), np.str_("x"), 1, 2.0, 3j, None, True, "ä", b"\x00\xff"),
    "containers": [{1, 2}, frozenset("ab"), collections.OrderedDict(a=1), bytearray(b"x")],
}


def same(a, b):
    if isinstance(b, np.ndarray):
        return (
            a.dtype.newbyteorder("=") == b.dtype.newbyteorder("=") and a.shape == b.shape and a.tolist() == b.tolist()
        )
    if isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in b)
    if isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_values_come_back_as_they_were(tmp_path, protocol):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(VALUE, protocol))
    assert same(read_pickle(path, "a.pkl"), VALUE)


@pytest.mark.parametrize("protocol", [2, 4])
def test_the_names_of_older_and_newer_numpy_are_known(tmp_path, protocol):
    whole = pickle.dumps(np.arange(3.0), protocol)
    other = whole.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    if protocol == 4:  # a text's length stands before it
        other = whole.replace(b"\x8c\x16numpy._core.multiarray", b"\x8c\x15numpy.core.multiarray")
        at = other.index(b"\x95") + 1
        other = other[:at] + (int.from_bytes(other[at : at + 8], "little") - 1).to_bytes(8, "little") + other[at + 8 :]
    assert other != whole
    for text in (whole, other):
        (tmp_path / "a.pkl").write_bytes(text)
        assert read_pickle(tmp_path / "a.pkl", "a.pkl").tolist() == [0.0, 1.0, 2.0]


def test_a_pickle_of_python_2_is_read(tmp_path):
    text = b"(dp0\nS'words'\np1\n(lp2\nS'caf\\xe9'\np3\nasS'n'\np4\nI3\ns."  # {'words': ['caf\xe9'], 'n': 3}
    (tmp_path / "a.pkl").write_bytes(text)
    assert read_pickle(tmp_path / "a.pkl", "a.pkl") == {"words": ["café"], "n": 3}


@pytest.mark.parametrize("octets", [b"caf\\xc3\\xa9", b"caf\\xe9"], ids=["utf-8", "latin-1"])
def test_text_of_python_2_is_read_in_its_own_encoding(tmp_path, octets):
    (tmp_path / "a.pkl").write_bytes(b"(dp0\nS'" + octets + b"'\np1\n(lp2\nS'" + octets + b"'\np3\nas.")
    assert read_pickle(tmp_path / "a.pkl", "a.pkl") == {"café": ["café"]}


def test_text_of_python_3_is_left_as_it_is(tmp_path):
    for protocol in (2, 4):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(["cafÃ©", "café"], protocol))
        assert read_pickle(tmp_path / "a.pkl", "a.pkl") == ["cafÃ©", "café"]


def test_arrays_of_python_2_keep_every_byte(tmp_path):
    """Python 2 wrote an array's bytes as text: here those that are UTF-8 by chance, and those that are not."""
    values = np.frombuffer(bytes(range(256)) + "é€😀".encode(), dtype=np.uint8)
    dtype = b"cnumpy\ndtype\n(S'u1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntb"
    start = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    raw = values.tobytes()
    state = b"(I1\n(I%d\nt" % len(values) + dtype + b"I00\nT" + len(raw).to_bytes(4, "little") + raw + b"tb."
    (tmp_path / "a.pkl").write_bytes(start + state)
    np.testing.assert_array_equal(read_pickle(tmp_path / "a.pkl", "a.pkl"), values)


class Runs:
    """Unpickled, it calls a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_carries_code_is_refused_and_nothing_is_executed(tmp_path, protocol):
    made = tmp_path / "made"
    path = tmp_path / "a.pkl"
    for number, (function, argument) in enumerate([(os.mkdir, str(made)), (eval, f"open({str(made)!r}, 'w')")]):
        path.write_bytes(pickle.dumps({"train": [np.ones(2), Runs(function, argument)]}, protocol))
        with pytest.raises(
            DataError, match=[r"asks for (posix|nt)\.mkdir", r"asks for (builtins|__builtin__)\.eval"][number]
        ):
            read_pickle(path, "a.pkl")
        assert not made.exists()
    pickle.loads(path.read_bytes())  # the same file, read without restriction, does what it says
    assert made.exists()


@pytest.mark.parametrize(
    "value",
    [
        Runs(subprocess.Popen, ["true"]),
        Runs(getattr, np.ones(1), "tofile"),
        Runs(np.save, "x", np.ones(1)),
        np.datetime64("2020-01-01"),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.ma.masked_array([1.0], [True]),
        np.random.default_rng(0),
        slice(1),
    ],
    ids=["Popen", "getattr", "save", "date", "records", "masked", "generator", "slice"],
)
def test_anything_but_arrays_and_plain_values_is_refused(tmp_path, value):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"x": value}))
    with pytest.raises(DataError) as caught:
        read_pickle(path, "a.pkl")
    assert caught.value.where == "a.pkl"


def test_a_data_type_of_the_pickles_own_making_is_refused(tmp_path):
    """Numpy believes the flags that a pickled type states; with an object among the fields that would be its end."""
    whole = pickle.dumps(np.zeros(1, dtype=[("a", "O")]), 2)
    (tmp_path / "a.pkl").write_bytes(whole)
    with pytest.raises(DataError, match="not a whole pickle"):
        read_pickle(tmp_path / "a.pkl", "a.pkl")


@pytest.mark.parametrize("text", [b"", b"not a pickle", b"\x80\x04", b"PK\x03\x04 torch", b"\x1f\x8b\x08\x00"])
def test_what_is_no_pickle_is_said_to_be_none(tmp_path, text):
    (tmp_path / "a.pkl").write_bytes(text)
    with pytest.raises(DataError, match="not a whole pickle"):
        read_pickle(tmp_path / "a.pkl", "a.pkl")


def test_a_truncated_pickle_is_refused_wherever_it_ends(tmp_path):
    whole = pickle.dumps(VALUE, 4)
    for end in range(0, len(whole) - 1, 37):
        (tmp_path / "a.pkl").write_bytes(whole[:end])
        with pytest.raises(DataError):
            read_pickle(tmp_path / "a.pkl", "a.pkl")
