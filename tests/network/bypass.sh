#!/usr/bin/env bash
# A client's ways out, in network namespaces: client and gateway are Pods of a node whose network plugin answers ARP for
# every address, and the world is behind the node's uplink and behind the gateway's tunnel. Routes are set as
# pod-gateway's client_init.sh sets them, with a fixed address in place of DHCP. main.rs runs it, with the rules that a
# plugin would make of the NetworkPolicies: bypass.sh RULES RULES_WITHOUT_A_GATEWAY. Without them it says what this
# machine lacks.
set -euo pipefail

readonly client=${CLIENT_ADDRESS:-} gateway=${GATEWAY_ADDRESS:-} world=${WORLD_ADDRESS:-}
readonly rules=${1:-} rules_without_gateway=${2:-}
readonly node=192.0.2.10 exit=198.51.100.10 plugin=169.254.1.1
readonly namespaces=(client gateway node world) prefix=podgateway-$$
failures=0

lacks() {
  echo "$*"
  exit 77
}

within() { ip netns exec "$prefix-$1" "${@:2}"; }

# Whatever still runs in the namespaces was started here.
clean_up() {
  for name in "${namespaces[@]}"; do
    ip netns pids "$prefix-$name" 2>/dev/null | xargs --no-run-if-empty kill 2>/dev/null || true
    ip netns delete "$prefix-$name" 2>/dev/null || true
  done
}

look_for_what_it_takes() {
  [ "$(id -u)" = 0 ] || lacks "network namespaces need root"
  for command in ip bridge nft curl ping setpriv python3; do
    command -v "$command" >/dev/null || lacks "there is no $command"
  done
  ip netns add "$prefix-node" 2>/dev/null || lacks "the kernel gives no network namespace"
  within node ip link add probe type vxlan id 1 dstport 0 dev lo 2>/dev/null || lacks "the kernel has no VXLAN"
  within node nft add table ip probe 2>/dev/null || lacks "the kernel has no nftables"
  within node sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward' 2>/dev/null || lacks "/proc/sys can't be written"
  ip netns delete "$prefix-node"
}

# link NAMESPACE INTERFACE NAMESPACE INTERFACE
link() {
  ip link add "$2" netns "$prefix-$1" type veth peer name "$4" netns "$prefix-$3"
  within "$1" ip link set "$2" up
  within "$3" ip link set "$4" up
}

# A Pod's end as Calico makes it: a /32, and a next hop that the node answers ARP for, as for any other address.
pod() {
  link "$1" eth0 node "$1"
  within "$1" ip address add "$2/32" dev eth0
  within "$1" ip route add "$plugin" dev eth0 scope link
  within "$1" ip route add default via "$plugin"
  within node ip route add "$2/32" dev "$1"
  within node sh -c "echo 1 >/proc/sys/net/ipv4/conf/$1/proxy_arp; echo 0 >/proc/sys/net/ipv4/neigh/$1/proxy_delay"
}

masquerade() {
  within "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
  within "$1" nft -f - <<<"table ip nat { chain out { type nat hook postrouting priority srcnat;
    oifname $2 masquerade; }; }"
}

build() {
  for name in "${namespaces[@]}"; do
    ip netns add "$prefix-$name"
    within "$name" ip link set lo up
  done
  pod client "$client"
  pod gateway "$gateway"
  link node uplink world node
  link gateway tun0 world exit
  within node ip address add "$node/24" dev uplink
  within gateway ip address add "$exit/24" dev tun0
  within world ip address add 192.0.2.1/24 dev node
  within world ip address add 198.51.100.1/24 dev exit
  within world ip address add "$world/32" dev lo
  within node ip route add default via 192.0.2.1
  masquerade node uplink
  masquerade gateway tun0
  within world nft -f - <<<"table ip seen { counter vxlan {}; chain in { type filter hook prerouting priority filter;
    iifname node udp dport 8472 counter name vxlan; }; }"
}

# gateway_init.sh: the tunnel's end, and the VPN as the default route.
start_gateway() {
  within gateway ip route add 10.244.0.0/16 via "$plugin"
  within gateway ip route replace default via 198.51.100.1
  within gateway ip link add vxlan0 type vxlan id 42 dev eth0 dstport 0
  within gateway ip address add 172.16.0.1/24 dev vxlan0
  within gateway ip link set vxlan0 up
}

