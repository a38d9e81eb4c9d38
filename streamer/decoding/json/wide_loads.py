"""Machine-level operations for kernels: loads of 8 to 64 bytes by address, and operations on them.

Addresses and counts are int64, words and masks uint64 (numba turns a mix of the two into a float). Nothing
here is bounds-checked: callers know a row's end, and read at most `REACH` bytes beyond it.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

REACH = 63
"""How many bytes beyond a row's end kernels may read."""

_I1, _I8, _I64, _I128 = ir.IntType(1), ir.IntType(8), ir.IntType(64), ir.IntType(128)

Build = Callable[[Any, Any], Any]


def _operation(result: types.Type, arguments: list[types.Type], build: Build) -> tuple[Any, Any]:
    """A typed operation, from a function that takes LLVM's builder and the arguments."""
    return result(*arguments), lambda context, builder, signature, given: build(builder, given)


def _at(builder: Any, address: Any, kind: ir.Type) -> Any:
    loaded = builder.load(builder.inttoptr(address, kind.as_pointer()))
    loaded.align = 1
    return loaded


def _all(lanes: int, byte: int) -> ir.Constant:
    return ir.Constant(ir.VectorType(_I8, lanes), [byte] * lanes)


def _mask(builder: Any, lanes: Any) -> Any:
    """One bit per lane, the first lane in the lowest bit."""
    bits = builder.bitcast(lanes, ir.IntType(lanes.type.count))
    return builder.zext(bits, _I64)


@intrinsic
def word_at(typing: Any, address: Any) -> Any:
    """Eight bytes as a word, the first byte in the lowest bits."""
    return _operation(types.uint64, [types.int64], lambda b, g: _at(b, g[0], _I64))


@intrinsic
def byte_at(typing: Any, address: Any) -> Any:
    """One byte, 0 to 255, as int64."""
    return _operation(types.int64, [types.int64], lambda b, g: b.zext(_at(b, g[0], _I8), _I64))


@intrinsic
def number_at(typing: Any, table: Any, place: Any) -> Any:
    """The int64 at an index of the table at an address."""

    def build(b: Any, g: Any) -> Any:
        return _at(b, b.add(g[0], b.mul(g[1], ir.Constant(_I64, 8))), _I64)

    return _operation(types.int64, [types.int64, types.int64], build)


@intrinsic
def put_word(typing: Any, address: Any, word: Any) -> Any:
    """Write eight bytes."""

    def build(b: Any, g: Any) -> Any:
        b.store(g[1], b.inttoptr(g[0], _I64.as_pointer()), align=1)
        return ir.Constant(_I8.as_pointer(), None)  # no value

    return _operation(types.void, [types.int64, types.uint64], build)


@intrinsic
def trailing_zeros(typing: Any, word: Any) -> Any:
    """The number of zeros below the lowest set bit; 64 if none is set."""
    return _operation(types.int64, [types.uint64], lambda b, g: b.cttz(g[0], ir.Constant(_I1, 0)))


@intrinsic
def leading_zeros(typing: Any, word: Any) -> Any:
    """The number of zeros above the highest set bit; 64 if none is set."""
    return _operation(types.int64, [types.uint64], lambda b, g: b.ctlz(g[0], ir.Constant(_I1, 0)))


@intrinsic
def ones(typing: Any, word: Any) -> Any:
    """The number of set bits."""
    return _operation(types.int64, [types.uint64], lambda b, g: b.ctpop(g[0]))


@intrinsic
def high_product(typing: Any, left: Any, right: Any) -> Any:
    """The upper 64 bits of a product of two words."""

    def build(b: Any, g: Any) -> Any:
        product = b.mul(b.zext(g[0], _I128), b.zext(g[1], _I128))
        return b.trunc(b.lshr(product, ir.Constant(_I128, 64)), _I64)

    return _operation(types.uint64, [types.uint64, types.uint64], build)


@intrinsic
def double_of(typing: Any, bits: Any) -> Any:
    """The double with these bits."""
    return _operation(types.float64, [types.uint64], lambda b, g: b.bitcast(g[0], ir.DoubleType()))


@intrinsic
def bits_of(typing: Any, double: Any) -> Any:
    """The bits of a double."""
    return _operation(types.uint64, [types.float64], lambda b, g: b.bitcast(g[0], _I64))


