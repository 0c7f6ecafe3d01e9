//! Renewing the sub-key of the ratchet table, a step at a time (`docs/storage.md`, *Sub-keys*).

use super::{
    Store, backend::Op, disk::SmallFile, error::StoreError, query::Query, reader::Live,
    seal::subkey_id, subkey::Ring, tables::Table,
};

/// What a step of the renewal did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Nothing was due.
    Idle,
    /// A new sub-key was made; call again.
    Started,
    /// Some rows were rewritten; call again.
    Moved {
        /// How many.
        rows: usize,
    },
    /// All rows are under the new sub-key, and the old one is gone.
    Finished,
}

impl Store {
    /// Does the next step of renewing the ratchet table's sub-key if a renewal is due at `now_s`, Unix seconds, or under
    /// way, rewriting up to `rows` rows. Call daily, and at every start, until it answers [`Rotation::Idle`] or
    /// [`Rotation::Finished`].
    pub fn rotate_subkey(&mut self, now_s: u64, rows: usize) -> Result<Rotation, StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        let (renewing, due) = self.shared.with(|live| {
            let ring = &live.sealer.ring;
            Ok((ring.is_renewing(), ring.is_due(now_s)))
        })?;
        let floor = self.head_seq();
        if renewing {
            let moved = self.move_rows(rows.max(1))?;
            if moved > 0 {
                return Ok(Rotation::Moved { rows: moved });
            }
            self.replace_ring(|live, _| Ok(live.sealer.ring.without_old(floor)))?;
            return Ok(Rotation::Finished);
        }
        if !due {
            return Ok(Rotation::Idle);
        }
        self.replace_ring(|live, entropy| Ok(live.sealer.ring.renewed(now_s, floor, entropy)?))?;
        Ok(Rotation::Started)
    }

    /// Writes down how far the events reach, so that an older database is noticed.
    pub(crate) fn note_floor(&mut self) -> Result<(), StoreError> {
        let floor = self.head_seq();
        if self.shared.with(|live| Ok(live.sealer.ring.floor))? == floor {
            return Ok(());
        }
        self.replace_ring(|live, _| Ok(live.sealer.ring.with_floor(floor)))
    }

    /// Makes a ring durable, and only then the one in use.
    fn replace_ring(
        &mut self,
        make: impl FnOnce(&Live, &mut dyn super::Entropy) -> Result<Ring, StoreError>,
    ) -> Result<(), StoreError> {
        let Self {
            reader,
            base,
            entropy,
            ..
        } = self;
        reader.0.shared.with_mut(|live| {
            let ring = make(live, &mut **entropy)?;
            let file = ring.seal_file(&live.file_key, &base.header.store_id, &mut **entropy)?;
            base.disk
                .replace(SmallFile::Subkeys, &file)
                .map_err(StoreError::io("subkeys"))?;
            live.sealer.ring = ring;
            Ok(())
        })
    }

    /// Rewrites up to `limit` rows that are not under the newest sub-key; 0 means that all are.
    fn move_rows(&mut self, limit: usize) -> Result<usize, StoreError> {
        let Self {
            reader, entropy, ..
        } = self;
        let written = reader.0.shared.with(|live| {
            let newest = live.sealer.ring.newest().id;
            let mut ops = Vec::new();
            let mut query = Query::all();
            loop {
                let page = live.backend.page(&query.raw(Table::Ratchet))?;
                for (physical, record) in &page.rows {
                    if subkey_id(record) == Some(newest) {
                        continue;
                    }
                    let key = physical.get(1..).unwrap_or_default();
                    let value = live.sealer.open(Table::Ratchet, key, record)?;
                    let value = live
                        .sealer
                        .seal(Table::Ratchet, key, &value, &mut **entropy)?;
                    let family = Table::Ratchet.family();
                    ops.push(Op {
                        family,
                        key: physical.clone(),
                        value: Some(value),
                    });
                    if ops.len() == limit {
                        break;
                    }
                }
                match page.rows.last() {
                    Some((physical, _)) if page.more && ops.len() < limit => {
                        query = query.after(physical.get(1..).unwrap_or_default());
                    }
                    _ => break,
                }
            }
            let moved = ops.len();
            let outcome = if moved > 0 {
                live.backend.write(ops)
            } else {
                Ok(())
            };
            Ok(outcome.map(|()| moved))
        })?;
        self.poisoned |= written.is_err();
        Ok(written?)
    }
}
