//! OTLP over TLS: a receiver is pushed to if its certificate is good, and the log says what is wrong with one that is not.

use std::time::Duration;

use ebhost_tests::{Authority, Ebhost, Folder, Prometheus, Start, needs, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);

fn taken(host: &Ebhost) -> f64 {
    host.scrape().value("ebhost_otlp_requests_total", &[("result", "taken")]).expect("there is a receiver")
}

#[test]
fn a_receiver_with_a_certificate_of_a_private_authority_is_pushed_to_once_the_authority_is_named() {
    needs!(Root, Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let (authority, other) = (Authority::new(), Authority::new());
    let (receiver, secure) = Prometheus::victoria_metrics_behind_tls(&authority.issue("receiver", "IP:127.0.0.1", 30));
    let folder = Folder::with_biolatency();
    let start = |endpoint: &str, authority: &Authority| {
        let start = Start::with(folder.path()).args(&["--otlp.endpoint", endpoint, "--otlp.interval", "1s"]);
        start.env("OTEL_EXPORTER_OTLP_CERTIFICATE", &authority.certificate().display().to_string()).listening()
    };
    let path = "opentelemetry/v1/metrics";
    // Issued by nobody who is trusted, and for another name than the one that is asked for.
    for (endpoint, trusted, why) in [
        (format!("https://{secure}/{path}"), &other, "UnknownIssuer"),
        (format!("https://localhost:{}/{path}", secure.port()), &authority, "not valid for name"),
    ] {
        let host = start(&endpoint, trusted);
        let says = "metrics are not pushed: no answer: ";
        wait_until(why, PATIENCE, || host.log().text().contains(says).then_some(()));
        assert!(host.log().text().contains(why), "{why} in {}", host.log().text());
        assert_eq!(taken(&host), 0.0);
        host.stop();
        assert_eq!(receiver.query("count(ebhost_ready)"), None, "nothing was sent");
    }
    let host = start(&format!("https://{secure}/{path}"), &authority);
    wait_until("a push", PATIENCE, || (taken(&host) > 0.0).then_some(()));
    wait_until("the series", PATIENCE, || receiver.query("count(ebhost_ready)"));
    host.stop();
}
