//! Calls of openat(2) that took long, by command: a histogram whose buckets name a trace each, and the spans of these traces.

use ebhost_plugin::{
    Answer, Family, LookupNames, Manifest, NoConfig, Plugin, Refusal, Span, SpanSource, View, layout, member,
    observation, row, text, value_at,
};

layout! {
    /// `struct event` in slowopens.bpf.c.
    struct Event: 64 bytes {
        trace: [u8; 16],
        span: [u8; 8],
        start: u64,
        duration: u64,
        result: i64,
        comm: [u8; 16],
    }
}

struct Slowopens;

ebhost_plugin::export!(Slowopens, spans);

impl Plugin for Slowopens {
    type Config = NoConfig;

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }

    fn describe(&self) -> Manifest<Self> {
        let mut manifest = Manifest::new();
        let seconds = manifest.family(
            Family::latency("slow_open_seconds")
                .help("Time of calls of openat(2) that took longer than `slower_than_ns`, by command.")
                .labels(["command"]),
        );
        manifest.view(
            View::events::<Event>("opens")
                .identity(value_at(member!(Event.comm)))
                .feed(seconds, observation(member!(Event.duration)))
                .exemplar_of(member!(Event.trace), member!(Event.span))
                .rows(Self::command),
        );
        manifest.spans(SpanSource::<Event>::ring("opens").spans(Self::span));
        manifest
    }
}

impl Slowopens {
    fn command<'a>(&'a self, comm: &'a [u8; 16], _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        row![text::c_string(comm)]
    }

    fn span(&self, event: &Event, _: LookupNames<'_, 0>) -> Result<Span, Refusal> {
        let span = Span::new("openat").trace(event.trace).id(event.span).at(event.start, event.duration);
        Ok(span.with("process.command", text::c_string(&event.comm)).with("openat.result", event.result))
    }
}

#[cfg(test)]
mod tests {
    use ebhost_plugin::testing::Harness;

    use super::*;

    #[test]
    fn an_event_is_an_observation_and_a_span() {
        let plugin = Harness::<Slowopens>::new("{}").expect("a good configuration");
        let comm = *b"sqlite3\0\0\0\0\0\0\0\0\0";
        let rows = plugin.decode(plugin.view("opens"), &[(&comm, &[])]);
        assert_eq!(rows, [Ok((vec!["sqlite3".to_owned()], None))]);
        let mut event = [[7; 16].as_slice(), &[9; 8], &5u64.to_le_bytes(), &6u64.to_le_bytes(), &(-2i64).to_le_bytes()].concat();
        event.extend_from_slice(&comm);
        let expected = Span::new("openat").trace([7; 16]).id([9; 8]).at(5, 6);
        let expected = expected.with("process.command", "sqlite3").with("openat.result", -2);
        assert_eq!(plugin.spans(0, &[(&event, &[])]), Ok(vec![expected]));
    }
}
