//! `contact verify`.
//!
//! The mark says that two people compared the safety number by other means. So either the number
//! that the friend read out is given, and compared here; or it is shown and somebody confirms that
//! it matches.

use clap::Args;
use hermes_api::ErrorCode;
use hermes_api::client::Api as _;
use hermes_api::table::{ContactGet, ContactVerify};
use hermes_api::types::{ContactParams, ContactVerifyParams, VerifyMark};

use super::super::Context;
use super::changed;
use crate::door::Door;
use crate::fault::Fault;

/// Compare the safety number with a contact
///
/// Compare the number by other means, for example by telephone. If it does not match, somebody may
/// stand between you and your friend: the exit code is 7.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// Contact, by name or id
    contact: String,
    /// Safety number that your friend read out
    #[arg(long, value_name = "NUMBER")]
    number: Option<String>,
    /// Say that the number was compared, without being asked
    #[arg(long, short, conflicts_with = "number")]
    yes: bool,
    /// Take an earlier mark back
    #[arg(long, conflicts_with_all = ["number", "yes"])]
    undo: bool,
}

impl Verify {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let is_told = self.number.is_some() || self.yes || self.undo;
        if !is_told && !context.input.is_interactive() {
            return Err(Fault::usage("nobody is there to compare the safety number")
                .hint("give the number that your friend read out with --number, or say --yes"));
        }
        let api = context.api().await?;
        if !is_told {
            ask(&self.contact, &api, context).await?;
        }
        let mark = if self.undo {
            VerifyMark::Unverified
        } else {
            VerifyMark::Verified
        };
        let contact = api
            .call::<ContactVerify>(ContactVerifyParams {
                contact: self.contact,
                safety_number: self.number,
                mark,
            })
            .await?;
        context.out.show(&contact, |_| {
            let word = if contact.verified {
                "verified"
            } else {
                "not verified"
            };
            changed(&contact, format!("{} is {word}", contact.name))
        })
    }
}

/// Shows the number and asks whether it matches.
async fn ask<D: Door>(name: &str, api: &D::Api, context: &mut Context<D>) -> Result<(), Fault> {
    let params = ContactParams {
        contact: name.to_owned(),
    };
    let contact = api.call::<ContactGet>(params).await?;
    let Some(number) = contact.safety_number else {
        let message = format!("the identity of {} is not known yet", contact.name);
        return Err(Fault::refused(ErrorCode::NotEstablished, message));
    };
    let question = format!(
        "The safety number with {} is {number}. Does your friend see the same?",
        contact.name
    );
    if context.input.confirm(&question).await? {
        Ok(())
    } else {
        Err(Fault::refused(
            ErrorCode::UntrustedKey,
            format!("{} was not verified", contact.name),
        )
        .hint("if the numbers differ, somebody may stand between you; do not trust this contact"))
    }
}
