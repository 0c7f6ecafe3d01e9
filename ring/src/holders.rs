//! From a position to the keepers that hold it (protocol section 6).
//!
//! The walk goes clockwise from the position. Where the network asks for diversity, a keeper whose first address lies in the same
//! block as one already taken is passed over. The first `copies` of the walk are chosen. If fewer than `direct_min` of these can be
//! dialled directly, the last of the chosen that cannot be dialled give way to the next of the walk that can. What is left of the walk,
//! in its order and beginning with those that gave way, are the spares: a writer who fails at a chosen one takes the next spare.
//!
//! Two observers with the same members get the same holders. The union of two sky nodes' answers gives the holders of the union of
//! their views: a member that is among the first n of the joint walk is among the first n of every view that knows it. (Only where
//! direct keepers are so rare that they lie beyond the answers may the two differ in these.)

use std::collections::BTreeSet;

use hermes_wire::{Network, ids::Position};

use crate::{Member, Ring};

/// The most members that one walk looks at. Far more than the copies of any network, so it cuts a walk short only when thousands of
/// neighbours on the ring share a few address blocks or cannot be dialled; without it one question could cost a pass over all members.
pub const WALK_MAX: usize = 4_096;

/// What a network asks of the holders of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How many keepers are written to.
    pub copies: usize,
    /// How many of these must be dialable directly, as far as there are any.
    pub direct_min: usize,
    /// Whether two holders may not share an address block.
    pub diverse: bool,
}

impl Rules {
    /// The rules of a network.
    #[must_use]
    pub fn of(network: &Network) -> Self {
        let params = network.params();
        Self {
            copies: usize::from(params.copies),
            direct_min: usize::from(params.direct_min),
            diverse: network.is_diverse(),
        }
    }

    /// How many candidates a writer tries and a reader asks: twice the copies.
    #[must_use]
    pub const fn candidates(&self) -> usize {
        self.copies.saturating_mul(2)
    }
}

/// The holders of a position and those who stand in for them.
#[derive(Debug)]
pub struct Holders<'a, T> {
    /// The keepers to write to, in the order of the walk.
    pub chosen: Vec<&'a Member<T>>,
    /// Those to take when a chosen one fails, in order.
    pub spare: Vec<&'a Member<T>>,
}

impl<'a, T> Holders<'a, T> {
    /// The chosen and then the spares.
    pub fn candidates(&self) -> impl Iterator<Item = &'a Member<T>> + use<'_, 'a, T> {
        self.chosen.iter().chain(&self.spare).copied()
    }
}

impl<T> Ring<T> {
    /// The holders of a position, and as many spares as make `count` candidates in all.
    ///
    /// Fewer are returned when the ring has no more that the rules allow.
    #[must_use]
    pub fn holders(&self, position: &Position, rules: &Rules, count: usize) -> Holders<'_, T> {
        let mut taken = BTreeSet::new();
        let mut walk = self
            .clockwise(position)
            .take(WALK_MAX)
            .filter(|member| !rules.diverse || taken.insert(member.seat.prefix));

        let mut chosen: Vec<_> = walk.by_ref().take(rules.copies).collect();
        let direct = chosen.iter().filter(|member| member.seat.direct).count();
        let indirect = chosen.len().saturating_sub(direct);
        let wanted = rules.direct_min.saturating_sub(direct).min(indirect);

        // Only as much of the walk is looked at as is needed for the spares and for the direct ones that are missing.
        let spares = count.saturating_sub(chosen.len());
        let mut spare = Vec::new();
        let mut direct_ones = Vec::new();
        while direct_ones.len() < wanted || spare.len() < spares {
            match walk.next() {
                Some(member) if member.seat.direct && direct_ones.len() < wanted => {
                    direct_ones.push(member)
                }
                Some(member) => spare.push(member),
                None => break,
            }
        }
        let mut gave_way = Vec::new();
        while gave_way.len() < direct_ones.len() {
            let Some(last) = chosen.iter().rposition(|member| !member.seat.direct) else {
                break;
            };
            gave_way.push(chosen.remove(last));
        }
        chosen.append(&mut direct_ones);
        spare.splice(..0, gave_way.into_iter().rev());
        spare.truncate(count.saturating_sub(chosen.len()));
        Holders { chosen, spare }
    }
}
