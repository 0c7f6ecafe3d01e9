//! Talking to one keeper: for depositors and for owners.

#![allow(clippy::disallowed_methods, reason = "the shell owns the clock")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hermes_link::{
    Alpn, Answer, Channel, Connection, DialError, Endpoint, Inbound, PeerKey, SendError,
};
use hermes_wire::Network;
use hermes_wire::blind::BlindedKey;
use hermes_wire::channel::{ErrorAnswer, ErrorCode};
use hermes_wire::codec::{DecodeError, Wire};
use hermes_wire::deposit::DepositRef;
use hermes_wire::earth::{self, Arrived, Fetch, Fetched, Open, Opened, Request, StampSubject};
use hermes_wire::ids::{Binding, NodeKey};
use hermes_wire::mailbox::Descriptor;
use hermes_wire::node::NodeRecord;
use hermes_wire::receipt::Receipt;
use thiserror::Error;

/// How long a keeper may take for one answer before it counts as not answering; a group commit on a slow disk takes far less.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// The hardest stamp that is worked on: about ten seconds of one core. A keeper that asks for more is not used.
pub const STAMP_BITS_MAX: u32 = 24;

/// Why a keeper did not do what it was asked to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EarthError {
    /// It cannot be reached.
    #[error("the keeper cannot be reached: {0}")]
    Dial(#[from] DialError),
    /// None of its addresses is of the endpoint's family.
    #[error("the keeper has no address that can be dialled from here")]
    NoAddress,
    /// The connection ended.
    #[error("the connection to the keeper ended: {0}")]
    Ended(#[from] SendError),
    /// It did not answer in time.
    #[error("the keeper does not answer")]
    Timeout,
    /// It refused.
    #[error("the keeper refused: code {}", code.0)]
    Refused {
        /// Why, as a number of the protocol.
        code: ErrorCode,
        /// When to try again, 0 if that does not matter.
        retry_after_s: u32,
    },
    /// Its answer does not decode.
    #[error("the keeper's answer is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// Its receipt is not for what was given, or not signed by it.
    #[error("the keeper's receipt does not hold")]
    FalseReceipt,
    /// What was to be deposited is no deposit.
    #[error("not a deposit: {0}")]
    NotADeposit(DecodeError),
    /// It wants more work than a deposit is worth.
    #[error("the keeper wants a stamp of {bits} bits")]
    StampTooHard {
        /// Leading zero bits.
        bits: u32,
    },
}

/// A connection to one keeper.
#[derive(Clone, Debug)]
pub struct EarthClient {
    network: Network,
    node: NodeKey,
    binding: Binding,
    connection: Connection,
    channel: Channel,
}

/// One page of a mailbox.
#[derive(Debug, Clone)]
pub struct Page {
    /// Number and record of each deposit.
    pub items: Vec<(u64, Bytes)>,
    /// Whether others follow.
    pub more: bool,
}

/// A push from the keeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// A deposit arrived.
    Deposit {
        /// In the mailbox with this handle.
        handle: u16,
        /// Its number.
        seq: u64,
        /// The record.
        record: Bytes,
    },
    /// Some were not pushed, because we did not read: fetch.
    Missed {
        /// In the mailbox with this handle.
        handle: u16,
    },
}

