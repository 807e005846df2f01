//! `tests/goldens/ops.json` as graphs: single operators with the outputs and gradients that PyTorch computed in f64.

use serde_json::Value as Json;
use std::collections::HashMap;
use wgrad::graph::{
    BatchNorm, Conv2d, CrossEntropyOptions, DType, Graph, MatMul, Op, Pad, PadMode, Pool2d, ResponseNorm, Unary, Value,
};
use wgrad::reference::Array;

/// One operator with numbers; all of them are rounded to nine significant digits.
pub struct TorchCase {
    /// Operator and what is special about it.
    pub name: String,
    /// The forward graph.
    pub graph: Graph,
    /// The contents of its inputs.
    pub feeds: HashMap<Value, Array>,
    /// Its result.
    pub output: Value,
    /// What the result should be.
    pub expected: Array,
    /// The gradient from which the way back starts.
    pub grad_output: Array,
    /// The inputs by which to differentiate, and what their gradients should be.
    pub wrt: Vec<(Value, Array)>,
}

/// All cases of the file. Panics where it is not what `make.py` writes: this is a test.
pub fn load() -> Vec<TorchCase> {
    let file: Json = serde_json::from_str(include_str!("../goldens/ops.json")).expect("ops.json is JSON");
    file.as_array().expect("a list of cases").iter().map(case).collect()
}

fn case(json: &Json) -> TorchCase {
    let name = json["name"].as_str().expect("name").to_string();
    let mut graph = Graph::new();
    let mut feeds = HashMap::new();
    let mut inputs = HashMap::new();
    for (key, tensor) in json["inputs"].as_object().expect("inputs") {
        let contents = array(tensor);
        // Only floats have gradients; what has none is a class index, but for what is named as fixed.
        let fixed = json["fixed"].as_array().is_some_and(|fixed| fixed.iter().any(|name| name == key));
        let dtype = if json["grads"][key].is_null() && !fixed { DType::U32 } else { DType::F32 };
        let value = graph.input(key, &contents.shape, dtype).expect("an input");
        feeds.insert(value, contents);
        inputs.insert(key.as_str(), value);
    }
    let output = trace(&mut graph, json["op"].as_str().expect("op"), &json["attrs"], &inputs)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let grads = json["grads"].as_object().expect("grads");
    let wrt = grads.iter().map(|(key, grad)| (inputs[key.as_str()], array(grad))).collect();
    let [expected, grad_output] = ["output", "grad_output"].map(|key| array(&json[key]));
    TorchCase { name, graph, feeds, output, expected, grad_output, wrt }
}

