//! Residual networks.
//!
//! K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition, 2015. As in torchvision, a bottleneck
//! has its stride in the 3x3 convolution (the paper: in the first 1x1), and first values of convolutions are normal with
//! variance `2 / fan_out`.

use super::parts::{colour, conv2d, layer, linear, max_pool, norm};
use crate::Result;
use crate::graph::{Graph, Value};
use crate::nn::{Conv2d, First, Inputs, Model, Module, Relu};

/// What the stages are made of.
#[derive(Clone, Copy)]
enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3 and 1x1 convolutions, the last to four times the channels.
    Bottleneck,
}

#[derive(Clone, Copy)]
struct ResNet {
    block: Block,
    /// Blocks in each stage.
    stages: [usize; 4],
    /// A 3x3 stem without pool, for 32x32 pixels.
    small: bool,
    classes: usize,
}

/// Convolution `conv{index}` and its normalisation `bn{index}`.
fn unit(graph: &mut Graph, index: usize, conv: Conv2d, x: Value) -> Result<Value> {
    let x = layer(graph, &format!("conv{index}"), conv, x)?;
    norm(graph, &format!("bn{index}"), x, 1e-5)
}

fn conv(outputs: usize, kernel: usize) -> Conv2d {
    conv2d(outputs, [kernel; 2], First::FanOut).same()
}

impl Block {
    fn forward(self, graph: &mut Graph, x: Value, channels: usize, stride: usize) -> Result<Value> {
        let units = match self {
            Self::Basic => vec![conv(channels, 3).stride(stride), conv(channels, 3)],
            Self::Bottleneck => vec![conv(channels, 1), conv(channels, 3).stride(stride), conv(4 * channels, 1)],
        };
        let mut y = x;
        let count = units.len();
        for (index, conv) in units.into_iter().enumerate() {
            y = unit(graph, index + 1, conv, y)?;
            if index + 1 < count {
                y = graph.relu(y)?;
            }
        }
        let outputs = graph.shape(y)[1];
        let shortcut = match stride != 1 || graph.shape(x)[1] != outputs {
            true => graph.scoped("downsample", |graph| {
                let x = layer(graph, "0", conv(outputs, 1).stride(stride), x)?;
                norm(graph, "1", x, 1e-5)
            })?,
            false => x,
        };
        let sum = graph.add(y, shortcut)?;
        graph.relu(sum)
    }
}

impl Module for ResNet {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let stem = if self.small { conv(64, 3) } else { conv(64, 7).stride(2) };
        let x = unit(graph, 1, stem, x)?;
        let mut x = layer(graph, "relu", Relu, x)?;
        if !self.small {
            x = layer(graph, "maxpool", max_pool(3, 2, 1), x)?;
        }
        for (stage, blocks) in self.stages.into_iter().enumerate() {
            for index in 0..blocks {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                let name = format!("layer{}.{index}", stage + 1);
                x = graph.scoped(&name, |graph| self.block.forward(graph, x, 64 << stage, stride))?;
            }
        }
        let x = layer(graph, "avgpool", Graph::global_avg_pool2d, x)?;
        let x = graph.flatten(x, 1)?;
        layer(graph, "fc", linear(self.classes, First::Uniform, First::Uniform), x)
    }
}

fn resnet(name: &str, classes: usize, block: Block, stages: [usize; 4]) -> Model {
    Model::new(name, classes, colour(32, 224), ResNet { block, stages, small: false, classes })
}

/// ResNet-18; 11,689,512 parameters with a thousand classes.
pub fn resnet18(classes: usize) -> Model {
    resnet("resnet18", classes, Block::Basic, [2, 2, 2, 2])
}

/// ResNet-34; 21,797,672 parameters with a thousand classes.
pub fn resnet34(classes: usize) -> Model {
    resnet("resnet34", classes, Block::Basic, [3, 4, 6, 3])
}

/// ResNet-50; 25,557,032 parameters with a thousand classes.
pub fn resnet50(classes: usize) -> Model {
    resnet("resnet50", classes, Block::Bottleneck, [3, 4, 6, 3])
}

/// ResNet-101; 44,549,160 parameters with a thousand classes.
pub fn resnet101(classes: usize) -> Model {
    resnet("resnet101", classes, Block::Bottleneck, [3, 4, 23, 3])
}

/// ResNet-18 for images of 32x32 pixels: its stem is a 3x3 convolution without stride, and no pool follows. 11,173,962
/// parameters with ten classes.
pub fn resnet18_cifar(classes: usize) -> Model {
    let net = ResNet { block: Block::Basic, stages: [2, 2, 2, 2], small: true, classes };
    Model::new("resnet18-cifar", classes, Inputs::Shapes(vec![[3, 32, 32]]), net)
}
