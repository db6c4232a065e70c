"""The songs that judge a model: their instruments, kits and voices were never trained on."""

from training import songs
from training.errors import UnknownSongError
from training.manifest import Manifest, load
from training.songs import RenderedSong

DURATION_S = 24.0


def song(index: int, *, manifest: Manifest | None = None) -> RenderedSong:
    """Held-out song `index` (0 to 49), rendered in about two seconds. Raises UnknownSongError."""
    sources = manifest or load()
    if not 0 <= index < len(sources.held_out_song_seeds):
        raise UnknownSongError(f"held-out songs are 0 to {len(sources.held_out_song_seeds) - 1}")
    seed = sources.held_out_song_seeds[index]
    [rendered] = songs.render(sources.held_out, seeds=[seed], duration_s=DURATION_S)
    return rendered
