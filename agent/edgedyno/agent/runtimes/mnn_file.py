"""How an MNN file stores the weights of its convolutions: read from the file, whose format is a FlatBuffer.

Only what MNN has verified and accepted is read here. Source of the numbers: MNN's schema/default/MNN.fbs and
CaffeOp.fbs, where a field's number is its place in its table, and a union takes two.
"""

import struct
from typing import Dict, List, Optional

_NET_OPERATORS = 3
_OPERATOR_KIND, _OPERATOR_MAIN, _OPERATOR_NAME = 1, 2, 3
_CONVOLUTION = 9  # in the union OpParameter
_CONVOLUTION_STORED, _CONVOLUTION_INTEGER = 3, 4
_STORED_KIND = 2
_STORED = {1: "int8", 2: "int8", 3: "fp16", 4: "int8"}  # IDSTQuan.type; nought is FP32

INTEGER = "int8 arithmetic"


def stored_weights(data: bytes) -> Dict[str, str]:
    """Return by operator's name: fp32, fp16 or int8 for weights that are widened, INTEGER for a quantized one."""
    found: Dict[str, str] = {}
    for operator in _tables(data, _field(data, _root(data), _NET_OPERATORS)):
        kind = _field(data, operator, _OPERATOR_KIND)
        main = _follow(data, _field(data, operator, _OPERATOR_MAIN))
        if main is None or kind is None or data[kind] != _CONVOLUTION:
            continue
        stored = _follow(data, _field(data, main, _CONVOLUTION_STORED))
        word = (
            "fp32"
            if stored is None
            else _STORED.get(_integer(data, _field(data, stored, _STORED_KIND)), "fp32")
        )
        if _field(data, main, _CONVOLUTION_INTEGER) is not None:
            word = INTEGER
        found[_text(data, _field(data, operator, _OPERATOR_NAME))] = word
    return found


def _root(data: bytes) -> int:
    return int(struct.unpack_from("<I", data)[0])


def _field(data: bytes, table: Optional[int], number: int) -> Optional[int]:
    """Return where a field's value is; None where the table leaves it out."""
    if table is None:
        return None
    fields = table - struct.unpack_from("<i", data, table)[0]
    if 4 + 2 * number >= struct.unpack_from("<H", data, fields)[0]:
        return None
    offset = int(struct.unpack_from("<H", data, fields + 4 + 2 * number)[0])
    return table + offset if offset else None


def _follow(data: bytes, at: Optional[int]) -> Optional[int]:
    return None if at is None else at + int(struct.unpack_from("<I", data, at)[0])


def _integer(data: bytes, at: Optional[int]) -> int:
    return 0 if at is None else int(struct.unpack_from("<i", data, at)[0])


def _tables(data: bytes, at: Optional[int]) -> List[int]:
    start = _follow(data, at)
    if start is None:
        return []
    count = struct.unpack_from("<I", data, start)[0]
    places = [start + 4 + 4 * index for index in range(count)]
    return [place + int(struct.unpack_from("<I", data, place)[0]) for place in places]


def _text(data: bytes, at: Optional[int]) -> str:
    start = _follow(data, at)
    if start is None:
        return ""
    length = struct.unpack_from("<I", data, start)[0]
    return data[start + 4 : start + 4 + length].decode("utf-8", "replace")
