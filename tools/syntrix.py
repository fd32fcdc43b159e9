"""What Syntrix writes into a change: BLAKE3 ids, event ids, progress markers, Go's JSON.

Pure functions, no state. BLAKE3 is done for one chunk (up to 1,024 bytes): every path here is one.
"""

import base64
import decimal
import hashlib
import json
import math
import struct

_IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
       0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
_PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_LANES = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
          (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
_CHUNK_START, _CHUNK_END, _ROOT = 1, 2, 8
_MASK = 0xFFFFFFFF


def _schedule():
    """Seven rounds of (a, b, c, d, first word, second word)."""
    order = list(range(16))
    steps = []
    for _ in range(7):
        for lane, (a, b, c, d) in enumerate(_LANES):
            steps.append((a, b, c, d, order[2 * lane], order[2 * lane + 1]))
        order = [order[i] for i in _PERMUTATION]
    return tuple(steps)


_STEPS = _schedule()


def _compress(chain, words, block_len, flags):
    v = [*chain, *_IV[:4], 0, 0, block_len, flags]
    for a, b, c, d, x, y in _STEPS:
        va, vb, vc, vd = v[a], v[b], v[c], v[d]
        va = (va + vb + words[x]) & _MASK
        vd ^= va
        vd = (vd >> 16) | (vd << 16) & _MASK
        vc = (vc + vd) & _MASK
        vb ^= vc
        vb = (vb >> 12) | (vb << 20) & _MASK
        va = (va + vb + words[y]) & _MASK
        vd ^= va
        vd = (vd >> 8) | (vd << 24) & _MASK
        vc = (vc + vd) & _MASK
        vb ^= vc
        v[a], v[b], v[c], v[d] = va, (vb >> 7) | (vb << 25) & _MASK, vc, vd
    return [v[i] ^ v[i + 8] for i in range(8)]


def blake3(data):
    """The 32 bytes of BLAKE3-256 of at most 1,024 bytes."""
    if len(data) > 1024:
        raise ValueError("more than one chunk")
    blocks = [data[at:at + 64] for at in range(0, len(data), 64)] or [b""]
    chain = list(_IV)
    for number, block in enumerate(blocks):
        flags = _CHUNK_START if number == 0 else 0
        if number == len(blocks) - 1:
            flags |= _CHUNK_END | _ROOT
        words = struct.unpack("<16I", block.ljust(64, b"\0"))
        chain = _compress(chain, words, len(block), flags)
    return struct.pack("<8I", *chain)


def document_hash(collection, document):
    """Sixteen bytes that stand for a document's path."""
    return blake3(f"{collection}/{document}".encode())[:16]


def mongo_id(database, collection, document):
    return f"{database}:{document_hash(collection, document).hex()}"


def collection_hash(collection):
    return blake3(f"collection:{collection}".encode())[:16].hex()


def event_id(seconds, increment, mgo_coll, mgo_doc_id):
    digest = hashlib.sha256(f"{mgo_coll}/{mgo_doc_id}".encode()).hexdigest()
    return f"{seconds}-{increment}-{digest[:16]}"


def progress(positions):
    """The marker of {backend: event id}."""
    text = json.dumps({"p": positions} if positions else {}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def parse_progress(marker):
    """{backend: event id} of a marker; ValueError if it is none."""
    raw = base64.urlsafe_b64decode(marker + "=" * (-len(marker) % 4))
    positions = json.loads(raw).get("p", {})
    if not isinstance(positions, dict):
        raise ValueError("p is not an object")
    return positions


def event_key(identifier):
    """An event id as something that sorts: (T, I, id); ValueError if it is none."""
    seconds, increment, _ = identifier.split("-")
    return int(seconds), int(increment), identifier


def _go_float(value):
    """A double as Go prints it: exponents only below 1e-6 and from 1e21."""
    if not math.isfinite(value):
        raise ValueError("no JSON for this number")
    size = abs(value)
    if size == 0.0 or 1e-6 <= size < 1e21:
        text = format(decimal.Decimal(repr(value)), "f")
        return text[:-2] if text.endswith(".0") else text
    mantissa, exponent = repr(value).split("e")
    sign, digits = exponent[0], exponent[1:] if exponent[0] in "+-" else exponent
    sign = sign if sign in "+-" else "+"
    return f"{mantissa}e{sign}{digits.lstrip('0') if sign == '-' else digits}"


def _go_value(value, sort):
    if isinstance(value, float):
        return _go_float(value)
    if isinstance(value, dict):
        keys = sorted(value) if sort else value
        inner = (f"{json.dumps(key, ensure_ascii=False)}:{_go_value(value[key], True)}"
                 for key in keys)
        return "{" + ",".join(inner) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_go_value(item, True) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def go_json(value):
    """Bytes as json.Marshal makes them of a struct (outermost keys keep their order) of maps."""
    text = _go_value(value, False)
    for letter in "<>&\u2028\u2029":
        if letter in text:  # only ever inside strings
            text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text.encode()


def stored_document(database, collection, mgo_doc_id, data, version, times):
    """A full_doc; times is (created, updated) in Unix ms."""
    return {"id": mgo_doc_id, "database": database,
            "collection": collection, "collectionHash": collection_hash(collection),
            "updatedAt": times[1], "createdAt": times[0], "version": version, "data": data}
