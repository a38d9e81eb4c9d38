"""What kernels ask of the machine: bytes by their address, 8, 16 or 32 of them at a time.

Addresses and counts are int64, words and masks uint64 (numba makes a float of the two mixed). Nothing
here checks where it reads: whoever calls has a row's end at hand and reads less than `REACH` bytes behind it.
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
"""Kernels read at most so many bytes from a row's end on."""

_I1, _I8, _I64, _I128 = ir.IntType(1), ir.IntType(8), ir.IntType(64), ir.IntType(128)

Build = Callable[[Any, Any], Any]


def _made(result: types.Type, arguments: list[types.Type], build: Build) -> tuple[Any, Any]:
    """A typed operation of a function that takes LLVM's builder and the arguments."""
    return result(*arguments), lambda context, builder, signature, given: build(builder, given)


def _at(builder: Any, address: Any, kind: ir.Type) -> Any:
    loaded = builder.load(builder.inttoptr(address, kind.as_pointer()))
    loaded.align = 1
    return loaded


def _all(lanes: int, byte: int) -> ir.Constant:
    return ir.Constant(ir.VectorType(_I8, lanes), [byte] * lanes)


def _mask(builder: Any, lanes: Any) -> Any:
    """One bit a lane, the first lane's lowest."""
    bits = builder.bitcast(lanes, ir.IntType(lanes.type.count))
    return builder.zext(bits, _I64)


@intrinsic
def word_at(typing: Any, address: Any) -> Any:
    """Eight bytes as a word, the first byte lowest."""
    return _made(types.uint64, [types.int64], lambda b, g: _at(b, g[0], _I64))


@intrinsic
def byte_at(typing: Any, address: Any) -> Any:
    """One byte, 0 to 255, as int64."""
    return _made(types.int64, [types.int64], lambda b, g: b.zext(_at(b, g[0], _I8), _I64))


@intrinsic
def number_at(typing: Any, table: Any, place: Any) -> Any:
    """The int64 at a place of a table of them that begins at an address."""

    def build(b: Any, g: Any) -> Any:
        return _at(b, b.add(g[0], b.mul(g[1], ir.Constant(_I64, 8))), _I64)

    return _made(types.int64, [types.int64, types.int64], build)


@intrinsic
def put_word(typing: Any, address: Any, word: Any) -> Any:
    """Write eight bytes."""

    def build(b: Any, g: Any) -> Any:
        b.store(g[1], b.inttoptr(g[0], _I64.as_pointer()), align=1)
        return ir.Constant(_I8.as_pointer(), None)  # what stands for no value

    return _made(types.void, [types.int64, types.uint64], build)


@intrinsic
def trailing_zeros(typing: Any, word: Any) -> Any:
    """How many bits below the lowest that is set; 64 where none is."""
    return _made(types.int64, [types.uint64], lambda b, g: b.cttz(g[0], ir.Constant(_I1, 0)))


@intrinsic
def leading_zeros(typing: Any, word: Any) -> Any:
    """How many bits above the highest that is set; 64 where none is."""
    return _made(types.int64, [types.uint64], lambda b, g: b.ctlz(g[0], ir.Constant(_I1, 0)))


@intrinsic
def ones(typing: Any, word: Any) -> Any:
    """How many bits are set."""
    return _made(types.int64, [types.uint64], lambda b, g: b.ctpop(g[0]))


@intrinsic
def high_product(typing: Any, left: Any, right: Any) -> Any:
    """The upper 64 bits of a product of two words."""

    def build(b: Any, g: Any) -> Any:
        product = b.mul(b.zext(g[0], _I128), b.zext(g[1], _I128))
        return b.trunc(b.lshr(product, ir.Constant(_I128, 64)), _I64)

    return _made(types.uint64, [types.uint64, types.uint64], build)


@intrinsic
def double_of(typing: Any, bits: Any) -> Any:
    """The double that has these bits."""
    return _made(types.float64, [types.uint64], lambda b, g: b.bitcast(g[0], ir.DoubleType()))


@intrinsic
def bits_of(typing: Any, double: Any) -> Any:
    """The bits of a double."""
    return _made(types.uint64, [types.float64], lambda b, g: b.bitcast(g[0], _I64))


