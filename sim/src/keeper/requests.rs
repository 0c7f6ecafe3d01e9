//! Requests that reach a keeper, checked as the shell of earth checks them.

use std::rc::Rc;

use bytes::Bytes;
use hermes_earth::proto::{ConnId, Entry, Put, Revocation, admission::Prefix};
use hermes_underworld::effect::OwnerRequest;
use hermes_wire::{
    Wire as _,
    deposit::DepositRef,
    earth::{Delete, Revoke},
    receipt::{ReceiptBatch, Receipted},
};

use super::{Asked, Conn};
use crate::{
    depositing::PutOutcome,
    event::Order,
    handle::KeeperId,
    ledger::Scope,
    reading::FetchAsk,
    scenario::Conduct,
    world::{Sim, address},
};

/// Bytes of records in one answer.
const PAGE_BYTES: u32 = 262_000;

impl Sim {
    /// A deposit arrives; what the shell of earth checks is checked here.
    pub(crate) fn put_at(
        &mut self,
        at: KeeperId,
        job: u64,
        attempt: u64,
        source: usize,
        record: Bytes,
    ) {
        let (network, unix_s) = (self.network.clone(), self.clock.unix_s());
        let Some(host) = self.keepers.get(at.slot).filter(|host| host.is(at)) else {
            return;
        };
        let conduct = host.conduct;
        let parsed = DepositRef::parse(&record).ok();
        let checked =
            parsed.and_then(|parsed| Some((parsed.write_key(), parsed.verify(&network).ok()?)));
        let Some((write_key, checked)) = checked else {
            return self
                .ledger
                .violate(format!("person {source} sent a deposit that does not hold"));
        };
        self.ledger
            .seen(checked.descriptor.owner.0, Scope::Mailbox(checked.mailbox));
        self.ledger
            .seen(checked.descriptor.root, Scope::Mailbox(checked.mailbox));
        self.ledger
            .seen(write_key.0, Scope::Mailbox(checked.mailbox));
        if conduct == Some(Conduct::Drop) {
            return self.lie(at, job, attempt, source, Receipted::from(&*checked));
        }
        let put = Put {
            source: Prefix::of(address(source)),
            descriptor: checked.descriptor,
            mailbox: checked.mailbox,
            entry: Entry {
                id: checked.id,
                expiry: checked.expiry,
                leaf: checked.leaf,
                size: u32::try_from(checked.record_len).unwrap_or(u32::MAX),
            },
            record,
            stamped: 0,
        };
        self.ask(
            at,
            Asked::Put {
                job,
                attempt,
                source,
            },
            |machine, req| machine.handle_put(req, put, unix_s),
        );
    }

    /// Signs for what is not kept.
    fn lie(&mut self, at: KeeperId, job: u64, attempt: u64, source: usize, about: Receipted) {
        let unix_s = self.clock.unix_s();
        let Some(host) = self.keepers.get(at.slot) else {
            return;
        };
        let receipts = ReceiptBatch::sign(&self.network, &host.key, unix_s, &[about]);
        for receipt in receipts {
            self.answer_put(
                at.slot,
                source,
                job,
                attempt,
                PutOutcome::Held(receipt.to_bytes()),
            );
        }
    }

    /// A reader opens, watches if he wants to, and fetches.
    pub(crate) fn fetch_at(&mut self, at: KeeperId, ask: FetchAsk) {
        let unix_s = self.clock.unix_s();
        let FetchAsk {
            conn,
            mailbox,
            after,
            reader,
            person,
            watch,
            ..
        } = ask;
        self.ledger.seen(ask.owner.0, Scope::Mailbox(mailbox));
        self.ledger.seen(mailbox.0, Scope::Epoch(ask.epoch));
        let Some(host) = self.keepers.get_mut(at.slot).filter(|host| host.is(at)) else {
            return;
        };
        let known = host
            .conns
            .insert(
                conn,
                Conn {
                    reader,
                    person: person.slot,
                    mailbox,
                },
            )
            .is_some();
        if !known {
            self.ask(at, Asked::Step, |machine, req| {
                machine.handle_open(req, conn, mailbox)
            });
            if watch {
                self.ask(at, Asked::Step, |machine, req| {
                    machine.handle_watch(req, conn, 1)
                });
            }
        }
        // The first mailbox that a connection opens has handle 1.
        self.ask(at, Asked::Fetch(ask), |machine, req| {
            machine.handle_fetch(req, conn, 1, after, PAGE_BYTES, unix_s)
        });
    }

    pub(crate) fn conn_gone(&mut self, at: KeeperId, conn: ConnId) {
        if let Some(host) = self.keepers.get_mut(at.slot).filter(|host| host.is(at)) {
            host.conns.remove(&conn);
            if let Some(machine) = host.machine.as_mut() {
                machine.handle_closed(conn);
            }
        }
    }

    /// An owner's order arrives.
    pub(crate) fn order_at(
        &mut self,
        at: KeeperId,
        order: Order,
        request: &Rc<OwnerRequest>,
        from: Option<(u64, usize)>,
        source: usize,
    ) {
        let (network, unix_s) = (self.network.clone(), self.clock.unix_s());
        let body = &request.request;
        let wrong = |sim: &mut Self| {
            sim.ledger
                .violate(format!("person {source} sent an order that does not hold"))
        };
        match order {
            Order::Delete => {
                let delete = Delete::decode(body).ok();
                let Some((mailbox, delete)) =
                    delete.and_then(|d| Some((d.verify(&network).ok()?, d)))
                else {
                    return wrong(self);
                };
                self.ask(at, Asked::Order { from }, |machine, req| {
                    machine.handle_delete(req, mailbox, delete.ids())
                });
            }
            Order::Revoke => {
                let revoke = Revoke::decode(body).ok();
                let Some((mailbox, revoke)) =
                    revoke.and_then(|r| Some((r.verify(&network).ok()?, r)))
                else {
                    return wrong(self);
                };
                let leaves = revoke.leaves();
                let revocation = Revocation {
                    source: Prefix::of(address(source)),
                    descriptor: revoke.descriptor,
                    mailbox,
                    first: leaves.start,
                    end: leaves.end,
                };
                self.ask(at, Asked::Order { from }, |machine, req| {
                    machine.handle_revoke(req, revocation, unix_s)
                });
            }
        }
    }
}
