import numpy as np
import pytest

from tests.data.celeba_files import encoded_picture
from tfac.data.preparing.landmark_annotation import (
    ASSUMED,
    BROKEN,
    CHUNK_SIZE,
    DETECTED,
    NO_FACE,
    AnnotationJob,
    annotate,
    find_landmarks,
)
from tfac.data.preparing.workers import Processes
from tfac.data.sources.celeba import ALIGNMENT
from tfac.errors import DataError
from tfac.photos.face_detection import Detection, FaceDetector
from tfac.photos.pictures import PictureFiles, open_picture

COUNT = 2 * CHUNK_SIZE + 3


@pytest.fixture
def job(tmp_path) -> AnnotationJob:
    """Three chunks of tiny pictures of noise, of which one is broken, without landmarks."""
    (tmp_path / "pictures").mkdir()
    names = [f"{i:04d}.jpg" for i in range(COUNT)]
    encoded = encoded_picture(0, height=6, width=5)
    for name in names:
        (tmp_path / "pictures" / name).write_bytes(encoded)
    (tmp_path / "pictures" / names[CHUNK_SIZE]).write_bytes(encoded[:-50])
    files = PictureFiles(tmp_path / "pictures")
    return AnnotationJob(files, names, tmp_path / "work", find_landmarks=False)


class StubDetector(FaceDetector):
    """Finds the faces it is told to, and puts all landmarks in the middle of the face."""

    def __init__(self, *faces):
        super().__init__()
        self.faces = faces

    def find(self, picture):
        self.shape = picture.shape
        return [Detection(face) for face in self.faces]

    def landmarks(self, picture, rectangle):
        left, top, right, bottom = rectangle
        return np.full((68, 2), [(left + right) / 2, (top + bottom) / 2], np.float32)


def test_every_picture_is_in_one_chunk_and_broken_ones_are_named(job):
    chunks = dict(annotate(job, Processes(1)))
    assert sorted(chunks) == [0, 1, 2]
    assert [len(chunks[i].status) for i in range(3)] == [CHUNK_SIZE, CHUNK_SIZE, 3]
    assert chunks[0].sizes[0].tolist() == [6, 5]
    assert np.flatnonzero(chunks[1].status == BROKEN).tolist() == [0]
    assert str(chunks[1].errors[0]).startswith(f"{job.pictures.path / job.names[CHUNK_SIZE]}: ")


def modified(job) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in job.folder.iterdir()}


def test_finished_chunks_are_not_computed_again(job):
    for done, _ in enumerate(annotate(job, Processes(1))):
        if done == 0:
            break  # as an error in the caller would
    before = modified(job)
    assert before
    assert sorted(index for index, _ in annotate(job, Processes(1))) == [0, 1, 2]
    after = modified(job)
    assert len(after) == 3 and before.items() <= after.items()
    list(annotate(job, Processes(1)))
    assert modified(job) == after


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"not an archive"])
def test_damaged_chunk_is_computed_again(job, damage):
    list(annotate(job, Processes(1)))
    path = job.folder / "chunk-000001.npz"
    path.write_bytes(damage)
    assert job.load(1) is None
    chunks = dict(annotate(job, Processes(1)))
    assert chunks[1].status[0] == BROKEN and job.load(1) is not None


def test_folder_that_cannot_be_written_is_an_error(job, tmp_path):
    (tmp_path / "work").write_text("a file where a folder should be")
    with pytest.raises(DataError, match="work: landmarks cannot be written"):
        list(annotate(job, Processes(1)))


def test_small_pictures_are_enlarged_and_large_ones_left():
    detector = StubDetector()
    find_landmarks(np.zeros((64, 64, 3), np.uint8), detector, ALIGNMENT)
    assert detector.shape == (218, 178, 3)
    find_landmarks(np.zeros((500, 400, 3), np.uint8), detector, ALIGNMENT)
    assert detector.shape == (500, 400, 3)


def test_undetected_face_is_assumed_at_the_known_place():
    points, status = find_landmarks(np.zeros((218, 178, 3), np.uint8), StubDetector(), ALIGNMENT)
    left, top, right, bottom = ALIGNMENT.face
    assert status == ASSUMED and points.dtype == np.float32
    np.testing.assert_allclose(points[0], [(left + right) / 2, (top + bottom) / 2], atol=1e-6)


def test_of_pictures_that_are_not_aligned_the_largest_face_counts():
    picture, first, second = np.zeros((300, 600, 3), np.uint8), (0, 0, 90, 90), (90, 0, 150, 60)
    points, status = find_landmarks(picture, StubDetector(first, second))
    assert status == DETECTED
    np.testing.assert_allclose(points[0], [45 / 600, 45 / 300], atol=1e-6)
    points, status = find_landmarks(picture, StubDetector())
    assert status == NO_FACE and points.shape == (68, 2)


def test_small_pictures_that_are_not_aligned_keep_their_aspect():
    detector = StubDetector()
    find_landmarks(np.zeros((109, 400, 3), np.uint8), detector)
    assert detector.shape == (218, 800, 3)


def test_of_several_faces_the_one_at_the_known_place_counts():
    aligned, elsewhere = (46, 90, 134, 178), (0, 0, 120, 120)
    picture = np.zeros((218, 178, 3), np.uint8)
    points, status = find_landmarks(picture, StubDetector(elsewhere, aligned), ALIGNMENT)
    assert status == DETECTED
    np.testing.assert_allclose(points[0], [90 / 178, 134 / 218], atol=1e-6)
    assert find_landmarks(picture, StubDetector((0, 0, 60, 60)), ALIGNMENT)[1] == ASSUMED


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["celeba64", "celeba_half"])
def test_most_real_faces_are_detected(real_faces, folder):
    files = PictureFiles(real_faces / folder / "img_align_celeba.zip")
    detector = FaceDetector(upsample=0)
    results = [
        find_landmarks(open_picture(files.read(n)), detector, ALIGNMENT)
        for n in sorted(files.names)[:80]
    ]
    assert np.mean([status == DETECTED for _, status in results]) > 0.8
    eyes = np.mean([points[36:48] for points, _ in results], axis=(0, 1))
    np.testing.assert_allclose(eyes, [0.5, 0.51], atol=0.03)  # where CelebA aligns them
