//! Named readers of the event log, which the store remembers for clients that keep nothing themselves.

use super::{batch::Batch, error::StoreError, query::Query, reader::Reader, tables::Table};

/// Most named consumers of a store. Each is a small row; the number only keeps a faulty client from filling the store.
pub const CONSUMERS_MAX: usize = 256;

/// Most bytes of a consumer's name.
pub const CONSUMER_NAME_BYTES_MAX: usize = 64;

/// A named reader and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// Its name.
    pub name: String,
    /// The last event it has dealt with.
    pub seq: u64,
}

impl Reader {
    /// Adds to `batch` that consumer `name` has dealt with the events up to `seq`.
    pub fn put_consumer(&self, batch: &mut Batch, name: &str, seq: u64) -> Result<(), StoreError> {
        let key = self.consumer_key(name)?;
        let is_new = self.get(Table::Consumers, &key)?.is_none();
        if is_new && self.count(Table::Consumers, &[])? >= CONSUMERS_MAX as u64 {
            return Err(StoreError::TooManyConsumers {
                limit: CONSUMERS_MAX,
            });
        }
        let row = [seq.to_le_bytes().as_slice(), name.as_bytes()].concat();
        batch.put(Table::Consumers, &key, row);
        Ok(())
    }

    /// Adds to `batch` that consumer `name` is forgotten.
    pub fn delete_consumer(&self, batch: &mut Batch, name: &str) -> Result<(), StoreError> {
        batch.delete(Table::Consumers, &self.consumer_key(name)?);
        Ok(())
    }

    /// How far consumer `name` has come.
    pub fn consumer(&self, name: &str) -> Result<Option<u64>, StoreError> {
        let row = self.get(Table::Consumers, &self.consumer_key(name)?)?;
        row.map(|row| read(&row).map(|consumer| consumer.seq))
            .transpose()
    }

    /// All consumers, by name.
    pub fn consumers(&self) -> Result<Vec<Consumer>, StoreError> {
        let page = self.page(Table::Consumers, &Query::all().rows(CONSUMERS_MAX))?;
        let mut all = page
            .rows
            .iter()
            .map(|row| read(&row.value))
            .collect::<Result<Vec<_>, _>>()?;
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    fn consumer_key(&self, name: &str) -> Result<[u8; 32], StoreError> {
        if !(1..=CONSUMER_NAME_BYTES_MAX).contains(&name.len()) {
            return Err(StoreError::NameLength {
                len: name.len(),
                limit: CONSUMER_NAME_BYTES_MAX,
            });
        }
        self.blind(Table::Consumers, name.as_bytes())
    }
}

fn read(row: &[u8]) -> Result<Consumer, StoreError> {
    let damaged = || StoreError::Row {
        table: Table::Consumers,
        detail: "it is no consumer",
    };
    let (seq, name) = row.split_first_chunk().ok_or_else(damaged)?;
    let name = std::str::from_utf8(name).map_err(|_| damaged())?.to_owned();
    Ok(Consumer {
        name,
        seq: u64::from_le_bytes(*seq),
    })
}
