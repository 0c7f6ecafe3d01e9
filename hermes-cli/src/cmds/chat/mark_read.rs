//! `chat mark-read`: says that everything up to a message was read.

use clap::Args;
use hermes_api::client::Api as _;
use hermes_api::table::ChatMarkRead;
use hermes_api::types::ChatMarkReadParams;

use super::super::Context;
use crate::door::Door;
use crate::fault::Fault;
use crate::output::{View, count};

/// Mark messages as read, here and for the friend
#[derive(Args, Debug)]
pub(crate) struct MarkRead {
    /// Conversation, by the contact's name or id
    chat: String,
    /// Only up to the message with this `seq`; all of them if not given
    #[arg(long, value_name = "SEQ")]
    up_to: Option<u64>,
}

impl MarkRead {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let params = ChatMarkReadParams {
            chat: self.chat.clone(),
            up_to: self.up_to,
        };
        let marked = context.api().await?.call::<ChatMarkRead>(params).await?;
        context.out.show(&marked, |_| View::Said {
            sentence: format!("{}: {} unread", self.chat, count(marked.unread, "message")),
            record: vec![
                marked.chat.clone(),
                marked.read_seq.to_string(),
                marked.unread.to_string(),
            ],
        })
    }
}
