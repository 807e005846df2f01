#![no_main]

use wgrad::graph::Augment;
use wgrad::train::ClassWeights;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(augment) = text.parse::<Augment>() {
        assert_eq!(augment.to_string().parse::<Augment>().expect("its own text"), augment);
        for (seed, step) in [(0, 0), (7, 1), (u64::MAX, u32::MAX)] {
            let lambda = augment.lambda(seed, step);
            assert!((0.0..=1.0).contains(&lambda), "{augment}: {lambda}");
        }
    }
    if let Ok(weights) = text.parse::<ClassWeights>() {
        let again = weights.to_string().parse::<ClassWeights>().expect("its own text");
        assert_eq!(again.to_string(), weights.to_string());
    }
});
