//! What keepers and sky nodes decode belongs to the addresses of one epoch and never shows again under those of another.

use std::collections::{BTreeMap, BTreeSet};

use hermes_underworld::proto::{IncomingKnockId, KnockOp, PresenceState};
use hermes_wire::address::OwnerPresence;
use hermes_wire::earth::Open as OpenBody;
use hermes_wire::ids::Binding;
use hermes_wire::ids::{Epoch, PresenceKey};
use hermes_wire::knock::Knock;
use hermes_wire::sky::Register;

use super::*;

/// Bytes in a row that would tie two things together.
const WINDOW: usize = 16;

/// Epochs that the two live through.
const EPOCHS: usize = 5;

/// Everything that nodes decoded, by the epoch of the address it was for.
#[derive(Default)]
pub(super) struct Heard {
    bodies: BTreeMap<Epoch, Vec<(&'static str, Vec<u8>)>>,
    mailboxes: BTreeMap<MailboxId, Epoch>,
    present: BTreeMap<PresenceKey, (usize, Epoch)>,
    knocks: BTreeMap<u64, (usize, KnockOp, Epoch)>,
    /// Connections so far; each has a binding of its own.
    connections: u64,
}

impl Heard {
    fn note(&mut self, epoch: Epoch, what: &'static str, body: Vec<u8>) {
        self.bodies.entry(epoch).or_default().push((what, body));
    }

    /// The epoch of a mailbox. One of an epoch to come, where an invite that was used is withdrawn in advance, stands for itself.
    fn epoch_of(&mut self, mailbox: MailboxId) -> Epoch {
        let unnamed = u32::MAX - u32::try_from(self.mailboxes.len()).expect("few");
        *self.mailboxes.entry(mailbox).or_insert(Epoch(unnamed))
    }

    fn binding(&mut self) -> Binding {
        self.connections += 1;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.connections.to_le_bytes());
        Binding(bytes)
    }
}

impl Talk {
    /// Notes what nodes decode of an effect. True if it was carried out here: knocks, which others let go unanswered.
    pub(super) fn overhear(&mut self, who: usize, effect: &Effect) -> bool {
        let Some(heard) = &mut self.heard else {
            return false;
        };
        let (net, node) = (&self.network, NodeKey([9; 32]));
        match effect {
            Effect::Presence(wishes) => {
                for wish in wishes {
                    let owner = OwnerPresence {
                        epoch: wish.epoch,
                        part: wish.part,
                        presence: wish.presence,
                        knock_root: wish.knock_root,
                        key: wish.owner.clone(),
                    };
                    let binding = heard.binding();
                    let lease_s = net.params().lease_s;
                    let body = Register::sign(net, &owner, wish.refused, lease_s, &binding, &node);
                    heard.note(wish.epoch, "REGISTER", body.to_bytes());
                    heard.present.insert(wish.presence, (who, wish.epoch));
                }
                let port = 4_000 + u16::try_from(who).expect("two");
                self.sides[who].inputs.extend([
                    NetInput::Candidates(vec![([127, 0, 0, 1], port).into()]),
                    NetInput::Presence(PresenceState::Registered),
                ]);
            }
            Effect::Mailboxes(wishes) => {
                for wish in wishes {
                    let binding = heard.binding();
                    let descriptor = wish.descriptor;
                    let body = OpenBody::sign(net, &wish.owner, descriptor, &binding, &node);
                    heard.note(wish.epoch, "OPEN", body.to_bytes());
                    heard.mailboxes.entry(wish.mailbox).or_insert(wish.epoch);
                }
                return false;
            }
            Effect::Deposit {
                mailbox, record, ..
            } => {
                let epoch = *heard.mailboxes.get(mailbox).expect("a mailbox of somebody");
                heard.note(epoch, "PUT", record.clone());
                return false;
            }
            Effect::Delete(order) | Effect::Revoke(order) => {
                let epoch = heard.epoch_of(order.mailbox);
                heard.note(epoch, "DELETE or REVOKE", order.request.clone());
                return false;
            }
            Effect::Knock {
                op,
                presence,
                knock,
                ..
            } => {
                let Some((owner, epoch)) = heard.present.get(presence).copied() else {
                    return false;
                };
                heard.note(epoch, "KNOCK", knock.clone());
                heard.connections += 1;
                let id = heard.connections;
                heard.knocks.insert(id, (who, *op, epoch));
                let knock = Knock::decode(knock).expect("a knock");
                self.sides[owner].inputs.push_back(NetInput::IncomingKnock {
                    id: IncomingKnockId(id),
                    presence: *presence,
                    slot: knock.slot.get(),
                    nonce: knock.nonce,
                    sealed: knock.sealed.to_vec(),
                });
            }
            Effect::AnswerKnock { id, answer } => {
                let Some((from, op, epoch)) = heard.knocks.remove(&id.0) else {
                    return true;
                };
                let sealed = answer.clone().and_then(|answer| answer.try_into().ok());
                let result = sealed.map_or(KnockResult::NoAnswer, |sealed| {
                    KnockResult::Answered(Box::new(sealed))
                });
                if let Some(answer) = answer {
                    heard.note(epoch, "answer to a KNOCK", answer.clone());
                }
                self.sides[from]
                    .inputs
                    .push_back(NetInput::KnockResult { op, result });
            }
            // They never meet, so that all goes through keepers.
            Effect::Dial { link, .. } => {
                let failed = NetInput::DialFailed { token: *link };
                self.sides[who].inputs.push_back(failed);
            }
            _ => return false,
        }
        true
    }

