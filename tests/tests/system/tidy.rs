//! The house rules that a compiler does not hold: sizes, module prose, forgotten files, what may stand in a pure part, and the
//! papers that have to keep up with the code.

mod dependencies;
mod sources;
mod tree;
