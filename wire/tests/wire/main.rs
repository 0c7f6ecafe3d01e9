//! The wire format from outside: rules that hold for every value, and the vectors of the second implementation.

mod rules;
mod vectors;
