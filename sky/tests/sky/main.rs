//! Sky nodes on real connections, in this process and as programs.

mod nodes;
mod people;
mod program;