    fn epoch(&self) -> Epoch {
        self.sides[ALICE]
            .open
            .as_ref()
            .expect("it runs")
            .people()
            .epoch()
    }
}

#[test]
fn no_byte_string_that_a_keeper_or_sky_node_decoded_in_one_epoch_recurs_in_the_next() {
    let mut talk = Talk::new();
    talk.heard = Some(Heard::default());
    // The wishes of the beginning were drained by nobody yet.
    talk.finish(ALICE, Vec::new());
    talk.finish(BOB, Vec::new());
    talk.befriend();
    for n in 0..EPOCHS {
        talk.say(ALICE, n);
        talk.say(BOB, n);
        let epoch = talk.epoch();
        talk.until("the next epoch", |talk| talk.epoch() != epoch);
    }
    let heard = talk.heard.take().expect("it was listened");
    let kinds: BTreeSet<&str> = heard
        .bodies
        .values()
        .flatten()
        .map(|(what, _)| *what)
        .collect();
    assert_eq!(kinds.len(), 6, "something was never said: {kinds:?}");
    let full = heard
        .bodies
        .values()
        .filter(|bodies| bodies.iter().any(|(what, _)| *what == "PUT"));
    assert!(full.count() >= EPOCHS, "{:?}", heard.bodies.keys());

    assert_eq!(recurring(&heard.bodies), None);
    // The check would notice: half of one body, once more in another epoch.
    let mut bodies = heard.bodies;
    let (what, body) = bodies.values().next().expect("an epoch")[0].clone();
    let half = body[body.len() / 2..].to_vec();
    bodies.insert(Epoch(0), vec![(what, half)]);
    assert!(recurring(&bodies).is_some());
}

type Bodies = BTreeMap<Epoch, Vec<(&'static str, Vec<u8>)>>;

/// What holds some bytes that something of another epoch holds too, zeros apart, and that.
fn recurring(bodies: &Bodies) -> Option<(&'static str, &'static str)> {
    let mut first: BTreeMap<&[u8], (Epoch, &'static str)> = BTreeMap::new();
    for (epoch, bodies) in bodies {
        for (what, body) in bodies {
            let windows = body.windows(WINDOW);
            for window in windows.filter(|window| window.iter().any(|byte| *byte != 0)) {
                let (before, of) = *first.entry(window).or_insert((*epoch, *what));
                if before != *epoch {
                    return Some((of, *what));
                }
            }
        }
    }
    None
}
