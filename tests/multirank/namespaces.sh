#!/bin/bash
# Runs a program under mpirun on hosts that are network namespaces of this machine: each has a veth to a bridge, its rate
# set by tc tbf both ways, its delay by netem where the kernel has it, else by delay_switch between the bridges.
#   namespaces.sh DELAY_SWITCH HOSTS RANKS_A_HOST RATE DELAY_US PROGRAM [ARGUMENT ...]
#   namespaces.sh build/delay_switch 4 2 100mbit 1000 build/alltoall_check
# Returns the program's exit code, or 77 with a message where this user or kernel may not make namespaces.
set -euo pipefail
[ $# -ge 6 ] || { sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
switch=$1 hosts=$2 ranks_a_host=$3 rate=$4 delay_us=$5
shift 5

skip() { echo "namespaces: skipped: $1"; exit 77; }
for tool in ip tc unshare mpirun; do command -v $tool > /dev/null || skip "there is no $tool (Debian: iproute2, util-linux)"; done

tag=swt$$
work=$(mktemp -d)
switch_pid=
tear_down() {
  [ -z "$switch_pid" ] || kill "$switch_pid" 2> /dev/null || true
  for ((i = 0; i < hosts; ++i)); do ip netns del $tag-h$i 2> /dev/null || true; done
  ip netns del $tag-net 2> /dev/null || true
  rm -rf "$work"
}
trap tear_down EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

ip netns add $tag-net 2> "$work/error" || skip "no network namespace: $(cat "$work/error")"
in_net() { ip netns exec $tag-net "$@"; }
in_net ip link add br0 type bridge 2> "$work/error" || skip "no bridge: $(cat "$work/error")"
in_net ip link set br0 up
in_net ip link add probe type dummy 2> /dev/null || true
delay=switch
if in_net tc qdisc add dev probe root netem delay 1ms 2> /dev/null; then delay=netem; fi

# Large frames, so that a switch on shared cores has fewer to carry. The burst must hold a frame, and not so many that a
# small exchange passes at once.
mtu=9000
limit="tbf rate $rate burst 20kb latency 1s"
taps=
: > "$work/hosts"
for ((i = 0; i < hosts; ++i)); do
  host=$tag-h$i
  ip netns add $host
  ip link add eth0 netns $host type veth peer name port$i netns $tag-net 2> "$work/error" || skip "no veth: $(cat "$work/error")"
  ip netns exec $host ip link set lo up
  ip netns exec $host ip addr add 10.77.0.$((i + 1))/24 dev eth0
  ip netns exec $host ip link set eth0 mtu $mtu up
  in_net ip link set port$i mtu $mtu up
  # An exchange a step apart from the last one would begin with a closed window each time.
  ip netns exec $host sysctl -q -w net.ipv4.tcp_slow_start_after_idle=0
  if [ $delay = netem ]; then
    in_net ip link set port$i master br0
    ip netns exec $host tc qdisc add dev eth0 root handle 1: netem delay ${delay_us}us limit 10000
    ip netns exec $host tc qdisc add dev eth0 parent 1: handle 2: $limit
  else
    in_net ip link add br$((i + 1)) type bridge
    in_net ip link set br$((i + 1)) up
    in_net ip tuntap add tap$i mode tap 2> "$work/error" || skip "neither netem nor TAP: $(cat "$work/error")"
    in_net ip link set tap$i mtu $mtu txqueuelen 10000 master br$((i + 1)) up
    in_net ip link set port$i master br$((i + 1))
    ip netns exec $host tc qdisc add dev eth0 root $limit
    taps="$taps tap$i"
  fi
  in_net tc qdisc add dev port$i root $limit
  echo "10.77.0.$((i + 1)) slots=$ranks_a_host" >> "$work/hosts"
done
if [ $delay = switch ]; then
  # Frames must not wait for the ranks that share the cores.
  ip netns exec $tag-net nice -n -15 "$switch" "$delay_us" $taps &
  switch_pid=$!
fi

# Enters the namespace of the address that mpirun names, with a host name of its own: ranks with one name are one machine.
cat > "$work/agent" << AGENT
#!/bin/bash
while [ "\${1#-}" != "\$1" ]; do shift; done
host=$tag-h\$((\${1##*.} - 1))
shift
exec ip netns exec \$host unshare --uts bash -c 'hostname "\$0"; exec bash -c "\$*"' \$host "\$@"
AGENT
chmod +x "$work/agent"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_WAIT_POLICY=passive
echo "namespaces: $hosts hosts, $ranks_a_host ranks each, $rate, $delay_us us by $delay" >&2
"$work/agent" 10.77.0.1 mpirun --hostfile "$work/hosts" --map-by slot --bind-to none -n $((hosts * ranks_a_host)) \
  --mca plm_rsh_agent "$work/agent" --mca plm_rsh_no_tree_spawn 1 --mca orte_keep_fqdn_hostnames 1 \
  --mca oob_tcp_if_include eth0 --mca btl_tcp_if_include eth0 --mca btl self,vader,tcp \
  --mca btl_vader_single_copy_mechanism none --mca mpi_yield_when_idle 1 "$@"
