"""Derives what the golden files should say from the inputs of the tests that wrote them.

The golden files were written by ebhost itself. Here names and numbers come from elsewhere: Python's `decimal`, `errno`, `ipaddress`, `json`,
`re` and `socket`. Each sample is printed as one line of the text format, for golden.rs to compare.
"""

import errno
import ipaddress
import json
import re
import socket
import sys
from decimal import Decimal


def number(value):
    """A float as Go's `%g` prints it with the fewest digits: with an exponent below -4 and from 6 on."""
    sign, digits, exponent = Decimal(repr(float(value))).normalize().as_tuple()
    point = len(digits) + exponent - 1
    if not any(digits):
        return "0"
    if -4 <= point < 6:
        return format(Decimal((sign, digits, exponent)), "f")
    digits = "".join(map(str, digits))
    mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return f"{'-' if sign else ''}{mantissa}e{'-' if point < 0 else '+'}{abs(point):02d}"


def escaped(text):
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def sample(name, labels, value):
    block = ",".join(f'{key}="{escaped(str(text))}"' for key, text in labels)
    print(name + (f"{{{block}}}" if labels else ""), value)


def decoders():
    def one(name, text, value=1):
        sample(f"ebpf_exporter_{name}", [("it", text)], number(value))

    def c_string(data):
        return data.split(b"\0")[0].decode()

    one("uint", int.from_bytes(b"\0\0\0\0", "little"))
    one("uint", int.from_bytes(b"\xff\xff\xff\xff", "little"), 999_999)
    for data, value in [(b"sshd\0rest", 10**6), (b"0123456789abcdef", 1_287_408), (b'a "b" \\ \n c', 1_234_567_890_123)]:
        one("string", c_string(data), value)
    one("hex", bytes([0x00, 0xAB, 0x0C]).hex(), 2**64 - 1)
    for key in [1, 2, 3]:
        one("static_map", {1: "read", 2: "write"}.get(key, f"unknown:{key}"), key)
        one("static_map_lax", {1: "read"}.get(key, key), key)
    sums = {}
    for name in ["kworker/0:1", "nginx12", "nginx7", "Other-1"]:
        for regexp in ["^kworker", "^([a-z]+)[0-9]*$"]:
            if match := re.search(regexp, name):
                text = match.group(1) if match.groups() else match.group(0)
                sums[text] = sums.get(text, 0) + 10
                break
    for text, value in sums.items():
        one("regexp", text, value)
    one("inet_ip", ipaddress.IPv6Address(bytes([0x20, 0x01, 0x0D, 0xB8]) + bytes(12)), 6)
    mapped = ipaddress.IPv6Address(bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 1]))
    one("inet_ip", mapped.ipv4_mapped, 4)
    one("inet_ip4", ipaddress.IPv4Address(bytes([198, 51, 100, 7])), 4)
    for data, value in [(b"\x03www\x07example\x03org\0", 1), (b"\0", 2)]:
        labels, at = [], 0
        while length := data[at]:
            labels.append(data[at + 1 : at + 1 + length].decode())
            at += 1 + length
        one("dname", ".".join(labels) or ".", value)
    one("ifname", socket.if_indextoname(1))
    # Python names 95 by the other of its two names.
    names = errno.errorcode | {errno.ENOTSUP: "ENOTSUP"}
    for code in [0, 11, 32, 95, 133, 4096]:
        one("errno", names.get(code, {133: "EHWPOISON"}.get(code, f"unknown:{code}")))


def histogram(name, labels, bounds, counts, beyond=0, sum_=0):
    """Cumulative buckets: `bounds` has each key with its bound, and `beyond` is the count of keys above the last."""
    name, seen = f"ebpf_exporter_{name}", 0
    for key, bound in bounds:
        seen += counts.get(key, 0)
        sample(f"{name}_bucket", [*labels, ("le", number(bound))], number(seen))
    sample(f"{name}_bucket", [*labels, ("le", "+Inf")], number(seen + beyond))
    sample(f"{name}_count", labels, number(seen + beyond))
    sample(f"{name}_sum", labels, number(sum_))


def buckets():
    micro = 0.000001
    # The key after the last one is the sum; what is above it was beyond the last bound.
    exp2 = [(key, 2**key * micro) for key in range(27)]
    histogram("exp2_seconds", [("kind", 1)], exp2, {0: 3, 7: 1_287_400, 26: 5}, beyond=2, sum_=123_456_789 * micro)
    histogram("exp2_seconds", [("kind", 2)], exp2, {10: 1})
    zero = [(0, 0)] + [(key, 2 ** (key - 1)) for key in range(1, 25)]
    histogram("exp2zero_bytes", [], zero, {0: 9, 1: 1, 24: 1}, sum_=8_388_617)
    linear = [(key, key * micro) for key in range(95, 106)]
    histogram("linear_seconds", [], linear, {95: 1, 100: 2, 105: 3}, beyond=4, sum_=1_000 * micro)
    fixed = [(key, key * 0.1) for key in [1, 5, 10, 1_000_000, 2_500_000]]
    histogram("fixed_ratio", [], fixed, {1: 1, 10: 2, 2_500_000: 3}, sum_=77 * 0.1)


def forks(recording):
    """The counts of the recording beside the fixture of contract 0.1.0, by event and command name."""
    source = None
    for line in open(recording, encoding="utf-8"):
        [(kind, line)] = json.loads(line).items()
        if kind == "source":
            source = line["name"]
        if kind != "row":
            continue
        value = int.from_bytes(bytes.fromhex(line["values"][0]), "little")
        if source == "lost":
            sample("ebhost_forks_lost_total", [], value)
            continue
        key = bytes.fromhex(line["key"])
        event = int.from_bytes(key[:4], "little")
        names = {0: "fork", 1: "exec", 2: "exit"}
        comm = key[4:].split(b"\0")[0].decode()
        sample("ebhost_forks_events_total", [("event", names.get(event, f"event_{event}")), ("comm", comm)], value)


if __name__ == "__main__":
    {"decoders": decoders, "buckets": buckets, "forks": forks}[sys.argv[1]](*sys.argv[2:])
