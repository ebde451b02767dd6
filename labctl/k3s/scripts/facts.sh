# Gathers facts about a host for labctl, as JSON lines. Changes nothing. POSIX sh; runs as root.
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
umask 077

escaped() { printf '%s' "$1" | tr -d '\000-\037' | sed 's/[\\"]/\\&/g'; }
value() { printf '{"fact":"value","name":"%s","value":"%s"}\n' "$1" "$2"; }
text() { value "$1" "$(escaped "$2")"; }
encoded() { base64 < "$1" | tr -d '\n'; }
file() {
  [ -f "$1" ] || return 0
  printf '{"fact":"file","path":"%s","mode":"%s","content":"%s"}\n' "$1" "$(stat -c %a "$1")" "$(encoded "$1")"
}
sum() {
  [ -f "$1" ] || return 0
  s=$(sha256sum "$1")
  printf '{"fact":"sum","path":"%s","sha256":"%s"}\n' "$1" "${s%% *}"
}
secret() {
  [ -f "$2" ] || return 0
  printf '{"fact":"secret","name":"%s","content":"%s"}\n' "$1" "$(encoded "$2")"
}
have() { command -v "$1" >/dev/null 2>&1; }

value time "$(date +%s.%N)"
value machine "$(uname -m)"
value kernel "$(uname -r)"
value hostname "$(uname -n | tr 'A-Z' 'a-z')"
value boot-id "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)"
value machine-id "$(cat /etc/machine-id 2>/dev/null)"
[ -r /etc/os-release ] && text os "$(. /etc/os-release; printf '%s' "$PRETTY_NAME")"
[ -d /run/systemd/system ] && value systemd yes
value cpus "$(grep -c '^processor' /proc/cpuinfo)"
while read -r name size _; do
  case $name in
    MemTotal:) value memory-kb "$size" ;;
    SwapTotal:) value swap-kb "$size" ;;
  esac
done < /proc/meminfo

# Places that are written to: room, and whether they can be written at all.
nearest() { d=$1; while [ ! -e "$d" ]; do d=$(dirname "$d"); done; printf '%s' "$d"; }
for place in "${BINARY%/*}" "${CONFIG%/*}" "$DATA" /etc/systemd/system; do
  d=$(nearest "$place")
  set -- $(df -Pk "$d" | tail -n 1)
  value "free-kb:$place" "$4"
  set -- $(df -Pi "$d" 2>/dev/null | tail -n 1)
  value "free-inodes:$place" "${4:-}"
  [ -w "$d" ] || value "read-only:$place" yes
done
case ",$(findmnt -no OPTIONS --target "$(nearest "${BINARY%/*}")" 2>/dev/null)," in *,noexec,*) value noexec yes ;; esac

# Control groups: version 2 lists its controllers in a file, version 1 in /proc/cgroups.
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
  value cgroup 2
  value cgroup-controllers "$(cat /sys/fs/cgroup/cgroup.controllers)"
else
  value cgroup 1
  value cgroup-controllers "$(awk '$4 == 1 { printf "%s ", $1 }' /proc/cgroups)"
fi
for module in br_netfilter overlay vxlan nf_conntrack; do
  if [ -d "/sys/module/$module" ] || modprobe -n "$module" >/dev/null 2>&1; then
    value "module:$module" yes
  fi
done
grep -qw overlay /proc/filesystems && value module:overlay yes
[ -d /proc/sys/net/bridge ] && value module:br_netfilter yes
[ -d "/lib/modules/$(uname -r)" ] || value modules-hidden yes

# Network.
if have ip; then
  value default-route "$(ip -4 route show default 2>/dev/null | awk 'NR == 1 { print $5 }')"
  value routes "$(ip -4 route show 2>/dev/null | awk '$1 != "default" { printf "%s|%s ", $1, $3 }')"
  value addresses "$(ip -o -4 addr show 2>/dev/null | awk '{ sub("/.*", "", $4); printf "%s|%s ", $4, $2 }')"
fi
if have ss; then
  ss -ltnpH 2>/dev/null | awk '{
    port = $4; sub(".*:", "", port)
    holder = $0; if (!sub(".*users:\\(\\(\"", "", holder)) holder = ""; sub("\".*", "", holder)
    printf "{\"fact\":\"listener\",\"port\":\"%s\",\"holder\":\"%s\"}\n", port, holder }'
else
  for table in /proc/net/tcp /proc/net/tcp6; do
    [ -r "$table" ] && awk '$4 == "0A" { sub(".*:", "", $2); print $2 }' "$table"
  done | sort -u | while read -r hex; do
    printf '{"fact":"listener","port":"%d","holder":""}\n' "0x$hex"
  done
fi
have iptables && text iptables "$(iptables --version 2>/dev/null)"
have firewall-cmd && value firewalld "$(firewall-cmd --state 2>/dev/null)"
have ufw && value ufw "$(ufw status 2>/dev/null | awk 'NR == 1 { print $2 }')"
have getenforce && value selinux "$(getenforce 2>/dev/null)"
have rpm && rpm -q k3s-selinux >/dev/null 2>&1 && value k3s-selinux yes
[ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] && value apparmor yes
have apparmor_parser && value apparmor-parser yes
have systemctl && value nm-cloud-setup "$(systemctl is-enabled nm-cloud-setup.service 2>/dev/null)"
value root-maxkeys "$(cat /proc/sys/kernel/keys/root_maxkeys 2>/dev/null)"

# Kubernetes that is there already.
for other in kubeadm microk8s rke2 k0s; do have "$other" && value "other:$other" "$(command -v "$other")"; done
for name in kubectl crictl ctr; do
  at=$(command -v "$name" 2>/dev/null)
  value "command:$name" "$at"
  [ -L "/usr/local/bin/$name" ] && value "link:$name" "$(readlink "/usr/local/bin/$name")"
done
sum "$BINARY"
[ -x "$BINARY" ] && text k3s-version "$("$BINARY" --version 2>/dev/null | head -n 1)"
for unit in k3s k3s-agent; do
  have systemctl || break
  load='' active='' enabled='' restarts=''
  while IFS='=' read -r key state; do
    case $key in
      LoadState) load=$state ;; ActiveState) active=$state ;;
      UnitFileState) enabled=$state ;; NRestarts) restarts=$state ;;
    esac
  done <<STATES
$(systemctl show "$unit.service" -p LoadState -p ActiveState -p UnitFileState -p NRestarts 2>/dev/null)
STATES
  printf '{"fact":"unit","name":"%s","load":"%s","active":"%s","enabled":"%s","restarts":"%s"}\n' \
    "$unit" "$load" "$active" "$enabled" "$restarts"
  file "/etc/systemd/system/$unit.service"
  file "/etc/systemd/system/$unit.service.env"
done
for path in "$CONFIG" "$REGISTRIES" "$PENDING" "$BEFORE" "$KILLALL" "$UNINSTALL"; do file "$path"; done
for path in "${CONFIG%/*}"/config.yaml.d/*.yaml "${CONFIG%/*}"/config.yaml.d/*.yml; do file "$path"; done
for path in $CERTIFICATES; do file "$path"; done
for path in "$IMAGES"/*; do sum "$path"; done
[ -f "$NODE_PASSWORD" ] && value node-password yes
[ -d "$SERVER_DATA/db" ] && value server-data yes
[ -d "$SERVER_DATA/db/etcd" ] && value etcd yes
[ -d "$DATA" ] && value data yes
secret node-token "$NODE_TOKEN"
secret join-token "$JOIN_TOKEN"
secret kubeconfig "$KUBECONFIG"
value end yes
