"""What stands between two processes and damages their connections as it is told.

Every Proxy listens on a port of its own and passes on to one address. All of them run on one
thread; the commands may be called from any.
"""

import asyncio
import contextlib
import socket
import threading

CHUNK = 16384


class Link:
    """One connection that passes through: the writers to who connected, and to the target."""

    def __init__(self, near, far):
        self.sides = (near, far)
        self.cut_after = None  # bytes that still pass, then it is cut
        self.half_closed = None  # the writer to whom nothing goes any more
        self.ended = asyncio.Event()

    @property
    def is_damaged(self):
        return self.half_closed is not None or self.cut_after is not None

    def abort(self):
        self.ended.set()
        for writer in self.sides:
            writer.transport.abort()


class Loop:
    """The thread of the proxies."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def call(self, function, *arguments):
        self.loop.call_soon_threadsafe(function, *arguments)

    def wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)


class Proxy:
    """Passes on to `target`, a port of this host that may change its owner."""

    def __init__(self, loop, target=0):
        self.loop = loop
        self.target = target
        self.links = set()
        self.delay = 0.0  # seconds that each chunk waits
        self.refuses = False
        self.flows = None
        self.port = loop.wait(self.listen())
        self.address = f"127.0.0.1:{self.port}"

    async def listen(self):
        self.flows = asyncio.Event()
        self.flows.set()
        server = await asyncio.start_server(self.pass_on, "127.0.0.1", 0, limit=CHUNK)
        return server.sockets[0].getsockname()[1]

    async def pass_on(self, reader, writer):
        if self.refuses:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target,
                                                                   limit=CHUNK)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, far_writer)
        for side in link.sides:
            side.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.links.add(link)
        await asyncio.gather(self.pump(link, reader, far_writer),
                             self.pump(link, far_reader, writer))
        self.links.discard(link)

    async def pump(self, link, reader, writer):
        """One way of a connection; it ends with both, however one of them ends."""
        with contextlib.suppress(OSError):
            while not link.ended.is_set():
                data = await reader.read(CHUNK)
                await self.flows.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                if not data and link.half_closed is None:
                    break
                if not data:
                    await link.ended.wait()  # as if the network had eaten it
                elif link.half_closed is not writer:
                    await self.write(link, writer, data)
        link.abort()

    @staticmethod
    async def write(link, writer, data):
        if link.cut_after is not None:
            data = data[:link.cut_after]
            link.cut_after -= len(data)
        writer.write(data)
        await writer.drain()
        if link.cut_after == 0:
            writer.close()  # what came before the cut arrives
            await writer.wait_closed()
            link.abort()

    # ---- commands, from any thread ---------------------------------------------------------------

    def cut(self):
        """All connections are reset."""
        self.loop.call(self.abort_all)

    def abort_all(self):
        for link in list(self.links):
            link.abort()

    def cut_within(self, count):
        """They end after so many bytes more, wherever in a frame that is."""
        self.loop.call(self.mark, count)

    def mark(self, count):
        for link in self.links:
            if link.cut_after is None:
                link.cut_after = count

    def half_close(self, side):
        """One of the two (0: who connected) sees the end, and what it sends goes nowhere new."""
        self.loop.call(self.close_half, side)

    def close_half(self, side):
        for link in self.links:
            if link.half_closed is None:
                link.half_closed = link.sides[side]
                with contextlib.suppress(OSError):  # it may be gone, and nobody has seen it yet
                    link.half_closed.write_eof()

    def stall(self, is_stalled):
        self.loop.call(self.flows.clear if is_stalled else self.flows.set)

    def heal(self):
        """From now on all is passed on; what was damaged is ended."""
        self.delay, self.refuses = 0.0, False
        self.loop.call(self.flows.set)
        self.loop.call(self.end_damaged)

    def end_damaged(self):
        for link in list(self.links):
            if link.is_damaged:
                link.abort()
