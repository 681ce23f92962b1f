//! The page's files: in the binary, compressed once, with an ETag each.

use std::{io::Write as _, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use ebhost_metrics::Encoding;
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest as _, Sha256};

use crate::{page::html_text, telemetry_path::LANDING};

/// Nothing but the page's own files and streams: no inline script or style, nothing from elsewhere, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// A file as it is in the repository.
struct File {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

macro_rules! file {
    ($path:expr, $content_type:expr, $name:literal) => {
        File { path: $path, content_type: $content_type, text: include_str!(concat!("../../web/", $name)) }
    };
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const INDEX: File = file!(LANDING, "text/html; charset=utf-8", "index.html");
const FILES: [File; 16] = [
    file!("/page/style.css", "text/css; charset=utf-8", "style.css"),
    file!("/page/icon.svg", "image/svg+xml", "icon.svg"),
    file!("/page/panels.json", "application/json", "panels.json"),
    file!("/page/app.js", SCRIPT, "app.js"),
    file!("/page/dom.js", SCRIPT, "dom.js"),
    file!("/page/draw.js", SCRIPT, "draw.js"),
    file!("/page/history.js", SCRIPT, "history.js"),
    file!("/page/labels.js", SCRIPT, "labels.js"),
    file!("/page/panel.js", SCRIPT, "panel.js"),
    file!("/page/rates.js", SCRIPT, "rates.js"),
    file!("/page/sections.js", SCRIPT, "sections.js"),
    file!("/page/source.js", SCRIPT, "source.js"),
    file!("/page/status.js", SCRIPT, "status.js"),
    file!("/page/store.js", SCRIPT, "store.js"),
    file!("/page/units.js", SCRIPT, "units.js"),
    file!("/page/wire.js", SCRIPT, "wire.js"),
];

/// All files, ready to be served.
pub(super) struct Assets(Vec<(&'static str, Asset)>);

/// A file, ready to be served.
struct Asset {
    content_type: &'static str,
    plain: Bytes,
    gzip: Bytes,
    /// Weak, because the compressed file has other bytes.
    etag: HeaderValue,
}

impl Assets {
    /// The files of a host whose metrics are at `path`, to which the page has a link.
    pub(super) fn with_metrics_at(path: &str) -> Self {
        let link = format!("href=\"{}\"", html_text(path));
        let index = INDEX.text.replace("href=\"/metrics\"", &link);
        Self::of(index)
    }

    /// The files of a viewer of recordings, which has neither metrics nor a status page.
    pub(super) fn without_host() -> Self {
        let (from, to) = ("<nav", "</nav>");
        let text = INDEX.text;
        let index = match (text.find(from), text.find(to)) {
            (Some(start), Some(end)) => {
                format!("{}<a id=\"dump\" hidden></a>{}", &text[..start], &text[end + to.len()..])
            }
            _ => text.to_owned(),
        };
        Self::of(index)
    }

    fn of(index: String) -> Self {
        let index = (INDEX.path, Asset::new(INDEX.content_type, index.into()));
        let files = FILES
            .iter()
            .map(|file| (file.path, Asset::new(file.content_type, Bytes::from_static(file.text.as_bytes()))));
        Self([index].into_iter().chain(files).collect())
    }

    pub(super) fn router(self) -> Router {
        self.0.into_iter().fold(Router::new(), |router, (path, asset)| {
            let asset = Arc::new(asset);
            router.route(path, get(move |headers: HeaderMap| async move { asset.answer(&headers) }))
        })
    }
}

impl Asset {
    fn new(content_type: &'static str, plain: Bytes) -> Self {
        let digest = URL_SAFE_NO_PAD.encode(&Sha256::digest(&plain)[..12]);
        let etag = HeaderValue::try_from(format!("W/\"{digest}\"")).unwrap_or(HeaderValue::from_static("W/\"\""));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let _ = encoder.write_all(&plain); // a vector takes everything
        let gzip = encoder.finish().unwrap_or_default().into();
        Self { content_type, plain, gzip, etag }
    }

    fn answer(&self, asked: &HeaderMap) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(header::ETAG, self.etag.clone());
        // It is kept, and asked for again each time whether it is still the same: an upgrade shows at once.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        let text = |name| asked.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let etag = self.etag.to_str().unwrap_or_default();
        if text(header::IF_NONE_MATCH)
            .is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == etag || tag.trim() == "*"))
        {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        let body = match Encoding::negotiate(text(header::ACCEPT_ENCODING)) {
            Encoding::Gzip => {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                self.gzip.clone()
            }
            Encoding::Identity => self.plain.clone(),
        };
        (headers, Body::from(body)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: header::HeaderName, value: &str) -> HeaderMap {
        [(name, HeaderValue::try_from(value).unwrap())].into_iter().collect()
    }

    #[test]
    fn the_page_takes_less_than_150_kilobytes() {
        let all = Assets::with_metrics_at("/metrics").0;
        let bytes: usize = all.iter().map(|(_, asset)| asset.gzip.len()).sum();
        assert!(bytes < 150_000, "{bytes}");
    }

    #[test]
    fn every_module_that_is_imported_is_served_and_nothing_is_asked_for_elsewhere() {
        let paths: Vec<_> = FILES.iter().map(|file| file.path.trim_start_matches("/page/")).collect();
        for file in FILES.iter().chain([&INDEX]) {
            for part in file.text.split("from \"./").skip(1) {
                let name = part.split('"').next().unwrap();
                assert!(paths.contains(&name), "{}: {name}", file.path);
            }
            let links = file.text.replace("http://www.w3.org/2000/svg", "");
            assert!(!links.contains("://"), "{}", file.path);
            assert!(!file.text.contains("style=\"") && !file.text.contains("innerHTML"), "{}", file.path);
        }
        let served = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/web")).unwrap().count();
        assert_eq!(served, FILES.len() + 1, "a file of web/ that is not served");
    }

    #[test]
    fn a_browser_that_has_the_file_gets_none() {
        let asset = Asset::new("text/plain", "text".into());
        let etag = asset.etag.to_str().unwrap().to_owned();
        for (tags, status) in [(etag.as_str(), 304), ("\"other\"", 200), ("*", 304)] {
            assert_eq!(asset.answer(&asked(header::IF_NONE_MATCH, tags)).status(), status, "{tags}");
        }
        let answer = asset.answer(&asked(header::ACCEPT_ENCODING, "gzip, br"));
        assert_eq!(answer.headers()[header::CONTENT_ENCODING], "gzip");
        assert!(answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("default-src 'none'"));
    }

    #[test]
    fn the_page_links_to_the_metrics_wherever_they_are() {
        let index = |assets: Assets| String::from_utf8(assets.0[0].1.plain.to_vec()).unwrap();
        assert!(index(Assets::with_metrics_at("/own&here")).contains("href=\"/own&amp;here\""));
        let viewer = index(Assets::without_host());
        assert!(!viewer.contains("/metrics") && !viewer.contains("/status\">Status"), "{viewer}");
    }
}
