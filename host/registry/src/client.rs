//! A client of registries (distribution specification 1.1): one repository, one request at a time.

use std::{cell::RefCell, io::Read as _};

use ureq::{
    Agent, AsSendBody, Body,
    http::{Request, Response, header},
    tls::TlsConfig,
};

use crate::{
    auth::Challenge,
    certificates::{CertificateError, Certificates},
    credentials::Credentials,
    digest::OciDigest,
    manifest::{Descriptor, RawManifest, media_type},
    reference::{ManifestName, Repository},
    store::{Store, StoreError, quoted},
};
use ebhost_limits as limits;

/// Every form of a manifest: a registry answers with one that the client takes.
const ACCEPTED: [&str; 4] =
    [media_type::MANIFEST, media_type::INDEX, media_type::DOCKER_MANIFEST, media_type::DOCKER_INDEX];

/// Registries that are spoken to without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainHttp {
    /// None.
    Never,
    /// Those of this machine, but for those that have a folder of certificates.
    Loopback,
    /// All of them.
    Always,
}

/// Connections, certificates and credentials that all clients of a command share.
pub struct Session {
    /// For registries that have no folder of certificates.
    shared: Agent,
    /// The same without TLS.
    plain: Agent,
    certificates: Certificates,
    pub(crate) credentials: Credentials,
    plain_http: PlainHttp,
}

/// A repository of a registry.
pub struct Client<'a> {
    pub(crate) session: &'a Session,
    agent: Agent,
    pub(crate) repository: Repository,
    /// Scheme, host and port.
    pub(crate) origin: String,
    /// The value of the header `Authorization` that the registry has taken.
    authorization: RefCell<Option<String>>,
    /// The actions that a token is asked for: `pull`, `pull,push`.
    pub(crate) actions: &'static str,
}

impl Session {
    /// A session with these credentials and certificates.
    pub fn new(credentials: Credentials, certificates: Certificates, plain_http: PlainHttp) -> Self {
        let tls = certificates.of_all();
        let (shared, plain) = (agent(tls.clone(), Scheme::Https), agent(tls, Scheme::Http));
        Self { shared, plain, certificates, credentials, plain_http }
    }

