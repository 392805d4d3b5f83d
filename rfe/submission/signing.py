"""Signatures of bundles, by the OpenSSF's model signing: a bundle is unchanged since the holder of a key signed it.

A manifest's hashes find damage, but a person who changes a bundle can write new ones. A signature cannot be made
without the private key. It lies beside the bundle, `NAME.sig`, in the format of Sigstore's bundles, which other tools
verify too. Keys are of elliptic curves: `openssl ecparam -name prime256v1 -genkey -noout -out key.pem`, and `openssl ec
-in key.pem -pubout -out key.pub`.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rfe.errors import ConfigError, SubmissionError
from rfe.writing import write_beside

PASSWORD = "RFE_SIGNING_PASSWORD"
"""Environment variable: of a private key that is encrypted."""


def signature_path(bundle: Path) -> Path:
    """Return the path of the signature of a bundle, folder or archive.

    Examples:
        >>> signature_path(Path("final.zip")).name
        'final.zip.sig'
    """
    return bundle.with_name(f"{bundle.name}.sig")


def open_signer(key: Path) -> Callable[[Path], Path]:
    """A function that signs a bundle with a private key, and returns the path of the signature.

    Raises:
        ConfigError: `key` is no private key of an elliptic curve in PEM form.
        ModuleNotFoundError: the extra `sign` is not installed.
    """
    from model_signing import signing

    config = _with_key(
        key, "--sign", lambda: signing.Config().use_elliptic_key_signer(private_key=key, password=_password())
    )

    def sign(bundle: Path) -> Path:
        path = signature_path(bundle)
        with write_beside(path) as beside:
            config.sign(bundle, beside)
        return path

    return sign


def verify_signature(bundle: Path, key: Path) -> None:
    """Check that a bundle is what the holder of the private key to the public `key` signed.

    Raises:
        ConfigError: `key` is no public key of an elliptic curve in PEM form.
        SubmissionError: there is no signature, it is of another key, or the bundle was changed since.
    """
    from model_signing import verifying

    config = _with_key(key, "--key", lambda: verifying.Config().use_elliptic_key_verifier(public_key=key))
    path = signature_path(bundle)
    if not path.is_file():
        raise SubmissionError(f"{bundle}: is not signed, there is no {path}; ask its maker for the signature")
    try:
        config.verify(bundle, path)
    except Exception as error:  # of the signature's reader, its verifier, and ValueError where files differ
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        changed = "Signature mismatch" in reason
        what = "was changed after it was signed" if changed else f"{path.name} is no signature by the key {key}"
        raise SubmissionError(
            f"{bundle}: {what} ({reason}); do not use it, and ask its maker for the original"
        ) from None


def _with_key(key: Path, option: str, use: Callable[[], Any]) -> Any:
    try:
        return use()
    except ModuleNotFoundError:
        raise
    except Exception as error:  # cryptography raises several kinds
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        kind = "private" if option == "--sign" else "public"
        raise ConfigError(
            f"{option} {key}: cannot be read as a {kind} key of an elliptic curve ({reason}); give a PEM file"
            + (f", and the password of an encrypted one in {PASSWORD}" if kind == "private" else "")
        ) from None


def _password() -> bytes | None:
    given = os.environ.get(PASSWORD)
    return given.encode() if given else None
