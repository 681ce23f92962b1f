//! Sizes of components made of WebAssembly text.

use super::*;

fn footprint(text: &str) -> Result<Footprint, FootprintError> {
    Footprint::read(&wat::parse_str(text).unwrap())
}

/// Seven kilobytes of nested components were ten million instances, and a gigabyte of the host's memory.
#[test]
fn nested_components_count_once_for_each_instance() {
    let mut text = "(component $c0)".to_owned();
    for level in 1..=7 {
        let inner = format!("(instance (instantiate $c{}))", level - 1).repeat(10);
        text += &format!("(component $c{level} (alias outer $top $c{0} (component $c{0})) {inner})", level - 1);
    }
    let error = footprint(&format!("(component $top {text} (instance (instantiate $c7)))")).unwrap_err();
    let expected = limits::INSTANCES;
    assert!(
        matches!(error, FootprintError::TooLarge { found, expected: most, .. } if found > 11_111_111 && most == expected),
        "{error}"
    );
    let small = footprint("(component (component $a) (component $b (instance (instantiate 0)) (component)))");
    assert!(matches!(small, Err(FootprintError::Unknown("component"))), "{small:?}");
    let two =
        footprint("(component (component $a (component $b) (instance (instantiate $b))) (instance (instantiate $a)))");
    assert_eq!(two.unwrap().instantiated.instances, 3);
}

/// A million globals in each of sixty instances took 916 MB, whatever `limits.memory` said.
#[test]
fn globals_count_once_for_each_instance() {
    let globals = "(global (mut i64) (i64.const 0))".repeat(1_000);
    let instances = "(core instance (instantiate $m))".repeat(60);
    let one = footprint(&format!("(component (core module $m {globals}) {instances})")).unwrap();
    let Instantiated { instances, context_bytes, .. } = one.instantiated;
    assert_eq!(instances, 61);
    assert!((60 * 16_000..60 * 17_000).contains(&context_bytes), "{context_bytes}");
}

#[test]
fn padding_counts_for_nothing_and_code_and_data_for_themselves() {
    let code = footprint(
        "(component (core module (memory 1) (data (i32.const 0) \"0123456789\") (func (drop (i32.const 7)))))",
    );
    let mut bytes = wat::parse_str(
        "(component (core module (memory 1) (data (i32.const 0) \"0123456789\") (func (drop (i32.const 7)))))",
    )
    .unwrap();
    let code = code.unwrap();
    assert!((1..20).contains(&code.code_bytes) && (10..30).contains(&code.data_bytes), "{code:?}");
    bytes.extend_from_slice(&[0, 6, 3, b'p', b'a', b'd', 1, 2]);
    assert_eq!(Footprint::read(&bytes), Ok(code));
}

#[test]
fn a_module_that_another_component_gives_has_no_known_size() {
    let text = "(component (component $c (import \"m\" (core module $m)) (core instance (instantiate $m))))";
    assert_eq!(footprint(text), Err(FootprintError::Unknown("core module")));
}

#[test]
fn a_component_that_is_cut_short_is_unreadable() {
    let bytes = wat::parse_str("(component (component) (core module (func)))").unwrap();
    for end in 8..bytes.len() {
        // At the end of a section there is nothing to see; the compiler knows better.
        let _ = Footprint::read(&bytes[..end]);
    }
    assert!(matches!(Footprint::read(&bytes[..bytes.len() - 1]), Err(FootprintError::Unreadable(_))));
}

/// Ten million elements of a module that nothing instantiates took hundreds of megabytes.
#[test]
fn records_count_even_if_nothing_instantiates_them() {
    let elements = format!("(component (core module (func $f) (elem func {})))", "$f ".repeat(5 << 20));
    let error = footprint(&elements).unwrap_err();
    assert!(matches!(error, FootprintError::TooLarge { expected: limits::METADATA_BYTES, .. }), "{error}");
}

#[test]
fn a_component_may_have_as_many_instances_as_the_limit_says_and_none_more() {
    let with = |count: usize| {
        footprint(&format!("(component (core module $m) {})", "(core instance (instantiate $m))".repeat(count)))
    };
    assert_eq!(
        with(limits::INSTANCES - 1).unwrap().instantiated.instances,
        limits::INSTANCES,
        "and the component itself"
    );
    assert!(matches!(with(limits::INSTANCES), Err(FootprintError::TooLarge { .. })));
}

#[test]
fn the_compiled_form_may_grow_with_code_and_data_alone() {
    let empty = footprint("(component (core module))").unwrap();
    assert_eq!(empty.compiled_limit(), limits::COMPILED_BYTES);
    let sized = |code_bytes, data_bytes| Footprint { code_bytes, data_bytes, ..empty };
    assert_eq!(sized(0, 7).compiled_limit(), limits::COMPILED_BYTES + 7);
    assert_eq!(sized(3, 7).compiled_limit(), limits::COMPILED_BYTES + 7 + 3 * limits::COMPILED_BYTES_PER_CODE_BYTE);
    assert_eq!(sized(usize::MAX, 7).compiled_limit(), limits::MOST_COMPILED_BYTES);
}

#[test]
fn segments_without_bytes_and_tags_are_records_too() {
    let with =
        |parts: &str| footprint(&format!("(component (core module {parts}) (core instance (instantiate 0)))")).unwrap();
    let (none, segments) = (with(""), with(&"(data \"\")".repeat(1_000)));
    assert!(segments.metadata_bytes() >= none.metadata_bytes() + 4_000, "{segments:?}");
    let context = |one: Footprint| one.instantiated.context_bytes;
    assert_eq!(context(segments) - context(none), 1_000 * SEGMENT_BYTES);
    let tags = with(&"(tag)".repeat(1_000));
    assert_eq!(context(tags) - context(none), 1_000 * GLOBAL_BYTES);
    assert!(tags.metadata_bytes() > none.metadata_bytes() + 1_000, "{tags:?}");
}

/// An imported component has an index, too: without it, those that follow would be taken for others.
#[test]
fn imported_components_and_modules_keep_their_indices() {
    let own = |of: &str| {
        footprint(&format!(
            "(component (import \"c\" (component)) (import \"m\" (core module)) (component $c (core module $m (global i64 (i64.const 0))) \
             (core instance (instantiate $m))) (core module $m) {of})"
        ))
    };
    assert_eq!(own("(instance (instantiate $c))").unwrap().instantiated.instances, 3);
    assert_eq!(own("(core instance (instantiate $m))").unwrap().instantiated.instances, 2);
    assert_eq!(own("(instance (instantiate 0))"), Err(FootprintError::Unknown("component")));
    assert_eq!(own("(core instance (instantiate 0))"), Err(FootprintError::Unknown("core module")));
}
