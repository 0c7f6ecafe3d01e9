//! What must hold for every value, not only for those in the vectors.

mod addresses;
mod decoders;
mod deposits;
mod invites;
mod knocks;
mod mutations;
mod networks;
mod nodes;
mod samples;
mod trees;
