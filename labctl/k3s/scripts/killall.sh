# Stops k3s and every pod on this host, and removes the network that they had. The data stays.
export PATH="$PATH:/usr/local/bin:/usr/sbin:/sbin"
[ "$(id -u)" = 0 ] || exec sudo "$0" "$@"

for unit in /etc/systemd/system/k3s*.service; do
  [ -f "$unit" ] && systemctl stop "$(basename "$unit")"
done

# Pods outlive the service (KillMode=process): each is a child of a containerd shim below k3s's data folder.
descendants() {
  for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
    descendants "$child"
    echo "$child"
  done
}
shims() {
  for exe in /proc/[0-9]*/exe; do
    case $(readlink "$exe" 2>/dev/null) in @DATA@/data/*/bin/containerd-shim*) exe=${exe#/proc/}; echo "${exe%/exe}" ;; esac
  done
}
for shim in $(shims); do
  kill -9 $(descendants "$shim") "$shim" 2>/dev/null
done

# The longest paths first: a mount below another goes before it.
awk '$2 ~ "^(/run/k3s|@DATA@|/var/lib/kubelet/(pods|plugins)|/run/netns/cni-)" { print $2 }' /proc/self/mounts |
  sort -r | while read -r mount; do umount "$mount" 2>/dev/null || umount -l "$mount"; done

if command -v ip >/dev/null 2>&1; then
  ip netns list 2>/dev/null | awk '/^cni-/ { print $1 }' | while read -r name; do ip netns delete "$name"; done
  ip -o link show master cni0 2>/dev/null | awk -F '[ :@]+' '{ print $2 }' | while read -r link; do
    ip link delete "$link" 2>/dev/null
  done
  for link in cni0 flannel.1 flannel-v6.1 flannel-wg flannel-wg-v6 kube-ipvs0; do
    ip link show "$link" >/dev/null 2>&1 && ip link delete "$link"
  done
fi
rm -rf /var/lib/cni/networks /var/lib/cni/results
for family in iptables ip6tables; do
  command -v "$family-save" >/dev/null 2>&1 || continue
  rules=$("$family-save" 2>/dev/null)
  case $rules in
    *KUBE-* | *CNI-* | *flannel*)
      printf '%s\n' "$rules" | grep -v -e KUBE- -e CNI- -i -e flannel | "$family-restore" ;;
  esac
done
exit 0
