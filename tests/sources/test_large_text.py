"""Large tables of text: read in blocks, to the same bits as by the patient reader, or left to it."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

from omib_cli.errors import DataError
from omib_cli.sources import streamed_text, text_tables
from omib_cli.sources.sheets import FrameSheet
from omib_cli.sources.streamed_text import StreamedSheet
from omib_cli.sources.text_tables import read_text

ROWS = 500


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    made = pd.DataFrame(rng.normal(size=(ROWS, 6)) * 10.0 ** rng.integers(-300, 300, (ROWS, 6)), columns=list("abcdef"))
    made.insert(0, "id", [f"{row:05d}" for row in range(ROWS)])
    made["count"] = rng.integers(0, 1000, ROWS)
    made["batch"] = "x"
    return made


def both(path, monkeypatch, text=("id",), header=True):
    """The sheet as it is read, and as the patient reader reads it."""
    found = read_text(path, path.name, header=header, text_columns=text, warnings=[])
    with monkeypatch.context() as patch:
        patch.setattr(text_tables, "read_streamed", lambda *_: None)
        return found, read_text(path, path.name, header=header, text_columns=text, warnings=[])


def must_be_equal(found, patient):
    assert found.names == patient.names
    assert found.numeric() == patient.numeric()
    np.testing.assert_array_equal(found.numbers(found.numeric()), patient.numbers(patient.numeric()))
    for position in set(range(len(found.names))) - set(found.numeric()):
        assert found.text(position) == patient.text(position)


@pytest.mark.parametrize("block", [100, 1 << 23])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz"])
def test_every_bit_is_that_of_the_patient_reader(tmp_path, monkeypatch, name, block):
    monkeypatch.setattr(streamed_text, "BLOCK", block)
    made = table()
    made.loc[::7, "b"] = np.nan
    made.to_csv(tmp_path / name, sep="\t" if "tsv" in name else ",", index=False, na_rep="n/a")
    found, patient = both(tmp_path / name, monkeypatch)
    assert isinstance(found, StreamedSheet)
    assert isinstance(patient, FrameSheet)
    must_be_equal(found, patient)
    np.testing.assert_array_equal(found.numbers([1]), made[["a"]].to_numpy())
    assert found.text("id")[7] == "00007"
    assert found.text("count") == patient.text("count")


def test_quotes_line_breaks_marks_and_windows_lines_change_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(streamed_text, "BLOCK", 100)
    made = table().assign(batch=['a "b", c\nd'] * ROWS)
    text = made.to_csv(index=False, lineterminator="\r\n", quoting=2)
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    found, patient = both(tmp_path / "t.csv", monkeypatch)
    assert isinstance(found, StreamedSheet)
    must_be_equal(found, patient)
    assert found.text("batch")[3].startswith('a "b", c')


def test_a_table_without_header_keeps_its_first_row(tmp_path, monkeypatch):
    made = table()
    made.to_csv(tmp_path / "t.csv", index=False, header=False)
    found, patient = both(tmp_path / "t.csv", monkeypatch, text=[0], header=False)
    assert isinstance(found, StreamedSheet)
    assert found.rows == ROWS
    must_be_equal(found, patient)


@pytest.mark.parametrize(
    ("column", "row", "cell"),
    [("a", 450, "oops"), ("a", 450, "  "), ("count", 450, "2.5"), ("count", 3, "900000000000207003"), ("a", 3, "True")],
)
def test_what_is_not_beyond_doubt_is_read_patiently(tmp_path, monkeypatch, column, row, cell):
    monkeypatch.setattr(streamed_text, "SAMPLE_ROWS", (20, 20))
    made = table().astype({column: object})
    made.loc[row, column] = cell
    made.to_csv(tmp_path / "t.csv", index=False)
    found, patient = both(tmp_path / "t.csv", monkeypatch)
    assert found.names == patient.names
    assert found.numeric() == patient.numeric()
    assert found.text(column) == patient.text(column) or cell == "2.5"
    position = found.names.index(column)
    if cell in ("oops", "True"):
        for sheet in (found, patient):
            with pytest.raises(DataError, match="not a number"):
                sheet.numbers([position])
    else:
        must_be_equal(found, patient)


@pytest.mark.parametrize("damage", ["short", "long", "blank", "bytes", "gzip"])
def test_damage_far_below_the_first_rows_is_refused(tmp_path, monkeypatch, damage):
    monkeypatch.setattr(streamed_text, "SAMPLE_ROWS", (20, 20))
    lines = table().to_csv(index=False).encode().splitlines()
    if damage == "short":
        lines[450] = lines[450].rpartition(b",")[0]
    elif damage == "long":
        lines[450] += b",1.5"
    elif damage == "blank":
        lines.insert(450, b"")
    elif damage == "bytes":
        lines[450] = lines[450].replace(b",x", b",\xff")
    content = b"\n".join(lines) + b"\n"
    if damage == "gzip":
        content = gzip.compress(content)[:-100]
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_text(tmp_path / "t.csv", "t.csv", header=True, text_columns=["id"], warnings=[])
    said = {"long": "different lengths", "bytes": "UTF-8", "gzip": "truncated"}
    assert said.get(damage, "line 451") in str(caught.value)
