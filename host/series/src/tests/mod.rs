//! Tests of whole tables: single cases, replacement, and random scrapes against a model.

mod cases;
mod inherit;
mod model;
mod model_test;
