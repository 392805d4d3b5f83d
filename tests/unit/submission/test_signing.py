"""A signed bundle is what the holder of the key made, or is refused in a sentence."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rfe.errors import ConfigError, RfeError, SubmissionError

pytest.importorskip("model_signing", reason="the extra `sign` is not installed")

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from rfe.submission.signing import open_signer, signature_path, verify_signature


def write_keys(folder: Path, name: str = "key", password: bytes | None = None, kind: str = "ec") -> tuple[Path, Path]:
    """A private and a public key, as openssl writes them."""
    private = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
    paths = folder / f"{name}.pem", folder / f"{name}.pub"
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    paths[0].write_bytes(private.private_bytes(pem, form, locked))
    paths[1].write_bytes(private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return paths


@pytest.fixture(params=["folder", "archive"])
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "models").mkdir(parents=True)
    (folder / "MANIFEST.json").write_text("{}")
    (folder / "models" / "weights.safetensors").write_bytes(bytes(100))
    if request.param == "folder":
        return folder
    return Path(shutil.make_archive(str(tmp_path / "packed"), "zip", folder))


def test_a_signature_lies_beside_the_bundle_and_holds_where_both_are_moved(bundle: Path, tmp_path: Path) -> None:
    private, public = write_keys(tmp_path)
    assert open_signer(private)(bundle) == signature_path(bundle) == bundle.parent / f"{bundle.name}.sig"
    verify_signature(bundle, public)
    moved = tmp_path / "elsewhere" / f"renamed{bundle.suffix}"
    moved.parent.mkdir()
    signature_path(bundle).rename(signature_path(moved))
    bundle.rename(moved)
    verify_signature(moved, public)


def change_byte(bundle: Path) -> None:
    path = bundle if bundle.is_file() else bundle / "models" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[50] ^= 1
    path.write_bytes(content)


def add_file(bundle: Path) -> None:
    (bundle / "models" / "more.safetensors").touch()


def drop_file(bundle: Path) -> None:
    (bundle / "MANIFEST.json").unlink()


@pytest.mark.parametrize("change", [change_byte, add_file, drop_file])
def test_a_bundle_that_was_changed_is_refused(change: Callable[[Path], None], bundle: Path, tmp_path: Path) -> None:
    """Before: who changed a bundle could write the hashes of what was changed into its manifest."""
    if bundle.is_file() and change is not change_byte:
        pytest.skip("an archive is one file")
    private, public = write_keys(tmp_path)
    open_signer(private)(bundle)
    change(bundle)
    with pytest.raises(SubmissionError, match=r"was changed after it was signed .*; do not use it"):
        verify_signature(bundle, public)


def test_another_key_a_spoilt_signature_and_none_at_all_are_refused(bundle: Path, tmp_path: Path) -> None:
    private, public = write_keys(tmp_path)
    with pytest.raises(SubmissionError, match=r"is not signed, there is no .*\.sig; ask its maker"):
        verify_signature(bundle, public)
    open_signer(private)(bundle)
    _, other = write_keys(tmp_path, "other")
    with pytest.raises(SubmissionError, match=r"\.sig is no signature by the key .*other\.pub"):
        verify_signature(bundle, other)
    signature_path(bundle).write_text("spoilt")
    with pytest.raises(SubmissionError, match=r"\.sig is no signature by the key .*key\.pub"):
        verify_signature(bundle, public)


def test_what_is_no_key_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RFE_SIGNING_PASSWORD", raising=False)
    (tmp_path / "text").write_text("no key")
    private, public = write_keys(tmp_path, "rsa", kind="rsa")
    locked, _ = write_keys(tmp_path, "locked", b"secret")
    for key in (tmp_path / "none", tmp_path / "text", private, public, locked):
        with pytest.raises(ConfigError, match=r"^--sign .*: cannot be read as a private key of an elliptic curve"):
            open_signer(key)
    for key in (tmp_path / "none", public, private):
        with pytest.raises(ConfigError, match=r"^--key .*: cannot be read as a public key of an elliptic curve"):
            verify_signature(tmp_path, key)
    monkeypatch.setenv("RFE_SIGNING_PASSWORD", "wrong")
    with pytest.raises(RfeError, match="RFE_SIGNING_PASSWORD"):
        open_signer(locked)
    monkeypatch.setenv("RFE_SIGNING_PASSWORD", "secret")
    open_signer(locked)
