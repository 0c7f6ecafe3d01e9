//! Names of things inside one home. None of them ever travels.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// A contact; never given to another, not even after it was removed.
    ContactId, u32
);
number!(
    /// An invite that we made.
    InviteId, u32
);
number!(
    /// One deposit on its way to keepers; the same after a restart.
    DepositOp, u64
);
number!(
    /// One knock on its way through sky.
    KnockOp, u64
);
number!(
    /// A knock that arrived, named by the driver.
    IncomingKnockId, u64
);
number!(
    /// A direct link that is about to be made, by us or by a friend.
    LinkToken, u64
);
number!(
    /// A direct link that stands, named by the driver and never reused by it.
    LinkId, u64
);
