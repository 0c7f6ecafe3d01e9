//! What a home remembers beside its store: the network it belongs to and where to begin.
//!
//! The first `run` or `init` writes `config.toml`; later starts, automatic ones too, use it. A start with other words is refused, because
//! an identity belongs to one network. A network that is not built in is kept as `network.toml` beside it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use hermes_wire::Network;
use hermes_wire::network::NetworkError;
use hermes_wire::node::{NodeUri, Role, UriError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::notify::Show;

/// What a home is configured with.
#[derive(Debug, Clone)]
pub struct Home {
    /// The network.
    pub network: Network,
    /// Sky nodes to begin with.
    pub sky: Vec<NodeUri>,
    /// What notices on the desktop tell.
    pub notifications: Show,
}

/// Why a home cannot be used as it is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HomeError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The configuration cannot be read.
    #[error("{path}: {message}")]
    Config {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The network's parameters.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A network that is neither built in nor a file.
    #[error("there is no network {name:?}: use main, lab or a file with its parameters")]
    UnknownNetwork {
        /// What was asked for.
        name: String,
    },
    /// A sky node that cannot be read.
    #[error("{text:?} is no sky node: {source}")]
    Sky {
        /// What was given.
        text: String,
        /// What is wrong.
        source: UriError,
    },
    /// A node that is no sky node.
    #[error("{text:?} is a keeper, not a sky node")]
    NotSky {
        /// What was given.
        text: String,
    },
    /// The home belongs to another network.
    #[error(
        "this home belongs to the network {here}, not {asked}; use another --home for another network"
    )]
    OtherNetwork {
        /// Its own.
        here: String,
        /// What was asked for.
        asked: String,
    },
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    network: Option<String>,
    #[serde(default)]
    sky: Vec<String>,
    notifications: Option<Notifications>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Notifications {
    None,
    Sender,
    Preview,
}

impl Home {
    /// Reads the configuration in `dir` and takes up what was asked for; what is new is written down.
    ///
    /// # Errors
    /// If the files cannot be read or written, or contradict what is asked for.
    pub fn take(dir: &Path, network: Option<&str>, sky: &[String]) -> Result<Self, HomeError> {
        let path = dir.join("config.toml");
        let mut file = read(&path)?;
        for text in sky.iter().chain(&file.sky) {
            parse_sky(text)?;
        }
        let asked = network
            .map(|name| {
                // The name under which a network of one's own is kept here is as good as its file.
                let is_kept = file.network.as_deref() == Some(name);
                resolve(name, is_kept.then_some(dir))
            })
            .transpose()?;
        let here = file
            .network
            .as_deref()
            .map(|name| resolve(name, Some(dir)))
            .transpose()?;
        let network = match (here, asked) {
            (Some(here), Some(asked)) if here != asked => {
                return Err(HomeError::OtherNetwork {
                    here: here.name().to_owned(),
                    asked: asked.name().to_owned(),
                });
            }
            (Some(here), _) => here,
            (None, Some(asked)) => asked,
            (None, None) => Network::main(),
        };
        let mut changed = file.network.is_none();
        if changed {
            file.network = Some(keep(&network, dir)?);
        }
        for text in sky {
            if !file.sky.contains(text) {
                file.sky.push(text.clone());
                changed = true;
            }
        }
        if changed {
            write(&path, &file)?;
        }
        let nodes = file
            .sky
            .iter()
            .map(|text| parse_sky(text))
            .collect::<Result<_, _>>()?;
        let notifications = match file.notifications {
            Some(Notifications::None) => Show::Nothing,
            Some(Notifications::Preview) => Show::Preview,
            Some(Notifications::Sender) | None => Show::Sender,
        };
        Ok(Self {
            network,
            sky: nodes,
            notifications,
        })
    }
}

fn parse_sky(text: &str) -> Result<NodeUri, HomeError> {
    let uri: NodeUri = text.parse().map_err(|source| HomeError::Sky {
        text: text.to_owned(),
        source,
    })?;
    match uri.role {
        Role::Sky => Ok(uri),
        Role::Earth => Err(HomeError::NotSky {
            text: text.to_owned(),
        }),
    }
}

