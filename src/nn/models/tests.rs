//! Totals as the papers' implementations have them, and what models say about images that they do not take.

use super::*;

/// Trained parameters with the usual number of classes: PyTorch's totals.
const TOTALS: &[(&str, usize)] = &[
    ("lenet5", 61_706),
    ("lenet5-1998", 61_706),
    ("tutorial", 62_958),
    ("alexnet-cifar", 23_272_266),
    ("vgg11-cifar", 9_225_610),
    ("vgg16_bn-cifar", 14_728_266),
    ("resnet18-cifar", 11_173_962),
    ("alexnet", 61_100_840),
    ("alexnet-2012", 62_378_344),
    ("vgg11", 132_863_336),
    ("vgg13", 133_047_848),
    ("vgg16", 138_357_544),
    ("vgg19", 143_667_240),
    ("vgg11_bn", 132_868_840),
    ("vgg13_bn", 133_053_736),
    ("vgg16_bn", 138_365_992),
    ("vgg19_bn", 143_678_248),
    ("googlenet", 6_624_904),
    ("googlenet-aux", 13_004_888),
    ("inception_v3", 23_834_568),
    ("inception_v3-aux", 27_161_264),
    ("resnet18", 11_689_512),
    ("resnet34", 21_797_672),
    ("resnet50", 25_557_032),
    ("resnet101", 44_549_160),
];

#[test]
fn totals_are_exact() {
    let names: Vec<&str> = MODELS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, TOTALS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (name, total) in TOTALS {
        let model = by_name(name, None).unwrap();
        assert_eq!(model.name(), *name);
        let summary = model.summary(model.default_input()).unwrap();
        assert_eq!(summary.parameters(), *total as u64, "{name}");
    }
}

#[test]
fn sizes_are_taken_from_the_smallest_on() {
    for (name, build, _) in MODELS {
        let model = build(7);
        if let crate::nn::Inputs::AtLeast { channels, smallest, .. } = *model.inputs() {
            model.trace(2, [channels, smallest, smallest]).unwrap_or_else(|error| panic!("{error}"));
            model.trace(2, [channels, smallest, smallest + 13]).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(model.input_for([channels, smallest, smallest + 1]), [channels, smallest, smallest + 1]);
            let error = model.trace(2, [channels, smallest, smallest - 1]).unwrap_err().to_string();
            assert!(
                error.contains(&format!("{smallest}x{smallest} pixels or more")) && error.starts_with(name),
                "{error}"
            );
        }
        let error = model.trace(2, [4, 400, 400]).unwrap_err().to_string();
        assert!(error.contains("got x [2, 4, 400, 400]"), "{error}");
        assert_eq!(model.input_for([4, 400, 400]), model.default_input());
    }
}

#[test]
fn auxiliary_classifiers_count_as_they_should() {
    for (name, weights) in [("googlenet-aux", &[0.3, 0.3][..]), ("inception_v3-aux", &[0.4]), ("googlenet", &[])] {
        let model = by_name(name, None).unwrap();
        let network = model.trace(1, model.default_input()).unwrap();
        let found: Vec<f32> = network.graph.auxiliary().iter().map(|(_, weight)| *weight).collect();
        assert_eq!(found, weights);
        assert!(network.graph.auxiliary().iter().all(|(logits, _)| network.graph.shape(*logits) == [1, 1000]));
    }
}
