//! Answering a registry's challenge: a password as it is, or a token that the registry's token service gives for one.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use ureq::http::header;

use crate::{
    auth::Challenge,
    client::{Client, read},
    credentials::Credential,
    store::StoreError,
};
use ebhost_limits as limits;

/// The answer of a token service. Some give both names.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Client<'_> {
    /// The header that answers a challenge; none if there are no credentials for it.
    pub(crate) fn answer(&self, challenge: &Challenge) -> Result<Option<String>, StoreError> {
        let credential = self.session.credentials.of(&self.repository);
        let (realm, service, scope) = match (challenge, &credential) {
            (_, Some(Credential::RegistryToken(token))) => return Ok(Some(format!("Bearer {token}"))),
            (Challenge::Basic, Some(Credential::Basic { user, password })) => return Ok(Some(basic(user, password))),
            (Challenge::Basic, _) => return Ok(None),
            (Challenge::Bearer { realm, service, scope }, _) => (realm, service, scope),
        };
        if !realm.starts_with("https://") && self.origin.starts_with("https:") {
            let expected = "a token service that speaks TLS: credentials are not sent without";
            return Err(StoreError::Strange {
                url: self.origin.clone(),
                found: format!("the token service {realm}"),
                expected,
            });
        }
        // A challenge names what this request takes; the token is for those after it, too. A catalog has a scope of its own.
        let scope = match scope {
            Some(scope) if !scope.starts_with("repository:") => scope.clone(),
            _ => format!("repository:{}:{}", self.repository.path, self.actions),
        };
        let service = service.as_deref().unwrap_or_default();
        let response = match &credential {
            Some(Credential::IdentityToken(token)) => self.agent().post(realm).send_form([
                ("grant_type", "refresh_token"),
                ("client_id", "ebhost"),
                ("service", service),
                ("scope", &scope),
                ("refresh_token", token),
            ]),
            _ => {
                let mut request = self.agent().get(realm).query("service", service).query("scope", &scope);
                if let Some(Credential::Basic { user, password }) = &credential {
                    request = request.header(header::AUTHORIZATION, basic(user, password));
                }
                request.call()
            }
        };
        let mut response = response.map_err(|error| StoreError::no_answer(realm, error))?;
        let status = response.status().as_u16();
        let body = read(&mut response, limits::REGISTRY_ANSWER_BYTES, realm, "a token")?;
        if status != 200 {
            return Err(self.credentials_error(status, &body));
        }
        let parsed = serde_json::from_slice::<Token>(&body).ok();
        let token =
            parsed.and_then(|parsed| parsed.token.or(parsed.access_token)).ok_or_else(|| StoreError::Strange {
                url: realm.clone(),
                found: "no token in the answer".to_owned(),
                expected: "`token` or `access_token`",
            })?;
        Ok(Some(format!("Bearer {token}")))
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}
