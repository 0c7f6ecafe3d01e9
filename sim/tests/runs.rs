//! Whole runs, and what the program says of them.

use std::{
    path::Path,
    process::{Command, Output},
};

use hermes_sim::{Outcome, Scenario, ScenarioError, run, scenario::Fault};

const SMOKE: &str = include_str!("../scenarios/smoke.toml");
const QUICK: &str = include_str!("../scenarios/quick.toml");

fn scenario(text: &str) -> Result<Scenario, ScenarioError> {
    Scenario::parse(text, Path::new("."))
}

fn smoke(seed: u64) -> Outcome {
    run(
        scenario(SMOKE).expect("a scenario"),
        seed,
        None,
        &mut |_| (),
    )
    .expect("it runs")
}

fn program(folder: &Path, arguments: &[&str]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hermes-sim"));
    let output = command
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("it runs");
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    (output, text)
}

#[test]
fn equal_seeds_give_equal_traces_and_others_do_not() {
    let (once, again, other) = (smoke(3), smoke(3), smoke(4));
    assert_eq!(once.hash, again.hash);
    assert_eq!(once.json("smoke", 3), again.json("smoke", 3));
    assert_ne!(once.hash, other.hash);
}

#[test]
fn smoke_breaks_nothing_and_all_of_it_takes_place() {
    let outcome = smoke(1);
    assert_eq!(outcome.violations, []);
    let (counts, figures) = (outcome.counts, outcome.figures);
    assert!(counts.accepted > 40, "people write: {outcome}");
    assert_eq!(
        counts.delivered + counts.expired_told,
        counts.accepted,
        "{outcome}"
    );
    assert!(counts.expired_told > 0, "senders are told: {outcome}");
    assert!(
        figures.kills > 0 && figures.disks_lost > 0 && figures.replayed > 0,
        "faults happen: {outcome}"
    );
    assert!(
        figures.links > 0 && figures.receipts > 100,
        "both ways are used: {outcome}"
    );
}

#[test]
fn a_run_of_another_size_keeps_the_proportion() {
    let mut scenario = scenario(SMOKE).expect("a scenario");
    scenario.resize(60).expect("possible");
    assert_eq!((scenario.people.count, scenario.keepers.count), (12, 48));
}

#[test]
fn the_canary_fails_and_its_replay_goes_the_same_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let (output, text) = program(folder.path(), &["canary", "--seed", "5", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let last: serde_json::Value =
        serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_ne!(last["violations"], 0, "{text}");
    assert_eq!(last["scenario"], "canary");
    assert_eq!(last["seed"], 5);

    let file = folder.path().join("canary-5.replay.toml");
    let (output, text) = program(folder.path(), &["--replay", "canary-5.replay.toml"]);
    assert!(
        output.status.success() && text.contains("the same"),
        "{text}"
    );
    assert!(
        text.contains("the last steps") && text.contains("cycle"),
        "{text}"
    );

    let recorded = std::fs::read_to_string(&file).expect("a replay file");
    std::fs::write(&file, recorded.replace("seed = 5", "seed = 6")).expect("written");
    let (output, text) = program(folder.path(), &["--replay", "canary-5.replay.toml"]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("ANOTHER"), "{text}");
}

#[test]
fn a_good_run_ends_with_0_and_one_object() {
    let folder = tempfile::tempdir().expect("a folder");
    let (output, text) = program(folder.path(), &["smoke", "--seed", "2", "--json"]);
    assert!(output.status.success(), "{text}");
    let last: serde_json::Value =
        serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    for field in [
        "scenario",
        "seed",
        "nodes",
        "simulated_s",
        "trace_hash",
        "accepted",
        "delivered",
        "lost",
        "doubled",
        "misordered",
        "expired_told",
        "violations",
    ] {
        assert!(!last[field].is_null(), "{field}: {last}");
    }
    assert_eq!((&last["lost"], &last["violations"]), (&0.into(), &0.into()));
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("a folder").count(),
        0,
        "no replay file of a good run"
    );
}

#[test]
fn bad_scenarios_are_refused_with_the_key_that_is_wrong() {
    let refused = |from: &str, to: &str| {
        assert!(SMOKE.contains(from), "{from}");
        scenario(&SMOKE.replacen(from, to, 1))
            .expect_err("refused")
            .to_string()
    };
    let error = refused("heal_days", "heel_days");
    assert!(error.contains("heel_days"), "{error}");
    let error = refused("disk = \"lost\"", "disc = \"lost\"");
    assert!(error.contains("disc"), "{error}");
    let error = refused("share = 0.5", "share = 1.5");
    assert!(
        error.contains("fault 1: share must be from 0 to 1"),
        "{error}"
    );
    let error = refused("at_h = 9.0", "at_h = 12.0");
    assert!(
        error.contains("fault 5: at_h + for_h must lie within `days`"),
        "{error}"
    );
    let error = refused("churn = \"home\"", "churn = \"hove\"");
    assert!(error.contains("no model `hove`"), "{error}");
    let error = refused("churn = \"home\"", "churn = \"trace:nowhere.txt\"");
    assert!(error.contains("nowhere.txt"), "{error}");
    let error = refused("friends = 2", "friends = 3");
    assert!(error.contains("people.friends must be even"), "{error}");

    let folder = tempfile::tempdir().expect("a folder");
    let (output, _) = program(folder.path(), &["nosuch"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(told.contains("no scenario `nosuch`"), "{told}");
}

#[test]
fn quick_has_every_kind_of_fault() {
    let quick = scenario(QUICK).expect("a scenario");
    let mut kinds: Vec<String> = quick
        .fault
        .iter()
        .map(|fault| {
            format!("{fault:?}")
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "Byzantine",
            "Crash",
            "FailingDisk",
            "Kill",
            "Loss",
            "Partition",
            "Skew",
            "SlowDisk"
        ]
    );
    assert!(quick.fault.iter().any(|fault| matches!(fault, Fault::Crash { disk, .. } if *disk == hermes_sim::scenario::DiskFate::Lost)));
    assert_eq!(quick.days, 2.0);
}
