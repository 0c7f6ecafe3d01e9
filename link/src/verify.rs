//! Who may be at the other end: verifiers of raw public keys.
//!
//! A dialler always pins ([`Pin`]). An acceptor either takes any key or none (nodes) or exactly one (friends), see [`Callers`].
//! Signatures are checked strictly, as everywhere in hermes/1, so that a key of small order proves nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use ed25519_dalek::{Signature, VerifyingKey};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use sha2::{Digest, Sha256};

use crate::identity::key_of_spki;

/// The key that a dialler wants to find at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerKey {
    /// This key and no other.
    Exact([u8; 32]),
    /// A key whose SHA-256 begins with these 8 bytes: what an invite has room for. It holds off accidents and other nodes, and costs
    /// an attacker 2^64 key pairs for one known invite; the handshake of the invite itself does not rest on it.
    HashPrefix([u8; 8]),
}

impl PeerKey {
    /// Whether `key` is the one meant.
    #[must_use]
    pub fn matches(&self, key: &[u8; 32]) -> bool {
        match self {
            Self::Exact(wanted) => wanted == key,
            Self::HashPrefix(wanted) => Sha256::digest(key).starts_with(wanted),
        }
    }
}

/// Pins the acceptor's key for one dial, and remembers whether that was what failed.
#[derive(Debug)]
pub(crate) struct Pin {
    wanted: PeerKey,
    missed: AtomicBool,
}

impl Pin {
    pub(crate) fn new(wanted: PeerKey) -> Self {
        Self {
            wanted,
            missed: AtomicBool::new(false),
        }
    }

    /// Whether the other side showed a key that is not the wanted one.
    pub(crate) fn missed(&self) -> bool {
        self.missed.load(Ordering::Relaxed)
    }
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = lone_key(end_entity, intermediates)?;
        if self.wanted.matches(&key) {
            Ok(ServerCertVerified::assertion())
        } else {
            self.missed.store(true, Ordering::Relaxed);
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Whom an acceptor lets in.
#[derive(Debug)]
pub(crate) enum Callers {
    /// Anybody; a key that is shown must be proved.
    Any,
    /// The holder of this key.
    Only([u8; 32]),
}

impl ClientCertVerifier for Callers {
    fn client_auth_mandatory(&self) -> bool {
        matches!(self, Self::Only(_))
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let key = lone_key(end_entity, intermediates)?;
        match self {
            Self::Only(wanted) if *wanted != key => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            Self::Any | Self::Only(_) => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Reads the one raw key of a certificate message; a chain makes no sense for raw keys.
fn lone_key(
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
) -> Result<[u8; 32], Error> {
    if !intermediates.is_empty() {
        return Err(CertificateError::BadEncoding.into());
    }
    key_of_spki(end_entity).ok_or_else(|| CertificateError::BadEncoding.into())
}

fn check_signature(
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    if dss.scheme != SignatureScheme::ED25519 {
        return Err(PeerIncompatible::NoSignatureSchemesInCommon.into());
    }
    if !is_signed(message, &lone_key(cert, &[])?, dss.signature()) {
        return Err(CertificateError::BadSignature.into());
    }
    Ok(HandshakeSignatureValid::assertion())
}

fn is_signed(message: &[u8], key: &[u8; 32], signature: &[u8]) -> bool {
    match (
        VerifyingKey::from_bytes(key),
        Signature::from_slice(signature),
    ) {
        (Ok(key), Ok(signature)) => key.verify_strict(message, &signature).is_ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ed25519_dalek::{Signer, SigningKey};

    use super::*;
    use crate::identity::{Identity, spki};

    #[test]
    fn hash_prefix_is_the_first_eight_bytes_of_sha_256() {
        let key = [0; 32];
        // SHA-256 of 32 zero bytes: 66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925.
        assert!(
            PeerKey::HashPrefix([0x66, 0x68, 0x7a, 0xad, 0xf8, 0x62, 0xbd, 0x77]).matches(&key)
        );
        assert!(
            !PeerKey::HashPrefix([0x66, 0x68, 0x7a, 0xad, 0xf8, 0x62, 0xbd, 0x76]).matches(&key)
        );
        assert!(
            !PeerKey::HashPrefix([0x66, 0x68, 0x7a, 0xad, 0xf8, 0x62, 0xbd, 0x77])
                .matches(&[1; 32])
        );
    }

    #[test]
    fn exact_means_every_byte() {
        let key = [9; 32];
        assert!(PeerKey::Exact(key).matches(&key));
        for byte in 0..32 {
            let mut other = key;
            other[byte] ^= 1;
            assert!(!PeerKey::Exact(key).matches(&other));
        }
    }

    #[test]
    fn pin_remembers_that_the_key_was_the_trouble() {
        let [mine, other] = [Identity::from_seed([1; 32]), Identity::from_seed([2; 32])]
            .map(|identity| identity.public_key());
        let name = ServerName::try_from("a.invalid").unwrap();
        let check = |pin: &Pin, der: &[u8]| {
            pin.verify_server_cert(
                &CertificateDer::from(der),
                &[],
                &name,
                &[],
                UnixTime::since_unix_epoch(Duration::ZERO),
            )
            .is_ok()
        };
        let pin = Pin::new(PeerKey::Exact(mine));
        assert!(check(&pin, &spki(&mine)));
        assert!(!check(&pin, b"not a key"));
        assert!(!pin.missed(), "garbage is not a wrong key");
        assert!(!check(&pin, &spki(&other)));
        assert!(pin.missed());
    }

    #[test]
    fn signatures_are_checked_strictly() {
        let secret = SigningKey::from_bytes(&[5; 32]);
        let key = secret.verifying_key().to_bytes();
        let signature = secret.sign(b"message").to_bytes();
        assert!(is_signed(b"message", &key, &signature));
        assert!(!is_signed(b"massage", &key, &signature));
        assert!(!is_signed(b"message", &key, &signature[..63]));
        // The neutral point as key, the neutral point and zero as signature: lax verification takes it for any message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut forged = [0; 64];
        forged[0] = 1;
        assert!(VerifyingKey::from_bytes(&neutral).unwrap().is_weak());
        assert!(!is_signed(b"message", &neutral, &forged));
    }
}
