//! Tests of the machine: several of them on a virtual network, and single ones under hostile input.

mod churn;
mod directory;
mod garbage;
mod knocks;
mod limits;
mod membership;
mod people;
mod world;
