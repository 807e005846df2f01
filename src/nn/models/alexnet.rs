//! AlexNet.
//!
//! A. Krizhevsky, I. Sutskever, G. E. Hinton: ImageNet classification with deep convolutional neural networks, 2012, and
//! A. Krizhevsky: One weird trick for parallelizing convolutional neural networks, 2014.

use super::parts::{AdaptiveAverage, Conv, First, Full, colour, max_pool};
use crate::graph::{Graph, Value};
use crate::nn::{Dropout, Flatten, Model, Module, Relu, Sequential};

fn conv(outputs: usize, kernel: usize) -> Conv {
    Conv::new(outputs, [kernel; 2], First::Uniform).bias(First::Uniform)
}

fn full(outputs: usize) -> Full {
    Full::new(outputs, First::Uniform, First::Uniform)
}

/// torchvision's AlexNet, the single tower of the second paper; 61,100,840 parameters with a thousand classes. First
/// values are PyTorch's defaults.
pub fn alexnet(classes: usize) -> Model {
    let features = |graph: &mut Graph, x: Value| {
        Sequential::new()
            .add("0", conv(64, 11).stride(4).padding(2))
            .add("1", Relu)
            .add("2", max_pool(3, 2, 0))
            .add("3", conv(192, 5).same())
            .add("4", Relu)
            .add("5", max_pool(3, 2, 0))
            .add("6", conv(384, 3).same())
            .add("7", Relu)
            .add("8", conv(256, 3).same())
            .add("9", Relu)
            .add("10", conv(256, 3).same())
            .add("11", Relu)
            .add("12", max_pool(3, 2, 0))
            .forward(graph, x)
    };
    let module = Sequential::new()
        .add("features", features)
        .add("avgpool", AdaptiveAverage(6))
        .add("flatten", Flatten)
        .add("classifier", classifier(classes));
    Model::new("alexnet", classes, colour(63, 224), module)
}

/// AlexNet for images of 32x32 pixels: a 3x3 stem, the other convolutions 3x3 too, pools of 2x2; torchvision's names
/// and dropouts. 23,272,266 parameters with ten classes.
pub fn alexnet_cifar(classes: usize) -> Model {
    let features = |graph: &mut Graph, x: Value| {
        Sequential::new()
            .add("0", conv(64, 3).stride(2).padding(1))
            .add("1", Relu)
            .add("2", max_pool(2, 2, 0))
            .add("3", conv(192, 3).same())
            .add("4", Relu)
            .add("5", max_pool(2, 2, 0))
            .add("6", conv(384, 3).same())
            .add("7", Relu)
            .add("8", conv(256, 3).same())
            .add("9", Relu)
            .add("10", conv(256, 3).same())
            .add("11", Relu)
            .add("12", max_pool(2, 2, 0))
            .forward(graph, x)
    };
    let module =
        Sequential::new().add("features", features).add("flatten", Flatten).add("classifier", classifier(classes));
    Model::new("alexnet-cifar", classes, &[[3, 32, 32]], module)
}

fn classifier(classes: usize) -> Sequential {
    Sequential::new()
        .add("0", Dropout(0.5))
        .add("1", full(4096))
        .add("2", Relu)
        .add("3", Dropout(0.5))
        .add("4", full(4096))
        .add("5", Relu)
        .add("6", full(classes))
}
