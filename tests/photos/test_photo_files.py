from tfac.photos.photo_files import photos_below


def test_photos_of_all_folders_are_found_and_the_others_counted_by_kind(tmp_path):
    names = "b.jpg a.JFIF notes.txt more/c.HEIC more/d.mpo more/e.TXT ._b.jpg .hidden/f.jpg README"
    for name in names.split():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    photos, passed_over = photos_below(tmp_path)
    found = [photo.relative_to(tmp_path).as_posix() for photo in photos]
    assert found == ["a.JFIF", "b.jpg", "more/c.HEIC", "more/d.mpo"]
    assert passed_over == {".txt": 2, "hidden": 2, "without a suffix": 1}
