#!/bin/bash
# Runs inside a booted Debian with rpm: installs the package in /dist, uses it, upgrades it and erases it.
. /dist/common.sh

# Of rpm's database alone: Debian has another one, in which the dependencies are.
package() { rpm --force-debian --nodeps "$@" > /tmp/log 2>&1; }
listed() {
    rpm --query --list ebhost | sort > /tmp/listed
    for file in $(cat /tmp/listed); do [ ! -f "$file" ] || echo "$file"; done
}

[ -z "$(ours)" ]
say "install by $(rpm --version), systemd $(systemctl --version | awk 'NR==1 { print $2 }')"
package --install /dist/ebhost.rpm
say 'the files are those of the list'
listed | diff /dist/files -
package --verify ebhost
say 'serves disks under its own sandboxing'
systemctl enable --now --quiet ebhost
await
is_confined
serves_disks
diff - <(beside_the_list) <<'LIST'
/etc/systemd/system/multi-user.target.wants/ebhost.service
/var/cache/ebhost
/var/cache/private/ebhost
LIST
say 'the cache works'
cache_works
say 'an upgrade keeps settings and restarts once'
echo 'plugins: { llcstat: off }' >> /etc/ebhost/ebhost.yaml
before=$(starts)
package --upgrade /dist/next.rpm
await
[ "$(starts)" = $((before + 1)) ]
grep -q 'llcstat: off' /etc/ebhost/ebhost.yaml
[ "$(rpm --query --queryformat '%{RELEASE}' ebhost)" = 2 ]
say 'the version before can be installed again'
package --upgrade --oldpackage /dist/ebhost.rpm
await
[ "$(starts)" = $((before + 2)) ]
grep -q 'llcstat: off' /etc/ebhost/ebhost.yaml
[ "$(rpm --query --queryformat '%{RELEASE}' ebhost)" = 1 ]
[ "$(systemctl is-enabled ebhost)" = enabled ]
say 'erase stops it and leaves the settings that were changed'
package --erase ebhost
[ "$(systemctl is-active ebhost || true)" != active ]
# rpm keeps what was changed under another name, and has no purge.
diff - <(ours) <<'LIST'
/etc/ebhost
/etc/ebhost/ebhost.yaml.rpmsave
LIST
passed
