#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(config) = wgrad::fuzzing::config(text) else { return };
    if let Ok(settings) = config.settings()
        && settings.check().is_ok()
    {
        for samples in [0, 1, 60_000] {
            let (all, epoch) = (settings.total_steps(samples), settings.steps_per_epoch(samples));
            assert!(epoch >= 1, "{all}");
        }
    }
});
