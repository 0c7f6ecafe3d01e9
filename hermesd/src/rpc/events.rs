//! `events.*`: the log, read from a cursor and then waited for.
//!
//! A subscriber reads pages of the log from the disk and waits at its end for the next commit, so a slow client costs one page of memory
//! and loses nothing.

use std::time::Duration;

use hermes_api::error::{ApiError, ErrorCode};
use hermes_api::server::{EventSink, PendingEvents, Registry};
use hermes_api::table::{EventsCommit, EventsList};
use hermes_api::types::{
    After, CONSUMER_CHARS_MAX, CaughtUp, Cursor, EVENTS_WAIT_MS_MAX, Event, EventData, EventKind,
    EventsCommitParams, EventsCommitResponse, EventsListParams, EventsListResponse,
    EventsSubscribeParams, Time,
};

use super::chats::limit;
use super::{find_chat, storage};
use crate::core::open::Shared;
use crate::core::{CoreHandle, Phase, contact_id, now};
use crate::daemon::Daemon;
use crate::store::{Cursor as Place, StoreError};
use tokio::sync::watch;

/// Events read at once for a subscriber.
const PAGE: usize = 256;

pub(super) fn register(registry: &mut Registry, daemon: &Daemon) {
    let core = daemon.core().clone();
    registry.events(move |params, pending, _| subscribe(core.clone(), params, pending));
    let core = daemon.core().clone();
    registry.handle::<EventsList, _>(move |params, _| list(core.clone(), params));
    let core = daemon.core().clone();
    registry.handle::<EventsCommit, _>(move |params, _| commit(core.clone(), params));
}

/// Which events somebody wants.
struct Filter {
    kinds: Option<Vec<EventKind>>,
    chats: Option<Vec<String>>,
}

impl Filter {
    async fn new(
        core: &CoreHandle,
        kinds: Option<Vec<EventKind>>,
        chats: Option<Vec<String>>,
    ) -> Result<Self, ApiError> {
        let chats = match chats {
            None => None,
            Some(names) => {
                let find = move |open: &mut crate::core::Open, _| {
                    names
                        .iter()
                        .map(|name| find_chat(open, name).map(contact_id))
                        .collect()
                };
                Some(core.call(find).await?)
            }
        };
        Ok(Self { kinds, chats })
    }

    fn passes(&self, event: &Event) -> bool {
        let kind = self
            .kinds
            .as_ref()
            .is_none_or(|kinds| kinds.contains(&event.kind()));
        let chat = match (&self.chats, chat_of(&event.data)) {
            (None, _) | (Some(_), None) => true,
            (Some(chats), Some(chat)) => chats.iter().any(|wanted| wanted == chat),
        };
        kind && chat
    }
}

/// The chat that an event is about, if it is about one.
fn chat_of(data: &EventData) -> Option<&str> {
    match data {
        EventData::MessageReceived(message) | EventData::MessageSent(message) => {
            Some(&message.chat)
        }
        EventData::MessageState(changed) => Some(&changed.chat),
        EventData::ChatRead(read) => Some(&read.chat),
        EventData::ContactState(changed) => Some(&changed.contact_id),
        EventData::ContactRenamed(renamed) => Some(&renamed.contact_id),
        EventData::ContactWarning(warning) => Some(&warning.contact_id),
        EventData::LinkState(link) => Some(&link.contact_id),
        _ => None,
    }
}

async fn subscribe(core: CoreHandle, params: EventsSubscribeParams, pending: PendingEvents) {
    let start = async {
        let shared = core.shared()?;
        let filter = Filter::new(&core, params.kinds, params.chats).await?;
        let place = start(&shared, params.after)?;
        // A cursor that leads nowhere is told now: a subscription that just ends would look like a daemon that has gone.
        read(&shared, place, 1).await?;
        Ok::<_, ApiError>((shared, filter, place))
    };
    match start.await {
        Err(error) => pending.reject(error).await,
        Ok((shared, filter, place)) => {
            if let Ok(sink) = pending.accept().await {
                feed(&core, shared, &filter, place, &sink).await;
            }
        }
    }
}

/// Sends the log from `place` on until the client leaves or the store is closed.
async fn feed(
    core: &CoreHandle,
    mut shared: Shared,
    filter: &Filter,
    mut place: Place,
    sink: &EventSink,
) {
    let mut phases = core.phases();
    let mut told = false;
    loop {
        let Ok(events) = read(&shared, place, PAGE).await else {
            return; // locked, or too far behind: the client comes again with its cursor
        };
        for event in &events.items {
            if filter.passes(event) && sink.send(event).await.is_err() {
                return;
            }
        }
        place = events.place;
        if events.more {
            continue;
        }
        if !told {
            told = true;
            let caught_up = Event {
                cursor: cursor(place),
                time: time_now(),
                data: EventData::CaughtUp(CaughtUp {}),
            };
            if sink.send(&caught_up).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = sink.closed() => return,
            alive = news(&mut shared.head, place.seq) => if !alive { return },
            () = closed(&mut phases) => return,
        }
    }
}

