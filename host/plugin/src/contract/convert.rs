//! Conversions of the WIT types that are the same in every contract version so far.
//!
//! Each version has generated types of its own, so a conversion is written once here and expanded in each version's module. When a
//! version changes a record, take that record out of [`shared_conversions`] and write its conversion in the versions' modules.
//! `family` is not here for that reason: it is the record that the test version changes.

/// Implements `From` between the types of `$wit`, which are an interface `decoder`, and the version-independent ones.
macro_rules! shared_conversions {
    ($wit:ident) => {
        fn into_all<T, U: From<T>>(list: Vec<T>) -> Vec<U> {
            list.into_iter().map(U::from).collect()
        }

        impl From<$wit::Kind> for $crate::contract::declared::Kind {
            fn from(kind: $wit::Kind) -> Self {
                use $crate::contract::declared::Fold;
                match kind {
                    $wit::Kind::Counter => Self::Counter,
                    $wit::Kind::Gauge($wit::Fold::Sum) => Self::Gauge(Fold::Sum),
                    $wit::Kind::Gauge($wit::Fold::Min) => Self::Gauge(Fold::Min),
                    $wit::Kind::Gauge($wit::Fold::Max) => Self::Gauge(Fold::Max),
                    $wit::Kind::Histogram(bounds) => Self::Histogram(bounds),
                }
            }
        }

        impl From<$wit::View> for $crate::contract::declared::View {
            fn from(view: $wit::View) -> Self {
                let $wit::View { source, key_size, value_size, identity, lookups, columns, series } = view;
                let (identity, lookups, series) = (into_all(identity), into_all(lookups), into_all(series));
                Self { source, key_size, value_size, identity, lookups, columns, series }
            }
        }

        impl From<$wit::Field> for $crate::contract::declared::Field {
            fn from($wit::Field { part, offset, length }: $wit::Field) -> Self {
                use $crate::contract::declared::Part;
                let part = match part {
                    $wit::Part::Key => Part::Key,
                    $wit::Part::Value => Part::Value,
                };
                Self { part, offset, length }
            }
        }

        impl From<$wit::Lookup> for $crate::contract::declared::Lookup {
            fn from($wit::Lookup { table, field }: $wit::Lookup) -> Self {
                Self { table, field }
            }
        }

        impl From<$wit::Series> for $crate::contract::declared::Series {
            fn from($wit::Series { family, labels, value }: $wit::Series) -> Self {
                Self { family, labels: into_all(labels), value: value.into() }
            }
        }

        impl From<$wit::Label> for $crate::contract::declared::Label {
            fn from(label: $wit::Label) -> Self {
                match label {
                    $wit::Label::Column(column) => Self::Column(column),
                    $wit::Label::Fixed(text) => Self::Fixed(text),
                    $wit::Label::Cpu => Self::Cpu,
                }
            }
        }

        impl From<$wit::Value> for $crate::contract::declared::Value {
            fn from(value: $wit::Value) -> Self {
                match value {
                    $wit::Value::One => Self::One,
                    $wit::Value::Number(number) => Self::Number(number.into()),
                    $wit::Value::Observation(number) => Self::Observation(number.into()),
                    $wit::Value::Slots(slots) => Self::Slots(slots.into()),
                    $wit::Value::NativeSlots(slots) => Self::NativeSlots(slots.into()),
                    $wit::Value::Bucket(bucket) => Self::Bucket(bucket.into()),
                }
            }
        }

        impl From<$wit::Number> for $crate::contract::declared::Number {
            fn from($wit::Number { offset, size, is_signed }: $wit::Number) -> Self {
                use ebhost_series::schema::Encoding;
                let encoding = if is_signed { Encoding::Signed } else { Encoding::Unsigned };
                Self { offset, size, encoding }
            }
        }

        impl From<$wit::Slots> for $crate::contract::declared::Slots {
            fn from($wit::Slots { offset, size, sum }: $wit::Slots) -> Self {
                Self { offset, size, sum: sum.map(Into::into) }
            }
        }

        impl From<$wit::NativeSlots> for $crate::contract::declared::NativeSlots {
            fn from($wit::NativeSlots { offset, schema, first, count, sum }: $wit::NativeSlots) -> Self {
                Self { offset, schema, first, count, sum: sum.map(Into::into) }
            }
        }

        impl From<$wit::Bucket> for $crate::contract::declared::Bucket {
            fn from($wit::Bucket { count, sum }: $wit::Bucket) -> Self {
                Self { count: count.into(), sum: sum.map(Into::into) }
            }
        }

        impl From<$wit::Refusal> for $crate::contract::rows::Refusal {
            fn from($wit::Refusal { entry, why }: $wit::Refusal) -> Self {
                use $crate::contract::rows::Reason;
                let reason = match why {
                    $wit::Reason::Skip => Reason::Skip,
                    $wit::Reason::Unknown(text) => Reason::Unknown(text),
                };
                Self { entry, reason }
            }
        }

        impl From<$crate::decode::DecodeRequest> for $wit::Batch {
            fn from(request: $crate::decode::DecodeRequest) -> Self {
                let $crate::decode::DecodeRequest { view, count, identities, found, names } = request;
                Self { view: view as u32, count: count as u32, identities, found, names }
            }
        }
    };
}

/// Implements the interface `log` of `$log` for [`Guest`](crate::guest::Guest).
macro_rules! shared_log {
    ($log:ident) => {
        impl $log::Host for $crate::guest::Guest {
            fn write(&mut self, level: $log::Level, message: String) {
                use $crate::contract::rows::LogLevel;
                let level = match level {
                    $log::Level::Error => LogLevel::Error,
                    $log::Level::Warn => LogLevel::Warn,
                    $log::Level::Info => LogLevel::Info,
                    $log::Level::Debug => LogLevel::Debug,
                };
                self.log(level, &message);
            }
        }
    };
}

pub(super) use {shared_conversions, shared_log};
