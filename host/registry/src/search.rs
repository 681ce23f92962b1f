//! Searching a registry: the repositories of its catalog, and their tags.

use serde::Deserialize;
use ureq::http::header;

use crate::{
    age::parse_version,
    artifact::Artifact,
    client::{Client, Session, read},
    manifest::annotation,
    reference::{ManifestName, Reference, Repository, is_tag},
    store::{self, StoreError},
};
use ebhost_limits as limits;

/// A package in a registry.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub reference: Reference,
    pub version: Option<String>,
    pub description: Option<String>,
}

/// The packages that were found, and whether these are all.
#[derive(Debug, Default)]
pub struct Results {
    pub packages: Vec<Found>,
    /// Repositories and tags that are no packages, or none that can be used.
    pub others: usize,
    /// Bounds left something out.
    pub is_cut: bool,
}

#[derive(Deserialize)]
struct Catalog {
    #[serde(default)]
    repositories: Vec<String>,
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

/// Lists the packages of a registry whose paths begin with `prefix`. Most public registries have no catalog: then the prefix is taken for
/// a repository.
///
/// # Errors
/// The registry has neither a catalog nor such a repository.
pub fn search(session: &Session, registry: &str, prefix: &str) -> Result<Results, StoreError> {
    let root = Repository { registry: registry.to_owned(), path: prefix.to_owned() };
    let client = session.reader(&root)?;
    let (mut paths, is_cut) = match catalog(&client) {
        Ok(found) => found,
        Err(StoreError::Refused { .. } | StoreError::Credentials { .. }) if !prefix.is_empty() => {
            (vec![prefix.to_owned()], false)
        }
        Err(error) => return Err(error),
    };
    paths.retain(|path| path.starts_with(prefix));
    let mut results = Results { is_cut, ..Results::default() };
    for path in paths {
        // A registry's names are its own; one that is none is passed over.
        match format!("{registry}/{path}").parse::<Repository>() {
            Ok(repository) => list(session, &repository, &mut results)?,
            Err(_) => results.others += 1,
        }
    }
    Ok(results)
}

/// Every repository of a registry, and whether there are more.
fn catalog(client: &Client<'_>) -> Result<(Vec<String>, bool), StoreError> {
    let mut url = client.registry_url("/v2/_catalog?n=100");
    let mut repositories = Vec::new();
    loop {
        let mut response = client.send("GET", &url, &[], ())?;
        if response.status() != 200 {
            return Err(client.refused(
                response,
                &url,
                "the catalog; many public registries have none: name a repository behind the registry",
            ));
        }
        let next = response
            .headers()
            .get(header::LINK)
            .and_then(|value| next(value.to_str().ok()?))
            .map(|path| client.registry_url(&path));
        let page: Catalog =
            json(&read(&mut response, limits::REGISTRY_ANSWER_BYTES, &url, "a page of the catalog")?, &url)?;
        let is_empty = page.repositories.is_empty();
        repositories.extend(page.repositories);
        match next {
            Some(_) if repositories.len() >= limits::SEARCHED_REPOSITORIES => return Ok((repositories, true)),
            Some(next) if !is_empty && next != url => url = next,
            _ => return Ok((repositories, false)),
        }
    }
}

/// The path of `<PATH>; rel="next"`.
fn next(link: &str) -> Option<String> {
    let (target, parameters) = link.strip_prefix('<')?.split_once('>')?;
    let is_next = parameters.replace('"', "").contains("rel=next");
    (is_next && target.starts_with('/')).then(|| target.to_owned())
}

fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8], url: &str) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Strange {
        url: url.to_owned(),
        found: format!("no such JSON ({error})"),
        expected: "the list of a registry",
    })
}

/// Adds the packages of one repository.
fn list(session: &Session, repository: &Repository, results: &mut Results) -> Result<(), StoreError> {
    let client = session.reader(repository)?;
    let url = client.registry_url(&format!("/v2/{}/tags/list?n={}", repository.path, limits::SEARCHED_TAGS));
    let mut response = client.send("GET", &url, &[], ())?;
    if response.status() == 404 {
        // Deleted, but still in the catalog.
        return Ok(());
    }
    if response.status() != 200 {
        return Err(client.refused(response, &url, "the tags of a repository"));
    }
    results.is_cut |= response.headers().get(header::LINK).is_some();
    let tags: Tags = json(&read(&mut response, limits::REGISTRY_ANSWER_BYTES, &url, "a list of tags")?, &url)?;
    let mut tags = tags.tags.unwrap_or_default();
    // Signatures have tags of their own, which are no packages'.
    tags.retain(|tag| is_tag(tag) && !tag.starts_with("sha256-"));
    tags.sort_by_cached_key(|tag| (parse_version(tag), tag.clone()));
    for tag in tags.into_iter().take(limits::SEARCHED_TAGS) {
        let raw = store::manifest(&client, &ManifestName::Tag(tag.clone()))?;
        let Some((raw, artifact)) =
            raw.and_then(|raw| Some((Artifact::parse(&raw).ok()?, raw))).map(|(artifact, raw)| (raw, artifact))
        else {
            results.others += 1;
            continue;
        };
        let text = |key: &str| artifact.annotations.get(key).cloned();
        let (version, description) = (text(annotation::VERSION), text(annotation::DESCRIPTION));
        let reference = Reference { repository: repository.clone(), tag: Some(tag), digest: Some(raw.digest()) };
        results.packages.push(Found { reference, version, description });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_next_page_of_the_same_registry_only() {
        assert_eq!(next(r#"</v2/_catalog?last=a&n=100>; rel="next""#).as_deref(), Some("/v2/_catalog?last=a&n=100"));
        for other in [r#"<https://evil.io/v2/_catalog>; rel="next""#, r#"</v2>; rel="prev""#, "", "<"] {
            assert_eq!(next(other), None, "{other}");
        }
    }
}
