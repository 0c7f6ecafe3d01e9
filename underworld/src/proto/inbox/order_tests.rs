use hermes_wire::{ids::MessageId, packet::FrameKind};

use super::*;

fn frame(seq: u64) -> Frame {
    Frame {
        kind: FrameKind::Text,
        critical: false,
        conv_seq: seq,
        msg_id: MessageId([0; 16]),
        sent_at: 0,
        body: vec![b'x'; 10],
    }
}

fn arrive(flow: &mut Inflow, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        assert_eq!(
            flow.accept(frame(n), Via::Link, true),
            Accepted::New,
            "frame {n}"
        );
    }
}

/// Shown frames by number, late ones negative, gaps as text.
fn shown(flow: &mut Inflow, patience: Patience) -> Vec<String> {
    std::iter::from_fn(|| flow.step(patience))
        .map(|step| match step {
            Step::Gap(n) => format!("gap {n}"),
            Step::Show(held) => held.frame.conv_seq.to_string(),
            Step::ShowLate(held) => format!("late {}", held.frame.conv_seq),
        })
        .collect()
}

#[test]
fn frames_are_shown_in_order_and_once() {
    let mut flow = Inflow::default();
    arrive(&mut flow, [2, 3]);
    assert!(shown(&mut flow, Patience::Waiting).is_empty());
    assert!(flow.has_gap());
    arrive(&mut flow, [1, 5]);
    assert_eq!(shown(&mut flow, Patience::Waiting), ["1", "2", "3"]);
    assert_eq!(
        flow.accept(frame(2), Via::Keepers, true),
        Accepted::Duplicate
    );
    assert_eq!(
        flow.accept(frame(5), Via::Keepers, true),
        Accepted::Duplicate
    );
    arrive(&mut flow, [4]);
    assert_eq!(shown(&mut flow, Patience::Waiting), ["4", "5"]);
    assert!(!flow.has_gap());
}

#[test]
fn a_gap_is_told_when_patience_ends_and_its_frames_are_late() {
    let mut flow = Inflow::default();
    arrive(&mut flow, [1, 4, 6]);
    assert_eq!(shown(&mut flow, Patience::Waiting), ["1"]);
    assert_eq!(
        shown(&mut flow, Patience::Over),
        ["gap 2", "4", "gap 1", "6"]
    );
    arrive(&mut flow, [3, 7]);
    assert_eq!(shown(&mut flow, Patience::Waiting), ["late 3", "7"]);
}

#[test]
fn a_floor_passes_what_is_no_longer_offered() {
    let mut flow = Inflow::default();
    arrive(&mut flow, [2, 4, 8]);
    flow.raise_floor(6);
    assert_eq!(
        shown(&mut flow, Patience::Waiting),
        ["gap 1", "2", "gap 1", "4", "gap 1"]
    );
    arrive(&mut flow, [6, 7]);
    assert_eq!(shown(&mut flow, Patience::Waiting), ["6", "7", "8"]);
    flow.raise_floor(3);
    assert_eq!(flow.floor, 6);
}

#[test]
fn frames_for_the_core_take_a_number_and_show_nothing() {
    let mut flow = Inflow::default();
    arrive(&mut flow, [1]);
    assert_eq!(flow.accept(frame(2), Via::Link, false), Accepted::New);
    arrive(&mut flow, [3]);
    assert_eq!(shown(&mut flow, Patience::Waiting), ["1", "3"]);
    assert_eq!(flow.received.contiguous(), 3);
}

#[test]
fn a_jump_of_the_numbering_is_not_a_gap() {
    let mut flow = Inflow::default();
    arrive(&mut flow, [1, 2]);
    assert_eq!(shown(&mut flow, Patience::Waiting), ["1", "2"]);
    flow.jump(1_000_000);
    flow.raise_floor(1_000_000);
    arrive(&mut flow, [1_000_000]);
    assert_eq!(shown(&mut flow, Patience::Waiting), ["1000000"]);
    arrive(&mut flow, [3]);
    assert_eq!(shown(&mut flow, Patience::Waiting), ["late 3"]);
}

#[test]
fn a_frame_inside_a_jump_is_shown_before_those_after_it() {
    let mut flow = Inflow::default();
    arrive(&mut flow, [1]);
    flow.jump(100);
    arrive(&mut flow, [100, 3]);
    assert_eq!(shown(&mut flow, Patience::Waiting), ["1", "3", "100"]);
}

#[test]
fn a_frame_inside_a_jump_that_is_still_offered_is_waited_for() {
    let mut flow = Inflow::default();
    flow.jump(100);
    flow.raise_floor(4);
    arrive(&mut flow, [100]);
    assert!(shown(&mut flow, Patience::Waiting).is_empty());
    assert!(flow.has_gap());
    arrive(&mut flow, [4, 5]);
    assert_eq!(shown(&mut flow, Patience::Waiting), ["4", "5", "100"]);
    let mut impatient = Inflow::default();
    impatient.jump(100);
    impatient.raise_floor(4);
    arrive(&mut impatient, [100]);
    assert_eq!(shown(&mut impatient, Patience::Over), ["100"]);
}

#[test]
fn held_frames_have_a_cap_and_refused_ones_are_not_acknowledged() {
    let mut flow = Inflow::default();
    let cap = u64::try_from(HELD_FRAMES_MAX).expect("small");
    arrive(&mut flow, 2..2 + cap);
    assert_eq!(
        flow.accept(frame(2 + cap), Via::Link, true),
        Accepted::Refused
    );
    assert!(!flow.received.contains(2 + cap));
    arrive(&mut flow, [1]);
    assert_eq!(
        shown(&mut flow, Patience::Waiting).len(),
        HELD_FRAMES_MAX + 1
    );
    arrive(&mut flow, [2 + cap]);
}

#[test]
fn gaps_have_a_cap_and_old_ones_make_room() {
    let mut flow = Inflow::default();
    let odd = |n: u64| 2 * n + 1;
    for n in 1..=1_024 {
        assert_eq!(flow.accept(frame(odd(n)), Via::Link, false), Accepted::New);
    }
    assert_eq!(
        flow.accept(frame(odd(2_000)), Via::Link, false),
        Accepted::Refused
    );
    flow.raise_floor(10);
    assert_eq!(shown(&mut flow, Patience::Waiting), ["gap 5"]);
    assert_eq!(
        flow.accept(frame(odd(2_000)), Via::Link, false),
        Accepted::New
    );
}

#[test]
fn what_is_not_shown_in_its_cycle_is_stored() {
    let mut flow = Inflow::default();
    arrive(&mut flow, [1, 3]);
    assert_eq!(shown(&mut flow, Patience::Waiting), ["1"]);
    assert!(!flow.was_stored(1));
    let stored: Vec<_> = flow.take_unstored().map(|(seq, _)| seq).collect();
    assert_eq!(stored, [3]);
    assert_eq!(flow.take_unstored().count(), 0);
    arrive(&mut flow, [2]);
    assert_eq!(shown(&mut flow, Patience::Waiting), ["2", "3"]);
    assert!(flow.was_stored(3));
}
