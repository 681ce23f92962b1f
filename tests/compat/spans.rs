//! `tracing.spans`: real programs write events, and a receiver decodes the spans that come of them by the reference messages.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ebhost_tests::{Answer, Ebhost, ReceivedSpan, Receiver, SCRAPED, needs, wait_until};
use rustix::{process::getpgid, thread::gettid};

use crate::drop_in::DropIns;

const PATIENCE: Duration = Duration::from_secs(60);

/// The frame of every program here: an event for each getpgid(2) of the test's thread. `RINGS` are the buffers, `FILL` writes the events.
const PROGRAM: &str = "
typedef unsigned char u8;
static void *(*reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*submit)(void *event, u64 flags) = (void *)132;
static u64 (*now)(void) = (void *)5;
static u64 (*pid_tgid)(void) = (void *)14;
static long (*command)(void *to, u32 size) = (void *)16;
struct base { u64 trace[2]; u64 parent; u64 span; u64 start; u64 duration; };
static void set(struct base *base, u64 high, u64 low, u64 parent, u64 span, u64 duration)
{
    *base = (struct base){ { __builtin_bswap64(high), __builtin_bswap64(low) }, __builtin_bswap64(parent), __builtin_bswap64(span), now(), duration };
}
RINGS
SEC(\"raw_tp/sys_enter\") int on_enter(u64 *context)
{
    u32 thread = pid_tgid();
    if (context[1] != NUMBER || thread != THREAD)
        return 0;
    FILL
    return 0;
}
";

fn program(rings: &str, fill: &str) -> String {
    let (number, thread) = (libc::SYS_getpgid.to_string(), gettid().as_raw_nonzero().to_string());
    let program = PROGRAM.replace("NUMBER", &number).replace("THREAD", &thread);
    program.replace("RINGS", rings).replace("FILL", fill)
}

/// The labels of `struct base`.
const BASE: &str = "
        - { name: trace_id, size: 16, decoders: [{ name: hex }] }
        - { name: parent_span_id, size: 8, decoders: [{ name: hex }] }
        - { name: span_id, size: 8, decoders: [{ name: hex }] }
        - { name: span_monotonic_timestamp_ns, size: 8, decoders: [{ name: uint }] }
        - { name: span_duration_ns, size: 8, decoders: [{ name: uint }] }";

fn listening(folder: &DropIns, names: &str, receiver: &Receiver) -> Ebhost {
    let start =
        folder.start(names).args(&["--config.strict"]).env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &receiver.traces());
    start.env("OTEL_BSP_SCHEDULE_DELAY", "200").env("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "500").listening()
}

fn call(times: usize) {
    (0..times).for_each(|_| _ = getpgid(None));
}

fn unix_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64
}

fn named<'a>(spans: &'a [ReceivedSpan], name: &str) -> &'a ReceivedSpan {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name} in {spans:#?}"))
}

fn attributes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Waits until the host has counted so many spans as taken, which it does once it has the receiver's answer: a moment after the receiver has
/// them.
fn wait_until_taken(host: &Ebhost, spans: usize) {
    let taken = || host.scrape().value("ebhost_otlp_spans_total", &[("result", "taken")]);
    wait_until("the receiver's answer", PATIENCE, || (taken() == Some(spans as f64)).then_some(()));
}

