//! Keys that nobody else has chosen.

use crate::fault::Fault;

/// Random bytes in a key; a collision within the days that the daemon remembers is out of reach.
const KEY_BYTES: usize = 16;

/// A fresh idempotency key, so that a call whose answer was lost can be repeated without harm.
pub(crate) fn key() -> Result<String, Fault> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| Fault::failed(format!("the system gives no random numbers: {error}")))?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("cli-{digits}"))
}

#[cfg(test)]
mod tests {
    use hermes_api::types::IDEMPOTENCY_KEY_CHARS_MAX;

    #[test]
    fn keys_differ_and_fit() {
        let key = || super::key().expect("random");
        let (first, second) = (key(), key());
        assert_ne!(first, second);
        assert!(first.chars().count() <= IDEMPOTENCY_KEY_CHARS_MAX);
    }
}
