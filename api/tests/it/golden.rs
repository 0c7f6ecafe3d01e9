//! The conformance table: what is sent, byte for byte, and what must come back.

use crate::support::Daemon;

const TABLE: &str = include_str!("golden.txt");

struct Case {
    title: &'static str,
    steps: Vec<Step>,
}

enum Step {
    Send(&'static str),
    Expect(&'static str),
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in TABLE.lines() {
        if let Some(title) = line.strip_prefix("# ") {
            cases.push(Case {
                title,
                steps: Vec::new(),
            });
        } else if let Some(case) = cases.last_mut() {
            if let Some(sent) = line.strip_prefix("> ") {
                case.steps.push(Step::Send(sent));
            } else if let Some(expected) = line.strip_prefix("< ") {
                case.steps.push(Step::Expect(expected));
            } else {
                assert!(
                    line.is_empty() || line == ">",
                    "a line without a sign: {line}"
                );
            }
        }
    }
    cases
}

#[tokio::test]
async fn every_line_is_answered_as_the_table_says() {
    for case in cases() {
        let daemon = Daemon::start();
        daemon.state.append(1);
        let mut client = daemon.connect().await;
        for step in case.steps {
            match step {
                Step::Send(line) => client.line(line).await,
                Step::Expect(expected) => {
                    let line = client.read().await.unwrap_or_else(|| "the end".to_owned());
                    assert_eq!(line, expected, "in the case: {}", case.title);
                }
            }
        }
        // Nothing more may come but the end.
        client.finish().await;
        assert_eq!(client.read().await, None, "in the case: {}", case.title);
    }
}
