//! The system's keyring, behind a seam of three calls.
//!
//! Linux has the Secret Service behind the feature `keyring`. On other systems, and without the feature, every call
//! answers [`VaultError::Unsupported`]; macOS and Windows need one implementation of [`Vault`] each over the
//! matching store of `keyring-core`.

use std::sync::Arc;

use zeroize::Zeroizing;

/// Why a keyring did not serve.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There is no keyring on this system or in this build.
    #[error("this build has no keyring for this system")]
    Unsupported,
    /// The keyring has no entry for this store.
    #[error("it has no entry for this store")]
    NoEntry,
    /// The keyring is not running, is locked, or refused.
    #[error("{0}")]
    Failed(String),
}

/// A place outside the store that keeps a secret for this user.
pub trait Vault: Send + Sync {
    /// The secret filed under `user`.
    fn load(&self, user: &str) -> Result<Zeroizing<Vec<u8>>, VaultError>;
    /// Files `secret` under `user`, replacing what was there.
    fn save(&self, user: &str, secret: &[u8]) -> Result<(), VaultError>;
    /// Removes what is filed under `user`; nothing there is no error.
    fn remove(&self, user: &str) -> Result<(), VaultError>;
}

/// The keyring of this system. Nothing is asked of it before the first call, since on servers none is running.
pub(crate) fn system() -> Arc<dyn Vault> {
    #[cfg(all(feature = "keyring", target_os = "linux"))]
    {
        Arc::new(keyring::Keyring::secret_service())
    }
    #[cfg(not(all(feature = "keyring", target_os = "linux")))]
    {
        Arc::new(NoVault)
    }
}

/// The keyring of a system that has none.
pub struct NoVault;

impl Vault for NoVault {
    fn load(&self, _: &str) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        Err(VaultError::Unsupported)
    }

    fn save(&self, _: &str, _: &[u8]) -> Result<(), VaultError> {
        Err(VaultError::Unsupported)
    }

    fn remove(&self, _: &str) -> Result<(), VaultError> {
        Err(VaultError::Unsupported)
    }
}

/// Any store of `keyring-core`, connected at the first call.
#[cfg(all(feature = "keyring", any(target_os = "linux", test)))]
pub(crate) mod keyring {
    use std::sync::{Arc, OnceLock};

    use keyring_core::{Entry, Error, api::CredentialStore};
    use zeroize::Zeroizing;

    use super::{Vault, VaultError};

    /// Service name of the entries.
    const KEYRING_SERVICE: &str = "hermes";

    type Connect = fn() -> Result<Arc<CredentialStore>, Error>;

    pub(crate) struct Keyring {
        connect: Connect,
        store: OnceLock<Arc<CredentialStore>>,
    }

    impl Keyring {
        pub(crate) fn new(connect: Connect) -> Self {
            Self {
                connect,
                store: OnceLock::new(),
            }
        }

        #[cfg(target_os = "linux")]
        pub(crate) fn secret_service() -> Self {
            Self::new(|| {
                let store = zbus_secret_service_keyring_store::Store::new()?;
                Ok(store as Arc<CredentialStore>)
            })
        }

        fn entry(&self, user: &str) -> Result<Entry, VaultError> {
            let store = match self.store.get() {
                Some(store) => store,
                None => {
                    let store = (self.connect)().map_err(failed)?;
                    self.store.get_or_init(|| store)
                }
            };
            store.build(KEYRING_SERVICE, user, None).map_err(failed)
        }
    }

    fn failed(error: Error) -> VaultError {
        match error {
            Error::NoEntry => VaultError::NoEntry,
            other => VaultError::Failed(other.to_string()),
        }
    }

    impl Vault for Keyring {
        fn load(&self, user: &str) -> Result<Zeroizing<Vec<u8>>, VaultError> {
            self.entry(user)?
                .get_secret()
                .map(Zeroizing::new)
                .map_err(failed)
        }

        fn save(&self, user: &str, secret: &[u8]) -> Result<(), VaultError> {
            self.entry(user)?.set_secret(secret).map_err(failed)
        }

        fn remove(&self, user: &str) -> Result<(), VaultError> {
            match self.entry(user)?.delete_credential() {
                Ok(()) | Err(Error::NoEntry) => Ok(()),
                Err(error) => Err(failed(error)),
            }
        }
    }
}