/// Kernel spans of a trace that user space began: base labels alone; tagged by what was done; named by the event; without width; in a trace of
/// their own.
#[test]
fn every_form_of_span_arrives_with_its_ids_times_and_attributes() {
    needs!(Root, Tool("clang-19"));
    let rings = "
struct tagged { struct base base; u32 number; char command[16]; u32 padding; };
struct own { u32 number; };
struct event { struct base base; char name[16]; };
RING(base_spans, 4096); RING(tagged_spans, 4096); RING(named_spans, 4096); RING(own_spans, 4096);
";
    let fill = "
    struct base *base = reserve(&base_spans, sizeof(*base), 0);
    if (base) {
        set(base, 0xbeef000000000001, 0xfeed, 0x1001, 0x2001, 4041727);
        submit(base, 0);
    }
    struct tagged *tagged = reserve(&tagged_spans, sizeof(*tagged), 0);
    if (tagged) {
        set(&tagged->base, 0xbeef000000000001, 0xfeed, 0x2001, 0, 1000);
        tagged->number = context[1];
        command(tagged->command, sizeof(tagged->command));
        submit(tagged, 0);
    }
    struct event *event = reserve(&named_spans, sizeof(*event), 0);
    if (event) {
        set(&event->base, 0xbeef000000000001, 0xfeed, 0, 0x2003, 0);
        __builtin_memcpy(event->name, \"sched_waking\\0\\0\\0\\0\", 16);
        submit(event, 0);
    }
    struct own *own = reserve(&own_spans, sizeof(*own), 0);
    if (own) {
        own->number = 7;
        submit(own, 0);
    }
";
    let yaml = format!(
        "
tracing:
  spans:
    - ringbuf: base_spans
      name: base
      service: kernel
      labels: {BASE}
    - ringbuf: tagged_spans
      name: tagged
      service: kernel
      labels: {BASE}
        - {{ name: syscall, size: 4, decoders: [{{ name: uint }}, {{ name: syscall }}] }}
        - {{ name: process.command, size: 16, padding: 4, decoders: [{{ name: string }}] }}
    - ringbuf: named_spans
      name: never
      service: scheduler
      labels: {BASE}
        - {{ name: span_name, size: 16, decoders: [{{ name: string }}] }}
    - ringbuf: own_spans
      labels: [{{ name: number, size: 4, decoders: [{{ name: uint }}, {{ name: static_map, static_map: {{ 7: seven }} }}] }}]
"
    );
    let folder = DropIns::with("spans", &program(rings, fill), &yaml);
    let receiver = Receiver::start(Answer::Taken);
    let host = listening(&folder, "spans", &receiver);
    let before = unix_ns();
    call(1);
    let after = unix_ns();
    let spans = receiver.wait_for_spans(4);
    assert_eq!(spans.len(), 4, "{spans:#?}");

    let trace = "beef000000000001000000000000feed";
    let base = named(&spans, "base");
    assert_eq!((base.trace_id.as_str(), base.span_id.as_str()), (trace, "0000000000002001"));
    assert_eq!((base.parent.as_str(), base.service.as_str()), ("0000000000001001", "kernel"));
    assert_eq!((base.end - base.start, &base.attributes), (4_041_727, &attributes(&[])));
    let tagged = named(&spans, "tagged");
    assert_eq!(
        (tagged.trace_id.as_str(), tagged.parent.as_str()),
        (trace, base.span_id.as_str()),
        "a child of the other"
    );
    assert!(tagged.span_id.len() == 16 && tagged.span_id != "0000000000000000", "the host makes an id: {tagged:?}");
    let command = std::fs::read_to_string("/proc/thread-self/comm").expect("a thread has a name");
    let expected = attributes(&[("syscall", "getpgid"), ("process.command", command.trim())]);
    assert_eq!((tagged.end - tagged.start, &tagged.attributes), (1_000, &expected));
    let event = named(&spans, "sched_waking");
    assert_eq!((event.parent.as_str(), event.service.as_str(), event.end), ("", "scheduler", event.start));
    let own = named(&spans, "own_spans");
    assert_eq!((own.parent.as_str(), own.service.as_str()), ("", "ebpf_exporter"));
    assert!(own.trace_id.len() == 32 && own.trace_id != trace && own.trace_id != "0".repeat(32), "{own:?}");
    assert_eq!(own.attributes, attributes(&[("number", "seven")]));
    // The wall clock may be slewed while this runs.
    let slack = 5_000_000;
    for span in [base, tagged, event] {
        assert!((before - slack..=after + slack).contains(&span.start), "{before} {span:?} {after}");
    }
    assert!(own.start >= before - slack && own.start <= unix_ns() + slack, "when it was read: {own:?}");
    assert!(base.start <= tagged.start && tagged.start <= event.start);
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a host has a name");
    assert_eq!(base.host, hostname.trim());

    wait_until_taken(&host, 4);
    assert_eq!(host.scrape().value("ebhost_spans_total", &[("plugin", "spans")]), Some(4.0));
    host.stop();
}

const SIMPLE: &str = "
    struct base *base = reserve(&spans, sizeof(*base), 0);
    if (base) {
        set(base, 1, 2, 0, 0, 1);
        submit(base, 0);
    } else {
        __sync_fetch_and_add(&spans_lost, 1);
    }
";

fn simple() -> DropIns {
    let yaml = format!("tracing:\n  spans:\n    - ringbuf: spans\n      name: call\n      labels: {BASE}\n");
    DropIns::with("calls", &program("RING(spans, 65536); u64 spans_lost;", SIMPLE), &yaml)
}

/// A receiver that was overloaded or gone cost the metrics of everybody.
#[test]
fn a_receiver_of_spans_that_is_busy_wrong_silent_or_away_disturbs_no_scrape_and_loses_only_what_it_refuses() {
    needs!(Root, Tool("clang-19"));
    let receiver = Receiver::start(Answer::Taken);
    let folder = simple();
    let host = listening(&folder, "calls", &receiver);
    let count = |result: &str| {
        let began = Instant::now();
        let served = host.scrape();
        assert!(began.elapsed() < SCRAPED, "a scrape waits for the receiver");
        served.value("ebhost_otlp_spans_total", &[("result", result)]).expect("there is a receiver")
    };
    let mut sent = 3;
    call(sent);
    receiver.wait_for_spans(sent);
    for (answer, says) in [
        (Answer::Busy, "spans are not pushed: the receiver is busy: it answered 503"),
        (Answer::Silence, "spans are not pushed: no answer"),
    ] {
        receiver.answers(answer);
        call(5);
        sent += 5;
        receiver.wait_for(1);
        wait_until(says, PATIENCE, || host.log().text().contains(says).then_some(()));
        assert_eq!(count("taken"), (sent - 5) as f64);
        receiver.answers(Answer::Taken);
        assert_eq!(receiver.wait_for_spans(sent).len(), sent, "they waited");
    }
    receiver.answers(Answer::Wrong);
    call(5);
    wait_until("the refusal", PATIENCE, || (count("dropped") == 5.0).then_some(()));
    assert!(host.log().text().contains("it answered 400, `no\\nthanks`"), "{}", host.log().text());
    receiver.answers(Answer::Taken);
    call(2);
    assert_eq!(receiver.wait_for_spans(sent + 2).len(), sent + 2);
    wait_until_taken(&host, sent + 2);
    host.stop();
}

/// Each event is a span, or lost and counted, however many there are and wherever the receiver is.
#[test]
fn spans_of_a_flood_are_made_or_counted_as_lost() {
    needs!(Root, Tool("clang-19"));
    let receiver = Receiver::start(Answer::Busy);
    let folder = simple();
    let host = listening(&folder, "calls", &receiver);
    let resident = || host.scrape().value("process_resident_memory_bytes", &[]).expect("every process has some");
    let before = resident();
    let calls = 200_000;
    call(calls);
    let numbers = || {
        let served = host.scrape();
        let lost = [("plugin", "calls"), ("source", "spans")];
        let made = served.value("ebhost_spans_total", &[("plugin", "calls")]).unwrap_or_default();
        let dropped = served.value("ebhost_otlp_spans_total", &[("result", "dropped")]).unwrap_or_default();
        (made as usize, served.value("ebhost_events_lost_total", &lost).unwrap_or_default() as usize, dropped)
    };
    wait_until("every event", PATIENCE, || {
        let (made, lost, ..) = numbers();
        assert!(made + lost <= calls, "{made} made and {lost} lost of {calls}");
        (made + lost == calls).then_some(())
    });
    let (made, _, dropped) = numbers();
    assert!(made > 1_000, "{made}");
    let grown = resident() - before;
    assert!(grown < 64e6, "{grown} bytes for spans that wait");
    receiver.answers(Answer::Taken);
    let waiting = made - dropped as usize;
    wait_until("what waited", PATIENCE, || (receiver.spans().len() == waiting).then_some(()));
    wait_until_taken(&host, waiting);
    assert_eq!(receiver.spans().len(), waiting, "each once");
    host.stop();
}
