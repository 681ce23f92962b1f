#!/bin/bash
# Runs inside a booted Debian: installs the package in /dist, uses it, upgrades it, goes back, removes and purges it. Prints "PASSED" at its end.
set -euo pipefail
exec > /dev/console 2>&1
trap 'echo "FAILED at line $LINENO"; journalctl --no-pager -u ebhost -n 40; systemctl poweroff --force' ERR
say() { echo "== $1"; }
# Into a file: `grep -q` closes a pipe at its first match, and curl fails.
metrics() { curl --silent --fail --max-time 20 --output /tmp/metrics http://127.0.0.1:9435/metrics; }
serves() { metrics && grep -q "$1" /tmp/metrics; }
await() {
    for _ in $(seq 120); do
        if curl --silent --fail --max-time 5 --output /dev/null http://127.0.0.1:9435/-/ready; then return 0; fi
        sleep 0.5
    done
    return 1
}
ours() { find / -xdev -name '*ebhost*' -not -path '/proc/*' -not -path '/dist/*' -not -path '/var/log/*' -not -path '/var/lib/dpkg/*' -not -path '/tmp/*' -not -name 'ebhost-install-test*' | sort; }

[ -z "$(ours)" ]
say "install on $(. /etc/os-release; echo "$PRETTY_NAME"), systemd $(systemctl --version | awk 'NR==1 { print $2 }')"
dpkg -i /dist/ebhost.deb > /tmp/dpkg.log
await
# The list of installed files is the package's, and no other file appeared but the cache and what systemd keeps.
dpkg -L ebhost | sort > /tmp/listed
for file in /usr/bin/ebhost /usr/lib/ebhost/plugins/biolatency/plugin.yaml /usr/lib/systemd/system/ebhost.service /etc/ebhost/ebhost.yaml \
    /etc/default/ebhost /usr/share/man/man1/ebhost.1.gz; do
    grep -qx "$file" /tmp/listed
done
dpkg --verify ebhost
say 'serves under its own sandboxing'
[ "$(systemctl show -P ActiveState ebhost)" = active ]
pid=$(systemctl show -P MainPID ebhost)
[ "$(stat -c %u "/proc/$pid")" != 0 ]
# After the start the main thread has no capability.
grep -qx 'CapEff:	0000000000000000' "/proc/$pid/status"
grep -qx 'NoNewPrivs:	1' "/proc/$pid/status"
grep -qx 'Seccomp:	2' "/proc/$pid/status"
serves '^ebhost_plugin_up{plugin="biolatency"} 1$'
grep -q '^ebhost_bio_latency_seconds' /tmp/metrics || grep -q '^# TYPE ebhost_bio_latency_seconds' /tmp/metrics
say 'the cache works'
[ -n "$(ls -A /var/cache/private/ebhost)" ]
[ "$(stat -c %a /var/cache/private/ebhost)" = 700 ]
! journalctl --no-pager -u ebhost | grep -i 'cache' | grep -i 'warn\|refus\|cannot'
say 'settings are applied by a reload'
echo 'plugins: { llcstat: off, runqlat: off }' >> /etc/ebhost/ebhost.yaml
systemctl reload ebhost
serves '^ebhost_plugin_up{plugin="biolatency"}'
for _ in $(seq 40); do serves '^ebhost_plugin_up{plugin="runqlat"} 1$' || break; sleep 0.5; done
if serves '^ebhost_plugin_up{plugin="runqlat"} 1$'; then false; fi
say 'upgrade keeps settings and restarts once'
starts() { journalctl --no-pager -u ebhost | grep -c 'Started ebhost'; }
before=$(starts)
dpkg -i /dist/next.deb > /tmp/dpkg.log
await
[ "$(starts)" = $((before + 1)) ]
grep -q 'llcstat: off' /etc/ebhost/ebhost.yaml
[ "$(dpkg-query -W -f '${Version}' ebhost)" = "$(dpkg-deb -f /dist/next.deb Version)" ]
say 'the version before can be installed again'
dpkg -i /dist/ebhost.deb > /tmp/dpkg.log 2>&1
await
grep -q 'llcstat: off' /etc/ebhost/ebhost.yaml
[ "$(starts)" = $((before + 2)) ]
say 'remove leaves settings'
dpkg -r ebhost > /tmp/dpkg.log
[ ! -e /usr/bin/ebhost ]
[ "$(systemctl is-active ebhost || true)" != active ]
[ "$(find /etc/ebhost /etc/default/ebhost -type f | sort | tr '\n' ' ')" = '/etc/default/ebhost /etc/ebhost/ebhost.yaml ' ]
say 'purge leaves nothing'
dpkg -P ebhost > /tmp/dpkg.log
ours
[ -z "$(ours)" ]
echo PASSED
systemctl poweroff --force
