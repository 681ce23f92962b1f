use super::*;

fn policy(text: &str) -> Result<Policy, PolicyError> {
    let folder =
        Path::new("/dev/shm").join(format!("ebhost-policy-{}-{:?}", std::process::id(), std::thread::current().id()));
    fs::create_dir_all(&folder).unwrap();
    let key = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEpiwTYz9B4n3swL2e3CxadeXFTcXk\n\
        sF4dD52h4VPnOEaqEygaEsOE+jRVMPImndvi+CIvKSo551gmJVvlPJEpow==\n-----END PUBLIC KEY-----\n";
    fs::write(folder.join("a.pub"), key).unwrap();
    fs::write(folder.join("policy.yaml"), text).unwrap();
    let policy = Policy::read(&folder.join("policy.yaml"));
    fs::remove_dir_all(&folder).unwrap();
    policy
}

fn repository(text: &str) -> Repository {
    text.parse().unwrap()
}

#[test]
fn the_longest_rule_decides_and_other_repositories_are_unknown() {
    let text = "rules:\n- { repository: a.io/*, keys: [a.pub] }\n- { repository: a.io/team/*, unsigned: true }\n\
                - { repository: a.io/team/x, keys: [a.pub], bpf: true }\n";
    let policy = policy(text).unwrap();
    for (name, pattern) in [
        ("a.io/x", "a.io/*"),
        ("a.io/team/y", "a.io/team/*"),
        ("a.io/team/x", "a.io/team/x"),
        ("a.io/teams/y", "a.io/*"),
    ] {
        assert_eq!(policy.rule_for(&repository(name)).unwrap().pattern.to_string(), pattern, "{name}");
    }
    let message = policy.rule_for(&repository("a.io.evil.com/x")).unwrap_err().to_string();
    assert!(message.contains("expected one of a.io/*, a.io/team/*, a.io/team/x"), "{message}");
}

#[test]
fn a_rule_that_trusts_nobody_or_everybody_by_mistake_is_refused() {
    for (text, expected) in [
        ("rules: [{ repository: a.io/x }]", "no keys for a.io/x"),
        ("rules: [{ repository: a.io/x, keys: [a.pub], unsigned: true }]", "keys and `unsigned: true`"),
        ("rules: [{ repository: '*', unsigned: true }]", "the repository `*`"),
        ("rules: [{ repository: a.io, unsigned: true }]", "the repository `a.io`"),
        ("rules: [{ repository: acme/*, unsigned: true }]", "the repository `acme/*`"),
        ("rules: [{ repository: a.io/x, unsinged: true }]", "unsinged"),
        ("rules: [{ repository: a.io/x, keys: [b.pub] }]", "b.pub: cannot be read"),
        ("rules: []\nmirrors: [{ for: a.io/*, use: ['http://m'] }]", "the mirror `http://m`"),
        ("{}", "rules"),
    ] {
        let message = policy(text).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_mirror_has_the_same_paths() {
    let text = "rules: []\nmirrors:\n- { for: a.io/team/*, use: [m.io:5000/team-a, n.io] }\n- { for: a.io/x, use: [m.io/y] }\n";
    let policy = policy(text).unwrap();
    let names = |name: &str| policy.mirrors_of(&repository(name)).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names("a.io/team/sub/x"), ["m.io:5000/team-a/sub/x", "n.io/sub/x"]);
    assert_eq!(names("a.io/x"), ["m.io/y"]);
    assert!(names("b.io/x").is_empty());
}

#[test]
fn without_a_policy_somebody_has_to_be_named() {
    let missing = TrustFlags { policy: Some("/nonexistent/policy.yaml".into()), ..TrustFlags::default() };
    assert!(matches!(Policy::find(&missing), Err(PolicyError::Unreadable { .. })));
    let both = TrustFlags { keys: vec!["a.pub".into()], ..missing };
    assert!(matches!(Policy::find(&both), Err(PolicyError::Flags { flag: "--key", .. })));
}
