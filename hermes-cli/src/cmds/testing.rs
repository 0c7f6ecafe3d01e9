//! What the tests of commands share: a context over a daemon in memory, and rows to answer with.

use hermes_api::client::Double;
use hermes_api::types::{
    Contact, ContactState, Direction, EarthStatus, KeepingStatus, LinkState, Message, MessageState,
    SkyStatus, StatusResponse, Time,
};

use super::Context;
use crate::input::Input;
use crate::input::tests::Scripted;
use crate::output::{Format, Shown, capture};

/// 2026-03-02 10:41:07 in UTC.
pub(crate) const MARCH: i64 = 1_772_448_067_250;

/// A context without anybody at the terminal.
pub(crate) fn context(double: Double, format: Format) -> (Context<Double>, Shown) {
    context_with(double, format, Scripted::default(), false)
}

/// A context with this input.
pub(crate) fn context_with(
    double: Double,
    format: Format,
    script: Scripted,
    interactive: bool,
) -> (Context<Double>, Shown) {
    let (out, shown) = capture(format);
    let context = Context {
        out,
        input: Input::new(script, interactive),
        door: double,
    };
    (context, shown)
}

/// Runs a command on a clock that stands still while anything else can happen.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("runtime")
        .block_on(future)
}

/// A daemon that is well.
pub(crate) fn status() -> StatusResponse {
    StatusResponse {
        version: "0.1.0".to_owned(),
        name: Some("alice".to_owned()),
        identity: Some("k3f7-9m2p".to_owned()),
        initialized: true,
        locked: false,
        network: Some("lab".to_owned()),
        sky: SkyStatus {
            connected: 2,
            known: 3,
            registered: true,
        },
        earth: EarthStatus {
            known: 6,
            watching: 2,
        },
        keeping: KeepingStatus::default(),
        outbox: 1,
        epoch: 20_514,
        store_bytes: 1_234_567,
        contacts: 2,
        unread: 3,
        started_at: Time::from_unix_ms(MARCH),
        pid: 4_711,
        socket: "/h/rpc.sock".to_owned(),
        warnings: Vec::new(),
    }
}

/// A friend.
pub(crate) fn contact(name: &str) -> Contact {
    Contact {
        contact_id: format!("c-{name}"),
        name: name.to_owned(),
        state: ContactState::Established,
        verified: false,
        safety_number: Some("12345 67890".to_owned()),
        link: LinkState::None,
        last_seen: None,
        created_at: Time::from_unix_ms(MARCH),
    }
}

/// A message of bob's.
pub(crate) fn message(seq: u64, body: &str) -> Message {
    Message {
        message_id: format!("m{seq}"),
        chat: "c-bob".to_owned(),
        seq,
        sender: "bob".to_owned(),
        direction: Direction::In,
        body: body.to_owned(),
        state: MessageState::Delivered,
        sent_at: Time::from_unix_ms(MARCH),
        received_at: Some(Time::from_unix_ms(MARCH)),
        kept: None,
        why: None,
        gap_before: 0,
    }
}
