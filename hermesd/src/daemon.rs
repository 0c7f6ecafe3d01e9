//! What the handlers share: the owner, the network side, and the way from no store to an open one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use hermes_api::error::{ApiError, ErrorCode};
use hermes_api::paths::Paths;
use hermes_api::types::{
    EarthStatus, Identity, IdentityInitParams, KeepingStatus, Passphrase, Protection, SkyStatus,
    StatusResponse, StoreChangePassphraseParams, Time,
};
use hermes_wire::Network;
use tokio::sync::{Mutex, watch};
use zeroize::Zeroizing;

use crate::core::open::OpenError as LoadError;
use crate::core::{CoreHandle, Open, Phase, now};
use crate::home::Home;
use crate::keep::Keep;
use crate::net::NetHandle;
use crate::notify::Notices;
use crate::rpc::identity::bad_name;
use crate::store::{LockedStore, OpenError, OsEntropy, SlotKind, Store, StoreError, Unlock};

/// The daemon, as the handlers see it; cheap to clone.
#[derive(Clone)]
pub struct Daemon(Arc<Inner>);

struct Inner {
    core: CoreHandle,
    net: NetHandle,
    keep: Keep,
    paths: Paths,
    home: Home,
    closed: Mutex<ClosedStore>,
    started: Time,
    clock: Instant,
    stop: watch::Sender<bool>,
    insecure: bool,
    passphrase: Option<Zeroizing<String>>,
}

/// A store that is not open; held while one is being opened, so that nobody else opens it.
enum ClosedStore {
    None,
    Locked(LockedStore),
    Open,
}

/// What a daemon is made of.
pub struct Parts {
    /// The owner.
    pub core: CoreHandle,
    /// The network side.
    pub net: NetHandle,
    /// The keeper, if there is one.
    pub keep: Keep,
    /// Where things are.
    pub paths: Paths,
    /// What the home is configured with.
    pub home: Home,
    /// Told when the daemon shall end.
    pub stop: watch::Sender<bool>,
    /// Whether a new store does without a passphrase unless the call says otherwise.
    pub insecure: bool,
    /// The passphrase of a new store unless the call gives one.
    pub passphrase: Option<Zeroizing<String>>,
}

