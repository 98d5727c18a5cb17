#!/usr/bin/env python3
"""A line between two ports of this machine: as fast as it is said to be, and as far.

    tests/bench/line.py --to HOST:PORT [--bits PER-SECOND] [--round-trip SECONDS] [--last FILE]

Passes connections on to HOST:PORT and prints the address to connect to. What comes back passes a token bucket that all
connections share; what goes there is short and does not. Every byte takes half of the round trip, either way, and the first
ones of a connection a round trip more, for the handshake that loopback answers at once. There is no slow start: a real
line is slower for whoever opens many connections. FILE holds the time (CLOCK_MONOTONIC) at which the last byte came
back. Ends when standard input does, so with whoever has started it.
"""

import argparse
import contextlib
import os
import queue
import socket
import sys
import threading
import time

# Most connections at a time, and pieces of each that are on their way; both bound memory.
CONNECTIONS = 128
PIECES = 64
PIECE = 256 << 10
# What may pass at once after a pause, in seconds of the line.
BURST = 0.002


class Bucket:
    """Says when bytes have passed a line of so many bits per second."""

    def __init__(self, bits):
        self.bytes = bits / 8
        self.free = 0.0
        self.lock = threading.Lock()

    def take(self, count):
        with self.lock:
            self.free = max(self.free, time.monotonic() - BURST) + count / self.bytes
            return self.free


class Unpaced:
    def take(self, _):
        return time.monotonic()


class Direction:
    """One direction of one connection: a thread that receives, and one that sends when the bytes are due."""

    def __init__(self, source, sink, bucket, piece, delay, first=0.0, passed=None):
        self.source, self.sink, self.bucket, self.piece = source, sink, bucket, piece
        self.delay, self.first, self.passed = delay, first, passed
        self.pieces = queue.Queue(PIECES)
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self.receive, self.send)]

    def receive(self):
        first, data = self.first, b"?"
        while data:
            try:
                data = self.source.recv(self.piece)
            except OSError:
                data = b""
            due = self.bucket.take(len(data)) + self.delay + first
            first = 0.0
            self.pieces.put((due, data))

    def send(self):
        data, dead = b"?", False
        while data:
            due, data = self.pieces.get()
            wait = due - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            # After an error the rest is taken and thrown away, so that nobody waits for a place in the queue.
            with contextlib.suppress(OSError):
                if dead or not data:
                    self.sink.shutdown(socket.SHUT_WR)
                    continue
                dead = True
                self.sink.sendall(data)
                dead = False
                if self.passed:
                    self.passed()


class Line:
    def __init__(self, given):
        host, port = given.to.rsplit(":", 1)
        self.to, self.trip = (host, int(port)), given.round_trip
        self.bucket = Bucket(given.bits) if given.bits else Unpaced()
        # A piece that takes longer than some milliseconds would pass at once where a line is even.
        self.piece = min(PIECE, max(4096, int(given.bits / 8 * 0.004))) if given.bits else PIECE
        self.last = os.open(given.last, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644) if given.last else None
        self.places = threading.Semaphore(CONNECTIONS)

    def passed(self):
        if self.last is not None:
            os.pwrite(self.last, b"%020.6f" % time.monotonic(), 0)

    def connection(self, client):
        with self.places, client:
            try:
                server = socket.create_connection(self.to)
            except OSError as error:
                print(f"line: {error}", file=sys.stderr)
                return
            with server:
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                there = Direction(client, server, Unpaced(), PIECE, self.trip / 2, first=self.trip)
                back = Direction(server, client, self.bucket, self.piece, self.trip / 2, passed=self.passed)
                threads = there.threads + back.threads
                for thread in threads:
                    thread.start()
                for thread in back.threads:
                    thread.join()
                # Who asked may not hang up by itself.
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
                for thread in threads:
                    thread.join()

    def accept(self, listener):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=self.connection, args=(client,), daemon=True).start()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", required=True)
    parser.add_argument("--bits", type=float, default=0)
    parser.add_argument("--round-trip", type=float, default=0.0)
    parser.add_argument("--last")
    line = Line(parser.parse_args())
    with socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS) as listener:
        threading.Thread(target=line.accept, args=(listener,), daemon=True).start()
        print("127.0.0.1:%d" % listener.getsockname()[1], flush=True)
        sys.stdin.buffer.read()
        # Threads that wait for a peer are nobody's business any more.
        os._exit(0)


main()
