//! Layers, by family.

mod activation;
mod containers;
mod norm;
mod pool;
mod shape;
mod weighted;

pub use activation::{Gelu, GeluTanh, HardSwish, LeakyRelu, Relu, Relu6, Sigmoid, Silu, Tanh};
pub use containers::{Branches, Sequential};
pub use norm::{BatchNorm2d, Dropout, GroupNorm, LayerNorm, LocalResponseNorm};
pub use pool::{AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, GlobalAvgPool, MaxPool2d};
pub use shape::{Flatten, Identity, ReflectionPad2d, ReplicationPad2d, ZeroPad2d};
pub use weighted::{Conv2d, First, Linear};

/// A height and a width: one number for both, or `[height, width]`.
pub trait Pair {
    /// `[height, width]`.
    fn pair(self) -> [usize; 2];
}

impl Pair for usize {
    fn pair(self) -> [usize; 2] {
        [self; 2]
    }
}

impl Pair for [usize; 2] {
    fn pair(self) -> [usize; 2] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{DType, Graph, Init, Node, Op, Value};
    use crate::nn::Module;

    fn parameters(module: impl Module, input: &[usize]) -> usize {
        let mut graph = Graph::new();
        let x = graph.input("x", input, DType::F32).unwrap();
        module.forward(&mut graph, x).unwrap();
        let values: Vec<Value> = graph.parameters().map(|(_, value)| value).collect();
        values.into_iter().map(|value| graph.info(value).elements()).sum()
    }

    #[test]
    fn filters_have_weights_for_each_channel_and_one_bias() {
        assert_eq!(parameters(Conv2d::new(3, 10, 3), &[1, 3, 8, 8]), 280);
        assert_eq!(parameters(Conv2d::new(4, 8, 3).groups(2), &[1, 4, 8, 8]), 8 * 2 * 9 + 8);
        assert_eq!(parameters(Conv2d::new(3, 10, 3).without_bias(), &[1, 3, 8, 8]), 270);
        assert_eq!(parameters(Linear::new(400, 120), &[1, 400]), 48_120);
        assert_eq!(parameters(Conv2d::to(10, 3), &[1, 3, 8, 8]), 280);
        assert_eq!(parameters(Linear::to(120), &[1, 400]), 48_120);
    }

    #[test]
    fn first_values_follow_the_extents() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[1, 4, 8, 8], DType::F32).unwrap();
        let conv = Conv2d::to(8, 3).groups(2).same().first(First::FanOut).bias(First::Constant(1.0));
        let y = conv.forward(&mut graph, x).unwrap();
        assert_eq!(graph.shape(y), [1, 8, 8, 8]);
        let flat = graph.flatten(y, 1).unwrap();
        let linear = Linear::to(2).first(First::Normal(0.5)).bias(First::Uniform);
        graph.scoped("fc", |graph| linear.forward(graph, flat)).unwrap();
        let first = |node: &Node| match node.op {
            Op::Parameter(init) => Some(init),
            _ => None,
        };
        let firsts: Vec<Init> = graph.nodes().iter().filter_map(first).collect();
        let deviation = (2.0_f64 / 36.0).sqrt() as f32;
        let bound = (1.0_f64 / 512.0).sqrt() as f32;
        assert_eq!(firsts, [Init::Normal(deviation), Init::Constant(1.0), Init::Normal(0.5), Init::Uniform(bound)]);
    }

    #[test]
    fn errors_name_the_layer() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[1, 3, 8, 8], DType::F32).unwrap();
        let net = Sequential::new().add("features", Sequential::new().add("conv9", Conv2d::new(4, 8, 3)));
        let text = net.forward(&mut graph, x).unwrap_err().to_string();
        assert!(text.starts_with("features.conv9: conv2d: x [1, 3, 8, 8] has 3 channels"), "{text}");
    }
    fn shape(module: impl Module, input: &[usize]) -> Vec<usize> {
        let mut graph = Graph::new();
        let x = graph.input("x", input, DType::F32).unwrap();
        let y = module.forward(&mut graph, x).unwrap();
        graph.shape(y).into()
    }

    #[test]
    fn sides_may_differ() {
        let x = [2, 4, 9, 12];
        assert_eq!(shape(Conv2d::new(4, 6, [1, 7]).padding([0, 3]), &x), [2, 6, 9, 12]);
        assert_eq!(shape(Conv2d::new(4, 6, [7, 1]).stride([1, 2]), &x), [2, 6, 3, 6]);
        assert_eq!(shape(AvgPool2d::new([2, 5]).ceil_mode().count_include_pad(false), &x), [2, 4, 5, 3]);
        assert_eq!(shape(MaxPool2d::new(3).stride(2).padding([1, 0]), &x), [2, 4, 5, 5]);
        assert_eq!(shape(ZeroPad2d::sides(1, 0, -2, 3), &x), [2, 4, 10, 13]);
        assert_eq!(shape(ReflectionPad2d::sides(1, 0, 2, 3), &x), [2, 4, 14, 13]);
        assert_eq!(shape(ReplicationPad2d::new(20), &x), [2, 4, 49, 52]);
        assert_eq!(shape(AdaptiveAvgPool2d::new([7, 5]), &x), [2, 4, 7, 5]);
        assert_eq!(shape(AdaptiveMaxPool2d::new(4), &x), [2, 4, 4, 4]);
        assert_eq!(shape(GlobalAvgPool, &x), [2, 4, 1, 1]);
    }

    #[test]
    fn branches_are_put_together_and_keep_their_names() {
        let net = Branches::new()
            .add("branch1", Conv2d::new(3, 5, 1))
            .add("branch2", Sequential::new().add("0", Conv2d::new(3, 2, 3).padding(1)).add("1", Silu))
            .add("pool", Identity);
        let mut graph = Graph::new();
        let x = graph.input("x", &[2, 3, 4, 4], DType::F32).unwrap();
        let y = net.forward(&mut graph, x).unwrap();
        assert_eq!(graph.shape(y), [2, 10, 4, 4]);
        let names: Vec<&str> = graph.parameters().map(|(name, _)| name).collect();
        assert_eq!(names, ["branch1.weight", "branch1.bias", "branch2.0.weight", "branch2.0.bias"]);
    }

    #[test]
    fn normalisations_have_the_parameters_of_pytorch() {
        assert_eq!(parameters(LayerNorm::new(&[5, 7]), &[2, 3, 5, 7]), 70);
        assert_eq!(parameters(LayerNorm::new(&[7]).without_bias(), &[2, 3, 5, 7]), 7);
        assert_eq!(parameters(GroupNorm::new(2, 6), &[2, 6, 5]), 12);
        assert_eq!(parameters(GroupNorm::new(2, 6).without_parameters(), &[2, 6, 5]), 0);
        assert_eq!(parameters(LocalResponseNorm::new(5).k(2.0), &[2, 6, 5]), 0);
        let mut graph = Graph::new();
        let x = graph.input("x", &[2, 6], DType::F32).unwrap();
        assert!(LayerNorm::new(&[5]).forward(&mut graph, x).unwrap_err().to_string().contains("does not end with"));
        assert!(GroupNorm::new(1, 5).forward(&mut graph, x).unwrap_err().to_string().contains("have 5 channels"));
    }
}