impl Daemon {
    /// A daemon whose store is not open yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            core: parts.core,
            net: parts.net,
            keep: parts.keep,
            paths: parts.paths,
            home: parts.home,
            closed: Mutex::new(ClosedStore::None),
            started: time_now(),
            clock: Instant::now(),
            stop: parts.stop,
            insecure: parts.insecure,
            passphrase: parts.passphrase,
        }))
    }

    /// The owner.
    #[must_use]
    pub fn core(&self) -> &CoreHandle {
        &self.0.core
    }

    /// The network side.
    #[must_use]
    pub fn net(&self) -> &NetHandle {
        &self.0.net
    }

    /// Where things are.
    #[must_use]
    pub fn paths(&self) -> &Paths {
        &self.0.paths
    }

    /// The network of this home.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.0.home.network
    }

    /// Asks the daemon to end.
    pub fn ask_to_stop(&self) {
        self.0.stop.send_replace(true);
    }

    /// A clock for the delays after wrong passphrases.
    fn ticks_ms(&self) -> u64 {
        u64::try_from(self.0.clock.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes hold of the store at the start, and opens it if that needs nobody: without passphrase, with one in a file, or by the keyring.
    ///
    /// # Errors
    /// If there is a store that cannot be used.
    pub async fn begin(&self, passphrase: Option<Zeroizing<String>>) -> Result<(), ApiError> {
        let mut closed = self.0.closed.lock().await;
        let locked = match Store::open(&self.0.paths.store_dir()) {
            Ok(locked) => locked,
            Err(OpenError::NoStore) => return Ok(()),
            Err(error) => return Err(refused(&error)),
        };
        let slots = locked.slots();
        let unlock = match (passphrase, slots.as_slice()) {
            (Some(passphrase), _) => Some(Unlock::Passphrase(passphrase)),
            (None, slots) if slots.contains(&SlotKind::Insecure) => Some(Unlock::Insecure),
            (None, slots) if slots.contains(&SlotKind::Keyring) => Some(Unlock::Keyring),
            _ => None,
        };
        *closed = ClosedStore::Locked(locked);
        self.0.core.locked();
        match unlock {
            Some(unlock) => match self.open(&mut closed, unlock).await {
                Err(error) if error.is(ErrorCode::NotInitialized) => Ok(()),
                opened => opened,
            },
            None => Ok(()),
        }
    }

    async fn open(&self, closed: &mut ClosedStore, unlock: Unlock) -> Result<(), ApiError> {
        let locked = match std::mem::replace(closed, ClosedStore::None) {
            ClosedStore::Locked(locked) => locked,
            ClosedStore::Open => {
                *closed = ClosedStore::Open;
                return Ok(());
            }
            ClosedStore::None => {
                return Err(ApiError::new(
                    ErrorCode::NotInitialized,
                    "there is no identity here yet",
                )
                .hint("hermes-cli init --name NAME"));
            }
        };
        let ticks = self.ticks_ms();
        let opened = tokio::task::spawn_blocking(move || {
            locked.unlock(&unlock, ticks, Box::new(OsEntropy::new()))
        });
        let store = match opened.await {
            Ok(Ok(store)) => store,
            Ok(Err(refusal)) => {
                let refusal = *refusal;
                *closed = ClosedStore::Locked(refusal.locked);
                return Err(refused(&refusal.error));
            }
            Err(_) => {
                return Err(ApiError::new(
                    ErrorCode::Internal,
                    "unlocking failed; see the daemon's log",
                ));
            }
        };
        let (network, notices) = (
            self.0.home.network.clone(),
            Notices::new(self.0.home.notifications),
        );
        let seed = seed()?;
        let loaded =
            tokio::task::spawn_blocking(move || Open::load(store, network, seed, notices, now()));
        let open = match loaded.await {
            Ok(Ok(open)) => open,
            Ok(Err(LoadError::Unfinished)) => {
                self.set_aside().await?;
                return Err(ApiError::new(
                    ErrorCode::NotInitialized,
                    "there is no identity here yet: its making was interrupted",
                )
                .hint("hermes-cli init --name NAME"));
            }
            failed => {
                // The store is there all the same, and whoever asks again shall not hear that there is none.
                if let Ok(locked) = Store::open(&self.0.paths.store_dir()) {
                    *closed = ClosedStore::Locked(locked);
                }
                return Err(match failed {
                    Ok(Err(error)) => unloadable(&error),
                    _ => ApiError::new(ErrorCode::Internal, "loading failed; see the daemon's log"),
                });
            }
        };
        self.0.core.open(Box::new(open)).await?;
        *closed = ClosedStore::Open;
        Ok(())
    }

    /// Puts a store without an identity out of the way of a new one. It is not deleted: if its tables are lost by another fault, its key
    /// may still be of use.
    async fn set_aside(&self) -> Result<(), ApiError> {
        let dir = self.0.paths.store_dir();
        let mut aside = dir.clone().into_os_string();
        aside.push(format!(".unfinished-{}", now().unix_ms));
        tracing::warn!("a store whose making was interrupted is put aside");
        let renamed = tokio::task::spawn_blocking(move || std::fs::rename(dir, aside)).await;
        match renamed {
            Ok(Ok(())) => {
                self.0.core.emptied();
                Ok(())
            }
            Ok(Err(error)) => Err(ApiError::new(ErrorCode::StorageFailed, error.to_string())),
            Err(_) => Err(ApiError::new(
                ErrorCode::Internal,
                "it failed; see the daemon's log",
            )),
        }
    }

    /// `store.unlock`
    ///
    /// # Errors
    /// If the passphrase is wrong or the store cannot be read.
    pub async fn unlock(&self, passphrase: Passphrase) -> Result<(), ApiError> {
        let mut closed = self.0.closed.lock().await;
        self.open(&mut closed, Unlock::Passphrase(text_of(&passphrase)))
            .await
    }

    /// `store.lock`
    ///
    /// # Errors
    /// If nobody could unlock it again.
    pub async fn lock(&self) -> Result<(), ApiError> {
        let mut closed = self.0.closed.lock().await;
        match &*closed {
            ClosedStore::None => {
                return Err(ApiError::new(
                    ErrorCode::NotInitialized,
                    "there is no identity here yet",
                ));
            }
            ClosedStore::Locked(_) => return Ok(()),
            ClosedStore::Open => {}
        }
        let slots = self.0.core.call(|open, _| Ok(open.store().slots())).await?;
        if !slots.contains(&SlotKind::Passphrase) {
            return Err(ApiError::new(
                ErrorCode::Unsupported,
                "this store has no passphrase, so locking it protects nothing",
            )
            .hint("hermes-cli store passwd"));
        }
        if let Some(locked) = self.0.core.close().await? {
            *closed = ClosedStore::Locked(locked);
        }
        Ok(())
    }

    /// `store.change_passphrase`
    ///
    /// # Errors
    /// If the old one is wrong or the disk fails.
    pub async fn change_passphrase(
        &self,
        params: StoreChangePassphraseParams,
    ) -> Result<(), ApiError> {
        let _held = self.0.closed.lock().await;
        let slots = self.0.core.call(|open, _| Ok(open.store().slots())).await?;
        let old = match (&params.old, slots.as_slice()) {
            (Some(old), slots) if slots.contains(&SlotKind::Passphrase) => {
                Unlock::Passphrase(text_of(old))
            }
            (_, slots) if slots.contains(&SlotKind::Insecure) => Unlock::Insecure,
            (_, slots) if slots.contains(&SlotKind::Keyring) => Unlock::Keyring,
            _ => {
                return Err(ApiError::new(
                    ErrorCode::WrongPassphrase,
                    "the old passphrase is needed",
                ));
            }
        };
        let new = wanted(params.protection, params.new.as_ref())?;
        let ticks = self.ticks_ms();
        let rewrap = self
            .0
            .core
            .call(move |open, _| {
                open.store()
                    .rewrap(old, vec![new], ticks, Box::new(OsEntropy::new()))
                    .map_err(|error| refused(&error))
            })
            .await?;
        let rewrapped = tokio::task::spawn_blocking(move || rewrap.run()).await;
        let rewrapped = rewrapped
            .map_err(|_| ApiError::new(ErrorCode::Internal, "it failed; see the daemon's log"))?;
        self.0
            .core
            .call(move |open, _| {
                open.store()
                    .finish_rewrap(rewrapped, ticks)
                    .map_err(|error| refused(&error))
            })
            .await
    }

    /// `identity.init`
    ///
    /// # Errors
    /// If there is an identity already, the name cannot be taken, or the disk fails.
    pub async fn init(&self, params: IdentityInitParams) -> Result<Identity, ApiError> {
        let mut closed = self.0.closed.lock().await;
        if !matches!(*closed, ClosedStore::None) {
            return Err(ApiError::new(
                ErrorCode::AlreadyInitialized,
                "there is an identity here already",
            )
            .hint("hermes-cli id show"));
        }
        if let Some(asked) = &params.network {
            let asked = crate::home::network(asked)
                .map_err(|error| ApiError::new(ErrorCode::InvalidParams, error.to_string()))?;
            if asked != self.0.home.network {
                let what = format!(
                    "this hermesd was started for the network {}",
                    self.0.home.network.name()
                );
                return Err(ApiError::new(ErrorCode::Unsupported, what)
                    .hint("start it with the right --network, in a home of its own"));
            }
        }
        if !params.sky.is_empty() {
            let dir = self.0.paths.config_dir();
            let home = Home::take(dir, None, &params.sky)
                .map_err(|error| ApiError::new(ErrorCode::InvalidParams, error.to_string()))?;
            self.0.net.add_sky(&home.sky);
        }
        hermes_underworld::proto::check_name(&params.name).map_err(|error| bad_name(&error))?;
        let unlock = match (params.protection, &params.passphrase, &self.0.passphrase) {
            (None, None, Some(passphrase)) => Unlock::Passphrase(passphrase.clone()),
            (None, None, None) if self.0.insecure => Unlock::Insecure,
            _ => wanted(params.protection, params.passphrase.as_ref())?,
        };
        let (dir, network) = (self.0.paths.store_dir(), self.0.home.network.clone());
        let notices = Notices::new(self.0.home.notifications);
        let seed = seed()?;
        let name = params.name.clone();
        let made = tokio::task::spawn_blocking(move || -> Result<Open, ApiError> {
            let store = Store::create(&dir, &unlock, Box::new(OsEntropy::new()))
                .map_err(|error| refused(&error))?;
            Open::create(store, network, &name, seed, notices, now())
                .map_err(|error| unloadable(&error))
        });
        let open = made
            .await
            .map_err(|_| ApiError::new(ErrorCode::Internal, "it failed; see the daemon's log"))??;
        self.0.core.open(Box::new(open)).await?;
        *closed = ClosedStore::Open;
        drop(closed);
        self.identity().await
    }

    /// `identity.show`
    ///
    /// # Errors
    /// If the store is not open.
    pub async fn identity(&self) -> Result<Identity, ApiError> {
        self.0
            .core
            .call(|open, _| {
                let slots = open.store().slots();
                let people = open.people();
                Ok(Identity {
                    identity: people.identity().to_string(),
                    name: people.name().to_owned(),
                    network: people.network().name().to_owned(),
                    protection: match slots.first() {
                        Some(SlotKind::Passphrase) => Protection::Passphrase,
                        Some(SlotKind::Keyring) => Protection::Keyring,
                        _ => Protection::None,
                    },
                    created_at: Time::from_unix_ms(
                        i64::try_from(open.created_ms()).unwrap_or(i64::MAX),
                    ),
                })
            })
            .await
    }

    /// `status`
    pub async fn status(&self) -> StatusResponse {
        let inner = &self.0;
        let people = inner
            .core
            .call(|open, _| {
                let bytes = open.reader().store_bytes().unwrap_or_default();
                let established = open
                    .people()
                    .contacts()
                    .filter(|info| {
                        info.state == hermes_underworld::proto::ContactState::Established
                    })
                    .count();
                let people = open.people();
                Ok((
                    people.name().to_owned(),
                    people.identity().to_string(),
                    people.outbox_len() as u64,
                    bytes,
                    established as u64,
                    open.unread(),
                ))
            })
            .await
            .ok();
        let (bytes_kept, deposits) = inner.keep.held();
        let net = inner.net.status();
        let phase = inner.core.phase();
        StatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            name: people.as_ref().map(|p| p.0.clone()),
            identity: people.as_ref().map(|p| p.1.clone()),
            initialized: !matches!(phase, Phase::Empty),
            locked: matches!(phase, Phase::Locked),
            network: Some(inner.home.network.name().to_owned()),
            sky: SkyStatus {
                connected: net.sky_connected,
                known: net.sky_known,
                registered: net.registered,
            },
            earth: EarthStatus {
                known: net.earth_known,
                watching: net.watching,
            },
            keeping: KeepingStatus {
                enabled: inner.keep.is_on(),
                deposits,
                bytes: bytes_kept,
            },
            outbox: people.as_ref().map_or(0, |p| p.2),
            epoch: inner.home.network.epoch(now().unix_s()).0,
            store_bytes: people.as_ref().map_or(0, |p| p.3),
            contacts: people.as_ref().map_or(0, |p| p.4),
            unread: people.as_ref().map_or(0, |p| p.5),
            started_at: inner.started,
            pid: std::process::id(),
            socket: inner.paths.socket().display().to_string(),
            warnings: self.warnings(),
        }
    }

    /// What a person should know.
    fn warnings(&self) -> Vec<String> {
        let lost = "no sky node is known: give one with --sky, or accept a friend's invite";
        let is_lost = self.0.net.is_lost();
        is_lost.then(|| lost.to_owned()).into_iter().collect()
    }

    /// The directory of the store, for the doctor.
    #[must_use]
    pub fn store_dir(&self) -> PathBuf {
        self.0.paths.store_dir()
    }

    /// Sky nodes from the configuration.
    #[must_use]
    pub fn configured_sky(&self) -> usize {
        self.0.home.sky.len()
    }
}

