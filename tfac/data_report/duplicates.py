"""Pictures that are there twice, byte for byte or nearly."""

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

# Two hashes of 16 words that differ in fewer bits than they have words share a word, so comparing
# pictures that share one finds all of these. On CelebA pairs that differ in up to 22 of the 256
# bits are one photograph, and pairs of different photographs differ in about 40 and more.
MOST_BITS = 15


def exact_duplicates(checksums: Sequence[Hashable]) -> list[list[int]]:
    """Returns the positions of equal checksums, a list for each that occurs twice or more."""
    positions = defaultdict(list)
    for position, checksum in enumerate(checksums):
        positions[checksum].append(position)
    return [group for group in positions.values() if len(group) > 1]


def near_duplicates(hashes: np.ndarray) -> list[tuple[int, int, int]]:
    """Returns (first, second, bits) for hashes that differ in at most `MOST_BITS` bits.

    Args:
        hashes: uint16 [N, 16].

    Returns:
        Each pair once, positions in rising order, those that differ least first.
    """
    found = {}
    for word in range(hashes.shape[1]):
        order = np.argsort(hashes[:, word], kind="stable")
        values = hashes[order, word]
        for offset in range(1, len(order)):
            same = np.flatnonzero(values[offset:] == values[:-offset])
            if not len(same):
                break
            first, second = order[same], order[same + offset]
            bits = np.bitwise_count(hashes[first] ^ hashes[second]).sum(axis=1, dtype=np.int32)
            for i in np.flatnonzero(bits <= MOST_BITS):
                pair = sorted((int(first[i]), int(second[i])))
                found[tuple(pair)] = int(bits[i])
    return sorted(((*pair, bits) for pair, bits in found.items()), key=lambda pair: pair[::-1])
