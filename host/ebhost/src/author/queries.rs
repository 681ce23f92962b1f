//! The example queries of a package name families that it has.

use std::collections::BTreeSet;

use super::findings::Finding;
use ebhost_package::{About, did_you_mean};

/// The prefix of all families, unless an operator chooses another one.
const NAMESPACE: &str = "ebhost_";
/// Endings of the samples of a histogram.
const ENDINGS: [&str; 3] = ["_bucket", "_sum", "_count"];
/// Beginnings of the host's own families, which a query may use as well.
const OWN: [&str; 6] = ["plugin_", "program_", "map_", "perf_", "scrape_", "lost_"];

/// A warning for each name in a query that is not among these families, of whichever variant.
pub(super) fn unknown_families<'a>(
    file: &'a str,
    about: &'a About,
    families: &'a BTreeSet<String>,
) -> impl Iterator<Item = Finding> + 'a {
    about.queries.values().flat_map(|query| names(query)).filter(|name| !is_known(name, families)).map(move |name| {
        let known: Vec<_> = families.iter().map(|family| format!("{NAMESPACE}{family}")).collect();
        let named = format!("{NAMESPACE}{name}");
        let meant = did_you_mean(&named, known.iter().map(String::as_str));
        let message = format!("a query names `{named}`, which the package does not have{meant}");
        Finding::warning("queries", file, message, "name one of the package's families")
    })
}

/// The names of families in a query, without the prefix that all have.
fn names(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter_map(|word| word.strip_prefix(NAMESPACE))
}

fn is_known(name: &str, families: &BTreeSet<String>) -> bool {
    let base = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
    families.contains(name)
        || base.is_some_and(|base| families.contains(base))
        || OWN.iter().any(|own| name.starts_with(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_that_is_misspelt_in_a_query_is_reported_with_the_one_that_was_meant() {
        let families = ["drops_total", "wait_seconds"].map(String::from).into();
        let query = |text: &str| About { queries: [("?".to_owned(), text.to_owned())].into(), ..About::default() };
        let found = |text: &str| {
            let about = query(text);
            unknown_families("plugin.yaml", &about, &families).map(|finding| finding.message).collect::<Vec<_>>()
        };
        assert!(found("rate(ebhost_drops_total[5m])").is_empty());
        assert!(found("rate(ebhost_wait_seconds_bucket[5m]) and ebhost_plugin_up == 1").is_empty());
        assert_eq!(
            found("sum(rate(ebhost_drop_total[5m]))"),
            ["a query names `ebhost_drop_total`, which the package does not have; did you mean `ebhost_drops_total`?"]
        );
    }
}
