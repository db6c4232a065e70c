"""Which store the settings name."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from stemcore.storage.filesystem import FilesystemStore
from stemcore.storage.minio import MinioStore
from stemcore.storage.settings import StorageSettings, open_store

S3: dict[str, Any] = {
    "endpoint": "https://s3.example.com",
    "access_key": "hidden-access",
    "secret_key": "hidden-secret",
}


async def test_the_store_is_the_one_that_is_named(tmp_path: Path) -> None:
    async with open_store(StorageSettings(root=tmp_path)) as store:
        assert isinstance(store, FilesystemStore)
    async with open_store(StorageSettings.model_validate({"s3": S3})) as store:
        assert isinstance(store, MinioStore)


@pytest.mark.parametrize("both", [{}, {"root": "/objects", "s3": S3}])
def test_it_is_exactly_one(both: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="either `root` or `s3`"):
        StorageSettings.model_validate(both)


def test_no_key_is_shown() -> None:
    assert "hidden" not in repr(StorageSettings.model_validate({"s3": S3}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "s3.example.com"},
        {"endpoint": "https://s3.example.com/bucket"},
        {"endpoint": "https://user@s3.example.com"},
        {"bucket": "No_Bucket"},
        {"addressing": "elsewhere"},
        {"ca_file": "/nowhere/ca.pem"},
        {"part_bytes": 1 << 20},
        {"regoin": "eu-central-1"},
    ],
)
def test_what_cannot_work_is_refused_at_the_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        StorageSettings.model_validate({"s3": S3 | wrong})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "https://s3.example.com/songs/results/1/drums.wav?"),
        ({"addressing": "virtual"}, "https://songs.s3.example.com/results/1/drums.wav?"),
        ({"public_endpoint": "http://files.example.org:81"}, "http://files.example.org:81/songs/"),
    ],
)
async def test_presigned_addresses_are_where_clients_reach_the_store(
    settings: dict[str, Any], expected: str
) -> None:
    storage = StorageSettings.model_validate({"s3": S3 | {"bucket": "songs"} | settings})
    async with open_store(storage) as store:
        assert isinstance(store, MinioStore)
        address = store.presigned_url(
            "results/1/drums.wav",
            content_disposition="inline",
            content_type="audio/wav",
            expires_s=60,
        )
    assert address.startswith(expected)
    assert "hidden-secret" not in address
