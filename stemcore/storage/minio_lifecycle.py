"""A bucket made ready: it is there, and it removes by itself what nobody will ask for."""

from collections.abc import Sequence

import structlog
from minio.commonconfig import ENABLED, Filter
from minio.error import S3Error
from minio.lifecycleconfig import (
    AbortIncompleteMultipartUpload,
    Expiration,
    LifecycleConfig,
    Rule,
)

from stemcore.storage.minio_bucket import Bucket, BucketMissing
from stemcore.storage.minio_settings import LifecycleSettings, S3Settings

OURS = "stemyard-"

_log = structlog.get_logger(__name__)


def prepare(bucket: Bucket, settings: S3Settings) -> None:
    """See to the bucket and its rules; blocks. Raises the SDK's errors and BucketMissing."""
    if not bucket.bucket_exists(bucket.name):
        if not settings.create_bucket:
            raise BucketMissing(f"There is no bucket {bucket.name!r}.")
        _create(bucket)
    if settings.lifecycle.manage:
        try:
            _set_rules(bucket, rules_of(settings.lifecycle))
        except S3Error as error:
            # A store that has no such rules, or keeps them for its administrators, serves as well.
            _log.warning("lifecycle_not_set", bucket=bucket.name, reason=str(error.code))


def rules_of(settings: LifecycleSettings) -> Sequence[Rule]:
    """The rules the bucket should have."""
    temporary = [
        Rule(
            ENABLED,
            rule_filter=Filter(prefix=prefix),
            rule_id=f"{OURS}temporary-{number}",
            expiration=Expiration(days=settings.temporary_days),
        )
        for number, prefix in enumerate(settings.temporary_prefixes)
    ]
    leftovers = Rule(
        ENABLED,
        rule_filter=Filter(prefix=""),
        rule_id=f"{OURS}leftovers",
        # MinIO takes no rule of incomplete uploads alone: it forgets those of a day by itself.
        expiration=Expiration(expired_object_delete_marker=True),
        abort_incomplete_multipart_upload=AbortIncompleteMultipartUpload(
            settings.incomplete_uploads_days
        ),
    )
    return [*temporary, leftovers]


def _create(bucket: Bucket) -> None:
    try:
        bucket.make_bucket(bucket.name)
    except S3Error as error:
        # Somebody beside us was faster.
        if error.code != "BucketAlreadyOwnedByYou":
            raise
    _log.info("bucket_created", bucket=bucket.name)


def _set_rules(bucket: Bucket, wanted: Sequence[Rule]) -> None:
    present = bucket.get_bucket_lifecycle(bucket.name)
    rules = present.rules if present else []
    if any(not (rule.rule_id or "").startswith(OURS) for rule in rules):
        # The SDK does not know all that a foreign rule may say: written back, it could say less.
        _log.warning("lifecycle_left_alone", bucket=bucket.name)
    elif rules != wanted:
        bucket.set_bucket_lifecycle(bucket.name, LifecycleConfig(list(wanted)))
