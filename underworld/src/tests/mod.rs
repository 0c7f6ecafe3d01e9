//! Tests of whole cores against each other, named after what Hermes promises.

mod exchange;
