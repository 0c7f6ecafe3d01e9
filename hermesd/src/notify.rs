//! Notices on the desktop: that somebody wrote, and from whom; the text only if the user asked for it.
//!
//! A notice is shown once its message is on the disk, one for each chat, with a count while it stays unread. It is taken away when the
//! chat is read. No notice is shown for a chat that a user interface looks at (`ui.presence`). Where there is no desktop the first
//! failure is logged and nothing else happens.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hermes_api::text;
use notify_rust::{Hint, Notification, NotificationHandle};
use tokio::sync::mpsc;

/// What a notice tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Show {
    /// There are none.
    Nothing,
    /// Who wrote.
    #[default]
    Sender,
    /// Also the beginning of the text.
    Preview,
}

/// Characters of the text that a preview shows.
const PREVIEW_CHARS: usize = 120;

/// Notices that wait to be shown; more are dropped, since the chat is unread all the same.
const QUEUE: usize = 64;

/// How long the desktop may take for one notice.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the desktop task is told.
#[derive(Debug, PartialEq, Eq)]
enum Order {
    Show {
        chat: String,
        name: String,
        text: Option<String>,
    },
    Close {
        chat: String,
    },
}

/// Decides which notices there are; the owner's side.
pub struct Notices {
    show: Show,
    /// What each connection that has ever looked at a chat looks at now.
    claims: HashMap<u32, Option<String>>,
    cycle: Vec<Order>,
    desktop: mpsc::Sender<Order>,
}

impl Notices {
    /// Notices of this kind; a task that shows them is spawned on the current runtime.
    #[must_use]
    pub fn new(show: Show) -> Self {
        let (desktop, orders) = mpsc::channel(QUEUE);
        if show != Show::Nothing {
            tokio::spawn(run(orders));
        }
        Self {
            show,
            claims: HashMap::new(),
            cycle: Vec::new(),
            desktop,
        }
    }

    /// A message came; told at the end of the cycle.
    pub fn received(&mut self, chat: &str, name: &str, body: &str) {
        if self.show == Show::Nothing
            || self
                .claims
                .values()
                .flatten()
                .any(|claimed| claimed == chat)
        {
            return;
        }
        let text = (self.show == Show::Preview)
            .then(|| text::line(body).chars().take(PREVIEW_CHARS).collect());
        self.cycle.push(Order::Show {
            chat: chat.to_owned(),
            name: text::line(name).into_owned(),
            text,
        });
    }

    /// A chat was read.
    pub fn read(&mut self, chat: &str) {
        self.cycle
            .retain(|order| !matches!(order, Order::Show { chat: shown, .. } if shown == chat));
        if self.show != Show::Nothing {
            self.cycle.push(Order::Close {
                chat: chat.to_owned(),
            });
        }
    }

    /// A user interface looks at a chat, or at none; true if it is the connection's first word, so that its end has to be told once.
    pub fn claim(&mut self, connection: u32, chat: Option<String>) -> bool {
        self.claims.insert(connection, chat).is_none()
    }

    /// A connection has ended.
    pub fn left(&mut self, connection: u32) {
        self.claims.remove(&connection);
    }

    /// The cycle is on the disk.
    pub fn flush(&mut self) {
        for order in self.cycle.drain(..) {
            // A full queue means a desktop that does not answer.
            let _ = self.desktop.try_send(order);
        }
    }
}

struct Shown {
    count: u32,
    handle: NotificationHandle,
}

async fn run(mut orders: mpsc::Receiver<Order>) {
    let mut shown: BTreeMap<String, Shown> = BTreeMap::new();
    let mut complained = false;
    while let Some(order) = orders.recv().await {
        match order {
            Order::Close { chat } => {
                if let Some(shown) = shown.remove(&chat) {
                    let _ = tokio::time::timeout(PATIENCE, shown.handle.close_async()).await;
                }
            }
            Order::Show { chat, name, text } => {
                let count = shown.get(&chat).map_or(0, |shown| shown.count) + 1;
                let mut notice = Notification::new();
                notice
                    .appname("Hermes")
                    .summary(&name)
                    .hint(Hint::Category("im.received".to_owned()));
                notice.body(&match (text, count) {
                    (Some(text), _) => escape(&text),
                    (None, 1) => "sent a message".to_owned(),
                    (None, n) => format!("sent {n} messages"),
                });
                if let Some(before) = shown.get(&chat) {
                    notice.id(before.handle.id());
                }
                match tokio::time::timeout(PATIENCE, notice.show_async()).await {
                    Ok(Ok(handle)) => {
                        shown.insert(chat, Shown { count, handle });
                    }
                    Ok(Err(error)) if !complained => {
                        complained = true;
                        tracing::info!(%error, "there is no desktop to show notices on");
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Desktops may read markup in the body.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notices(show: Show) -> (Notices, mpsc::Receiver<Order>) {
        let (desktop, orders) = mpsc::channel(QUEUE);
        (
            Notices {
                show,
                claims: HashMap::new(),
                cycle: Vec::new(),
                desktop,
            },
            orders,
        )
    }

    fn shown(name: &str, text: Option<&str>) -> Order {
        Order::Show {
            chat: "c1".to_owned(),
            name: name.to_owned(),
            text: text.map(str::to_owned),
        }
    }

    #[test]
    fn a_notice_tells_the_sender_and_no_text_unless_asked() {
        let (mut sender, mut orders) = notices(Show::Sender);
        sender.received("c1", "bob", "a secret");
        assert!(
            orders.try_recv().is_err(),
            "not before the cycle is on the disk"
        );
        sender.flush();
        assert_eq!(orders.try_recv(), Ok(shown("bob", None)));

        let (mut preview, mut orders) = notices(Show::Preview);
        preview.received("c1", "bob\u{202e}\u{1b}[2J", "hi\nthere");
        preview.flush();
        let Ok(Order::Show { name, text, .. }) = orders.try_recv() else {
            panic!("nothing shown")
        };
        assert!(!name.contains(['\u{202e}', '\u{1b}']));
        assert!(!text.unwrap().contains('\n'));
    }

    #[test]
    fn a_chat_that_somebody_looks_at_is_silent_and_a_read_one_is_closed() {
        let (mut notices, mut orders) = notices(Show::Sender);
        assert!(notices.claim(7, Some("c1".to_owned())));
        notices.received("c1", "bob", "x");
        notices.flush();
        assert!(orders.try_recv().is_err());
        assert!(!notices.claim(7, None), "its end is told already");
        notices.received("c1", "bob", "x");
        notices.read("c1");
        notices.flush();
        assert_eq!(
            orders.try_recv(),
            Ok(Order::Close {
                chat: "c1".to_owned()
            })
        );
        assert!(
            orders.try_recv().is_err(),
            "a message read in the same cycle is not shown"
        );
    }
}
