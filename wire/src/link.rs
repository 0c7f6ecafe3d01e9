//! Constants of direct links (protocol section 12).

use data_encoding::HEXLOWER;

/// Push: a session message.
pub const PACKET: u8 = 0x01;
/// Request: are you there?
pub const PING: u8 = 0x02;
/// Push: the sender closes for good reason.
pub const BYE: u8 = 0x03;

/// Ends every server name.
const SUFFIX: &str = ".invalid";

/// The server name by which a caller asks the callee for the key that goes with a tag.
#[must_use]
pub fn server_name(tag: &[u8; 16]) -> String {
    format!("{}{SUFFIX}", HEXLOWER.encode(tag))
}

/// The tag in a server name, if it is one of ours.
#[must_use]
pub fn tag_of(server_name: &str) -> Option<[u8; 16]> {
    let hex = server_name.strip_suffix(SUFFIX)?;
    HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok()
}
