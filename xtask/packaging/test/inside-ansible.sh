#!/bin/bash
# Runs inside a booted Debian with Python: the role of examples/ansible in check mode, then twice. Prints "PASSED" at its end.
set -euo pipefail
exec > /dev/console 2>&1
trap 'echo "FAILED at line $LINENO"; tail -n 60 /tmp/play.log; systemctl poweroff --force' ERR
say() { echo "== $1"; }
cd /tmp && cp -r /dist/ansible . && cd ansible
cat > vars.yml <<'VARS'
ebhost_source: /dist/ebhost.deb
ebhost_settings: { plugins: { llcstat: off }, limits: { series: 20000 } }
ebhost_web:
  basic_auth_users: { prometheus: "$2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay" }
  auth_excluded_paths: [/-/healthy, /-/ready]
VARS
play() {
    PYTHONPATH=/ansible ANSIBLE_ROLES_PATH=roles LC_ALL=C.UTF-8 python3 -m ansible playbook -i localhost, -c local -e @vars.yml "$@" playbook.yml > /tmp/play.log 2>&1 || return 1
    grep -o 'changed=[0-9]*.*failed=[0-9]*' /tmp/play.log
}
say 'check mode changes nothing'
play --check
[ ! -e /usr/bin/ebhost ] && [ ! -e /etc/ebhost ]
say 'the first run installs and serves'
play
for _ in $(seq 60); do curl --silent --fail --output /dev/null http://127.0.0.1:9435/-/ready && break; sleep 0.5; done
[ "$(curl --silent --output /dev/null --write-out '%{http_code}' http://127.0.0.1:9435/metrics)" = 401 ]
# Into a file: `grep -q` closes a pipe at its first match, and curl fails.
curl --silent --fail --output /tmp/metrics --user prometheus:test http://127.0.0.1:9435/metrics
grep -q '^ebhost_plugin_up{plugin="biolatency"} 1$' /tmp/metrics
[ "$(stat -c %a /etc/ebhost/web.yaml)" = 600 ]
pid=$(systemctl show -P MainPID ebhost)
say 'the second run changes nothing'
play | tee /tmp/summary
grep -q 'changed=0 ' /tmp/summary
[ "$(systemctl show -P MainPID ebhost)" = "$pid" ]
say 'check mode after it changes nothing either'
play --check | grep -q 'changed=0 '
say 'a mistake in the settings is not written'
if play -e '{"ebhost_settings": {"plugins": {"biolatency": {"nativ": true}}}}'; then false; fi
grep -q nativ /tmp/play.log
! grep -q nativ /etc/ebhost/ebhost.yaml
echo PASSED
systemctl poweroff --force
