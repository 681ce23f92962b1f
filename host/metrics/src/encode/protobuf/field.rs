//! Field numbers of `io.prometheus.client`'s `metrics.proto`.

pub(super) mod family {
    pub(in super::super) const NAME: u32 = 1;
    pub(in super::super) const HELP: u32 = 2;
    pub(in super::super) const TYPE: u32 = 3;
    pub(in super::super) const METRIC: u32 = 4;
    pub(in super::super) const UNIT: u32 = 5;
}

pub(super) mod metric {
    pub(in super::super) const LABEL: u32 = 1;
    pub(in super::super) const GAUGE: u32 = 2;
    pub(in super::super) const COUNTER: u32 = 3;
    pub(in super::super) const HISTOGRAM: u32 = 7;
}

pub(super) mod label {
    pub(in super::super) const NAME: u32 = 1;
    pub(in super::super) const VALUE: u32 = 2;
}

/// `Counter` and `Gauge`; a gauge has no start time.
pub(super) mod number {
    pub(in super::super) const VALUE: u32 = 1;
    pub(in super::super) const CREATED: u32 = 3;
}

pub(super) mod histogram {
    pub(in super::super) const SAMPLE_COUNT: u32 = 1;
    pub(in super::super) const SAMPLE_SUM: u32 = 2;
    pub(in super::super) const BUCKET: u32 = 3;
    pub(in super::super) const SCHEMA: u32 = 5;
    pub(in super::super) const ZERO_THRESHOLD: u32 = 6;
    pub(in super::super) const ZERO_COUNT: u32 = 7;
    pub(in super::super) const POSITIVE_SPAN: u32 = 12;
    pub(in super::super) const POSITIVE_DELTA: u32 = 13;
    pub(in super::super) const CREATED: u32 = 15;
}

pub(super) mod bucket {
    pub(in super::super) const CUMULATIVE_COUNT: u32 = 1;
    pub(in super::super) const UPPER_BOUND: u32 = 2;
    pub(in super::super) const EXEMPLAR: u32 = 3;
}

pub(super) mod exemplar {
    pub(in super::super) const LABEL: u32 = 1;
    pub(in super::super) const VALUE: u32 = 2;
    pub(in super::super) const TIMESTAMP: u32 = 3;
}

pub(super) mod span {
    pub(in super::super) const OFFSET: u32 = 1;
    pub(in super::super) const LENGTH: u32 = 2;
}

/// `google.protobuf.Timestamp`.
pub(super) mod timestamp {
    pub(in super::super) const SECONDS: u32 = 1;
    pub(in super::super) const NANOS: u32 = 2;
}
