use super::*;
use crate::{
    Table,
    proto::LoadError,
    testing::{Rows, World},
};

/// Reads a value and writes it again.
fn again(
    world: &World,
    table: Table,
    key: &[u8],
    value: &[u8],
) -> Result<Zeroizing<Vec<u8>>, RecordError> {
    Ok(match table {
        Table::Identity => identity::encode(&identity::decode(value)?),
        Table::Generation => generation::encode(&generation::decode(world.network(), value)?),
        Table::Root => match root::read_key(key)? {
            root::Owner::Home { .. } => root::encode(&root::decode(value)?),
            root::Owner::Contact { .. } => root::encode_view(&root::decode_view(value)?),
        },
        Table::Contact => contact::encode(&contact::decode(value)?),
        Table::Flow => flow::encode(&flow::decode(value)?),
        Table::Session => {
            let (session, replaced_s) = session::decode(value)?;
            session::encode(&session, replaced_s)
        }
        Table::Outbox => frame::encode_out(&frame::decode_out(value)?),
        Table::Held => frame::encode_held(&frame::decode_held(value)?),
        Table::Deposit => deposit::encode(&deposit::decode(value)?),
        Table::DepositBody => deposit::encode_body(&deposit::decode_body(value)?),
        Table::Seen => {
            seen::decode(value)?;
            seen::encode()
        }
        Table::Invite => invite::encode(&invite::decode(invite::read_key(key)?, value)?),
    })
}

/// A world in which every table has rows, in every stage that a contact goes through.
fn lived() -> (World, Vec<Rows>) {
    let mut world = World::with_params(700, 6, |params| {
        params.rekey_messages = 4;
        params.rekey_min_s = 1;
    });
    let (alice, bob, carol) = (world.add("alice"), world.add("bob"), world.add("carol"));
    let mut rows = Vec::new();
    let (to_bob, to_alice) = world.befriend(alice, bob);
    let link = world.invite(alice, true);
    world.accept(carol, &link);
    rows.push(world.node(carol).rows().clone());
    world.run(2_000);
    rows.push(world.node(alice).rows().clone());
    for n in 0..12 {
        world.say(alice, to_bob, &format!("{n}"));
        world.say(bob, to_alice, &format!("{n}"));
        world.run(3);
        rows.push(world.node(alice).rows().clone());
        rows.push(world.node(bob).rows().clone());
        world.run(400);
    }
    // A gap: the first message is with keepers that are gone, the second with others.
    world.crash(bob);
    world.weather.direct = false;
    world.run(2_000);
    (3..6).for_each(|keeper| world.stop_keeper(keeper));
    world.say(alice, to_bob, "first");
    world.run(1_000);
    rows.push(world.node(alice).rows().clone());
    (3..6).for_each(|keeper| world.start_keeper(keeper));
    (0..3).for_each(|keeper| world.stop_keeper(keeper));
    world.say(alice, to_bob, "second");
    world.run(1_000);
    world.crash(alice);
    world.start(bob);
    world.run(3_000);
    rows.push(world.node(bob).rows().clone());
    // A recovery that waits for its answer.
    world.crash(bob);
    let mut lost = world.node(bob).rows().clone();
    lost.retain(|(table, _), _| *table != Table::Session);
    world.start_from(bob, lost);
    world.run(3_000);
    rows.push(world.node(bob).rows().clone());
    world.start(alice);
    world.run(3_000);
    rows.push(world.node(alice).rows().clone());
    (world, rows)
}

#[test]
fn every_row_reads_and_writes_the_same() {
    let (world, lives) = lived();
    let mut tables = std::collections::BTreeSet::new();
    for ((table, key), value) in lives.iter().flatten() {
        tables.insert(*table);
        let written = again(&world, *table, key, value).expect("readable");
        assert_eq!(&*written, value, "{}", table.name());
    }
    let all: std::collections::BTreeSet<_> = Table::ALL.into_iter().collect();
    assert_eq!(tables, all, "every table had a row");
}

#[test]
fn mangled_rows_never_panic_and_later_versions_are_refused() {
    let (world, lives) = lived();
    let mut tried = std::collections::BTreeMap::<Table, usize>::new();
    for ((table, key), value) in lives.iter().flatten() {
        let times = tried.entry(*table).or_default();
        *times += 1;
        if *times > 2 {
            continue;
        }
        let step = (value.len() / 50).max(1);
        for at in (0..value.len()).step_by(step) {
            let _ = again(&world, *table, key, &value[..at]);
            for bit in [0x01, 0x80, 0xff] {
                let mut mangled = value.clone();
                mangled[at] ^= bit;
                let _ = again(&world, *table, key, &mangled);
            }
            let _ = again(&world, *table, &key[..key.len().min(at)], value);
        }
        let mut longer = value.clone();
        longer.push(0);
        // Some values end with bytes of any length.
        let open_end = matches!(
            table,
            Table::Outbox | Table::DepositBody | Table::Root | Table::Session
        );
        assert!(
            open_end || again(&world, *table, key, &longer).is_err(),
            "{}",
            table.name()
        );
        let mut later = value.clone();
        later[0] = 2;
        let refused = again(&world, *table, key, &later).err();
        assert_eq!(
            refused,
            Some(RecordError::Version { got: 2 }),
            "{}",
            table.name()
        );
    }
}

#[test]
fn a_damaged_store_does_not_load_and_says_where() {
    let (world, lives) = lived();
    let rows = lives.last().expect("some");
    let load = |rows: &Rows| {
        let rows = rows
            .iter()
            .map(|((table, key), value)| (*table, key.clone(), value.clone()));
        crate::Underworld::load(world.network().clone(), rows, [1; 32], world.now()).err()
    };
    assert_eq!(load(rows), None);
    assert_eq!(load(&Rows::new()), Some(LoadError::NoIdentity));
    for table in [
        Table::Contact,
        Table::Flow,
        Table::Session,
        Table::Generation,
        Table::Identity,
    ] {
        let mut damaged = rows.clone();
        let row = damaged
            .iter_mut()
            .find(|((of, _), _)| *of == table)
            .expect("a row");
        row.1.truncate(5);
        let error = load(&damaged);
        assert!(
            matches!(error, Some(LoadError::Row { table: at, .. }) if at == table),
            "{error:?}"
        );
    }
    let mut orphan = rows.clone();
    orphan.retain(|(table, _), _| *table != Table::Contact);
    assert!(matches!(load(&orphan), Some(LoadError::Orphan { .. })));
}

#[test]
fn keys_sort_by_contact_and_number() {
    let mut keys: Vec<_> = [(2, 1), (1, 300), (1, 2), (256, 0)]
        .map(|(contact, seq)| frame_key(ContactId(contact), seq))
        .to_vec();
    keys.sort();
    let read: Vec<_> = keys
        .iter()
        .map(|key| read_frame_key(key).expect("a key"))
        .collect();
    let expected =
        [(1, 2), (1, 300), (2, 1), (256, 0)].map(|(contact, seq)| (ContactId(contact), seq));
    assert_eq!(read, expected);
    assert!(read_frame_key(&[0; 11]).is_err() && read_frame_key(&[0; 13]).is_err());
}
