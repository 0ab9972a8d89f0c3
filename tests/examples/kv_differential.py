#!/usr/bin/env python3
"""Sends the same bytes to a Redis server and to kv_server, and compares what comes back, byte by byte
(but for the seconds that a key has left, which pass between the two).

    tests/examples/kv_differential.py redis-server build/release/examples/kv_server [--seed 1] [--random 2000]

It starts both programs, on a socket file and on a port that the system chooses, and ends them. Replies without a defined order
(KEYS of several keys) are not asked for. Exit status: 0 if all replies agree and kv_server ended as it should, else 1.
"""

import argparse
import contextlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile


def command(*args):
    """One RESP2 request; arguments are bytes or text."""
    raw = [a if isinstance(a, bytes) else str(a).encode() for a in args]
    return b"*%d\r\n" % len(raw) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in raw)


def words(text):
    return command(*text.split(" "))


# A conversation is a list of chunks, sent one after the other; a fresh connection each. It ends with the answer to a marker or
# with a close; None at its end: no marker.
PROTOCOL = [
    [b"PING\r\n"], [b"ping\n"], [b"\r\n\r\nPING\r\n"], [b"   \r\nPING\r\n"], [b"*0\r\nPING\r\n"], [b"*-5\r\nPING\r\n"],
    [b"*a\r\n"], [b"*\r\n"], [b"*+1\r\n"], [b"*01\r\n"], [b"*-0\r\n"], [b"*99999999999\r\n"],
    [b"*9999999999999999999999\r\n"], [b"*1\r\nPING\r\n"], [b"*1\r\n\r\n"], [b"*2\r\n:3\r\n"],
    [b"*1\r\n$-1\r\n"], [b"*1\r\n$a\r\n"], [b"*1\r\n$\r\n"], [b"*1\r\n$ 4\r\n"], [b"*1\r\n$04\r\nPING\r\n"],
    [b"*1\r\n$536870913\r\n"], [b"*1\r\n$0\r\n\r\n"], [b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n"],
    [b"*1\rx$4\r\nPING\r\n"], [b"*", b"1", b"\r", b"\n", b"$4\r", b"\nPI", b"NG", b"\r", b"\n"],
    # Without a marker behind them: Redis would take a long line as valid if its end came with the same read.
    [b"a" * 70000, None], [b"*" + b"1" * 70000, None], [b"*1\r\n$" + b"1" * 70000, None],
    [b"*1\r\n$4\r\nPING\r\n*1\r\n$z\r\n"], [b"GET\r\nPING\r\n"], [b"QUIT\r\nPING\r\n"],
    [b'PING "f\\x41o\\n\\q\\r\\t\\b\\a\\\\\\""\r\n'], [b"PING 'it\\'s \\n'\r\n"], [b'PING "foo\r\n'], [b'PING "foo"x\r\n'],
    [b"ECHO 'a'b\r\n"], [b'ECHO a"b"\r\n'], [b'ECHO ""\r\n'], [b"ECHO a\\ b\r\n"], [b'ECHO "\\xzz\\x4"\r\n'],
    [b"PING\rECHO\r\n"], [b"ECHO\va\r\n"], [b"PING \x80\xff\r\n"],
    [command("ECHO", b"x" * 100000)], [command("SET", "big", b"v" * 300000) + words("STRLEN big") + words("GET big")],
]

SCRIPTED = [line for line in """
FOO|FOO a b|FOO aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b|FOO aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb c|foo "q"|GET|GET a b|SET a|ECHO|ECHO a b|PING a b|PING a
SET k v|GET k|GET none|STRLEN k|STRLEN none|TYPE k|TYPE none|EXISTS k k none|DEL k k none|DBSIZE
SET k v NX|SET k w NX|GET k|SET k x XX|GET k|SET none x XX|SET k y NX XX|SET k y XX NX|SET k y FOO|SET k y EX
SET k z GET|GET k|SET k2 z GET|SET k3 q XX GET|SET k4 q NX GET|SET k4 r NX GET|GET k4|set k4 s xx get|GET k4
SET k v EX 100|TTL k|SET k v KEEPTTL|TTL k|SET k v|TTL k|SET k v PX 100000|TTL k|SET k v EXAT 99999999999|SET k v PXAT 99999999999999
SET k v EX 0|SET k v EX -1|SET k v EX abc|SET k v EX 9223372036854775807|SET k v PX 9223372036854775807|SET k v EX 9223372036854776
SET k v EXAT 0|SET k v PXAT -5|SET k v EX 10 PX 10|SET k v EX 10 KEEPTTL|SET k v KEEPTTL EX 10|SET k v KEEPTTL KEEPTTL|SET k v GET GET
SET k v NX NX|SET k v EX 10 NX EX|SET k v EXAT 9223372036854775807|SET k v PXAT 9223372036854775807|SET k v EX 01|SET k v EX 10 10
SET k v PXAT 1|GET k|EXISTS k|TTL k|SET k v EXAT 1|GET k
INCR n|INCR n|DECR n|INCRBY n 10|DECRBY n 3|GET n|INCRBY n abc|INCRBY n 1.5|INCRBY n|INCR n n|DECRBY n -9223372036854775808
SET n 9223372036854775807|INCR n|GET n|DECR n|SET n -9223372036854775808|DECR n|DECRBY n 1|INCRBY n -1|INCR n
SET n 01|INCR n|SET n +1|INCR n|SET n -0|INCR n|SET n -|INCR n|SET n 9223372036854775808|INCR n|INCRBY n 9223372036854775808
SET n 5 EX 100|INCR n|TTL n|APPEND n 7|GET n|TTL n|INCR n|APPEND fresh abc|APPEND fresh def|GET fresh|APPEND fresh
MSET a 1 b 2 c 3|MGET a b c none a|MSET a|MSET a 1 b|MSET a 1 a 2|GET a|MGET|MGET none|SET a x EX 100|MSET a 1|TTL a
EXPIRE a 100|TTL a|PERSIST a|PERSIST a|TTL a|PERSIST none|TTL none|PTTL none|EXPIRE none 100|EXPIRE a abc|EXPIRE a
EXPIRE a 9223372036854775807|PEXPIRE a 9223372036854775807|EXPIRE a -9223372036854775808|PEXPIRE a 9999999999999|TTL a
EXPIRE a 0|GET a|SET a 1|EXPIRE a -1|EXISTS a|SET a 1|PEXPIRE a -9223372036854775808|EXISTS a
SET a 1|EXPIRE a 100 NX|EXPIRE a 200 NX|TTL a|EXPIRE a 50 XX|TTL a|EXPIRE a 40 GT|EXPIRE a 60 GT|TTL a|EXPIRE a 70 LT|EXPIRE a 20 LT|TTL a
PERSIST a|EXPIRE a 10 GT|EXPIRE a 10 XX|EXPIRE a 10 LT|TTL a|EXPIRE a 10 NX XX|EXPIRE a 10 GT LT|EXPIRE a 10 FOO|EXPIRE a 9 XX GT|EXPIRE a 30 XX GT|EXPIRE a abc NX XX
FLUSHALL|KEYS *|SET hello 1|KEYS h?llo|KEYS h[ae]llo|KEYS h[^e]llo|KEYS h[a-f]llo|KEYS h\\ello|KEYS [h|KEYS h*o|KEYS *l*l*|KEYS nope|KEYS h[f-a]llo|KEYS hel[|KEYS hello**
FLUSHDB|DBSIZE|FLUSHALL ASYNC|FLUSHALL SYNC|FLUSHALL FOO|FLUSHDB FOO BAR|SELECT 0|SELECT 16|SELECT -1|SELECT abc|SELECT
CONFIG|CONFIG GET|CONFIG FOO|CONFIG GET save|CONFIG GET appendonly|CONFIG GET no-such-thing|CONFIG GET APPENDONLY
CLIENT|CLIENT FOO|CLIENT GETNAME|CLIENT SETNAME bob|CLIENT GETNAME|CLIENT SETNAME|CLIENT ID x|CLIENT GETNAME x|COMMAND FOO|HELLO 4|HELLO abc|HELLO 2 FOO|HELLO 1
QUIT|PING
""".strip().splitlines()]


# A key's lifetime in the random conversations, in seconds or milliseconds: its two figures are far from every other number that
# the conversations can compute, and from each other. Two lifetimes that are equal would compare (GT, LT) by the milliseconds
# between two commands.
LIFETIME, STEP, LIFETIMES = 500_000_000, 36_000, 10_000


def lifetime(rng):
    return str(LIFETIME + STEP * rng.randrange(LIFETIMES))


def without_time(answer):
    """The two servers are asked one after the other, so of the time that a key has left they answer different numbers: near a
    half second by one, more on a machine that paused. What is left of a lifetime stands for all of it."""
    def whole(match):
        left = int(match[1])
        for unit in (1, 1000):
            start, step = LIFETIME // unit, STEP // unit
            steps = -(-(left - start) // step)
            if 0 <= steps < LIFETIMES:
                return b":%d" % (start + step * steps)
        return match[0]

    text, state = answer
    return re.sub(rb":(\d+)(?=\r\n)", whole, text), state


class server:
    """A program that serves; `ready` is a pattern of the line that says so, and its group the port (without one: a socket file)."""

    def __init__(self, command_line, ready, socket_file=None):
        self.program = subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said = ""
        for line in self.program.stdout:
            self.said += line
            found = re.search(ready, line)
            if found:
                self.address = socket_file or ("127.0.0.1", int(found.group(1)))
                return
        raise RuntimeError("%s did not start:\n%s" % (command_line[0], self.said))

    def connect(self):
        if isinstance(self.address, str):
            link = socket.socket(socket.AF_UNIX)
        else:
            link = socket.socket(socket.AF_INET)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.connect(self.address)
        return link

    def end(self):
        """Its exit status."""
        self.program.send_signal(signal.SIGTERM)
        self.said += self.program.communicate()[0]
        return self.program.returncode

    def talk(self, chunks):
        """All that the server answers to the chunks, and how the connection ended."""
        with self.connect() as link:
            answer = bytearray()
            marker = b"end-of-conversation"
            try:
                for chunk in chunks:
                    if chunk is not None:
                        link.sendall(chunk)
                if chunks[-1] is not None:
                    link.sendall(command("ECHO", marker))
            except OSError:
                pass
            try:
                while not answer.endswith(marker + b"\r\n"):
                    piece = link.recv(1 << 16)
                    if not piece:
                        return bytes(answer), "closed"
                    answer += piece
            except ConnectionResetError:
                return bytes(answer), "closed"
            return bytes(answer), "open"


def random_conversation(rng):
    keys = ["k%d" % i for i in range(8)]
    # No expiry that could pass between the two servers' turns: it is far away, or past.
    expiries = ["0", "-1", "abc", "9223372036854775807", "-9223372036854775808", ""]
    numbers = ["0", "-1", "1000000", "abc", "9223372036854775807", "-9223372036854775808", "5000000", ""]
    values = ["", "a", "12", "-7", "x" * 20, b"\x00\xff\r\n", "9" * 18]
    options = ["NX", "XX", "GET", "KEEPTTL", "EX", "PX", "EX", "nx", "ex", "0"]

    def pick(*pools):
        return rng.choice(rng.choice(pools))

    def pick_or_lifetime(pool):
        return lifetime(rng) if rng.random() < 0.3 else pick(pool)

    makers = [
        lambda: ["GET", pick(keys)], lambda: ["SET", pick(keys), pick(values)],
        lambda: ["SET", pick(keys), pick(values)] + [pick_or_lifetime(options) for _ in range(rng.randrange(4))],
        lambda: ["DEL"] + [pick(keys) for _ in range(rng.randrange(4))],
        lambda: ["EXISTS"] + [pick(keys) for _ in range(rng.randrange(4))],
        lambda: [pick(["INCR", "DECR", "incr"]), pick(keys)],
        lambda: [pick(["INCRBY", "DECRBY"]), pick(keys), pick(numbers)],
        lambda: ["APPEND", pick(keys), pick(values)],
        lambda: ["MGET"] + [pick(keys) for _ in range(rng.randrange(5))],
        lambda: ["MSET"] + [pick(keys, values) for _ in range(rng.randrange(7))],
        lambda: [pick(["EXPIRE", "PEXPIRE"]), pick(keys), pick_or_lifetime(expiries)] + [pick(["NX", "XX", "GT", "LT"]) for _ in range(rng.randrange(2))],
        lambda: [pick(["TTL", "PERSIST", "STRLEN", "TYPE"]), pick(keys)],
        lambda: ["DBSIZE"], lambda: ["ECHO", pick(values)], lambda: ["PING"] + [pick(values) for _ in range(rng.randrange(3))],
        lambda: [pick(["bogus", "GETT", "s"])] + [pick(keys, numbers) for _ in range(rng.randrange(3))],
    ]
    sent = b"".join(command(*rng.choice(makers)()) for _ in range(rng.randrange(1, 60)))
    cuts = sorted(rng.randrange(len(sent) + 1) for _ in range(rng.randrange(4)))
    return [sent[a:b] for a, b in zip([0] + cuts, cuts + [len(sent)]) if a < b]


def conversations(arguments):
    yield from PROTOCOL
    for line in SCRIPTED:
        yield [b"".join(words(one) for one in line.split("|"))]
    rng = random.Random(arguments.seed)
    for _ in range(arguments.random):
        yield random_conversation(rng)


def show(label, answer):
    text, state = answer
    return "  %-6s %r (%s)" % (label, text if len(text) < 4000 else text[:4000] + b"...", state)


def first_difference(a, b):
    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return "  at byte %d: %r / %r" % (at, a[max(0, at - 60):at + 60], b[max(0, at - 60):at + 60])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("redis", help="redis-server")
    parser.add_argument("ours", help="kv_server")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--random", type=int, default=300, help="random conversations")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as cleanup:
        directory = cleanup.enter_context(tempfile.TemporaryDirectory())
        file = directory + "/socket"
        redis = server([arguments.redis, "--port", "0", "--unixsocket", file, "--dir", directory, "--save", "", "--appendonly", "no"],
                       "[Rr]eady to accept connections", file)
        cleanup.callback(redis.program.kill)
        ours = server([arguments.ours, "--port", "0"], r"listening on 127\.0\.0\.1:(\d+)")
        cleanup.callback(ours.program.kill)
        total = differing = 0
        for chunks in conversations(arguments):
            total += 1
            expected, actual = redis.talk(chunks), ours.talk(chunks)
            if without_time(expected) == without_time(actual):
                continue
            differing += 1
            sent = b"".join(chunk for chunk in chunks if chunk)
            print("DIFFERS: %r\n%s\n%s\n%s" % (sent[:1000], show("redis", expected), show("ours", actual),
                                               first_difference(expected[0], actual[0])))
        redis.end()
        status = ours.end()
    print("%d conversations, %d differ (seed %d)" % (total, differing, arguments.seed))
    if status != 0:
        print("kv_server ended with %d:\n%s" % (status, ours.said))
    return 1 if differing or status != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
