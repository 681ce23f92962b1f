//! Scrapes that wait together, from the request to the chunks, with an agent that has one family.

use std::{
    io::Read as _,
    time::{Duration, Instant},
};

use ebhost_handle::{AgentRequest, Requests};
use ebhost_metrics::{CellKind, Encoding, Family, Format, Kind, Layout, OwnedFamily};
use ebhost_telemetry::OwnMetrics;
use flate2::read::GzDecoder;

use super::*;
use crate::{
    chunks::{BodyChunk, BodyChunks},
    connections::Connection,
    gzip::gzip,
    scrapes::Scrapes,
    unsent::Reader,
};

const PLAIN: AnswerForm = AnswerForm { format: Format::Text004, encoding: Encoding::Identity };
const PROTOBUF: AnswerForm = AnswerForm { format: Format::Protobuf, encoding: Encoding::Identity };
const GZIP: AnswerForm = AnswerForm { format: Format::Text004, encoding: Encoding::Gzip };

fn client() -> Reader {
    Reader::of(Arc::new(Connection::new(None)))
}

fn family() -> OwnedFamily {
    let family = Family {
        name: "reads_total".into(),
        help: "Reads.".into(),
        unit: String::new(),
        labels: vec!["disk".into()],
        kind: Kind::Counter,
        times: 1.0,
        per: 1.0,
    };
    let mut owned = OwnedFamily::new(family, Layout::Single(CellKind::U64));
    owned.push([("disk", "sda")], &[1_287_408], None);
    owned
}

/// The visitors that wait, in the order of the queue.
async fn queued(requests: &mut Requests) -> Vec<Box<dyn FamilyVisitor>> {
    let mut batch = Vec::new();
    requests.receive(&mut batch).await;
    let visitor = |request| match request {
        AgentRequest::Collect(visitor) => visitor,
        AgentRequest::Families(_) | AgentRequest::Status(_) | AgentRequest::Spans(_) => {
            unreachable!("nobody asks for it")
        }
    };
    batch.into_iter().map(visitor).collect()
}

/// Has `visitor` visit the family as one of `origin`.
fn visit(mut visitor: Box<dyn FamilyVisitor>, origin: Origin) -> (Option<Demand>, Option<u64>) {
    let demand = visitor.begin();
    let (family, own) = (family(), OwnMetrics::new());
    let packages = vec![NamedFamily { origin, package: "p", namespace: "ebhost", series: family.series() }];
    visitor.visit(&Collection { packages, own: &own });
    (demand, visitor.finish())
}

fn text(mut chunks: BodyChunks) -> Option<String> {
    let mut text = Vec::new();
    loop {
        match chunks.try_recv().ok()? {
            BodyChunk::More(bytes) => text.extend_from_slice(&bytes),
            BodyChunk::Deflated(_) => return None,
            BodyChunk::Last(bytes) => {
                text.extend_from_slice(&bytes);
                return String::from_utf8(text).ok();
            }
        }
    }
}

#[tokio::test]
async fn scrapes_of_one_format_that_wait_together_share_one_encoding() {
    let (handle, mut requests) = ebhost_handle::channel();
    let scrapes = Scrapes::new(handle, Created::LeftOut);
    let until = Instant::now() + Duration::from_secs(1);
    let [one, other] = [(); 2].map(|()| scrapes.request(PLAIN, until, client()).unwrap());
    let protobuf = scrapes.request(PROTOBUF, until, client()).unwrap();
    let compressed = scrapes.request(GZIP, until, client()).unwrap();
    let visitors = queued(&mut requests).await;
    assert_eq!(visitors.len(), 3, "one for each format and compression");
    let outcomes: Vec<_> = visitors.into_iter().map(|visitor| visit(visitor, Origin::Package)).collect();
    assert_eq!(outcomes[0].0, Some(Demand { deadline: until, first_deadline: until, scrapes: 2 }));
    assert_eq!(outcomes[1].0, Some(Demand { deadline: until, first_deadline: until, scrapes: 1 }));
    let one = text(one).unwrap();
    assert!(one.ends_with("ebhost_reads_total{disk=\"sda\"} 1287408\n"), "{one}");
    assert_eq!(outcomes[0].1, Some(one.len() as u64));
    assert_eq!(text(other), Some(one));
    assert!(!protobuf.is_empty() && !compressed.is_empty());
}

#[tokio::test]
async fn a_scrape_that_comes_while_the_kernel_is_read_gets_a_reading_of_its_own() {
    let (handle, mut requests) = ebhost_handle::channel();
    let scrapes = Scrapes::new(handle, Created::LeftOut);
    let _early = scrapes.request(PLAIN, Instant::now(), client()).unwrap();
    let mut visitor = queued(&mut requests).await.remove(0);
    assert_eq!(visitor.begin().map(|demand| demand.scrapes), Some(1));
    let _late = scrapes.request(PLAIN, Instant::now(), client()).unwrap();
    assert_eq!(queued(&mut requests).await.len(), 1);
}

/// One client with a tiny `X-Prometheus-Scrape-Timeout-Seconds` emptied everybody's answer.
#[tokio::test]
async fn an_impatient_client_does_not_shorten_the_reading_of_the_others() {
    let (handle, mut requests) = ebhost_handle::channel();
    let scrapes = Scrapes::new(handle, Created::LeftOut);
    let now = Instant::now();
    let patient = now + Duration::from_secs(10);
    let _impatient = scrapes.request(PLAIN, now, client()).unwrap();
    let _patient = scrapes.request(PLAIN, patient, client()).unwrap();
    let gone = scrapes.request(PLAIN, patient + Duration::from_secs(1), client()).unwrap();
    drop(gone);
    let (demand, _) = visit(queued(&mut requests).await.remove(0), Origin::Package);
    assert_eq!(
        demand,
        Some(Demand { deadline: patient, first_deadline: now, scrapes: 2 }),
        "a client that went away does not count"
    );
}

