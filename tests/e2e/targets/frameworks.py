# SPDX-License-Identifier: MIT
"""A loop of the framework that is named, which ticks; each line that comes in, a number of seconds, is slept
through in a handler, several calls deep. Says how long that took by its own clock."""
import sys
import time


def settle(seconds):
    begin = time.monotonic_ns()
    time.sleep(seconds)
    print(time.monotonic_ns() - begin, flush=True)


def pay(seconds):
    settle(seconds)


def handle(line):
    pay(float(line))


def with_twisted():
    from twisted.internet import reactor, stdio, task
    from twisted.protocols.basic import LineReceiver

    class Lines(LineReceiver):
        delimiter = b"\n"

        def lineReceived(self, line):
            handle(line)

    stdio.StandardIO(Lines())
    task.LoopingCall(lambda: None).start(0.05)
    print("running", flush=True)
    reactor.run()


def with_trio():
    import trio

    async def tick():
        while True:
            await trio.sleep(0.05)

    async def serve():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick)
            stream = trio.lowlevel.FdStream(0)
            print("running", flush=True)
            async for chunk in stream:
                handle(chunk)

    trio.run(serve)


def with_gevent():
    import gevent
    from gevent.fileobject import FileObjectPosix

    def tick():
        while True:
            gevent.sleep(0.05)

    def serve():
        for line in FileObjectPosix(sys.stdin, "r"):
            gevent.spawn(handle, line)

    gevent.spawn(tick)
    print("running", flush=True)
    gevent.spawn(serve).join()


{"twisted": with_twisted, "trio": with_trio, "gevent": with_gevent}[sys.argv[1]]()