    /// A client that reads from a repository.
    ///
    /// # Errors
    /// The registry's folder of certificates cannot be used.
    pub fn reader(&self, repository: &Repository) -> Result<Client<'_>, CertificateError> {
        self.client(repository, "pull")
    }

    /// A client that writes to a repository.
    ///
    /// # Errors
    /// The registry's folder of certificates cannot be used.
    pub fn writer(&self, repository: &Repository) -> Result<Client<'_>, CertificateError> {
        self.client(repository, "pull,push")
    }

    fn client(&self, repository: &Repository, actions: &'static str) -> Result<Client<'_>, CertificateError> {
        let own = self.certificates.of_registry(&repository.registry)?;
        let scheme = match self.plain_http {
            PlainHttp::Always => Scheme::Http,
            PlainHttp::Loopback if repository.is_loopback() && own.is_none() => Scheme::Http,
            PlainHttp::Loopback | PlainHttp::Never => Scheme::Https,
        };
        let agent = match (scheme, own) {
            (Scheme::Http, _) => self.plain.clone(),
            (Scheme::Https, None) => self.shared.clone(),
            (Scheme::Https, Some(own)) => agent(own, scheme),
        };
        Ok(Client {
            session: self,
            agent,
            origin: format!("{}://{}", scheme.name(), repository.registry),
            repository: repository.clone(),
            authorization: RefCell::new(None),
            actions,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A sender of requests. One for HTTPS follows no redirection to anything else.
fn agent(tls: TlsConfig, scheme: Scheme) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .https_only(scheme == Scheme::Https)
        .timeout_connect(Some(limits::REGISTRY_CONNECT))
        .timeout_recv_response(Some(limits::REGISTRY_ANSWER))
        .timeout_recv_body(Some(limits::REGISTRY_TRANSFER))
        .timeout_send_body(Some(limits::REGISTRY_TRANSFER))
        .user_agent(concat!("ebhost/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .build();
    Agent::from(config)
}

impl Client<'_> {
    pub(crate) fn agent(&self) -> &Agent {
        &self.agent
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v2/{}/{path}", self.origin, self.repository.path)
    }

    /// Sends a request, and once more with credentials if the registry asks for them.
    pub(crate) fn send<B: AsSendBody + Copy>(
        &self,
        method: &str,
        url: &str,
        headers: &[(header::HeaderName, &str)],
        body: B,
    ) -> Result<Response<Body>, StoreError> {
        let response = self.send_once(method, url, headers, body)?;
        // Also with a token, which may have ended during a long upload.
        if response.status() != 401 {
            return Ok(response);
        }
        let challenges =
            response.headers().get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let Some(authorization) =
            Challenge::strongest(challenges).map(|challenge| self.answer(&challenge)).transpose()?.flatten()
        else {
            return Ok(response);
        };
        *self.authorization.borrow_mut() = Some(authorization);
        self.send_once(method, url, headers, body)
    }

    fn send_once<B: AsSendBody>(
        &self,
        method: &str,
        url: &str,
        headers: &[(header::HeaderName, &str)],
        body: B,
    ) -> Result<Response<Body>, StoreError> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        // An upload may be sent elsewhere, where the registry's credentials are not to be shown.
        let is_registry = url.strip_prefix(&self.origin).is_some_and(|path| path.starts_with('/'));
        if let Some(authorization) = self.authorization.borrow().as_ref().filter(|_| is_registry) {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(body).map_err(|error| StoreError::no_answer(url, error.into()))?;
        self.agent.run(request).map_err(|error| StoreError::no_answer(url, error))
    }

    pub(crate) fn credentials_error(&self, status: u16, body: &[u8]) -> StoreError {
        let registry = self.repository.registry.clone();
        let hint = self.session.credentials.hint(&registry);
        StoreError::Credentials { registry, status, text: quoted(body), hint }
    }

    /// The error that a status means.
    pub(crate) fn refused(&self, mut response: Response<Body>, url: &str, expected: &'static str) -> StoreError {
        let status = response.status().as_u16();
        let body = read(&mut response, limits::REGISTRY_ANSWER_BYTES, url, "a message").unwrap_or_default();
        match status {
            401 | 403 => self.credentials_error(status, &body),
            // The servers that are in use all name it where they found HTTP in its place.
            400 if self.origin.starts_with("http:") && body.windows(5).any(|word| word == b"HTTPS") => {
                StoreError::SpeaksTls { url: url.to_owned(), status, text: quoted(&body) }
            }
            _ => StoreError::Refused { url: url.to_owned(), status, text: quoted(&body), expected },
        }
    }

    /// The origin of the registry, and what is below it.
    pub(crate) fn registry_url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// A manifest or index; none if the registry answers with one of the statuses that mean there is none.
    fn get_manifest(&self, path: &str, accepted: &[&str], absent: &[u16]) -> Result<Option<RawManifest>, StoreError> {
        let url = self.url(path);
        let mut response = self.send("GET", &url, &[(header::ACCEPT, &accepted.join(", "))], ())?;
        match response.status().as_u16() {
            200 => {}
            status if absent.contains(&status) => return Ok(None),
            _ => return Err(self.refused(response, &url, "a manifest")),
        }
        let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or(media_type::MANIFEST).to_owned();
        let bytes = read(&mut response, limits::REGISTRY_MANIFEST_BYTES, &url, "a manifest")?;
        Ok(Some(RawManifest { bytes, media_type }))
    }

    fn has_blob(&self, digest: OciDigest) -> Result<bool, StoreError> {
        let url = self.url(&format!("blobs/{digest}"));
        Ok(self.send("HEAD", &url, &[], ())?.status() == 200)
    }

    /// The URL for an upload, which a registry may give without its own origin.
    fn upload_url(&self, digest: OciDigest) -> Result<String, StoreError> {
        let url = self.url("blobs/uploads/");
        let response = self.send("POST", &url, &[], &[][..])?;
        if response.status() != 202 {
            return Err(self.refused(response, &url, "202 for an upload"));
        }
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let Some(location) = location else {
            return Err(StoreError::Strange { url, found: "no Location".to_owned(), expected: "one to upload to" });
        };
        let whole = if location.starts_with('/') { self.registry_url(location) } else { location.to_owned() };
        let separator = if whole.contains('?') { '&' } else { '?' };
        Ok(format!("{whole}{separator}digest={digest}"))
    }
}

impl Store for Client<'_> {
    fn name(&self) -> String {
        self.repository.to_string()
    }

    fn manifest(&self, name: &ManifestName) -> Result<Option<RawManifest>, StoreError> {
        self.get_manifest(&format!("manifests/{name}"), &ACCEPTED, &[404])
    }

    fn referrers(&self, digest: OciDigest) -> Result<Option<RawManifest>, StoreError> {
        // The specification asks for 404 where the list is unknown; older registries know neither the path nor that rule.
        let index = self.get_manifest(&format!("referrers/{digest}"), &[media_type::INDEX], &[400, 404, 405])?;
        Ok(index.filter(|index| index.media_type == media_type::INDEX))
    }

    fn raw_blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, StoreError> {
        let url = self.url(&format!("blobs/{}", descriptor.digest));
        let mut response = self.send("GET", &url, &[], ())?;
        if response.status() != 200 {
            return Err(self.refused(response, &url, "the blob that the manifest names"));
        }
        read(&mut response, descriptor.size, &url, "the blob that the manifest describes")
    }

    fn put_blob(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let digest = OciDigest::of(bytes);
        if self.has_blob(digest)? {
            return Ok(());
        }
        let url = self.upload_url(digest)?;
        let response = self.send("PUT", &url, &[(header::CONTENT_TYPE, "application/octet-stream")], bytes)?;
        if response.status() == 201 { Ok(()) } else { Err(self.refused(response, &url, "201 for a blob")) }
    }

    fn put_manifest(&self, manifest: &RawManifest, name: &ManifestName) -> Result<(), StoreError> {
        let url = self.url(&format!("manifests/{name}"));
        let response = self.send("PUT", &url, &[(header::CONTENT_TYPE, &manifest.media_type)], &manifest.bytes[..])?;
        if response.status() == 201 { Ok(()) } else { Err(self.refused(response, &url, "201 for a manifest")) }
    }
}

/// The body of an answer, whole and of at most `most` bytes.
pub(crate) fn read(
    response: &mut Response<Body>,
    most: u64,
    url: &str,
    what: &'static str,
) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let reader = response.body_mut().as_reader();
    reader
        .take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| StoreError::CutShort { url: url.to_owned(), source })?;
    if bytes.len() as u64 > most {
        return Err(StoreError::TooLarge { place: url.to_owned(), what, most });
    }
    Ok(bytes)
}
