#!/usr/bin/python3
"""What is installed, as those see it who know no more than pkg-config: names, files, programs."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402

BUILD = os.environ.get("BUILD", os.path.join(peers.ROOT, "build"))
HEADER = os.path.join(peers.ROOT, "include", "streamer.h")
SOURCES = {"engine.c": ["cc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"],
           "cplusplus.cc": ["c++", "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]}
PLACES = {"engine.c": "examples", "cplusplus.cc": os.path.join("tests", "e2e")}


def call(*arguments, **environment):
    """What a program prints; it must end well."""
    done = subprocess.run(arguments, capture_output=True, encoding="utf-8", timeout=120,
                          env={**os.environ, **environment}, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{arguments}: {done.returncode} {done.stdout} {done.stderr}")
    return done.stdout


def declared():
    """The functions that streamer.h declares."""
    with open(HEADER, encoding="utf-8") as header:
        text = re.sub(r"/\*.*?\*/", "", header.read(), flags=re.DOTALL)
    return set(re.findall(r"\b(streamer_\w+)\s*\(", text))


def defined(*arguments):
    """{name: version} of what nm finds; weak ones, which C++'s library brings, are not ours."""
    found = re.findall(r"^[0-9a-f]+ ([A-Zu]) (\w+)(?:@@(\w+))?$", call("nm", *arguments), re.M)
    return {name: version for kind, name, version in found if kind not in "AVWu"}


class Install:
    """Each method is a section."""

    def __init__(self, folder):
        self.checks = peers.Checks()
        self.folder = folder
        self.root = os.path.join(folder, "root")
        call("make", "-C", peers.ROOT, "install", f"BUILD={BUILD}", f"DESTDIR={self.root}")
        self.config = self.folder_of("streamer.pc")
        self.library = self.folder_of("libstreamer.so")
        self.prefix = os.path.dirname(self.folder_of("streamer.h"))

    def folder_of(self, name):
        return next(path for path, _, files in os.walk(self.root) if name in files)

    def packaged(self, *options, root=None):
        """What pkg-config says of streamer, where all of it stands below a folder."""
        root = root or self.root
        return call("pkg-config", *options, "streamer", PKG_CONFIG_SYSROOT_DIR=root,
                    PKG_CONFIG_PATH=root + self.config[len(self.root):]).strip()

    def compile(self, name, *options, root=None):
        """The path of a stranger's program, made with pkg-config and nothing else."""
        program = os.path.join(self.folder, name + "".join(options))
        call(*SOURCES[name], os.path.join(peers.ROOT, PLACES[name], name), "-o", program,
             *self.packaged(*options, "--cflags", "--libs", root=root).split())
        return program

    def test_names(self):
        shared = os.path.join(self.library, "libstreamer.so")
        exported = defined("-D", "--defined-only", shared)
        self.checks.that(len(declared()) > 20, "functions in streamer.h", declared())
        self.checks.equal(set(exported), declared(), "the shared library's names are the header's")
        self.checks.equal(set(exported.values()), {"STREAMER_0"}, "their version")
        linkable = defined("-g", "--defined-only", os.path.join(self.library, "libstreamer.a"))
        self.checks.equal(set(linkable), declared(), "the static library's names are the header's")
        weak = call("nm", "-D", "--defined-only", shared).split("\n")
        self.checks.equal([line for line in weak if re.search(" [VWu] ", line)], [], "nothing weak")

    def test_files(self):
        version = call(os.path.join(self.prefix, "bin", "streamer"), "--version").split()[1]
        self.checks.equal(self.packaged("--modversion"), version, "one version")
        self.checks.equal([os.readlink(os.path.join(self.library, name)) for name in
                           ("libstreamer.so", "libstreamer.so.0")],
                          ["libstreamer.so.0", "libstreamer.so." + version], "the links")
        dynamic = call("readelf", "-d", os.path.join(self.library, "libstreamer.so"))
        self.checks.that("[libstreamer.so.0]" in dynamic, "the soname", dynamic)
        with open(HEADER, "rb") as ours, \
                open(os.path.join(self.prefix, "include", "streamer.h"), "rb") as theirs:
            self.checks.equal(theirs.read(), ours.read(), "the header")
        for page in ("man1/streamer.1", "man3/libstreamer.3", "man7/streamer-cel.7"):
            self.checks.that(os.path.exists(os.path.join(self.prefix, "share", "man", page)), page)

    def test_shared(self):
        """Alone, so that what a program needs of other libraries comes by libstreamer.so."""
        for name in SOURCES:
            program = self.compile(name)
            self.checks.that("libstreamer.so.0" in call("readelf", "-d", program), f"{name} shared")
            call(program, LD_LIBRARY_PATH=self.library)

    def test_static(self):
        """Where no shared library stands beside it, --static is all that it takes."""
        root = os.path.join(self.folder, "static")
        shutil.copytree(self.root, root, symlinks=True)
        library = root + self.library[len(self.root):]
        for name in os.listdir(library):
            if name.startswith("libstreamer.so"):
                os.remove(os.path.join(library, name))
        for name in SOURCES:
            program = self.compile(name, "--static", root=root)
            self.checks.that("libstreamer" not in call("readelf", "-d", program), f"{name} static")
            call(program)

    def test_uninstall(self):
        root = os.path.join(self.folder, "gone")
        call("make", "-C", peers.ROOT, "install", f"BUILD={BUILD}", f"DESTDIR={root}")
        self.checks.that(os.listdir(root), "it is there")
        call("make", "-C", peers.ROOT, "uninstall", f"BUILD={BUILD}")
        left = [os.path.join(path, name) for path, _, files in os.walk(root) for name in files]
        self.checks.equal(left, [], "nothing is left")


def main():
    with tempfile.TemporaryDirectory(prefix="streamer-install-") as folder:
        test = Install(folder)
        for name in sorted(name for name in dir(test) if name.startswith("test_")):
            with test.checks.section(name):
                getattr(test, name)()
        return test.checks.finish()


if __name__ == "__main__":
    peers.run(main)
