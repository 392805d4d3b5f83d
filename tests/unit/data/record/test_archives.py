"""Each archive has a place of its own, and what stays packed is said."""

from rfe.data.record.archives import archive_stem, is_one_file, packed_note, plan_targets


def test_archives_are_known_by_their_names() -> None:
    names = (
        "a.zip",
        "a.TAR.GZ",
        "b.c.tgz",
        "a.tar",
        "a.tar.xz",
        "a.tbz2",
        "x/l.csv.gz",
        "a.7z",
        "a.npz",
        ".zip",
        "zip",
    )
    stems = ["a", "a", "b.c", "a", "a", "a", "x/l.csv", None, None, None, None]
    assert [archive_stem(name) for name in names] == stems
    assert [is_one_file(name) for name in ("l.csv.gz", "l.tar.gz", "l.tgz", "l.npy.xz", "l.zip")] == [
        *(True, False, False, True, False)
    ]
    assert archive_stem("x/.tar.gz") is None


def test_archives_of_one_name_have_places_of_their_own() -> None:
    """Both were unpacked into `same`, each over the other."""
    names = ["same.zip", "same.tar.gz", "other.zip", "Case.zip", "case.tar"]
    assert plan_targets(names) == {
        "same.zip": "same-zip",
        "same.tar.gz": "same-tar-gz",
        "other.zip": "other",
        "Case.zip": "Case-zip",
        "case.tar": "case-tar",
    }
    assert plan_targets(reversed(names)) == plan_targets(names)


def test_no_place_is_that_of_a_file_of_the_record() -> None:
    """`data`, a file of the record itself, was said to be foreign; so was a folder that other files of it are in."""
    assert plan_targets(["data", "data.zip"]) == {"data.zip": "data-zip"}
    assert plan_targets(["data.zip", "data/x.txt"]) == {"data.zip": "data-zip"}
    assert plan_targets(["l.csv", "l.csv.gz"]) == {"l.csv.gz": "l.csv-gz"}
    assert plan_targets(["a", "a-zip", "a.zip"]) == {"a.zip": "a-zip-unpacked"}
    assert plan_targets(["x/a.zip", "y/a.zip"]) == {"x/a.zip": "x/a", "y/a.zip": "y/a"}


def test_what_stays_packed_is_said_in_one_sentence() -> None:
    """Nothing was said."""
    names = ["a.zip", "b.7z", "c.tar.zst", "d.rar", "e.RAR", "f.csv", "g.tar.gz", "h.npz", "i.csv.zst"]
    assert packed_note(names) == (
        "still packed, as Python alone cannot read them: b.7z (unpack with `7z x`); c.tar.zst (unpack with `tar --zstd "
        "-xf`); d.rar, e.RAR (unpack with `unrar x`); i.csv.zst (unpack with `unzstd`)"
    )
    assert packed_note(["a.zip", "b.csv", "7z"]) is None
