use super::*;
use crate::train::Schedule;
use proptest::prelude::*;

#[test]
fn settings_survive_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings {
        steps: Some(7),
        shuffle: false,
        recompute: true,
        amp: true,
        seed: 1 << 40,
        augment: "crop:2,mixup:0.2".parse().unwrap(),
        ..Settings::default()
    };
    let adam = Optimizer::Adam { lr: 3e-4, beta1: 0.8, beta2: 0.99, eps: 1e-6, weight_decay: 0.1, decoupled: true };
    let rmsprop =
        Optimizer::RmsProp { lr: 0.1, alpha: 0.9, eps: 1e-4, momentum: 0.5, centered: true, weight_decay: 0.1 };
    for optimizer in [settings.optimizer, Optimizer::sgd(0.1), Optimizer::adam(0.1), adam, rmsprop, adam] {
        settings.optimizer = optimizer;
        settings.schedule = Schedule::MultiStep { milestones: vec![3, 5], gamma: 0.3 };
        Config::new("m", "digits", &settings).write(folder.path()).unwrap();
        let read = Config::read(folder.path()).unwrap();
        assert_eq!(read.settings().unwrap(), settings);
    }
    settings.accumulate = 4;
    settings.label_smoothing = 0.1;
    settings.class_weights = ClassWeights::Given(vec![1.0, 0.3]);
    settings.groups = Groups { frozen: vec!["features.0".into(), "head".into()], spare_vectors: true };
    settings.average = Some(0.999);
    for clip in [Clip::Norm(0.7), Clip::Value(0.1)] {
        settings.clip = Some(clip);
        Config::new("m", "digits", &settings).write(folder.path()).unwrap();
        assert_eq!(Config::read(folder.path()).unwrap().settings().unwrap(), settings);
    }
    // Numbers stand in the file as they were written down, not as the nearest f64 of an f32.
    let text = std::fs::read_to_string(path(folder.path())).unwrap();
    assert!(text.contains("betas = [0.8, 0.99]") && text.contains("weight-decay = 0.1\n"), "{text}");
}

#[test]
fn a_damaged_file_is_named_with_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    for (text, says) in [("model = 3", "line 1"), ("model = \"x\"\nlearning-rate = 1", "learning-rate"), ("", "model")]
    {
        std::fs::write(path(folder.path()), text).unwrap();
        let error = Config::read(folder.path()).unwrap_err();
        assert_eq!(error.exit_status(), 2);
        assert!(error.to_string().contains("config.toml: ") && error.to_string().contains(says), "{error}");
    }
}

/// A file in which lines and bytes are replaced, put in or taken out.
fn damaged(text: &str, damages: Vec<(prop::sample::Index, usize, String)>) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for (place, removed, added) in damages {
        let place = place.index(letters.len() + 1);
        letters.splice(place..(place + removed).min(letters.len()), added.chars());
    }
    letters.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_never_panics(
        damages in prop::collection::vec((any::<prop::sample::Index>(), 0..9_usize, "[0-9a-z.=\"\\[\n-]{0,6}"), 1..4)
    ) {
        let text = toml::to_string(&Config::new("m", "digits", &Settings::default())).unwrap();
        if let Ok(config) = Config::parse(Path::new("config.toml"), &damaged(&text, damages))
            && let Ok(settings) = config.settings()
            && settings.check().is_ok()
        {
            prop_assert!(settings.steps_per_epoch(100) >= 1 && settings.total_steps(0) >= 1);
        }
    }
}
