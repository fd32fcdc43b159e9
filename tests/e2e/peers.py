"""What the end-to-end tests share: the protocols, child processes, a gateway's stream, counting."""

import atexit
import contextlib
import importlib
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
STREAMER = os.environ.get("STREAMER", os.path.join(ROOT, "build", "streamer"))

sys.path.insert(0, os.path.join(ROOT, "tools"))

try:
    import grpc
except ImportError:
    sys.exit("e2e: no grpc for " + sys.executable + "; Debian has it: python3-grpcio")

STREAM = "/syntrix.streamer.v1.StreamerService/Stream"
SUBSCRIBE = "/syntrix.puller.v1.PullerService/Subscribe"
CHANNEL_OPTIONS = [("grpc.max_receive_message_length", 64 << 20),
                   ("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]


MADE_PROTOCOLS = []  # the folder of those that were made now


def load_protocols():
    """The modules puller_pb2 and streamer_pb2: from E2E_PB, from PYTHONPATH, or made now."""
    names = ("puller_pb2", "streamer_pb2")
    if "E2E_PB" in os.environ:
        sys.path.insert(0, os.environ["E2E_PB"])
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError:
        folder = tempfile.mkdtemp(prefix="streamer-pb-")
        MADE_PROTOCOLS.append(folder)
        atexit.register(shutil.rmtree, folder, True)
        proto = os.path.join(ROOT, "proto")
        subprocess.run(["protoc", "--proto_path=" + proto, "--python_out=" + folder,
                        "puller.proto", "streamer.proto"], check=True)
        os.environ["E2E_PB"] = folder  # for the children
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
        return [importlib.import_module(name) for name in names]


puller_pb2, streamer_pb2 = load_protocols()


class Checks:
    """Counts what holds. Each check has a name; a failed one says what was seen."""

    def __init__(self):
        self.passed = self.failed = 0

    def that(self, holds, name, seen=""):
        if holds:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED: {name}" + (f": {seen!r}"[:2000] if seen != "" else ""), flush=True)
        return bool(holds)

    def equal(self, seen, wanted, name):
        return self.that(seen == wanted, f"{name}: wanted {wanted!r}"[:1000], seen)

    @contextlib.contextmanager
    def section(self, name):
        """An exception in a section is one failure; the other sections still run."""
        try:
            yield
        except Exception as error:  # pylint: disable=broad-except
            self.that(False, name, f"{type(error).__name__}: {error}")

    def finish(self):
        """The line of figures, and the exit status that a test's main is to return."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


class Process:
    """A child whose outputs are kept line by line, but for a stdout that goes elsewhere; it dies
    with us in every case."""

    alive = []

    def __init__(self, arguments, stdout=subprocess.PIPE, **options):
        guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        self.arguments = arguments
        self.lines = {"out": [], "err": []}
        self.changed = threading.Condition()
        self.child = subprocess.Popen(guard + arguments, stdin=subprocess.PIPE,
                                      stdout=stdout, stderr=subprocess.PIPE,
                                      encoding="utf-8", errors="replace", **options)
        Process.alive.append(self)
        self.readers = [threading.Thread(target=self.read, args=(name, pipe), daemon=True)
                        for name, pipe in (("out", self.child.stdout), ("err", self.child.stderr))
                        if pipe]
        for reader in self.readers:
            reader.start()

    def read(self, name, pipe):
        for line in pipe:
            with self.changed:
                self.lines[name].append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def wait_line(self, pattern, seconds=30, output="err"):
        """The match of the first line, of those so far and those to come, that has the pattern."""
        deadline = time.monotonic() + seconds
        seen = 0
        with self.changed:
            while True:
                lines = self.lines[output]
                for line in lines[seen:]:
                    found = re.search(pattern, line)
                    if found:
                        return found
                seen = len(lines)
                left = deadline - time.monotonic()
                ended = self.child.poll() is not None and not any(
                    reader.is_alive() for reader in self.readers)
                if left <= 0 or ended:
                    raise AssertionError(f"{self.arguments[:3]}: no {pattern!r}, status "
                                         f"{self.child.poll()}, wrote {self.tail()}")
                self.changed.wait(min(left, 0.2))

    def tail(self):
        return self.lines["out"][-3:] + self.lines["err"][-10:]

    def say(self, line):
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()

    def wait(self, seconds=30):
        """The exit status, once all output is read."""
        status = self.child.wait(seconds)
        for reader in self.readers:
            reader.join(5)
        return status

    def cpu_seconds(self):
        """User and system time so far."""
        with open(f"/proc/{self.child.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self, number=signal.SIGTERM, seconds=15):
        """Ends it, if it still runs, and gives its status."""
        if self.child.poll() is None:
            self.child.send_signal(number)
        try:
            return self.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.wait()

    @classmethod
    def end_all(cls):
        for process in cls.alive:
            if process.child.poll() is None:
                process.child.kill()
                process.child.wait()


atexit.register(Process.end_all)


def run(main):
    """Runs a test's main and ends with its status, whatever threads and children are left."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    status = 1
    try:
        status = main()
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else 1
        if ending.code and not isinstance(ending.code, int):
            print(ending.code, file=sys.stderr)
    except BaseException:  # pylint: disable=broad-except
        traceback.print_exc()
        print("0 passed, 1 failed", flush=True)
    finally:
        Process.end_all()
        if MADE_PROTOCOLS:
            shutil.rmtree(MADE_PROTOCOLS[0], True)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status or 0)  # a grpcio server's threads would be waited for


def serve(*options, listen="localhost:0"):
    """A running Streamer and its address."""
    process = Process([STREAMER, "serve", "--listen", listen, *options])
    found = process.wait_line(r"listening on (\S+):(\d+)")
    return process, f"localhost:{found.group(2)}"


def channel(address, options=()):
    return grpc.insecure_channel(address, options=[*CHANNEL_OPTIONS, *options])


def value(content):
    """A filter's Value of a Python value."""
    made = streamer_pb2.Value()
    if isinstance(content, bool):
        made.bool_value = content
    elif isinstance(content, int):
        made.int_value = content
    elif isinstance(content, float):
        made.double_value = content
    elif isinstance(content, str):
        made.string_value = content
    else:
        made.list_value.SetInParent()
        for item in content:
            made.list_value.values.append(value(item))
    return made


def subscribe(identifier, collection, *filters, database="default"):
    """A GatewayMessage; each filter is (field, op, Python value)."""
    message = streamer_pb2.GatewayMessage()
    request = message.subscribe
    request.subscription_id, request.collection = identifier, collection
    request.database = database
    for field, op, content in filters:
        request.filters.add(field=field, op=op).value.CopyFrom(value(content))
    return message


class Stream:
    """A gateway's stream. Messages are read as they come, unless reading is False."""

    def __init__(self, to, reading=True, **options):
        self.requests = queue.Queue()
        self.messages = queue.Queue()
        self.status = None
        self.ended = threading.Event()
        method = to.stream_stream(STREAM, request_serializer=self.serialize,
                                  response_deserializer=streamer_pb2.StreamerMessage.FromString)
        self.call = method(iter(self.requests.get, None), **options)
        if reading:
            self.read()

    @staticmethod
    def serialize(message):
        return message if isinstance(message, bytes) else message.SerializeToString()

    def read(self):
        threading.Thread(target=self.read_all, daemon=True).start()

    def read_all(self):
        try:
            for message in self.call:
                self.messages.put(message)
        except grpc.RpcError:
            pass
        self.status = self.call.code()
        self.ended.set()
        self.messages.put(None)

    def send(self, message):
        """A message, or the raw bytes of one."""
        self.requests.put(message)

    def receive(self, seconds=10):
        """The next message; None at the end of the stream."""
        try:
            return self.messages.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"no message within {seconds} s") from None

    def ask(self, message):
        """Sends a subscribe and gives its answer; deliveries before it are an error."""
        self.send(message)
        answer = self.receive()
        if answer is None or answer.WhichOneof("payload") != "subscribe_response":
            raise AssertionError(f"no answer but {answer} {self.status}")
        return answer.subscribe_response

    def delivery(self, seconds=10):
        message = self.receive(seconds)
        if message is None or message.WhichOneof("payload") != "delivery":
            raise AssertionError(f"no delivery but {message} {self.status}")
        return message.delivery

    def heartbeat(self, timestamp=1):
        """A round trip; gives the message that comes back."""
        message = streamer_pb2.GatewayMessage()
        message.heartbeat.timestamp = timestamp
        self.send(message)
        return self.receive()

    def half_close(self):
        self.requests.put(None)

    def end(self, seconds=10):
        """The status once the stream has ended."""
        if not self.ended.wait(seconds):
            raise AssertionError(f"the stream did not end within {seconds} s")
        return self.status

    def cancel(self):
        self.call.cancel()
        self.requests.put(None)
