//! Whole runs, and what the program says of them.

use std::process::Command;

use hermes_sim::{Settings, run};

const SMALL: Settings = Settings {
    seed: 3,
    users: 4,
    hours: 3,
    loss_percent: 15,
};

#[test]
fn equal_seeds_give_equal_results_and_others_do_not() {
    let outcome = run(SMALL);
    assert_eq!(outcome, run(SMALL));
    assert_ne!(outcome, run(Settings { seed: 4, ..SMALL }));
}

#[test]
fn nothing_is_lost_doubled_or_misordered_in_bad_weather() {
    let outcome = run(SMALL);
    assert!(outcome.accepted > 20, "people write: {outcome:?}");
    assert!(outcome.is_good(), "{outcome:?}");
}

#[test]
fn where_nothing_arrives_the_program_says_so() {
    let all_is_lost = ["--users", "2", "--hours", "2", "--loss", "100"];
    let output = Command::new(env!("CARGO_BIN_EXE_hermes-sim"))
        .args(all_is_lost)
        .output()
        .expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let last: serde_json::Value =
        serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["ok"], false, "{text}");
    assert_ne!(last["lost"], 0, "{text}");
    assert_eq!(output.status.code(), Some(1), "{text}");
}
