"""Tunes written ahead, so that the next one is there when it is asked for.

One thread calls the source. It serves whoever waits (the latest first: an earlier wish of the same
page is out of date by then), and otherwise fills a short shelf for each of the choices used lately.
The shelf of the default choices survives a restart in a file, so that Start works at once.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from ui.choices import HIGHEST_SEED, Choices
from ui.library import Library, StoredTune, now, tune_id
from ui.source import NoModel, SourceError, TuneSource

log = logging.getLogger("musicgen")

AHEAD = 2  # tunes on each shelf; a page holds two more
SHELVES = 6  # choices that are remembered
FIXED = 64  # tunes of locked seeds that are remembered
REDRAWS = 3  # for a tune that was heard before

# From the text of a source to the text that is stored (given a title), and what renders it ahead.
Finish = Callable[[str], str]
Render = Callable[[StoredTune], object]


@dataclass(eq=False)
class _Wish:
    choices: Choices
    tune: StoredTune | None = None
    error: SourceError | None = None

    @property
    def settled(self) -> bool:
        return self.tune is not None or self.error is not None


class Preparer:
    """Hands out tunes; several pages may ask at once."""

    def __init__(
        self,
        source: TuneSource,
        library: Library,
        *,
        finish: Finish = lambda abc: abc,
        render: Render = lambda tune: None,
        ready_file: Path | None = None,
        bundled: Iterable[StoredTune] = (),
        seeds: random.Random | None = None,
        ahead: int = AHEAD,
    ) -> None:
        self.source = source
        self.library = library
        self.ahead = ahead
        self.fault: str | None = None  # the last SourceError, until a tune is written again
        self._finish = finish
        self._render = render
        self._ready_file = ready_file
        self._seeds = seeds or random.Random()
        self._shelves: OrderedDict[Choices, deque[StoredTune]] = OrderedDict()
        self._idle: set[Choices] = set()  # not refilled before they are asked for again
        self._fixed: OrderedDict[Choices, StoredTune] = OrderedDict()
        self._wishes: list[_Wish] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        first = deque(self._read_ready() or (t for t in bundled if t.model == source.name))
        self._shelves[Choices()] = first

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="prepare", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the tune in work and end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=30)

    def next(self, choices: Choices, timeout_seconds: float = 30.0) -> StoredTune:
        """The next tune for these choices, stored in the library. Raises SourceError."""
        wish = _Wish(choices)
        with self._changed:
            self._idle.discard(choices)
            ready = self._from_shelf(choices)
            if ready is None:
                self._wishes.append(wish)
                self._changed.notify_all()
                self._changed.wait_for(lambda: wish.settled or self._stopping, timeout_seconds)
                with contextlib.suppress(ValueError):
                    self._wishes.remove(wish)
                ready = wish.tune
            else:
                self._changed.notify_all()
        if ready is None:
            raise wish.error or SourceError("No tune came in time; press Next to try again.")
        self.library.add(ready)
        return ready

    def tweak(self, tune: StoredTune) -> StoredTune:
        """A tune that varies this one, stored in the library. Raises SourceError."""
        seed = random.randint(0, HIGHEST_SEED)
        abc = self.source.tweak(tune.abc, seed)
        made = StoredTune(
            id=tune_id(abc),
            abc=self._finish(abc),
            model=self.source.name,
            seed=seed,
            options={"tweak_of": tune.id},
            created=now(),
        )
        self.library.add(made)
        return made

    def waiting_for(self, choices: Choices) -> int:
        """How many tunes are ready for these choices."""
        with self._changed:
            return len(self._shelves.get(choices, ()))

    def _from_shelf(self, choices: Choices) -> StoredTune | None:
        if choices.seed is not None:
            return self._fixed.get(choices)
        shelf = self._shelves.setdefault(choices, deque())
        self._shelves.move_to_end(choices)
        while len(self._shelves) > SHELVES:
            self._shelves.popitem(last=False)
        if not shelf:
            return None
        tune = shelf.popleft()
        self._store_ready(choices)
        return tune

    # The thread

    def _work(self) -> None:
        for first in self._on_shelf(Choices())[:1]:
            self._rendered(first)  # Start works at once, before the model is there
        self._load()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._job() is not None)
                choices = self._job()
                if self._stopping or choices is None:
                    return
            tune, error = self._written(choices)
            with self._changed:
                self._settle(choices, tune, error)
                pressing = any(not wish.settled for wish in self._wishes)
            if tune is not None and not pressing:
                self._rendered(tune)

    def _on_shelf(self, choices: Choices) -> list[StoredTune]:
        with self._changed:
            return list(self._shelves.get(choices, ()))

    def _job(self) -> Choices | None:
        for wish in reversed(self._wishes):
            if not wish.settled:
                return wish.choices
        for choices, shelf in reversed(self._shelves.items()):
            if len(shelf) < self.ahead and choices not in self._idle:
                return choices
        return None

    def _load(self) -> None:
        try:
            self.source.load()
        except SourceError as error:
            self.fault = str(error)
            log.warning("no tunes: %s", error)
        except Exception:  # write() will meet the same fault and tell whoever asks
            log.exception("the model could not be loaded")

    def _written(self, choices: Choices) -> tuple[StoredTune | None, SourceError | None]:
        try:
            if choices.seed is not None:
                return self._tune(choices, choices.seed), None
            tune = self._tune(choices, self._seeds.randint(0, HIGHEST_SEED))
            for _ in range(REDRAWS):
                if tune.id not in self.library:
                    break
                tune = self._tune(choices, self._seeds.randint(0, HIGHEST_SEED))
            return tune, None
        except SourceError as error:
            return None, error
        except Exception:  # a fault in one tune must not end the music for everybody
            log.exception("a tune could not be written for %s", choices)
            return None, SourceError("The model stumbled over these choices; try others.")

    def _tune(self, choices: Choices, seed: int) -> StoredTune:
        abc = self.source.write(choices, seed)
        return StoredTune(
            id=tune_id(abc),
            abc=self._finish(abc),
            model=self.source.name,
            seed=seed,
            options=choices.without_seed().as_options(),
            created=now(),
        )

    def _settle(self, choices: Choices, tune: StoredTune | None, error: SourceError | None) -> None:
        self.fault = str(error) if error else None
        if error is not None:
            log.warning("no tune: %s", error)
            self._idle.update(self._shelves if isinstance(error, NoModel) else [choices])
        wish = next(
            (w for w in reversed(self._wishes) if w.choices == choices and not w.settled), None
        )
        if tune is not None and choices.seed is not None:
            self._fixed[choices] = tune
            while len(self._fixed) > FIXED:
                self._fixed.popitem(last=False)
        if wish is not None:
            wish.tune, wish.error = tune, error
        elif tune is not None and choices.seed is None and choices in self._shelves:
            self._shelves[choices].append(tune)
            self._store_ready(choices)
        self._changed.notify_all()

    def _rendered(self, tune: StoredTune) -> None:
        try:
            self._render(tune)
        except Exception as error:  # heard again, and told to the listener, when the tune is played
            log.warning("tune %s could not be rendered ahead: %s", tune.id, error)

    # The file that survives a restart

    def _read_ready(self) -> list[StoredTune]:
        if self._ready_file is None:
            return []
        try:
            lines = self._ready_file.read_text(encoding="utf-8").splitlines()
            tunes = [StoredTune(**json.loads(line)) for line in lines]
        except (OSError, ValueError, TypeError):
            return []  # none yet, or damaged: they are written anew
        return [tune for tune in tunes if tune.model == self.source.name]

    def _store_ready(self, choices: Choices) -> None:
        if self._ready_file is None or choices != Choices():
            return
        text = "".join(
            json.dumps(asdict(tune), ensure_ascii=False) + "\n" for tune in self._shelves[choices]
        )
        part = self._ready_file.with_suffix(".part")
        try:
            part.write_text(text, encoding="utf-8")
            os.replace(part, self._ready_file)
        except OSError as error:
            log.warning("%s: not written (%s)", self._ready_file, error.strerror)
