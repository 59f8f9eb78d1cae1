"""Resumable state: the folder ``<out>.partial/`` in which an interrupted stage leaves off and continues.

State is a tree of dicts and lists with tensors and plain values at its leaves, written as one safetensors
file (tensors) whose header holds the rest as JSON. Nothing is pickled.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.artifacts.files import replacing
from omib_cli.distributed import processes
from omib_cli.errors import DataError, StaleError

if TYPE_CHECKING:
    import torch

    from omib_cli.runtime.job import Job

_STATE = "state.safetensors"


class Partial:
    """The resumable state of one stage.

    Parameters
    ----------
    out
        The artifact under construction.
    key
        What the state belongs to (stage, recipe hash, parents): state with another key is refused.
    job
        ``job.fresh`` discards what is there; ``job.save_every`` paces :meth:`checkpoint`.
    """

    def __init__(self, out: Path, key: str, job: Job) -> None:
        self.folder = out.with_name(out.name + ".partial")
        self._key = key
        self._job = job
        self._saved = time.monotonic()
        if job.fresh:
            self.discard()
            processes.barrier()

    def load(self) -> dict[str, Any] | None:
        """The saved tree, or None where there is none.

        Raises
        ------
        StaleError
            The state was left by another recipe or other inputs.
        DataError
            The state cannot be read.
        """
        path = self.folder / _STATE
        if not path.exists():
            return None
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np") as file:  # numpy: stages without tensors never import torch
                header, names = file.metadata(), list(file.keys())
            tensors = {}
            if names:
                with safe_open(path, framework="pt") as file:
                    tensors = {name: file.get_tensor(name) for name in names}
            tree = json.loads(header["tree"])
        except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
            raise DataError("the saved state cannot be read", where=path, got=error, do="use --fresh") from error
        if header.get("key") != self._key:
            raise StaleError(
                "an interrupted run of another recipe, or on other inputs, left its state here",
                where=self.folder,
                do="finish it with its own recipe, discard it with --fresh, or leave it there: -o in another folder",
            )
        state: dict[str, Any] = unpack(tree, tensors)
        return state

    def save(self, tree: dict[str, Any]) -> None:
        """Replace the saved state by ``tree``; of several processes the first one does."""
        if processes.is_rank_zero():
            tensors: dict[str, torch.Tensor] = {}
            plain = pack(tree, tensors)
            save_file = _save_file(bool(tensors))
            with replacing(self.folder / _STATE) as temporary:
                save_file(tensors, temporary, metadata={"key": self._key, "tree": json.dumps(plain)})
        self._saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the state should be saved now: a stop is asked for, or the interval has passed."""
        return self._job.stop.reason is not None or time.monotonic() - self._saved >= self._job.save_every

    def checkpoint(self, tree: dict[str, Any]) -> None:
        """Save, and leave with :class:`~omib_cli.errors.Interrupted` if a stop was asked for."""
        self.save(tree)
        if self._job.stop.reason is not None:
            raise self._job.stop.interruption(self.folder)

    def discard(self) -> None:
        """Remove the folder: the artifact is whole, or the state is not wanted."""
        if processes.is_rank_zero():
            shutil.rmtree(self.folder, ignore_errors=True)


def sweep(out: Path) -> None:
    """Remove state that is older than ``out``: what a process leaves that is killed between last rename and end.

    State that is newer belongs to a run that was started over (``--fresh``) and is still to be continued.
    """
    folder = out.with_name(out.name + ".partial")
    if folder.is_dir() and all(file.stat().st_mtime <= out.stat().st_mtime for file in folder.iterdir()):
        shutil.rmtree(folder, ignore_errors=True)


def _save_file(with_tensors: bool) -> Callable[..., None]:
    library = import_module("safetensors.torch" if with_tensors else "safetensors.numpy")
    save: Callable[..., None] = library.save_file
    return save


def pack(tree: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Plain values of ``tree``, its tensors moved into ``tensors`` under running names."""
    if hasattr(tree, "detach"):  # a tensor, told without importing torch
        name = f"t{len(tensors)}"
        tensors[name] = tree.detach().to("cpu").contiguous().clone()
        return {"$tensor": name}
    if isinstance(tree, dict):
        return {"$dict": [[pack(key, tensors), pack(value, tensors)] for key, value in tree.items()]}
    if isinstance(tree, (list, tuple)):
        return [pack(value, tensors) for value in tree]
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    message = f"cannot save a {type(tree).__name__} in a resumable state"
    raise TypeError(message)


def unpack(plain: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The inverse of :func:`pack` (tuples come back as lists)."""
    if isinstance(plain, list):
        return [unpack(value, tensors) for value in plain]
    if isinstance(plain, dict):
        if "$tensor" in plain:
            return tensors[plain["$tensor"]]
        return {unpack(key, tensors): unpack(value, tensors) for key, value in plain["$dict"]}
    return plain
