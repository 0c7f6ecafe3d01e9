//! Parameters and time.

use hermes_wire::Network;
use hermes_wire::ids::Epoch;
use hermes_wire::network::{NetworkError, Params, T0};
use proptest::prelude::*;

use super::samples::NOW;

fn refused(change: impl FnOnce(&mut Params)) -> &'static str {
    let mut params = Params::default();
    change(&mut params);
    match Network::new(params) {
        Err(NetworkError::OutOfRange { parameter, .. }) => parameter,
        other => panic!("{other:?}"),
    }
}

#[test]
fn constraints() {
    assert_eq!(refused(|p| p.name.clear()), "name");
    assert_eq!(refused(|p| p.name = "Upper".to_owned()), "name");
    assert_eq!(refused(|p| p.name = "x".repeat(33)), "name");
    assert_eq!(refused(|p| p.epoch_s = 0), "epoch_s");
    assert_eq!(refused(|p| p.epoch_s = 60), "epoch_s");
    assert_eq!(refused(|p| p.presence_parts = 0), "presence_parts");
    assert_eq!(refused(|p| p.presence_parts = 25), "presence_parts");
    assert_eq!(refused(|p| p.expiry_unit_s = 0), "expiry_unit_s");
    assert_eq!(refused(|p| p.acks = 0), "acks");
    assert_eq!(refused(|p| p.acks = 6), "acks");
    assert_eq!(refused(|p| p.copies = 17), "copies");
    assert_eq!(refused(|p| p.diversity = 2), "diversity");
    assert_eq!(
        refused(|p| p.expiry_default_s = p.expiry_max_s + 1),
        "expiry_default_s"
    );
}

#[test]
fn every_parameter_is_part_of_the_identity() {
    let main = Network::main();
    let changes: [fn(&mut Params); 28] = [
        |p| p.name = "other".to_owned(),
        |p| p.epoch_s += 1,
        |p| p.presence_parts += 1,
        |p| p.expiry_unit_s += 1,
        |p| p.expiry_default_s += 1,
        |p| p.expiry_max_s += 1,
        |p| p.grace_s += 1,
        |p| p.slot_bytes += 1,
        |p| p.slot_deposits += 1,
        |p| p.slot_reserved_bytes += 1,
        |p| p.mailbox_shared_bytes += 1,
        |p| p.mailbox_tombstones -= 1,
        |p| p.mailboxes_per_prefix_hour += 1,
        |p| p.copies += 1,
        |p| p.acks += 1,
        |p| p.direct_min += 1,
        |p| p.diversity -= 1,
        |p| p.register_jitter_s += 1,
        |p| p.deposit_jitter_ms += 1,
        |p| p.ack_delay_ms += 1,
        |p| p.lease_s += 1,
        |p| p.knock_grace_ms += 1,
        |p| p.redeposit_s += 1,
        |p| p.gap_wait_s += 1,
        |p| p.invite_max_s += 1,
        |p| p.rekey_s += 1,
        |p| p.rekey_min_s += 1,
        |p| p.rekey_messages += 1,
    ];
    let mut ids = vec![main.id()];
    for change in changes {
        let mut params = Params::default();
        change(&mut params);
        ids.push(Network::new(params).unwrap().id());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 29);
}

#[cfg(feature = "file")]
#[test]
fn network_files() {
    assert_eq!(Network::from_toml("").unwrap(), Network::main());
    let short =
        Network::from_toml("name = \"short\"\nepoch_s = 900\npresence_parts = 2\n").unwrap();
    assert_eq!(
        (short.name(), short.params().epoch_s, short.params().copies),
        ("short", 900, 5)
    );
    assert!(
        matches!(
            Network::from_toml("epoch = 9"),
            Err(NetworkError::File { .. })
        ),
        "unknown key"
    );
    assert!(matches!(
        Network::from_toml("copies = 300"),
        Err(NetworkError::File { .. })
    ));
    assert!(matches!(
        Network::from_toml("name = "),
        Err(NetworkError::File { .. })
    ));
    assert!(matches!(
        Network::from_toml("epoch_s = 0"),
        Err(NetworkError::OutOfRange {
            parameter: "epoch_s",
            ..
        })
    ));
}

#[test]
fn built_in_networks_by_name() {
    assert_eq!(Network::named("main"), Some(Network::main()));
    assert_eq!(Network::named("lab"), Some(Network::lab()));
    assert_eq!(Network::named("other"), None);
    assert_ne!(Network::main().id(), Network::lab().id());
    assert!(Network::main().is_diverse() && !Network::lab().is_diverse());
    assert!(Network::new(Network::lab().params().clone()).is_ok());
}

#[test]
fn expiry_at_keepers() {
    let net = Network::lab();
    let p = net.params();
    assert!(!net.expiry_is_acceptable(net.expiry_stamp(NOW) - 1, NOW));
    assert!(net.expiry_is_acceptable(net.expiry_stamp(NOW + 1), NOW));
    let exactly = net.expiry_time(net.expiry_stamp(NOW));
    assert!(!net.expiry_is_acceptable(net.expiry_stamp(NOW), exactly));
    let latest = net.expiry_stamp(NOW + u64::from(p.expiry_max_s));
    assert!(net.expiry_is_acceptable(latest, NOW));
    assert!(!net.expiry_is_acceptable(latest + 1, NOW));
    assert!(!net.expiry_is_acceptable(u32::MAX, NOW));
}

#[test]
fn edges_of_time() {
    let net = Network::lab();
    assert_eq!(
        (net.epoch(0), net.part(0), net.expiry_stamp(0)),
        (Epoch(0), 0, 0)
    );
    assert_eq!(net.epoch(u64::MAX), Epoch(u32::MAX));
    assert_eq!(net.expiry_stamp(u64::MAX), u32::MAX);
    assert_eq!(Epoch(u32::MAX).next(), Epoch(u32::MAX));
    assert_eq!(
        (Epoch(0).previous(), Epoch(1).previous()),
        (None, Some(Epoch(0)))
    );
    assert_eq!(net.oldest_kept_epoch(T0), Epoch(0));
    assert_eq!(net.oldest_kept_epoch(T0 + 100 * 86_400), Epoch(68));
}

proptest! {
    #[test]
    fn epochs_and_parts_start_where_they_say(epoch_s in 700..200_000_u32, parts in 1..25_u8, ahead in 0..4_000_000_000_u64) {
        let net = Network::new(Params { epoch_s, presence_parts: parts, ..Params::default() }).unwrap();
        let t = T0 + ahead;
        let (e, q) = (net.epoch(t), net.part(t));
        prop_assert!(q < parts);
        prop_assert!(net.epoch_start(e) <= t && t < net.epoch_start(e.next()));
        let start = net.part_start(e, q);
        prop_assert!(start <= t);
        prop_assert_eq!((net.epoch(start), net.part(start)), (e, q));
        if start > net.epoch_start(e) {
            prop_assert_ne!(net.part(start - 1), q);
        }
        let stamp = net.expiry_stamp(t);
        prop_assert!(net.expiry_time(stamp) >= t && net.expiry_time(stamp) - t < 3_600);
    }
}
