#!/bin/bash
# Runs inside a booted Debian: installs the package in /dist, uses it, upgrades it, goes back, removes and purges it.
. /dist/common.sh

listed() {
    dpkg -L ebhost | sort > /tmp/listed
    for file in $(cat /tmp/listed); do [ ! -f "$file" ] || echo "$file"; done
}
is_version() { [ "$(dpkg-query -W -f '${Status} ${Version}' ebhost)" = "install ok installed $(dpkg-deb -f "$1" Version)" ]; }

[ -z "$(ours)" ]
say "install on $(. /etc/os-release; echo "$PRETTY_NAME"), systemd $(systemctl --version | awk 'NR==1 { print $2 }')"
dpkg -i /dist/ebhost.deb > /tmp/log
await
say 'the files are those of the list'
listed | diff /dist/files -
dpkg --verify ebhost
# What systemd and deb-systemd-helper make of it.
diff - <(beside_the_list) <<'LIST'
/etc/systemd/system/multi-user.target.wants/ebhost.service
/var/cache/ebhost
/var/cache/private/ebhost
/var/lib/systemd/deb-systemd-helper-enabled/ebhost.service.dsh-also
/var/lib/systemd/deb-systemd-helper-enabled/multi-user.target.wants/ebhost.service
LIST
say 'serves disks under its own sandboxing'
is_confined
serves_disks
say 'the cache works'
cache_works
say 'settings are applied by a reload'
if serves '^ebhost_plugin_up{plugin="runqlat"} 1$'; then false; fi
echo 'plugins: { llcstat: off, processes: off, runqlat: on }' >> /etc/ebhost/ebhost.yaml
systemctl reload ebhost
serves '^ebhost_plugin_up{plugin="biolatency"}'
for _ in $(seq 40); do ! serves '^ebhost_plugin_up{plugin="runqlat"} 1$' || break; sleep 0.5; done
serves '^ebhost_plugin_up{plugin="runqlat"} 1$'
for _ in $(seq 40); do serves '^ebhost_plugin_up{plugin="processes"} 1$' || break; sleep 0.5; done
if serves '^ebhost_plugin_up{plugin="processes"} 1$'; then false; fi
say 'the socket unit opens the port'
sed -i 's/^ARGS=.*/ARGS="--web.systemd-socket"/' /etc/default/ebhost
systemctl stop ebhost
systemctl start ebhost.socket
[ "$(systemctl show -P ActiveState ebhost)" = inactive ]
# The first connection starts the service.
await
serves_disks
[ "$(systemctl show -P TriggeredBy ebhost)" = ebhost.socket ]
systemctl stop ebhost.socket ebhost.service
sed -i 's/^ARGS=.*/ARGS=""/' /etc/default/ebhost
systemctl start ebhost
await
say 'an upgrade that fails leaves the service as it was'
pid=$(process)
if dpkg -i /dist/broken.deb > /tmp/log 2>&1; then false; fi
is_version /dist/ebhost.deb
[ "$(process)" = "$pid" ]
serves '^ebhost_plugin_up{plugin="biolatency"} 1$'
say 'an upgrade keeps settings and restarts once'
before=$(starts)
dpkg -i /dist/next.deb > /tmp/log
await
[ "$(starts)" = $((before + 1)) ]
grep -q 'llcstat: off' /etc/ebhost/ebhost.yaml
is_version /dist/next.deb
say 'the version before can be installed again'
dpkg -i /dist/ebhost.deb > /tmp/log 2>&1
await
[ "$(starts)" = $((before + 2)) ]
grep -q 'llcstat: off' /etc/ebhost/ebhost.yaml
is_version /dist/ebhost.deb
say 'what was stopped and disabled stays so in an upgrade'
systemctl disable --now --quiet ebhost
dpkg -i /dist/next.deb > /tmp/log
[ "$(systemctl is-enabled ebhost || true)" = disabled ]
[ "$(systemctl show -P ActiveState ebhost)" = inactive ]
systemctl enable --now --quiet ebhost
await
say 'remove leaves settings'
dpkg -r ebhost > /tmp/log
[ ! -e /usr/bin/ebhost ]
[ "$(systemctl is-active ebhost || true)" != active ]
[ "$(find /etc/ebhost /etc/default/ebhost -type f | sort | tr '\n' ' ')" = '/etc/default/ebhost /etc/ebhost/ebhost.yaml ' ]
say 'what was removed and is installed again runs, with its settings'
dpkg -i /dist/ebhost.deb > /tmp/log
await
grep -q 'llcstat: off' /etc/ebhost/ebhost.yaml
say 'purge leaves nothing'
dpkg -P ebhost > /tmp/log
ours
[ -z "$(ours)" ]
passed
