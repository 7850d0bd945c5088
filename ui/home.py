"""Where a user's own things are kept."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def default_home() -> Path:
    """Folder of library, votes, models and runs: $MUSICGEN_HOME, or the platform's own place."""
    named = os.environ.get("MUSICGEN_HOME")
    return Path(named) if named else Path(platformdirs.user_data_dir("musicgen", appauthor=False))
