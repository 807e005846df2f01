use super::*;
use crate::train::Schedule;

#[test]
fn settings_survive_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings {
        steps: Some(7),
        shuffle: false,
        seed: 1 << 40,
        augment: "crop:2,mixup:0.2".parse().unwrap(),
        ..Settings::default()
    };
    let adam = Optimizer::Adam { lr: 3e-4, beta1: 0.8, beta2: 0.99, eps: 1e-6, weight_decay: 0.1, decoupled: true };
    for optimizer in [settings.optimizer, Optimizer::sgd(0.1), Optimizer::adam(0.1), adam] {
        settings.optimizer = optimizer;
        settings.schedule = Schedule::MultiStep { milestones: vec![3, 5], gamma: 0.3 };
        Config::new("m", "digits", &settings).write(folder.path()).unwrap();
        let read = Config::read(folder.path()).unwrap();
        assert_eq!(read.settings().unwrap(), settings);
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
