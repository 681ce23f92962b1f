//! The resource: what the numbers are about.

use std::{collections::BTreeMap, fs};

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value},
    resource::v1::Resource,
};

/// This host by the semantic conventions, and the attributes of the user, which take precedence. Prometheus makes `service.name` the label
/// `job` and `service.instance.id` the label `instance`.
pub(crate) fn resource(version: &str, attributes: &BTreeMap<String, String>) -> Resource {
    let host = kernel_value("hostname");
    let mut all = BTreeMap::from([
        ("service.name".to_owned(), "ebhost".to_owned()),
        ("service.version".to_owned(), version.to_owned()),
        ("os.type".to_owned(), "linux".to_owned()),
        ("os.version".to_owned(), kernel_value("osrelease")),
        ("host.arch".to_owned(), host_arch().to_owned()),
        ("service.instance.id".to_owned(), host.clone()),
        ("host.name".to_owned(), host),
    ]);
    if let Some(id) = container_id(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default()) {
        all.insert("container.id".to_owned(), id.to_owned());
    }
    all.extend(attributes.clone());
    resource_of(all)
}

/// The same resource with another `service.name`, unless that is empty.
pub(crate) fn with_service(resource: &Resource, service: &str) -> Resource {
    let mut resource = resource.clone();
    if !service.is_empty() {
        resource.attributes.retain(|attribute| attribute.key != "service.name");
        resource.attributes.push(attribute("service.name".to_owned(), service.to_owned()));
    }
    resource
}

fn resource_of(mut all: BTreeMap<String, String>) -> Resource {
    all.retain(|_, value| !value.is_empty());
    let attributes = all.into_iter().map(|(key, value)| attribute(key, value)).collect();
    Resource { attributes, ..Resource::default() }
}

pub(crate) fn attribute(key: String, value: String) -> KeyValue {
    KeyValue { key, value: Some(AnyValue { value: Some(Value::StringValue(value)) }), ..KeyValue::default() }
}

fn kernel_value(name: &str) -> String {
    fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default().trim().to_owned()
}

/// The names of the conventions, where they are not Rust's.
fn host_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The id of the container that this process is in, by its cgroups: `HIERARCHY:CONTROLLERS:PATH` on each line.
fn container_id(cgroups: &str) -> Option<&str> {
    cgroups.lines().filter_map(|line| line.splitn(3, ':').nth(2)).find_map(ebhost_lookup::container_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_by_its_cgroup() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope"),
            format!("0::/system.slice/docker-{id}.scope\n"),
            format!("12:cpu:/docker/{id}\n1:name=systemd:/docker/{id}"),
            format!("0::/machine.slice/libpod-{id}.scope/container"),
        ] {
            assert_eq!(container_id(&path), Some(id.as_str()), "{path}");
        }
        assert_eq!(container_id("0::/user.slice/user-1000.slice\n"), None);
    }

    #[test]
    fn the_users_attributes_take_precedence() {
        let users =
            BTreeMap::from([("service.name".to_owned(), "mine".to_owned()), ("env".to_owned(), "prod".to_owned())]);
        let resource = resource("1.0", &users);
        let value = |key: &str| {
            let found = resource.attributes.iter().find(|attribute| attribute.key == key)?;
            match found.value.as_ref()?.value.as_ref()? {
                Value::StringValue(text) => Some(text.clone()),
                _ => None,
            }
        };
        assert_eq!(value("service.name").as_deref(), Some("mine"));
        assert_eq!(value("env").as_deref(), Some("prod"));
        assert_eq!(value("os.type").as_deref(), Some("linux"));
        assert_eq!(
            value("host.name"),
            Some(fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned())
        );
    }
}
