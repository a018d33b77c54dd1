"""Small services whose memory behaviour is known by construction: programs.py MODE

Each calls `tick(n)` ten times a second; record.py samples them. One tick stands for five minutes, 288 for a day.
Modes in HEALTHY are bounded, modes in LEAKS are not; a number in LEAKS is the tick at which the leak begins.
"""
import asyncio
import collections
import functools
import gc
import json
import math
import random
import re
import sqlite3
import sys
import threading
import time
import zlib

DAY = 288
random.seed(sys.argv[1] if len(sys.argv) > 1 else "")


def blob(size):
    return bytes(random.getrandbits(8) for _ in range(16)) * (size // 16)


def load(n):
    """0…1 over the day."""
    return 0.5 - 0.5 * math.cos(2 * math.pi * n / DAY)


# -- bounded -------------------------------------------------------------------------------------------------------

def zipf_cache():
    cache = collections.OrderedDict()

    def tick(n):
        for _ in range(60):
            key = int(random.paretovariate(0.7)) % 9000
            cache[key] = cache.pop(key, None) or blob(4096)
            if len(cache) > 2500:
                cache.popitem(last=False)
    return tick


def json_batches():
    def tick(n):
        if n % 40 == 0:
            rows = [{"id": i, "name": "n%d" % i, "tags": [i, i + 1]} for i in range(random.randrange(2000, 9000))]
            json.loads(json.dumps(rows))
    return tick


def window_of_metrics():
    window = collections.deque(maxlen=int(1.6 * DAY) * 40)

    def tick(n):
        for i in range(40):
            window.append({"at": n, "value": random.random(), "host": "host-%d" % i})
    return tick


def dict_churn():
    table = {}

    def tick(n):
        for _ in range(120):
            table[random.randrange(6000)] = "x" * random.randrange(50, 3000)
            table.pop(random.randrange(6000), None)
    return tick


def sqlite_in_memory():
    db = sqlite3.connect(":memory:")
    db.execute("create table t(id integer primary key, body text)")

    def tick(n):
        db.executemany("insert into t(body) values(?)", [("y" * random.randrange(100, 2000),) for _ in range(40)])
        if n % 30 == 29:
            db.execute("delete from t where id < (select max(id) from t) - 2000")
    return tick


def worker_bursts():
    def work():
        block = [blob(20_000) for _ in range(60)]
        time.sleep(0.3)
        del block

    def tick(n):
        if n % 25 == 0:
            for _ in range(1 + n // 25 % 4):
                threading.Thread(target=work).start()
    return tick


def daily_load():
    sessions = collections.deque()

    def tick(n):
        wanted = int(200 + 1800 * load(n) * random.uniform(0.9, 1.1))
        while len(sessions) < wanted:
            sessions.append({"user": n, "body": "z" * random.randrange(500, 4000)})
        while len(sessions) > wanted:
            sessions.popleft()
    return tick


def cycles_collected_rarely():
    gc.disable()

    class Node:
        pass

    def tick(n):
        for _ in range(40):
            a, b = Node(), Node()
            a.other, b.other, a.body = b, a, "c" * 600
        if n % int(1.3 * DAY) == int(1.3 * DAY) - 1:
            gc.collect()
    return tick


def models_loaded():
    models = {}

    def tick(n):
        if n in (200, 700, 1500):
            models[n] = [blob(50_000) for _ in range(120)]
        sum(len(m) for m in models.values())
    return tick


def aio_echo():
    loop = asyncio.new_event_loop()

    async def serve(reader, writer):
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    port = server.sockets[0].getsockname()[1]

    async def client():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"q" * random.randrange(100, 4000))
        await reader.read(4096)
        writer.close()

    async def some():
        await asyncio.gather(*[client() for _ in range(4)])

    return lambda n: loop.run_until_complete(some())


def compress_uploads():
    def tick(n):
        if random.random() < 0.05:
            zlib.compress(blob(int(random.paretovariate(1.1) * 100_000) % 8_000_000), 1)
    return tick


def expiring_tokens():
    tokens = {}

    def tick(n):
        for _ in range(30):
            tokens[random.getrandbits(60)] = (n + random.randrange(20, 2 * DAY // 3), "t" * 400)
        if n % 10 == 0:
            for key in [k for k, (end, _) in tokens.items() if end < n]:
                del tokens[key]
    return tick


def bounded_regex_cache():
    cache = {}

    def tick(n):
        for _ in range(3):
            pattern = "a%db+c*" % random.randrange(1500)
            if pattern not in cache:
                if len(cache) >= 600:
                    cache.clear()
                cache[pattern] = re.compile(pattern)
                re.purge()
    return tick


def nightly_report():
    def tick(n):
        if n % DAY < 12:
            rows = [str(random.random()) * 6 for _ in range(30_000 + 500 * (n % DAY))]
            rows.sort()
    return tick


# -- leaks ---------------------------------------------------------------------------------------------------------

def audit_list():
    audit = []
    return lambda n: audit.extend({"n": n, "who": i} for i in range(12))


def memo_unbounded():
    @functools.lru_cache(maxsize=None)
    def price(key):
        return "p%d" % key * 20

    return lambda n: [price(n * 25 + i) for i in range(25)]


def kept_tracebacks():
    errors = []

    def fail(depth):
        local = "e" * 500
        if depth:
            return fail(depth - 1)
        raise ValueError(local)

    def tick(n):
        if random.random() < 0.5:
            try:
                fail(4)
            except ValueError as error:
                errors.append(error)
    return tick


def callbacks_by_day():
    callbacks = []

    def tick(n):
        for i in range(int(40 * load(n))):
            body = "k" * 300
            callbacks.append(lambda body=body: body)
        [blob(3000) for _ in range(int(200 * load(n)))]
    return tick


def sessions_under_batches():
    sessions = {}
    batches = json_batches()

    def tick(n):
        batches(n)
        for i in range(6):
            sessions[n * 6 + i] = {"cart": [i] * 30}
    return tick


def tasks_never_done():
    loop = asyncio.new_event_loop()
    kept = []

    async def wait():
        await asyncio.sleep(1e9)

    async def add():
        kept.extend(asyncio.ensure_future(wait()) for _ in range(3))
        await asyncio.sleep(0)
    return lambda n: loop.run_until_complete(add())


def after_feature_flag():
    kept = []
    churn = dict_churn()

    def tick(n):
        churn(n)
        if n >= 1000:
            kept.append("f" * 6000)
    return tick


def drip():
    kept = []
    base = [blob(4000) for _ in range(6000)]
    return lambda n: (len(base), kept.append("d" * random.randrange(200, 700)))


def leak_in_generations():
    old, young = [], []

    def tick(n):
        young.extend("g" * random.randrange(700, 900) for _ in range(50))
        if n % 70 == 69:
            old.append(young[::25])
            young.clear()
    return tick


def queue_without_reader():
    queue = collections.deque()

    def tick(n):
        queue.extend(("job", n, i) for i in range(30))
        for _ in range(26):
            queue.popleft()
    return tick


HEALTHY = [
    zipf_cache, json_batches, window_of_metrics, dict_churn, sqlite_in_memory, worker_bursts, daily_load,
    cycles_collected_rarely, models_loaded, aio_echo, compress_uploads, expiring_tokens, bounded_regex_cache,
    nightly_report,
]
LEAKS = {
    audit_list: 0, memo_unbounded: 0, kept_tracebacks: 0, callbacks_by_day: 0, sessions_under_batches: 0,
    tasks_never_done: 0, after_feature_flag: 1000, drip: 0, leak_in_generations: 0, queue_without_reader: 0,
}

if __name__ == "__main__":
    if len(sys.argv) == 1:
        for mode in HEALTHY:
            print(mode.__name__, "healthy", "")
        for mode, onset in LEAKS.items():
            print(mode.__name__, "leak", onset)
        sys.exit()
    tick = globals()[sys.argv[1]]()
    begin = time.monotonic()
    n = 0
    while True:
        tick(n)
        n += 1
        time.sleep(max(0, begin + n * 0.1 - time.monotonic()))
