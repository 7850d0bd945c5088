"""The one JavaScript file that the page needs: which abcjs, where it lies, whether it is whole.

The build fetches it (`hatch_build.py` reads the pins below); it is shipped in the wheel and never
committed. Only the standard library is imported here, because the build runs before any install.
"""

import hashlib
from pathlib import Path

ABCJS_VERSION = "6.7.2"
ABCJS_NAME = "abcjs-basic-min.js"
ABCJS_SHA256 = "3290ef44c918d5e882029d3a47ad3dd63c16c8819da5abe921f3d1e642b4f4f0"
VENDOR_FOLDER = Path(__file__).resolve().parent / "static" / "vendor"
ABCJS_FILE = VENDOR_FOLDER / ABCJS_NAME


def abcjs_fault(path: Path = ABCJS_FILE, sha256: str = ABCJS_SHA256) -> str | None:
    """What is wrong with the abcjs file at `path`, in a few words; None if nothing is."""
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return f"{path} is missing"
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    if found != sha256:
        return (
            f"{path} is not abcjs {ABCJS_VERSION} (sha256 {found[:12]}..., wanted {sha256[:12]}...)"
        )
    return None
