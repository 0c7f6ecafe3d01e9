//! Answers to calls that carry an idempotency key, so that a repeated call is answered and not repeated.

use zeroize::Zeroizing;

use super::{
    Store,
    batch::Batch,
    error::StoreError,
    query::Query,
    reader::Reader,
    tables::{Table, seq_key, seq_of},
};

/// How long an answer is kept, in milliseconds: a client that repeats a call after a week means another one.
pub const IDEMPOTENCY_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// Most bytes of an idempotency key, and of its scope.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;

impl Reader {
    /// Adds to `batch` that the call with `key` in `scope` (the method's name) was answered with `answer` at `now_ms`,
    /// Unix milliseconds. Belongs into the batch that does what the call asked for.
    pub fn remember(
        &self,
        batch: &mut Batch,
        scope: &str,
        key: &str,
        answer: &[u8],
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let row_key = self.idempotency_key(scope, key)?;
        let expires_ms = now_ms.saturating_add(IDEMPOTENCY_MS);
        let row = [expires_ms.to_le_bytes().as_slice(), answer].concat();
        batch.put(Table::Idempotency, &row_key, row);
        batch.put(
            Table::IdempotencyExpiry,
            &expiry_key(expires_ms, &row_key),
            [],
        );
        Ok(())
    }

    /// The answer given before to the call with `key` in `scope`, if it has not expired at `now_ms`.
    pub fn remembered(
        &self,
        scope: &str,
        key: &str,
        now_ms: u64,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let row_key = self.idempotency_key(scope, key)?;
        let Some(row) = self.get(Table::Idempotency, &row_key)? else {
            return Ok(None);
        };
        let (expires_ms, answer) = read(&row)?;
        Ok((expires_ms > now_ms).then(|| Zeroizing::new(answer.to_vec())))
    }

    fn idempotency_key(&self, scope: &str, key: &str) -> Result<[u8; 32], StoreError> {
        for name in [scope, key] {
            let limit = IDEMPOTENCY_KEY_BYTES_MAX;
            if !(1..=limit).contains(&name.len()) {
                return Err(StoreError::NameLength {
                    len: name.len(),
                    limit,
                });
            }
        }
        let parts = [scope.as_bytes(), &[0], key.as_bytes()];
        self.shared
            .with(|live| Ok(live.sealer.blind(Table::Idempotency, &parts)))
    }
}

impl Store {
    /// Forgets up to `limit` answers that have expired at `now_ms`. Returns how many expiries were dealt with; call
    /// again while it is `limit`.
    pub fn expire_idempotency(&mut self, now_ms: u64, limit: usize) -> Result<usize, StoreError> {
        let page = self.page(Table::IdempotencyExpiry, &Query::all().rows(limit))?;
        let mut batch = Batch::new();
        let mut dealt_with = 0;
        for row in page.rows {
            let Some((expires, row_key)) = row.key.split_first_chunk::<8>() else {
                continue;
            };
            if seq_of(expires).is_none_or(|expires_ms| expires_ms > now_ms) {
                break;
            }
            batch.delete(Table::IdempotencyExpiry, &row.key);
            dealt_with += 1;
            // The same key may have been used again later; then a later expiry deals with it.
            if let Some(row) = self.get(Table::Idempotency, row_key)?
                && read(&row)?.0 <= now_ms
            {
                batch.delete(Table::Idempotency, row_key);
            }
        }
        self.commit(batch)?;
        Ok(dealt_with)
    }
}

fn expiry_key(expires_ms: u64, row_key: &[u8; 32]) -> Vec<u8> {
    [seq_key(expires_ms).as_slice(), row_key].concat()
}

fn read(row: &[u8]) -> Result<(u64, &[u8]), StoreError> {
    let (expires, answer) = row.split_first_chunk().ok_or(StoreError::Row {
        table: Table::Idempotency,
        detail: "it is no answer",
    })?;
    Ok((u64::from_le_bytes(*expires), answer))
}
