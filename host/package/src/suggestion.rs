//! "Did you mean": the known name that is nearest to one that was found.

/// The known name that somebody who wrote `found` probably meant; none: nothing is near.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters, so that short names need be nearly right.
    let most = (found.chars().count() / 3).clamp(1, 4);
    let distance = |name: &&'a str| strsim::damerau_levenshtein(&found.to_lowercase(), &name.to_lowercase());
    let near = known.into_iter().map(|name| (distance(&name), name)).filter(|(distance, _)| *distance <= most);
    near.min_by_key(|(distance, name)| (*distance, *name)).map(|(_, name)| name)
}

/// `; did you mean \`NAME\`?`, to be put behind a message; empty: nothing is near.
pub fn did_you_mean<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(found, known).map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognized_and_another_name_is_not() {
        let known = ["events", "lost", "targ_banks", "tp_btf/NAME"];
        assert_eq!(nearest("event", known), Some("events"));
        assert_eq!(nearest("targ_bnaks", known), Some("targ_banks"));
        assert_eq!(nearest("Lost", known), Some("lost"));
        assert_eq!(nearest("counts", known), None);
        assert_eq!(did_you_mean("evnets", known), "; did you mean `events`?");
        assert_eq!(did_you_mean("xyz", known), "");
    }
}
