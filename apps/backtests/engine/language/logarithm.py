"""The natural logarithm, with the same bits on every machine.

What numpy and the C library compute depends on the instructions that the processor has. Here only operations
that are rounded correctly everywhere are used; the method and its constants are those of fdlibm's ``log``.
"""

from __future__ import annotations

import numpy as np

from apps.backtests.engine.bars import Floats

_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_ODD = (
    1.479819860511658591e-01,
    1.818357216161805012e-01,
    2.857142874366239149e-01,
    6.666666666666735130e-01,
)
_EVEN = (1.531383769920937332e-01, 2.222219843214978396e-01, 3.999999999940941908e-01)
_PIECE = 8192  # values whose intermediate results stay near the processor


def logarithm(values: Floats) -> Floats:
    """Natural logarithms to less than one unit in the last place; NaN of what is not greater than zero."""
    result = np.empty(len(values))
    with np.errstate(all="ignore"):
        for at in range(0, len(values), _PIECE):
            result[at : at + _PIECE] = _of(values[at : at + _PIECE])
    return result


def _of(x: Floats) -> Floats:
    mantissa, exponent = np.frexp(x)
    low = (mantissa < np.sqrt(0.5)).astype(np.float64)
    # x is (1 + f) * 2**k, and 1 + f lies within sqrt(0.5) and sqrt(2).
    f = mantissa + mantissa * low - 1.0
    k = exponent - low
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    rest = z * _polynomial(w, _ODD) + w * _polynomial(w, _EVEN)
    half = 0.5 * f * f
    result: Floats = k * _LN2_HIGH - ((half - (s * (half + rest) + k * _LN2_LOW)) - f)
    result[x == np.inf] = np.inf
    result[~(x > 0.0)] = np.nan
    return result


def _polynomial(x: Floats, coefficients: tuple[float, ...]) -> Floats:
    """Of *coefficients* from that of the highest power to that without x."""
    result: Floats = x * coefficients[0]
    for coefficient in coefficients[1:-1]:
        result += coefficient
        result *= x
    result += coefficients[-1]
    return result
