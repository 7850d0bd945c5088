"""The figures of a run as TensorBoard event files: tensorboard --logdir HOME/runs

They lie in HOME/runs/NAME/tensorboard. TensorBoard itself is not installed with musicgen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

FOLDER = "tensorboard"


class EventFiles:
    """Writes what a run yields; a run that is taken up goes on in a file of its own."""

    def __init__(self, run: Path) -> None:
        self.folder = run / FOLDER
        self._writer: SummaryWriter | None = None

    def write(self, event: Mapping[str, Any]) -> None:
        """The numbers of one event; `round` is its step, and 0 where there is none."""
        step = int(event.get("round") or 0)
        if self._writer is None:
            from tensorboardX import SummaryWriter

            # what an earlier, killed process wrote from this step on does not count twice
            self._writer = SummaryWriter(str(self.folder), purge_step=step)
        for name, value in numbers(event):
            if name != "round":
                self._writer.add_scalar(name.replace(" ", "_"), value, step)
        self._writer.add_scalar("taken_back", float(bool(event.get("taken_back"))), step)
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def numbers(event: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Each number in nested mappings with its path: health/kl, follows/range, ...

    >>> list(numbers({"round": 1, "health": {"kl": 4.0}, "taken_back": ["why"], "agreement": None}))
    [('round', 1.0), ('health/kl', 4.0)]
    """
    for name, value in event.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from numbers(value, f"{path}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield path, float(value)
