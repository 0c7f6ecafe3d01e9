//! Requests of others: which handler answers them, and what it may cost.

use std::time::{Duration, Instant};

use hermes_ring::Rules;
use hermes_wire::{
    Wire as _,
    channel::{ErrorAnswer, ErrorCode, MAX_BODY},
    ids::Position,
    node::{RecordError, Role},
    sign::SignatureError,
    sky::{KeepersFound, List, Listed, Request, SpreadItem},
};

use super::{
    Sky,
    conns::Facts,
    io::RequestId,
    limits::{Kind, Payer},
    sync::Source,
};

/// Keepers given in one answer at most. Twice the copies of any network.
const KEEPERS_MAX: usize = 32;

/// Bytes of records in one page: what fits into a frame beside the head of the answer.
const PAGE_BYTES: usize = MAX_BODY - 16;

/// What became of a request.
#[derive(Debug)]
pub(super) enum Served {
    /// It is done, with an empty answer.
    Done,
    /// It is done, and this is the answer.
    Body(Vec<u8>),
    /// It will be answered.
    Later,
}

pub(super) fn refusal(code: ErrorCode, text: &str) -> ErrorAnswer {
    ErrorAnswer::new(code).with_text(text)
}

pub(super) fn bad_signature(_: &SignatureError) -> ErrorAnswer {
    ErrorAnswer::new(ErrorCode::SIGNATURE)
}

pub(super) fn bad_record(error: &RecordError) -> ErrorAnswer {
    let code = match error {
        RecordError::Signature(_) => ErrorCode::SIGNATURE,
        RecordError::Expired { .. } | RecordError::Times => ErrorCode::EXPIRY,
        _ => ErrorCode::REFUSED,
    };
    refusal(code, &error.to_string())
}

/// Whole seconds, rounded up.
pub(super) fn wait_s(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX)
}

impl Sky {
    pub(super) fn serve(
        &mut self,
        facts: &Facts,
        id: RequestId,
        request: Request,
        now: Instant,
    ) -> Result<Served, ErrorAnswer> {
        match request {
            Request::Register(register) => self.serve_register(facts, &register, now),
            Request::Unregister(key) => self.serve_unregister(facts, &key, now),
            Request::Knock(knock) => self.serve_knock(facts, id, knock, now),
            Request::List(list) => self.serve_list(facts, &list, now),
            Request::Keepers { position, n } => self.serve_keepers(facts, &position, n, now),
            Request::Announce(announce) => self.serve_announce(facts, *announce, now),
            Request::Spread(items) => self.serve_spread(facts, items, now),
            Request::Digest => self.serve_digest(facts, now),
            Request::Forward { hops, knock } => self.serve_forward(facts, id, hops, &knock, now),
            // Only owners are asked this.
            Request::Incoming(_) => Err(ErrorAnswer::new(ErrorCode::UNSUPPORTED)),
        }
    }

    /// Charges a request to the node or the address block it comes from.
    pub(super) fn charge(
        &mut self,
        facts: &Facts,
        kind: Kind,
        amount: u32,
        now: Instant,
    ) -> Result<(), ErrorAnswer> {
        let payer = match facts.node {
            Some(node) if self.sky.contains(&node) => Payer::Node(node),
            _ => Payer::Block(facts.block),
        };
        let charged = self.limiter.take(payer, kind, amount, now);
        charged.map_err(|wait| ErrorAnswer::new(ErrorCode::RATE).retry_after(wait_s(wait)))
    }

    fn serve_list(
        &mut self,
        facts: &Facts,
        list: &List,
        now: Instant,
    ) -> Result<Served, ErrorAnswer> {
        self.charge(facts, Kind::List, 1, now)?;
        let count = usize::from(list.max.max(1));
        let (records, more) = self.catalog(list.role).page(&list.after, count, PAGE_BYTES);
        Ok(Served::Body(Listed { more, records }.to_bytes()))
    }

    fn serve_keepers(
        &mut self,
        facts: &Facts,
        position: &Position,
        n: u8,
        now: Instant,
    ) -> Result<Served, ErrorAnswer> {
        self.charge(facts, Kind::Keepers, 1, now)?;
        let count = usize::from(n).min(KEEPERS_MAX);
        let rules = Rules::of(&self.network);
        let holders = self.earth.ring().holders(position, &rules, count);
        let records = holders
            .candidates()
            .take(count)
            .map(|member| member.value.clone())
            .collect();
        Ok(Served::Body(KeepersFound { records }.to_bytes()))
    }

    fn serve_digest(&mut self, facts: &Facts, now: Instant) -> Result<Served, ErrorAnswer> {
        if facts.node.is_none() {
            return Err(refusal(ErrorCode::REFUSED, "for nodes only"));
        }
        self.charge(facts, Kind::Digest, 1, now)?;
        Ok(Served::Body(self.digests().to_bytes()))
    }

    /// Takes in news of a member, or of a newcomer who introduces itself with its own record among them.
    fn serve_spread(
        &mut self,
        facts: &Facts,
        items: Vec<SpreadItem>,
        now: Instant,
    ) -> Result<Served, ErrorAnswer> {
        let Some(node) = facts.node else {
            return Err(refusal(ErrorCode::REFUSED, "for nodes only"));
        };
        self.charge(
            facts,
            Kind::Spread,
            u32::try_from(items.len()).unwrap_or(u32::MAX),
            now,
        )?;
        let source = Source {
            node,
            is_spread: true,
        };
        let (introduction, news): (Vec<_>, Vec<_>) = items
            .into_iter()
            .partition(|item| is_record_of(item, facts));
        let mut gone = self.learn_items(introduction, source, now);
        // Whoever is not on the list by now has no place on the ring, or no acceptable record.
        let is_member = self.sky.contains(&node);
        let is_refused = !is_member && !news.is_empty();
        if is_member {
            gone.extend(self.learn_items(news, source, now));
        }
        self.send_news(facts.conn, gone, now);
        if is_refused {
            return Err(refusal(ErrorCode::REFUSED, "introduce yourself first"));
        }
        Ok(Served::Done)
    }

    /// Takes news in. What comes back is what the other side should know.
    fn learn_items(
        &mut self,
        items: Vec<SpreadItem>,
        source: Source,
        now: Instant,
    ) -> Vec<SpreadItem> {
        let mut gone = Vec::new();
        for item in items {
            match item {
                SpreadItem::Record(record) => {
                    gone.extend(self.learn(*record, source, now).map(SpreadItem::Departure))
                }
                SpreadItem::Departure(departure) => self.learn_departure(departure, source, now),
            }
        }
        gone
    }
}

fn is_record_of(item: &SpreadItem, facts: &Facts) -> bool {
    matches!(item, SpreadItem::Record(record) if record.body.role == Role::Sky && Some(record.node) == facts.node)
}