fn time_now() -> Time {
    Time::from_unix_ms(i64::try_from(now().unix_ms).unwrap_or(i64::MAX))
}

fn seed() -> Result<[u8; 32], ApiError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| {
        ApiError::new(
            ErrorCode::Internal,
            format!("the system gives no randomness: {error}"),
        )
    })?;
    Ok(seed)
}

fn text_of(passphrase: &Passphrase) -> Zeroizing<String> {
    Zeroizing::new(passphrase.expose().to_owned())
}

/// How the store shall be opened from now on.
fn wanted(
    protection: Option<Protection>,
    passphrase: Option<&Passphrase>,
) -> Result<Unlock, ApiError> {
    match (protection, passphrase) {
        (None | Some(Protection::Passphrase), Some(passphrase)) => {
            Ok(Unlock::Passphrase(text_of(passphrase)))
        }
        (Some(Protection::Keyring), None) => Ok(Unlock::Keyring),
        (Some(Protection::None), None) => Ok(Unlock::Insecure),
        (None | Some(Protection::Passphrase), None) => Err(ApiError::new(
            ErrorCode::InvalidParams,
            "a passphrase is needed",
        )
        .hint("give one, or say --insecure-no-passphrase to do without")),
        (Some(_), Some(_)) => Err(ApiError::new(
            ErrorCode::InvalidParams,
            "a passphrase and another protection exclude each other",
        )),
    }
}

