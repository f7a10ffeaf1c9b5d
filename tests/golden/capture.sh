#!/bin/bash
# Capture the golden cases from the real tools of the toolbox image.
#
#   mkdir root && tar -xzOf IMAGE.tar.gz --wildcards '*/layer.tar' | tar -x -C root
#   sudo tests/golden/capture.sh root tests/golden
#
# Everything runs on the loopback of a network, mount and process namespace of its own, so nothing
# is left behind. A case is a folder with what the tool printed (stdout, stderr) and its exit code;
# what a parser must make of it (expected.json) is written by hand. The dirty cases that no tool
# produces on demand are cut from the good ones at the end.
set -euo pipefail
if [ -z "${CAPTURE_INSIDE-}" ]; then
    CAPTURE_INSIDE=1 exec unshare --net --mount --uts --pid --fork --mount-proc "$0" "$@"
fi

root=$(realpath "$1")
golden=$(realpath "$2")
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/run/netbench"
mount -t tmpfs -o size=64m tmpfs "$root/run/netbench"
ip link set lo up
# netperf takes no IPv4 address at all where there is none but the loopback's.
ip addr add 198.18.0.2/32 dev lo
hostname golden
in_image=(chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin NETBENCH_TASK=golden)

# capture WORKLOAD/CASE COMMAND...
capture() {
    local case=$golden/$1 status=0
    shift
    mkdir -p "$case"
    "${in_image[@]}" "$@" >"$case/stdout" 2>"$case/stderr" </dev/null || status=$?
    echo "$status" >"$case/exit"
    echo "$case: $status"
}

# dirty WORKLOAD/NEW WORKLOAD/GOOD: a copy to be damaged.
dirty() {
    mkdir -p "$golden/$1"
    cp "$golden/$2"/{stdout,stderr,exit} "$golden/$1/"
}

iperf() { # SECONDS OMIT [ADDRESS]
    set -- iperf3 --json --client "${3-127.0.0.1}" --port 15201 --time "$1" --omit "$2" \
        --interval 1 --get-server-output --connect-timeout 3000
    echo "$@"
}

# --- iperf3-tcp -----------------------------------------------------------------------------------
capture iperf3-tcp/no-server $(iperf 2 0)
iptables -A INPUT -d 127.0.0.9 -j DROP
capture iperf3-tcp/black-hole $(iperf 2 0 127.0.0.9)

serve=("${in_image[@]}" iperf3 --server --json --bind 0.0.0.0 --port 15201)
"${serve[@]}" >/dev/null 2>&1 &
server=$!
sleep 0.5
capture iperf3-tcp/good $(iperf 3 1)
capture iperf3-tcp/good-no-warmup $(iperf 2 0)
capture iperf3-tcp/good-streams $(iperf 2 1) --parallel 4
capture iperf3-tcp/good-reverse $(iperf 2 1) --reverse
capture iperf3-tcp/good-both $(iperf 2 1) --bidir
# A narrow, lossy path, so that segments are retransmitted.
iptables -A INPUT -p tcp --dport 15201 -m statistic --mode random --probability 0.002 -j DROP
capture iperf3-tcp/good-lossy $(iperf 3 1)
iptables -F INPUT

"${in_image[@]}" $(iperf 3 0) >/dev/null 2>&1 &
first=$!
sleep 1
capture iperf3-tcp/server-busy $(iperf 2 0)
wait "$first"

(sleep 1.5; kill -KILL "$server") &
capture iperf3-tcp/server-killed $(iperf 3 1)
"${serve[@]}" >/dev/null 2>&1 &
server=$!
sleep 0.5
(sleep 1.5; kill -TERM "$server") &
capture iperf3-tcp/server-ended $(iperf 3 1)

"${in_image[@]}" iperf3 --server --port 15201 >/dev/null 2>&1 &
server=$!
sleep 0.5
capture iperf3-tcp/server-without-json $(iperf 2 0)
capture iperf3-tcp/client-ended timeout 1.5 $(iperf 3 1)
capture iperf3-tcp/wrong-option iperf3 --no-such-option
kill "$server"

