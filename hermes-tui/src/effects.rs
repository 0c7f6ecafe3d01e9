//! Carries out what `update` asks for: calls to the daemon, each in a task of its own that puts
//! its outcome back as a message.

use std::future::Future;
use std::time::Duration;

use hermes_api::ErrorCode;
use hermes_api::client::{Api, ClientError};
use hermes_api::table::{
    ChatHistory, ChatList, ChatMarkRead, ContactList, ContactVerify, InviteAccept, InviteCreate,
    MessageSend, Method, Status, UiPresence,
};
use hermes_api::types::{
    After, Chat, ChatHistoryParams, ChatHistoryResponse, ChatMarkReadParams, Contact,
    ContactListParams, ContactVerifyParams, Cursor, EventsSubscribeParams, InviteAcceptParams,
    InviteCreateParams, MessageSendParams, NoParams, PAGE_LIMIT_MAX, PageParams, UiPresenceParams,
    VerifyMark,
};
use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;

use crate::msg::{Effect, Msg, Outcome, Place};
use crate::update::passes;

/// Messages in a page of history.
const PAGE: u32 = 60;

/// How often a call that may succeed later is tried.
const TRIES: u32 = 3;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(300);

/// Most conversations that are read.
const CHATS_MAX: usize = 5_000;

/// Carries effects out with this way to the daemon.
pub(crate) struct Runner<A> {
    api: A,
    messages: Sender<Msg>,
    events: Option<AbortHandle>,
}

impl<A: Api> Runner<A> {
    /// What comes of the effects goes to `messages`.
    pub(crate) fn new(api: A, messages: Sender<Msg>) -> Self {
        Self {
            api,
            messages,
            events: None,
        }
    }

    /// Begins to carry out an effect; those that concern the program itself are not for here.
    pub(crate) fn run(&mut self, effect: Effect) {
        match effect {
            Effect::Subscribe(cursor) => self.subscribe(cursor),
            Effect::LoadStatus => self.answer(|api| async move {
                Msg::Status(api.call::<Status>(NoParams {}).await.map(Box::new))
            }),
            Effect::LoadLists => self.answer(|api| async move { Msg::Lists(lists(&api).await) }),
            Effect::LoadHistory(chat, place) => self.answer(move |api| async move {
                let outcome = history(&api, &chat, place).await;
                Msg::History(chat, place, outcome)
            }),
            Effect::Send { key, to, body } => self.answer(move |api| async move {
                let params = MessageSendParams {
                    to,
                    body,
                    idempotency_key: Some(key.clone()),
                    ..MessageSendParams::default()
                };
                Msg::Sent(key, patient::<A, MessageSend>(&api, params).await)
            }),
            Effect::MarkRead { chat, up_to } => self.mark_read(chat, up_to),
            Effect::Presence(chat) => self.presence(chat),
            Effect::Invite => self.answer(|api| async move {
                Msg::Invited(
                    api.call::<InviteCreate>(InviteCreateParams::default())
                        .await,
                )
            }),
            Effect::Accept { link, name } => self.answer(move |api| async move {
                let params = InviteAcceptParams { invite: link, name };
                Msg::Accepted(api.call::<InviteAccept>(params).await)
            }),
            Effect::Verify { contact, number } => self.answer(move |api| async move {
                let params = ContactVerifyParams {
                    contact,
                    safety_number: Some(number),
                    mark: VerifyMark::Verified,
                };
                Msg::Verified(api.call::<ContactVerify>(params).await)
            }),
            Effect::Start | Effect::Redraw | Effect::Quit => {}
        }
    }

    fn answer<F: Future<Output = Msg> + Send + 'static>(&self, ask: impl FnOnce(A) -> F) {
        let (asked, messages) = (ask(self.api.clone()), self.messages.clone());
        tokio::spawn(async move {
            // Nobody listens only when the program ends.
            let _ = messages.send(asked.await).await;
        });
    }

    fn mark_read(&self, chat: String, up_to: u64) {
        let (api, messages) = (self.api.clone(), self.messages.clone());
        tokio::spawn(async move {
            let params = ChatMarkReadParams {
                chat: chat.clone(),
                up_to: Some(up_to),
            };
            match patient::<A, ChatMarkRead>(&api, params).await {
                Err(error) if passes(&error) => {
                    let _ = messages.send(Msg::NotMarked(chat)).await;
                }
                _ => {}
            }
        });
    }

    fn presence(&self, chat: Option<String>) {
        let api = self.api.clone();
        tokio::spawn(async move {
            let params = UiPresenceParams {
                focused: chat.is_some(),
                chat,
            };
            // Without it there is a notification too many, nothing worse.
            let _ = api.call::<UiPresence>(params).await;
        });
    }

    fn subscribe(&mut self, cursor: Option<Cursor>) {
        if let Some(before) = self.events.take() {
            before.abort();
        }
        let mut events = self.api.events(EventsSubscribeParams {
            after: Some(cursor.map_or(After::Now, After::Cursor)),
            ..EventsSubscribeParams::default()
        });
        let messages = self.messages.clone();
        let task = tokio::spawn(async move {
            while let Some(feed) = events.next().await {
                if messages.send(Msg::Feed(feed)).await.is_err() {
                    return;
                }
            }
        });
        self.events = Some(task.abort_handle());
    }
}

/// A call that does no harm when it is repeated.
async fn patient<A: Api, M: Method>(api: &A, params: M::Params) -> Outcome<M::Response>
where
    M::Params: Clone,
{
    let mut tries = 1;
    loop {
        match api.call::<M>(params.clone()).await {
            Err(error) if passes(&error) && tries < TRIES => tries += 1,
            outcome => return outcome,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn lists<A: Api>(api: &A) -> Outcome<(Vec<Contact>, Vec<Chat>)> {
    let mut contacts = Vec::new();
    let mut after = None;
    loop {
        let params = ContactListParams {
            limit: Some(PAGE_LIMIT_MAX),
            after,
            ..ContactListParams::default()
        };
        let page = patient::<A, ContactList>(api, params).await?;
        contacts.extend(page.items);
        after = page.next;
        if after.is_none() || contacts.len() >= CHATS_MAX {
            break;
        }
    }
    let mut chats = Vec::new();
    let mut after = None;
    loop {
        // Each brings its newest message, which may be long.
        let limit = Some(PAGE);
        let page = patient::<A, ChatList>(api, PageParams { limit, after }).await?;
        chats.extend(page.items);
        after = page.next;
        if after.is_none() || chats.len() >= CHATS_MAX {
            return Ok((contacts, chats));
        }
    }
}

/// A page of messages; fewer are asked for if they are too long for one answer.
async fn history<A: Api>(api: &A, chat: &str, place: Place) -> Outcome<ChatHistoryResponse> {
    let (before, after) = match place {
        Place::Newest => (None, None),
        Place::Before(seq) => (Some(seq), None),
        Place::After(seq) => (None, Some(seq)),
    };
    let mut limit = PAGE;
    loop {
        let params = ChatHistoryParams {
            chat: chat.to_owned(),
            limit: Some(limit),
            before,
            after,
        };
        match patient::<A, ChatHistory>(api, params).await {
            Err(ClientError::Api(error)) if error.is(ErrorCode::ResponseTooBig) && limit > 1 => {
                limit = (limit / 4).max(1);
            }
            outcome => return outcome,
        }
    }
}
