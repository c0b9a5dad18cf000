use std::time::Instant;

use super::*;
use crate::testing::{for_seeds, ms, secs};

fn config() -> DegradationConfig {
    DegradationConfig::default()
        .feature("core", Importance::Core)
        .feature("first", Importance::NonCore { off_at: 1 })
        .feature("second", Importance::NonCore { off_at: 2 })
}

/// Pressures at seconds, and the level after each.
#[track_caller]
fn check(script: &[(u64, f64, u8)]) {
    let (degradation, epoch) = (config().build().unwrap(), Instant::now());
    for (at_s, pressure, expected) in script {
        let before = degradation.level();
        let change = degradation.observe(*pressure, epoch + secs(*at_s));
        assert_eq!(degradation.level(), *expected, "at {at_s} s of {script:?}");
        let expected = LevelChange {
            from: before,
            to: *expected,
        };
        assert_eq!(change, (expected.from != expected.to).then_some(expected));
    }
}

#[test]
fn a_level_is_entered_after_the_hold_and_not_by_a_spike() {
    check(&[(0, 0.79, 0), (9, 0.79, 0)]);
    check(&[(0, 0.8, 0), (1, 0.8, 1)]);
    check(&[(0, 0.9, 0), (0, 0.5, 0), (1, 0.9, 0), (2, 0.9, 1)]);
}

#[test]
fn it_goes_up_by_as_many_levels_as_needed_at_once() {
    check(&[(0, 2.0, 0), (1, 2.0, 2)]);
    check(&[(0, 0.9, 0), (1, 2.0, 1), (2, 2.0, 2)]);
}

#[test]
fn between_leave_and_enter_nothing_changes() {
    check(&[
        (0, 0.9, 0),
        (1, 0.9, 1),
        (2, 0.6, 1),
        (99, 0.79, 1),
        (999, 0.6, 1),
    ]);
}

#[test]
fn it_goes_down_one_level_at_a_time_each_after_its_own_hold() {
    check(&[
        (0, 2.0, 0),
        (1, 2.0, 2),
        (2, 0.1, 2),
        (11, 0.1, 2),
        (12, 0.1, 1),
        (13, 0.1, 1),
        (22, 0.1, 1),
        (23, 0.1, 0),
    ]);
    check(&[
        (0, 2.0, 0),
        (1, 2.0, 2),
        (2, 0.1, 2),
        (8, 0.8, 2),
        (9, 0.1, 2),
        (18, 0.1, 2),
        (19, 0.1, 1),
    ]);
}

#[test]
fn not_a_number_is_no_observation() {
    check(&[
        (0, 0.9, 0),
        (1, f64::NAN, 0),
        (1, 0.9, 1),
        (50, f64::NAN, 1),
    ]);
}

#[test]
fn features_go_off_by_their_level_and_core_ones_never() {
    let degradation = config().build().unwrap();
    let on = || ["core", "first", "second"].map(|name| degradation.feature(name).unwrap().is_on());
    assert_eq!(on(), [true, true, true]);
    degradation.fix(1);
    assert_eq!(on(), [true, false, true]);
    degradation.fix(2);
    assert_eq!(on(), [true, false, false]);
}

#[test]
fn an_operator_can_switch_any_feature_and_fix_the_level() {
    let (degradation, now) = (config().build().unwrap(), Instant::now());
    let feature = |name| degradation.feature(name).unwrap();
    assert_eq!(degradation.fix(200), Some(LevelChange { from: 0, to: 2 }));
    assert_eq!(degradation.observe(0.0, now), None);
    assert_eq!(degradation.observe(0.0, now + secs(999)), None);
    feature("first").switch(Switch::On);
    feature("core").switch(Switch::Off);
    assert!(feature("first").is_on() && !feature("core").is_on());
    feature("core").switch(Switch::Auto);
    assert!(feature("core").is_on());
    degradation.release();
    degradation.observe(0.0, now + secs(1000));
    assert!(degradation.observe(0.0, now + secs(1010)).is_some());
    let unknown = degradation.feature("frist").unwrap_err();
    assert!(unknown.to_string().contains("\"frist\""));
}

/// A load that features add to: without hysteresis it would flap at every observation.
#[test]
fn a_load_that_falls_when_features_are_off_does_not_make_it_flap() {
    let (degradation, mut now) = (config().build().unwrap(), Instant::now());
    let mut changes = 0;
    for _ in 0..36_000 {
        now += ms(100);
        let load = 0.7 + if degradation.level() == 0 { 0.15 } else { 0.0 };
        changes += u32::from(degradation.observe(load, now).is_some());
    }
    assert_eq!((changes, degradation.level()), (1, 1));
}

#[test]
fn it_never_changes_more_often_than_the_holds_allow() {
    for_seeds(100, |random| {
        let (degradation, mut now) = (config().build().unwrap(), Instant::now());
        let (mut up, mut down) = (None, None);
        for _ in 0..2000 {
            now += ms(random.below(700));
            let pressure =
                random.below(120) as f64 / 100.0 * if random.chance(0.5) { 0.1 } else { 1.0 };
            let Some(LevelChange { from, to }) = degradation.observe(pressure, now) else {
                continue;
            };
            assert!(to <= 2 && (to > from || to + 1 == from));
            let last = [up, down].into_iter().flatten().max();
            if to < from {
                assert!(
                    last.is_none_or(|last: Instant| now - last >= secs(10)),
                    "down too soon"
                );
            }
            *if to > from { &mut up } else { &mut down } = Some(now);
        }
    });
}

#[test]
fn each_bound_is_refused_by_the_name_of_its_field() {
    let new = DegradationConfig::new;
    let many = (1..=17).fold(new(), |config, level| config.level(f64::from(level), 0.0));
    let bad = [
        ("level (how many)", new()),
        ("level (how many)", many),
        ("level(enter)", new().level(0.0, 0.0)),
        ("level(enter)", new().level(f64::NAN, 0.0)),
        ("level(enter)", new().level(0.8, 0.6).level(0.8, 0.6)),
        ("level(leave)", new().level(0.8, 0.9)),
        ("level(leave)", new().level(0.8, 0.6).level(0.9, 0.5)),
        ("hold_up", config().hold_up(secs(3601))),
        ("hold_down", config().hold_down(secs(3601))),
        ("feature(name)", config().feature("core", Importance::Core)),
        (
            "feature(off_at)",
            config().feature("third", Importance::NonCore { off_at: 3 }),
        ),
        (
            "feature(off_at)",
            config().feature("never", Importance::NonCore { off_at: 0 }),
        ),
    ];
    for (field, config) in bad {
        assert_eq!(config.build().unwrap_err().field, field);
    }
}
