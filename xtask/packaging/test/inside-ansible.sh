#!/bin/bash
# Runs inside a booted Debian with Python: the role of examples/ansible, with the package and then, on a machine that has forgotten it, with the tarball.
. /dist/common.sh

cp -r /dist/ansible /tmp/play && cd /tmp/play
# Pins of the packages, as docs/sandbox.md makes them.
mkdir /tmp/tarball && tar -xzf /dist/ebhost.tar.gz --strip-components 1 -C /tmp/tarball
(cd /tmp/tarball/usr/lib/ebhost/plugins && sha256sum ./*/plugin.yaml ./*/*.wasm ./*/*.bpf.o | sed 's|\./||') > /tmp/pins
python3 - <<'VARS'
import json
settings = {"plugins": {"llcstat": False}, "limits": {"series": 20000}, "trust.require": "all"}
web = {"basic_auth_users": {"prometheus": "$2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay"},
       "auth_excluded_paths": ["/-/healthy", "/-/ready"]}
pins = open("/tmp/pins").read()
json.dump({"ebhost_settings": settings, "ebhost_web": web, "ebhost_pins": pins}, open("vars.json", "w"))
wrong = "".join("0" * 64 + line[64:] if "biolatency/plugin.yaml" in line else line for line in pins.splitlines(True))
json.dump({"ebhost_pins": wrong}, open("wrong-pins.json", "w"))
VARS

play() {
    PYTHONPATH=/ansible ANSIBLE_ROLES_PATH=roles LC_ALL=C.UTF-8 python3 -m ansible playbook -i localhost, -c local -e "ebhost_source=$source" \
        -e @vars.json "$@" playbook.yml > /tmp/log 2>&1 || return 1
    grep -o 'changed=[0-9]*.*failed=[0-9]*' /tmp/log
}
with_password() { metrics --user prometheus:test && grep -q "$1" /tmp/metrics; }
status_of() { curl --silent --output /dev/null --write-out '%{http_code}' "http://127.0.0.1:9435$1"; }

# What the role does with a source on a machine without ebhost.
converges() {
    source=$1
    [ -z "$(ours)" ]
    say "check mode changes nothing ($source)"
    play --check
    [ -z "$(ours)" ]
    say 'the first run installs and serves'
    play
    await
    [ "$(status_of /metrics) $(status_of /-/healthy) $(status_of /-/ready)" = '401 200 200' ]
    with_password '^ebhost_plugin_up{plugin="biolatency"} 1$'
    [ "$(stat -c %a /etc/ebhost/web.yaml)" = 600 ]
    grep -q '^trust.pins: /etc/ebhost/pins$' /etc/ebhost/ebhost.yaml
    say 'the second run changes nothing'
    pid=$(process)
    play | tee /tmp/summary
    grep -q 'changed=0 ' /tmp/summary
    [ "$(process)" = "$pid" ]
    say 'check mode after it changes nothing either'
    play --check | grep -q 'changed=0 '
}

converges /dist/ebhost.deb
say 'a mistake in the settings is not written'
if play -e '{"ebhost_settings": {"plugins": {"biolatency": {"nativ": true}}}}'; then false; fi
grep -q nativ /tmp/log
if grep -q nativ /etc/ebhost/ebhost.yaml; then false; fi
say 'a package that differs from its pin is not loaded'
play -e @wrong-pins.json
await
with_password '^ebhost_plugin_up{plugin="processes"} 1$'
if with_password '^ebhost_plugin_up{plugin="biolatency"} 1$'; then false; fi

dpkg -P ebhost > /tmp/log 2>&1
rm -r /etc/systemd/system/ebhost.service.d /var/lib/ebhost-ansible
systemctl daemon-reload
converges /dist/ebhost.tar.gz
passed
