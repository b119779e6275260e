"""Slow and faulty clients of a server, as a process of their own: `python crowd.py PORT SLOW MALFORMED SECONDS SEED`.

SLOW clients send half a request, or a byte a second, and connect again when the server closes the connection. Meanwhile
MALFORMED requests are sent, one after the other over SECONDS, each of which the server must refuse with a certain status.
Prints one line of JSON: how the slow connections ended, and which malformed requests were answered otherwise.
"""

import collections
import gzip
import json
import random
import re
import select
import socket
import sys
import threading
import time

POST = b"POST /predict HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
GET = b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
REST = (0.5, 1.5)  # a slow client connects again after so many seconds, drawn at random

SLOW = {  # name -> (what is sent at once, whether a byte a second follows)
    "says nothing": (b"", False),
    "half a header": (b"POST /predict HTTP/1.1\r\nHost: a\r\nX-", False),
    "half a body": (POST + b"Content-Length: 999999\r\n\r\n{", False),
    "half a chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{", False),
    "a header a byte a second": (b"POST /predict HTTP/1.1\r\nHost: a\r\nX-", True),
    "a body a byte a second": (POST + b"Content-Length: 999999\r\n\r\n{", True),
}


def _with_body(body, header=b""):
    return POST + header + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _instances(text):
    return _with_body(b'{"instances": [' + text + b"]}")


