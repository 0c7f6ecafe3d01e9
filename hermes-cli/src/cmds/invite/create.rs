//! `invite create`: a new invite as a link or a QR code.

use std::time::Duration;

use clap::Args;
use hermes_api::client::Api as _;
use hermes_api::table::InviteCreate;
use hermes_api::types::{Approval, InviteCreateParams};
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use super::super::Context;
use crate::door::Door;
use crate::fault::Fault;
use crate::output::{Format, View};
use crate::span;

/// Make a link that one friend can use once
///
/// The link stands alone on stdout. Whoever holds it can use it, once; give it to one friend only.
#[derive(Args, Debug)]
pub(crate) struct Create {
    /// Show the link as a QR code as well, for a dark terminal
    #[arg(long)]
    qr: bool,
    /// Ask before whoever uses it becomes a contact, see `invite approve`
    #[arg(long)]
    ask: bool,
    /// How long the link works, rounded up to the network's unit (an hour); its usual time if not given
    #[arg(long, value_name = "TIME", value_parser = span::parse_lifetime)]
    expires: Option<Duration>,
    /// Note for yourself, shown by `invite list`
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

impl Create {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let params = InviteCreateParams {
            approval: if self.ask {
                Approval::Ask
            } else {
                Approval::Given
            },
            expires_in_s: self.expires.map(|expires| expires.as_secs()),
            note: self.note,
        };
        let made = context.api().await?.call::<InviteCreate>(params).await?;
        let out = &mut context.out;
        out.show(&made, |_| View::Said {
            sentence: made.invite.clone(),
            record: vec![
                made.invite.clone(),
                made.invite_id.clone(),
                made.expires_at.to_string(),
            ],
        })?;
        if self.qr && out.format() == Format::Human {
            for line in qr(&made.qr)?.lines() {
                out.line(line)?;
            }
        }
        let until = out.when(made.expires_at);
        out.remark(&format!(
            "It works once, until {until}. Give it to one friend only."
        ));
        Ok(())
    }
}

/// The code as text: light on dark, with the quiet zone that scanners need.
fn qr(link: &str) -> Result<String, Fault> {
    let code = QrCode::with_error_correction_level(link, EcLevel::L)
        .map_err(|error| Fault::failed(format!("the link makes no QR code: {error}")))?;
    Ok(code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Dark)
        .light_color(Dense1x2::Light)
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_case_makes_a_smaller_code() {
        let link = format!("HERMES:{}", "ABCDEFGH234567".repeat(20));
        let small = qr(&link).expect("code");
        let large = qr(&link.to_lowercase()).expect("code");
        assert!(small.lines().count() < large.lines().count());
        assert!(small.chars().all(|c| " ▀▄█\n".contains(c)), "{small}");
    }

    #[test]
    fn a_link_that_is_too_long_is_said_so() {
        assert!(qr(&"X".repeat(10_000)).is_err());
    }
}
