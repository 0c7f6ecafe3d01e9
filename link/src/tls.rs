//! TLS for QUIC: version 1.3, `ring`, Ed25519 raw public keys, and nothing that outlives a connection.
//!
//! Sessions are never resumed: a ticket, a token or 0-RTT data would tie two connections together for the node that sees both, and
//! 0-RTT data can be replayed.

use std::sync::{Arc, LazyLock};

use quinn::{
    NoneTokenStore, TransportConfig, ValidationTokenConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    Error, SignatureScheme,
    client::{AlwaysResolvesClientRawPublicKeys, ResolvesClientCert, Resumption},
    crypto::{
        CryptoProvider,
        ring::{self, cipher_suite, kx_group},
    },
    server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage},
    sign::CertifiedKey,
    version::TLS13,
};

use crate::{
    config::Alpn,
    identity::Identity,
    verify::{Callers, Pin},
};

/// rustls wants a name even where none is sent: with SNI off it reaches nobody. `.invalid` can never be a host (RFC 6761 §6.4).
pub(crate) const NO_NAME: &str = "hermes.invalid";

/// First packets that may wait for the screening, which takes microseconds; beyond this, new ones are dropped.
const INCOMING_MAX: usize = 1024;

/// Further bytes kept for a connection between its first packet and the screening.
const INCOMING_BUFFER: u64 = 16 * 1024;

/// The same for all such connections together.
const INCOMING_BUFFER_TOTAL: u64 = 1024 * 1024;

/// The `ring` provider, cut down to what the protocol uses. AES-128-GCM comes first: QUIC needs it for its first packets anyway.
static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
        ],
        kx_groups: vec![kx_group::X25519],
        ..ring::default_provider()
    })
});

/// TLS settings of one dial.
pub(crate) fn client(
    alpn: Alpn,
    pin: Arc<Pin>,
    present: Option<&Identity>,
) -> Result<rustls::ClientConfig, Error> {
    let resolver: Arc<dyn ResolvesClientCert> = match present {
        Some(identity) => Arc::new(AlwaysResolvesClientRawPublicKeys::new(identity.certified())),
        None => Arc::new(Nobody),
    };
    let mut config = rustls::ClientConfig::builder_with_provider(PROVIDER.clone())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(pin)
        .with_client_cert_resolver(resolver);
    config.alpn_protocols = vec![alpn.name().to_vec()];
    config.enable_sni = false;
    config.enable_early_data = false;
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// TLS settings for accepting `callers` as `identity`.
pub(crate) fn server(
    alpns: &[Alpn],
    identity: &Identity,
    callers: Callers,
) -> Result<rustls::ServerConfig, Error> {
    let mut config = rustls::ServerConfig::builder_with_provider(PROVIDER.clone())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(callers))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(
            identity.certified(),
        )));
    config.alpn_protocols = alpns.iter().map(|alpn| alpn.name().to_vec()).collect();
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// QUIC settings of one dial.
pub(crate) fn quic_client(
    tls: rustls::ClientConfig,
    transport: Arc<TransportConfig>,
) -> Result<quinn::ClientConfig, Error> {
    let crypto =
        QuicClientConfig::try_from(tls).map_err(|_| Error::General("no AES-128-GCM".to_owned()))?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config
        .token_store(Arc::new(NoneTokenStore))
        .transport_config(transport);
    Ok(config)
}

/// QUIC settings for accepting.
pub(crate) fn quic_server(
    tls: rustls::ServerConfig,
    transport: Arc<TransportConfig>,
) -> Result<quinn::ServerConfig, Error> {
    let crypto =
        QuicServerConfig::try_from(tls).map_err(|_| Error::General("no AES-128-GCM".to_owned()))?;
    let mut no_tokens = ValidationTokenConfig::default();
    no_tokens.sent(0);
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config
        .validation_token_config(no_tokens)
        .transport_config(transport)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BUFFER)
        .incoming_buffer_size_total(INCOMING_BUFFER_TOTAL);
    Ok(config)
}

/// A dialler that shows no key, but would show a raw one: users' and nodes' first packets have the same form.
#[derive(Debug)]
struct Nobody;

impl ResolvesClientCert for Nobody {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