@intrinsic
def ends_of_text(typing: Any, address: Any) -> Any:
    """Of 16 bytes, a bit for each that is a quote, a backslash, below 0x20 or above 0x7f."""

    def build(b: Any, g: Any) -> Any:
        text = _at(b, g[0], ir.VectorType(_I8, 16))
        # as signed numbers, bytes above 0x7f lie below 0x20 too
        found = b.icmp_signed("<", text, _all(16, 0x20))
        for byte in b'"\\':
            found = b.or_(found, b.icmp_signed("==", text, _all(16, byte)))
        return _mask(b, found)

    return _made(types.uint64, [types.int64], build)


@intrinsic
def marks_of_text(typing: Any, address: Any) -> Any:
    """Of 64 bytes, a bit for each that is a quote; a colon; an opening bracket; bad.

    Bad is a backslash, and what is below 0x20 or above 0x7f.
    """

    def build(b: Any, g: Any) -> Any:
        text = _at(b, g[0], ir.VectorType(_I8, 64))
        found = [b.icmp_signed("==", text, _all(64, byte)) for byte in b'":[\\']
        found[-1] = b.or_(found[-1], b.icmp_signed("<", text, _all(64, 0x20)))
        return cgutils.pack_array(b, [_mask(b, lanes) for lanes in found])

    return _made(types.UniTuple(types.uint64, 4), [types.int64], build)


@intrinsic
def marks_of_lists(typing: Any, address: Any) -> Any:
    """Of 64 bytes, a bit for each that is a quote; an opening, a closing bracket; a comma; bad, as above."""

    def build(b: Any, g: Any) -> Any:
        text = _at(b, g[0], ir.VectorType(_I8, 64))
        found = [b.icmp_signed("==", text, _all(64, byte)) for byte in b'"[],\\']
        found[-1] = b.or_(found[-1], b.icmp_signed("<", text, _all(64, 0x20)))
        return cgutils.pack_array(b, [_mask(b, lanes) for lanes in found])

    return _made(types.UniTuple(types.uint64, 5), [types.int64], build)


@intrinsic
def digits_of(typing: Any, address: Any) -> Any:
    """Of 16 bytes, a bit for each that is a decimal digit."""

    def build(b: Any, g: Any) -> Any:
        text = _at(b, g[0], ir.VectorType(_I8, 16))
        return _mask(b, b.icmp_unsigned("<", b.sub(text, _all(16, 0x30)), _all(16, 10)))

    return _made(types.uint64, [types.int64], build)


@intrinsic
def points_of(typing: Any, address: Any) -> Any:
    """Of 16 bytes, a bit for each that is a decimal point."""

    def build(b: Any, g: Any) -> Any:
        text = _at(b, g[0], ir.VectorType(_I8, 16))
        return _mask(b, b.icmp_unsigned("==", text, _all(16, ord("."))))

    return _made(types.uint64, [types.int64], build)


@intrinsic
def aligned_digits(typing: Any, address: Any, point: Any, count: Any) -> Any:
    """Of 16 digits and a point, the first `count` digits as two words of values 0 to 9, zeros before them.

    The byte at `point` is left out; at 16 there is none. The first digit is the first word's lowest byte.
    """

    def build(b: Any, g: Any) -> Any:
        wide = [b.zext(value, _I128) for value in g[1:]]
        digits = b.xor(_at(b, g[0], _I128), ir.Constant(_I128, int.from_bytes(b"0" * 16)))
        # twice by half as much, since a shift by all 128 bits is none
        half = b.mul(wide[0], ir.Constant(_I128, 4))
        behind = b.shl(b.shl(ir.Constant(_I128, -1), half), half)
        closed = b.lshr(digits, ir.Constant(_I128, 8))
        digits = b.or_(b.and_(closed, behind), b.and_(digits, b.not_(behind)))
        spare = b.sub(ir.Constant(_I128, 16), wide[1])
        digits = b.shl(digits, b.mul(spare, ir.Constant(_I128, 8)))
        first = b.trunc(digits, _I64)
        second = b.trunc(b.lshr(digits, ir.Constant(_I128, 64)), _I64)
        return cgutils.pack_array(b, [first, second])

    return _made(types.UniTuple(types.uint64, 2), [types.int64, types.int64, types.int64], build)


@intrinsic
def equal_bytes(typing: Any, left: Any, right: Any) -> Any:
    """Of 32 bytes at each of two addresses, a bit for each pair that is equal."""

    def build(b: Any, g: Any) -> Any:
        kind = ir.VectorType(_I8, 32)
        return _mask(b, b.icmp_unsigned("==", _at(b, g[0], kind), _at(b, g[1], kind)))

    return _made(types.uint64, [types.int64, types.int64], build)


LOW_BYTES = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)
"""By 0 to 8: the mask of so many low bytes of a word."""