impl EarthClient {
    /// Dials the keeper of a record at the first of its addresses that answers; all of it is bounded by `timeout` for each address.
    ///
    /// # Errors
    /// If none of them leads to the keeper.
    pub async fn connect(
        endpoint: &Endpoint,
        network: &Network,
        record: &NodeRecord,
        timeout: Duration,
    ) -> Result<Self, EarthError> {
        let mut last = EarthError::NoAddress;
        let addrs = record.body.addrs.iter().map(|addr| addr.socket());
        for addr in addrs.filter(|addr| endpoint.reaches(*addr)) {
            let key = PeerKey::Exact(*record.node.as_bytes());
            match endpoint.dial(addr, Alpn::Earth, key, None, timeout).await {
                Ok(connection) => return Self::over(connection, network, record.node).await,
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }

    async fn over(
        connection: Connection,
        network: &Network,
        node: NodeKey,
    ) -> Result<Self, EarthError> {
        let channel = connection.open_channel().await.map_err(SendError::from)?;
        Ok(Self {
            network: network.clone(),
            node,
            binding: Binding(connection.binding()),
            connection,
            channel,
        })
    }

    /// Whom we talk to.
    #[must_use]
    pub const fn node(&self) -> NodeKey {
        self.node
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.connection.close_reason().is_some()
    }

    /// Gives a deposit to the keeper and checks its receipt. A stamp is worked out if it asks for one.
    ///
    /// # Errors
    /// If it refuses, or the receipt does not hold.
    pub async fn put(&self, record: &[u8]) -> Result<Receipt, EarthError> {
        let located = DepositRef::parse(record)
            .map_err(EarthError::NotADeposit)?
            .locate(&self.network);
        let mut stamp = [0; 16];
        let answer = loop {
            match self
                .ask(&Request::Put {
                    stamp,
                    deposit: record,
                })
                .await
            {
                Err(Refusal {
                    error: EarthError::Refused { code, .. },
                    bits: Some(bits),
                }) if code == ErrorCode::STAMP_NEEDED && stamp == [0; 16] => {
                    let subject = StampSubject {
                        mailbox: located.mailbox,
                        deposit: located.id,
                        node: self.node,
                        hour: earth::stamp_hour(unix_s()),
                    };
                    stamp = work(subject, bits).await?;
                }
                other => break other.map_err(|refusal| refusal.error)?,
            }
        };
        let receipt = Receipt::decode(&answer.body)?;
        let right = receipt.node == self.node
            && receipt.about == (&located).into()
            && receipt.verify(&self.network).is_ok();
        right.then_some(receipt).ok_or(EarthError::FalseReceipt)
    }

    /// Proves ownership of a mailbox for this connection.
    ///
    /// # Errors
    /// If the keeper refuses.
    pub async fn open(
        &self,
        key: &BlindedKey,
        descriptor: Descriptor,
    ) -> Result<Opened, EarthError> {
        let open = Open::sign(&self.network, key, descriptor, &self.binding, &self.node);
        let answer = self.call(&Request::Open(open)).await?;
        Ok(Opened::decode(&answer.body)?)
    }

    /// Reads on in an open mailbox.
    ///
    /// # Errors
    /// If the keeper refuses.
    pub async fn fetch(&self, handle: u16, after: u64) -> Result<Page, EarthError> {
        let max_bytes = earth::MAX_FETCH_BYTES as u32;
        let answer = self
            .call(&Request::Fetch(Fetch {
                handle,
                after,
                max_bytes,
            }))
            .await?;
        let page = Fetched::decode(&answer.body)?;
        let items = page
            .items
            .iter()
            .map(|item| (item.seq, answer.body.slice_ref(item.deposit)));
        Ok(Page {
            items: items.collect(),
            more: page.more,
        })
    }

    /// Asks that what arrives in an open mailbox be pushed; take it from [`Self::next`].
    ///
    /// # Errors
    /// If the keeper refuses.
    pub async fn watch(&self, handle: u16) -> Result<(), EarthError> {
        self.call(&Request::Watch { handle }).await.map(|_| ())
    }

    /// Sends a signed request of the owner that is not bound to this connection, DELETE or REVOKE, as its bytes.
    ///
    /// # Errors
    /// If the keeper refuses.
    pub async fn forward(&self, kind: u8, body: &[u8]) -> Result<(), EarthError> {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.channel.request(kind, body));
        let answer = answer.await.map_err(|_| EarthError::Timeout)??;
        refusal(answer).map(|_| ()).map_err(|refusal| refusal.error)
    }

    /// Waits for the next push; `None` once the connection has ended. It has to be called steadily: while nobody takes pushes, answers
    /// wait too.
    pub async fn next(&self) -> Option<Pushed> {
        loop {
            let Inbound::Push {
                kind: earth::ARRIVED,
                body,
            } = self.channel.next().await?
            else {
                continue;
            };
            let Ok(arrived) = Arrived::decode(&body) else {
                continue;
            };
            let (handle, seq) = (arrived.handle, arrived.seq);
            return Some(if arrived.deposit.is_empty() {
                Pushed::Missed { handle }
            } else {
                Pushed::Deposit {
                    handle,
                    seq,
                    record: body.slice_ref(arrived.deposit),
                }
            });
        }
    }

    /// Ends the connection after what was sent.
    pub async fn close(&self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.channel.finish()).await;
        self.connection.close(hermes_link::CLOSE_DONE, "");
    }

    async fn call(&self, request: &Request<'_>) -> Result<Answer, EarthError> {
        self.ask(request).await.map_err(|refusal| refusal.error)
    }

    async fn ask(&self, request: &Request<'_>) -> Result<Answer, Refusal> {
        let mut body = Vec::new();
        request.encode(&mut body);
        let answer =
            tokio::time::timeout(ANSWER_TIMEOUT, self.channel.request(request.kind(), body));
        let answer = answer
            .await
            .map_err(|_| EarthError::Timeout)?
            .map_err(EarthError::from)?;
        refusal(answer)
    }
}

struct Refusal {
    error: EarthError,
    /// The bits of a stamp that the keeper asks for.
    bits: Option<u32>,
}

impl From<EarthError> for Refusal {
    fn from(error: EarthError) -> Self {
        Self { error, bits: None }
    }
}

fn refusal(answer: Answer) -> Result<Answer, Refusal> {
    if !answer.is_error() {
        return Ok(answer);
    }
    let error = ErrorAnswer::decode(&answer.body).map_err(EarthError::from)?;
    Err(Refusal {
        bits: error.text().parse().ok(),
        error: EarthError::Refused {
            code: error.code,
            retry_after_s: error.retry_after_s,
        },
    })
}

async fn work(subject: StampSubject, bits: u32) -> Result<earth::Stamp, EarthError> {
    if bits > STAMP_BITS_MAX {
        return Err(EarthError::StampTooHard { bits });
    }
    let found = tokio::task::spawn_blocking(move || subject.search(bits, 1, 64 << bits)).await;
    found
        .ok()
        .flatten()
        .ok_or(EarthError::StampTooHard { bits })
}

fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
