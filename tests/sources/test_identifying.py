"""Which column names the samples."""

from __future__ import annotations

import pandas as pd
import pytest

from omib_cli.errors import DataError
from omib_cli.sources.identifying import Candidates, candidates, identify
from omib_cli.sources.sheets import FrameSheet

NAMES = [f"p{row}" for row in range(20)]
NUMBERS = [str(row) for row in range(20)]


def one(where, rows=20, **columns):
    return Candidates(where, rows, dict(columns))


def seen(frame, header=True):
    return set(candidates([FrameSheet(frame, "f.csv")], header=header).columns)


def test_text_names_rows_where_it_tells_them_apart():
    frame = pd.DataFrame({"id": NAMES, "ward": ["a", "b"] * 10, "value": range(20)})
    assert seen(frame) == {"id"}
    assert seen(frame.assign(id=[*NAMES[:19], "p0"])) == {"id"}  # a copy by mistake: refused later, by name
    assert seen(frame.assign(id=[None] * 10 + NAMES[:10])) == set()


def test_whole_numbers_name_rows_only_where_they_are_called_so():
    frame = pd.DataFrame({"sample_id": range(20), "cells": range(100, 120), "score": [row / 7 for row in range(20)]})
    assert seen(frame) == {"sample_id"}
    assert seen(frame.rename(columns={"sample_id": "Unnamed: 0"})) == {0}


def test_the_columns_that_share_most_are_taken_and_of_equal_ones_those_called_alike():
    labels = one("y", case=NAMES, other=NUMBERS)
    tables = {"a": one("a", x=NAMES, case=NAMES), "b": one("b", id=[*NAMES[:15], "q"])}
    assert identify({"labels": labels, **tables}) == {"labels": "case", "a": "case", "b": "id"}


def test_rows_without_names_are_matched_by_number_if_there_are_as_many():
    assert identify({"labels": one("y"), "a": one("a")}) is None
    assert identify({"labels": one("y", nr=NUMBERS), "a": one("a")}) is None
    with pytest.raises(DataError) as caught:
        identify({"labels": one("y"), "a": one("a", 19)})
    assert "a 19 rows" in caught.value.got


@pytest.mark.parametrize(
    ("table", "part"),
    [
        (one("a", id=[f"x{row}" for row in range(20)]), "'x0'"),
        (one("a", id=[f"P{row}" for row in range(20)]), "written"),
    ],
)
def test_names_that_do_not_fit_are_never_passed_over(table, part):
    with pytest.raises(DataError) as caught:
        identify({"labels": one("y", id=NAMES), "a": table})
    assert part in caught.value.got


def test_ids_that_stand_in_several_rows_are_no_ids_of_samples():
    visits = pd.DataFrame({"patient": NAMES * 3, "value": range(60)})
    table = candidates([FrameSheet(visits, "visits.csv")], header=True)
    with pytest.raises(DataError) as caught:
        identify({"labels": one("y", id=NAMES), "a": table})
    assert "'patient'" in caught.value.what
    assert "60 rows of 20 ids, such as p0" in caught.value.got


def test_a_file_without_names_beside_files_with_names_is_refused():
    with pytest.raises(DataError) as caught:
        identify({"labels": one("y", id=NAMES), "a": one("a", id=NAMES), "b": one("b")})
    assert "no column that tells its rows apart" in caught.value.got
