"""test_floors.py CHECK_FLOORS: the floors check must refuse each wrong tree below, and pass the right one."""
import pathlib
import subprocess
import sys
import tempfile

TABLE = "modules = {\n  'base': [\n    [], [xxhash], ['base.c']\n  ],\n" \
        "  'grpc': [\n    ['base'], [nghttp2], ['grpc.c'],\n  ],\n" \
        "  'cel': [\n    ['base'], [re2], ['cel.c', 're2.cc'],\n  ],\n" \
        "  'wire': [\n    ['base'], [], ['wire.c'],\n  ],\n}\n"
RIGHT = {
    "src/meson.build": TABLE,
    "src/base/base.h": "#include <stddef.h>\n",
    "src/base/list.def": "ITEM(" + "x" * 120 + ")\n",
    "src/grpc/grpc.h": '#include "base.h"\n',
    "src/grpc/grpc_priv.h": "#include <nghttp2/nghttp2.h>\n",
    "src/grpc/grpc.c": '#include <sys/types.h>\n#include "grpc_priv.h"\n#include "grpc.h"\n#include "list.def"\n',
    "src/cel/re2.cc": "#include <re2/re2.h>\n",
    "src/wire/wire.h": '#include "base.h"\n',
    "src/wire/wire.c": '#include "wire.h"\n',
    "include/streamer.h": "\n" * 300,
    "cli/meson.build": "commands = {'main.c': []}\n",
    "tests/unit/meson.build": "unit_tests = {'grpc': ['grpc'], 'wire': ['wire']}\n",
    "tests/e2e/meson.build": "e2e_tests = ['test_wire.py']\n",
    "tests/e2e/test_wire.py": "\n",
    "tests/e2e/support.py": "\n",
    "cli/main.c": '#include "streamer.h"\n',
    "tests/unit/test_wire.c": '#include "wire.h"\n#include "puller.pb-c.h"\n',
}
WRONG = [  # file, its text, what must be said
    ("src/wire/wire.c", '#include "../grpc/grpc.h"\n', "a path"),
    ("src/wire/wire.c", '#include "grpc/grpc.h"\n', "a path"),
    ("src/wire/wire.c", '  #  include "grpc.h"\n', "grpc is not in the row of wire"),
    ("src/base/base.c", '#include "wire.h"\n', "wire is not in the row of base"),
    ("src/wire/wire.c", '#include "grpc_priv.h"\n', "a private header of grpc"),
    ("tests/unit/test_grpc.c", '#include "grpc_priv.h"\n', "a private header of grpc"),
    ("src/base/base.c", "#include <nghttp2/nghttp2.h>\n", "belongs to grpc"),
    ("src/wire/wire.c", "#include <openssl/ssl.h>\n", "belongs to grpc"),
    ("src/wire/wire.c", "#include <zlib.h>\n", "belongs to grpc"),
    ("src/grpc/grpc.c", "#include <uv.h>\n", "belongs to loop"),
    ("src/grpc/grpc.c", "#include <xxhash.h>\n", "belongs to base"),
    ("src/grpc/grpc.c", "#include <protobuf-c/protobuf-c.h>\n", "belongs to tests"),
    ("src/grpc/grpc.c", '#include "puller.pb-c.h"\n', "belongs to tests"),
    ("src/grpc/grpc.c", "#include <re2/re2.h>\n", "belongs to cel"),
    ("src/cel/cel.c", "#include <re2/re2.h>\n", "belongs to cel/re2.cc"),
    ("src/cel/more.cc", "\n", "no meson.build names"),
    ("cli/main.c", "#include <uv.h>\n", "belongs to loop"),
    ("src/base/base.c", "\n" * 801, "a file of 801 lines"),
    ("include/streamer.h", "\n" * 301, "a file of 301 lines"),
    ("src/base/base.c", "\t" * 12 + "int x;\n", "a line of 102 columns"),
    ("src/other/other.c", "\n", "no row"),
    ("src/meson.build", "modules = {}\n", "no table"),
    ("src/wire/more.c", "\n", "no meson.build names"),
    ("tests/unit/test_base.c", "\n", "no meson.build names"),
    ("tests/e2e/test_more.py", "\n", "no meson.build names"),
]


def run(files):
    with tempfile.TemporaryDirectory() as tree:
        for name, text in files.items():
            path = pathlib.Path(tree, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run([sys.executable, sys.argv[1], tree], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr


status, output = run(RIGHT)
assert status == 0, output
for name, text, expected in WRONG:
    status, output = run({**RIGHT, name: text})
    assert status == 1 and name in output.replace("src/other:", "src/other/other.c:") and expected in output, \
        f"{name}: {text[:60]!r}: status {status}: {output}"
print(f"{len(WRONG)} wrong trees refused")
