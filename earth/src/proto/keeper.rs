//! The machine that ties index, room and watchers together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use hermes_wire::Network;
use hermes_wire::ids::{DepositId, MailboxId};
use hermes_wire::mailbox::Descriptor;

use super::Config;
use super::admission::{Admission, Prefix};
use super::bucket::{Bucket, Buckets};
use super::mailbox::{Deletion, Mailbox};
use super::output::{ConnId, Entry, Mark, Output, Put, Refusal, Reply, ReqId, Revocation, Write};
use super::watchers::Watchers;

/// A keeper without disk and network.
///
/// - Getters: [`bytes`](Self::bytes), [`deposits`](Self::deposits), [`mailboxes`](Self::mailboxes), [`stamp_bits`](Self::stamp_bits).
/// - Restoring, before anything else: [`restore_mailbox`](Self::restore_mailbox), [`restore_deposit`](Self::restore_deposit),
///   [`restore_tombstone`](Self::restore_tombstone).
/// - Inputs: the `handle_*` verbs. Every request gets exactly one [`Output::Reply`].
/// - Outputs: [`poll_output`](Self::poll_output) until `None` after every input or group of inputs, [`poll_timeout`](Self::poll_timeout).
///
/// Signatures, paths and ownership have been checked by the caller; the machine trusts what it is told about them.
#[derive(Debug)]
pub struct Keeper {
    network: Network,
    config: Config,
    buckets: Buckets,
    mailboxes: BTreeMap<MailboxId, Mailbox>,
    filed: BTreeMap<Bucket, BTreeSet<MailboxId>>,
    /// Mailboxes whose mark changed in this cycle.
    dirty: BTreeSet<MailboxId>,
    bytes: u64,
    deposits: u64,
    admission: Admission,
    watchers: Watchers,
    next_sweep: Instant,
    outputs: VecDeque<Output>,
}

impl Keeper {
    /// How often expiry is looked at.
    const SWEEP: Duration = Duration::from_secs(20);

    /// An empty keeper.
    #[must_use]
    pub fn new(network: Network, config: Config, now: Instant) -> Self {
        Self {
            buckets: Buckets::of(&network),
            admission: Admission::new(network.params().mailboxes_per_prefix_hour),
            network,
            config,
            mailboxes: BTreeMap::new(),
            filed: BTreeMap::new(),
            dirty: BTreeSet::new(),
            bytes: 0,
            deposits: 0,
            watchers: Watchers::default(),
            next_sweep: now,
            outputs: VecDeque::new(),
        }
    }

    /// Bytes of deposits held.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Deposits held.
    #[must_use]
    pub const fn deposits(&self) -> u64 {
        self.deposits
    }

    /// Mailboxes known.
    #[must_use]
    pub fn mailboxes(&self) -> usize {
        self.mailboxes.len()
    }

    /// The bits that a stamp must show now; 0 if none is needed.
    #[must_use]
    pub fn stamp_bits(&self) -> u8 {
        self.config.stamp_bits(self.bytes)
    }

    /// Puts back a mailbox found on the disk.
    pub fn restore_mailbox(&mut self, id: MailboxId, mark: Mark) {
        self.file(id, mark.until);
        self.mailboxes.insert(id, Mailbox::restored(mark));
    }

    /// Puts back a deposit found on the disk; one whose mailbox is unknown is left out and reported by false.
    #[must_use]
    pub fn restore_deposit(&mut self, mailbox: MailboxId, seq: u64, entry: Entry) -> bool {
        let Some(held) = self.mailboxes.get_mut(&mailbox) else {
            return false;
        };
        held.restore(&self.network, seq, entry);
        self.bytes += u64::from(entry.size);
        self.deposits += 1;
        self.file(mailbox, entry.expiry);
        true
    }

    /// Puts back a tombstone found on the disk.
    pub fn restore_tombstone(&mut self, mailbox: MailboxId, id: DepositId, expiry: u32) {
        if let Some(held) = self.mailboxes.get_mut(&mailbox) {
            held.restore_tombstone(id, expiry);
            self.file(mailbox, expiry);
        }
    }

    /// A deposit arrives.
    pub fn handle_put(&mut self, req: ReqId, put: Put, unix_s: u64) {
        let (id, mailbox) = (put.entry.id, put.mailbox);
        let reply = match self.put(put, unix_s) {
            Ok(expiry) => Reply::Held {
                id,
                mailbox,
                expiry,
            },
            Err(refusal) => Reply::Refused(refusal),
        };
        self.outputs.push_back(Output::Reply(req, reply));
    }

