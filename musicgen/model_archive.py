"""A model folder as one zip file, and back: for a backup, or for somebody else.

    export_model(HOME / "models" / "tuned-1", Path("tuned-1.zip"))
    import_model(Path("tuned-1.zip"), HOME, "tuned-1")

A zip may come from anywhere. Only files of known names at its top, or in one folder there, are
read; the folder is checked before it is moved to its place, whole or not at all.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from musicgen.checkpoint import CheckpointError, check_folder, load_checkpoint
from musicgen.promoted import DEFAULT

# What a model folder may hold; nothing in them is ever run.
FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "README.md",
    "lineage.json",
    "titles.txt",
    "draft.safetensors",
)
MOST_BYTES = 4_000_000_000  # unpacked; a zip can promise little and hold much
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def export_model(folder: Path, file: Path) -> Path:
    """Write the model of `folder` as a zip. Raises CheckpointError if it is not whole."""
    check_folder(folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    try:
        with zipfile.ZipFile(part, "w") as archive:
            for name in FILES:
                if (folder / name).is_file():
                    # weights do not shrink, and the rest is small
                    archive.write(folder / name, f"{folder.name}/{name}")
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return file


def import_model(file: Path, home: Path, name: str = "") -> str:
    """Unpack `file` as HOME/models/NAME; the name is the folder's in the zip if none is given.

    Returns the name. Raises CheckpointError for what is no model, or a name that is taken.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members, inner = _members(archive, file)
            name = name or inner or file.stem
            target = _free_place(home, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=target.parent))
            try:
                _unpack(archive, members, partial, file)
                check_folder(partial)
                load_checkpoint(partial)  # headers may be right and the sizes wrong
                partial.chmod(0o755)
                partial.rename(target)
            except CheckpointError as error:
                raise CheckpointError(
                    f"{file} holds no whole model: "
                    + str(error).replace(str(partial), name).split(": restore")[0]
                ) from None
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except FileNotFoundError:
        raise CheckpointError(f"no file {file}: give a zip that `models export` wrote") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise CheckpointError(f"{file} is no zip that can be read: {error}") from None
    return name


def _members(archive: zipfile.ZipFile, file: Path) -> tuple[dict[str, zipfile.ZipInfo], str]:
    """Known file -> its entry, and the one folder that they lie in ("" for none)."""
    found: dict[str, zipfile.ZipInfo] = {}
    folders = set()
    for info in archive.infolist():
        if info.is_dir():
            continue
        path = PurePosixPath(info.filename.replace("\\", "/"))
        inside = len(path.parts) == 1 or (len(path.parts) == 2 and path.parts[0] not in ("/", ".."))
        if not inside or path.name not in FILES or path.name in found:
            raise CheckpointError(
                f"{file} holds {info.filename!r}, which is no file of a model: nothing was unpacked"
            )
        found[path.name] = info
        folders.add("" if len(path.parts) == 1 else path.parts[0])
    if len(folders) > 1:
        raise CheckpointError(f"{file} holds more than one folder: nothing was unpacked")
    if sum(info.file_size for info in found.values()) > MOST_BYTES:
        raise CheckpointError(f"{file} would take more than {MOST_BYTES // 10**9} GB: not unpacked")
    return found, next(iter(folders), "")


def _unpack(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], folder: Path, file: Path
) -> None:
    left = MOST_BYTES
    for name, info in members.items():
        with archive.open(info) as source, open(folder / name, "wb") as target:
            while block := source.read(1 << 20):
                left -= len(block)
                if left < 0:
                    raise CheckpointError(f"{file} unpacks to more than it says")
                target.write(block)


def _free_place(home: Path, name: str) -> Path:
    if not MODEL_NAME.fullmatch(name):
        raise CheckpointError(
            f"{name!r} is no name for a model: letters, digits, dot, - and _ only; choose --name"
        )
    target = home / "models" / name
    if name == DEFAULT or target.exists():
        raise CheckpointError(f"there is a model {name!r} already: choose another --name")
    return target
