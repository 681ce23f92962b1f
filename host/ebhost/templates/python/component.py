"""Labels for the entries that __NAME__.bpf.c counts in: forks, execs and exits of processes, by command name."""

import json

import wit_world
from componentize_py_types import Err
from wit_world.exports import decoder as d

# `enum event` in __NAME__.bpf.c, from 0.
EVENTS = ["fork", "exec", "exit"]
# `struct key` there: a u32 event, then char comm[16].
KEY_BYTES = 20
EVENTS_VIEW = 0


def counter(name, help, labels):
    return d.Family(name, help, "", labels, d.Kind_Counter(), 1.0, 1.0)


def count(family, labels):
    """The entry's value, a u64, into a family."""
    return d.Series(family, labels, d.Value_Number(d.Number(0, 8, False)))


class Decoder(wit_world.exports.Decoder):
    commands: list[str] = []

    def describe(self, config: str) -> d.Manifest:
        asked = json.loads(config)
        unknown = [key for key in asked if key != "commands"]
        if unknown:
            raise Err(f"config: found the key `{unknown[0]}`, expected `commands`")
        Decoder.commands = asked.get("commands", [])
        families = [
            counter("__NAME___events_total", "What processes did, by event and command name.", ["event", "comm"]),
            counter("__NAME___lost_total", "Events that the map had no room for.", []),
        ]
        key = [d.Field(d.Part.KEY, 0, KEY_BYTES)]
        columns = [d.Label_Column(0), d.Label_Column(1)]
        views = [
            d.View("events", KEY_BYTES, 8, key, [], len(columns), [count(0, columns)]),
            d.View("lost", 4, 8, [], [], 0, [count(1, [])]),
        ]
        return d.Manifest(families, views)

    def decode(self, batch: d.Batch) -> d.Rows:
        rows = d.Rows([], [], [], [])
        if batch.view != EVENTS_VIEW:
            return rows
        places: dict[str, int] = {}

        def place(text: str) -> int:
            if text not in places:
                places[text] = len(rows.dictionary)
                rows.dictionary.append(text)
            return places[text]

        for entry in range(batch.count):
            key = batch.identities[entry * KEY_BYTES : (entry + 1) * KEY_BYTES]
            event = int.from_bytes(key[:4], "little")
            comm = key[4:].split(b"\0")[0].decode("utf-8", "replace")
            if Decoder.commands and comm not in Decoder.commands:
                rows.labels += [0, 0]
                rows.refused.append(d.Refusal(entry, d.Reason_Skip()))
                continue
            rows.labels += [place(EVENTS[event] if event < len(EVENTS) else f"event_{event}"), place(comm)]
        return rows
