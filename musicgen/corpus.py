"""The corpus: public-domain dance tunes that come with music21, and a user's own ABC files.

    musicgen corpus build --out CORPUS [--add PATH ...]

Every tune is read by abc_tools, written in canonical plain form, checked and credited. Tunes whose
melody is there already, whatever the key, are dropped; settings of one tune (same title, or half of
the bars in common) always land in the same split, so no validation or test tune has a near-copy in
the training split.

A corpus folder holds train.jsonl, validation.jsonl, test.jsonl (one CorpusTune a line),
rejected.jsonl, and manifest.json with the counts, the credits and a hash over all splits.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from tqdm import tqdm

from abc_tools import (
    AbcError,
    canonical_text,
    decode_bytes,
    parse_tune,
    passes_gate,
    split_tunes,
)
from abc_tools.tune import Chord, Note, Overlay, Rest, Tune
from musicgen.rhythm import rhythm_of

Split: TypeAlias = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class CorpusError(Exception):
    """A corpus that cannot be built or read; the message is one line and says what to do."""


@dataclass(frozen=True)
class Book:
    """A printed tune book in music21's corpus: where its files are, and whom to thank."""

    name: str
    files: str  # glob below music21's corpus folder
    title: str
    credit: str  # default transcriber; a tune's own Z: line comes first
    terms: str
    default: bool = True


_TERMS = (
    "public-domain tunes; transcriptions distributed with music21 by permission "
    "(its corpus licence)"
)
BOOKS: tuple[Book, ...] = (
    Book(
        "oneill1850",
        "oneills1850/*.abc",
        "O'Neill's Music of Ireland: 1850 Melodies (Chicago, 1903)",
        "the O'Neill's 1850 transcription project",
        _TERMS,
    ),
    Book(
        "ryan",
        "ryansMammoth/*.abc",
        "Ryan's Mammoth Collection (Boston, 1883)",
        "the Ryan's Mammoth transcription project, co-ordinated by John Chambers",
        _TERMS,
    ),
    Book(
        "aird",
        "airdsAirs/*.abc",
        "James Aird, A Selection of Scotch, English, Irish and Foreign Airs (Glasgow, 1778-1801)",
        "Jack Campin",
        _TERMS,
    ),
    Book(
        "northumbrian",
        "miscFolk/northumbrianminstrelsyopus.abc",
        "Northumbrian Minstrelsy (Newcastle, 1882)",
        "the transcribers named in the file",
        _TERMS,
    ),
    Book(
        "essen",
        "essenFolksong/*.abc",
        "Essen Folksong Collection",
        "Helmut Schaffrath and colleagues",
        "free for research and teaching only: NOT for commercial use, so no model trained on it "
        "may be sold or bundled",
        default=False,
    ),
)


@dataclass(frozen=True)
class CorpusTune:
    """One tune of a corpus, in canonical plain form without its title."""

    id: str
    abc: str
    title: str
    book: str
    credit: str
    rhythm: str | None
    meter: str
    key: str
    gate: bool  # whether it passes abc_tools.passes_gate; only such tunes are trained on


@dataclass(frozen=True)
class Rejected:
    """A tune that was left out, and why."""

    source: str  # file:line
    title: str
    reason: str  # a word or two, counted in the manifest
    detail: str = ""


@dataclass(frozen=True)
class Corpus:
    """A corpus folder that was read back."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def hash(self) -> str:
        """Hash over the tunes of all splits."""
        return str(self.manifest["hash"])

    def tunes(self, split: Split) -> list[CorpusTune]:
        """All tunes of one split."""
        lines = (self.folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        return [CorpusTune(**json.loads(line)) for line in lines]

    def titles(self) -> list[str]:
        """The titles of all tunes, as printed."""
        return [tune.title for split in get_args(Split) for tune in self.tunes(split)]


@dataclass(frozen=True)
class CorpusConfig:
    """What `musicgen corpus build` makes; every field is a flag."""

    out: Path  # folder to write
    add: tuple[Path, ...] = ()  # your own .abc files, or folders of them
    books: tuple[str, ...] = tuple(book.name for book in BOOKS if book.default)
    accept_essen_terms: bool = False  # Essen is for research and teaching only
    validation: int = 200  # tunes to choose models by
    test: int = 440  # tunes to report on, never looked at in between
    seed: int = 1


def music21_folder() -> Path:
    """music21's corpus folder, found without importing music21."""
    spec = importlib.util.find_spec("music21")
    if spec is None or spec.origin is None:
        raise CorpusError("music21 is not installed: pip install music21")
    return Path(spec.origin).parent / "corpus"