    fn put(&mut self, put: Put, unix_s: u64) -> Result<u32, Refusal> {
        let Put { mailbox, entry, .. } = put;
        if let Some(held) = self
            .mailboxes
            .get(&mailbox)
            .and_then(|m| m.holds(&entry.id))
        {
            return Ok(held.expiry);
        }
        self.admit(&put, unix_s)?;
        let Some(held) = self.mailboxes.get_mut(&mailbox) else {
            return Err(Refusal::Full);
        };
        let seq = held.add(&self.network, entry);
        self.bytes += u64::from(entry.size);
        self.deposits += 1;
        self.dirty.insert(mailbox);
        self.file(mailbox, entry.expiry);
        let record = put.record;
        self.outputs.extend(
            self.watchers
                .of(&mailbox)
                .map(|(conn, handle)| Output::Push {
                    conn,
                    handle,
                    seq,
                    record: record.clone(),
                }),
        );
        self.outputs.push_back(Output::Write(Write::Deposit {
            bucket: self.buckets.at(entry.expiry),
            mailbox,
            seq,
            entry,
            record,
        }));
        Ok(entry.expiry)
    }

    fn admit(&mut self, put: &Put, unix_s: u64) -> Result<(), Refusal> {
        if !self.network.expiry_is_acceptable(put.entry.expiry, unix_s) {
            return Err(Refusal::Expiry);
        }
        if self.bytes.saturating_add(put.entry.size.into()) > self.config.bytes_max {
            return Err(Refusal::Full);
        }
        let bits = self.stamp_bits();
        if put.stamped < bits {
            return Err(Refusal::Stamp { bits });
        }
        match self.mailboxes.get(&put.mailbox) {
            Some(known) => known.admit(&self.network, &put.entry),
            None => self.open_new(put.source, &put.descriptor, put.mailbox, unix_s),
        }
    }

    fn open_new(
        &mut self,
        source: Prefix,
        descriptor: &Descriptor,
        mailbox: MailboxId,
        unix_s: u64,
    ) -> Result<(), Refusal> {
        if self.mailboxes.len() >= self.config.mailboxes_max {
            return Err(Refusal::Full);
        }
        if !self.admission.admit(source, unix_s) {
            return Err(Refusal::Rate {
                retry_after_s: Admission::retry_after_s(unix_s),
            });
        }
        self.mailboxes.insert(mailbox, Mailbox::new(*descriptor));
        Ok(())
    }

    /// An owner who proved himself on this connection opens a mailbox.
    pub fn handle_open(&mut self, req: ReqId, conn: ConnId, mailbox: MailboxId) {
        let head = self.mailboxes.get(&mailbox).map_or(0, |m| m.mark().head);
        let reply = match self.watchers.open(conn, mailbox) {
            Some(handle) => Reply::Opened { handle, head },
            None => Reply::Refused(Refusal::Handle),
        };
        self.outputs.push_back(Output::Reply(req, reply));
    }

    /// An owner reads on.
    pub fn handle_fetch(
        &mut self,
        req: ReqId,
        conn: ConnId,
        handle: u16,
        after: u64,
        bytes: u32,
        unix_s: u64,
    ) {
        let reply = match self.watchers.mailbox(conn, handle) {
            None => Reply::Refused(Refusal::Handle),
            Some(mailbox) => {
                let now = self.network.expiry_stamp(unix_s);
                let page = self
                    .mailboxes
                    .get(&mailbox)
                    .map(|m| m.page(&self.buckets, after, bytes, now));
                let (items, more) = page.unwrap_or_default();
                Reply::Page {
                    mailbox,
                    items,
                    more,
                }
            }
        };
        self.outputs.push_back(Output::Reply(req, reply));
    }

    /// An owner wants what arrives pushed.
    pub fn handle_watch(&mut self, req: ReqId, conn: ConnId, handle: u16) {
        let reply = if self.watchers.watch(conn, handle) {
            Reply::Watching
        } else {
            Reply::Refused(Refusal::Handle)
        };
        self.outputs.push_back(Output::Reply(req, reply));
    }

