"""JSON as the sheet of values has it, by Python's json and the rules that it lacks.

Duplicate members are kept until merge(), for they may be what refuses a text.
"""

import json
import math

DEPTH_MAX = 100  # json_depth_max as it is by default
DIGITS_MAX = 20  # of what fits int64 or uint64
INT64 = range(-2 ** 63, 2 ** 63)
UINT64 = range(2 ** 64)

RULES = {
    "constant": "NaN, Infinity and -Infinity are Python's, not JSON's",
    "overflow": "a number that no double holds has no value to compare with",
    "surrogate": "half a surrogate pair is no character and has no UTF-8",
    "UTF-8": "JSON between programs is UTF-8, and so is every string of protobuf",
    "depth": f"more than {DEPTH_MAX} levels are refused, to bound what a document costs",
}


class Refused(Exception):
    """By one of the RULES; what is no JSON at all is json's ValueError."""


class Members(list):
    """An object: its (key, value) pairs as they stand."""


def real(text):
    number = float(text)
    if math.isinf(number):
        raise Refused("overflow")
    return number


def integer(text):
    """What fits neither int64 nor uint64 is a double."""
    if len(text) <= DIGITS_MAX and (int(text) in INT64 or int(text) in UINT64):
        return int(text)
    return real(text)


def constant(_):
    raise Refused("constant")


def check(value, depth=0):
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Refused("surrogate") from None
    elif isinstance(value, (Members, list)):
        if depth == DEPTH_MAX:
            raise Refused("depth")
        for item in value:
            if isinstance(value, Members):
                check(item[0], depth + 1)
                item = item[1]
            check(item, depth + 1)


def read(text):
    """The value of a text (bytes), objects as Members. Refused, or ValueError."""
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        raise Refused("UTF-8") from None
    try:
        value = json.loads(decoded, parse_int=integer, parse_float=real, parse_constant=constant,
                           object_pairs_hook=Members)
    except RecursionError:
        raise Refused("depth") from None
    check(value)
    return value


def merge(value):
    """The same with objects as dicts: of members of one name the last one is the object's."""
    if isinstance(value, Members):
        return {key: merge(item) for key, item in value}
    return [merge(item) for item in value] if isinstance(value, list) else value
