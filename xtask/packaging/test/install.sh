#!/bin/bash
# install.sh OUT CACHE SUITE …: installs the packages of the folder OUT in booted systems: for each Debian suite a debootstrap in CACHE, which is kept, for
# `ansible` one of them by the role in examples/ansible, for `rpm` the rpm in a root without systemd, and for `bare` the tarballs in a root without any
# other file. As root. Each prints PASSED, or what failed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$1 cache=$2
shift 2
arch=$(dpkg --print-architecture)
work=$(mktemp -d /var/tmp/ebhost-install-XXXXXX)
trap 'rm -rf "$work"' EXIT
mkdir -p "$cache" "$work/dist"
mirror=$(awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/debian.sources)

base() {
    if [ ! -e "$cache/$1.ready" ]; then
        rm -rf "${cache:?}/$1"
        debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,curl,python3,python3-apt "$1" "$cache/$1" "$mirror" > "$cache/$1.log"
        touch "$cache/$1.ready"
    fi
}

# The same package as the next version, for an upgrade.
cp "$out"/ebhost_*_"$arch".deb "$work/dist/ebhost.deb"
dpkg-deb -R "$work/dist/ebhost.deb" "$work/next"
sed -i 's/^Version: .*/&+next/' "$work/next/DEBIAN/control"
dpkg-deb --root-owner-group -Zgzip -z1 -b "$work/next" "$work/dist/next.deb" > "$work/log"

# boot SUITE SCRIPT [ARGUMENT …]: boots a Debian that forgets what happens in it, and has it run the script.
boot() {
    base "$1"
    cp "$2" "$work/dist/inside.sh"
    # The machine's cgroups are of both versions; systemd in the container gets version 2 alone.
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout 300 systemd-nspawn --quiet --directory "$cache/$1" --volatile=overlay --private-network --boot \
        --console=read-only --register=no --keep-unit --machine="ebhost-$1" --capability=CAP_BPF,CAP_PERFMON \
        --system-call-filter='bpf perf_event_open' --bind-ro="$work/dist:/dist" \
        --bind-ro="$here/inside.service:/etc/systemd/system/ebhost-install-test.service" "${@:3}" \
        systemd.unit=ebhost-install-test.service \
        < /dev/null > "$work/$1.log" 2>&1 || true
    grep -a '^== \|PASSED\|FAILED' "$work/$1.log" || true
    if ! grep -aq '^PASSED' "$work/$1.log"; then
        tail -n 60 "$work/$1.log"
        exit 1
    fi
}

# The Python packages of the machine are those of its own Debian, so the role runs in the same one.
ansible() {
    if [ ! -d "$cache/ansible-core/ansible" ]; then
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$cache/ansible-core" 'ansible-core==2.18.*'
    fi
    cp -r "$here/../../../examples/ansible" "$work/dist/"
    boot "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$here/inside-ansible.sh" --bind-ro="$cache/ansible-core:/ansible"
}

# rpm's scripts do nothing where no systemd runs; the files are what is asserted.
rpm_root() {
    base bookworm
    mkdir -p "$work/upper" "$work/lower" "$work/root"
    mount -t overlay overlay -o "lowerdir=$cache/bookworm,upperdir=$work/upper,workdir=$work/lower" "$work/root"
    trap 'umount "$work/root"; rm -rf "$work"' EXIT
    local package root=$work/root
    package=$(ls "$out"/ebhost-*."$(uname -m)".rpm)
    with_rpm() { rpm --root "$root" --dbpath /var/lib/rpm "$@"; }
    with_rpm --initdb
    with_rpm --install --nodeps "$package"
    "$root/usr/bin/ebhost" --version
    with_rpm --verify --nodeps ebhost
    echo '# changed' >> "$root/etc/ebhost/ebhost.yaml"
    with_rpm --upgrade --nodeps --force "$package"
    grep -q '# changed' "$root/etc/ebhost/ebhost.yaml"
    with_rpm --erase ebhost
    [ ! -e "$root/usr/bin/ebhost" ] && [ ! -e "$root/usr/lib/ebhost" ]
    # rpm keeps what was changed under another name, and has no purge.
    [ "$(find "$root/etc" "$root/usr" "$root/var/cache" -name '*ebhost*' -type f | sed "s|$root||")" = '/etc/ebhost/ebhost.yaml.rpmsave' ]
    umount "$root"
    trap 'rm -rf "$work"' EXIT
    echo PASSED
}

# A root without a C library, a shell or any other file: the binaries of all architectures start there, and this machine's serves.
bare() {
    local tarball arch root run
    for tarball in "$out"/ebhost-*-x86_64.tar.gz "$out"/ebhost-*-aarch64.tar.gz; do
        [ -e "$tarball" ] || continue
        arch=${tarball##*-} arch=${arch%.tar.gz} root=$work/bare-$arch run=()
        mkdir -p "$root/proc" "$root/sys" "$root/tmp"
        tar -xzf "$tarball" --strip-components 1 -C "$root"
        if [ "$arch" != "$(uname -m)" ]; then
            cp "$(command -v "qemu-$arch-static")" "$root/qemu"
            run=(/qemu)
        fi
        echo "== $arch"
        chroot "$root" "${run[@]}" /usr/bin/ebhost --version
        chroot "$root" "${run[@]}" /usr/bin/ebhost options biolatency | grep '^biolatency: on' > "$work/log"
        [ "$arch" = "$(uname -m)" ] || continue
        mount -t proc proc "$root/proc"
        mount -t sysfs sysfs "$root/sys"
        trap 'kill $!; wait; umount "$root/proc" "$root/sys"; rm -rf "$work"' EXIT
        chroot "$root" /usr/bin/ebhost --plugins /usr/lib/ebhost/plugins --web.listen-address 127.0.0.1:19435 2> "$work/bare.log" &
        for _ in $(seq 240); do
            if curl --silent --fail --output /dev/null http://127.0.0.1:19435/-/ready; then break; fi
            sleep 0.5
        done
        curl --silent --fail --output "$work/metrics" http://127.0.0.1:19435/metrics
        grep -q '^ebhost_plugin_up{plugin="biolatency"} 1$' "$work/metrics" || { cat "$work/bare.log"; exit 1; }
        kill $!
        wait $! || true
        umount "$root/proc" "$root/sys"
        trap 'rm -rf "$work"' EXIT
    done
    echo PASSED
}

for suite; do
    echo "-- $suite"
    case $suite in
    rpm) rpm_root ;;
    bare) bare ;;
    ansible) ansible ;;
    *) boot "$suite" "$here/inside-deb.sh" ;;
    esac
done