def source_files(config: CorpusConfig) -> Iterator[tuple[Book, Path]]:
    """The files of the books asked for, then the user's own, each in a fixed order."""
    by_name = {book.name: book for book in BOOKS}
    for name in config.books:
        if name not in by_name:
            raise CorpusError(f"no book {name!r}: there are {', '.join(by_name)}")
        book = by_name[name]
        if name == "essen" and not config.accept_essen_terms:
            raise CorpusError(f"{book.title} is {book.terms}; add --accept-essen-terms if it suits")
        files = sorted(music21_folder().glob(book.files))
        if not files:
            raise CorpusError(f"music21 is installed without {book.files}: reinstall music21")
        for path in files:
            yield book, path
    for path in config.add:
        if not path.exists():
            raise CorpusError(f"--add {path}: no such file or folder")
        own = Book(path.stem, "", str(path), "", "your own file")
        files = sorted(path.rglob("*.abc")) if path.is_dir() else [path]
        if not files:
            raise CorpusError(f"--add {path}: no .abc file in that folder")
        for file in files:
            yield own, file


class BarFingerprint(NamedTuple):
    """A bar whatever its key: how far its first note lies above the tune's, and its shape."""

    offset: int  # semitones mod 12
    shape: tuple[tuple[int, int], ...]  # (place in the bar, semitones above its first note mod 12)


def _field(tune: Tune, letter: str) -> str:
    """The first header line of that letter, or an empty string."""
    return next((text.strip() for name, text in tune.fields if name == letter), "")


def clean_credit(text: str) -> str:
    """The transcriber's name in a Z: field, without addresses and dates; "" if it names nobody.

    >>> clean_credit('"Transcribed by Bob Safranek, rjs@gsp.org"')
    'Bob Safranek'
    >>> clean_credit("Probably one sharp too many")
    ''
    """
    names_somebody = re.search(r"transcri|contribut|\bby\b|@|campin", text, re.IGNORECASE)
    text = re.sub(
        r"\b(?:(?:transcri|contribut)\w*|by|be|Version)(?![a-z])", " ", text, flags=re.IGNORECASE
    )
    name = re.search(r"[A-Z][\w.']*(?:[ .][A-Z][\w.']*)+", text)
    return name.group().strip(".") if names_somebody and name else ""


