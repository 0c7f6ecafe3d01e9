//! Networks: all parameters that nodes and people must agree on, and what follows from them for time
//! (protocol sections 2 and 3).
//!
//! A [`Network`] is cheap to clone. Its identity is the hash of its parameters, so two networks with different rules
//! never understand one another.

use std::sync::Arc;

use thiserror::Error;

use crate::codec::Put;
use crate::ids::{Epoch, NetId};
use crate::kdf::h;

/// The protocol's zero time, 2026-01-01T00:00:00Z, in Unix seconds.
pub const T0: u64 = 1_767_225_600;

/// The parameters of a network, in the order of the specification's table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "file",
    derive(serde::Deserialize, serde::Serialize),
    serde(deny_unknown_fields, default)
)]
#[allow(
    missing_docs,
    reason = "the specification's table describes them; two descriptions would drift apart"
)]
pub struct Params {
    pub name: String,
    pub epoch_s: u32,
    pub presence_parts: u8,
    pub expiry_unit_s: u32,
    pub expiry_default_s: u32,
    pub expiry_max_s: u32,
    pub grace_s: u32,
    pub slot_bytes: u32,
    pub slot_deposits: u16,
    pub slot_reserved_bytes: u32,
    pub mailbox_shared_bytes: u32,
    pub mailbox_tombstones: u16,
    pub mailboxes_per_prefix_hour: u16,
    pub copies: u8,
    pub acks: u8,
    pub direct_min: u8,
    pub diversity: u8,
    pub register_jitter_s: u32,
    pub deposit_jitter_ms: u32,
    pub ack_delay_ms: u32,
    pub lease_s: u32,
    pub knock_grace_ms: u32,
    pub redeposit_s: u32,
    pub gap_wait_s: u32,
    pub invite_max_s: u32,
    pub rekey_s: u32,
    pub rekey_min_s: u32,
    pub rekey_messages: u16,
}

/// The parameters of `main`, which a network file changes one by one.
impl Default for Params {
    fn default() -> Self {
        Self {
            name: "main".to_owned(),
            epoch_s: 86_400,
            presence_parts: 4,
            expiry_unit_s: 3_600,
            expiry_default_s: 1_209_600,
            expiry_max_s: 2_592_000,
            grace_s: 172_800,
            slot_bytes: 1_048_576,
            slot_deposits: 1_024,
            slot_reserved_bytes: 131_072,
            mailbox_shared_bytes: 8_388_608,
            mailbox_tombstones: 65_535,
            mailboxes_per_prefix_hour: 64,
            copies: 5,
            acks: 3,
            direct_min: 2,
            diversity: 1,
            register_jitter_s: 1_800,
            deposit_jitter_ms: 30_000,
            ack_delay_ms: 1_200_000,
            lease_s: 600,
            knock_grace_ms: 1_500,
            redeposit_s: 86_400,
            gap_wait_s: 600,
            invite_max_s: 172_800,
            rekey_s: 604_800,
            rekey_min_s: 86_400,
            rekey_messages: 100,
        }
    }
}

/// Why parameters do not make a network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A parameter breaks a constraint of the specification.
    #[error("network parameter {parameter} is out of range: {why}")]
    OutOfRange {
        /// Which one.
        parameter: &'static str,
        /// What is demanded.
        why: &'static str,
    },
    /// The file cannot be read as network parameters.
    #[error("network file: {message}")]
    File {
        /// What the parser says.
        message: String,
    },
}

/// A network: checked parameters and their hash.
#[derive(Debug, Clone)]
pub struct Network(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    params: Params,
    id: NetId,
}

impl PartialEq for Network {
    fn eq(&self, other: &Self) -> bool {
        self.0.params == other.0.params
    }
}

impl Eq for Network {}

impl Network {
    /// The public network.
    #[must_use]
    pub fn main() -> Self {
        Self::unchecked(Params::default())
    }

