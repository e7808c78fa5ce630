import numpy as np

from tfac.data_report.duplicates import MOST_BITS, exact_duplicates, near_duplicates


def test_equal_checksums_are_one_group():
    assert exact_duplicates(["a", "b", "a", "c", "b", "a"]) == [[0, 2, 5], [1, 4]]
    assert exact_duplicates([]) == exact_duplicates(["a", "b"]) == []


def test_every_pair_that_is_near_is_found_once():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**16, (300, 16)).astype(np.uint16)
    for i in range(100):  # near ones, of 0 to 24 other bits
        bits = np.unpackbits(hashes[i].view(np.uint8))
        bits[rng.choice(256, i % 25, replace=False)] ^= 1
        hashes[200 + i] = np.packbits(bits).view(np.uint16)
    expected = []
    for i in range(300):
        for j in range(i + 1, 300):
            bits = sum(int(a ^ b).bit_count() for a, b in zip(hashes[i], hashes[j], strict=True))
            if bits <= MOST_BITS:
                expected.append((i, j, bits))
    assert len(expected) == sum(i % 25 <= MOST_BITS for i in range(100))
    assert near_duplicates(hashes) == sorted(expected, key=lambda pair: (pair[2], pair[1], pair[0]))


def test_no_hashes_have_no_pairs():
    assert near_duplicates(np.zeros((0, 16), np.uint16)) == []
    assert near_duplicates(np.zeros((1, 16), np.uint16)) == []
