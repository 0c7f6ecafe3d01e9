//! What is written and sent off: messages and commands.

use hermes_api::text;
use hermes_api::types::{BODY_BYTES_MAX, Contact, InviteAcceptResponse, InviteCreateResponse};

use super::{bottom, go};
use crate::model::{Link, Model, Outgoing, Popup, Sending};
use crate::msg::{Effect, Outcome};
use crate::words;

/// Takes what was written: a command if it begins with a slash, else a message.
pub(super) fn submit(model: &mut Model, written: &str, effects: &mut Vec<Effect>) {
    match written.strip_prefix('/') {
        Some(literal) if literal.starts_with('/') => message(model, literal, effects),
        Some(command) => run(model, command.trim(), effects),
        None if written.trim().is_empty() => {}
        None => message(model, written, effects),
    }
}

fn message(model: &mut Model, body: &str, effects: &mut Vec<Effect>) {
    if body.len() > BODY_BYTES_MAX {
        give_back(model, body);
        model.notice = Some(format!(
            "the message has {} bytes; at most {BODY_BYTES_MAX} can be sent",
            body.len()
        ));
        return;
    }
    let Some(chat) = model.current().map(|view| view.chat.chat.clone()) else {
        model.notice = Some("there is nobody to write to yet; try /invite".to_owned());
        give_back(model, body);
        return;
    };
    model.keys_made += 1;
    model.outbox.push_back(Outgoing {
        key: format!("tui-{}-{}", model.key_stem, model.keys_made),
        chat,
        body: body.to_owned(),
    });
    bottom(model);
    if let Some(view) = model.current_mut() {
        view.unread_from = None;
    }
    next(model, effects);
}

/// Puts a text that was not sent back where it was written, if nothing else is there now.
pub(super) fn give_back(model: &mut Model, body: &str) {
    let draft = model.draft_mut();
    if draft.is_empty() {
        draft.insert_str(body);
    }
}

/// Hands the next message to the daemon; one at a time, so that their order is kept.
pub(super) fn next(model: &mut Model, effects: &mut Vec<Effect>) {
    if model.sending == Sending::Busy || model.link != Link::Up {
        return;
    }
    if let Some(first) = model.outbox.front() {
        model.sending = Sending::Busy;
        effects.push(Effect::Send {
            key: first.key.clone(),
            to: first.chat.clone(),
            body: first.body.clone(),
        });
    }
}

fn run(model: &mut Model, command: &str, effects: &mut Vec<Effect>) {
    let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
    let rest = rest.trim();
    match name {
        "invite" => effects.push(Effect::Invite),
        "accept" if !rest.is_empty() => {
            let (link, name) = rest.split_once(' ').unwrap_or((rest, ""));
            let name = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
            effects.push(Effect::Accept {
                link: link.to_owned(),
                name,
            });
        }
        "accept" => model.notice = Some("give the friend's link: /accept hermes:...".to_owned()),
        "verify" => verify(model, rest, effects),
        "chat" => match model.found(rest).first() {
            Some(&at) => go(model, at),
            None => model.notice = Some("no chat of that name".to_owned()),
        },
        "chats" => model.popups.push(Popup::Text {
            title: "chats".to_owned(),
            text: chats(model),
        }),
        "reconnect" => reconnect(model, effects),
        "help" => model.popups.push(Popup::Help(0)),
        "quit" => effects.push(Effect::Quit),
        _ => {
            give_back(model, &format!("/{command}"));
            model.notice = Some("no such command; F1 or /help shows them".to_owned());
        }
    }
}

/// Reaches the daemon again if it is not there.
pub(super) fn reconnect(model: &mut Model, effects: &mut Vec<Effect>) {
    if model.link != Link::Up {
        model.link = Link::Starting;
        effects.push(Effect::Start);
    }
}

/// The conversations with their unread messages, one a line.
pub(crate) fn chats(model: &Model) -> String {
    let line = |(at, view): (usize, &crate::model::ChatView)| {
        let name = text::line(&view.chat.name);
        match view.chat.unread {
            0 => format!("{}. {name}", at + 1),
            unread => format!("{}. {name}, {unread} unread", at + 1),
        }
    };
    let lines: Vec<String> = model.chats.iter().enumerate().map(line).collect();
    if lines.is_empty() {
        "There are no chats yet; make a link for a friend with /invite.".to_owned()
    } else {
        lines.join("\n")
    }
}

fn verify(model: &mut Model, number: &str, effects: &mut Vec<Effect>) {
    let Some(contact) = model.current().and_then(|view| view.contact.as_ref()) else {
        model.notice = Some("no contact is chosen".to_owned());
        return;
    };
    if !number.is_empty() {
        effects.push(Effect::Verify {
            contact: contact.contact_id.clone(),
            number: number.to_owned(),
        });
        return;
    }
    let name = text::line(&contact.name);
    let text = match &contact.safety_number {
        Some(number) => format!(
            "{}\n\nCompare this number with {name} by other means, by phone for example. Then enter \
             /verify and the number that you were told.",
            text::line(number)
        ),
        None => format!("The safety number is not known until {name} has answered."),
    };
    let title = format!("safety number with {name}");
    model.popups.push(Popup::Text { title, text });
}

pub(super) fn invited(model: &mut Model, outcome: Outcome<InviteCreateResponse>) {
    match outcome {
        Ok(invite) => {
            let until = words::local(invite.expires_at, &model.zone, "%-d %b %H:%M");
            model.popups.push(Popup::Text {
                title: "invite".to_owned(),
                text: format!(
                    "{}\n\nGive this link to one friend over a way that you trust; whoever holds it can \
                     use it once, until {until}. The friend enters /accept and the link.",
                    text::line(&invite.invite)
                ),
            });
        }
        Err(error) => super::daemon::complain(model, &error),
    }
}

pub(super) fn accepted(
    model: &mut Model,
    outcome: Outcome<InviteAcceptResponse>,
    effects: &mut Vec<Effect>,
) {
    match outcome {
        Ok(accepted) => {
            let name = text::line(&accepted.name).into_owned();
            model.notice = Some(format!("{name}: {}", accepted.state.as_str()));
            effects.push(Effect::LoadLists);
        }
        Err(error) => super::daemon::complain(model, &error),
    }
}

pub(super) fn verified(model: &mut Model, outcome: Outcome<Contact>) {
    match outcome {
        Ok(contact) => {
            model.notice = Some(format!("{} is verified", text::line(&contact.name)));
            let id = contact.contact_id.clone();
            if let Some(view) = model
                .chats
                .iter_mut()
                .find(|view| view.chat.contact_id == id)
            {
                view.contact = Some(contact);
            }
        }
        Err(error) => super::daemon::complain(model, &error),
    }
}
