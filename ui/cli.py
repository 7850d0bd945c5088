"""The `musicgen` command: one function a sub-command, each imported only when it is called."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ui.home import default_home

if TYPE_CHECKING:
    from musicgen.header import TuneRequest
    from musicgen.sample import Sample, SampleOptions, TuneSampler

Strings = Sequence[str]


@dataclass(frozen=True)
class AppOptions:
    """Open the app in the browser."""

    host: str = "127.0.0.1"
    port: int = 7860
    home: Path = field(default_factory=default_home)  # library, votes, audio, models, runs
    model: str | None = None  # name or folder; default: the promoted one, at first `base`
    browser: bool = True  # open a browser window


@dataclass(frozen=True)
class GenerateOptions:
    """Write new tunes to the terminal or to a file."""

    model: str = "base"  # name or folder
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 1  # how many tunes
    rhythm: str | None = None  # reel, jig, hornpipe, ...
    meter: str | None = None  # 4/4, 6/8, ...
    key: str | None = None  # D, Ador, "E minor", ...
    parts: int | None = None  # how many parts; default: the model's choice
    bars: int | None = None  # of each part, repeats not played out; with --ending: before it
    plan: str | None = None  # parts of unequal length: 8+8+16
    instrument: str | None = None  # notes within its range: fiddle, flute, whistle, ...
    low: int | None = None  # lowest note, as MIDI pitch (60 is C, 74 is d)
    high: int | None = None  # highest note
    prompt: str | None = None  # file with a header and opening bars; - reads standard input
    ending: Path | None = None  # file with the last bars; --bars says how many to write before it
    temperature: float | None = None  # default: the serving default; 1: the model's own
    top_p: float | None = None
    loop_cost: float | None = None  # nats a point by which loops are held back; 0: not at all
    seed: int = 0  # the same seed gives the same tunes
    unconstrained: bool = False  # as the model writes them, faulty ones too
    jsonl: bool = False  # one JSON object a line instead of ABC
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    home: Path = field(default_factory=default_home)


@dataclass(frozen=True)
class EvaluateOptions:
    """Measure a model: bits a character on tunes, and samples beside them."""

    tunes: Path  # .abc tunebook or a corpus split, such as CORPUS/test.jsonl
    model: str = "base"
    samples: int = 0  # draw so many unfiltered samples at T 1 and at the serving defaults
    seed: int = 0
    json: bool = False
    card: bool = False  # write the figures into the model's README.md
    home: Path = field(default_factory=default_home)


@dataclass(frozen=True)
class NearestOptions:
    """Say which printed tune each tune of a file is most like, in any key."""

    file: tyro.conf.Positional[Path]  # an .abc file
    json: bool = False
    home: Path = field(default_factory=default_home)  # keeps the index of the books


@dataclass(frozen=True)
class DoctorOptions:
    """Check everything the app needs; each failing line ends with the command that repairs it."""

    port: int = 7860
    model: str = "base"
    home: Path = field(default_factory=default_home)


def app(args: Strings) -> int:
    options = _parse(AppOptions, "app", args)
    # set before gradio is imported: nothing leaves the machine
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    from ui.app import run_app

    return run_app(options.host, options.port, options.home, options.browser, options.model)


def generate(args: Strings) -> int:
    options = _parse(GenerateOptions, "generate", args)
    from tqdm import tqdm

    from musicgen.checkpoint import find_model
    from musicgen.copy_filter import CopyFilter
    from musicgen.name_tune import TuneNamer
    from musicgen.opening import request_from_abc
    from musicgen.records import tune_record
    from musicgen.sample import LOOP_COST, TEMPERATURE, TOP_P, SampleOptions, TuneSampler

    sample_options = SampleOptions(
        temperature=TEMPERATURE if options.temperature is None else options.temperature,
        top_p=TOP_P if options.top_p is None else options.top_p,
        loop_cost=LOOP_COST if options.loop_cost is None else options.loop_cost,
        seed=options.seed,
    )
    request, opening = _request(options), ""
    if options.prompt is not None:
        opening = sys.stdin.read() if options.prompt == "-" else _read_text(Path(options.prompt))
        request = request_from_abc(opening, request)
    folder = find_model(options.model, options.home)
    sampler = TuneSampler.load(folder)
    namer = TuneNamer(sampler)
    sampler.is_copy = CopyFilter(options.home)
    if options.ending is not None:
        drawn = _filled(options, sampler, opening, sample_options)
    else:
        draw = sampler.samples if options.unconstrained else sampler.served
        drawn = draw(request, sample_options, options.n)
    out = sys.stdout
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        out = open(options.output, "w", encoding="utf-8")  # noqa: SIM115 closed below
    try:
        bar = tqdm(drawn, total=options.n, unit="tune", disable=options.n < 2 or None)
        for number, written in enumerate(bar, start=1):
            named = written.abc if options.unconstrained else namer.titled(written.abc)
            sample = replace(written, abc=named)
            if options.jsonl:
                record = tune_record(sample, model=folder.name)
                print(json.dumps(record, ensure_ascii=False), file=out)
            else:
                print(sample.abc.replace("X:1\n", f"X:{number}\n", 1), file=out, flush=True)
    finally:
        if out is not sys.stdout:
            out.close()
    if sampler.discarded:
        print(f"{sampler.discarded} faulty tunes were discarded", file=sys.stderr)
    return 0


def _filled(
    options: GenerateOptions, sampler: TuneSampler, opening: str, how: SampleOptions
) -> Iterator[Sample]:
    """Tunes from the prompt to the ending."""
    from musicgen.header import RequestError
    from musicgen.tweak import fill_middle

    if not opening or options.bars is None or options.ending is None or options.unconstrained:
        raise RequestError("--ending needs --prompt with the opening, and --bars between the two")
    asked = _request(replace(options, bars=None))
    ending = _read_text(options.ending)
    for row in range(options.n):
        yield fill_middle(sampler, opening, ending, options.bars, how, asked, row)


def _request(options: GenerateOptions) -> TuneRequest:
    from musicgen.header import RequestError, TuneRequest
    from musicgen.part_plan import asked_plan
    from musicgen.pitch_range import instrument_range

    try:
        plan = asked_plan(options.plan, options.parts, options.bars)
        low, high = instrument_range(options.instrument)
    except ValueError as error:
        raise RequestError(str(error)) from None
    low = low if options.low is None else options.low
    high = high if options.high is None else options.high
    return TuneRequest(options.rhythm, options.meter, options.key, plan=plan, low=low, high=high)


def tweak(args: Strings) -> int:
    from ui.commands_tweak import tweak as command

    return command(args)


def corpus(args: Strings) -> int:
    commands = {"list": _corpus_list, "build": _corpus_build}
    if not args or args[0] not in commands:
        print("usage: musicgen corpus list|build [--help]", file=sys.stderr)
        return 0 if args and args[0] in ("-h", "--help") else 2
    return commands[args[0]](args[1:])


@dataclass(frozen=True)
class CorpusListOptions:
    """List the tune books that a corpus can be made of, with credits and terms."""


def _corpus_list(args: Strings) -> int:
    _parse(CorpusListOptions, "corpus list", args)
    from musicgen.corpus import BOOKS, music21_folder

    for book in BOOKS:
        files = len(list(music21_folder().glob(book.files)))
        mark = "default" if book.default else "opt-in "
        print(f"{book.name:13} {mark}  {files:>5} files  {book.title}\n{'':23}{book.terms}")
    return 0


def _corpus_build(args: Strings) -> int:
    from musicgen.corpus import CorpusConfig, build_corpus

    config = _parse(CorpusConfig, "corpus build", args)
    manifest = build_corpus(config).manifest
    print(json.dumps({k: v for k, v in manifest.items() if k != "credits"}, indent=2))
    print(f"written to {config.out}; what was left out is in {config.out / 'rejected.jsonl'}")
    return 0


def train(args: Strings) -> int:
    from musicgen.train import TrainConfig
    from musicgen.train import train as train_steps

    for step in train_steps(_parse(TrainConfig, "train", args)):
        print(step.line(), flush=True)
        if step.sample is not None:
            print(step.sample, flush=True)
    return 0


def evaluate(args: Strings) -> int:
    options = _parse(EvaluateOptions, "evaluate", args)
    from musicgen import evaluate as measures
    from musicgen.checkpoint import find_model, load_checkpoint
    from musicgen.model_card import write_figures

    checkpoint = load_checkpoint(find_model(options.model, options.home))
    tunes = measures.read_tunes(options.tunes)
    result = measures.evaluate(checkpoint, tunes, samples=options.samples, seed=options.seed)
    print(json.dumps(result, indent=2) if options.json else measures.report(result))
    if options.card:
        write_figures(checkpoint.folder, measures.report(result))
    return 0


def nearest(args: Strings) -> int:
    options = _parse(NearestOptions, "nearest", args)
    from musicgen.novelty import compare_file, corpus_index, describe

    records = compare_file(corpus_index(options.home), options.file)
    if options.json:
        print(json.dumps(records, indent=2, ensure_ascii=False))
    else:
        print("\n".join(map(describe, records)))
    return 0


def pairs(args: Strings) -> int:
    from ui.commands_pairs import pairs as command

    return command(args)


def rank(args: Strings) -> int:
    from ui.commands_rank import rank as command

    return command(args)


def compare(args: Strings) -> int:
    from ui.commands_rank import compare as command

    return command(args)


def retrain(args: Strings) -> int:
    from ui.commands_retrain import retrain as command

    return command(args)


def runs(args: Strings) -> int:
    from ui.commands_runs import runs as command

    return command(args)


def votes(args: Strings) -> int:
    from ui.commands_votes import votes as command

    return command(args)


def models(args: Strings) -> int:
    from ui.commands_models import models as command

    return command(args)


def doctor(args: Strings) -> int:
    options = _parse(DoctorOptions, "doctor", args)
    from ui.doctor import run_doctor

    return run_doctor(options.home, options.port, options.model)


COMMANDS: dict[str, tuple[Callable[[Strings], int], str]] = {
    "app": (app, "open the app in the browser"),
    "generate": (generate, "write new tunes"),
    "tweak": (tweak, "vary a tune: some bars anew, the others kept"),
    "corpus": (corpus, "list: the tune books; build: a corpus from them and your own files"),
    "train": (train, "train a model on a corpus"),
    "evaluate": (evaluate, "measure a model on held-out tunes"),
    "pairs": (pairs, "draw blind pairs of tunes to vote on"),
    "rank": (rank, "rank models or tunes by their votes"),
    "compare": (compare, "count the blind votes between two models"),
    "retrain": (retrain, "learn from the votes: a tuned model"),
    "runs": (runs, "start, pause, go-on, cancel: a retraining in the background; list, report"),
    "models": (models, "list, promote, back, keep, history, export, import, remove"),
    "votes": (votes, "import, export: files of votes; count: how many there are"),
    "nearest": (nearest, "find the printed tune that each tune of a file is most like"),
    "doctor": (doctor, "check what the app needs and say how to repair it"),
}


def _parse(options: Any, name: str, args: Strings) -> Any:
    return tyro.cli(options, prog=f"musicgen {name}", args=args)


def _read_text(path: Path) -> str:
    from abc_tools import decode_bytes

    return decode_bytes(path.read_bytes())


def _usage() -> str:
    rows = "\n".join(f"  {name:10} {text}" for name, (_, text) in COMMANDS.items())
    return f"usage: musicgen COMMAND [--help]\n\n{rows}"


def main(argv: Strings | None = None) -> int:
    """Run one command; a fault the user can mend is one line on standard error and exit code 1."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help"):
        print(_usage())
        return 0
    if args[0] not in COMMANDS:
        print(f"musicgen: no command {args[0]!r}\n{_usage()}", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        return COMMANDS[args[0]][0](args[1:])
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"musicgen: {place}{error.strerror or error}", file=sys.stderr)
        return 1
    except _user_errors() as error:
        print(f"musicgen: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1


def _user_errors() -> tuple[type[Exception], ...]:
    """Errors whose message is written for the user; only those of modules already loaded."""
    names = (
        ("musicgen.checkpoint", "CheckpointError"),
        ("musicgen.corpus", "CorpusError"),
        ("musicgen.header", "RequestError"),
        ("musicgen.sample", "SampleError"),
        ("musicgen.novelty", "NoveltyError"),
        ("prefs.database", "StoreError"),
        ("prefs.json_records", "FormatError"),
        ("prefs.probe", "ProbeError"),
        ("prefs.retrain", "RetrainError"),
        ("prefs.run_folder", "RunError"),
        ("prefs.at_work", "Busy"),
        ("prefs.jobs", "JobError"),
        ("abc_tools.errors", "AbcError"),
        ("abc_tools.audio_options", "AudioError"),
    )
    loaded = [(sys.modules.get(module), name) for module, name in names]
    return tuple(getattr(module, name) for module, name in loaded if module is not None)
