"""Where new pairs come from: one small protocol, and the language models behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from musicgen.promoted import promoted_model, rival_of
from ui.source import NoModel, SourceError

if TYPE_CHECKING:
    from prefs.pair_maker import NewPair, PairMaker


class PairSource(Protocol):
    """Draws pairs of sound tunes, one at a time. Called from one thread only."""

    @property
    def rivals(self) -> tuple[str, str] | None:
        """The two models that evaluation pairs compare, or None if there is but one."""

    def learning_pair(self) -> NewPair:
        """Two tunes of one model that begin alike. Raises SourceError."""

    def evaluation_pair(self) -> NewPair:
        """One tune of each rival. Raises SourceError, also where there are no rivals."""


class ModelPairs:
    """Pairs of the app's model, and of this model against the one that was tuned last.

    Before there are votes that is the bundled model `ladder`."""

    def __init__(self, model: str | None, home: Path) -> None:
        """`model` is as for ui.source.ModelSource."""
        self.chosen = model
        self.home = home
        self._makers: dict[str, PairMaker] = {}
        self._lock = threading.Lock()

    @property
    def model(self) -> str:
        return self.chosen or promoted_model(self.home)

    @property
    def rivals(self) -> tuple[str, str] | None:
        own = Path(self.model).name
        other = rival_of(self.home, own)
        return None if other is None else (own, other)

    def learning_pair(self) -> NewPair:
        return self._drawn(lambda: self._maker(self.model).learning_pair())

    def evaluation_pair(self) -> NewPair:
        rivals = self.rivals
        if rivals is None:
            raise SourceError("There is one model only: retrain it, then the two can be compared.")
        other = rivals[1]
        return self._drawn(lambda: self._maker(self.model).evaluation_pair(self._maker(other)))

    def _drawn(self, draw: Callable[[], NewPair]) -> NewPair:
        from musicgen.checkpoint import CheckpointError
        from musicgen.sample import SampleError

        with self._lock:
            try:
                return draw()
            except CheckpointError as error:
                raise NoModel(f"There is no model to write tunes: {error}.") from None
            except SampleError as error:
                raise SourceError(f"No pair came: {error}.") from None

    def _maker(self, model: str) -> PairMaker:
        """Loaded once; the names under which the tunes are stored are those of the folders."""
        if model not in self._makers:
            import numpy as np
            import torch

            torch.set_num_threads(1)  # as for the Listen page: rows this few gain nothing from more
            from musicgen.checkpoint import find_model
            from musicgen.sample import TuneSampler
            from prefs.pair_maker import PairMaker

            sampler = TuneSampler.load(find_model(model, self.home))
            self._makers[model] = PairMaker(sampler, Path(model).name, np.random.default_rng())
        return self._makers[model]
