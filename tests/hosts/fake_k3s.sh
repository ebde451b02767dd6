#!/bin/sh
# Not k3s: a program with k3s's command line for the tests of what goes wrong before a cluster is there.
# /etc/fake-k3s on the host says what `server` and `agent` do: a line for the log, and then ready | stuck | crash.
case $1 in
  --version) echo "k3s version v1.30.14+k3s1 (fake)" ;;
  server | agent)
    mode=ready
    [ -f /etc/fake-k3s ] && { read -r mode; IFS= read -r line; } < /etc/fake-k3s
    [ "$line" ] && echo "$line"
    if [ "$1" = server ]; then
      mkdir -p /var/lib/rancher/k3s/server/db
      echo K10aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa::server:very-secret > /var/lib/rancher/k3s/server/node-token
      cat > /etc/rancher/k3s/k3s.yaml <<'YAML'
apiVersion: v1
kind: Config
clusters: [{name: default, cluster: {server: "https://127.0.0.1:6443"}}]
users: [{name: default, user: {token: also-secret}}]
contexts: [{name: default, context: {cluster: default, user: default}}]
current-context: default
YAML
      chmod 600 /var/lib/rancher/k3s/server/node-token /etc/rancher/k3s/k3s.yaml
    fi
    case $mode in
      ready) systemd-notify --ready; exec sleep 100000 ;;
      stuck) exec sleep 100000 ;;
      crash) exit 1 ;;
    esac ;;
esac
exit 0
