"""What can go wrong, one class per remedy, each with the exit code that a job script can act on.

Messages say what is wrong, where, what was found, what was expected, and what to do next.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Sequence

SHOWN = 5
"""How many of the offending names a message lists."""


LONGEST = 120
"""Characters of a name that a message shows; of a longer one its beginning."""
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Characters that a terminal obeys instead of showing them, and those that turn text around."""


def legible(text: str) -> str:
    """Text from anywhere as a terminal may show it: what it would obey is written as a backslash and its number."""
    return UNSEEN.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def shortened(text: str, most: int = LONGEST) -> str:
    """The beginning of a text that is too long to be shown, and how long it is."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def listed(names: Iterable[object]) -> str:
    """The first few names, and how many more there are."""
    every = [shortened(str(name)) for name in names]
    more = f", ... ({len(every)} in all)" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more


class OmibError(Exception):
    """A failure that the user can understand and act on; shown without a traceback.

    Parameters
    ----------
    what
        The problem in one sentence.
    where
        File, path inside the file, or line: ``dataset.h5:/modalities/audio``.
    got, expected
        What was found and what would have been right.
    do
        The next thing to try, preferably a command.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: object | None = None,
        got: object | None = None,
        expected: object | None = None,
        do: str | None = None,
    ) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        # libraries' messages have several lines, and cells of files any length
        self.got = None if got is None else shortened(" ".join(str(got).split()), 2000)
        self.expected = None if expected is None else str(expected)
        self.do = do
        super().__init__(what)

    def lines(self) -> list[tuple[str, str]]:
        """The message as (label, text) rows, the problem itself first."""
        rows = [("error", self.what), ("where", self.where), ("got", self.got)]
        rows += [("expected", self.expected), ("try", self.do)]
        return [(label, text) for label, text in rows if text is not None]

    def __str__(self) -> str:
        return "\n".join(f"{label + ':' if label else '':<10}{text}" for label, text in self.lines())


_REMEDIES = {
    errno.ENOSPC: "free some space; the same command continues",
    errno.EDQUOT: "free some space of yours (`quota -s` says how much you have); the same command continues",
    errno.EROFS: "the file system is read-only: write to another one",
    errno.EACCES: "ask its owner for permission, or use a place of your own",
    errno.EPERM: "ask its owner for permission, or use a place of your own",
    errno.ENOLCK: "the file system has no locks: HDF5_USE_FILE_LOCKING=FALSE does without; or use another one",
    errno.EMFILE: "raise the limit of open files: ulimit -n 4096",
    errno.ENFILE: "this machine has too many files open: try again later",
    errno.ENAMETOOLONG: "use a shorter name",
    errno.ENOTDIR: "a file stands where a folder should be: use another path",
    errno.EISDIR: "a folder stands where a file should be: use another path",
    errno.ENOENT: "see whether the path is spelled right",
    errno.EFBIG: "the file system or `ulimit -f` takes no file as large as this: write to another one",
    errno.EIO: "the disk or the network failed: try again, and see the system's log",
    errno.ESTALE: "the network file system was mounted anew meanwhile: run the same command again",
}


def remedy(code: int | None) -> str | None:
    """What helps against a refusal of the operating system, by its errno; None where that is unknown."""
    return None if code is None else _REMEDIES.get(code)


class UsageError(OmibError):
    """The command line asks for something impossible."""

    exit_code = 2


class RecipeError(OmibError):
    """A recipe does not say something the program can do; holds every problem found, in file order."""

    exit_code = 2

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        count = len(self.problems)
        super().__init__(
            f"{count} problem{'s' if count != 1 else ''} in recipe {source}",
            do="omib recipe schema lists every key; omib recipe show NAME prints a recipe that works",
        )

    def lines(self) -> list[tuple[str, str]]:
        """The headline, then one row for each problem."""
        return [("error", self.what), *[("", problem) for problem in self.problems], ("try", self.do or "")]


class DataError(OmibError):
    """The user's data, or an artifact, cannot be used as it is."""

    exit_code = 3


class MismatchError(OmibError):
    """Artifacts (or an artifact and a recipe) that were not made for each other."""

    exit_code = 4


class StaleError(MismatchError):
    """The output, or the state of an interrupted run, was made otherwise: ``--fresh`` replaces it."""


class NumericError(OmibError):
    """NaN, infinity or collapse, caught where it arose."""

    exit_code = 5


class Pruned(OmibError):
    """A trial of a search that promises less than half of those before it, and is not worth finishing."""


class Interrupted(OmibError):
    """Stopped by a signal or by its own clock, with the state saved: the same command continues."""

    exit_code = 75
