//! Whom a member talks to: its leaf set, and links that grow exponentially in length.

use hermes_wire::ids::{NodeKey, Position};

use crate::{Member, Ring};

/// Neighbours in a leaf set on each side. Eight on each side survive the loss of any seven in a row.
pub const LEAVES: usize = 8;

/// How a member's long links are chosen.
///
/// A layer whose members all know each other (sky, up to about one change of membership a second) uses `Full` to look things up in one
/// step and `Fingers` to spread news. A layer that outgrows that keeps the same types and knows only its fingers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Links {
    /// Every other member.
    Full,
    /// The leaf set and the members at rank distance 2^n clockwise.
    Fingers,
}

/// A member's neighbours, nearest first on both sides. No member appears twice.
#[derive(Debug)]
pub struct LeafSet<'a, T> {
    /// Counter-clockwise of the member.
    pub before: Vec<&'a Member<T>>,
    /// Clockwise of it.
    pub after: Vec<&'a Member<T>>,
}

impl<T> Ring<T> {
    /// The neighbours of a point, [`LEAVES`] on each side as far as there are so many. Who sits at the point is not its own neighbour.
    #[must_use]
    pub fn leaf_set(&self, of: &Position) -> LeafSet<'_, T> {
        let others = self
            .len()
            .saturating_sub(usize::from(self.at(of).is_some()));
        let not_self = |member: &&Member<T>| member.seat.point != *of;
        // A small ring runs out of others: the clockwise side is filled first.
        let after: Vec<_> = self.clockwise(of).filter(not_self).take(LEAVES).collect();
        let left = others.saturating_sub(after.len()).min(LEAVES);
        let before = self
            .counter_clockwise(of)
            .filter(not_self)
            .take(left)
            .collect();
        LeafSet { before, after }
    }

    /// The keys of those whom the member at a point is linked to, in clockwise order from it. The point need not be taken.
    #[must_use]
    pub fn links(&self, of: &Position, links: Links) -> Vec<NodeKey> {
        let others = self.clockwise(of).filter(|member| member.seat.point != *of);
        let count = self
            .len()
            .saturating_sub(usize::from(self.at(of).is_some()));
        // Ranks count from 1, the next member clockwise.
        let is_link = |rank: usize| match links {
            Links::Full => true,
            Links::Fingers => {
                rank <= LEAVES || rank.is_power_of_two() || rank.saturating_add(LEAVES) > count
            }
        };
        (1..)
            .zip(others)
            .filter(|(rank, _)| is_link(*rank))
            .map(|(_, member)| member.seat.key)
            .collect()
    }
}