@intrinsic
def ends_of_text(typing: Any, address: Any) -> Any:
    """A bit for each of 16 bytes that is a quote, a backslash, below 0x20 or above 0x7f."""

    def build(b: Any, g: Any) -> Any:
        text = _at(b, g[0], ir.VectorType(_I8, 16))
        # as signed numbers, bytes above 0x7f are below 0x20, too
        found = b.icmp_signed("<", text, _all(16, 0x20))
        for byte in b'"\\':
            found = b.or_(found, b.icmp_signed("==", text, _all(16, byte)))
        return _mask(b, found)

    return _operation(types.uint64, [types.int64], build)


@intrinsic
def marks_of_text(typing: Any, address: Any) -> Any:
    """Four masks with a bit for each of 64 bytes that is a quote; a colon; an opening bracket; bad.

    Bad bytes are backslashes, and those below 0x20 or above 0x7f.
    """

    def build(b: Any, g: Any) -> Any:
        text = _at(b, g[0], ir.VectorType(_I8, 64))
        found = [b.icmp_signed("==", text, _all(64, byte)) for byte in b'":[\\']
        found[-1] = b.or_(found[-1], b.icmp_signed("<", text, _all(64, 0x20)))
        return cgutils.pack_array(b, [_mask(b, lanes) for lanes in found])

    return _operation(types.UniTuple(types.uint64, 4), [types.int64], build)


@intrinsic
def marks_of_lists(typing: Any, address: Any) -> Any:
    """Masks as above of 64 bytes: quotes; opening brackets; closing brackets; commas; bad bytes."""

    def build(b: Any, g: Any) -> Any:
        text = _at(b, g[0], ir.VectorType(_I8, 64))
        found = [b.icmp_signed("==", text, _all(64, byte)) for byte in b'"[],\\']
        found[-1] = b.or_(found[-1], b.icmp_signed("<", text, _all(64, 0x20)))
        return cgutils.pack_array(b, [_mask(b, lanes) for lanes in found])

    return _operation(types.UniTuple(types.uint64, 5), [types.int64], build)


@intrinsic
def digits_of(typing: Any, address: Any) -> Any:
    """A bit for each of 16 bytes that is a decimal digit."""

    def build(b: Any, g: Any) -> Any:
        text = _at(b, g[0], ir.VectorType(_I8, 16))
        return _mask(b, b.icmp_unsigned("<", b.sub(text, _all(16, 0x30)), _all(16, 10)))

    return _operation(types.uint64, [types.int64], build)


@intrinsic
def points_of(typing: Any, address: Any) -> Any:
    """A bit for each of 16 bytes that is a decimal point."""

    def build(b: Any, g: Any) -> Any:
        text = _at(b, g[0], ir.VectorType(_I8, 16))
        return _mask(b, b.icmp_unsigned("==", text, _all(16, ord("."))))

    return _operation(types.uint64, [types.int64], build)


@intrinsic
def aligned_digits(typing: Any, address: Any, point: Any, count: Any) -> Any:
    """The first `count` digits at an address as two words of values 0 to 9, padded with leading zeros.

    The byte at `point` is left out (16: there is no point). The first digit is the first word's lowest byte.
    """

    def build(b: Any, g: Any) -> Any:
        wide = [b.zext(value, _I128) for value in g[1:]]
        digits = b.xor(_at(b, g[0], _I128), ir.Constant(_I128, int.from_bytes(b"0" * 16)))
        # two shifts by half as much, since a shift by 128 bits is undefined
        half = b.mul(wide[0], ir.Constant(_I128, 4))
        stop = b.shl(b.shl(ir.Constant(_I128, -1), half), half)
        closed = b.lshr(digits, ir.Constant(_I128, 8))
        digits = b.or_(b.and_(closed, stop), b.and_(digits, b.not_(stop)))
        spare = b.sub(ir.Constant(_I128, 16), wide[1])
        digits = b.shl(digits, b.mul(spare, ir.Constant(_I128, 8)))
        first = b.trunc(digits, _I64)
        second = b.trunc(b.lshr(digits, ir.Constant(_I128, 64)), _I64)
        return cgutils.pack_array(b, [first, second])

    return _operation(types.UniTuple(types.uint64, 2), [types.int64, types.int64, types.int64], build)


@intrinsic
def equal_bytes(typing: Any, left: Any, right: Any) -> Any:
    """A bit for each of 32 byte pairs at two addresses that is equal."""

    def build(b: Any, g: Any) -> Any:
        kind = ir.VectorType(_I8, 32)
        return _mask(b, b.icmp_unsigned("==", _at(b, g[0], kind), _at(b, g[1], kind)))

    return _operation(types.uint64, [types.int64, types.int64], build)


LOW_BYTES = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)
"""Masks of the 0 to 8 lowest bytes of a word."""
