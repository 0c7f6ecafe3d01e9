//! `contact list`: all contacts and how they stand.

use clap::{Args, ValueEnum};
use hermes_api::client::Api as _;
use hermes_api::table::ContactList;
use hermes_api::types::{ContactListParams, ContactState, LinkState};

use super::super::{Context, pages};
use crate::door::Door;
use crate::fault::Fault;
use crate::output::{Table, View};

/// The states of contacts, as arguments.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Requested,
    Asked,
    Accepted,
    Established,
    Blocked,
    Removed,
}

impl From<State> for ContactState {
    fn from(state: State) -> Self {
        match state {
            State::Requested => Self::Requested,
            State::Asked => Self::Asked,
            State::Accepted => Self::Accepted,
            State::Established => Self::Established,
            State::Blocked => Self::Blocked,
            State::Removed => Self::Removed,
        }
    }
}

/// List the contacts
///
/// With --json: one object with `items`, each with contact_id, name, state, verified,
/// safety_number, link, last_seen and created_at.
#[derive(Args, Debug)]
pub(crate) struct List {
    /// Only contacts in this state; all but the removed ones if not given
    #[arg(long, value_enum)]
    state: Option<State>,
}

impl List {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let api = context.api().await?;
        let state = self.state.map(ContactState::from);
        let contacts = pages::all(|page| {
            api.call::<ContactList>(ContactListParams {
                state,
                limit: page.limit,
                after: page.after,
            })
        })
        .await?;
        context.out.show(&contacts, |words| {
            let rows = contacts.items.iter().map(|contact| {
                let verified = if contact.verified { "verified" } else { "" };
                let seen = match contact.link {
                    LinkState::Direct => "now".to_owned(),
                    LinkState::None => words.when_or(contact.last_seen, "never"),
                };
                vec![
                    contact.name.clone(),
                    contact.state.as_str().to_owned(),
                    seen,
                    contact.contact_id.clone(),
                    verified.to_owned(),
                ]
            });
            let headings = &["name", "state", "seen", "contact", "verified"];
            View::Table(Table::new(headings, "no contacts yet").rows(rows))
        })
    }
}
