# Makes a temporary directory, runs a server in it and ends both when its standard input ends: one path for an orderly
# stop, an interruption and a parent that was killed. It runs in a session of its own, so that a terminal's signals do
# not reach it, and removes nothing but the directory it made.
#
#   $1  where the directory is made                 stdin   'a' 'command'   run it (one at a time)
#   $2  the signals that stop a command, in order           stop            stop it, keep the directory
#   $3  seconds to wait after each                  stdout  directory PATH, once; then pid N and exit STATUS in turn
#
# Commands write into server.log; their working directory is the directory.
signals=$2 patience=$3 job=
umask 077
dir=$(mktemp -d "$1/connection-probe-XXXXXX") && cd "$dir" || exit 1
# whoever reads may be gone already; that must not end this shell before the directory is removed
trap '' PIPE
echo "directory $dir" 2>/dev/null
trap - PIPE

run() {
  rm -f pid
  # the inner shell becomes the command; the outer one waits for it and reports
  (
    sh -c 'echo $$ >pid.new; mv pid.new pid; echo "pid $$"; exec "$@" </dev/null >>server.log 2>&1' sh "$@"
    echo "exit $?"
  ) &
  job=$!
}

escalate() {
  trap 'kill $nap 2>/dev/null; wait $nap; exit 0' TERM
  until [ -s pid ]; do sleep 0.01; done
  for signal in $signals; do
    kill -s "$signal" "$(cat pid)" 2>/dev/null
    sleep "$patience" &
    nap=$!
    wait $nap
  done
}

stop() {
  [ -n "$job" ] || return 0
  escalate &
  escalator=$!
  wait "$job"
  kill $escalator 2>/dev/null
  wait $escalator
  job=
} >/dev/null 2>&1

while IFS= read -r line; do
  case $line in
    stop) stop ;;
    *) eval "run $line" ;;
  esac
done
stop
cd /
# a killed server's children may still be writing
for _ in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf -- "$dir" 2>/dev/null && exit 0
  sleep 0.3
done
exit 1