def bar_fingerprints(tune: Tune) -> list[BarFingerprint]:
    """Each written bar, key and mode left out: transposed or spelled in another mode it is equal.

    Places count 96ths of the bar, so a reel written in 2/4 equals the same reel in 4/4.
    """
    result: list[BarFingerprint] = []
    first: int | None = None
    for bar in tune.bars:
        if not bar.ticks:
            continue
        place, notes = 0, []
        for element in bar.elements:
            if isinstance(element, Chord):
                notes.append((place, max(note.pitch for note in element.notes)))
            elif isinstance(element, Note):
                notes.append((place, element.pitch))
            elif isinstance(element, Overlay):
                break
            if isinstance(element, Chord | Note | Rest):
                place += element.ticks
        lowest = notes[0][1] if notes else first or 0
        first = lowest if first is None else first
        shape = tuple((onset * 96 // bar.ticks, (pitch - lowest) % 12) for onset, pitch in notes)
        result.append(BarFingerprint((lowest - first) % 12, shape))
    return result


def _clean_title(title: str) -> str:
    title = re.sub(r"\(.*?\)|\s--\s.*$", "", title.lower())
    return " ".join(
        word for word in re.findall(r"[a-z0-9]+", title) if word not in {"the", "a", "an", "s"}
    )


@dataclass
class _Candidate:
    tune: CorpusTune
    bars: frozenset[BarFingerprint]
    melody: tuple[BarFingerprint, ...]


def _read(config: CorpusConfig) -> tuple[list[_Candidate], list[Rejected]]:
    kept: list[_Candidate] = []
    rejected: list[Rejected] = []
    for book, path in tqdm(list(source_files(config)), desc="reading", unit="file"):
        for part in split_tunes(decode_bytes(path.read_bytes())):
            place = f"{path.name}:{part.line}"
            try:
                tune = parse_tune(part)
            except AbcError as error:
                rejected.append(Rejected(place, "", "unreadable", str(error).splitlines()[0]))
                continue
            title = tune.title
            reason = _unfit(tune)
            if reason:
                rejected.append(Rejected(place, title, reason))
                continue
            number = tune.number if book.name == "oneill1850" else None
            rhythm = rhythm_of(tune.rhythm, title, tune.meter.text, number)
            abc = plain_text(tune, rhythm)
            plain = parse_tune(abc)
            melody = tuple(bar_fingerprints(plain))
            kept.append(
                _Candidate(
                    CorpusTune(
                        id=f"{book.name}/{len(kept):05d}",
                        abc=abc,
                        title=title,
                        book=book.name,
                        credit=clean_credit(_field(tune, "Z")) or book.credit,
                        rhythm=rhythm,
                        meter=plain.meter.text,
                        key=plain.key.text,
                        gate=bool(passes_gate(abc)),
                    ),
                    frozenset(bar for bar in melody if len(bar.shape) > 2),
                    melody,
                )
            )
    return kept, rejected


def plain_text(tune: Tune, rhythm: str | None) -> str:
    """The text that models read: canonical and plain, no title, C and C| written 4/4."""
    text = canonical_text(replace(tune, rhythm=rhythm or ""), plain=True, title=False)
    return re.sub(r"^M:C\|?$", "M:4/4", text, flags=re.MULTILINE)


def _unfit(tune: Tune) -> str:
    """Why a readable tune is not for a corpus of dance tunes; empty if it is."""
    if len(tune.bars) < 4:
        return "fewer than 4 bars"
    if len(tune.voices) > 1:
        return "several voices"
    if any(diagnostic.severity == "error" for diagnostic in tune.diagnostics):
        return "errors in the notation"
    return ""


def _drop_copies(candidates: Sequence[_Candidate]) -> tuple[list[_Candidate], list[Rejected]]:
    seen: dict[tuple[Any, ...], str] = {}
    kept, copies = [], []
    for candidate in candidates:
        if candidate.melody in seen:
            copies.append(
                Rejected(
                    candidate.tune.id, candidate.tune.title, "copy", f"of {seen[candidate.melody]}"
                )
            )
        else:
            seen[candidate.melody] = candidate.tune.id
            kept.append(candidate)
    return kept, copies


def _families(candidates: Sequence[_Candidate]) -> list[list[int]]:
    """Settings of one tune together, as indices: same title, or half of the shorter's bars.

    Bars are shared only under one and the same transposition.
    """
    parent = list(range(len(candidates)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    titles: dict[str, int] = {}
    with_shape: dict[Any, list[tuple[int, int]]] = defaultdict(list)
    for index, candidate in enumerate(candidates):
        title = _clean_title(candidate.tune.title)
        if title:
            parent[root(index)] = root(titles.setdefault(title, index))
        for bar in candidate.bars:
            with_shape[bar.shape].append((index, bar.offset))
    shared: Counter[tuple[int, int, int]] = Counter()
    for owners in with_shape.values():
        for place, (one, offset) in enumerate(owners):
            for other, other_offset in owners[place + 1 :]:
                shared[one, other, (other_offset - offset) % 12] += 1
    for (one, other, _), count in shared.items():
        fewest = min(len(candidates[one].bars), len(candidates[other].bars))
        if one != other and count >= 3 and 2 * count >= fewest:
            parent[root(one)] = root(other)
    families: dict[int, list[int]] = defaultdict(list)
    for index in range(len(candidates)):
        families[root(index)].append(index)
    return list(families.values())


def _rank(candidate: _Candidate, seed: int) -> bytes:
    """A tune's place in the draw: by its own content, so that no other tune can move it."""
    return hashlib.sha256(f"{seed} {candidate.melody}".encode()).digest()


def _split(candidates: Sequence[_Candidate], config: CorpusConfig) -> dict[Split, list[CorpusTune]]:
    """Families in the order of a hash: a tune more or less moves hardly any other."""

    def place(family: Sequence[int]) -> bytes:
        # hashed again, as the least of many hashes is small
        return hashlib.sha256(min(_rank(candidates[i], config.seed) for i in family)).digest()

    families = sorted(_families(candidates), key=place)
    largest = max(map(len, families), default=0)
    splits: dict[Split, list[CorpusTune]] = {split: [] for split in SPLITS}
    wanted: dict[Split, int] = {"test": config.test, "validation": config.validation}
    for family in families:
        split: Split = "train"
        # a family of many settings would make a held-out split of one tune: train on it
        if len(family) <= max(3, largest // 20):
            for held_out, count in wanted.items():
                if len(splits[held_out]) + len(family) <= count:
                    split = held_out
                    break
        splits[split].extend(candidates[index].tune for index in family)
    return {split: sorted(tunes, key=lambda tune: tune.id) for split, tunes in splits.items()}


def build_corpus(config: CorpusConfig) -> Corpus:
    """Read, clean, drop copies, split, write; the same input gives the same folder."""
    candidates, rejected = _read(config)
    candidates, copies = _drop_copies(candidates)
    rejected += copies
    if not candidates:
        raise CorpusError("no usable tune in what was given; see the reasons with --add PATH files")
    held_out = config.validation + config.test
    if len(candidates) <= 2 * held_out:  # a small corpus of one's own: a tenth each
        smaller = max(1, len(candidates) // 10)
        config = replace(config, validation=smaller, test=smaller)
    splits = _split(candidates, config)

    config.out.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    for split, tunes in splits.items():
        text = _jsonl(tunes)
        digest.update(text.encode())
        (config.out / f"{split}.jsonl").write_text(text, encoding="utf-8")
    (config.out / "rejected.jsonl").write_text(_jsonl(rejected), encoding="utf-8")
    everything = [tune for tunes in splits.values() for tune in tunes]
    by_name = {book.name: book for book in BOOKS}
    manifest = {
        "hash": digest.hexdigest(),
        "seed": config.seed,
        "tunes": {split: len(tunes) for split, tunes in splits.items()},
        "passing_the_gate": {split: sum(t.gate for t in tunes) for split, tunes in splits.items()},
        "characters": sum(len(tune.abc) for tune in everything),
        "books": {
            name: {
                "tunes": count,
                "title": by_name[name].title if name in by_name else name,
                "terms": by_name[name].terms if name in by_name else "your own file",
            }
            for name, count in sorted(Counter(tune.book for tune in everything).items())
        },
        "rhythms": dict(Counter(tune.rhythm or "none" for tune in everything).most_common()),
        "rejected": dict(Counter(item.reason for item in rejected).most_common()),
        "credits": sorted({tune.credit for tune in everything if tune.credit}),
    }
    (config.out / "manifest.json").write_text(
        json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return Corpus(config.out, manifest)


def _jsonl(items: Iterable[Any]) -> str:
    return "".join(json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in items)


def read_corpus(folder: Path) -> Corpus:
    """A corpus folder, checked to be whole."""
    repair = f"make it with `musicgen corpus build --out {folder}`"
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CorpusError(f"no corpus in {folder}: {repair}") from None
    except ValueError as error:
        raise CorpusError(f"{folder / 'manifest.json'} is damaged ({error}): {repair}") from None
    digest = hashlib.sha256()
    for split in SPLITS:
        path = folder / f"{split}.jsonl"
        if not path.is_file():
            raise CorpusError(f"corpus {folder} lacks {split}.jsonl: {repair}")
        digest.update(path.read_bytes())
    if digest.hexdigest() != manifest.get("hash"):
        raise CorpusError(f"corpus {folder} was changed since it was built: {repair}")
    return Corpus(folder, manifest)
