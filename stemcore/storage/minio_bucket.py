"""One bucket through the minio SDK, whose every call blocks and is tried a bounded time."""

import hashlib
import io
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.datatypes import Part
from minio.deleteobjects import DeleteObject
from minio.error import MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError

from stemcore.storage.minio_settings import S3Settings
from stemcore.storage.port import ObjectMissing, StorageError

# What one request of DeleteObjects may name.
DELETED_AT_A_TIME = 1000
SENT_AT_A_TIME_BYTES = 1 << 18

# The last two from answers that are none of an S3 store.
_SDK_ERRORS = (MinioException, HTTPError, OSError, ParseError, UnicodeDecodeError)


class BucketMissing(StorageError):
    """The bucket itself is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Some bytes of an object, and which object they are of."""

    data: bytes
    object_bytes: int
    etag: str


class Bucket(Minio):
    """The SDK's client for one bucket, with the calls for parts that it keeps to itself."""

    def __init__(self, settings: S3Settings, *, endpoint: str) -> None:
        scheme, _, host = endpoint.partition("://")
        token = settings.session_token
        super().__init__(
            host,
            access_key=settings.access_key.get_secret_value(),
            secret_key=settings.secret_key.get_secret_value(),
            session_token=token.get_secret_value() if token else None,
            secure=scheme == "https",
            region=settings.region,
            http_client=_Connections.of(settings),
        )
        self.name = settings.bucket
        if settings.addressing == "virtual":
            self.enable_virtual_style_endpoint()
        else:
            self.disable_virtual_style_endpoint()

    def close(self) -> None:
        """Close the connections that are kept."""
        self._http.clear()

    def put_whole(self, key: str, data: bytes) -> None:
        """One object in one request; the server checks the bytes against their hash."""
        self._put_object(self.name, key, data, {"Content-Type": "application/octet-stream"})

    def begin_upload(self, key: str) -> str:
        """The id of a new multipart upload."""
        return self._create_multipart_upload(self.name, key, {})

    def put_part(self, key: str, data: bytes, *, upload_id: str, number: int) -> str:
        """The part's entity tag; numbers count from 1, and the server checks the hash."""
        return self._upload_part(self.name, key, data, None, upload_id, number)

    def complete_upload(self, key: str, *, upload_id: str, etags: Sequence[str]) -> None:
        """Make the parts one object."""
        parts = [Part(number, etag) for number, etag in enumerate(etags, start=1)]
        try:
            done = self._complete_multipart_upload(self.name, key, upload_id, parts)
            if done.etag is None:
                # S3 may find out only after it has said 200.
                raise ServerError("the upload was not completed", 500)
        except _SDK_ERRORS:
            # A repeated request fails when the first was done and only its answer got lost.
            if not self._holds(key, etag=_etag_of_parts(etags)):
                raise

    def abort_upload(self, key: str, *, upload_id: str) -> None:
        """Forget the parts; an upload that is over already is no error."""
        try:
            self._abort_multipart_upload(self.name, key, upload_id)
        except S3Error as error:
            if error.code != "NoSuchUpload":
                raise

    def block(self, key: str, *, start: int, stop: int, etag: str | None) -> Block | None:
        """The bytes [start, stop), fewer at the object's end, None beyond it.

        With `etag` it fails unless the object is still the same.
        """
        headers: Any = {"Range": f"bytes={start}-{stop - 1}"}
        if etag is not None:
            headers["If-Match"] = etag
        try:
            answer = self._execute("GET", self.name, key, headers=headers)
        except S3Error as error:
            if error.code == "InvalidRange":
                return None
            raise
        span = answer.headers.get("Content-Range")
        if span is None:
            raise ServerError("the store does not give ranges", answer.status)
        return Block(
            data=answer.data,
            object_bytes=int(span.rpartition("/")[2]),
            etag=answer.headers["ETag"],
        )

    def size_bytes(self, key: str) -> int:
        """The object's size."""
        try:
            return self.stat_object(self.name, key).size or 0
        except S3Error as error:
            # HEAD has no body, so it may be the bucket that is missing.
            if error.code == "NoSuchKey" and not self.bucket_exists(self.name):
                raise BucketMissing(f"There is no bucket {self.name!r}.") from error
            raise

    def delete_some(self, prefix: str) -> int:
        """Delete the first DELETED_AT_A_TIME objects of the prefix; returns how many there were."""
        listed: Any = self.list_objects(self.name, prefix=prefix, recursive=True)
        doomed = [DeleteObject(found.object_name) for found in islice(listed, DELETED_AT_A_TIME)]
        for error in self.remove_objects(self.name, doomed):
            raise StorageError(f"{error.name} was not deleted: {error.code}: {error.message}")
        return len(doomed)

    def _holds(self, key: str, *, etag: str | None) -> bool:
        try:
            return self.stat_object(self.name, key).etag == etag
        except _SDK_ERRORS:
            return False


@contextmanager
def s3_errors(key: str) -> Generator[None]:
    """Translate the SDK's errors and those of the connections below it."""
    try:
        yield
    except S3Error as error:
        if error.code == "NoSuchKey":
            raise ObjectMissing(key) from error
        reason = f"{error.code}: {error.message}"
        raise (BucketMissing if error.code == "NoSuchBucket" else StorageError)(reason) from error
    except _SDK_ERRORS as error:
        raise StorageError(str(error) or type(error).__name__) from error


class _Connections(urllib3.PoolManager):
    """Connections that give up in time, as those of the SDK do not."""

    @classmethod
    def of(cls, settings: S3Settings) -> "_Connections":
        retry = urllib3.Retry(
            total=settings.retries,
            redirect=False,
            status_forcelist=(500, 502, 503, 504),
            # POST too: a repeated begin, complete or delete does no harm.
            allowed_methods=None,
            backoff_factor=0.2,
            backoff_max=2.0,
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        return cls(
            maxsize=settings.connections,
            timeout=urllib3.Timeout(
                connect=settings.connect_timeout_s, read=settings.read_timeout_s
            ),
            retries=retry,
            cert_reqs="CERT_REQUIRED",
            ca_certs=str(settings.ca_file) if settings.ca_file else None,
            blocksize=SENT_AT_A_TIME_BYTES,
        )

    def urlopen(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, method: str, url: str, redirect: bool = True, **how: Any
    ) -> urllib3.BaseHTTPResponse:
        """Send long bodies block by block: a socket's timeout covers all that it is given at once,
        which would bound the time of a whole part by that of connecting."""
        body = how.get("body")
        if isinstance(body, bytes) and len(body) > SENT_AT_A_TIME_BYTES:
            how["body"] = io.BytesIO(body)
        return super().urlopen(method, url, redirect, **how)


def _etag_of_parts(etags: Sequence[str]) -> str | None:
    """S3's tag of an object made of parts: the MD5 of their MD5s, and their number."""
    try:
        digests = b"".join(bytes.fromhex(etag) for etag in etags)
    except ValueError:
        return None
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(etags)}"