    /// A network for one machine: no jitter, no address diversity.
    #[must_use]
    pub fn lab() -> Self {
        Self::unchecked(Params {
            name: "lab".to_owned(),
            mailboxes_per_prefix_hour: 65_535,
            diversity: 0,
            register_jitter_s: 0,
            deposit_jitter_ms: 0,
            ack_delay_ms: 0,
            knock_grace_ms: 300,
            ..Params::default()
        })
    }

    /// A built-in network by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "main" => Some(Self::main()),
            "lab" => Some(Self::lab()),
            _ => None,
        }
    }

    /// A network with these parameters.
    ///
    /// # Errors
    /// If they break the constraints of the specification.
    pub fn new(params: Params) -> Result<Self, NetworkError> {
        check(&params)?;
        Ok(Self::unchecked(params))
    }

    /// Reads a network file.
    ///
    /// # Errors
    /// If it is not TOML, has unknown keys or values out of range.
    #[cfg(feature = "file")]
    pub fn from_toml(text: &str) -> Result<Self, NetworkError> {
        let params = toml::from_str(text).map_err(|e| NetworkError::File {
            message: e.to_string(),
        })?;
        Self::new(params)
    }

    fn unchecked(params: Params) -> Self {
        let id = NetId(id_of(&params));
        Self(Arc::new(Inner { params, id }))
    }

    /// The parameters.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.0.params
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.params.name
    }

    /// The hash of the parameters, which all derived names and keys contain.
    #[must_use]
    pub fn id(&self) -> NetId {
        self.0.id
    }

    /// The same as [`Network::id`], under the specification's name.
    #[must_use]
    pub fn net_id(&self) -> NetId {
        self.0.id
    }

    /// Whether positions and holders obey address prefixes, and private addresses are refused in records.
    #[must_use]
    pub fn is_diverse(&self) -> bool {
        self.0.params.diversity == 1
    }
}

/// Time: everything here takes or gives Unix seconds. Times before [`T0`] count as [`T0`].
impl Network {
    /// The epoch at a time.
    #[must_use]
    pub fn epoch(&self, unix_s: u64) -> Epoch {
        let e = unix_s.saturating_sub(T0) / u64::from(self.0.params.epoch_s);
        Epoch(u32::try_from(e).unwrap_or(u32::MAX))
    }

    /// When an epoch starts.
    #[must_use]
    pub fn epoch_start(&self, epoch: Epoch) -> u64 {
        T0 + u64::from(epoch.0) * u64::from(self.0.params.epoch_s)
    }

    /// The part of the epoch at a time, from 0; presence keys change with it.
    #[must_use]
    pub fn part(&self, unix_s: u64) -> u8 {
        let p = &self.0.params;
        let within = unix_s.saturating_sub(T0) % u64::from(p.epoch_s);
        u8::try_from(within * u64::from(p.presence_parts) / u64::from(p.epoch_s)).unwrap_or(u8::MAX)
    }

    /// When a part of an epoch starts: the first second in which [`Network::part`] gives it.
    #[must_use]
    pub fn part_start(&self, epoch: Epoch, part: u8) -> u64 {
        let p = &self.0.params;
        let offset = (u64::from(part) * u64::from(p.epoch_s)).div_ceil(u64::from(p.presence_parts));
        self.epoch_start(epoch) + offset
    }

    /// The expiry stamp of a time, rounded up.
    #[must_use]
    pub fn expiry_stamp(&self, unix_s: u64) -> u32 {
        let stamp = unix_s
            .saturating_sub(T0)
            .div_ceil(u64::from(self.0.params.expiry_unit_s));
        u32::try_from(stamp).unwrap_or(u32::MAX)
    }

    /// The time of an expiry stamp.
    #[must_use]
    pub fn expiry_time(&self, stamp: u32) -> u64 {
        T0 + u64::from(stamp) * u64::from(self.0.params.expiry_unit_s)
    }