MALFORMED = {  # name -> (function of a random generator that makes the bytes, status of the answer)
    "noise": (lambda rng: rng.randbytes(rng.randint(1, 500)) + b"\x00\r\n\r\n", 400),
    "TLS": (lambda rng: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(64) + b"\r\n\r\n", 400),
    "blank lines": (lambda rng: b"\r\n" * rng.randint(2, 9), 400),
    "no version": (lambda rng: b"GET /health\r\n\r\n", 400),
    "another version": (lambda rng: b"GET /health HTTP/%d.0\r\nHost: a\r\n\r\n" % rng.randint(2, 9), 505),
    "HTTP/2": (lambda rng: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + rng.randbytes(30), 505),
    "no method": (lambda rng: b" /health HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a path with spaces": (lambda rng: b"GET /hea lth HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a path beyond ASCII": (lambda rng: "GET /gesundheitsprüfung HTTP/1.1\r\nHost: a\r\n\r\n".encode(), 400),
    "no host": (lambda rng: b"GET /health HTTP/1.1\r\n\r\n", 400),
    "two hosts": (lambda rng: GET + b"Host: b\r\n\r\n", 400),
    "no colon": (lambda rng: GET + b"nothing\r\n\r\n", 400),
    "space before colon": (lambda rng: GET + b"a : b\r\n\r\n", 400),
    "no name": (lambda rng: GET + b": b\r\n\r\n", 400),
    "a zero byte": (lambda rng: GET + b"a: b\x00c\r\n\r\n", 400),
    "a folded first line": (lambda rng: b"GET /health HTTP/1.1\r\n folded: a\r\n\r\n", 400),
    "a long line": (lambda rng: GET + b"a: " + b"b" * rng.randint(20_000, 300_000) + b"\r\n\r\n", 431),
    "a long path": (lambda rng: b"GET /" + b"b" * rng.randint(20_000, 300_000) + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    "many lines": (lambda rng: GET + b"a: b\r\n" * rng.randint(4000, 9000) + b"\r\n", 431),
    "no length": (lambda rng: POST + b"Content-Length: %s\r\n\r\n" % rng.choice([b"-1", b"x", b"1e3", b"0x9", b"9" * 30]), 400),
    "two lengths": (lambda rng: POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy", 400),
    "zipped chunks": (lambda rng: POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "two encodings": (lambda rng: POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
    "no chunk's size": (lambda rng: POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    "a chunk's size too small": (lambda rng: POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabcdef\r\n", 400),
    "expecting, no chunk": (lambda rng: POST + b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    "no path of ours": (lambda rng: b"GET /%d HTTP/1.0\r\n\r\n" % rng.randint(0, 99), 404),
    "no method of ours": (lambda rng: b"%s /predict HTTP/1.0\r\n\r\n" % (b"B" * rng.randint(1, 9000)), 405),
    "CONNECT": (lambda rng: b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
    "an upgrade": (lambda rng: b"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: h2c\r\n\r\n", 404),
    "no JSON type": (lambda rng: b"POST /predict HTTP/1.0\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\n{}", 415),
    "no body": (lambda rng: _with_body(b""), 400),
    "noise as body": (lambda rng: _with_body(rng.randbytes(rng.randint(1, 500))), 400),
    "zipped": (lambda rng: _with_body(gzip.compress(b'{"instances": ["a"]}'), b"Content-Encoding: gzip\r\n"), 400),
    "cut": (lambda rng: _with_body(b'{"instances": ["a"]}'[: rng.randint(1, 19)]), 400),
    "deep": (lambda rng: _with_body(b"[" * rng.randint(10_000, 100_000)), 400),
    "long numbers": (lambda rng: _instances(b"1" * rng.randint(5000, 9000)), 400),
    "no numbers": (lambda rng: _instances(rng.choice([b"NaN", b"Infinity", b"-Infinity", b"1e999"])), 400),
    "half a surrogate pair": (lambda rng: _instances(b'"\\ud8%02x"' % rng.randint(0, 255)), 400),
    "no UTF-8": (lambda rng: _instances(b'"\xff"'), 400),
    "two byte order marks": (lambda rng: _with_body(b"\xef\xbb\xbf" * 2 + b'{"instances": ["a"]}'), 400),
    "another kind": (lambda rng: _with_body(rng.choice([b"null", b"[]", b"7", b'"a"', b"true", b"{}"])), 400),
    "too many": (lambda rng: _instances(b",".join([b'"a"'] * rng.randint(129, 999))), 400),
    "too long": (lambda rng: _with_body(b"x" * rng.randint(1_500_001, 1_600_000)), 413),
    "ended early": (lambda rng: POST + b"Content-Length: 99\r\n\r\n" + b"{" * rng.randint(0, 98), 400),
}  # fmt: skip


def send(port, data):
    """Sends bytes, and then that nothing follows; returns the answer's status and body, or 0 and what came instead."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    header, _, body = received.partition(b"\r\n\r\n")
    if header.startswith(b"HTTP/1.1 100"):
        header, _, body = body.partition(b"\r\n\r\n")
    found = re.match(rb"HTTP/1\.1 (\d+) ", header)
    return (int(found[1]), body) if found else (0, received)


def is_reason(body):
    """Whether a body is `{"error": TEXT}`, with a text of 1 to 1,000 characters."""
    try:
        (pair,) = json.loads(body).items()
    except (ValueError, AttributeError):
        return False
    return pair[0] == "error" and isinstance(pair[1], str) and 0 < len(pair[1]) <= 1000


class SlowClient:
    """A client that holds a connection open with half a request until the server closes it, and then connects again.

    Args:
        port: the server's.
        kind: a key of `SLOW`.
        ends: kind -> status, or "closed" -> seconds that each connection lasted; filled in here.
        rng: chooses how long it waits before it connects again.
    """

    def __init__(self, port, kind, ends, rng):
        self._port, self._kind, self._ends, self._rng = port, kind, ends, rng
        self.connection, self._begun, self._next, self._received = None, 0.0, 0.0, b""

    def step(self, now):
        """Connects, or sends the next byte, where it is time to."""
        begin, drips = SLOW[self._kind]
        try:
            if self.connection is None:
                if now >= self._next:
                    self.connection = socket.create_connection(("127.0.0.1", self._port), timeout=5)
                    self.connection.setblocking(False)
                    self._begun, self._next, self._received = now, now + 1, b""
                    self.connection.sendall(begin)
            elif drips and now >= self._next:
                self._next = now + 1
                self.connection.sendall(b"a")
        except OSError:
            self.end(now)

    def read(self, now):
        """Reads what the server sent; counts the connection where it has ended."""
        try:
            data = self.connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._received += data
        if not data:
            self.end(now)

    def end(self, now):
        """Closes the connection and notes its answer and how long it lasted."""
        if self.connection:
            self.connection.close()
        answer = self._received.split(b" ")[1].decode() if self._received else "closed"
        self._ends[self._kind][answer].append(now - self._begun)
        self.connection, self._next = None, now + self._rng.uniform(*REST)


def be_slow(port, count, over, ends, rng):
    """Runs the slow clients until `over` is set."""
    clients = [SlowClient(port, kind, ends, rng) for _ in range(count) for kind in SLOW][:count]
    while not over.is_set():
        now = time.monotonic()
        for client in clients:
            client.step(now)
        waiting = {client.connection.fileno(): client for client in clients if client.connection}
        watched = select.poll()
        for number in waiting:
            watched.register(number, select.POLLIN)
        for number, _ in watched.poll(50):
            waiting[number].read(time.monotonic())
    for client in clients:
        if client.connection:
            client.connection.close()


def main(port, slow, malformed, seconds, seed):
    """Runs the slow clients in a thread and sends the malformed requests in this one; prints the outcome."""
    ends = collections.defaultdict(lambda: collections.defaultdict(list))
    over, rng, wrong, busy = threading.Event(), random.Random(seed), [], 0
    thread = threading.Thread(target=be_slow, args=(port, slow, over, ends, random.Random(seed)))
    thread.start()
    began, shapes = time.monotonic(), sorted(MALFORMED)
    for number in range(malformed):
        make, expected = MALFORMED[shapes[number % len(shapes)]]
        try:
            status, body = send(port, make(rng))
        except OSError as error:
            wrong.append((shapes[number % len(shapes)], repr(error)))
            continue
        if status == 503:
            busy += 1
        elif status != expected or not is_reason(body):
            wrong.append((shapes[number % len(shapes)], status, body[:100].decode("latin-1")))
        time.sleep(max(0.0, began + (number + 1) * seconds / max(malformed, 1) - time.monotonic()))
    time.sleep(max(0.0, began + seconds - time.monotonic()))
    over.set()
    thread.join()
    told = {
        kind: {answer: (len(times), round(max(times), 1)) for answer, times in sorted(answers.items())}
        for kind, answers in ends.items()
    }
    result = {"sent": malformed, "wrong": wrong[:10], "wrong_count": len(wrong), "busy": busy, "slow": told}
    print(json.dumps({**result, "seconds": round(time.monotonic() - began, 1)}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
