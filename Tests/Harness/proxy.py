#!/usr/bin/env python3
"""A TCP proxy that breaks connections on demand: proxy.py HOST PORT

Prints {"port": N}, then answers each line on standard input with one JSON line: cut, freeze [to_broker|to_client],
resume, refuse, accept, statistics. Ends at end-of-file.
"""

import asyncio
import json
import socket
import struct
import sys


class Proxy:
    def __init__(self, host, port):
        self.upstream = (host, port)
        self.pairs = set()
        self.counts = {"accepted": 0, "to_broker": 0, "to_client": 0}
        self.flowing = {"to_broker": asyncio.Event(), "to_client": asyncio.Event()}
        self.port = 0
        self.resume()

    async def listen(self):
        self.server = await asyncio.start_server(self.connected, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def connected(self, client_reader, client_writer):
        self.counts["accepted"] += 1
        try:
            broker_reader, broker_writer = await asyncio.open_connection(*self.upstream)
        except OSError:
            client_writer.transport.abort()
            return
        pair = (client_writer, broker_writer)
        self.pairs.add(pair)
        try:
            await asyncio.gather(
                self.forward(client_reader, broker_writer, "to_broker"),
                self.forward(broker_reader, client_writer, "to_client"),
            )
        except OSError:
            reset(pair)
        finally:
            self.pairs.discard(pair)
            for writer in pair:
                writer.close()

    async def forward(self, reader, writer, direction):
        while data := await reader.read(1 << 16):
            await self.flowing[direction].wait()
            self.counts[direction] += len(data)
            writer.write(data)
            await writer.drain()
        await self.flowing[direction].wait()
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()

    def freeze(self, direction):
        for name, event in self.flowing.items():
            if direction in (name, "both"):
                event.clear()

    def resume(self):
        for event in self.flowing.values():
            event.set()

    async def command(self, name, *arguments):
        if name == "cut":
            # Whoever connects anew meanwhile is not meant.
            pairs = set(self.pairs)
            for pair in pairs:
                reset(pair)
            while pairs & self.pairs:
                self.resume_once()
                await asyncio.sleep(0)
        elif name == "freeze":
            self.freeze(arguments[0] if arguments else "both")
        elif name == "resume":
            self.resume()
        elif name == "refuse":
            self.server.close()
        elif name == "accept":
            await self.listen()
        elif name == "statistics":
            return dict(self.counts, open=len(self.pairs))
        else:
            return {"error": "unknown command %s" % name}
        return {}

    def resume_once(self):
        """Lets forwarders that wait in a freeze notice that their connection is gone, and freezes again."""
        frozen = [event for event in self.flowing.values() if not event.is_set()]
        self.resume()
        for event in frozen:
            event.clear()


def reset(pair):
    for writer in pair:
        connection = writer.get_extra_info("socket")
        if connection is not None and connection.fileno() >= 0:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


async def main(host, port):
    proxy = Proxy(host, int(port))
    await proxy.listen()
    print(json.dumps({"port": proxy.port}), flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        print(json.dumps(await proxy.command(*line.decode().split())), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