/// When opening a store is tried again after the system failed.
const SYSTEM_RETRY_MS: u64 = 1_000;

/// Why a store is not opened, for the caller.
pub fn refused(error: &OpenError) -> ApiError {
    let text = error.to_string();
    match error {
        OpenError::WrongPassphrase { retry_after_ms } => {
            ApiError::new(ErrorCode::WrongPassphrase, text).retry_after_ms(*retry_after_ms)
        }
        OpenError::TooSoon { retry_after_ms } => {
            ApiError::new(ErrorCode::WrongPassphrase, text).retry_after_ms(*retry_after_ms)
        }
        OpenError::NoStore => ApiError::new(ErrorCode::NotInitialized, text),
        OpenError::Exists => ApiError::new(ErrorCode::AlreadyInitialized, text),
        OpenError::NoSlot(_) => ApiError::new(ErrorCode::Unsupported, text),
        // The system, not what is stored: it may be better in a moment.
        OpenError::Io { .. } | OpenError::Store(StoreError::DiskFull | StoreError::Io { .. }) => {
            ApiError::new(ErrorCode::StorageFailed, text).retry_after_ms(SYSTEM_RETRY_MS)
        }
        _ => ApiError::new(ErrorCode::StorageFailed, text),
    }
}

fn unloadable(error: &LoadError) -> ApiError {
    match error {
        LoadError::Name(error) => bad_name(error),
        other => ApiError::new(ErrorCode::StorageFailed, other.to_string()),
    }
}