/// A network by name or by the path of its parameters.
///
/// # Errors
/// If it is neither.
pub fn network(text: &str) -> Result<Network, HomeError> {
    resolve(text, None)
}

/// A network by name, by the path of its parameters, or, if a folder is given, the one that is kept there.
fn resolve(name: &str, kept_in: Option<&Path>) -> Result<Network, HomeError> {
    if let Some(known) = Network::named(name) {
        return Ok(known);
    }
    let given = Some(PathBuf::from(name));
    let kept = kept_in.map(|dir| dir.join("network.toml"));
    let mut files = [given, kept].into_iter().flatten();
    let Some(path) = files.find(|path| path.is_file()) else {
        return Err(HomeError::UnknownNetwork {
            name: name.to_owned(),
        });
    };
    let text = fs::read_to_string(&path).map_err(|source| HomeError::Io {
        path: path.clone(),
        source,
    })?;
    Ok(Network::from_toml(&text)?)
}

/// Keeps a network's parameters if it is not built in; gives the name to write down.
fn keep(network: &Network, dir: &Path) -> Result<String, HomeError> {
    if Network::named(network.name()).as_ref() != Some(network) {
        let path = dir.join("network.toml");
        let text = toml::to_string(network.params()).map_err(|error| HomeError::Config {
            path: path.clone(),
            message: error.to_string(),
        })?;
        replace(&path, &text)?;
    }
    Ok(network.name().to_owned())
}

fn read(path: &Path) -> Result<File, HomeError> {
    match fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|error| HomeError::Config {
            path: path.to_owned(),
            message: error.to_string(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(File::default()),
        Err(source) => Err(HomeError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

fn write(path: &Path, file: &File) -> Result<(), HomeError> {
    let text = toml::to_string(file).map_err(|error| HomeError::Config {
        path: path.to_owned(),
        message: error.to_string(),
    })?;
    replace(path, &text)
}

fn replace(path: &Path, text: &str) -> Result<(), HomeError> {
    let io = |source| HomeError::Io {
        path: path.to_owned(),
        source,
    };
    let temporary = path.with_extension("toml.new");
    let mut file = fs::File::create(&temporary).map_err(io)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(io)?;
    fs::rename(&temporary, path).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SKY: &str =
        "hermes-sky://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@127.0.0.1:4433";

    #[test]
    fn the_first_start_decides_and_later_ones_agree() {
        let dir = tempfile::tempdir().unwrap();
        let first = Home::take(dir.path(), Some("lab"), &[SKY.to_owned()]).unwrap();
        assert_eq!((first.network.name(), first.sky.len()), ("lab", 1));
        let later = Home::take(dir.path(), None, &[]).unwrap();
        assert_eq!((later.network, later.sky), (first.network, first.sky));
        let other = Home::take(dir.path(), Some("main"), &[]);
        assert!(matches!(other, Err(HomeError::OtherNetwork { .. })));
    }

    #[test]
    fn a_network_of_ones_own_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mine.toml");
        fs::write(&file, "name = \"mine\"\nepoch_s = 20\nexpiry_max_s = 600\nexpiry_default_s = 300\nexpiry_unit_s = 1\ngrace_s = 60\n").unwrap();
        let first = Home::take(dir.path(), file.to_str(), &[]).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(
            Home::take(dir.path(), None, &[]).unwrap().network,
            first.network
        );
    }

    #[test]
    fn wrong_words_are_refused_and_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            Home::take(dir.path(), Some("nonet"), &[]),
            Err(HomeError::UnknownNetwork { .. })
        ));
        assert!(matches!(
            Home::take(dir.path(), None, &["sky".to_owned()]),
            Err(HomeError::Sky { .. })
        ));
        let keeper = SKY.replace("sky", "earth");
        assert!(matches!(
            Home::take(dir.path(), None, &[keeper]),
            Err(HomeError::NotSky { .. })
        ));
        assert!(!dir.path().join("config.toml").exists());
        fs::write(dir.path().join("config.toml"), "netwrok = \"lab\"").unwrap();
        assert!(matches!(
            Home::take(dir.path(), None, &[]),
            Err(HomeError::Config { .. })
        ));
    }
}
