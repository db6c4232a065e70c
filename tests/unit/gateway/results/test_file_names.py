import pytest

from gateway.results.file_names import archive_name, content_disposition, download_name
from stemcore.jobs import ResultFile


def result(name: str = "drums", filename: str = "drums.wav") -> ResultFile:
    return ResultFile(
        name=name,
        filename=filename,
        key="k",
        content_type="audio/wav",
        size_bytes=1,
        sha256="0" * 64,
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("song.mp3", "song - drums.wav"),
        ("my.best.song.mp3", "my.best.song - drums.wav"),
        ('AC/DC: "Thunder"?.mp3', "DC_ _Thunder__ - drums.wav"),
        ("song", "song - drums.wav"),
        ("", "audio - drums.wav"),
        ("歌.flac", "歌 - drums.wav"),
    ],
)
def test_a_download_is_named_after_the_song_and_the_stem(source: str, expected: str) -> None:
    assert download_name(source, result()) == expected


def test_an_archive_says_how_much_it_holds() -> None:
    assert archive_name("song.mp3", [result()]) == "song - 1 stem.zip"
    assert archive_name("song.mp3", [result(), result("bass")]) == "song - 2 stems.zip"


@pytest.mark.parametrize(
    ("name", "header"),
    [
        (
            "song - drums.wav",
            "attachment; filename=\"song - drums.wav\"; filename*=UTF-8''song%20-%20drums.wav",
        ),
        (
            "Für - a.wav",
            "attachment; filename=\"Fur - a.wav\"; filename*=UTF-8''F%C3%BCr%20-%20a.wav",
        ),
        (
            "歌 - a.wav",
            "attachment; filename=\"a.wav\"; filename*=UTF-8''%E6%AD%8C%20-%20a.wav",
        ),
        ('a";b%\\.wav', "attachment; filename=\"a__b__.wav\"; filename*=UTF-8''a%22%3Bb%25%5C.wav"),
        ("歌.wav", "attachment; filename=\"audio.wav\"; filename*=UTF-8''%E6%AD%8C.wav"),
    ],
)
def test_the_header_has_the_name_in_both_forms(name: str, header: str) -> None:
    assert content_disposition(name) == header
    header.encode("latin-1")
