# SPDX-License-Identifier: MIT
"""Who waited for a loop without a ring: clients of a sleeping redis-server, by what each of them
measured, and timers of an asyncio program."""
import contextlib
import json
import re
import selectors
import socket
import time

from harness import HERE, LOOPSCOPE, MS, PYTHON, Attach, Case, Process, describe, main, pause, rng, run

SERVER = "/usr/bin/redis-server"
CLIENTS = 20
EARLY = 4  # of them in the first millisecond of the sleep
WAIT_SLACK = 5 * MS
LIVE = 0.100  # seconds after its end in which a stall is told
LATE = "it came before sockets were watched: its wait counts from then"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Redis(Process):
    def __init__(self, folder, unix):
        port = 0 if unix else free_port()
        self.address = str(folder / "redis.sock") if unix else ("127.0.0.1", port)
        super().__init__([SERVER, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder,
                          "--enable-debug-command", "yes", *(["--unixsocket", self.address] if unix else [])])
        self.next_line("eady to accept connections")

    def connect(self):
        client = socket.socket(socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET)
        client.connect(self.address)
        return client

    def sleeps(self):
        """The main thread is in nanosleep or clock_nanosleep right now."""
        with open(f"/proc/{self.pid}/syscall", encoding="ascii") as file:
            return file.read().split()[0] in ("35", "230")


def runnable_ns(pid):
    """How long a main thread was kept from a CPU so far, as the kernel counts."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[1])


def ask(client, *words):
    client.sendall(" ".join(words).encode() + b"\r\n")
    return client.recv(65536).decode()


def descriptors(boss, clients):
    """The server's descriptor of each client."""
    ids = [ask(client, "CLIENT", "ID").strip(":\r\n") for client in clients]
    fds = dict(re.findall(r"id=(\d+) .*?fd=(\d+)", ask(boss, "CLIENT", "LIST")))
    return [int(fds[number]) for number in ids]


def sleep_among(redis, boss, clients, seconds, early):
    """The boss has the server sleep, each client sends a PING meanwhile, one more client comes, early
    or not. Returns how long each waited for its answer and how much of that server and client may have lacked
    a CPU, the newcomer last, and when the boss had its own answer."""
    def moment():
        return time.monotonic_ns(), runnable_ns(redis.pid) + runnable_ns("self")

    moments = [rng.uniform(0, 0.001) for _ in range(EARLY)]
    moments += [rng.uniform(0.001, seconds - 0.02) for _ in range(len(clients) - EARLY)]
    moments += [rng.uniform(0, 0.001) if early else rng.uniform(0.001, seconds - 0.02)]
    todo = sorted(zip(moments, range(len(moments))))
    sent, waited, known = {}, {}, dict(enumerate(clients))
    with selectors.DefaultSelector() as ready:
        boss.sendall(f"DEBUG SLEEP {seconds:.3f}\r\n".encode())
        while not redis.sleeps():
            pass
        begin = time.monotonic()
        ready.register(boss, selectors.EVENT_READ, None)
        while todo or ready.get_map():
            if todo and time.monotonic() - begin >= todo[0][0]:
                number = todo.pop(0)[1]
                sent[number] = moment()
                if number not in known:
                    known[number] = redis.connect()
                known[number].sendall(b"PING\r\n")
                ready.register(known[number], selectors.EVENT_READ, number)
            until = max(0, begin + todo[0][0] - time.monotonic()) if todo else 5
            for key, _ in ready.select(0 if until < 0.002 else until - 0.001):
                now = moment()
                key.fileobj.recv(100)
                ready.unregister(key.fileobj)
                if key.data is None:
                    end = time.monotonic()
                else:
                    waited[key.data] = tuple(b - a for a, b in zip(sent[key.data], now))
    known[len(clients)].close()
    return [waited[number] for number in range(len(moments))], end


