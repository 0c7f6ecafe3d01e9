//! Receipts: a keeper's word that it holds a deposit on its disk (protocol section 10).
//!
//! One signature covers all deposits of one synced commit. Each receipt carries the path from its own leaf to the
//! signed root.

use ed25519_dalek::SigningKey;

use crate::codec::{DecodeError, Put, Reader, Wire};
use crate::deposit::Located;
use crate::ids::{DepositId, MailboxId, NodeKey};
use crate::kdf::h;
use crate::network::Network;
use crate::sign::{self, Sig, SignatureError};
use crate::slots::{Hash, Merkle, root_of_path};

/// The most levels of a receipt's path; so one signature covers at most 4 096 deposits.
pub const MAX_DEPTH: usize = 12;

/// What a receipt is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Receipted {
    /// The deposit.
    pub deposit: DepositId,
    /// The mailbox it lies in.
    pub mailbox: MailboxId,
    /// Until when it is kept (an expiry stamp).
    pub expiry: u32,
}

impl From<&Located> for Receipted {
    fn from(l: &Located) -> Self {
        Self {
            deposit: l.id,
            mailbox: l.mailbox,
            expiry: l.expiry,
        }
    }
}

impl Receipted {
    fn leaf(&self) -> Hash {
        h(&[
            b"hermes/1 receipt",
            self.deposit.as_bytes(),
            self.mailbox.as_bytes(),
            &self.expiry.to_le_bytes(),
        ])
    }
}

/// A keeper's receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Who keeps.
    pub node: NodeKey,
    /// What is kept.
    pub about: Receipted,
    /// When the batch was signed (Unix seconds).
    pub time: u64,
    /// Our leaf in the batch.
    pub index: u32,
    /// The path from there.
    pub path: Vec<Hash>,
    /// The signature over time and root.
    pub sig: Sig,
}

impl Receipt {
    /// Checks that `self.node` signed this.
    ///
    /// # Errors
    /// If the signature does not hold.
    pub fn verify(&self, net: &Network) -> Result<(), SignatureError> {
        let root = root_of_path(self.about.leaf(), self.index, &self.path);
        sign::verify(
            net,
            self.node.as_bytes(),
            "receipt",
            &[&self.time.to_le_bytes(), &root],
            &self.sig,
        )
    }
}

impl Wire for Receipt {
    fn encode(&self, out: &mut Vec<u8>) {
        self.node.encode(out);
        self.about.deposit.encode(out);
        self.about.mailbox.encode(out);
        out.put_u32(self.about.expiry);
        out.put_u64(self.time);
        out.put_u32(self.index);
        let path = self.path.get(..MAX_DEPTH).unwrap_or(&self.path);
        out.put_u8(u8::try_from(path.len()).unwrap_or_default());
        for hash in path {
            out.put(hash);
        }
        out.put(&self.sig);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let node = NodeKey::read(r)?;
        let about = Receipted {
            deposit: DepositId::read(r)?,
            mailbox: MailboxId::read(r)?,
            expiry: r.u32()?,
        };
        let time = r.u64()?;
        let index = r.u32()?;
        let depth = r.count8("receipt depth", 0, MAX_DEPTH)?;
        if index >> depth != 0 {
            return Err(DecodeError::Value {
                field: "receipt index",
                value: index.into(),
            });
        }
        let path = (0..depth).map(|_| r.array()).collect::<Result<_, _>>()?;
        Ok(Self {
            node,
            about,
            time,
            index,
            path,
            sig: r.array()?,
        })
    }
}

/// The receipts of one synced commit.
#[derive(Debug)]
pub struct ReceiptBatch;

impl ReceiptBatch {
    /// Signs for all items at once, in their order: one signature for every 4 096 of them.
    #[must_use]
    pub fn sign(net: &Network, key: &SigningKey, time: u64, items: &[Receipted]) -> Vec<Receipt> {
        items
            .chunks(1 << MAX_DEPTH)
            .flat_map(|chunk| Self::sign_chunk(net, key, time, chunk))
            .collect()
    }

    fn sign_chunk(net: &Network, key: &SigningKey, time: u64, items: &[Receipted]) -> Vec<Receipt> {
        let node = NodeKey(key.verifying_key().to_bytes());
        let tree = Merkle::new(items.iter().map(Receipted::leaf).collect());
        let sig = sign::sign(net, key, "receipt", &[&time.to_le_bytes(), tree.root()]);
        let with_path = |(index, about): (u32, &Receipted)| {
            let path = tree
                .path(usize::try_from(index).unwrap_or(usize::MAX))
                .unwrap_or_default();
            Receipt {
                node,
                about: *about,
                time,
                index,
                path,
                sig,
            }
        };
        (0..).zip(items).map(with_path).collect()
    }
}
