"""The colours of one face: skin, hair, eyes, lips."""

import numpy as np

from tfac.data.synthetic.drawing.canvas import Colour, hsv, lerp, mix, pick, shade
from tfac.data.synthetic.sampling import Face

_SKIN_TONES = np.array(
    [(236, 188, 154), (222, 170, 132), (201, 146, 108), (166, 112, 78), (122, 80, 56)], float
)
_PALE_SKIN = (250, 230, 218)
_EYE_COLOURS = ((70, 44, 26), (92, 62, 34), (60, 110, 150), (84, 120, 76), (110, 120, 128))
_HAIR_COLOURS = {
    "Black_Hair": ((22, 20, 22), (44, 36, 34)),
    "Brown_Hair": ((92, 56, 30), (122, 78, 44)),
    "Blond_Hair": ((226, 188, 104), (244, 216, 144)),
    "Gray_Hair": ((150, 150, 152), (206, 206, 208)),
}
# Hair that is none of the four: copper, red, dyed.
_OTHER_HAIR = ((176, 66, 24), (150, 34, 30), (200, 90, 30), (140, 40, 60), (190, 80, 60))


class Palette:
    """Colours of `face`, each RGB in [0, 255]."""

    def __init__(self, face: Face):
        shown, look, view = face.shown, face.look, face.view
        self.skin = _skin(face)
        self.shadow = mix(self.skin, (70, 30, 20), 0.28)
        self.crease = mix(self.skin, (60, 24, 16), 0.5)
        self.highlight = mix(self.skin, (255, 250, 240), 0.4)
        self.hair = _hair(face)
        dark = sum(self.hair) < 150
        self.strand_dark = (4, 3, 4) if dark else shade(self.hair, 0.58)
        self.strand_light = mix(self.hair, (255, 245, 230), 0.28)
        bald_hair = (120, 118, 116) if "Young" not in shown else (58, 40, 30)
        beard = bald_hair if "Bald" in shown else self.hair
        self.beard = shade(beard, 0.8)
        self.brow = mix(shade(beard, 0.7), (40, 26, 20), 0.35)
        self.iris = pick(_EYE_COLOURS, look.eye_colour)
        self.lips = mix(self.skin, (176, 84, 78), 0.45)
        if "Wearing_Lipstick" in shown:
            self.lips = pick(
                ((206, 18, 46), (168, 10, 40), (226, 44, 110), (190, 24, 90)), view.lipstick_hue
            )
        self.eye_shadow = hsv(pick((0.75, 0.58, 0.9, 0.48), view.makeup_hue), 0.6, 0.6)


def _skin(face: Face) -> Colour:
    if "Pale_Skin" in face.shown:
        return shade(_PALE_SKIN, lerp(0.96, 1.0, face.look.skin_tone))
    # Darker tones are the rarer end.
    position = face.look.skin_tone**1.4 * (len(_SKIN_TONES) - 1)
    low = min(int(position), len(_SKIN_TONES) - 2)
    skin = mix(tuple(_SKIN_TONES[low]), tuple(_SKIN_TONES[low + 1]), position - low)
    return mix(skin, (216, 130, 100), 0.18 * face.look.skin_warmth)


def _hair(face: Face) -> Colour:
    for name, (first, second) in _HAIR_COLOURS.items():
        if name in face.shown:
            return mix(first, second, face.look.hair_shade)
    return pick(_OTHER_HAIR, face.look.hair_shade)
