//! Safety numbers: sixty digits that two people compare to be sure that nobody sits between them (protocol section 14).

use std::fmt;

use crate::{
    ids::{HandshakeKey, IdentityKey},
    kdf::h512,
};

/// How often the hash is applied: it makes the search for a lookalike key five thousand times as dear.
const ITERATIONS: usize = 5_200;

const GROUPS: usize = 12;

/// The safety number of two people; the same for both. Shown as twelve groups of five digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SafetyNumber([u32; GROUPS]);

impl SafetyNumber {
    /// The number of two people, in either order.
    #[must_use]
    pub fn of(one: (&IdentityKey, &HandshakeKey), other: (&IdentityKey, &HandshakeKey)) -> Self {
        let [one, other] = [one, other].map(|(ik, ix)| [ik.0, ix.0].concat());
        let (lower, upper) = if one <= other {
            (one, other)
        } else {
            (other, one)
        };
        let mut x = h512(&[b"hermes/1 safety", &lower, &upper]);
        for _ in 1..ITERATIONS {
            x = h512(&[&x, &lower, &upper]);
        }
        let mut groups = [0; GROUPS];
        for (group, bytes) in groups.iter_mut().zip(x.chunks_exact(5)) {
            let number = bytes
                .iter()
                .fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
            *group = u32::try_from(number % 100_000).unwrap_or_default();
        }
        Self(groups)
    }

    /// The sixty digits without spaces.
    #[must_use]
    pub fn digits(&self) -> String {
        self.0.iter().map(|group| format!("{group:05}")).collect()
    }
}

impl fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, group) in self.0.iter().enumerate() {
            let space = if n == 0 { "" } else { " " };
            write!(f, "{space}{group:05}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SafetyNumber({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_see_the_same_and_every_key_counts() {
        let key = |n| (IdentityKey([n; 32]), HandshakeKey([n + 1; 32]));
        let of = |a: &(IdentityKey, HandshakeKey), b: &(IdentityKey, HandshakeKey)| {
            SafetyNumber::of((&a.0, &a.1), (&b.0, &b.1))
        };
        let (alice, bob) = (key(1), key(3));
        let number = of(&alice, &bob);
        assert_eq!(number, of(&bob, &alice));
        for changed in [(alice.0, bob.1), (bob.0, alice.1), key(9)] {
            assert_ne!(number, of(&changed, &bob));
        }
        let digits = number.digits();
        assert!(digits.len() == 60 && digits.bytes().all(|b| b.is_ascii_digit()));
        let groups: Vec<_> = number.to_string().split(' ').map(str::to_owned).collect();
        assert!(groups.len() == 12 && groups.iter().all(|group| group.len() == 5));
        assert_eq!(groups.concat(), digits);
    }
}