#[tokio::test]
async fn nothing_is_read_for_clients_that_went_away() {
    let (handle, mut requests) = ebhost_handle::channel();
    let scrapes = Scrapes::new(handle, Created::LeftOut);
    drop(scrapes.request(PLAIN, Instant::now(), client()).unwrap());
    assert_eq!(queued(&mut requests).await.remove(0).begin(), None);
}

#[tokio::test]
async fn scrapes_end_without_an_answer_when_the_agent_stops() {
    let (handle, requests) = ebhost_handle::channel();
    let scrapes = Scrapes::new(handle, Created::LeftOut);
    let waiting = scrapes.request(PLAIN, Instant::now(), client()).unwrap();
    drop(requests);
    assert_eq!(text(waiting), None);
    assert!(scrapes.request(PLAIN, Instant::now(), client()).is_err());
}

#[tokio::test]
async fn whole_numbers_of_a_drop_in_print_as_go_prints_floats() {
    let (handle, mut requests) = ebhost_handle::channel();
    let scrapes = Scrapes::new(handle, Created::LeftOut);
    let chunks = scrapes.request(PLAIN, Instant::now(), client()).unwrap();
    visit(queued(&mut requests).await.remove(0), Origin::DropIn);
    let text = text(chunks).unwrap();
    assert!(text.ends_with("ebhost_reads_total{disk=\"sda\"} 1.287408e+06\n"), "{text}");
}

/// Ten thousand clients that connected and went away while the agent was busy stayed in the queue until it had time.
#[tokio::test]
async fn clients_that_went_away_do_not_pile_up_in_the_queue() {
    let (handle, mut requests) = ebhost_handle::channel();
    let scrapes = Scrapes::new(handle, Created::LeftOut);
    let until = Instant::now() + Duration::from_secs(60);
    let before = http().abandoned.get();
    for _ in 0..10_000 {
        drop(scrapes.request(PLAIN, until, client()).unwrap());
    }
    let waiting = scrapes.request(PLAIN, until, client()).unwrap();
    let dropped = http().abandoned.get() - before;
    assert!(dropped >= 10_000 - 2 * limits::SCRAPES_IN_FLIGHT as u64, "{dropped}");
    let (demand, _) = visit(queued(&mut requests).await.remove(0), Origin::Package);
    assert_eq!(demand.map(|demand| demand.scrapes), Some(1));
    assert!(text(waiting).is_some());
}

/// A package whose answer had gigabytes kept biolatency's from being complete, and the next scrape waiting.
#[tokio::test]
async fn families_that_there_is_no_time_for_are_left_out_and_counted() {
    let (handle, mut requests) = ebhost_handle::channel();
    let scrapes = Scrapes::new(handle, Created::LeftOut);
    let chunks = scrapes.request(PLAIN, Instant::now(), client()).unwrap();
    let mut visitor = queued(&mut requests).await.remove(0);
    visitor.begin();
    let mut huge = family();
    for disk in 0..200_000 {
        huge.push([("disk", disk.to_string().as_str())], &[1], None);
    }
    let (family, own) = (family(), OwnMetrics::new());
    let named = |series| NamedFamily { origin: Origin::Package, package: "p", namespace: "ebhost", series };
    let huge = std::iter::repeat_n(named(huge.series()), 1_000);
    let packages = [named(family.series())].into_iter().chain(huge).collect();
    let before = http().families_left_out.get();
    let started = Instant::now();
    visitor.visit(&Collection { packages, own: &own });
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    visitor.finish();
    assert!(http().families_left_out.get() - before > 500);
    let text = text(chunks).unwrap();
    assert!(text.contains("ebhost_reads_total{disk=\"sda\"} 1287408\n"), "the smallest is whole");
}

/// From the second answer on text is prepared, and from the third on it is compressed by the encoder.
#[tokio::test]
async fn a_compressed_answer_is_one_gzip_stream_whatever_of_it_is_prepared() {
    let (handle, mut requests) = ebhost_handle::channel();
    let scrapes = Scrapes::new(handle, Created::LeftOut);
    let until = Instant::now() + Duration::from_secs(10);
    for _ in 0..5 {
        let chunks = scrapes.request(GZIP, until, client()).unwrap();
        let (demand, bytes) = visit(queued(&mut requests).await.remove(0), Origin::Package);
        assert_eq!(demand.map(|demand| demand.scrapes), Some(1));
        let mut sent = gzip(chunks, scrapes.unsent(), client()).await.unwrap();
        let (mut compressed, mut has_ended) = (Vec::new(), false);
        while let Some(chunk) = std::future::poll_fn(|context| sent.poll(context)).await {
            has_ended = matches!(chunk, BodyChunk::Last(_));
            let (BodyChunk::More(part) | BodyChunk::Last(part)) = chunk else { panic!("it is compressed") };
            compressed.extend_from_slice(&part);
        }
        let mut text = String::new();
        GzDecoder::new(&compressed[..]).read_to_string(&mut text).unwrap();
        assert!(has_ended && text.contains("ebhost_reads_total{disk=\"sda\"} 1287408\n"), "{text}");
        assert_eq!(bytes, Some(text.len() as u64));
    }
}
