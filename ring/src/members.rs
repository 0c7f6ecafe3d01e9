//! The members of a ring, in the order of their points.

use std::collections::BTreeMap;

use hermes_wire::ids::{NodeKey, Position};

use crate::Seat;

/// A member: its seat, and what the ring's owner keeps with it (a record, a list index, nothing).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<T> {
    /// Where it sits.
    pub seat: Seat,
    /// What its owner keeps with it.
    pub value: T,
}

/// What became of an insertion.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Inserted<T> {
    /// The member is new.
    New,
    /// The member was known; this is its former entry. It may have moved to another point.
    Replaced(Member<T>),
    /// Another member sits at that point. Nothing changed, and the value is handed back.
    Taken {
        /// Who sits there.
        by: NodeKey,
        /// What was to be inserted.
        rejected: T,
    },
}

/// Members by point. At most one sits at each point, and each key sits at most once.
#[derive(Debug, Clone)]
pub struct Ring<T> {
    by_point: BTreeMap<Position, Member<T>>,
    points: BTreeMap<NodeKey, Position>,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self {
            by_point: BTreeMap::new(),
            points: BTreeMap::new(),
        }
    }
}

impl<T> Ring<T> {
    /// An empty ring.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A ring of these members. Where several claim one point the lowest key has it, so the result does not depend on their order; of
    /// several entries with the same key the last one counts.
    pub fn collect(members: impl IntoIterator<Item = (Seat, T)>) -> Self {
        let by_key: BTreeMap<NodeKey, (Seat, T)> = members
            .into_iter()
            .map(|(seat, value)| (seat.key, (seat, value)))
            .collect();
        let mut ring = Self::new();
        for (seat, value) in by_key.into_values() {
            // A taken point has the lower key already.
            let _ = ring.insert(seat, value);
        }
        ring
    }

    /// Seats a member, or renews it when its key is known.
    pub fn insert(&mut self, seat: Seat, value: T) -> Inserted<T> {
        if let Some(occupant) = self.by_point.get(&seat.point)
            && occupant.seat.key != seat.key
        {
            return Inserted::Taken {
                by: occupant.seat.key,
                rejected: value,
            };
        }
        let former = self.remove(&seat.key);
        self.points.insert(seat.key, seat.point);
        self.by_point.insert(seat.point, Member { seat, value });
        former.map_or(Inserted::New, Inserted::Replaced)
    }

    /// Takes a member out.
    pub fn remove(&mut self, key: &NodeKey) -> Option<Member<T>> {
        let point = self.points.remove(key)?;
        self.by_point.remove(&point)
    }

    /// The member with this key.
    #[must_use]
    pub fn get(&self, key: &NodeKey) -> Option<&Member<T>> {
        self.by_point.get(self.points.get(key)?)
    }

    /// The member at this very point.
    #[must_use]
    pub fn at(&self, point: &Position) -> Option<&Member<T>> {
        self.by_point.get(point)
    }

    /// Whether this key is a member.
    #[must_use]
    pub fn contains(&self, key: &NodeKey) -> bool {
        self.points.contains_key(key)
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_point.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_point.is_empty()
    }

    /// All members in the order of their points.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Member<T>> {
        self.by_point.values()
    }

    /// All members in the order of their keys, those above `after` only.
    pub fn by_key(&self, after: &NodeKey) -> impl Iterator<Item = &Member<T>> {
        let above = (
            std::ops::Bound::Excluded(*after),
            std::ops::Bound::Unbounded,
        );
        self.points
            .range(above)
            .filter_map(|(_, point)| self.by_point.get(point))
    }

    /// Every member once, clockwise from a position: whoever sits at it is first.
    pub fn clockwise(&self, from: &Position) -> impl Iterator<Item = &Member<T>> + use<'_, T> {
        self.by_point
            .range(*from..)
            .chain(self.by_point.range(..*from))
            .map(|(_, member)| member)
    }

    /// Every member once, counter-clockwise from a position: whoever sits at it is last.
    pub fn counter_clockwise(
        &self,
        from: &Position,
    ) -> impl Iterator<Item = &Member<T>> + use<'_, T> {
        self.by_point
            .range(..*from)
            .rev()
            .chain(self.by_point.range(*from..).rev())
            .map(|(_, member)| member)
    }

    /// The first `n` members clockwise from a position. With a presence key's position these are its presence node and those that
    /// stand in for it, in order.
    pub fn successors(
        &self,
        from: &Position,
        n: usize,
    ) -> impl Iterator<Item = &Member<T>> + use<'_, T> {
        self.clockwise(from).take(n)
    }
}
