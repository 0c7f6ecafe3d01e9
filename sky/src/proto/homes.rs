//! Keepers that have announced themselves here, whose home sky node this is.
//!
//! A keeper is listed everywhere, but only its home can tell whether it is still there: by the connection on which it announced
//! itself. When it closes the connection it is gone at once. When the connection breaks, it has [`GRACE`] to come back (to us or to
//! another home, with a newer record) before its departure is spread.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use hermes_wire::{
    channel::{ErrorAnswer, ErrorCode},
    ids::NodeKey,
    node::Role,
    sky::{Announce, Departure, Request, SpreadItem},
};

use super::{
    Sky,
    catalog::Verdict,
    conns::{Facts, Purpose},
    io::{Closed, ConnId},
    limits::Kind,
    peers::ALIVE_WAIT,
    requests::{Served, bad_record, bad_signature, refusal},
};

/// How long a keeper whose connection broke has to announce itself again. A keeper that was killed and restarted is back in a few
/// seconds; one that is gone is asked in vain by depositors for so long.
const GRACE: Duration = Duration::from_secs(20);

/// After so much silence a keeper is asked for a sign of life.
const QUIET: Duration = Duration::from_secs(20);

/// A keeper announced here.
#[derive(Debug)]
struct Home {
    seq: u64,
    conn: Option<ConnId>,
    /// When its departure is due, once the connection is lost.
    gone_at: Option<Instant>,
}

/// All keepers announced here. There are never more than listed ones.
#[derive(Debug, Default)]
pub(super) struct Homes {
    table: BTreeMap<NodeKey, Home>,
    due: BTreeSet<(Instant, NodeKey)>,
}

impl Homes {
    /// Whether this is the home of a keeper that is said to be gone, and its connection if that stands.
    pub(super) fn of_departed(&self, departure: &Departure) -> Option<Option<ConnId>> {
        let home = self
            .table
            .get(&departure.node)
            .filter(|home| home.seq >= departure.seq)?;
        (departure.role == Role::Earth).then_some(home.conn)
    }

    fn insert(&mut self, keeper: NodeKey, seq: u64, conn: ConnId) {
        self.remove(&keeper);
        self.table.insert(
            keeper,
            Home {
                seq,
                conn: Some(conn),
                gone_at: None,
            },
        );
    }

    fn remove(&mut self, keeper: &NodeKey) -> Option<Home> {
        let home = self.table.remove(keeper)?;
        if let Some(at) = home.gone_at {
            self.due.remove(&(at, *keeper));
        }
        Some(home)
    }

    fn set_due(&mut self, keeper: NodeKey, conn: ConnId, at: Instant) {
        if let Some(home) = self.table.get_mut(&keeper)
            && home.conn == Some(conn)
        {
            home.conn = None;
            home.gone_at = Some(at);
            self.due.insert((at, keeper));
        }
    }

    fn take_due(&mut self, now: Instant) -> Option<(NodeKey, Home)> {
        let (at, keeper) = self.due.first().copied()?;
        if at > now {
            None
        } else {
            self.remove(&keeper).map(|home| (keeper, home))
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }
}

impl Sky {
    pub(super) fn serve_announce(
        &mut self,
        facts: &Facts,
        announce: Announce,
        now: Instant,
    ) -> Result<Served, ErrorAnswer> {
        self.charge(facts, Kind::Announce, 1, now)?;
        let record = &announce.record;
        if record.body.role != Role::Earth {
            return Err(refusal(ErrorCode::MALFORMED, "only keepers are announced"));
        }
        let verdict = self.earth.judge(record);
        match verdict {
            Verdict::Gone(_) => {
                return Err(refusal(
                    ErrorCode::EXPIRY,
                    "declared gone: sign a newer record",
                ));
            }
            Verdict::Full => return Err(refusal(ErrorCode::FULL, "no room for more keepers")),
            Verdict::Taken { .. } => {
                return Err(refusal(ErrorCode::REFUSED, "another keeper has this point"));
            }
            Verdict::Known | Verdict::News => {}
        }
        record
            .verify(&self.network, self.clock.unix_s(now))
            .map_err(|error| bad_record(&error))?;
        announce
            .verify(&self.network, &facts.binding, &self.me)
            .map_err(|error| bad_signature(&error))?;
        let keeper = record.node;
        if let Some(conn) = self.conns.get_mut(facts.conn) {
            match conn.keeper.replace(keeper) {
                Some(other) if other != keeper => {
                    conn.keeper = Some(other);
                    return Err(refusal(ErrorCode::REFUSED, "one keeper per connection"));
                }
                _ => {}
            }
        }
        // An older record than the listed one is no error: the keeper may have been quicker elsewhere.
        self.homes.insert(keeper, record.body.seq, facts.conn);
        if verdict == Verdict::News {
            self.spread.put(
                SpreadItem::Record(Box::new(announce.record.clone())),
                None,
                now,
            );
            self.earth.insert(announce.record);
        }
        Ok(Served::Done)
    }

    /// The connection of a keeper is gone.
    pub(super) fn keeper_lost(&mut self, keeper: NodeKey, conn: ConnId, how: Closed, now: Instant) {
        let at = match how {
            Closed::ByPeer => now,
            Closed::Broken => now + GRACE,
        };
        self.homes.set_due(keeper, conn, at);
        self.bury_keepers(now);
    }

    /// Spreads the departures that are due.
    pub(super) fn bury_keepers(&mut self, now: Instant) {
        while let Some((keeper, home)) = self.homes.take_due(now) {
            // A newer record means that it has another home now.
            if self
                .earth
                .get(&keeper)
                .is_some_and(|record| record.body.seq <= home.seq)
            {
                self.declare_gone(Role::Earth, keeper, now);
            }
        }
    }

    /// Asks keepers that were quiet for long for a sign of life: they do not know DIGEST, but must answer with an error.
    pub(super) fn watch_keepers(&mut self, now: Instant) {
        let is_quiet = |conn: &ConnId| {
            self.conns
                .get(*conn)
                .is_some_and(|conn| now.saturating_duration_since(conn.heard) >= QUIET)
        };
        let quiet: Vec<ConnId> = self
            .homes
            .table
            .values()
            .filter_map(|home| home.conn)
            .filter(is_quiet)
            .collect();
        for conn in quiet {
            if !self.conns.has_call(conn, Purpose::Alive) {
                self.call(conn, Purpose::Alive, Request::Digest, ALIVE_WAIT, now);
            }
        }
    }
}
