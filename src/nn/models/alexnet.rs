//! AlexNet.
//!
//! A. Krizhevsky, I. Sutskever, G. E. Hinton: ImageNet classification with deep convolutional neural networks, 2012, and
//! A. Krizhevsky: One weird trick for parallelizing convolutional neural networks, 2014.

use super::parts::{colour, conv2d, linear, max_pool};
use crate::graph::{Graph, Value};
use crate::nn::{
    AdaptiveAvgPool2d, Conv2d, Dropout, First, Flatten, Linear, LocalResponseNorm, Model, Module, Relu, Sequential,
};

fn conv(outputs: usize, kernel: usize) -> Conv2d {
    conv2d(outputs, [kernel; 2], First::Uniform).bias(First::Uniform)
}

fn full(outputs: usize) -> Linear {
    linear(outputs, First::Uniform, First::Uniform)
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
        .add("avgpool", AdaptiveAvgPool2d::new(6))
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

/// AlexNet as in the first paper, its two towers joined: 96, 256, 384, 384 and 256 channels, local response normalisation,
/// overlapping pools, dropout behind the first two fully connected layers. Images of 224x224 pixels, the paper's figure,
/// are padded to the 227x227 that its sizes ask for (2 pixels on each side, of which the last windows use one).
///
/// First values are the paper's: weights normal with deviation 0.01; biases 1 in the second, fourth and fifth convolution
/// and in the hidden fully connected layers, else 0. 62,378,344 parameters with a thousand classes; the towers do not see
/// each other in three of the paper's convolutions, which leaves it 60,965,224.
pub fn alexnet_2012(classes: usize) -> Model {
    let conv = |outputs: usize, kernel: usize, bias: f32| {
        conv2d(outputs, [kernel; 2], First::Normal(0.01)).bias(First::Constant(bias))
    };
    let full = |outputs: usize, bias: f32| linear(outputs, First::Normal(0.01), First::Constant(bias));
    let features = move |graph: &mut Graph, x: Value| {
        let padding = if graph.shape(x)[2] == 224 { 2 } else { 0 };
        Sequential::new()
            .add("0", conv(96, 11, 0.0).stride(4).padding(padding))
            .add("1", Relu)
            .add("2", response_norm())
            .add("3", max_pool(3, 2, 0))
            .add("4", conv(256, 5, 1.0).same())
            .add("5", Relu)
            .add("6", response_norm())
            .add("7", max_pool(3, 2, 0))
            .add("8", conv(384, 3, 0.0).same())
            .add("9", Relu)
            .add("10", conv(384, 3, 1.0).same())
            .add("11", Relu)
            .add("12", conv(256, 3, 1.0).same())
            .add("13", Relu)
            .add("14", max_pool(3, 2, 0))
            .forward(graph, x)
    };
    let classifier = Sequential::new()
        .add("0", full(4096, 1.0))
        .add("1", Relu)
        .add("2", Dropout(0.5))
        .add("3", full(4096, 1.0))
        .add("4", Relu)
        .add("5", Dropout(0.5))
        .add("6", full(classes, 0.0));
    let module = Sequential::new().add("features", features).add("flatten", Flatten).add("classifier", classifier);
    Model::new("alexnet-2012", classes, &[[3, 227, 227], [3, 224, 224]], module)
}

/// The paper's: five channels, k 2, beta 0.75, and an alpha of 1e-4 that multiplies the sum of squares; PyTorch's alpha
/// multiplies their mean.
fn response_norm() -> LocalResponseNorm {
    LocalResponseNorm::new(5).alpha(5.0 * 1e-4).beta(0.75).k(2.0)
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
