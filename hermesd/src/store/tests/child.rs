//! A writer in a process of its own, killed while it writes, and one whose disk fills up.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::*;

const FOLDER: &str = "HERMES_TEST_STORE_FOLDER";

/// Not a test of its own: the other process. Commits as fast as it can and tells of each commit that was made.
#[test]
fn writer() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let disk: Arc<dyn Disk> = Arc::new(DirDisk::new(Path::new(&folder)));
    let mut store = open(&disk);
    let mut n = last_commit(&store);
    println!("opened");
    loop {
        n += 1;
        let mut batch = Batch::new();
        for table in [Table::Outbox, Table::Ratchet] {
            batch.put(table, b"last", n.to_le_bytes());
        }
        batch.put(Table::Messages, &message_key(1, n), vec![n as u8; 3000]);
        batch.event(n, "event");
        match store.commit(batch) {
            Ok(_) => println!("committed {n}"),
            Err(error) => {
                println!("failed {error}");
                let mut batch = Batch::new();
                batch.put(Table::Chats, b"after", "the failure");
                assert!(matches!(store.commit(batch), Err(StoreError::Poisoned)));
                println!("poisoned");
                return;
            }
        }
    }
}

fn last_commit(store: &Store) -> u64 {
    let last = store.get(Table::Outbox, b"last").unwrap();
    last.map_or(0, |last| {
        u64::from_le_bytes(last.as_slice().try_into().unwrap())
    })
}

/// Starts the writer, through a shell script if one is given.
fn start(folder: &Path, script: Option<&str>) -> Child {
    let program = std::env::current_exe().unwrap();
    let mut command = match script {
        Some(script) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", script, "sh"]).arg(program);
            shell
        }
        None => Command::new(program),
    };
    command
        .args(["--exact", "store::tests::child::writer", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// All that was told to have been committed is there, one after the other, and of the next commit all or nothing.
fn check(disk: &Arc<dyn Disk>, told: u64) -> u64 {
    let store = open(disk);
    let last = last_commit(&store);
    assert!(
        last == told || last == told + 1,
        "told of {told}, found {last}"
    );
    let ratchet = store.get(Table::Ratchet, b"last").unwrap();
    assert_eq!(
        ratchet.map(|row| row.to_vec()),
        (last > 0).then(|| last.to_le_bytes().to_vec())
    );
    assert_eq!(store.head().seq, last);
    let mut expected = 0;
    store
        .for_each(Table::Messages, &[], |row| {
            expected += 1;
            assert_eq!(seq_of(&row.key), Some(expected));
            assert_eq!(row.value.as_slice(), vec![expected as u8; 3000]);
            Ok::<_, StoreError>(())
        })
        .unwrap();
    assert_eq!(expected, last);
    last
}

#[test]
fn a_writer_killed_at_any_time_loses_nothing_it_told() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(DirDisk::new(folder.path()));
    create(&disk).close().unwrap();
    let mut told = 0;
    // The longest run makes fjall write tables while it is killed.
    for lines in [1, 2, 30, 700, 5, 1] {
        let mut child = start(folder.path(), None);
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut heard = 0;
        while heard < lines {
            let line = output.next().expect("the writer goes on").unwrap();
            if let Some(n) = line.strip_prefix("committed ") {
                told = n.parse().unwrap();
                heard += 1;
            }
        }
        child.kill().unwrap();
        for line in output {
            // The last line may be cut short by the kill.
            let line = line.unwrap();
            let n = line.strip_prefix("committed ").and_then(|n| n.parse().ok());
            told = n.filter(|n| *n == told + 1).unwrap_or(told);
        }
        child.wait().unwrap();
        told = check(&disk, told);
    }
}

/// The limit on the length of files stands for a full disk: both fail a write in the middle.
#[cfg(target_os = "linux")]
#[test]
fn a_writer_whose_disk_is_full_fails_and_a_new_start_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(DirDisk::new(folder.path()));
    create(&disk).close().unwrap();
    let script = "trap '' XFSZ; ulimit -f 200; exec \"$@\"";
    let child = start(folder.path(), Some(script));
    let output = child.wait_with_output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let committed = lines
        .lines()
        .filter_map(|line| line.strip_prefix("committed "))
        .next_back();
    let told: u64 = committed.expect("some commits fit").parse().unwrap();
    assert!(lines.contains("failed the disk is full"), "{lines}");
    assert!(lines.contains("poisoned"), "{lines}");
    assert!(told > 5);
    let last = check(&disk, told);
    let mut store = open(&disk);
    assert!(store.get(Table::Chats, b"after").unwrap().is_none());
    put(&mut store, Table::Outbox, b"last", &last.to_le_bytes());
}
