"""Data folders named by a URI: fetched into the cache once per node, by content."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from rfe.errors import ConfigError, DataError
from rfe.locking import hold_lock
from rfe.secrets import carries_secret, redact_text, redact_uri
from rfe.writing import replace_folder

FETCHED = "fetched"
SECRET_IN_URI = (
    "carries a password, which would be kept with the study and shown with it; leave it out, and give the credentials "
    "in the environment"
)
_VERSION = ("size", "ETag", "etag", "md5Hash", "md5", "checksum", "LastModified", "last_modified", "mtime", "updated")
"""What file systems tell of a file that changes with its content."""


def is_uri(source: str | Path) -> bool:
    """Whether `source` is a URI, as `s3://bucket/folder`, and not a path.

    Examples:
        >>> is_uri("s3://bucket/folder"), is_uri("my-data")
        (True, False)
    """
    return "://" in str(source)


def refuse_secrets(source: str | Path, named: str) -> None:
    """Refuse a URI with a password in it: it would be kept with the study, and shown where the study is.

    Raises:
        ConfigError: beginning with `named`.
    """
    if is_uri(source) and carries_secret(str(source)):
        raise ConfigError(f"{named}: {redact_uri(str(source))} {SECRET_IN_URI}")


def local_folder(source: str | Path, cache: Path) -> Path:
    """A data folder on this node: `source` itself, or the copy of what its URI names.

    The copy's name is a hash of URI, file names, sizes and versions: changed data is another copy. One process fetches,
    behind a file lock, beside the final name; the rename makes it visible whole.

    Args:
        source: a path, or an fsspec URI whose file system is installed; its credentials come from the environment.
        cache: folder local to the node.

    Raises:
        DataError: the URI's files cannot be listed or read, or there are none.
    """
    if not is_uri(source):
        return Path(source)
    import fsspec  # a data folder on this machine does without

    uri = str(source)
    try:
        system, root = fsspec.core.url_to_fs(uri)
        system.invalidate_cache()
        files = system.find(root, detail=True)
    except Exception as error:  # each file system has its own
        raise DataError(_sentence(uri, error)) from error
    if not files:
        raise DataError(f"{redact_uri(uri)}: has no files; check the URI")
    target = cache / FETCHED / _content_name(uri, files)
    target.parent.mkdir(parents=True, exist_ok=True)
    with hold_lock(target.with_name(f"{target.name}.lock"), instead="RFE_CACHE"):
        if not target.is_dir():
            beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            try:
                for path in files:
                    relative = PurePosixPath(path).relative_to(PurePosixPath(root))
                    local = beside / relative
                    if ".." in relative.parts or str(relative) == ".":
                        raise DataError(f"{redact_uri(uri)}: is not a folder of files; name the data folder")
                    local.parent.mkdir(parents=True, exist_ok=True)
                    system.get_file(path, str(local))
                replace_folder(beside, target)
            except DataError:
                raise
            except Exception as error:
                raise DataError(_sentence(uri, error)) from error
            finally:
                shutil.rmtree(beside, ignore_errors=True)
    return target


def _content_name(uri: str, files: Mapping[str, Mapping[str, Any]]) -> str:
    """The data set's own name, which reports show, and a hash of its content as far as it is told."""
    listing = [[path, [str(about.get(key, "")) for key in _VERSION]] for path, about in sorted(files.items())]
    digest = hashlib.sha256(json.dumps([uri, listing]).encode()).hexdigest()[:16]
    return f"{digest}/{PurePosixPath(uri.rstrip('/')).name or 'data'}"


def _sentence(uri: str, error: Exception) -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return (
        f"{redact_uri(uri)}: its files cannot be read ({redact_text(reason, uri)}); check the URI, its file system's "
        "package and the credentials"
    )
