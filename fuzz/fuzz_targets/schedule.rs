#![no_main]

use wgrad::train::Schedule;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(schedule) = text.parse::<Schedule>() else { return };
    assert_eq!(schedule.to_string().parse::<Schedule>().expect("its own text"), schedule);
    for (step, steps, per_epoch) in [(0, 1, 1), (0, 0, 0), (5, 10, 3), (u64::MAX, u64::MAX, 1), (7, u64::MAX, 0)] {
        let rate = schedule.rate(0.1, step, steps, per_epoch);
        assert!(!rate.is_nan(), "{schedule} at step {step} of {steps}");
    }
});
