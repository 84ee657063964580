#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The command line itself: help, usage errors, exit statuses.
bats_require_minimum_version 1.5.0

setup() {
	PATH=$LOOPSCOPE_FAKE_DIR:$PATH
	cd "$BATS_TEST_TMPDIR"
	export FAKE_LOG=$BATS_TEST_TMPDIR/log FAKE_LOOPSCOPED=good
}

@test "--version names the program and its version" {
	run -0 loopscope --version
	[[ $output =~ ^loopscope\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
}

@test "--help lists every command, and help NAME is that command's --help" {
	run -0 loopscope --help
	for command in attach record report check doctor ps schema; do
		[[ $output == *"  $command "* ]]
		[ "$(loopscope help $command)" = "$(loopscope $command --help)" ]
		[[ "$(loopscope help $command)" == *"Usage: loopscope $command "* ]]
	done
}

@test "each option that a command has is in docs/cli.md and in the manual page" {
	local docs=$BATS_TEST_DIRNAME/../../../docs option met=0
	for command in attach record report check doctor ps schema; do
		for option in $(loopscope $command --help | grep -oE '^ +(-., )?--[a-z-]+' | grep -oE -e '--[a-z-]+'); do
			[[ $option == --help || $option == --usage || $option == --version ]] && continue
			met=$((met + 1))
			grep -qF -e "$option" "$docs/cli.md" || { echo "$command $option: not in cli.md"; false; }
			grep -qF -e "*$option*" "$docs/man/loopscope.1.scd" || { echo "$command $option: not in the manual"; false; }
		done
	done
	[ $met -gt 40 ]
}

@test "no command is a usage error and prints the help on stderr" {
	run -2 --separate-stderr loopscope
	[ -z "$output" ]
	[[ $stderr == *Usage:* ]]
}

@test "an unknown command is one line and 2, without the terminal escapes in its name" {
	run -2 --separate-stderr loopscope $'fro\e[31mb'
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == *"no command 'fro?[31mb'"* ]]
}

@test "wrong options are usage errors that name the command" {
	run -2 loopscope attach
	[[ $output == "loopscope attach: whom?"* ]]
	run -2 loopscope attach -p 0
	run -2 loopscope attach -p 12x
	run -2 loopscope attach -p 1,
	run -2 loopscope attach -p 99999999999
	run -2 loopscope attach -p 1 --stall 10parsec
	run -2 loopscope attach -p 1 --frobnicate
	run -2 loopscope attach -p 1 --require luck
	run -2 loopscope attach -p 1 --color blue
	for size in 64 -1M 1X 1023K ""; do
		run -2 --separate-stderr loopscope attach -p 1 --max-size "$size"
		[[ $stderr == "loopscope attach: --max-size: '$size' is no size of at least 1M (like 64M, 2G); see"* ]]
	done
	run -2 loopscope attach -p 1 -o -
	run -2 loopscope attach 17
	run -2 loopscope record
	run -2 loopscope record --stall
	run -2 loopscope doctor -p 1,2
	[ ! -e "$FAKE_LOG" ]
}

@test "a mistake is told in one line that says where to look" {
	run -2 --separate-stderr loopscope attach
	[ "$stderr" = "loopscope attach: whom? Give -p PID, --name COMM or --cgroup PATH; see loopscope help attach" ]
	run -2 --separate-stderr loopscope report a.lsc --html b.html
	[ "$stderr" = "loopscope report: only one capture at a time, not 'a.lsc' and 'b.html'; where it is written to follows a =, as in --html=FILE; see loopscope help report" ]
	run -2 --separate-stderr loopscope report a.lsc b.lsc
	[ "$stderr" = "loopscope report: only one capture at a time, not 'a.lsc' and 'b.lsc'; see loopscope help report" ]
	run -2 --separate-stderr loopscope check a.lsc -- true
	[ "$stderr" = "loopscope check: only one of FILE.lsc, -p PID and -- COMMAND can be judged; see loopscope help check" ]
	run -2 --separate-stderr loopscope attach -p $'1\e[31m'
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr != *$'\e'* ]]
	[ ! -e "$FAKE_LOG" ]
}

