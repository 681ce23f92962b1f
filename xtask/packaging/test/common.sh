# Sourced by the scripts that run inside a booted Debian: what each of them asks of an installed ebhost. A script prints PASSED at its end.
set -euo pipefail
exec > /dev/console 2>&1
trap 'failed' ERR

failed() {
    echo "FAILED at line ${BASH_LINENO[0]}"
    journalctl --no-pager -u ebhost -n 40
    [ ! -e /tmp/log ] || tail -n 60 /tmp/log
    systemctl poweroff --force
}
passed() {
    echo PASSED
    systemctl poweroff --force
}
say() { echo "== $1"; }

# Into a file: `grep -q` closes a pipe at its first match, and curl fails.
metrics() { curl --silent --fail --max-time 20 --output /tmp/metrics "$@" http://127.0.0.1:9435/metrics; }
serves() { metrics && grep -q "$1" /tmp/metrics; }
await() {
    for _ in $(seq 120); do
        if curl --silent --fail --max-time 5 --output /dev/null http://127.0.0.1:9435/-/ready; then return 0; fi
        sleep 0.5
    done
    return 1
}

# How often the service was started since the machine was.
starts() { journalctl --no-pager -u ebhost | grep -c 'Started ebhost'; }
process() { systemctl show -P MainPID ebhost; }

# Every file and folder that has the name of ebhost in it.
ours() {
    find / -xdev -name '*ebhost*' -not -path '/dist/*' -not -path '/var/log/*' -not -path '/var/lib/dpkg/*' -not -path '/tmp/*' \
        -not -name 'ebhost-install-test*' | sort
}

# Those that are neither in the list /tmp/listed, one a line, nor the running service's /var/tmp.
beside_the_list() { ours | grep -v '^/var/tmp/systemd-private-' | grep -vxFf /tmp/listed || true; }

# The service runs as its own user, within the sandbox of its unit.
is_confined() {
    local pid exposure
    [ "$(systemctl show -P ActiveState ebhost)" = active ]
    pid=$(process)
    [ "$(stat -c %u "/proc/$pid")" != 0 ]
    # After the start the main thread has no capability.
    grep -qx 'CapEff:	0000000000000000' "/proc/$pid/status"
    grep -qx 'NoNewPrivs:	1' "/proc/$pid/status"
    grep -qx 'Seccomp:	2' "/proc/$pid/status"
    exposure=$(systemd-analyze security --no-pager ebhost.service | sed -n 's/.*exposure level for ebhost.service: \([0-9.]*\).*/\1/p')
    echo "systemd-analyze security: $exposure"
    awk -v exposure="$exposure" 'BEGIN { exit !(exposure != "" && exposure <= 2.0) }'
}

# Reads of all disks, as counted in the kernel.
reads() {
    metrics
    awk '/^ebhost_bio_latency_seconds_count\{.*operation="read"/ { sum += $NF } END { print sum + 0 }' /tmp/metrics
}

# Sixteen reads past the page cache, of a file on a disk of the machine, are counted.
serves_disks() {
    local before after
    serves '^ebhost_plugin_up{plugin="biolatency"} 1$'
    before=$(reads)
    dd if=/dist/disk of=/dev/null bs=64k count=16 iflag=direct status=none
    after=$(reads)
    echo "reads: $before, then $after"
    [ "$after" -ge $((before + 16)) ]
}

# Compiled components are kept in a folder of the service's own.
cache_works() {
    [ -n "$(ls -A /var/cache/private/ebhost)" ]
    [ "$(stat -c %a /var/cache/private/ebhost)" = 700 ]
    if journalctl --no-pager -u ebhost | grep 'not cached'; then return 1; fi
}