    /// Whether a keeper takes a deposit with this expiry at this time: neither past nor too far ahead.
    #[must_use]
    pub fn expiry_is_acceptable(&self, stamp: u32, now_s: u64) -> bool {
        let p = &self.0.params;
        let at = self.expiry_time(stamp);
        let latest = now_s
            .saturating_add(u64::from(p.expiry_max_s))
            .saturating_add(u64::from(p.expiry_unit_s));
        at > now_s && at <= latest
    }

    /// For how long owners keep old chains and outer keys, in seconds.
    #[must_use]
    pub fn retention_s(&self) -> u64 {
        u64::from(self.0.params.expiry_max_s) + u64::from(self.0.params.grace_s)
    }

    /// The first epoch whose chain an owner still keeps at a time.
    #[must_use]
    pub fn oldest_kept_epoch(&self, unix_s: u64) -> Epoch {
        self.epoch(unix_s.saturating_sub(self.retention_s()))
    }
}

/// The most epochs for which chains are kept; it bounds every loop over them.
pub const MAX_KEPT_EPOCHS: u32 = 4_096;

fn check(p: &Params) -> Result<(), NetworkError> {
    let rule = |holds: bool, parameter, why| {
        if holds {
            Ok(())
        } else {
            Err(NetworkError::OutOfRange { parameter, why })
        }
    };
    let letters = p
        .name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    rule(
        (1..=32).contains(&p.name.len()) && letters,
        "name",
        "1 to 32 characters of a-z, 0-9 and -",
    )?;
    rule(p.epoch_s >= 1, "epoch_s", "at least 1")?;
    rule(
        (1..=24).contains(&p.presence_parts),
        "presence_parts",
        "1 to 24",
    )?;
    rule(p.expiry_unit_s >= 1, "expiry_unit_s", "at least 1")?;
    rule((1..=16).contains(&p.copies), "copies", "1 to 16")?;
    rule((1..=p.copies).contains(&p.acks), "acks", "1 to copies")?;
    rule(p.diversity <= 1, "diversity", "0 or 1")?;
    rule(
        p.expiry_default_s <= p.expiry_max_s,
        "expiry_default_s",
        "at most expiry_max_s",
    )?;
    let kept = (u64::from(p.expiry_max_s) + u64::from(p.grace_s)) / u64::from(p.epoch_s);
    rule(
        kept <= u64::from(MAX_KEPT_EPOCHS),
        "epoch_s",
        "(expiry_max_s + grace_s) / epoch_s at most 4096",
    )
}

fn id_of(p: &Params) -> [u8; 4] {
    let mut b = Vec::with_capacity(160);
    b.put(b"hermes/1 net");
    b.put_u8(1);
    b.put_var8(p.name.as_bytes());
    b.put_u32(p.epoch_s);
    b.put_u8(p.presence_parts);
    b.put_u32(p.expiry_unit_s);
    b.put_u32(p.expiry_default_s);
    b.put_u32(p.expiry_max_s);
    b.put_u32(p.grace_s);
    b.put_u32(p.slot_bytes);
    b.put_u16(p.slot_deposits);
    b.put_u32(p.slot_reserved_bytes);
    b.put_u32(p.mailbox_shared_bytes);
    b.put_u16(p.mailbox_tombstones);
    b.put_u16(p.mailboxes_per_prefix_hour);
    for byte in [p.copies, p.acks, p.direct_min, p.diversity] {
        b.put_u8(byte);
    }
    for word in [
        p.register_jitter_s,
        p.deposit_jitter_ms,
        p.ack_delay_ms,
        p.lease_s,
        p.knock_grace_ms,
        p.redeposit_s,
        p.gap_wait_s,
        p.invite_max_s,
        p.rekey_s,
        p.rekey_min_s,
    ] {
        b.put_u32(word);
    }
    b.put_u16(p.rekey_messages);
    let [a, b, c, d, ..] = h(&[&b]);
    [a, b, c, d]
}
