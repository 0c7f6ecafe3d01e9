//! Friends who may call soon: the table of expectations.
//!
//! Each entry is one link agreed on in a knock: the caller's fresh key, ours, and until when. First packets are matched by their
//! [hint](crate::hint); the entry that matches brings its own TLS settings, in which the caller must prove its key.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use thiserror::Error;
use tokio::time::Instant;

use crate::{
    config::Alpn,
    hint::{Hint, NONCE_LEN},
    identity::Identity,
    profile::{self, Profile},
    tls,
    verify::Callers,
};

/// Calls that one endpoint can expect at once. Each costs one HMAC for every first packet of a stranger, some 20 µs for all.
pub const EXPECTATIONS_MAX: usize = 64;

/// Handshakes that one expectation admits: a friend dials each of our addresses, up to 8, and may try again. It bounds what somebody
/// who reads the wire can start by repeating packets.
const DIALS_MAX: usize = 32;

/// Why a call cannot be expected.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExpectError {
    /// [`EXPECTATIONS_MAX`] are waited for already.
    #[error("{EXPECTATIONS_MAX} calls are expected already")]
    Full,
    /// The endpoint was not bound to accept [`Alpn::Peer`].
    #[error("this endpoint does not accept links between friends")]
    NotAccepting,
    /// The keys were refused by TLS.
    #[error("TLS refused the settings")]
    Tls(#[from] rustls::Error),
}

/// Keeps one call expected; dropping it ends that. Connections that were accepted stay.
#[must_use = "dropping the guard ends the expectation"]
pub struct ExpectGuard {
    table: Weak<Mutex<Table>>,
    number: u64,
}

impl Drop for ExpectGuard {
    fn drop(&mut self) {
        if let Some(table) = self.table.upgrade() {
            lock(&table)
                .entries
                .retain(|entry| entry.number != self.number);
        }
    }
}

impl fmt::Debug for ExpectGuard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ExpectGuard")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// All calls that one endpoint expects.
#[derive(Default)]
pub(crate) struct Expectations(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    entries: Vec<Entry>,
    next: u64,
}

struct Entry {
    number: u64,
    until: Instant,
    hint: Hint,
    seen: HashSet<[u8; NONCE_LEN]>,
    config: Arc<quinn::ServerConfig>,
}

impl Expectations {
    /// Expects `caller` to dial within `ttl`, and to find `identity`.
    pub(crate) fn add(
        &self,
        caller: [u8; 32],
        identity: &Identity,
        ttl: Duration,
        profile: Profile,
    ) -> Result<ExpectGuard, ExpectError> {
        let tls = tls::server(&[Alpn::Peer], identity, Callers::Only(caller))?;
        let config = Arc::new(tls::quic_server(
            tls,
            profile::accepting(profile, Alpn::Peer),
        )?);
        let now = Instant::now();
        let hint = Hint::new(&caller, &identity.public_key());
        let mut table = lock(&self.0);
        table.entries.retain(|entry| entry.until > now);
        if table.entries.len() >= EXPECTATIONS_MAX {
            return Err(ExpectError::Full);
        }
        let number = table.next;
        table.next += 1;
        table.entries.push(Entry {
            number,
            until: now + ttl,
            hint,
            seen: HashSet::new(),
            config,
        });
        Ok(ExpectGuard {
            table: Arc::downgrade(&self.0),
            number,
        })
    }

    /// Whether the first packet with this connection id comes from somebody expected.
    pub(crate) fn knows(&self, id: &[u8]) -> bool {
        let now = Instant::now();
        lock(&self.0)
            .entries
            .iter()
            .any(|entry| entry.open_for(id, now).is_some())
    }

    /// The settings to answer the first packet with, once for each nonce.
    pub(crate) fn admit(&self, id: &[u8]) -> Option<Arc<quinn::ServerConfig>> {
        let now = Instant::now();
        lock(&self.0).entries.iter_mut().find_map(|entry| {
            let nonce = entry.open_for(id, now)?;
            entry.seen.insert(nonce);
            Some(entry.config.clone())
        })
    }
}

impl Entry {
    fn open_for(&self, id: &[u8], now: Instant) -> Option<[u8; NONCE_LEN]> {
        if self.until <= now || self.seen.len() >= DIALS_MAX {
            return None;
        }
        self.hint
            .read(id)
            .filter(|nonce| !self.seen.contains(nonce))
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(30);

    fn add(table: &Expectations, caller: u8) -> Result<ExpectGuard, ExpectError> {
        table.add(
            [caller; 32],
            &Identity::from_seed([99; 32]),
            TTL,
            Profile::Peer,
        )
    }

    fn hint(caller: u8) -> Hint {
        Hint::new(&[caller; 32], &Identity::from_seed([99; 32]).public_key())
    }

    #[tokio::test(start_paused = true)]
    async fn ends_with_its_time_or_its_guard() {
        let table = Expectations::default();
        let guard = add(&table, 1).unwrap();
        let kept = add(&table, 2).unwrap();
        let [one, two] = [1, 2].map(|caller| hint(caller).connection_id([0; 8]));
        assert!(table.knows(&one) && table.knows(&two));
        drop(guard);
        assert!(!table.knows(&one) && table.knows(&two));
        tokio::time::advance(TTL - Duration::from_millis(1)).await;
        assert!(table.knows(&two));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!table.knows(&two));
        drop(kept);
    }

    #[tokio::test(start_paused = true)]
    async fn a_repeated_packet_is_not_admitted_again() {
        let table = Expectations::default();
        let _guard = add(&table, 1).unwrap();
        let id = hint(1).connection_id([5; 8]);
        assert!(table.knows(&id), "looking does not use it up");
        assert!(table.admit(&id).is_some());
        assert!(!table.knows(&id) && table.admit(&id).is_none());
        assert!(table.admit(&hint(1).connection_id([6; 8])).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn both_lists_are_capped() {
        let table = Expectations::default();
        let guards: Vec<_> = (0..EXPECTATIONS_MAX)
            .map(|caller| add(&table, u8::try_from(caller).unwrap()).unwrap())
            .collect();
        assert!(matches!(add(&table, 200), Err(ExpectError::Full)));
        for nonce in 0..DIALS_MAX {
            assert!(
                table
                    .admit(&hint(0).connection_id((nonce as u64).to_le_bytes()))
                    .is_some()
            );
        }
        assert!(table.admit(&hint(0).connection_id([0xff; 8])).is_none());
        assert!(
            table.admit(&hint(1).connection_id([0xff; 8])).is_some(),
            "one caller does not use up another's"
        );
        tokio::time::advance(TTL).await;
        let _late = add(&table, 200).unwrap();
        drop(guards);
        assert!(
            table.knows(&hint(200).connection_id([0; 8])),
            "old guards do not end new expectations"
        );
    }
}