/// Waits for an event after `seq`; false when there will be none.
async fn news(head: &mut watch::Receiver<u64>, seq: u64) -> bool {
    head.wait_for(|head| *head > seq).await.is_ok()
}

/// Waits until the store is closed.
async fn closed(phases: &mut watch::Receiver<Phase>) {
    let _ = phases
        .wait_for(|phase| !matches!(phase, Phase::Open(_)))
        .await;
}

struct Read {
    items: Vec<Event>,
    place: Place,
    more: bool,
}

async fn read(shared: &Shared, place: Place, count: usize) -> Result<Read, ApiError> {
    let reader = shared.reader.clone();
    let rows = reader
        .events_after(place, count)
        .map_err(|error| expired(shared, error))?;
    let mut items = Vec::with_capacity(rows.len());
    let mut at = place;
    for row in &rows {
        at.seq = row.seq;
        // An event of a version that wrote it otherwise is passed over.
        if let Ok(mut event) = serde_json::from_slice::<Event>(&row.payload) {
            event.cursor = cursor(at);
            event.time = Time::from_unix_ms(i64::try_from(row.time_ms).unwrap_or(i64::MAX));
            items.push(event);
        }
    }
    Ok(Read {
        items,
        place: at,
        more: rows.len() == count,
    })
}

fn expired(shared: &Shared, error: StoreError) -> ApiError {
    match error {
        StoreError::CursorExpired { .. } => ApiError::new(
            ErrorCode::CursorExpired,
            "the cursor is of another store or too old",
        )
        .positions(
            cursor(shared.reader.oldest()).to_string(),
            cursor(shared.reader.head()).to_string(),
        )
        .hint("read the state anew and go on from `head`"),
        other => storage(&other),
    }
}

/// Where reading begins.
fn start(shared: &Shared, after: Option<After>) -> Result<Place, ApiError> {
    Ok(match after {
        None | Some(After::Now) => shared.reader.head(),
        Some(After::Start) => shared.reader.oldest(),
        Some(After::Cursor(cursor)) => place(&cursor)?,
        Some(After::Consumer(name)) => {
            let known = shared
                .reader
                .consumer(&name)
                .map_err(|error| storage(&error))?;
            let oldest = shared.reader.oldest();
            match known {
                // A consumer that was away for longer than the log reaches begins at its oldest event.
                Some(seq) => Place {
                    epoch: oldest.epoch,
                    seq: seq.max(oldest.seq),
                },
                None => oldest,
            }
        }
    })
}

fn place(cursor: &Cursor) -> Result<Place, ApiError> {
    cursor
        .as_str()
        .parse()
        .map_err(|_| ApiError::new(ErrorCode::CursorExpired, "the cursor is of another store"))
}

/// A place in the log as the interface writes it.
pub(super) fn cursor(place: Place) -> Cursor {
    let text = place.to_string();
    let epoch = text
        .split_once(':')
        .map_or(text.as_str(), |(epoch, _)| epoch);
    Cursor::new(epoch, place.seq)
}

fn time_now() -> Time {
    Time::from_unix_ms(i64::try_from(now().unix_ms).unwrap_or(i64::MAX))
}

async fn list(core: CoreHandle, params: EventsListParams) -> Result<EventsListResponse, ApiError> {
    let mut shared = core.shared()?;
    let filter = Filter::new(&core, params.kinds, params.chats).await?;
    let mut place = start(&shared, params.after)?;
    let count = limit(params.limit);
    let wait = Duration::from_millis(params.wait_ms.unwrap_or(0).min(EVENTS_WAIT_MS_MAX));
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let mut read = read(&shared, place, count).await?;
        read.items.retain(|event| filter.passes(event));
        place = read.place;
        if !read.items.is_empty() || (!read.more && tokio::time::Instant::now() >= deadline) {
            return Ok(EventsListResponse {
                items: read.items,
                cursor: cursor(place),
                more: read.more,
            });
        }
        if !read.more {
            let _ = tokio::time::timeout_at(deadline, news(&mut shared.head, place.seq)).await;
        }
    }
}

async fn commit(
    core: CoreHandle,
    params: EventsCommitParams,
) -> Result<EventsCommitResponse, ApiError> {
    let chars = params.consumer.chars().count();
    if chars == 0 || chars > CONSUMER_CHARS_MAX {
        let what = format!("the name of a consumer has 1 to {CONSUMER_CHARS_MAX} characters");
        return Err(ApiError::new(ErrorCode::InvalidParams, what));
    }
    core.call(move |open, _| {
        let place = place(&params.cursor)?;
        let head = open.reader().head();
        if place.epoch != head.epoch || place.seq > head.seq {
            return Err(ApiError::new(
                ErrorCode::CursorExpired,
                "the cursor is of another store",
            ));
        }
        let (_, store, batch) = open.history();
        store
            .put_consumer(batch, &params.consumer, place.seq)
            .map_err(|error| storage(&error))?;
        Ok(EventsCommitResponse {
            consumer: params.consumer,
            cursor: params.cursor,
        })
    })
    .await
}