fn trace(g: &mut Graph, op: &str, attrs: &Json, inputs: &HashMap<&str, Value>) -> wgrad::Result<Value> {
    let of = |key: &str| inputs[key];
    let count = |key: &str| attrs[key].as_u64().expect("a count") as usize;
    let number = |key: &str| attrs[key].as_f64().expect("a number") as f32;
    let flag = |key: &str| attrs[key].as_bool().expect("a flag");
    match op {
        "conv2d" => {
            let [stride, padding, dilation] = ["stride", "padding", "dilation"].map(|key| pair(&attrs[key]));
            let groups = attrs["groups"].as_u64().expect("groups") as usize;
            let bias = inputs.get("bias").copied();
            g.conv2d(of("input"), of("weight"), bias, Conv2d { stride, padding, dilation, groups })
        }
        "max_pool2d" | "avg_pool2d" => {
            let average = op == "avg_pool2d";
            let [kernel, stride, padding] = ["kernel_size", "stride", "padding"].map(|key| pair(&attrs[key]));
            let (ceil_mode, count_include_pad) = (flag("ceil_mode"), average && flag("count_include_pad"));
            g.pool2d(of("input"), Pool2d { average, kernel, stride, padding, ceil_mode, count_include_pad })
        }
        "adaptive_avg_pool2d" => g.adaptive_avg_pool2d(of("input"), pair(&attrs["output_size"])),
        "adaptive_max_pool2d" => g.adaptive_max_pool2d(of("input"), pair(&attrs["output_size"])),
        "linear" => g.linear(of("input"), of("weight"), inputs.get("bias").copied()),
        "matmul" => {
            let [transpose_a, transpose_b] = ["transpose_a", "transpose_b"].map(flag);
            let op = Op::MatMul(MatMul { transpose_a, transpose_b, row_sums: false });
            Ok(g.add_node(op, &[of("a"), of("b")])?[0])
        }
        "concat" => {
            let mut keys: Vec<&&str> = inputs.keys().collect();
            keys.sort();
            g.concat(&keys.into_iter().map(|key| of(key)).collect::<Vec<_>>(), count("dim"))
        }
        "narrow" => g.slice(of("input"), count("dim"), count("start"), count("length")),
        "pad" => {
            let sides: Vec<isize> = attrs["pad"].as_array().expect("pad").iter().map(whole).collect();
            let (rows, columns) = ([sides[2], sides[3]], [sides[0], sides[1]]);
            let added = |sides: [isize; 2]| sides.map(|side| side as usize);
            match attrs["mode"].as_str() {
                Some("reflect") => g.edge_pad(of("input"), added(rows), added(columns), PadMode::Reflect),
                Some("replicate") => g.edge_pad(of("input"), added(rows), added(columns), PadMode::Replicate),
                _ => g.pad(of("input"), Pad { rows, columns, value: number("value") }),
            }
        }
        "permute" => g.permute(of("input"), &extents(&attrs["dims"])),
        "add" => g.add(of("a"), of("b")),
        "mul" => g.mul(of("a"), of("b")),
        "relu" => g.relu(of("input")),
        "tanh" => g.tanh(of("input")),
        "sigmoid" => g.sigmoid(of("input")),
        "leaky_relu" => g.unary(of("input"), Unary::LeakyRelu(number("negative_slope"))),
        "relu6" => g.unary(of("input"), Unary::Relu6),
        "gelu" => g.unary(of("input"), if attrs["approximate"] == "tanh" { Unary::GeluTanh } else { Unary::Gelu }),
        "silu" => g.unary(of("input"), Unary::Silu),
        "hardswish" => g.unary(of("input"), Unary::HardSwish),
        "layer_norm" | "group_norm" => {
            let [weight, bias] = ["weight", "bias"].map(|key| inputs.get(key).copied());
            match op {
                "layer_norm" => g.layer_norm(of("input"), count("axes"), weight, bias, number("eps")),
                _ => g.group_norm(of("input"), count("num_groups"), weight, bias, number("eps")),
            }
        }
        "local_response_norm" => {
            let [alpha, beta, k] = ["alpha", "beta", "k"].map(number);
            g.response_norm(of("input"), ResponseNorm { size: count("size"), alpha, beta, k })
        }
        "softmax" | "log_softmax" => {
            let x = of("input");
            let rank = g.shape(x).len() as i64;
            let axis = attrs["dim"].as_i64().expect("dim").rem_euclid(rank) as usize;
            if op == "softmax" { g.softmax(x, axis) } else { g.log_softmax(x, axis) }
        }
        "batch_norm" => {
            let [eps, momentum] = [attrs["eps"].as_f64().expect("eps") as f32, 0.1];
            let op = Op::BatchNorm(BatchNorm { training: flag("training"), update: true, momentum, eps });
            let inputs = ["input", "weight", "bias", "mean", "var"].map(of);
            Ok(g.add_node(op, &inputs)?[0])
        }
        "cross_entropy" => {
            let options = CrossEntropyOptions {
                label_smoothing: attrs["label_smoothing"].as_f64().unwrap_or(0.0) as f32,
                ignore_index: attrs["ignore_index"].as_u64().map(|index| index as u32),
                mix: inputs.get("partner").map(|&partner| (partner, of("lambda"))),
                weights: inputs.get("weight").copied(),
            };
            Ok(g.cross_entropy_with(of("input"), of("target"), options)?.0)
        }
        "bce_with_logits" => Ok(g.bce_with_logits(of("input"), of("target"), inputs.get("pos_weight").copied())?.0),
        "mse_loss" => g.mse_loss(of("input"), of("target")),
        "sum" => g.sum(of("input"), &extents(&attrs["axes"]), flag("keepdim")),
        "mean" => g.mean(of("input"), &extents(&attrs["axes"]), flag("keepdim")),
        _ => panic!("ops.json has an operator {op}, which these tests do not know"),
    }
}

fn array(json: &Json) -> Array {
    let data = json["data"].as_array().expect("data").iter().map(|x| x.as_f64().expect("a number")).collect();
    Array::new(&extents(&json["shape"]), data).expect("as many numbers as the shape says")
}

fn whole(json: &Json) -> isize {
    json.as_i64().expect("a whole number") as isize
}

fn extents(json: &Json) -> Vec<usize> {
    json.as_array().expect("a list").iter().map(|x| x.as_u64().expect("an extent") as usize).collect()
}

fn pair(json: &Json) -> [usize; 2] {
    extents(json).try_into().expect("a pair")
}
