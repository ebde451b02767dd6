# Removes k3s from this host: service, program, data and configuration. What was there before stays.
# With --keep-data the server's datastore, certificates and token stay, for a later `labctl up`.
export PATH="$PATH:/usr/local/bin:/usr/sbin:/sbin"
[ "$(id -u)" = 0 ] || exec sudo "$0" "$@"
keep=''
[ "${1:-}" = --keep-data ] && keep=yes
before=" $(cat @BEFORE@ 2>/dev/null | tr '\n' ' ') "

[ -x @KILLALL@ ] && @KILLALL@
for unit in k3s k3s-agent; do
  if [ -f "/etc/systemd/system/$unit.service" ]; then
    systemctl disable --quiet "$unit" 2>/dev/null
    rm -f "/etc/systemd/system/$unit.service" "/etc/systemd/system/$unit.service.env"
  fi
done
systemctl daemon-reload
systemctl reset-failed k3s k3s-agent 2>/dev/null

for name in @ALIASES@; do
  [ "$(readlink "/usr/local/bin/$name" 2>/dev/null)" = k3s ] && rm -f "/usr/local/bin/$name"
done
if [ "$keep" ]; then
  for entry in @DATA@/* @DATA@/.[!.]*; do
    [ "$entry" = @SERVER_DATA@ ] || rm -rf "$entry"
  done
fi
for trace in @TRACES@; do
  case $before in *" $trace "*) continue ;; esac
  [ "$keep" ] && case $trace in /var/lib/rancher | /etc/rancher) continue ;; esac
  rm -rf "$trace"
done
rm -rf /etc/rancher/k3s /run/k3s
if [ -z "$keep" ]; then
  rm -rf @DATA@ /etc/rancher/node
fi
rm -f @BINARY@ @BINARY@.labctl-partial* @KILLALL@ @UNINSTALL@
for left in @BINARY@ /etc/rancher/k3s /etc/systemd/system/k3s.service /etc/systemd/system/k3s-agent.service; do
  if [ -e "$left" ]; then
    echo "cannot remove $left" >&2
    exit 1
  fi
done
exit 0
