"""Each archive has a place of its own, and what stays packed is said."""

import pytest

from rfe.data.record.archives import archive_stem, is_one_file, packed_note, plan_targets


def test_archives_are_known_by_their_names() -> None:
    stems = {"a.zip": "a", "a.TAR.GZ": "a", "b.c.tgz": "b.c", "a.tar": "a", "a.tar.xz": "a", "a.tbz2": "a"}
    files = {"x/l.csv.gz": "x/l.csv", "l.npy.xz": "l.npy"}
    others = dict.fromkeys(("a.7z", "a.npz", ".zip", "zip", "x/.tar.gz"))
    for name, stem in {**stems, **files, **others}.items():
        assert archive_stem(name) == stem
        assert is_one_file(name) == (name in files)


@pytest.mark.parametrize(
    ("others", "targets"),
    [
        ([], {"same.zip": "same-zip", "same.tar.gz": "same-tar-gz", "other.zip": "other"}),
        ([], {"Case.zip": "Case-zip", "case.tar": "case-tar"}),
        (["data"], {"data.zip": "data-zip"}),
        (["data/x.txt"], {"data.zip": "data-zip"}),
        (["l.csv"], {"l.csv.gz": "l.csv-gz"}),
        (["a", "a-zip"], {"a.zip": "a-zip-unpacked"}),
        ([], {"x/a.zip": "x/a", "y/a.zip": "y/a"}),
    ],
)
def test_each_archive_has_a_place_of_its_own(others: list[str], targets: dict[str, str]) -> None:
    """Two archives, or an archive and a file of the record, were unpacked over each other."""
    assert plan_targets([*others, *targets]) == plan_targets([*reversed(targets), *others]) == targets


def test_what_stays_packed_is_said_in_one_sentence() -> None:
    """Nothing was said."""
    names = ["a.zip", "b.7z", "c.tar.zst", "d.rar", "e.RAR", "f.csv", "g.tar.gz", "h.npz", "i.csv.zst"]
    assert packed_note(names) == (
        "still packed, as Python alone cannot read them: b.7z (unpack with `7z x`); c.tar.zst (unpack with `tar --zstd "
        "-xf`); d.rar, e.RAR (unpack with `unrar x`); i.csv.zst (unpack with `unzstd`)"
    )
    assert packed_note(["a.zip", "b.csv", "7z"]) is None