class Sockets(Case):
    def watch(self, unix, early):
        """One sleep among the clients, with an early newcomer or not: the stall, its report, and who is
        expected with which wait, the newcomer last."""
        with contextlib.ExitStack() as stack:
            redis = stack.enter_context(Redis(self.dir, unix))
            boss, *clients = [stack.enter_context(redis.connect()) for _ in range(CLIENTS + 1)]
            fds = descriptors(boss, clients)
            attach = stack.enter_context(Attach(redis.pid, self.capture))
            pause()
            waits, end = sleep_among(redis, boss, clients, rng.uniform(0.25, 0.35), early)
            live = attach.next_line(" waited, ")
            late = time.monotonic() - end
            pause()
            report = attach.stop()
            names = [None if unix else "%s:%d" % client.getsockname() for client in clients]
        stalls = self.planted(report)
        self.assertEqual(len(stalls), 1, describe(report))
        victims = stalls[0]["victims"]
        self.assertLess(late, LIVE, live)
        self.assertEqual(victims["omitted"], 0)
        self.assertEqual({victim["kind"] for victim in victims["list"]}, {"socket"})
        self.assertEqual(victims["count"], CLIENTS + 1, victims)
        self.assertEqual(victims["sum_wait_ns"], sum(victim["wait_ns"] for victim in victims["list"]))
        self.assertEqual(victims["max_wait_ns"], max(victim["wait_ns"] for victim in victims["list"]))
        told = {victim["fd"]: victim for victim in victims["list"]}
        new = [victim for victim in victims["list"] if victim["fd"] not in fds]
        self.assertEqual(len(new), 1, victims)
        self.assertIsNone(new[0]["peer"])
        self.assertIn("listener", new[0]["name"])
        self.assertEqual([told[fd]["peer"] for fd in fds], names)
        waits = [(told[fd]["wait_ns"], *wait) for fd, wait in zip([*fds, new[0]["fd"]], waits)]
        for wait, truth, _ in waits:
            self.assertLessEqual(wait, truth + MS, f"{waits} {describe(report)}")
        return report, victims, live, waits

    def test_twenty_tcp_clients_and_a_new_one_waited_as_long_as_they_measured(self):
        report, victims, live, waits = self.watch(unix=False, early=rng.random() < 0.5)
        for told, truth, delay in waits:  # a socket waits until it is read: the answer comes later
            self.assertGreaterEqual(told, truth - delay - WAIT_SLACK, f"{waits} {describe(report)}")
        worst = max(victims["list"], key=lambda victim: victim["wait_ns"])
        worst = re.escape(worst["peer"] or worst["name"])
        self.assertRegex(live, rf"^ +{CLIENTS + 1} sockets waited, [\d.]+ s in all, worst [\d.]+ ms \({worst}\)$")
        text = run(LOOPSCOPE, "report", "--text", "--color", "never", self.capture).stdout
        self.assertRegex(text, rf"waited +{CLIENTS + 1} sockets: [\d.]+ s in all, worst [\d.]+ ms \({worst}\)")
        page = run(LOOPSCOPE, "report", "--html", self.capture).stdout
        for victim in victims["list"]:
            self.assertIn(victim["peer"] or victim["name"], page)

    def test_clients_over_a_unix_socket_have_no_address_and_early_ones_are_known_to_be_late(self):
        self.watch_unix(early=False)

    def test_a_connection_that_came_over_a_unix_socket_before_it_was_watched(self):
        self.watch_unix(early=True)

    def watch_unix(self, early):
        report, _, _, waits = self.watch(unix=True, early=early)
        early = sum(told < truth - delay - WAIT_SLACK for told, truth, delay in waits)
        counted = [u["count"] for u in report["capture"]["unresolved"] if u["why"] == LATE]
        self.assertLessEqual(early, sum(counted), waits)
        self.assertLess(sum(counted), CLIENTS / 2, waits)

    def test_who_is_answered_at_once_is_no_victim(self):
        with Redis(self.dir, False) as redis, Attach(redis.pid, self.capture) as attach:
            with redis.connect() as boss, redis.connect() as client:
                for _ in range(rng.randint(2, 4)):
                    ask(boss, "DEBUG", "SLEEP", f"{rng.uniform(0.03, 0.06):.3f}")
                    for _ in range(rng.randint(5, 200)):
                        ask(client, "PING")
                report = attach.stop()
        self.assertTrue(report["stalls"])
        for stall in self.planted(report):
            self.assertEqual(stall["victims"]["count"], 0, stall["victims"])


class Timers(Case):
    @contextlib.contextmanager
    def patient(self):
        with Process([PYTHON, HERE / "targets/patient.py"]) as target:
            target.next_line("running")
            with Attach(target.pid, self.capture) as attach:
                pause()
                yield target, attach

    def stall_over_a_timer(self, *stop):
        with self.patient() as (target, attach):
            length = rng.uniform(0.2, 0.3)
            due = target.ask(f"timer {rng.uniform(0.13, 0.17):.4f}")
            time.sleep(rng.uniform(0.02, 0.08))
            target.tell(" ".join([f"sleep {length:.3f}", *stop]))
            end = json.loads(target.next_line("{"))["end_ns"]
            pause()
            ran = target.ask("ran")
            pause()
            report = attach.stop()
        stalls = self.planted(report)
        self.assertEqual(len(stalls), 1, describe(report))
        return report, stalls[0]["victims"], due, end, ran

    def test_a_timer_that_came_due_in_a_stall_is_late_by_the_rest_of_it(self):
        report, victims, due, end, ran = self.stall_over_a_timer()
        self.assertEqual(victims["count"], 1, f"{victims} {describe(report)}")
        timer = victims["list"][0]
        self.assertEqual((timer["kind"], timer["fd"], timer["peer"]), ("timer", None, None))
        self.assertAlmostEqual(timer["wait_ns"], ran - due, delta=WAIT_SLACK)
        self.assertAlmostEqual(timer["wait_ns"], end - due, delta=WAIT_SLACK)

    def test_a_timer_that_the_stalled_turn_cancels_waits_for_nothing(self):
        report, victims, _, _, ran = self.stall_over_a_timer("stop")
        self.assertIsNone(ran)
        self.assertEqual(victims["count"], 0, f"{victims} {describe(report)}")

    def test_data_that_lay_there_before_the_stall_is_no_victim_of_it(self):
        with self.patient() as (target, attach):
            target.ask("fill")
            pause(0.1, 0.2)
            target.ask(f"sleep {rng.uniform(0.1, 0.2):.3f}")
            self.assertGreater(target.ask("drain"), 0)
            pause()
            report = attach.stop()
        stalls = self.planted(report)
        self.assertEqual(len(stalls), 1, describe(report))
        self.assertEqual(stalls[0]["victims"]["count"], 0, stalls[0]["victims"])


if __name__ == "__main__":
    main()
