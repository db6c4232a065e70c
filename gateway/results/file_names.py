"""Names of downloads, and the header that carries them."""

import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath
from urllib.parse import quote

from stemcore.jobs import ResultFile

_FORBIDDEN = '<>:"/\\|?*'


def base_name(source_name: str) -> str:
    """The song's name without its suffix, fit for any file system."""
    stem = PurePosixPath(source_name).stem
    clean = "".join("_" if char in _FORBIDDEN else char for char in stem if char.isprintable())
    return clean.strip(". ") or "audio"


def download_name(source_name: str, result: ResultFile) -> str:
    """Such as `song - drums.wav`."""
    suffix = PurePosixPath(result.filename).suffix
    return f"{base_name(source_name)} - {result.name}{suffix}"


def archive_name(source_name: str, results: Sequence[ResultFile]) -> str:
    """Such as `song - 4 stems.zip`."""
    noun = "stem" if len(results) == 1 else "stems"
    return f"{base_name(source_name)} - {len(results)} {noun}.zip"


def content_disposition(name: str) -> str:
    """The header of RFC 6266: the name in UTF-8 after RFC 5987, and in ASCII for old clients."""
    path = PurePosixPath(name)
    folded = unicodedata.normalize("NFKD", path.stem).encode("ascii", "ignore").decode()
    stem = "".join("_" if char in '"\\%;' else char for char in folded).strip(" -.")
    plain = f"{stem or 'audio'}{path.suffix}"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
