//! LeNet-5 and its relatives.
//!
//! Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document recognition, 1998.

use crate::graph::{Graph, Value};
use crate::nn::{AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, Model, Module, Relu, Sequential, Tanh};

/// 28x28 images are padded to the 32x32 of the paper by the first convolution.
const INPUTS: [[usize; 3]; 2] = [[1, 28, 28], [1, 32, 32]];

fn first_padding(graph: &Graph, x: Value) -> usize {
    if graph.shape(x)[2] == 28 { 2 } else { 0 }
}

/// LeNet-5 as it is taught today, with ReLU and max pooling; 61,706 parameters with ten classes.
pub fn lenet5(classes: usize) -> Model {
    Model::new("lenet5", classes, &INPUTS, move |graph: &mut Graph, x: Value| {
        Sequential::new()
            .add("conv1", Conv2d::new(1, 6, 5).padding(first_padding(graph, x)))
            .add("relu1", Relu)
            .add("pool1", MaxPool2d::new(2))
            .add("conv2", Conv2d::new(6, 16, 5))
            .add("relu2", Relu)
            .add("pool2", MaxPool2d::new(2))
            .add("flatten", Flatten)
            .add("fc1", Linear::new(400, 120))
            .add("relu3", Relu)
            .add("fc2", Linear::new(120, 84))
            .add("relu4", Relu)
            .add("fc3", Linear::new(84, classes))
            .forward(graph, x)
    })
}

/// LeNet-5 with the paper's tanh, average pooling and third convolution, and plain connections throughout.
///
/// The paper's subsampling layers have a trainable factor and bias, its second convolution sees only some channels, and
/// its last layer measures distances; those are simplified as is usual, so the number of parameters is that of
/// [`lenet5`].
pub fn lenet5_1998(classes: usize) -> Model {
    Model::new("lenet5-1998", classes, &INPUTS, move |graph: &mut Graph, x: Value| {
        Sequential::new()
            .add("conv1", Conv2d::new(1, 6, 5).padding(first_padding(graph, x)))
            .add("tanh1", Tanh)
            .add("pool1", AvgPool2d::new(2))
            .add("conv2", Conv2d::new(6, 16, 5))
            .add("tanh2", Tanh)
            .add("pool2", AvgPool2d::new(2))
            .add("conv3", Conv2d::new(16, 120, 5))
            .add("tanh3", Tanh)
            .add("flatten", Flatten)
            .add("fc1", Linear::new(120, 84))
            .add("tanh4", Tanh)
            .add("fc2", Linear::new(84, classes))
            .forward(graph, x)
    })
}

/// The worked example of the field's standard course: a LeNet on 32x32 colour images.
///
/// With ten classes its parameters are 608, 3216, 48120, 10164 and 850. The table printed in that course (208, 416,
/// 48001, 10081, 841) leaves the input channels out of the convolutions and counts one bias per layer.
pub fn tutorial(classes: usize) -> Model {
    Model::new("tutorial", classes, &[[3, 32, 32]], move |graph: &mut Graph, x: Value| {
        Sequential::new()
            .add("conv1", Conv2d::new(3, 8, 5))
            .add("relu1", Relu)
            .add("pool1", MaxPool2d::new(2))
            .add("conv2", Conv2d::new(8, 16, 5))
            .add("relu2", Relu)
            .add("pool2", MaxPool2d::new(2))
            .add("flatten", Flatten)
            .add("fc3", Linear::new(400, 120))
            .add("relu3", Relu)
            .add("fc4", Linear::new(120, 84))
            .add("relu4", Relu)
            .add("fc5", Linear::new(84, classes))
            .forward(graph, x)
    })
}
