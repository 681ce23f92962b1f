#!/bin/bash
# install.sh OUT CACHE SUITE …: installs the packages of the folder OUT in booted systems that are debootstraps in CACHE, which are kept. A suite is a Debian
# (bullseye, bookworm, trixie) for the deb, `rpm` for the rpm, `ansible` for the role in examples/ansible, `bare` for the tarballs in a root without any
# other file, `image` for the container image and its digests, or `lint` for lintian and rpmlint. As root. Each prints PASSED, or what failed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$1 cache=$2
shift 2
arch=$(dpkg --print-architecture)
work=$(mktemp -d /var/tmp/ebhost-install-XXXXXX)
trap 'rm -rf "$work"' EXIT
mkdir -p "$cache" "$work/dist"
mirror=$(awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/debian.sources)

# base NAME SUITE [PACKAGE]: a Debian as $cache/NAME. It gets its name when it is complete, so one that was interrupted is made anew.
base() {
    local root=$cache/$1 packages=systemd,systemd-sysv,dbus,curl,python3,python3-apt${3:+,$3}
    [ ! -d "$root" ] || return 0
    rm -rf "$root.part"
    debootstrap --variant=minbase --include="$packages" "$2" "$root.part" "$mirror" > "$root.log" || { tail -n 5 "$root.log"; return 1; }
    mv "$root.part" "$root"
}

# What each package consists of: files.txt, and of each package of plugins what the host reads. `expected FILE …` adds the format's own.
expected() {
    local plugin
    {
        cat "$here/files.txt"
        printf '%s\n' "$@"
        cd "$here/../../../plugins"
        for plugin in */plugin.yaml; do
            find "$(dirname "$plugin")" -maxdepth 1 \( -name plugin.yaml -o -name '*.wasm' -o -name '*.bpf.o' \) -printf '/usr/lib/ebhost/plugins/%p\n'
        done
    } | sed '/^$/d' | sort
}

# A file on a disk of the machine, which tests read past the page cache.
head --bytes 4M /dev/urandom > "$work/dist/disk"
cp "$here/common.sh" "$work/dist/"

# boot BASE SCRIPT [ARGUMENT …]: boots a Debian that forgets what happens in it, and has it run the script.
boot() {
    cp "$2" "$work/dist/inside.sh"
    # The machine's cgroups are of both versions; systemd in the container gets version 2 alone.
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout 900 systemd-nspawn --quiet --directory "$cache/$1" --volatile=overlay --private-network --boot \
        --console=read-only --register=no --keep-unit --machine="ebhost-$1" --capability=CAP_BPF,CAP_PERFMON \
        --system-call-filter='bpf perf_event_open' --bind-ro="$work/dist:/dist" \
        --bind-ro="$here/inside.service:/etc/systemd/system/ebhost-install-test.service" "${@:3}" \
        systemd.unit=ebhost-install-test.service \
        < /dev/null > "$work/$1.log" 2>&1 || true
    if ! grep -aq '^PASSED' "$work/$1.log"; then
        tail -n 80 "$work/$1.log"
        exit 1
    fi
    grep -a '^== \|^reads: \|^systemd-analyze \|PASSED' "$work/$1.log"
}

# The same package as the next version, for an upgrade, and as one whose installation fails.
deb() {
    base "$1" "$1"
    cp "$out"/ebhost_*_"$arch".deb "$work/dist/ebhost.deb"
    rm -rf "$work/next"
    dpkg-deb -R "$work/dist/ebhost.deb" "$work/next"
    sed -i 's/^Version: .*/&+next/' "$work/next/DEBIAN/control"
    dpkg-deb --root-owner-group -Zgzip -z1 -b "$work/next" "$work/dist/next.deb" > "$work/log"
    printf '#!/bin/sh\nexit 1\n' > "$work/next/DEBIAN/preinst"
    chmod 755 "$work/next/DEBIAN/preinst"
    dpkg-deb --root-owner-group -Zgzip -z1 -b "$work/next" "$work/dist/broken.deb" > "$work/log"
    expected /usr/share/doc/ebhost/{changelog.gz,copyright} /usr/share/lintian/overrides/ebhost \
        | sed 's|/zsh/site-functions/|/zsh/vendor-completions/|' | sort > "$work/dist/files"
    boot "$1" "$here/inside-deb.sh"
}

