#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# attach and record against the fake loopscoped: what they ask, print and return, and a peer that fails.
bats_require_minimum_version 1.5.0

setup() {
	PATH=$LOOPSCOPE_FAKE_DIR:$PATH
	cd "$BATS_TEST_TMPDIR"
	export FAKE_LOG=$BATS_TEST_TMPDIR/log FAKE_LOOPSCOPED=good TZ=UTC
	NOBODY=4199999 # above the kernel's largest pid: no process
	unset SUDO_UID SUDO_GID
}

# Runs "$@" in the background with default signal handling (a shell makes its background jobs ignore
# SIGINT), waits until its output holds the first argument. Sets $job; output in out and err.
start_until() {
	local text=$1
	shift
	python3 -c 'import signal, os, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' "$@" > out 2> err 3>&- &
	job=$!
	# tail ends with the first match: no time is guessed
	timeout 20 grep -q -m1 "$text" <(tail -n +1 -F --pid=$job out 2> /dev/null)
}

finish() {
	status=0
	wait "$job" || status=$?
}

@test "the lines of attach go on below their text where the terminal is narrow; JSON does not" {
	COLUMNS=60 FAKE_LOOPSCOPED=target-exit run -0 --separate-stderr loopscope attach -p $NOBODY
	diff -u - <(head -n 8 <<< "$output") <<-'END'
	loop 42 ev?[2Jil (epoll_wait, fd 5)
	attached 4199999: 1 loop
	22:13:20.204  STALL 300.2 ms  sleep
	              clock_nanosleep(300.0 ms)  in task
	              'han?]0;pwned?dle' (handle app.py:12): sleep?
	              <- handle
	              20 sockets waited, 5.61 s in all, worst
	                299.8 ms (127.0.0.1:51204)
	END
	COLUMNS=60 FAKE_LOOPSCOPED=target-exit loopscope attach --json -p $NOBODY 2> /dev/null | while read -r line; do
		[[ $line == "{"*"}" ]]
	done
}

@test "attach prints the loop, attached, the stall with its victims, and the summary" {
	FAKE_LOOPSCOPED=target-exit run -0 --separate-stderr loopscope attach -p $NOBODY
	diff -u - <(echo "$output") <<-'END'
	loop 42 ev?[2Jil (epoll_wait, fd 5)
	attached 4199999: 1 loop
	22:13:20.204  STALL 300.2 ms  sleep      clock_nanosleep(300.0 ms)  in task 'han?]0;pwned?dle' (handle app.py:12): sleep? <- handle
	              20 sockets waited, 5.61 s in all, worst 299.8 ms (127.0.0.1:51204)
	wrote process-4199999.lsc (1 stall, 0 lost) - loopscope report process-4199999.lsc
	END
	diff -u - <(echo "$stderr") <<-'END'
	loopscope attach: no ring: tasks are not seen
	loopscope attach: process 4199999 ended
	END
}

@test "attach says that the process ended, and when that was before the watch was ready" {
	FAKE_LOOPSCOPED=gone run -0 --separate-stderr loopscope attach -p $NOBODY
	[ "$output" = "wrote process-4199999.lsc (1 stall, 0 lost) - loopscope report process-4199999.lsc" ]
	[ "$stderr" = "loopscope attach: process 4199999 ended before the watch was ready, 1.00 s after it began: no event loop was seen" ]
	FAKE_LOOPSCOPED=gone run -0 --separate-stderr loopscope attach --name x
	[[ $stderr == "loopscope attach: all processes ended before the watch was ready, "* ]]
	FAKE_LOOPSCOPED=gone run -0 --separate-stderr loopscope attach -q -p $NOBODY
	[ -z "$stderr" ]
	FAKE_LOOPSCOPED=gone run -0 --separate-stderr loopscope attach --json -p $NOBODY
	[[ ${lines[0]} == '{"event":"notice","text":"process 4199999 ended before '* ]]
}

@test "record says how a command ended that failed, or in which no loop was seen" {
	local after=' after [0-9.]+ [mu]?s'
	run -7 --separate-stderr loopscope record -- sh -c 'exit 7'
	[[ $stderr =~ "loopscope record: sh ended with exit status 7"$after$'\n'wrote ]]
	run -0 --separate-stderr loopscope record -- sh -c 'exit 0'
	[[ $stderr != *"ended with"* ]]
	FAKE_LOOPSCOPED=no-loop run -0 --separate-stderr loopscope record -- true
	[[ $stderr =~ ^"loopscope record: true ended with exit status 0"$after": no event loop was seen in it"$'\n'wrote ]]
	FAKE_LOOPSCOPED=no-loop run -143 --separate-stderr loopscope record -- sh -c 'kill -TERM $$'
	[[ $stderr =~ "sh ended with exit status 143"$after": no event loop was seen in it" ]]
}

@test "attach asks for what the options say" {
	FAKE_LOOPSCOPED=target-exit run -0 loopscope attach -p 42,43 -p 44 45 --tid 7 --loop-thread 8 -d 1.5 \
		--stall 20 --block 2ms --ready-wait 3 --print 0 --follow --max-overhead 0.5% --max-size 64M \
		--require bpf -o x.lsc
	python3 - <<-'END'
	import json, os
	a = [json.loads(l) for l in open("log") if '"attach"' in l][0]
	want = {"type": "attach", "pids": [42, 43, 44, 45], "names": [], "cgroup": None, "tids": [7],
		"loop_threads": [8], "command": None, "mode": "attach", "follow": True, "stall_ns": 20000000, "block_ns": 2000000,
		"ready_wait_ns": 3000000, "print_ns": 0, "duration_ns": 1500000000,
		"max_overhead": 0.005, "max_bytes": 64 << 20, "output": os.getcwd() + "/x.lsc", "overwrite": True, "require": "bpf", "owner_uid": -1,
		"owner_gid": -1}
	assert a == want, a
	END
}

@test "in the root directory a capture is named by one slash" {
	(cd / && FAKE_LOOPSCOPED=target-exit loopscope attach -p 42 -o x.lsc)
	grep -q '"output":"/x.lsc"' "$FAKE_LOG"
}

@test "attach has the contract's defaults" {
	FAKE_LOOPSCOPED=target-exit run -0 loopscope attach --name 'we/ird name' --cgroup /a/b
	python3 - <<-'END'
	import json, os
	a = [json.loads(l) for l in open("log") if '"attach"' in l][0]
	assert a["names"] == ["we/ird name"] and a["cgroup"] == "/a/b" and a["pids"] == []
	assert (a["stall_ns"], a["block_ns"], a["ready_wait_ns"], a["print_ns"]) == (10000000, 1000000, 5000000, 50000000)
	assert a["follow"] is False and a["overwrite"] is False
	assert a["duration_ns"] == 0 and a["max_overhead"] == 0.01 and a["max_bytes"] == 1 << 30 and a["require"] is None
	assert a["output"] == os.getcwd() + "/we_ird_name.lsc"
	END
}

@test "captures are numbered, named by comm and pid, and never overwritten unasked" {
	export FAKE_LOOPSCOPED=target-exit
	comm=$(tr -c 'A-Za-z0-9\n' _ < /proc/$$/comm)
	run -0 loopscope attach -p $$
	[[ $output == *"wrote $comm-$$.lsc "* ]]
	touch "$comm-$$.lsc"
	run -0 loopscope attach -p $$
	[[ $output == *"wrote $comm-$$.1.lsc "* ]]
	ln -s nowhere "$comm-$$.1.lsc"
	run -0 loopscope attach -p $$
	[[ $output == *"wrote $comm-$$.2.lsc "* ]]
}

@test "--json is NDJSON whose last line is the summary, without control bytes" {
	FAKE_LOOPSCOPED=target-exit loopscope attach -p $NOBODY --json > out
	! LC_ALL=C grep -q '[^ -~]' out
	loopscope schema attach > schema
	/usr/bin/python3 - <<-'END'
	import json, jsonschema
	e = [json.loads(l) for l in open("out")]
	for x in e:
	    jsonschema.validate(x, json.load(open("schema")))
	assert [x["event"] for x in e] == ["loop", "ready", "notice", "stall", "notice", "end"], e
	assert all(next(iter(x)) == "event" for x in e)
	assert e[1]["pids"] == [4199999] and e[1]["loops"] == 1
	assert e[-1]["path"] == "process-4199999.lsc" and e[-1]["stalls"] == 1
	END
}

@test "Ctrl-C once stops, writes and summarises; loopscoped has a process group of its own" {
	start_until '^attached 4199999: 1 loop$' loopscope attach -p $NOBODY
	kill -INT $job
	finish
	[ $status -eq 0 ]
	grep -q '^wrote process-4199999.lsc (1 stall, 0 lost)' out
	grep -q '^pgid own$' log
	grep -q '^{"type":"stop","exit_status":null}$' log
}

@test "Ctrl-C twice aborts: the connection is closed and the status is 130" {
	export FAKE_LOOPSCOPED=never-ends
	start_until '^attached' loopscope attach -p $NOBODY
	kill -INT $job
	timeout 20 grep -q -m1 '"stop"' <(tail -n +1 -F --pid=$job log 2> /dev/null)
	sleep 0.5
	kill -INT $job
	finish
	[ $status -eq 130 ]
	grep -q '^closed 0$' log
	grep -q 'aborted' err
}

@test "SIGTERM stops like Ctrl-C, and twice at once too, as timeout(1) sends it" {
	start_until '^attached' loopscope attach -p $NOBODY
	kill -TERM $job $job
	finish
	[ $status -eq 0 ]
	grep -q '^wrote ' out
}

@test "an error of loopscoped is one clean line and its exit status" {
	FAKE_LOOPSCOPED=error4 run -4 --separate-stderr loopscope attach -p 999999
	[ -z "$output" ]
	[ "$stderr" = "loopscope attach: no process 999999?[31m: is it running?" ]
}

@test "a loopscoped that dies is told in one line: 4 before it attached, 125 after" {
	FAKE_LOOPSCOPED=die run -4 --separate-stderr loopscope attach -p $NOBODY
	[ "$stderr" = "loopscope attach: loopscoped ended without an answer (exit status 3)" ]
	FAKE_LOOPSCOPED=killed run -4 --separate-stderr loopscope attach -p $NOBODY
	[[ $stderr == *"loopscoped was killed by signal 9"* ]]
	FAKE_LOOPSCOPED=die-later run -125 --separate-stderr loopscope attach -q -p $NOBODY
	[ "$stderr" = "loopscope attach: loopscoped ended without an answer (exit status 3)" ]
	FAKE_LOOPSCOPED=error-later run -125 --separate-stderr loopscope attach -q -p $NOBODY
	[ "$stderr" = "loopscope attach: the disk is full" ]
}

@test "a loopscoped that speaks nonsense or another version is refused" {
	FAKE_LOOPSCOPED=nonsense run -4 --separate-stderr loopscope attach -p $NOBODY
	[[ $stderr == *"speaks nonsense"* ]]
	FAKE_LOOPSCOPED=old run -4 --separate-stderr loopscope attach -p $NOBODY
	[[ $stderr == *"protocol 7"* ]]
}

@test "without loopscoped the line says where it belongs" {
	mkdir alone
	cp "$LOOPSCOPE_FAKE_DIR/loopscope" alone/
	run -4 --separate-stderr alone/loopscope attach -p $NOBODY
	[[ $stderr == *"loopscoped was not found beside loopscope in $BATS_TEST_TMPDIR/alone"* ]]
}

@test "a service named by LOOPSCOPE_SOCKET that does not answer is an error, not a fallback" {
	LOOPSCOPE_SOCKET=$BATS_TEST_TMPDIR/none run -4 --separate-stderr loopscope attach -p $NOBODY
	[[ $stderr == *"nothing answers at LOOPSCOPE_SOCKET="* ]]
	[ ! -e log ]
}

# A service: listens at ./socket as the user $1 and hands the first connection to the fake.
serve_as() {
	chmod 0777 .
	/usr/bin/python3 - "$1" <<-'END' 3>&- &
	import os, pwd, socket, sys
	if sys.argv[1] != "me":
	    os.setuid(pwd.getpwnam(sys.argv[1]).pw_uid)
	s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
	s.settimeout(20)
	s.bind("socket.new")
	s.listen(1)
	os.rename("socket.new", "socket")  # whoever sees it can connect
	c = s.accept()[0]
	c.setblocking(True)
	os.set_inheritable(c.fileno(), True)
	daemon = os.environ["LOOPSCOPE_FAKE_DIR"] + "/loopscoped"
	os.execv(daemon, [daemon, "--control-fd", str(c.fileno())])
	END
	service=$!
	timeout 20 /usr/bin/python3 -c 'import os, time
while not os.path.exists("socket"): time.sleep(0.01)'
}

@test "a service that we run ourselves is used instead of a private loopscoped" {
	export FAKE_LOOPSCOPED=target-exit
	serve_as me
	LOOPSCOPE_SOCKET=$PWD/socket run -0 --separate-stderr loopscope attach -v -p $NOBODY
	[[ $stderr == *"loopscoped 0.1.0, service ($PWD/socket)"* ]]
	wait "$service"
	grep -q '^closed 0$' log
}

@test "a service that another user runs is not believed" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	export BATS_TEST_TMPDIR
	chmod 0755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR"/test "$BATS_TEST_TMPDIR"
	serve_as nobody
	LOOPSCOPE_SOCKET=$PWD/socket run -4 --separate-stderr loopscope attach -p $NOBODY
	[[ $stderr == *"belongs to uid $(id -u nobody)"* ]]
	[ ! -e log ] || ! grep -q attach log
	if kill "$service" 2> /dev/null; then wait "$service" || [ $? -eq 143 ]; fi
}

@test "record leaves stdin, stdout and the exit status to the command" {
	run -7 --separate-stderr bash -c 'echo hello | loopscope record -- sh -c "cat; exit 7"'
	[ "$output" = hello ]
	[[ $stderr == *"wrote sh-"*".lsc (1 stall, 0 lost)"* ]]
	grep -q '^{"type":"stop","exit_status":7}$' log
	grep -q '"mode":"record","follow":true' log
}

@test "record -q says nothing" {
	run -0 --separate-stderr loopscope record -q true
	[ -z "$output$stderr" ]
}

@test "options behind the command are the command's" {
	run -0 --separate-stderr loopscope record -q echo -p --stall -q
	[ "$output" = "-p --stall -q" ]
}

@test "the command starts only once loopscoped is ready" {
	run -0 loopscope record -q -- sh -c "grep -c attach '$FAKE_LOG'"
	[ "$output" = 1 ]
	rm log
	FAKE_LOOPSCOPED=error4 run -125 --separate-stderr loopscope record -- touch ran
	[ ! -e ran ]
	[ "${#stderr_lines[@]}" -eq 1 ]
}

@test "a signal that ends the command is 128+n" {
	run -143 loopscope record -q -- sh -c 'kill -TERM $$'
	grep -q '"exit_status":143' log
}

@test "a command that cannot be run is 127 or 126, before anything is attached" {
	run -127 --separate-stderr loopscope record no-such-command
	[ "$stderr" = "loopscope record: cannot run 'no-such-command': command not found" ]
	run -127 loopscope record ./no-such-file
	echo data > data
	run -126 loopscope record ./data
	run -126 loopscope record "$BATS_TEST_TMPDIR"
	[ ! -e log ]
	printf '#!/no/interpreter\n' > script
	chmod +x script
	run -127 loopscope record ./script
}

@test "when loopscoped dies the command still runs to its end" {
	FAKE_LOOPSCOPED=die-later run -125 --separate-stderr loopscope record -q -- sh -c 'echo done'
	[ "$output" = done ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	FAKE_LOOPSCOPED=die-later run -3 loopscope record -q -- sh -c 'exit 3'
}

@test "a hangup stops like Ctrl-C, unless it was ignored from the start" {
	start_until attached loopscope attach -p $NOBODY
	kill -HUP $job
	finish
	[ "$status" -eq 0 ]
	start_until attached nohup loopscope attach -p $NOBODY
	kill -HUP $job # ends nothing: it is dropped
	# it is not waited for: what is blocked is kept
	(( (0x$(awk '/^SigBlk/ { print $2 }' /proc/$job/status) & 1) == 0 ))
	kill -INT $job
	finish
	[ "$status" -eq 0 ]
}

@test "a command under watch ignores hangups if loopscope was started so" {
	local seen='import signal; print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)'
	run -0 --separate-stderr loopscope record -q -- /usr/bin/python3 -c "$seen"
	[ "$output" = False ]
	run -0 --separate-stderr nohup loopscope record -q -- /usr/bin/python3 -c "$seen"
	[ "$output" = True ]
}

@test "SIGINT is for the command; SIGTERM is handed on to it" {
	start_until '^up$' loopscope record -- python3 -c 'import signal, sys
signal.signal(signal.SIGTERM, lambda *a: sys.exit(9))
signal.alarm(20)
print("up", flush=True)
signal.pause()
sys.exit(8)'
	kill -INT $job
	kill -TERM $job
	finish
	[ $status -eq 9 ]
	grep -q '"exit_status":9' log
}

@test "the command has default signals and no descriptor of ours" {
	run -0 loopscope record -q -- sh -c 'grep -E "^Sig(Blk|Ign)" /proc/self/status; ls /proc/self/fd | wc -l'
	[[ $output == *"SigBlk:"*0000000000000000* ]]
	bare=$(sh -c 'ls /proc/self/fd | wc -l')
	[ "${lines[-1]}" -eq "$bare" ]
}

@test "--user runs the command as that user, with that user's home" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	run -0 --separate-stderr loopscope record -q --user nobody -- sh -c 'id -u; id -g; echo $USER $LOGNAME'
	[ "${lines[0]}" = "$(id -u nobody)" ]
	[ "${lines[1]}" = "$(id -g nobody)" ]
	[ "${lines[2]}" = "nobody nobody" ]
	run -125 loopscope record --user no-such-user true
	[[ $output == *"there is no user 'no-such-user'"* ]]
}

@test "under sudo the command and the capture belong to the person" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	SUDO_UID=$(id -u nobody) SUDO_GID=$(id -g nobody) run -0 loopscope record -q id -u
	[ "$output" = "$(id -u nobody)" ]
	grep -q "\"owner_uid\":$(id -u nobody),\"owner_gid\":$(id -g nobody)" log
}
