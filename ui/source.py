"""Where new tunes come from: one small protocol, and the language model behind it."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from musicgen.promoted import promoted_model
from ui.choices import Choices

if TYPE_CHECKING:
    from musicgen.copy_filter import CopyFilter
    from musicgen.sample import TuneSampler

log = logging.getLogger("musicgen")


class SourceError(Exception):
    """No tune came; the message is one sentence that says what to do."""


class NoModel(SourceError):
    """There is no model to write tunes, so no other choice would help."""


@dataclass(frozen=True)
class Known:
    """What can be asked for, empty while the source has not said, and the usual temperature."""

    rhythms: tuple[str, ...] = ()
    meters: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    temperature: float = 1.1


class TuneSource(Protocol):
    """Writes tunes that pass the gate, one at a time. `write` is called from one thread only."""

    @property
    def name(self) -> str:
        """Stored with each tune."""

    @property
    def known(self) -> Known:
        """May be read from any thread, before the first tune too."""

    def load(self) -> None:
        """Get ready to write, which may take seconds. Raises NoModel."""

    def write(self, choices: Choices, seed: int) -> str:
        """A tune in canonical ABC; the same choices and seed give the same one.

        Raises SourceError when none can be had.
        """

    def tweak(self, abc: str, seed: int) -> str:
        """The tune with some bars written anew, its title left out; from any thread.

        Raises SourceError when none can be had.
        """


class ModelSource:
    """Tunes from a model folder. Torch is imported by load() or with the first tune, not before."""

    def __init__(self, model: str | None, home: Path) -> None:
        """`model` is a model folder, or the name of one in `home`/models or of a bundled one.

        None: whichever is promoted in `home` at the time.
        """
        self.chosen = model
        self.home = home
        self._loaded_model = ""
        self._sampler: TuneSampler | None = None
        self._known = Known()
        self._lock = threading.Lock()
        self._copies: CopyFilter | None = None
        self.builds_index = False  # of the printed tunes, if the home has none yet

    @property
    def model(self) -> str:
        return self.chosen or promoted_model(self.home)

    @property
    def name(self) -> str:
        return Path(self.model).name

    @property
    def known(self) -> Known:
        return self._known

    def load(self) -> None:
        with self._lock:
            self._loaded()

    def write(self, choices: Choices, seed: int) -> str:
        from musicgen.header import RequestError
        from musicgen.opening import request_from_abc
        from musicgen.part_plan import asked_plan
        from musicgen.pitch_range import instrument_range
        from musicgen.sample import SampleError, SampleOptions, TuneRequest

        plan = asked_plan(parts=choices.parts, bars=choices.bars)
        low, high = instrument_range(choices.fits)
        options = SampleOptions(seed=seed)
        if choices.temperature is not None:
            options = SampleOptions(seed=seed, temperature=choices.temperature)
        with self._lock:
            sampler = self._loaded()
            before, started = sampler.discarded, time.perf_counter()
            try:
                request = TuneRequest(
                    choices.rhythm, choices.meter, choices.key, plan=plan, low=low, high=high
                )
                if choices.opening:
                    request = request_from_abc(choices.opening, request)
                sample = next(iter(sampler.served(request, options, 1)))
            except RequestError as error:
                raise SourceError(f"{str(error)[0].upper()}{str(error)[1:]}.") from None
            except SampleError as error:
                log.info("no tune for %s, seed %d: %s", choices, seed, error)
                raise SourceError(
                    "No sound tune came of these choices; make it calmer, or leave one open."
                ) from None
            log.info(
                "tune written in %.2f s (seed %d), %d discarded for it, %d so far",
                time.perf_counter() - started,
                seed,
                sampler.discarded - before,
                sampler.discarded,
            )
            return self._named(sample.abc)

    def tweak(self, abc: str, seed: int) -> str:
        """Waits for the tune that is being written, if one is."""
        from abc_tools import canonical_text, parse_tune
        from musicgen.header import RequestError
        from musicgen.sample import SampleError, SampleOptions
        from musicgen.tweak import tweak

        tune = parse_tune(canonical_text(parse_tune(abc), title=False))
        with self._lock:
            sampler = self._loaded()
            try:
                sample = tweak(sampler, tune, SampleOptions(seed=seed))
            except (RequestError, SampleError) as error:
                log.info("no tweak with seed %d: %s", seed, error)
                raise SourceError("This tune did not come out varied; press once more.") from None
            return self._named(sample.abc)

    def _named(self, abc: str) -> str:
        """With the model's own title, if it names tunes."""
        from musicgen.name_tune import TuneNamer

        return TuneNamer(self._loaded()).titled(abc)

    def _loaded(self) -> TuneSampler:
        model = self.model
        if self._sampler is None or self._loaded_model != model:
            import torch

            # A few rows at a time gain nothing from a second core; on a busy machine threads that
            # wait for each other took 20 to 50 s a tune where one took 3.
            torch.set_num_threads(1)
            from musicgen.checkpoint import CheckpointError, find_model
            from musicgen.sample import TEMPERATURE, TuneSampler

            try:
                self._sampler = TuneSampler.load(find_model(model, self.home))
            except CheckpointError as error:
                raise NoModel(f"There is no model to write tunes: {error}.") from None
            self._loaded_model = model
            from musicgen.copy_filter import CopyFilter

            if self._copies is None:
                self._copies = CopyFilter(self.home, build=self.builds_index)
            self._sampler.is_copy = self._copies
            headers = self._sampler.headers
            self._known = Known(
                tuple(headers.rhythms), tuple(headers.meters), tuple(headers.keys), TEMPERATURE
            )
        return self._sampler