# client_init.sh, in its order; the second time, as the sidecar does it, without the routes to the cluster.
route_client() {
  if within client ip link show vxlan0 >/dev/null 2>&1; then
    within client ip link delete vxlan0
  else
    within client ip route add 10.244.0.0/16 via "$plugin"
    within client ip route delete default
    within client ip route add "$gateway" via "$plugin"
  fi
  ! within client ping -c 1 -W 1 "$world" >/dev/null 2>&1 || return 1
  within client ping -c 1 -W 2 "$gateway" >/dev/null || return 1
  within client ip link add vxlan0 type vxlan id 42 dev eth0 dstport 0
  within client bridge fdb append to 00:00:00:00:00:00 dst "$gateway" dev vxlan0
  within client ip link set vxlan0 up
  within client ip address add 172.16.0.20/24 dev vxlan0
  within client ip route add default via 172.16.0.1
  within client ping -c 1 -W 2 172.16.0.1 >/dev/null || return 1
}

# The world tells who asks, by HTTP and by UDP.
start_world() {
  ip netns exec "$prefix-world" python3 - "$world" <<'PYTHON' & disown
import http.server, socket, sys, threading
class Tell(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.client_address[0].encode())
    def log_message(self, *_):
        pass
def tell():
    while True:
        _, (address, port) = datagrams.recvfrom(64)
        datagrams.sendto(address.encode(), (address, port))
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind((sys.argv[1], 5000))
threading.Thread(target=tell, daemon=True).start()
http.server.HTTPServer((sys.argv[1], 80), Tell).serve_forever()
PYTHON
  for _ in $(seq 100); do
    within world curl --silent --output /dev/null "http://$world/" && return
    sleep 0.1
  done
  echo "the world doesn't answer" >&2
  exit 1
}

# A client's container: no user, no capability, and no way to get one.
hardened() {
  within client setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all --inh-caps -all \
    --no-new-privs "$@"
}

ask() { hardened curl --silent --max-time 2 "$@" "http://$world/" || true; }

# The same by UDP, from a socket that is bound to eth0 by SO_BINDTODEVICE. It gives its rights away itself, for that
# user may not be able to start this machine's python3.
ask_by_udp() {
  within client python3 - "$world" <<'PYTHON'
import os, socket, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
asking.settimeout(2)
try:
    asking.sendto(b"who am I?", (sys.argv[1], 5000))
    print(asking.recv(64).decode(), end="")
except OSError:
    pass
PYTHON
}

# What a client sends while its gateway is gone, as the world sees it: some or none. nft writes its answer in pieces, so
# whoever stops reading at the first match, as grep -q does, would end it with an error.
leaked() {
  within world nft reset counter ip seen vxlan >/dev/null
  ask >/dev/null
  case "$(within world nft list counter ip seen vxlan)" in
    *'packets 0 '*) echo none ;;
    *) echo some ;;
  esac
}

expect() {
  printf '%-64s %s\n' "$1" "${3:-nobody}"
  [ "$2" = "$3" ] || { echo "FAILED: expected ${2:-nobody}" && failures=$((failures + 1)); }
}

enforce() {
  within node nft delete table ip policies 2>/dev/null || true
  [ -z "${1:-}" ] || within node nft -f "$1"
}

trap clean_up EXIT
look_for_what_it_takes
[ -n "$rules" ] || exit 0
build
start_gateway
start_world

expect "without a policy: the client comes up" yes "$(route_client && echo yes)"
expect "without a policy: the world sees, by the tunnel" $exit "$(ask)"
expect "without a policy: the world sees, by eth0" $node "$(ask --interface eth0)"
expect "without a policy: the world sees, by eth0 and UDP" $node "$(ask_by_udp)"
within node sh -c 'echo 0 >/proc/sys/net/ipv4/conf/client/proxy_arp'
within client ip neighbour flush dev eth0
expect "without a policy, nor an answer to ARP: by eth0" "" "$(ask --interface eth0)"
within node sh -c 'echo 1 >/proc/sys/net/ipv4/conf/client/proxy_arp'
enforce "$rules"
expect "with the policies: the client comes up anew" yes "$(route_client && echo yes)"
expect "with the policies: the world sees, by the tunnel" $exit "$(ask)"
expect "with the policies: the world sees, by eth0" "" "$(ask --interface eth0)"
expect "with the policies: the world sees, by eth0 and UDP" "" "$(ask_by_udp)"

# The gateway's Pod goes away, and its address is nobody's: the node has no route for it but the default one.
within node ip link delete gateway
enforce
expect "without a policy: tunnel packets on the uplink, gateway gone" some "$(leaked)"
enforce "$rules_without_gateway"
expect "with the policies: tunnel packets on the uplink, gateway gone" none "$(leaked)"
exit "$((failures > 0))"
