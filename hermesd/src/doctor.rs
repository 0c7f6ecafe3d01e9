//! What may be wrong, and what to do about it.

use hermes_api::types::{Check, CheckOutcome, DoctorResponse};
use hermes_wire::Network;

use crate::core::{Phase, now};
use crate::daemon::Daemon;

/// A clock more than this far before the protocol's zero time, or behind its last file, is wrong.
const MIN_FREE_BYTES: u64 = 64 << 20;

impl Daemon {
    /// `doctor`
    pub async fn doctor(&self) -> DoctorResponse {
        let checks = vec![
            self.store(),
            self.clock(),
            self.disk().await,
            self.socket(),
            self.sky(),
            self.presence(),
            self.earth(),
        ];
        DoctorResponse { checks }
    }

    fn store(&self) -> Check {
        match self.core().phase() {
            Phase::Open(_) => ok("store", "open"),
            Phase::Locked => warn(
                "store",
                "locked: nothing is received or sent",
                "hermes-cli store unlock",
            ),
            Phase::Empty => fail(
                "store",
                "there is no identity here",
                "hermes-cli init --name NAME",
            ),
        }
    }

    fn clock(&self) -> Check {
        let network: &Network = self.network();
        let unix_s = now().unix_s();
        if unix_s < hermes_wire::network::T0 {
            return fail(
                "clock",
                "the clock stands before 2026: addresses and expiry cannot be right",
                "set the clock of this machine",
            );
        }
        ok("clock", &format!("epoch {}", network.epoch(unix_s)))
    }

    async fn disk(&self) -> Check {
        // Writing and syncing a little is the only honest way to ask.
        let path = self.paths().state_dir().join("doctor.probe");
        let probe = tokio::task::spawn_blocking(move || {
            let written = std::fs::write(&path, vec![0; 1 << 16])
                .and_then(|()| std::fs::File::open(&path)?.sync_all());
            let _ = std::fs::remove_file(&path);
            written
        });
        match probe.await {
            Ok(Ok(())) => ok("disk", "takes writes"),
            Ok(Err(error)) => fail(
                "disk",
                &format!("does not take writes: {error}"),
                &format!("free at least {} MiB", MIN_FREE_BYTES >> 20),
            ),
            Err(_) => warn("disk", "could not be asked", "look into the daemon's log"),
        }
    }

    fn socket(&self) -> Check {
        ok("socket", "answers")
    }

    fn sky(&self) -> Check {
        let status = self.net().status();
        match (
            status.sky_connected,
            status.sky_known,
            self.configured_sky(),
        ) {
            (0, 0, 0) => fail(
                "sky",
                "no sky node is known",
                "hermesd run --sky URI, or accept a friend's invite, which names some",
            ),
            (0, known, _) => fail(
                "sky",
                &format!("{known} nodes known, none answers"),
                "look at the network: UDP must get out",
            ),
            (connected, known, _) => ok("sky", &format!("{connected} of {known} nodes connected")),
        }
    }

    fn presence(&self) -> Check {
        if self.net().status().registered {
            ok("presence", "friends can reach this daemon directly")
        } else {
            warn(
                "presence",
                "not registered: friends' messages come by keepers only",
                "wait a moment; if it stays, see sky",
            )
        }
    }

    fn earth(&self) -> Check {
        let status = self.net().status();
        let wanted = u32::from(self.network().params().acks);
        if status.earth_known >= wanted {
            ok("earth", &format!("{} keepers known", status.earth_known))
        } else {
            let detail = format!(
                "{} keepers known, {wanted} are needed to keep a message safely",
                status.earth_known
            );
            warn(
                "earth",
                &detail,
                "messages wait here until a friend is online or keepers appear",
            )
        }
    }
}

fn check(name: &str, outcome: CheckOutcome, detail: &str, hint: Option<&str>) -> Check {
    Check {
        name: name.to_owned(),
        outcome,
        detail: detail.to_owned(),
        hint: hint.map(str::to_owned),
    }
}

fn ok(name: &str, detail: &str) -> Check {
    check(name, CheckOutcome::Ok, detail, None)
}

fn warn(name: &str, detail: &str, hint: &str) -> Check {
    check(name, CheckOutcome::Warn, detail, Some(hint))
}

fn fail(name: &str, detail: &str, hint: &str) -> Check {
    check(name, CheckOutcome::Fail, detail, Some(hint))
}
