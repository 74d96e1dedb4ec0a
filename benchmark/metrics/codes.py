"""Binary codes: packing outputs into bytes, bytes into words, and the health of a set of codes."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.errors import InputError
from benchmark.metrics.reading import Reading, checked_thresholds, read_set

_BLOCK = 1 << 20  # values converted at a time, so that packing adds little memory


def as_numpy(values: Any, name: str) -> NDArray[Any]:
    """Lists, arrays, scipy's sparse matrices and torch tensors (of any device and layout) as a numpy array; never
    imports torch.

    Raises InputError for ragged lists and nested tensors, tensors without data, and objects that are no numbers.
    """
    try:
        array = np.asarray(_dense(values))
    except (ValueError, TypeError, RuntimeError, NotImplementedError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"{name} is no rectangular array of numbers: {reason}") from None
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} holds {array.dtype}; allowed: numbers and booleans")
    return array


def _dense(values: Any) -> Any:
    """A tensor or a sparse matrix as numpy has it; everything else as it is."""
    if hasattr(values, "detach") and hasattr(values, "cpu"):
        if values.is_nested:
            raise ValueError("a nested tensor has rows of unlike length")
        if values.is_meta:
            raise ValueError("a meta tensor has a shape and no data")
        values = values.detach().cpu()
        if values.is_quantized:
            values = values.dequantize()
        if "strided" not in str(values.layout):
            values = values.to_dense()
        if values.dtype.is_floating_point and values.dtype.itemsize < 4:
            values = values.float()  # numpy has no bfloat16 and no float8
        return values.resolve_conj().resolve_neg().numpy()
    return values.toarray() if hasattr(values, "toarray") else values


def as_matrix(outputs: Any, name: str) -> NDArray[Any]:
    """`outputs` as a non-empty array of shape (n, bits); InputError otherwise."""
    array = as_numpy(outputs, name)
    if array.ndim != 2:
        raise InputError(f"{name} has shape {array.shape}; it must be (items, bits)")
    if 0 in array.shape:
        raise InputError(f"{name} is empty: shape {array.shape}")
    return array


def pack_codes(
    outputs: ArrayLike, *, sign_zero: int = 1, threshold: float | None = None, name: str = "codes"
) -> NDArray[np.uint8]:
    """Pack codes or real-valued outputs into bytes, eight bits each.

    Booleans and values that are all 0 or 1 are bits; others count by sign; integers must be -1/+1 or 0/1. Bit
    0 is the highest bit of byte 0 and the last byte is padded with zeros, as `numpy.packbits` has it.

    Parameters
    ----------
    outputs : (n, bits)
        Codes or outputs.
    sign_zero : 0 or 1
        The bit of an exact 0.
    threshold : float, optional
        What a 1 must exceed, as outputs that are never negative need it.
    name : str
        What messages call the outputs.

    Returns
    -------
    uint8 (n, ceil(bits / 8))
        The packed codes.

    Raises
    ------
    InputError
        NaN, integers beyond -1/+1 and 0/1, floats that are never below 0 and not all 0 or 1, an empty set, or
        anything that is not two-dimensional.

    Examples
    --------
    >>> pack_codes([[1.5, -0.2, 0.0]])
    array([[160]], dtype=uint8)
    """
    array = as_matrix(outputs, name)
    return pack_matrix(array, read_set(array, name, checked_thresholds(threshold)[0]), sign_zero=sign_zero)


def pack_matrix(array: NDArray[Any], reading: Reading, *, sign_zero: int = 1) -> NDArray[np.uint8]:
    """`pack_codes` for a checked matrix whose reading is already decided."""
    if sign_zero not in (-1, 1) or isinstance(sign_zero, bool):
        raise InputError(f"sign_zero is {sign_zero!r}; allowed: 1, -1")
    rows, bits = array.shape
    packed = np.empty((rows, -(-bits // 8)), dtype=np.uint8)
    step = max(1, _BLOCK // bits)
    for start in range(0, rows, step):
        block = array[start : start + step]
        included = reading.signed and sign_zero == 1
        ones = block >= reading.threshold if included else block > reading.threshold
        packed[start : start + step] = np.packbits(ones, axis=1)
    return packed


def unpack_codes(packed: ArrayLike, bits: int) -> NDArray[np.uint8]:
    """Undo `pack_codes`.

    Parameters
    ----------
    packed : uint8 (n, ceil(bits / 8))
        Packed codes.
    bits : int
        Bits of a code.

    Returns
    -------
    uint8 (n, bits)
        0/1 values.

    Raises
    ------
    InputError
        The width does not fit `bits`, or a padding bit is set.
    """
    checked = checked_packed(packed, bits, "packed codes")
    return np.unpackbits(checked, axis=1, count=bits)


def checked_bits(bits: Any) -> int:
    """`bits` as an int of 1 or more; InputError otherwise."""
    try:
        value = operator.index(bits)
    except TypeError:
        value = 0
    if isinstance(bits, bool) or not 1 <= value <= 32_768:
        raise InputError(f"bits is {bits!r}; it must be a whole number from 1 to 32768")
    return value


def checked_packed(packed: Any, bits: int, name: str) -> NDArray[np.uint8]:
    """Packed bytes whose shape and padding agree with `bits`; InputError otherwise."""
    bits = checked_bits(bits)
    array = as_matrix(packed, name)
    if array.dtype != np.uint8:
        raise InputError(f"{name} hold {array.dtype}; packed codes are uint8 (pack_codes makes them)")
    if array.shape[1] != -(-bits // 8):
        raise InputError(f"{name} have {array.shape[1]} bytes a row, but {bits} bits take {-(-bits // 8)}")
    padding = -bits % 8
    if padding and (array[:, -1] & ((1 << padding) - 1)).any():
        raise InputError(f"{name} have padding bits set beyond bit {bits}: is `bits` right?")
    return array


def to_planes(packed: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Packed bytes (n, bytes) as word planes of shape (ceil(bytes / 8), n), one uint64 per item and plane."""
    rows, width = packed.shape
    planes = np.empty((-(-width // 8), rows), dtype=np.uint64)
    step = max(1, _BLOCK // width)
    for start in range(0, rows, step):
        block = np.zeros((min(step, rows - start), planes.shape[0] * 8), dtype=np.uint8)
        block[:, :width] = packed[start : start + step]
        planes[:, start : start + step] = block.view(np.uint64).T
    return planes


def code_health(packed: ArrayLike, bits: int) -> dict[str, float]:
    """Health of a set of codes: the keys of METRICS from `bit_balance` to `constant_bits`.

    Correlations are Pearson's between two different bits; a constant bit has none, and with fewer than two
    changing bits both correlations are 0.

    Parameters
    ----------
    packed : uint8 (n, ceil(bits / 8))
        Packed codes.
    bits : int
        Bits of a code.

    Returns
    -------
    dict
        Name to value.

    Raises
    ------
    InputError
        As `unpack_codes`.
    """
    array = checked_packed(packed, bits, "codes")
    rows = array.shape[0]
    ones = np.zeros(bits)
    both = np.zeros((bits, bits))
    step = max(1, _BLOCK // bits)
    for start in range(0, rows, step):
        block = np.unpackbits(array[start : start + step], axis=1, count=bits).astype(np.float32)
        ones += block.sum(axis=0, dtype=np.float64)
        both += block.T @ block  # exact: at most 2^20 ones in a block
    share = ones / rows
    changing = (ones > 0) & (ones < rows)
    strongest, mean = _correlations(both, ones, rows, changing)
    inner = share[changing]
    entropy = -(inner * np.log2(inner) + (1 - inner) * np.log2(1 - inner)).sum() / bits
    return {
        "bit_balance": float(1 - np.abs(2 * share - 1).mean()),
        "bit_correlation_max": strongest,
        "bit_correlation_mean": mean,
        "bit_entropy": float(entropy),
        "distinct_codes": float(_distinct(array)),
        "constant_bits": float(bits - int(changing.sum())),
    }


def _correlations(
    both: NDArray[np.float64], ones: NDArray[np.float64], rows: int, changing: NDArray[np.bool_]
) -> tuple[float, float]:
    if changing.sum() < 2:
        return 0.0, 0.0
    counts, joint = ones[changing], both[np.ix_(changing, changing)]
    spread = np.sqrt(counts * (rows - counts))
    matrix = np.abs((rows * joint - np.outer(counts, counts)) / np.outer(spread, spread))
    pairs = matrix[np.triu_indices(len(counts), 1)]
    return min(1.0, float(pairs.max())), min(1.0, float(pairs.mean()))


def _distinct(packed: NDArray[np.uint8]) -> int:
    rows = np.ascontiguousarray(packed)
    return len(np.unique(rows.view(f"V{rows.shape[1]}").ravel()))
