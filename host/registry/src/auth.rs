//! The challenges of registries (`WWW-Authenticate`), and what answers them.

/// How a registry wants to be asked again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    /// A token of the service at `realm`.
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

impl Challenge {
    /// The strongest challenge of these header values: a bearer token before a password.
    pub(crate) fn strongest<'a>(values: impl Iterator<Item = &'a str>) -> Option<Self> {
        let all: Vec<_> = values.filter_map(Self::parse).collect();
        let is_bearer = |challenge: &Self| matches!(challenge, Self::Bearer { .. });
        let strongest = all.iter().position(is_bearer).unwrap_or(0);
        all.into_iter().nth(strongest)
    }

    fn parse(value: &str) -> Option<Self> {
        let (scheme, parameters) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let parameters = parameters_of(parameters);
        let get = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        Some(Self::Bearer { realm: get("realm")?, service: get("service"), scope: get("scope") })
    }
}

/// Parameters `key="value",key=value`; a quoted value may have commas.
fn parameters_of(text: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    let mut rest = text;
    while let Some((key, value)) = rest.split_once('=') {
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => {
                value.split_once(',').map_or((value, ""), |(value, _)| (value, &rest[key.len() + 1 + value.len()..]))
            }
        };
        parameters.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
        rest = after.trim_start_matches([',', ' ']);
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_read_as_registries_write_them() {
        let challenge = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.docker.io/token".to_owned(),
            service: Some("registry.docker.io".to_owned()),
            scope: Some("repository:a/b:pull,push".to_owned()),
        };
        assert_eq!(Challenge::strongest([r#"Basic realm="x""#, challenge].into_iter()), Some(expected));
        assert_eq!(Challenge::strongest(["basic"].into_iter()), Some(Challenge::Basic));
        let unquoted = Challenge::strongest(["bearer realm=http://x/t, service=y"].into_iter());
        let expected = Challenge::Bearer { realm: "http://x/t".to_owned(), service: Some("y".to_owned()), scope: None };
        assert_eq!(unquoted, Some(expected));
        for none in ["", "Negotiate", "Bearer", "Bearer service=\"x\"", "Bearer =,=,\"", "Bearer realm"] {
            assert_eq!(Challenge::strongest([none].into_iter()), None, "{none}");
        }
    }
}
