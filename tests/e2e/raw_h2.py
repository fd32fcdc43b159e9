"""An HTTP/2 peer made of frames, which does exactly what it is told: it grants no window, answers
no PING and ends no header unless asked to. Headers go out as literals; those that come are read
with hpack."""

import socket
import struct
import threading

import hpack

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 3, 4, 6, 7, 8, 9)
END_STREAM = ACK = 1
END_HEADERS = 4
INITIAL_WINDOW_SIZE = 4
CANCEL, ENHANCE_YOUR_CALM = 8, 11
WINDOW = 65535  # before anybody says anything
FRAME = 16384
STREAM = "/syntrix.streamer.v1.StreamerService/Stream"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def integer(number, bits):
    """HPACK's, for fewer than 16384 + 127."""
    most = (1 << bits) - 1
    if number < most:
        return bytes([number])
    number -= most
    made = bytes([most])
    while number > 127:
        made += bytes([number & 127 | 128])
        number >>= 7
    return made + bytes([number])


def field(name, content):
    name, content = name.encode(), content.encode()
    return b"\0" + integer(len(name), 7) + name + integer(len(content), 7) + content


def request(method=STREAM):
    return b"".join(field(*pair) for pair in (
        (":method", "POST"), (":scheme", "http"), (":path", method), (":authority", "raw"),
        ("te", "trailers"), ("content-type", "application/grpc")))


def prefixed(message):
    return b"\0" + struct.pack(">I", len(message)) + message


class Call:
    """What has come of one stream."""

    def __init__(self, window):
        self.window = window  # of ours to send
        self.data = bytearray()
        self.taken = 0
        self.headers = {}
        self.reset = None

    def messages(self):
        """Whole messages that were not given before."""
        made = []
        while len(self.data) - self.taken >= 5:
            size = int.from_bytes(self.data[self.taken + 1:self.taken + 5], "big")
            if len(self.data) - self.taken - 5 < size:
                break
            made.append(bytes(self.data[self.taken + 5:self.taken + 5 + size]))
            self.taken += 5 + size
        return made

    def status(self):
        return self.headers.get("grpc-status")


class Peer:
    """One connection. window: of each stream, for what comes; grants: whether a window is opened
    again by what came; acks: whether PINGs are answered; reads: whether the socket is read."""

    def __init__(self, address, window=WINDOW, grants=True, acks=True, reads=True):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), 10)
        self.socket.settimeout(None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.grants, self.acks = grants, acks
        self.changed = threading.Condition()
        self.sending = threading.Lock()
        self.calls = {}
        self.next_stream = 1
        self.window = self.stream_window = WINDOW
        self.decoder = hpack.Decoder()
        self.pings = 0
        self.goaway = None
        self.settled = False  # the other side's settings have come and are acknowledged
        self.closed = False
        settings = struct.pack(">HI", INITIAL_WINDOW_SIZE, window)
        self.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, settings))
        if reads:
            self.read()
            self.wait(lambda: self.settled or self.closed, "settings")

    def raw(self, content):
        """False: the other side is gone."""
        try:
            with self.sending:
                self.socket.sendall(content)
            return True
        except OSError:
            return False

    def send(self, kind, flags, stream, payload=b""):
        return self.raw(frame(kind, flags, stream, payload))

    def begin(self):
        """A stream's number, with nothing sent yet."""
        stream = self.next_stream
        self.next_stream += 2
        with self.changed:
            self.calls[stream] = Call(self.stream_window)
        return stream

    def open(self, method=STREAM):
        stream = self.begin()
        self.send(HEADERS, END_HEADERS, stream, request(method))
        return stream

    def data(self, stream, content, seconds=20):
        """Bytes, as the other side's windows let them go; False: it is closed or reset."""
        call, at = self.calls[stream], 0
        while at < len(content):
            self.wait(lambda: min(call.window, self.window) > 0 or self.is_over(call),
                      "a window", seconds)
            if self.is_over(call):
                return False
            size = min(call.window, self.window, len(content) - at, FRAME)
            with self.changed:
                call.window -= size
                self.window -= size
            if not self.send(DATA, 0, stream, content[at:at + size]):
                return False
            at += size
        return True

    def say(self, stream, message):
        return self.data(stream, prefixed(message))

    def is_over(self, call):
        return self.closed or call.reset is not None or call.status() is not None

    def reset(self, stream, code=CANCEL):
        return self.send(RST_STREAM, 0, stream, struct.pack(">I", code))

    def wait(self, predicate, what, seconds=20):
        with self.changed:
            if not self.changed.wait_for(predicate, seconds):
                raise AssertionError(f"no {what} within {seconds} s")

    def receive(self, stream, count, seconds=30):
        """That many messages, or those until the end of the stream."""
        got = []

        def enough():
            got.extend(self.calls[stream].messages())
            return len(got) >= count or self.is_over(self.calls[stream])
        self.wait(enough, f"{count} messages", seconds)
        return got

    def end(self, stream, seconds=20):
        """(grpc-status, error code of a reset) once there is either, or the connection's end."""
        call = self.calls[stream]
        self.wait(lambda: self.is_over(call), "end of the stream", seconds)
        return call.status(), call.reset

    def wait_closed(self, seconds=20):
        self.wait(lambda: self.closed, "end of the connection", seconds)

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    # ---- what comes ------------------------------------------------------------------------------

    def read(self):
        threading.Thread(target=self.read_all, daemon=True).start()

    def exactly(self, size):
        content = bytearray()
        while len(content) < size:
            more = self.socket.recv(size - len(content))
            if not more:
                raise EOFError
            content += more
        return bytes(content)

    def read_all(self):
        try:
            while True:
                head = self.exactly(9)
                kind, flags, stream = struct.unpack(">BBI", head[3:])
                payload = self.exactly(int.from_bytes(head[:3], "big"))
                with self.changed:
                    self.take(kind, flags, stream, payload)
                    self.changed.notify_all()
        except (EOFError, OSError):
            with self.changed:
                self.closed = True
                self.changed.notify_all()

    def take(self, kind, flags, stream, payload):
        call = self.calls.get(stream)
        if kind == DATA:
            self.take_data(stream, call, payload)
        elif kind == HEADERS:
            fields = self.decoder.decode(payload)
            if call:
                call.headers.update(fields)
        elif kind == RST_STREAM and call:
            call.reset = int.from_bytes(payload, "big")
        elif kind == SETTINGS and not flags & ACK:
            self.take_settings(payload)
        elif kind == PING and not flags & ACK:
            self.pings += 1
            if self.acks:
                self.send(PING, ACK, 0, payload)
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")
        elif kind == WINDOW_UPDATE:
            more = int.from_bytes(payload, "big")
            if stream == 0:
                self.window += more
            elif call:
                call.window += more

    def take_settings(self, payload):
        for identifier, content in struct.iter_unpack(">HI", payload):
            if identifier == INITIAL_WINDOW_SIZE:
                for call in self.calls.values():
                    call.window += content - self.stream_window
                self.stream_window = content
        self.settled = self.send(SETTINGS, ACK, 0)

    def take_data(self, stream, call, payload):
        if call:
            call.data += payload
        if self.grants and payload:
            more = struct.pack(">I", len(payload))
            self.raw(frame(WINDOW_UPDATE, 0, 0, more) + frame(WINDOW_UPDATE, 0, stream, more))
