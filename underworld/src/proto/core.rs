//! What all contacts share: keys, clocks, counters, and the outputs of the cycle.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use hermes_wire::{
    Network,
    ids::{Epoch, MailboxId},
    knock,
    node::Addr,
};

use super::{
    clock::{Calendar as _, Clock, Part},
    delivery::{Meeting, OutDeposit},
    home::Home,
    identity::Me,
    ids::{ContactId, DepositOp, InviteId, KnockOp, LinkId, LinkToken},
    inbox::Seen,
    now::Now,
    output::Outputs,
    random::Random,
    timers::Timers,
};

/// The shared state.
pub(crate) struct Core {
    pub(crate) net: Network,
    pub(crate) now: Now,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) out: Outputs,
    pub(crate) timers: Timers,
    pub(crate) me: Me,
    pub(crate) homes: BTreeMap<u16, Home>,
    pub(crate) deposits: BTreeMap<DepositOp, OutDeposit>,
    pub(crate) knocks: BTreeMap<KnockOp, ContactId>,
    pub(crate) meetings: BTreeMap<LinkToken, Meeting>,
    pub(crate) links: BTreeMap<LinkId, ContactId>,
    pub(crate) seen: Seen,
    /// Invites whose contacts were established in this cycle.
    pub(crate) invites_done: BTreeSet<InviteId>,
    /// Contacts that were established in this cycle and that nobody has named here.
    pub(crate) unnamed: BTreeSet<ContactId>,
    /// The mailboxes of the last wish.
    pub(crate) mailboxes: BTreeMap<MailboxId, MailboxOf>,
    /// Where we can be dialled.
    pub(crate) candidates: Vec<Addr>,
    /// Whether friends were knocked at since the start, or since we came back to the network.
    pub(crate) greeted: bool,
    /// Whether the wishes may have changed.
    pub(crate) wishes_stale: bool,
    touched: BTreeSet<ContactId>,
    next_deposit: u64,
    next_token: u64,
}

/// Whose a mailbox in the wish is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MailboxOf {
    /// A generation's.
    Home { home: u16, epoch: Epoch },
    /// An invite's.
    Invite { invite: InviteId, epoch: Epoch },
}

impl Core {
    pub(crate) fn new(net: Network, me: Me, random: Random, now: Now) -> Self {
        Self {
            net,
            now,
            clock: Clock::new(now),
            random,
            out: Outputs::default(),
            timers: Timers::default(),
            me,
            homes: BTreeMap::new(),
            deposits: BTreeMap::new(),
            knocks: BTreeMap::new(),
            meetings: BTreeMap::new(),
            links: BTreeMap::new(),
            seen: Seen::default(),
            invites_done: BTreeSet::new(),
            unnamed: BTreeSet::new(),
            mailboxes: BTreeMap::new(),
            candidates: Vec::new(),
            greeted: false,
            wishes_stale: true,
            touched: BTreeSet::new(),
            next_deposit: 1,
            next_token: 1,
        }
    }

    /// Marks a contact as one that has something to send or to store when the cycle ends.
    pub(crate) fn touch(&mut self, contact: ContactId) {
        self.touched.insert(contact);
    }

    pub(crate) fn take_touched(&mut self) -> BTreeSet<ContactId> {
        std::mem::take(&mut self.touched)
    }

    pub(crate) fn new_deposit_op(&mut self) -> DepositOp {
        let op = DepositOp(self.next_deposit);
        self.next_deposit += 1;
        op
    }

    /// Makes sure that later operations get other numbers than one that was read from the store.
    pub(crate) fn used_deposit_op(&mut self, op: DepositOp) {
        self.next_deposit = self.next_deposit.max(op.0.saturating_add(1));
    }

    pub(crate) fn new_knock_op(&mut self) -> KnockOp {
        KnockOp(self.new_token())
    }

    pub(crate) fn new_link_token(&mut self) -> LinkToken {
        LinkToken(self.new_token())
    }

    fn new_token(&mut self) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        token
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.net.epoch(self.now.unix_s())
    }

    pub(crate) fn part(&self) -> Part {
        self.net.part_at(self.now.unix_s())
    }

    /// The epoch from which on a new address is given, so that friends with slower clocks reach us too.
    pub(crate) fn address_epoch(&self) -> Epoch {
        let earlier = self.now.unix_s().saturating_sub(self.net.margin_s());
        self.net.epoch(earlier)
    }

    pub(crate) fn set_candidates(&mut self, addrs: &[SocketAddr]) {
        let mut addrs: Vec<Addr> = addrs.iter().copied().map(Addr::new).collect();
        addrs.dedup();
        addrs.truncate(knock::MAX_CANDIDATES);
        self.candidates = addrs;
    }
}
