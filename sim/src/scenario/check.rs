//! What a scenario may not say.

use hermes_wire::Network;

use super::{Fault, Keepers, People, Scenario, ScenarioError, When};

/// The rule that a value breaks, if it does not hold.
fn rule(holds: bool, key: &str, why: &str) -> Result<(), ScenarioError> {
    let (key, why) = (key.to_owned(), why.to_owned());
    if holds {
        Ok(())
    } else {
        Err(ScenarioError::Value { key, why })
    }
}

fn percent(value: f64, key: &str) -> Result<(), ScenarioError> {
    rule((0.0..=100.0).contains(&value), key, "must be from 0 to 100")
}

fn in_order((least, most): (u64, u64), key: &str) -> Result<(), ScenarioError> {
    rule(least <= most, key, "must be the least and then the most")
}

fn wave(value: f64, key: &str) -> Result<(), ScenarioError> {
    rule(
        (0.0..1.0).contains(&value),
        key,
        "must be from 0 to below 1",
    )
}

impl Scenario {
    pub(super) fn check(&self) -> Result<(), ScenarioError> {
        rule(
            Network::named(&self.network).is_some(),
            "network",
            "is neither main nor lab",
        )?;
        rule(
            self.days > 0.0 && self.days <= 400.0,
            "days",
            "must be above 0, 400 at most",
        )?;
        rule(
            self.heal_days > 0.0 && self.heal_days <= 60.0,
            "heal_days",
            "must be above 0, 60 at most",
        )?;
        in_order(self.latency_ms, "latency_ms")?;
        percent(self.batching_percent, "batching_percent")?;
        self.people.check()?;
        self.keepers.check()?;
        self.models()?;
        for (number, fault) in self.fault.iter().enumerate() {
            fault.check(number + 1, self.days)?;
        }
        Ok(())
    }
}

impl People {
    fn check(&self) -> Result<(), ScenarioError> {
        rule(
            (2..=5_000).contains(&self.count),
            "people.count",
            "must be from 2 to 5000",
        )?;
        let friends = self.friends;
        rule(
            friends >= 2
                && friends.is_multiple_of(2)
                && friends < self.count.max(3)
                && friends <= 40,
            "people.friends",
            "must be even, at least 2, below the number of people and 40 at most",
        )?;
        let writes = (0.0..=10_000.0).contains(&self.messages_per_day);
        rule(writes, "people.messages_per_day", "must be from 0 to 10000")?;
        percent(self.expiring_percent, "people.expiring_percent")?;
        rule(self.expires_h > 0.0, "people.expires_h", "must be above 0")?;
        wave(self.diurnal, "people.diurnal")?;
        percent(self.goodbye_percent, "people.goodbye_percent")?;
        percent(self.closed_percent, "people.closed_percent")
    }
}

impl Keepers {
    fn check(&self) -> Result<(), ScenarioError> {
        rule(
            (1..=20_000).contains(&self.count),
            "keepers.count",
            "must be from 1 to 20000",
        )?;
        wave(self.diurnal, "keepers.diurnal")?;
        percent(self.goodbye_percent, "keepers.goodbye_percent")?;
        in_order(self.commit_ms, "keepers.commit_ms")
    }
}

impl Fault {
    fn check(&self, number: usize, days: f64) -> Result<(), ScenarioError> {
        let key = |what: &str| format!("fault {number}: {what}");
        let When { at_h, for_h } = self.when();
        rule(
            (0.0..=1.0).contains(&self.share()),
            &key("share"),
            "must be from 0 to 1",
        )?;
        rule(
            at_h >= 0.0 && for_h >= 0.0,
            &key("at_h and for_h"),
            "must not be negative",
        )?;
        rule(
            at_h + for_h <= days * 24.0,
            &key("at_h + for_h"),
            "must lie within `days`",
        )?;
        match self {
            Self::Loss { percent: share, .. } | Self::FailingDisk { percent: share, .. } => {
                percent(*share, &key("percent"))
            }
            _ => Ok(()),
        }
    }
}