# The Python packages of the machine are those of its own Debian, so the role runs in the same one.
ansible() {
    local suite
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    base "$suite" "$suite"
    if [ ! -d "$cache/ansible-core/ansible" ]; then
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$cache/ansible-core" 'ansible-core==2.18.*'
    fi
    cp "$out"/ebhost_*_"$arch".deb "$work/dist/ebhost.deb"
    cp "$out"/ebhost-*-"$(uname -m)".tar.gz "$work/dist/ebhost.tar.gz"
    cp -r "$here/../../../examples/ansible" "$work/dist/"
    boot "$suite" "$here/inside-ansible.sh" --bind-ro="$cache/ansible-core:/ansible"
}

# The rpm, and the same with the next release, which is put together of the first one's files.
rpm_root() {
    local next=$work/next-rpm rpm
    base rpm bookworm rpm
    rpm=$(ls "$out"/ebhost-*."$(uname -m)".rpm)
    cp "$rpm" "$work/dist/ebhost.rpm"
    mkdir -p "$next/tree"
    rpm2cpio "$rpm" | (cd "$next/tree" && cpio --extract --make-directories --quiet)
    rpm --query --queryformat '[%{FILEFLAGS:fflags}|%{FILEMODES:perms}|%{FILENAMES}\n]' --package "$rpm" \
        | sed -e 's/^[^|]*c[^|]*|[^|]*|/%config(noreplace) /;t' -e 's/^[^|]*|d[^|]*|/%dir /;t' -e 's/^.*|//' > "$next/files"
    sed -e "s|@VERSION@|$(rpm --query --queryformat '%{VERSION}' --package "$rpm")|" -e "s|@TREE@|$next/tree|" -e 's|^Release: 1|Release: 2|' \
        -e "/@FILES@/{r $next/files" -e 'd}' "$here/../ebhost.spec" > "$next/ebhost.spec"
    rpmbuild -bb --quiet --define "_topdir $next" --define '__os_install_post %{nil}' --define 'debug_package %{nil}' \
        --define '_build_id_links none' "$next/ebhost.spec" > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    cp "$next"/RPMS/*/*.rpm "$work/dist/next.rpm"
    expected '' > "$work/dist/files"
    boot rpm "$here/inside-rpm.sh"
}

# What lintian and rpmlint find, beside what is overridden with a reason.
lint() {
    lintian --allow-root --fail-on error,warning,info "$out"/*.deb
    rpmlint --config "$here/../rpmlint.toml" "$out"/*.rpm > "$work/log" || { cat "$work/log"; exit 1; }
    echo PASSED
}

# By which debuggers find the symbols of a program.
build_id() { readelf --notes "$1" 2> "$work/log" | awk '/Build ID:/ { print $NF }'; }

# A root without a C library, a shell or any other file: the binaries of all architectures start there, and this machine's serves.
bare() {
    local tarball arch root run
    for tarball in "$out"/ebhost-*-x86_64.tar.gz "$out"/ebhost-*-aarch64.tar.gz; do
        [ -e "$tarball" ] || continue
        arch=${tarball##*-} arch=${arch%.tar.gz} root=$work/bare-$arch run=()
        mkdir -p "$root/proc" "$root/sys" "$root/tmp"
        tar -xzf "$tarball" --strip-components 1 -C "$root"
        expected '' | diff - <(find "$root" -type f -printf '/%P\n' | sort)
        [ -n "$(build_id "$root/usr/bin/ebhost")" ]
        [ "$(build_id "$root/usr/bin/ebhost")" = "$(build_id "${tarball%.tar.gz}.debug")" ]
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

# The image has the files of the tarballs. Each digest in it is that of what it names; so are those of the release.
image() {
    (cd "$out" && sha256sum --check --quiet SHA256SUMS)
    python3 "$here/image.py" "$out"/ebhost-*.oci.tar "$out"/ebhost-*.tar.gz
    echo PASSED
}

for suite; do
    echo "-- $suite"
    case $suite in
    rpm) rpm_root ;;
    bare) bare ;;
    lint) lint ;;
    image) image ;;
    ansible) ansible ;;
    *) deb "$suite" ;;
    esac
done
