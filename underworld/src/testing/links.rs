//! Modelled direct links: in order, without loss, until they break.

use std::collections::BTreeMap;

use super::{NodeId, World, net::OpenKnock, schedule::Happening};
use crate::proto::{ContactId, LinkId, LinkToken, Underworld};

/// All links, and knocks that are not answered.
#[derive(Default)]
pub(crate) struct Links {
    ends: BTreeMap<LinkId, End>,
    pub(crate) knocks: BTreeMap<u64, OpenKnock>,
}

/// One end of a link.
struct End {
    node: NodeId,
    life: u64,
    other: LinkId,
    /// When the last thing that was sent from here arrives, so that nothing overtakes.
    arrives_ms: u64,
}

impl World {
    pub(crate) fn dialled(
        &mut self,
        from: NodeId,
        life: u64,
        token: LinkToken,
        tag: [u8; 16],
        our_key: [u8; 32],
        their_key: [u8; 32],
    ) {
        if self.node(from).life != life {
            return;
        }
        let callee = (0..self.nodes().len()).find_map(|node| {
            let expected = &self.node(node).expected;
            let at = expected
                .iter()
                .position(|e| e.tag == tag && e.our_key == their_key && e.their_key == our_key)?;
            self.node(node).core().map(|_| (node, at))
        });
        let Some((node, at)) = callee.filter(|_| self.weather.direct) else {
            return self.feed(from, |core, now| core.handle_dial_failed(token, now));
        };
        let expected = self.node_mut(node).expected.remove(at);
        let (here, there) = (LinkId(self.new_id()), LinkId(self.new_id()));
        let callee_life = self.node(node).life;
        let arrives_ms = self.now_ms;
        self.links.ends.insert(
            here,
            End {
                node: from,
                life,
                other: there,
                arrives_ms,
            },
        );
        self.links.ends.insert(
            there,
            End {
                node,
                life: callee_life,
                other: here,
                arrives_ms,
            },
        );
        self.node_mut(from).links.push(here);
        self.node_mut(node).links.push(there);
        self.feed(node, |core, now| {
            core.handle_link_up(expected.link, there, now)
        });
        self.feed_life(from, life, |core, now| {
            core.handle_link_up(token, here, now)
        });
    }

    /// Sends something over a link; gives whether it still stands.
    fn send_over(
        &mut self,
        from: NodeId,
        link: LinkId,
        what: impl FnOnce(NodeId, u64, LinkId) -> Happening,
    ) -> bool {
        let at = self.now_ms + self.latency();
        let Some(end) = self
            .links
            .ends
            .get_mut(&link)
            .filter(|end| end.node == from)
        else {
            return false;
        };
        end.arrives_ms = end.arrives_ms.max(at);
        let (at, other) = (end.arrives_ms, end.other);
        if let Some(end) = self.links.ends.get(&other) {
            let happening = what(end.node, end.life, other);
            self.schedule.add(at, happening);
        }
        true
    }

    pub(crate) fn send_packet(&mut self, from: NodeId, link: LinkId, packet: Vec<u8>) {
        self.send_over(from, link, |to, life, link| Happening::Packet {
            to,
            life,
            link,
            packet,
        });
    }

    pub(crate) fn close_link(&mut self, from: NodeId, link: LinkId) {
        self.send_over(from, link, |to, life, link| Happening::Down {
            to,
            life,
            link,
        });
        self.links.ends.remove(&link);
    }

    pub(crate) fn deliver_packet(&mut self, to: NodeId, life: u64, link: LinkId, packet: &[u8]) {
        if self.links.ends.contains_key(&link) {
            self.feed_life(to, life, |core, now| {
                core.handle_link_packet(link, packet, now)
            });
        }
    }

    pub(crate) fn deliver_down(&mut self, to: NodeId, life: u64, link: LinkId) {
        if self.links.ends.remove(&link).is_some() {
            self.feed_life(to, life, |core, now| core.handle_link_down(link, now));
        }
    }

    /// Breaks a link as a lost network does: both ends learn of it, and what is on its way is lost.
    pub(crate) fn break_link(&mut self, link: LinkId) {
        let Some(end) = self.links.ends.remove(&link) else {
            return;
        };
        if let Some(other) = self.links.ends.get(&end.other) {
            let (to, life, link) = (other.node, other.life, end.other);
            self.later(Happening::Down { to, life, link });
        }
        self.later(Happening::Down {
            to: end.node,
            life: end.life,
            link,
        });
        // The end itself is gone already; put it back so that its owner is told.
        if self.node(end.node).core().is_some() {
            self.links.ends.insert(
                link,
                End {
                    arrives_ms: u64::MAX,
                    ..end
                },
            );
        }
    }

    /// The link that a node has to a contact.
    ///
    /// # Panics
    ///
    /// If it has none.
    #[must_use]
    pub fn link_of(&self, node: NodeId, contact: ContactId) -> LinkId {
        let identity = self
            .core(node)
            .contact(contact)
            .and_then(|info| info.identity);
        let ends = self.links.ends.iter().filter(|(_, end)| end.node == node);
        let to = |other: &LinkId| {
            let peer = self
                .links
                .ends
                .get(other)
                .and_then(|end| self.node(end.node).core());
            peer.map(Underworld::identity)
        };
        let mut links = ends.filter(|(_, end)| to(&end.other) == identity);
        *links.next_back().expect("a link").0
    }

    /// How many friends a node expects on links that were not made yet.
    #[must_use]
    pub fn expected_links(&self, node: NodeId) -> usize {
        self.node(node).expected.len()
    }

    /// Breaks all links of a node.
    pub fn break_links(&mut self, node: NodeId) {
        for link in std::mem::take(&mut self.node_mut(node).links) {
            self.break_link(link);
        }
    }
}