    /// A deletion signed by the mailbox's owner.
    pub fn handle_delete(&mut self, req: ReqId, mailbox: MailboxId, ids: &[DepositId]) {
        let mut deleted = 0u16;
        if let Some(held) = self.mailboxes.get_mut(&mailbox) {
            for id in ids {
                let Some(deletion) = held.delete(&self.network, *id) else {
                    continue;
                };
                let Deletion {
                    seq,
                    entry,
                    forgotten,
                } = deletion;
                deleted = deleted.saturating_add(1);
                self.bytes = self.bytes.saturating_sub(entry.size.into());
                self.deposits = self.deposits.saturating_sub(1);
                let (id, expiry, bucket) = (*id, entry.expiry, self.buckets.at(entry.expiry));
                self.outputs.push_back(Output::Write(Write::Remove {
                    bucket,
                    mailbox,
                    seq,
                }));
                self.outputs.push_back(Output::Write(Write::Tombstone {
                    bucket,
                    mailbox,
                    id,
                    expiry,
                }));
                if let Some((id, expiry)) = forgotten {
                    let bucket = self.buckets.at(expiry);
                    self.outputs.push_back(Output::Write(Write::Untomb {
                        bucket,
                        mailbox,
                        id,
                    }));
                }
            }
        }
        self.outputs
            .push_back(Output::Reply(req, Reply::Deleted(deleted)));
    }

    /// A revocation signed by the mailbox's owner.
    pub fn handle_revoke(&mut self, req: ReqId, asked: Revocation, unix_s: u64) {
        let opened = if self.mailboxes.contains_key(&asked.mailbox) {
            Ok(())
        } else {
            self.open_new(asked.source, &asked.descriptor, asked.mailbox, unix_s)
        };
        let reply = match opened {
            Err(refusal) => Reply::Refused(refusal),
            Ok(()) => {
                self.revoke(asked.mailbox, asked.first, asked.end, unix_s);
                Reply::Revoked
            }
        };
        self.outputs.push_back(Output::Reply(req, reply));
    }

    fn revoke(&mut self, mailbox: MailboxId, first: u16, end: u16, unix_s: u64) {
        let until = self
            .network
            .expiry_stamp(unix_s + u64::from(self.network.params().expiry_max_s));
        let Some(held) = self.mailboxes.get_mut(&mailbox) else {
            return;
        };
        for (seq, entry) in held.revoke(&self.network, first, end, until) {
            self.bytes = self.bytes.saturating_sub(entry.size.into());
            self.deposits = self.deposits.saturating_sub(1);
            let bucket = self.buckets.at(entry.expiry);
            self.outputs.push_back(Output::Write(Write::Remove {
                bucket,
                mailbox,
                seq,
            }));
        }
        self.dirty.insert(mailbox);
        self.file(mailbox, until);
    }

    /// A connection has ended.
    pub fn handle_closed(&mut self, conn: ConnId) {
        self.watchers.close(conn);
    }

    /// Drops what has expired.
    pub fn handle_timeout(&mut self, now: Instant, unix_s: u64) {
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now + Self::SWEEP;
        let stamp = self.network.expiry_stamp(unix_s);
        while let Some((bucket, _)) = self.filed.first_key_value() {
            let bucket = *bucket;
            if self.buckets.end(bucket) > stamp {
                break;
            }
            self.drop_bucket(bucket, stamp);
        }
    }

    fn drop_bucket(&mut self, bucket: Bucket, stamp: u32) {
        let Some(members) = self.filed.remove(&bucket) else {
            return;
        };
        self.outputs.push_back(Output::Write(Write::Drop(bucket)));
        for id in members {
            let Some(held) = self.mailboxes.get_mut(&id) else {
                continue;
            };
            let before = held.len();
            let freed = held.expire(&self.network, &self.buckets, bucket);
            self.bytes = self.bytes.saturating_sub(freed);
            self.deposits = self.deposits.saturating_sub((before - held.len()) as u64);
            if held.is_empty() && held.mark().until < stamp {
                self.mailboxes.remove(&id);
                self.dirty.remove(&id);
                self.outputs.push_back(Output::Write(Write::Forget(id)));
            }
        }
    }

    fn file(&mut self, mailbox: MailboxId, expiry: u32) {
        self.filed
            .entry(self.buckets.at(expiry))
            .or_default()
            .insert(mailbox);
    }

    /// What to do next; `None` ends the cycle.
    #[must_use = "an output that is not carried out is lost"]
    pub fn poll_output(&mut self) -> Option<Output> {
        while let Some(id) = self.dirty.pop_first() {
            if let Some(held) = self.mailboxes.get(&id) {
                return Some(Output::Write(Write::Mailbox(id, held.mark())));
            }
        }
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called, and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        (!self.filed.is_empty()).then_some((self.next_sweep, "expiry"))
    }
}
