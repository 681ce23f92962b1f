//! Reads the tables of a configuration and checks them against the maps of the BPF object.

use super::families::Families;
use super::kind::{self, Kind};
use super::{Feed, Table, TableLayout, Tables, key};
use crate::machine::{self, Machine, Map};
use crate::node::{Keys, Node};

/// Bytes of a number in a value.
const NUMBER: u32 = 8;

/// Reads the tables. Tables with mistakes are left out of the result; the mistakes are collected.
pub(crate) fn read(nodes: &[Node<'_>], machine: &Machine) -> Tables {
    let mut families = Families::default();
    let tables: Vec<_> = nodes.iter().filter_map(|node| table(node, machine, &mut families)).collect();
    Tables { families: families.finish(), tables }
}

fn table(node: &Node<'_>, machine: &Machine, families: &mut Families) -> Option<Table> {
    let (keys, kind) = kind::read(node)?;
    let name = keys.text("table");
    let key = key::read(&keys, machine);
    let (name, key) = (name?, key?);
    let suffix = if let Kind::Histogram(histogram) = &kind { histogram.suffix } else { "" };
    let map_name = name + suffix;
    let layout = if matches!(kind, Kind::Plain) { TableLayout::Plain } else { TableLayout::Banks };
    let mut table =
        Table { map: map_name, layout, key_size: key.size, values: 0, labels: key.labels, feeds: Vec::new() };
    table.values = values(&keys, &table, machine)?;
    if let Kind::Histogram(histogram) = &kind
        && table.values != histogram.slots + 1
    {
        let found = format!("`{}` with {} numbers in a value", table.map, table.values);
        let expected = format!("{}: the sum and {} slots of this kind", histogram.slots + 1, histogram.slots);
        keys.node().mistake(found, expected);
        return None;
    }
    table.feeds = feeds(&keys, &kind, &table, families);
    Some(table)
}

fn feeds(keys: &Keys<'_>, kind: &Kind, table: &Table, families: &mut Families) -> Vec<Feed> {
    let nodes = keys.list("families");
    if nodes.is_empty() {
        keys.node().mistake("no families", "one or more that the table feeds");
    }
    nodes.iter().flat_map(|node| families.read(node, kind, table)).collect()
}

/// The number of numbers in a value of the table, from the sizes of its maps. None if they are not those of such a table.
fn values(keys: &Keys<'_>, table: &Table, machine: &Machine) -> Option<u32> {
    let name = keys.find("table")?;
    let map = find(&name, &table.map, machine)?;
    if map.kind == machine::Kind::Events {
        name.mistake("an array of perf events", "a map with numbers");
        return None;
    }
    match table.layout {
        TableLayout::Plain => plain_values(keys, &name, table, map),
        TableLayout::Banks => {
            let shared = find(&name, &format!("{}_spill", table.map), machine)?;
            find(&name, &format!("{}_stats", table.map), machine)?;
            check_key(keys, table, shared)?;
            let numbers = |map: Map, storage| map.value_size.checked_sub(table.head(storage)).map(|rest| rest / NUMBER);
            let (banks, spilled) = (numbers(map, super::Storage::Banks), numbers(shared, super::Storage::Shared));
            let values = banks.filter(|banks| *banks > 0 && Some(*banks) == spilled);
            if values.is_none() {
                let found =
                    format!("values of {} bytes, and of {} in its shared map", map.value_size, shared.value_size);
                name.mistake(found, "a table of counts.h with this key");
            }
            values
        }
    }
}

fn plain_values(keys: &Keys<'_>, name: &Node<'_>, table: &Table, map: Map) -> Option<u32> {
    check_key(keys, table, map)?;
    if map.value_size == 0 || !map.value_size.is_multiple_of(NUMBER) {
        name.mistake(format!("values of {} bytes", map.value_size), "an array of numbers of 8 bytes, `u64`");
        return None;
    }
    Some(map.value_size / NUMBER)
}

fn check_key(keys: &Keys<'_>, table: &Table, map: Map) -> Option<()> {
    if table.key_size == map.key_size {
        return Some(());
    }
    let found = format!("{} bytes of sizes and paddings", table.key_size);
    keys.find("key")?.mistake(found, format!("{}, as the table's key has", map.key_size));
    None
}

fn find(node: &Node<'_>, name: &str, machine: &Machine) -> Option<Map> {
    let map = machine.maps.get(name).copied();
    if map.is_none() {
        let all: Vec<_> = machine.maps.keys().map(String::as_str).collect();
        let all = if all.is_empty() { "but the object has none".into() } else { all.join(", ") };
        node.mistake(format!("no map `{name}` in the BPF object"), format!("the name of a table: its maps are {all}"));
    }
    map
}
