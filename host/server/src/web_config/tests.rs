//! The keys of the file, one by one; what needs a client is tested end to end.

use std::fs;

use super::*;

fn read(text: &str) -> Result<WebConfig, String> {
    let path = std::env::temp_dir().join(format!("ebhost-web-{}-{:p}.yml", std::process::id(), text));
    fs::write(&path, text).unwrap();
    let read = WebConfig::read(&path).result.map_err(|error| error.to_string());
    fs::remove_file(&path).unwrap();
    read
}

#[test]
fn users_and_headers_are_read() {
    let hash = bcrypt::hash("secret", 4).unwrap();
    let text = format!(
        "basic_auth_users: {{ ada: '{hash}' }}\nhttp_server_config: {{ headers: {{ X-Frame-Options: deny }} }}\n"
    );
    let config = read(&text).ok().unwrap();
    assert_eq!(config.users["ada"], hash);
    assert_eq!(config.headers, [(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("deny"))]);
    assert!(config.tls.is_none());
    assert!(read("").is_ok_and(|config| config.users.is_empty()), "an empty file asks for nothing");
}

#[test]
fn what_is_wrong_is_named() {
    for (text, expected) in [
        ("basic_auth_users: { ada: secret }", "basic_auth_users.ada: found no bcrypt hash, expected one such as"),
        ("basic_auth_users: { 'a:b': '$2b$10$x' }", "basic_auth_users.a:b: found this name, expected one without `:`"),
        ("basic_auth_users: { '': '$2b$10$x' }", "found this name, expected one without `:`"),
        ("basic_auth_user: {}", "unknown field `basic_auth_user`"),
        ("http_server_config: { headers: { Server: x } }", "found `Server`, expected one of content-security-policy"),
        ("http_server_config: { headers: { X-Frame-Options: allow } }", "found \"allow\", expected deny or sameorigin"),
        ("http_server_config: { headers: { X-Content-Type-Options: sniff } }", "found \"sniff\", expected nosniff"),
        ("http_server_config: { http2: maybe }", "expected true or false"),
        ("tls_server_config: { cert_file: /none, key_file: /none }", "/none: cannot be read"),
        ("tls_server_config: { cert_file: x }", "found `cert_file` without `key_file`"),
        (
            "tls_server_config: { cert_file: x, key_file: y, min_version: SSL3 }",
            "found `SSL3`, expected TLS12 or TLS13",
        ),
        ("tls_server_config: { min_version: TLS13 }", "found `min_version` and no certificate"),
        (
            "tls_server_config: { client_auth_type: RequireAndVerifyClientCert }",
            "found `client_auth_type` and no certificate",
        ),
        ("rate_limit: { interval: 1 }", "expected a duration with its unit"),
        ("rate_limit: { interval: 1s }", "found `burst: 0`, which refuses every request"),
        ("auth_excluded_paths: [healthy]", "found `healthy`, expected a path that begins with `/`"),
        (&format!("tls_server_config: {}{}", "[".repeat(10_000), "]".repeat(10_000)), "expected at most 64"),
    ] {
        let message = read(text).err().unwrap_or_default();
        assert!(message.contains(expected), "{text}: {message}");
        assert!(!message.contains("secret"), "a password is never shown: {message}");
        assert!(message.len() < 2_000, "{} bytes", message.len());
    }
}

#[test]
fn a_key_without_a_value_asks_for_nothing() {
    for text in [
        "tls_server_config:",
        "tls_server_config: {}",
        "tls_server_config: { cert_file: '', key_file: '' }",
        "basic_auth_users:",
        "http_server_config:",
        "http_server_config: { headers: }",
        "http_server_config: { headers: { Strict-Transport-Security: '' } }",
        "rate_limit:",
        "rate_limit: { interval: 0, burst: 20 }",
        "auth_excluded_paths: []",
        "http_server_config: { http2: no }",
    ] {
        let config = read(text).unwrap_or_else(|message| panic!("{text}: {message}"));
        assert!(config.tls.is_none() && config.users.is_empty() && config.headers.is_empty(), "{text}");
        assert!(config.rate_limit.is_none() && config.excluded_paths.is_empty(), "{text}");
    }
}

#[test]
fn a_file_without_end_is_refused() {
    let message = WebConfig::read(Path::new("/dev/zero")).result.err().unwrap().to_string();
    assert!(message.starts_with("/dev/zero: found more than "), "{message}");
}

#[test]
fn excluded_paths_are_those_of_the_file() {
    let config = read("auth_excluded_paths: [/-/healthy, /metrics]").ok().unwrap();
    assert_eq!(config.excluded_paths.iter().collect::<Vec<_>>(), ["/-/healthy", "/metrics"]);
}

#[test]
fn a_file_of_just_the_greatest_length_is_taken() {
    let comment = |bytes: u64| format!("#{}\n", "x".repeat(bytes as usize - 2));
    assert!(read(&comment(limits::WEB_CONFIG_BYTES)).is_ok());
    assert!(read(&comment(limits::WEB_CONFIG_BYTES + 1)).is_err());
}
