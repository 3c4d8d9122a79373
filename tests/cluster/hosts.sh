# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# hosts.sh: several hosts on one machine; a test sources it before lib.sh. Starts the test again inside
# namespaces of its own (mounts, network, processes), as root or as a user who may map himself to root, so that
# nothing of it is seen outside, nothing is left behind whatever happens, and no process outlives it. Skips
# with a reason where the machine forbids that.
#
# A host is a network namespace with a hostname of its own, on a cable to a switch. Open MPI reaches it through
# an agent that enters the namespaces. The hosts share file systems, cores and /proc, but no port of the
# network, and lockstep takes ranks with different hostnames for ranks of different machines.
skip() {
    echo "skipped: $*"
    exit 77
}

if [ "${LOCKSTEP_HOSTS:-}" != inside ]; then
    for program in ip unshare nsenter mount hostname; do
        command -v "$program" >/dev/null 2>&1 || skip "no program '$program' (packages iproute2, util-linux)"
    done
    "$3" --version 2>/dev/null | grep -q 'Open MPI\|OpenRTE' || skip "the agent that starts ranks is written for Open MPI"
    spaces='--mount --net --uts --ipc --pid --fork --kill-child --mount-proc'
    [ "$(id -u)" = 0 ] || spaces="--user --map-root-user $spaces"
    # shellcheck disable=SC2086 # the list is words on purpose
    unshare $spaces true 2>/dev/null || skip "namespaces (unshare $spaces): not permitted here"
    export LOCKSTEP_HOSTS=inside
    # shellcheck disable=SC2086
    exec unshare $spaces sh "$0" "$@"
fi

# make_hosts COUNT [RATE]: host1 ... with addresses 10.77.0.1 ...; a RATE (of tc: 1gbit) is each cable's, each
# way. Jobs that launch, run and start of lib.sh begin from then on are on the hosts of `layout`.
make_hosts() {
    mount -t tmpfs none /run 2>err || skip "mount in a namespace: $(cat err)"
    { ip netns add switch && ip -n switch link add br0 type bridge && ip -n switch link set br0 up; } 2>err ||
        skip "a bridge in a network namespace: $(cat err)"
    echo '127.0.0.1 localhost' >hosts
    host=0
    while [ $host -lt "$1" ]; do
        host=$((host + 1))
        make_host $host "${2:-}" 2>err || skip "host $host: $(cat err)"
    done
    mount --bind hosts /etc/hosts 2>err || skip "mount over /etc/hosts: $(cat err)"

    # With `pinned` in the environment each host has a core of its own.
    cat >enter <<SH
#!/bin/sh
name=\$1
shift
[ -z "\${pinned:-}" ] || set -- taskset -c "\$((\${name#host} - 1))" "\$@"
exec nsenter --net="/run/netns/\$name" --uts="/run/uts.\$name" "\$@"
SH
    cat >agent <<SH
#!/bin/sh
name=\$1
shift
exec "$here/enter" "\$name" sh -c "\$*"
SH
    # Every host would bind its ranks to the same first cores.
    cat >mpirun <<SH
#!/bin/sh
exec "$here/enter" host1 "$mpiexec" --bind-to none --mca plm rsh --mca plm_rsh_agent "$here/agent" \
    --mca plm_rsh_no_tree_spawn 1 --mca btl tcp,vader,self --mca btl_vader_single_copy_mechanism none \
    --mca btl_tcp_if_include eth0 --mca oob_tcp_if_include eth0 --host "\$layout" "\$@"
SH
    chmod +x enter agent mpirun
    mpiexec=$here/mpirun
}

make_host() {
    ip netns add "host$1" &&
        ip link add eth0 netns "host$1" type veth peer name "port$1" netns switch &&
        ip -n "host$1" addr add "10.77.0.$1/24" dev eth0 &&
        ip -n "host$1" link set lo up && ip -n "host$1" link set eth0 up &&
        ip -n switch link set "port$1" master br0 up &&
        : >"/run/uts.host$1" && unshare --uts="/run/uts.host$1" hostname "host$1" &&
        echo "10.77.0.$1 host$1" >>hosts || return 1
    [ -z "$2" ] || {
        ip netns exec "host$1" tc qdisc add dev eth0 root tbf rate "$2" burst 256kb latency 100ms &&
            ip netns exec switch tc qdisc add dev "port$1" root tbf rate "$2" burst 256kb latency 100ms
    }
}

# ranks_of LAYOUT: how many, for example 3 for host1:2,host2:1; jobs go there from now on
ranks_of() {
    layout=$1 total=0
    export layout
    for part in $(echo "$layout" | tr , ' '); do total=$((total + ${part#*:})); done
}

# on LAYOUT COMMAND...: launches on hosts and ranks such as host1:2,host2:1
on() {
    ranks_of "$1"
    shift
    launch $total "$@"
}

# start_on LAYOUT COMMAND...: the same in the background (see start of lib.sh)
start_on() {
    ranks_of "$1"
    shift
    start $total "$@"
}

# worked: ticks that all cores together have worked, and all ticks, since the machine began.
worked() {
    awk '$1 == "cpu" { print $2 + $3 + $4 + $7 + $8 + $9, $2 + $3 + $4 + $5 + $6 + $7 + $8 + $9 }' /proc/stat
}

# measures: skips without python3 ($python), with one core, and while others work on the machine, whose times then say
# nothing: more than a tenth of its cores for a second.
measures() {
    python=${LOCKSTEP_PYTHON:-python3}
    "$python" -c 'import json' 2>/dev/null || skip "no $python"
    [ "$(env -u OMP_NUM_THREADS nproc)" -ge 2 ] || skip 'one core'
    before=$(worked)
    sleep 1
    busy=$(printf '%s %s\n' "$before" "$(worked)" | awk '{ print int(100 * ($3 - $1) / ($4 - $2)) }')
    [ "$busy" -le 10 ] || skip "others work on this machine ($busy % of its cores)"
}

cut_cable() { ip -n switch link set "port${1#host}" down; }
mend_cable() { ip -n switch link set "port${1#host}" up; }
kill_host() {
    # shellcheck disable=SC2046 # pids
    kill -KILL $(ip netns pids "$1")
}
