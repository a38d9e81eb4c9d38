"""Numbers recurring texts, by a hash table that texts made to collide cannot slow down.

The hash is SipHash-1-3 (J.-P. Aumasson and D. J. Bernstein, 2012) with a secret key, so nobody can know which
texts share a place. Should more than `MOST_PROBES` be looked at all the same, the table is built anew with
another key. Codes are numbered by first appearance, so no key can be told from them.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"
# ruff: noqa: SIM110 (kernels compare one by one)

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import kernel
from streamer.decoding.json.scanner import PADDING, readable
from streamer.decoding.json.wide_loads import LOW_BYTES, put_word, word_at

U = np.uint64
_NO_CODE, _TOO_MANY = -1, -2
_DONE, _OUTSIDE, _FULL, _CROWDED = range(4)
_V0, _V1, _V2, _V3 = (
    U(int.from_bytes(text, "big")) for text in (b"somepseu", b"dorandom", b"lygenera", b"tedbytes")
)

MOST_PROBES = 32
"""Places of the table looked at for one text; it is at most a quarter full, so more are very unlikely."""

_KEY_BYTES = 16


@kernel(error_model="numpy", forceinline=True)
def _word(text, offset, length):
    """Eight bytes of a text, padded with zeros."""
    return word_at(text + offset) & LOW_BYTES[min(length - offset, 8)]


@kernel(error_model="numpy", forceinline=True)
def _round(v0, v1, v2, v3):
    v0 += v1
    v2 += v3
    v1 = (v1 << U(13) | v1 >> U(51)) ^ v0
    v3 = (v3 << U(16) | v3 >> U(48)) ^ v2
    v0 = v0 << U(32) | v0 >> U(32)
    v2 += v1
    v0 += v3
    v1 = (v1 << U(17) | v1 >> U(47)) ^ v2
    v3 = (v3 << U(21) | v3 >> U(43)) ^ v0
    v2 = v2 << U(32) | v2 >> U(32)
    return v0, v1, v2, v3


@kernel(error_model="numpy", forceinline=True)
def _hash(text, length, key0, key1):
    v0, v1, v2, v3 = _V0 ^ key0, _V1 ^ key1, _V2 ^ key0, _V3 ^ key1
    whole = length & ~7
    for offset in range(0, whole, 8):
        word = word_at(text + offset)
        v3 ^= word
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0 ^= word
    word = U(length) << U(56)
    if whole < length:
        word |= _word(text, whole, length)
    v3 ^= word
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0 ^= word
    v2 ^= U(0xFF)
    for _ in range(3):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


@kernel(error_model="numpy", forceinline=True)
def _same(one, other, length):
    for offset in range(0, length, 8):
        if _word(one, offset, length) != _word(other, offset, length):
            return False
    return True


@kernel(error_model="numpy")
def _intern_rows(
    arena, at, size, padding, row, key, slots, hashes, starts, kept, held, limit, longest, codes
):  # fmt: skip
    """Assign codes from `row` on; returns the row where it stopped, and why.

    `slots` is a hash table of codes with linear probing, its size a power of two; `hashes` and `starts`
    hold each code's hash and its text's start in `kept`; `held` is the number of codes. `key` is that of the
    hash.
    """
    room = arena.size - padding
    for each in range(row, at.size):
        length = size[each]
        if length != -1 and (at[each] < 0 or at[each] > room or length < 0 or length > room - at[each]):
            return each, _OUTSIDE
    base, own = arena.ctypes.data, kept.ctypes.data
    last_slot, key0, key1 = slots.size - 1, key[0], key[1]
    for each in range(row, at.size):
        text, length = base + at[each], size[each]
        if length == -1:
            codes[each] = _NO_CODE
            continue
        if length > longest:
            codes[each] = _TOO_MANY
            continue
        mixed = _hash(text, length, key0, key1)
        slot = np.int64(mixed >> U(8)) & last_slot
        code = slots[slot]
        probes = 1
        while code >= 0 and not (
            hashes[code] == mixed
            and starts[code + 1] - starts[code] == length
            and _same(own + starts[code], text, length)
        ):
            probes += 1
            if probes > MOST_PROBES:
                return each, _CROWDED
            slot = (slot + 1) & last_slot
            code = slots[slot]
        if code < 0:
            count = held[0]
            if count == limit:
                codes[each] = _TOO_MANY
                continue
            begin = starts[count]
            if count == hashes.size or begin + length + 8 > kept.size:
                return each, _FULL
            for offset in range(0, length, 8):
                put_word(own + begin + offset, _word(text, offset, length))
            code = count
            slots[slot] = code
            hashes[code] = mixed
            starts[code + 1] = begin + length
            held[0] = count + 1
        codes[each] = code
    return at.size, _DONE


@kernel(error_model="numpy")
def _fill_slots(slots, hashes, count):
    """Insert the first codes into an empty table; returns whether each found its place soon enough."""
    last_slot = slots.size - 1
    for code in range(count):
        slot = np.int64(hashes[code] >> U(8)) & last_slot
        probes = 1
        while slots[slot] >= 0:
            probes += 1
            if probes > MOST_PROBES:
                return False
            slot = (slot + 1) & last_slot
        slots[slot] = code
    return True


@kernel(error_model="numpy")
def _hash_kept(key, hashes, starts, kept, count):
    """The hashes of the first texts by another key."""
    own = kept.ctypes.data
    for code in range(count):
        hashes[code] = _hash(own + starts[code], starts[code + 1] - starts[code], key[0], key[1])


class Interner:
    """Numbers texts in order of first appearance; a text keeps its number.

    It stores copies of the texts' bytes, and grows with them.

    Parameters
    ----------
    limit
        Maximum number of texts that get a number.
    longest
        Maximum size of such a text in bytes.
    key
        The secret of the hash, 16 bytes; by default random ones. No result depends on it.

    Attributes
    ----------
    BEYOND
        -2, the code of a text without a number.

    Notes
    -----
    Texts are bytes here; those of a `Scan` are valid UTF-8. Only one thread may use it at a time.

    Examples
    --------
    >>> arena = np.frombuffer(b"BTCUSDT,ETHUSDT,BTCUSDT" + bytes(64), np.uint8)
    >>> interner = Interner()
    >>> interner.codes(arena, np.array([16, 8, 0, 0]), np.array([7, 7, 7, -1]))
    array([ 0,  1,  0, -1], dtype=int32)
    >>> interner.texts
    ['BTCUSDT', 'ETHUSDT']
    """

    BEYOND = _TOO_MANY

    def __init__(self, limit: int = 1 << 20, longest: int = 1024, key: bytes | None = None) -> None:
        self._limit = limit
        self._longest = longest
        self._key = np.frombuffer(os.urandom(_KEY_BYTES) if key is None else key, np.uint64).copy()
        self.rebuilt = 0
        """How often the table was built anew with another key."""
        self._slots = np.full(128, _NO_CODE, np.int32)
        self._hashes = np.empty(32, np.uint64)
        self._starts = np.zeros(33, np.int64)
        self._kept = np.empty(512, np.uint8)
        self._held = np.zeros(1, np.int64)
        self._texts: list[str] = []

    def codes(
        self, arena: NDArray[np.uint8], at: NDArray[np.int64], size: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """The codes of texts; new texts get new codes.

        Parameters
        ----------
        arena
            uint8; its last 64 bytes belong to no text.
        at, size
            int64[n], each text's start and size in bytes; size -1 for none.

        Returns
        -------
        NDArray[np.int32]
            int32[n], starting at 0; -1 for no text, `BEYOND` for one without a number.

        Raises
        ------
        ValueError
            If a text is not within the arena; this call then numbers none.
        """
        if len(arena) < PADDING or len(at) != len(size):
            raise ValueError(f"{len(arena)} bytes for {len(at)} and {len(size)} texts")
        arena, at, size = readable(arena, np.uint8), readable(at, np.int64), readable(size, np.int64)
        codes = np.empty(len(at), np.int32)
        row, why = 0, _FULL
        while why in (_FULL, _CROWDED):
            row, why = _intern_rows(
                arena, at, size, PADDING, row, self._key, self._slots, self._hashes, self._starts, self._kept,
                self._held, self._limit, self._longest, codes,
            )  # fmt: skip
            if why == _FULL:
                self._grow()
            elif why == _CROWDED:
                self.take_another_key()
        if why == _OUTSIDE:
            raise ValueError(f"text {row} ({size[row]} bytes from {at[row]}) is not within the arena")
        return codes

    def __len__(self) -> int:
        """The number of numbered texts."""
        return int(self._held[0])

    @property
    def texts(self) -> list[str]:
        """The texts by code.

        Raises
        ------
        UnicodeDecodeError
            If one is not UTF-8.
        """
        count = int(self._held[0])
        for code in range(len(self._texts), count):
            first, end = self._starts[code : code + 2]
            self._texts.append(self._kept[first:end].tobytes().decode())
        return self._texts

    def _grow(self) -> None:
        """Double the room for codes, and double that for bytes, plus one text of the longest kind."""
        count = int(self._held[0])
        self._hashes = np.concatenate([self._hashes, np.empty_like(self._hashes)])
        self._starts = np.concatenate([self._starts, np.empty_like(self._starts[1:])])
        self._kept = np.concatenate([self._kept, np.empty(len(self._kept) + self._longest, np.uint8)])
        self._slots = np.full(4 * len(self._hashes), _NO_CODE, np.int32)
        if not _fill_slots(self._slots, self._hashes, count):
            self.take_another_key()

    def take_another_key(self) -> None:
        """Build the table anew with another key, until no text is looked for too long."""
        count, filled = int(self._held[0]), False
        while not filled:
            self.rebuilt += 1
            self._key = np.frombuffer(os.urandom(_KEY_BYTES), np.uint64).copy()
            _hash_kept(self._key, self._hashes, self._starts, self._kept, count)
            self._slots[:] = _NO_CODE
            filled = _fill_slots(self._slots, self._hashes, count)
