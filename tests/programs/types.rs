//! Kernels that have two types of one name, made of the types in an object file.

use std::fs;

use ebhost_tests::{Folder, Start, alone, compile, needs, small::left_out};

/// A program that counts in the slot that is the offset of `wanted` in the kernel's `struct pair`, and one that does without the type.
fn source() -> String {
    let (number, process) = (libc::SYS_getpgid, std::process::id());
    format!(
        "
HASH(offsets, u32, u64);
static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static u64 (*pid_tgid)(void) = (void *)14;
struct pair {{ int wanted; }} __attribute__((preserve_access_index));
static inline __attribute__((always_inline)) int count(u64 *ctx, u32 key)
{{
    u64 one = 1, *found = lookup(&offsets, &key);
    if (ctx[1] != {number} || pid_tgid() >> 32 != {process})
        return 0;
    if (found)
        __sync_fetch_and_add(found, 1);
    else
        update(&offsets, &key, &one, 0);
    return 0;
}}
SEC(\"raw_tp/sys_enter\") int at_offset(u64 *ctx)
{{
    struct pair *pair = (void *)ctx;
    return count(ctx, __builtin_preserve_field_info(pair->wanted, 0));
}}
SEC(\"raw_tp/sys_enter\") int without(u64 *ctx) {{ return count(ctx, 100); }}
"
    )
}

const CONFIGURATION: &str = "
metrics:
  counters: [{ name: offsets, help: By offset., labels: [{ name: offset, size: 4, decoders: [{ name: uint }] }] }]
";

/// The outcome of a run.
struct Counted {
    /// The count of the program that asks for the type, if the offset was that of the third `int`.
    at_offset: Option<f64>,
    /// The count of the other program.
    without: Option<f64>,
    /// The programs that are left out.
    left_out: Vec<String>,
    log: String,
}

/// Runs both programs with a kernel that has these two structs.
fn counted(first: &str, second: &str) -> Counted {
    let folder = Folder::new();
    compile(&source(), "bpf", &folder.path().join("pair.bpf.o"));
    fs::write(folder.path().join("pair.yaml"), CONFIGURATION).expect("our own folder");
    // Types that relocations begin at are in an object's BTF, if their relocations differ.
    let one = |name: &str, members: &str| {
        let last = members.trim_end_matches(';').rsplit(' ').next().expect("a member");
        format!(
            "int {name}(void *at)
             {{
                 struct pair {{ {members} }} __attribute__((preserve_access_index));
                 return *(volatile int *)&((struct pair *)at)->{last};
             }}"
        )
    };
    let kernel = one("in_one_file", first) + &one("in_another", second);
    let types = folder.path().join("types");
    compile(&kernel, "bpf", &types);
    let host =
        Start::drop_ins(folder.path(), "pair").args(&["--btf.path", types.to_str().expect("a text")]).listening();
    (0..5).for_each(|_| _ = rustix::process::getpgid(None));
    let served = host.scrape();
    let count = |offset: &str| served.value("ebpf_exporter_offsets", &[("offset", offset)]);
    let left_out = left_out(&served, "pair").into_iter().map(|(program, _)| program).collect();
    Counted { at_offset: count("8"), without: count("100"), left_out, log: host.stop().text() }
}

/// The first of both was taken, and its lack of a field was called the kernel's.
#[test]
fn of_two_kernel_types_of_one_name_the_one_that_fits_is_taken() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let (wanted, other) = ("int a; int b; int wanted;", "int a; int other;");
    for (first, second) in [(wanted, other), (other, wanted)] {
        let found = counted(first, second);
        assert_eq!((found.at_offset, found.without), (Some(5.0), Some(5.0)), "{}", found.log);
        assert_eq!(found.left_out, [""; 0], "{}", found.log);
    }
}

/// Two that fit and differ are an error, which costs the program that asks.
#[test]
fn two_kernel_types_that_fit_and_differ_cost_the_program() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let found = counted("int a; int b; int wanted;", "int wanted;");
    assert_eq!((found.at_offset, found.without), (None, Some(5.0)), "{}", found.log);
    assert_eq!(found.left_out, ["at_offset"], "{}", found.log);
    // Two that agree in what is asked are one.
    let found = counted("int a; int b; int wanted;", "long a; int wanted; int more;");
    assert_eq!((found.at_offset, found.without), (Some(5.0), Some(5.0)), "{}", found.log);
    assert_eq!(found.left_out, [""; 0], "{}", found.log);
}