@test "an option that is none, or lacks its value, is one line that names it, with every command" {
	for command in attach record report check ps schema doctor; do
		run -2 --separate-stderr loopscope $command --no-such-option
		[ "$stderr" = "loopscope $command: there is no option --no-such-option; see loopscope help $command" ]
		run -2 --separate-stderr loopscope $command -Z
		[ "$stderr" = "loopscope $command: there is no option -Z; see loopscope help $command" ]
		[ -z "$output" ]
	done
	run -2 --separate-stderr loopscope attach --stall
	[ "$stderr" = "loopscope attach: --stall needs a value; see loopscope help attach" ]
	run -2 --separate-stderr loopscope attach -p 1 --json=x
	[ "$stderr" = "loopscope attach: --json=x: the option takes no value; see loopscope help attach" ]
	for option in -q --quiet "-p 1 -d 1" "--pid 1 --duration 1"; do
		# shellcheck disable=SC2086
		run -2 --separate-stderr loopscope check $option absent.lsc
		[[ $stderr != *"no option"* ]]
	done
	run -2 --separate-stderr loopscope report a.lsc $'--no\e[31m'
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr != *$'\e'* ]]
	[ ! -e "$FAKE_LOG" ]
}

@test "an error is one line, which is folded where stderr is a terminal" {
	local command="COLUMNS=40 loopscope report 'a capture that is not there'" line
	run -2 --separate-stderr bash -c "$command"
	[ "$stderr" = "loopscope report: cannot open 'a capture that is not there': No such file or directory" ]
	run -2 script -qec "$command" /dev/null < /dev/null
	[ "${#lines[@]}" -gt 1 ]
	for line in "${lines[@]}"; do
		line=${line%$'\r'}
		[ "${#line}" -le 40 ]
	done
}

@test "doctor prints the checks with what would give them, stripped of escapes" {
	run -0 loopscope doctor -p 42
	[[ $output == *"ok       kernel probes (x)"* ]]
	[[ $output == *"missing  fentry?[1m"* ]]
	[[ $output == *"fix: a kernel with kprobes"* ]]
	grep -q '"type":"doctor","pid":42' "$FAKE_LOG"
}

@test "doctor returns 4 when kernel events cannot be captured" {
	FAKE_LOOPSCOPED=blind run -4 loopscope doctor
}

@test "doctor --json is one document" {
	loopscope doctor --json > doc
	loopscope schema doctor > schema
	/usr/bin/python3 - <<-'END'
	import json, jsonschema
	d = json.load(open("doc"))
	jsonschema.validate(d, json.load(open("schema")))
	assert d["schema"] == "loopscope.doctor/1" and d["usable"] is True
	assert [c["name"] for c in d["checks"]] == ["kernel probes (x)", "fentry\x1b[1m"]
	END
	! grep -q $'\e' doc
}

@test "a full disk under stdout is told and fails" {
	[ -w /dev/full ] || skip "no /dev/full here"
	why="cannot write to stdout: No space left on device"
	for command in --help --version "help check"; do
		run -2 --separate-stderr bash -c "loopscope $command > /dev/full"
		[ "$stderr" = "loopscope: $why" ]
	done
	for command in schema "schema report" ps "ps --json" doctor "doctor --json" "attach -p $$ -o a.lsc"; do
		FAKE_LOOPSCOPED=target-exit run -2 --separate-stderr bash -c "loopscope $command > /dev/full"
		[[ $stderr == *"loopscope ${command%% *}: $why"* ]]
		[ "$(grep -c "$why" <<< "$stderr")" -eq 1 ]
	done
}

@test "a closed stdout is told, and what is written to a file does not land in it" {
	run -2 --separate-stderr bash -c 'loopscope --version >&-'
	[ "$stderr" = "loopscope: cannot write to stdout: Bad file descriptor" ]
	run -2 --separate-stderr bash -c 'loopscope doctor >&- <&-'
	[ "$stderr" = "loopscope doctor: cannot write to stdout: Bad file descriptor" ]
}

@test "ps takes one process by its number, and no other word" {
	for argument in x 0 -1 1,2 "1 2" 99999999999 --json=x -p "-p x" "-p 1 2" "-p 1 -p 2"; do
		# shellcheck disable=SC2086
		run -2 --separate-stderr loopscope ps $argument
		[ -z "$output" ]
		[[ $stderr == "loopscope ps: "* ]]
	done
}

@test "ps -p PID is ps PID" {
	for argument in 42 "-p 42" --pid=42; do
		rm -f log
		# shellcheck disable=SC2086
		run -0 loopscope ps $argument
		grep -q '^{"type":"ps","pid":42}$' log
	done
}