dirty iperf3-tcp/truncated iperf3-tcp/good
truncate -s -2000 "$golden/iperf3-tcp/truncated/stdout"
dirty iperf3-tcp/warning-first iperf3-tcp/good
{ echo "warning: UDP block size 1460 exceeds TCP MSS 1448, may result in fragmentation"
    cat "$golden/iperf3-tcp/good/stdout"; } >"$golden/iperf3-tcp/warning-first/stdout"
# No tool ends early on demand without saying so.
dirty iperf3-tcp/cut-short iperf3-tcp/good
sed -i 's/"duration":\t3,/"duration":\t30,/' "$golden/iperf3-tcp/cut-short/stdout"
dirty iperf3-tcp/empty iperf3-tcp/good
: >"$golden/iperf3-tcp/empty/stdout"

# --- udp-stream -----------------------------------------------------------------------------------
search() { # STEPS [ADDRESS]
    echo netbench-udp-search --look=1 --steps="$1" --seconds=1 --limit=0.5 --limit=0 --json --udp \
        --client "${2-127.0.0.1}" --port 15203 --length 1400 --connect-timeout 3000
}
capture udp-stream/no-server $(search 4)

"${in_image[@]}" iperf3 --server --json --bind 0.0.0.0 --port 15203 >/dev/null 2>&1 &
server=$!
sleep 0.5
capture udp-stream/good $(search 8)
drop() {
    # Not the first: iperf3 waits for its answer.
    iptables -A INPUT -p udp --dport 15203 -m statistic --mode nth --every "$1" --packet 50 -j DROP
}
# At any rate one packet in a hundred is lost, then one in a thousand.
drop 100
capture udp-stream/always-lossy $(search 4)
iptables -F INPUT
drop 1000
capture udp-stream/never-lossless $(search 6)
iptables -F INPUT
# UDP is not let through at all.
iptables -A INPUT -p udp --dport 15203 -j DROP
capture udp-stream/udp-filtered $(search 4)
iptables -F INPUT
(sleep 2.5; kill -KILL "$server") &
capture udp-stream/server-killed $(search 4)

"${in_image[@]}" iperf3 --server --json --bind 0.0.0.0 --port 15203 >/dev/null 2>&1 &
server=$!
sleep 0.5
"${in_image[@]}" iperf3 --client 127.0.0.1 --port 15203 --time 3 >/dev/null 2>&1 &
first=$!
sleep 0.5
capture udp-stream/server-busy $(search 4)
wait "$first"
capture udp-stream/search-ended timeout 3.5 $(search 4)
kill "$server"
capture udp-stream/wrong-option netbench-udp-search --no-such-option

dirty udp-stream/truncated udp-stream/good
truncate -s -900 "$golden/udp-stream/truncated/stdout"
dirty udp-stream/step-missing udp-stream/good
sed -i '/^netbench-udp-search: step 3 of/,/^}/d' "$golden/udp-stream/step-missing/stdout"
dirty udp-stream/cut-between-steps udp-stream/good
sed -i '/^netbench-udp-search: step 8 of/,$d' "$golden/udp-stream/cut-between-steps/stdout"
dirty udp-stream/warning-first udp-stream/good
sed -i 's/^netbench-udp-search: step 2 of.*/&\nwarning: UDP block size exceeds the MTU/' \
    "$golden/udp-stream/warning-first/stdout"
# What the search does where a server was not ready yet.
dirty udp-stream/tried-again udp-stream/good
sed -i 's/^netbench-udp-search: step 4 of 8$/&\n{\n\t"error":\t"the server is busy"\n}\n\n& again/' \
    "$golden/udp-stream/tried-again/stdout"
# --- udp-paced ------------------------------------------------------------------------------------
paced() { # SECONDS RATE
    echo iperf3 --json --udp --client 127.0.0.1 --port 15203 --time "$1" --bitrate "$2" --length 1400 \
        --connect-timeout 3000
}
capture udp-paced/no-server $(paced 1 20000000)
"${in_image[@]}" iperf3 --server --json --bind 0.0.0.0 --port 15203 >/dev/null 2>&1 &
server=$!
sleep 0.5
capture udp-paced/good $(paced 3 20000000)
drop 100
capture udp-paced/lossy $(paced 2 20000000)
iptables -F INPUT
iptables -A INPUT -p udp --dport 15203 -m statistic --mode nth --every 8 --packet 4 -j DROP
capture udp-paced/path-full $(paced 2 20000000)
iptables -F INPUT
capture udp-paced/sender-full $(paced 2 100000000000)
capture udp-paced/without-pace $(paced 1 0)
"${in_image[@]}" iperf3 --client 127.0.0.1 --port 15203 --time 3 >/dev/null 2>&1 &
first=$!
sleep 0.5
capture udp-paced/server-busy $(paced 1 20000000)
wait "$first"
capture udp-paced/ended timeout 1.5 $(paced 3 20000000)
(sleep 1.5; kill -KILL "$server") &
capture udp-paced/server-killed $(paced 3 20000000)
dirty udp-paced/truncated udp-paced/good
truncate -s -900 "$golden/udp-paced/truncated/stdout"

# --- netperf --------------------------------------------------------------------------------------
keys=THROUGHPUT,THROUGHPUT_UNITS,ELAPSED_TIME,MEAN_LATENCY,P50_LATENCY,P90_LATENCY,P99_LATENCY
keys=$keys,LOCAL_BYTES_SENT,LOCAL_BYTES_RECVD
perf() { # TEST SECONDS WARMUP [SIZE]
    echo netbench-netperf "$3" "$2" "$1" -4 -H 127.0.0.1 -p 15210 -P 0 -j -- -P 0,15211 \
        -r "${4-1},${4-1}" -k "$keys"
}
netserver() { "${in_image[@]}" netserver -D -N -4 -L 127.0.0.1 -p 15210 >/dev/null 2>&1 & }
netserver_pids() { pgrep -x netserver; }

for pair in tcp-rr:TCP_RR udp-rr:UDP_RR tcp-crr:TCP_CRR; do
    name=${pair%:*} test=${pair#*:}
    capture "$name/no-server" $(perf "$test" 1 0)
    netserver
    sleep 0.5
    capture "$name/good" $(perf "$test" 2 1)
    capture "$name/good-1k" $(perf "$test" 1 0 1024)
    (sleep 1; kill -KILL $(netserver_pids)) &
    capture "$name/server-killed" $(perf "$test" 2 0)
    netserver
    sleep 0.5
    (sleep 1; kill -STOP $(netserver_pids)) &
    capture "$name/server-stalled" timeout 8 $(perf "$test" 2 0)
    kill -CONT $(netserver_pids)
    capture "$name/client-ended" timeout 1.5 $(perf "$test" 3 0)
    capture "$name/wrong-option" netbench-netperf 0 1 "$test" --no-such-option
    kill $(netserver_pids)
    sleep 0.2
    dirty "$name/truncated" "$name/good"
    truncate -s -60 "$golden/$name/truncated/stdout"
done
netserver
sleep 0.5
# The first datagram, and one in the middle.
for lost in 0 30000; do
    iptables -A INPUT -p udp --dport 15211 -m statistic --mode nth --every 100000 --packet $lost -j DROP
    capture udp-rr/datagram-$lost-lost $(perf UDP_RR 2 0)
    iptables -F INPUT
done
kill $(netserver_pids)

# --- http-echo ------------------------------------------------------------------------------------
load() { # SECONDS WARMUP URL [CONNECTIONS] [BODY]
    local logged=0ms
    [ "$2" = 0 ] || logged=500ms
    echo netbench-http-load --logged-duration=1 --logged-warm-up-time=$logged \
        --h1 --threads=1 --clients="${4-16}" --duration="$1" --warm-up-time="$2" \
        --connection-inactivity-timeout=5 ${5---data=/usr/share/netbench/body-1k} "$3"
}
url=http://127.0.0.1:15280

capture http-echo/closed-port $(load 1 0 $url/echo)
iptables -A INPUT -d 127.0.0.9 -j DROP
capture http-echo/black-hole $(load 1 1 http://127.0.0.9:15280/echo)
iptables -F INPUT

"${in_image[@]}" netbench-echo 15280 &
server=$!
sleep 0.5
capture http-echo/good $(load 2 1 $url/echo)
capture http-echo/good-no-warmup $(load 1 0 $url/echo)
capture http-echo/good-64 $(load 1 0 $url/echo 64)
capture http-echo/good-64k $(load 1 0 $url/echo 16 --data=/usr/share/netbench/body-64k)
capture http-echo/good-no-body $(load 1 0 $url/echo 16 "")
capture http-echo/good-new $(load 1 1 $url/echo-and-close)
capture http-echo/not-found $(load 1 0 $url/nothing)

# What is beyond a rate gets status 503.
conf=$root/run/netbench/echo-15280/nginx.conf
sed -e 's|default_type.*|&\n    limit_req_zone $server_port zone=z:1m rate=9000r/s;|' \
    -e 's|:15280 |:15281 |' -e 's|nginx.pid|limited.pid|' \
    -e 's|location = /echo {|&\n            limit_req zone=z burst=100 nodelay;|' \
    "$conf" >"$root/run/netbench/limited.conf"
"${in_image[@]}" nginx -e stderr -c /run/netbench/limited.conf 2>/dev/null &
limited=$!
sleep 0.5
capture http-echo/some-refused $(load 1 0 http://127.0.0.1:15281/echo)
kill "$limited"
sed -e 's|:15280 |:15282 |' -e 's|nginx.pid|broken.pid|' \
    -e 's|echo_read_request_body;|return 500;|' -e 's|echo_request_body;||' \
    "$conf" >"$root/run/netbench/broken.conf"
"${in_image[@]}" nginx -e stderr -c /run/netbench/broken.conf 2>/dev/null &
broken=$!
sleep 0.5
capture http-echo/server-error $(load 1 0 http://127.0.0.1:15282/echo)
kill "$broken"

# A server that sends back something else.
sed -e 's|:15280 |:15283 |' -e 's|nginx.pid|short.pid|' -e 's|echo_request_body;|echo -n no;|' \
    "$conf" >"$root/run/netbench/short.conf"
"${in_image[@]}" nginx -e stderr -c /run/netbench/short.conf 2>/dev/null &
short=$!
sleep 0.5
checked() { load "$@" | sed 's/^netbench-http-load/& --checked/'; }
capture http-echo/good-checked $(checked 1 0 $url/echo)
capture http-echo/short-bodies $(load 1 0 http://127.0.0.1:15283/echo)
capture http-echo/changed-body $(checked 1 0 http://127.0.0.1:15283/echo)
kill "$short"

nginx_pids() { pgrep -f '[n]ginx: .*process'; }
# Stopped, not ended: its sockets stay open and nothing is answered any more.
(sleep 1; kill -STOP $(nginx_pids)) &
capture http-echo/server-stalled $(load 2 0 $url/echo)
kill -CONT $(nginx_pids)
# The same in the logged stretch alone, which begins after two seconds.
(sleep 2.5; kill -STOP $(nginx_pids)) &
capture http-echo/server-stalled-logged $(load 2 0 $url/echo)
kill -CONT $(nginx_pids)
(sleep 1; kill -KILL $(pgrep -f '[n]ginx: worker')) &
capture http-echo/workers-killed $(load 2 0 $url/echo)
(sleep 1; kill -KILL $(nginx_pids)) &
capture http-echo/server-killed $(load 2 0 $url/echo)

"${in_image[@]}" netbench-echo 15280 &
sleep 0.5
(sleep 2.5; kill -KILL $(nginx_pids)) &
capture http-echo/server-killed-logged $(load 2 0 $url/echo)

"${in_image[@]}" netbench-echo 15280 &
sleep 0.5
capture http-echo/wrong-option netbench-http-load --no-such-option
capture http-echo/log-too-large env NETBENCH_MOST_LOG=65536 $(load 1 0 $url/echo)
kill $(pgrep -f '[n]ginx: master')

dirty http-echo/log-short http-echo/good
sed -i 1d "$golden/http-echo/log-short/stderr"
dirty http-echo/log-broken http-echo/good
echo "12 20" >>"$golden/http-echo/log-broken/stderr"
dirty http-echo/no-summary http-echo/good
sed -i '/^requests:/,$d' "$golden/http-echo/no-summary/stdout"
dirty http-echo/plain-only http-echo/good
sed -i '/^netbench-http-load: logged/,$d' "$golden/http-echo/plain-only/stdout"
dirty http-echo/no-second-summary http-echo/good
sed -i '/^netbench-http-load: logged/,$ { /^requests:/,$d }' "$golden/http-echo/no-second-summary/stdout"

# --- http-open ------------------------------------------------------------------------------------
open_loop() { # RATE SECONDS WARMUP URL
    echo netbench-http-open --rate="$1" --connections=64 --duration="$2" --warm-up-time="$3" \
        --data=/usr/share/netbench/body-1k "$4"
}
capture http-open/closed-port $(open_loop 500 1 0 $url/echo)
iptables -A INPUT -d 127.0.0.9 -j DROP
capture http-open/black-hole $(open_loop 500 1 0 http://127.0.0.9:15280/echo)
iptables -F INPUT
capture http-open/unknown-name $(open_loop 500 1 0 http://no-such-name:15280/echo)

"${in_image[@]}" netbench-echo 15280 &
sleep 0.5
capture http-open/good $(open_loop 2000 2 1 $url/echo)
capture http-open/good-no-warmup $(open_loop 500 1 0 $url/echo)
capture http-open/not-found $(open_loop 500 1 0 $url/nothing)
capture http-open/changed-body $(open_loop 500 1 0 $url/headers)
capture http-open/too-fast $(open_loop 200000 1 0 $url/echo)
# A stall of a fifth of a second in a second: what was due meanwhile has waited.
(sleep 0.6; kill -STOP $(nginx_pids); sleep 0.2; kill -CONT $(nginx_pids)) &
capture http-open/stalled-for-a-while $(open_loop 1000 2 0 $url/echo)
(sleep 0.6; kill -STOP $(nginx_pids)) &
capture http-open/server-stalled $(open_loop 500 1 0 $url/echo)
kill -CONT $(nginx_pids)
(sleep 1; kill -KILL $(nginx_pids)) &
capture http-open/server-killed $(open_loop 500 2 0 $url/echo)
capture http-open/wrong-option netbench-http-open --no-such-option
for case in truncated row-missing; do dirty http-open/$case http-open/good; done
truncate -s -3 "$golden/http-open/truncated/stdout"
sed -i '$d' "$golden/http-open/row-missing/stdout"
# A generator that the machine did not let run in time, and one that had no time left.
dirty http-open/generator-late http-open/good-no-warmup
awk '$1 == "late" { $3 += 100000 } { print }' "$golden/http-open/good-no-warmup/stdout" \
    >"$golden/http-open/generator-late/stdout"
dirty http-open/generator-full http-open/good
sed -i 's/^busy .*/busy 0.9700/' "$golden/http-open/generator-full/stdout"

# --- latency-under-load ---------------------------------------------------------------------------
beside() { # SECONDS WARMUP [RATE]
    echo netbench-loaded-latency $url/echo "${3-400}" 16 "$1" "$2" 1 \
        --json --client 127.0.0.1 --port 15204 --connect-timeout 3000
}
iperf3_server() { "${in_image[@]}" iperf3 --server --json --bind 0.0.0.0 --port 15204 >/dev/null 2>&1 & }
"${in_image[@]}" netbench-echo 15280 &
sleep 0.5
capture latency-under-load/no-iperf3-server $(beside 1 0)
iperf3_server
server=$!
sleep 0.5
capture latency-under-load/good $(beside 2 1)
"${in_image[@]}" iperf3 --client 127.0.0.1 --port 15204 --time 6 >/dev/null 2>&1 &
first=$!
sleep 0.5
capture latency-under-load/server-busy $(beside 1 0)
wait "$first"
capture latency-under-load/ended timeout 1 $(beside 2 0)
(sleep 2.5; kill -KILL "$server") &
capture latency-under-load/stream-killed $(beside 2 0)
iperf3_server
server=$!
sleep 0.5
(sleep 2.5; kill -KILL $(nginx_pids)) &
capture latency-under-load/echo-killed $(beside 2 0)
capture latency-under-load/no-echo-server $(beside 1 0)
capture latency-under-load/wrong-usage netbench-loaded-latency $url/echo
kill "$server"
dirty latency-under-load/truncated latency-under-load/good
truncate -s -500 "$golden/latency-under-load/truncated/stdout"
dirty latency-under-load/no-second-loop latency-under-load/good
sed -i '/^netbench-loaded-latency: beside/,/^netbench-loaded-latency: stream/ { /^[rwbl]/d }' \
    "$golden/latency-under-load/no-second-loop/stdout"
