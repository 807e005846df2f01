//! Gradient graphs against finite differences: for `L = sum of dy y`, the derivative by each element of each leaf is
//! `(L(x + h) - L(x - h)) / 2h`.

use super::cases::Case;
use super::*;
use crate::graph::{
    Binary, Conv2d, CrossEntropyOptions, DType, MatMul, Norm, NormOver, Pad, PadMode, Pool2d, ResponseNorm, Unary,
    broadcast_shapes,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const H: f64 = 1e-5;

/// Checks the gradients of what `trace` builds by all tensors that it is handed; their shapes are `shapes`.
fn check(shapes: &[&[usize]], trace: impl FnOnce(&mut Graph, &[Value]) -> Result<Value>) {
    check_at(shapes, |_| {}, trace);
}

/// [`check`] with the tensors' random contents changed by `prepare`.
fn check_at(
    shapes: &[&[usize]],
    prepare: impl Fn(&mut Array),
    trace: impl FnOnce(&mut Graph, &[Value]) -> Result<Value>,
) {
    let mut graph = Graph::new();
    let input = |(index, shape): (usize, &&[usize])| graph.input(&format!("x{index}"), shape, DType::F32).unwrap();
    let wrt: Vec<Value> = shapes.iter().enumerate().map(input).collect();
    let output = trace(&mut graph, &wrt).unwrap();
    let case = Case { name: graph.to_string(), graph, output, wrt, algorithm: None };
    let mut feeds = case.feeds(shapes.len() as u64);
    for x in &case.wrt {
        prepare(feeds.get_mut(x).unwrap());
    }

    let backward = case.differentiated().unwrap();
    let values = evaluate(&backward.graph, &feeds).unwrap();
    // The gradient of a result of one number is 1.
    let grad = backward.graph.inputs().find(|(name, _)| *name == "grad").map(|(_, grad)| feeds[&grad].clone());
    let loss = |feeds: &HashMap<Value, Array>| -> f64 {
        let y = evaluate(&case.graph, feeds).unwrap()[output.index()].take().unwrap();
        y.data.iter().enumerate().map(|(i, y)| y * grad.as_ref().map_or(1.0, |grad| grad.data[i])).sum()
    };
    for (x, dx) in case.wrt.iter().zip(backward.grads) {
        let dx = values[dx.unwrap().index()].as_ref().unwrap();
        assert_eq!(dx.shape, feeds[x].shape);
        for (i, &analytic) in dx.data.iter().enumerate() {
            let mut moved = feeds.clone();
            let mut at = |h: f64| {
                moved.get_mut(x).unwrap().data[i] = feeds[x].data[i] + h;
                loss(&moved)
            };
            let numeric = (at(H) - at(-H)) / (2.0 * H);
            // Factors such as 1 / n are f32 in the graph.
            let allowed = 1e-7 * (1.0 + numeric.abs());
            assert!((analytic - numeric).abs() <= allowed, "{}{x:?}[{i}]: {analytic} but {numeric}", case.name);
        }
    }
}

/// In the same order, but no two equal or close.
fn distinct(array: &mut Array) {
    let mut order: Vec<usize> = (0..array.data.len()).collect();
    order.sort_by(|&a, &b| array.data[a].total_cmp(&array.data[b]));
    order.into_iter().enumerate().for_each(|(rank, i)| array.data[i] = 0.01 * rank as f64);
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() }
}

/// Kernel, stride, padding and dilation along one axis, and an input in which the window fits at least once.
fn axis(dilations: usize) -> impl Strategy<Value = [usize; 5]> {
    (1_usize..4, 1_usize..4, 0_usize..3, 1..=dilations, 0_usize..5).prop_map(
        |(kernel, stride, padding, dilation, more)| {
            let reach = dilation * (kernel - 1) + 1;
            [kernel, stride, padding, dilation, (reach + more).saturating_sub(2 * padding).max(1)]
        },
    )
}

fn unary() -> impl Strategy<Value = Unary> {
    prop::sample::select(vec![
        Unary::Relu,
        Unary::Tanh,
        Unary::Sigmoid,
        Unary::Scale(-1.25),
        Unary::LeakyRelu(0.25),
        Unary::LeakyRelu(-0.5),
        Unary::Relu6,
        Unary::Gelu,
        Unary::GeluTanh,
        Unary::Silu,
        Unary::HardSwish,
    ])
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn conv2d(n in 1_usize..3, groups in 1_usize..4, c in 1_usize..3, k in 1_usize..3, v in axis(2), h in axis(3), bias: bool) {
        let conv = Conv2d { stride: [v[1], h[1]], padding: [v[2], h[2]], dilation: [v[3], h[3]], groups };
        let shapes: [&[usize]; 3] = [&[n, c * groups, v[4], h[4]], &[k * groups, c, v[0], h[0]], &[k * groups]];
        check(&shapes[..if bias { 3 } else { 2 }], |g, x| g.conv2d(x[0], x[1], x.get(2).copied(), conv));
    }

    #[test]
    fn pool2d(n in 1_usize..3, c in 1_usize..3, v in axis(1), h in axis(1), ceil_mode: bool, average: bool, include: bool) {
        let padding = [v[2].min(v[0] / 2), h[2].min(h[0] / 2)];
        let extents = [n, c, v[4].max(v[0]), h[4].max(h[0])];
        let pool = Pool2d { average, kernel: [v[0], h[0]], stride: [v[1], h[1]], padding, ceil_mode, count_include_pad: include };
        check_at(&[&extents], distinct, |g, x| g.pool2d(x[0], pool));
    }

    #[test]
    fn adaptive_pool2d(n in 1_usize..3, x in prop::array::uniform2(1_usize..7), y in prop::array::uniform2(1_usize..7), average: bool) {
        check_at(&[&[n, 2, x[0], x[1]]], distinct, |g, v| {
            if average { g.adaptive_avg_pool2d(v[0], y) } else { g.adaptive_max_pool2d(v[0], y) }
        });
    }

    #[test]
    fn matmul([m, n, k] in prop::array::uniform3(1_usize..6), transpose_a: bool, transpose_b: bool, bias: bool) {
        let a = if transpose_a { [k, m] } else { [m, k] };
        let b = if transpose_b { [n, k] } else { [k, n] };
        let shapes: [&[usize]; 3] = [&a, &b, &[n]];
        let op = Op::MatMul(MatMul { transpose_a, transpose_b, row_sums: false });
        check(&shapes[..if bias { 3 } else { 2 }], |g, x| g.add_one(op, x));
    }

    #[test]
    fn matmuls(batch in prop::collection::vec(1_usize..4, 1..3), [m, n, k] in prop::array::uniform3(1_usize..4), transpose_a: bool, transpose_b: bool, of in 0..3, bias: bool) {
        let a = if transpose_a { [k, m] } else { [m, k] };
        let b = if transpose_b { [n, k] } else { [k, n] };
        let many = |matrix: [usize; 2], one: bool| if one { matrix.into() } else { [&batch[..], &matrix].concat() };
        let (a, b) = (many(a, of == 1), many(b, of == 2));
        let shapes: [&[usize]; 3] = [&a, &b, &[n]];
        let op = Op::MatMul(MatMul { transpose_a, transpose_b, row_sums: false });
        check(&shapes[..if bias { 3 } else { 2 }], |g, x| g.add_one(op, x));
    }

    #[test]
    fn unary_functions(shape in prop::collection::vec(1_usize..4, 0..4), f in unary()) {
        // Over both ends of relu6 and hardswish, and away from the kink at 0.
        let spread = |array: &mut Array| array.data.iter_mut().for_each(|x| *x = 7.0 * *x + 0.01 * x.signum());
        check_at(&[&shape], spread, |g, x| g.unary(x[0], f));
    }

    #[test]
    fn binary_functions(
        shape in prop::collection::vec(1_usize..4, 0..5),
        single in prop::array::uniform2(prop::collection::vec(any::<bool>(), 4)),
        missing in prop::array::uniform2(0_usize..3),
        f in prop::sample::select(vec![Binary::Add, Binary::Sub, Binary::Mul]),
    ) {
        let [a, b] = [0, 1].map(|side| {
            let extents = shape.iter().zip(&single[side]).map(|(&extent, &single)| if single { 1 } else { extent });
            extents.skip(missing[side]).collect::<Vec<usize>>()
        });
        prop_assert!(broadcast_shapes(&a, &b).is_some());
        check(&[&a, &b], |g, x| g.add_one(Op::Binary(f), x));
    }

    #[test]
    fn reductions(axes in prop::collection::vec((1_usize..4, any::<bool>()), 0..5), mean: bool, keep_dims: bool) {
        let shape: Vec<usize> = axes.iter().map(|&(extent, _)| extent).collect();
        let over: Vec<usize> = (0..axes.len()).filter(|&axis| axes[axis].1).collect();
        check(&[&shape], |g, x| if mean { g.mean(x[0], &over, keep_dims) } else { g.sum(x[0], &over, keep_dims) });
    }

    #[test]
    fn softmaxes(shape in prop::collection::vec(1_usize..5, 1..4), axis in 0_usize..3, log: bool) {
        let axis = axis % shape.len();
        check(&[&shape], |g, x| if log { g.log_softmax(x[0], axis) } else { g.softmax(x[0], axis) });
    }

    #[test]
    fn response_norms(shape in prop::collection::vec(1_usize..5, 2..4), size in 1_usize..7, beta in 0.3_f32..2.0, k in 0.5_f32..2.0) {
        check(&[&shape], |g, x| g.response_norm(x[0], ResponseNorm { size, alpha: 1.5, beta, k }));
    }

    #[test]
    fn norms(shape in prop::collection::vec(1_usize..5, 1..4), last in 0_usize..3, group in 1_usize..4, weights in 0_usize..3) {
        let layer = Norm { over: NormOver::LastAxes(last % shape.len() + 1), eps: 0.1 };
        let mut grouped = shape.clone();
        grouped.insert(1, 2 * group);
        for (norm, x) in [(layer, shape), (Norm { over: NormOver::Groups(group), eps: 0.1 }, grouped)] {
            let w = norm.weight_shape(&x);
            check(&[&x[..], &w, &w][..weights + 1], |g, x| Ok(g.add_node(Op::Norm(norm), x)?[0]));
        }
    }

    #[test]
    fn losses([n, c] in prop::array::uniform2(1_usize..6)) {
        check(&[&[n, c]], |g, x| {
            let labels = g.input("labels", &[n], DType::U32)?;
            Ok(g.cross_entropy(x[0], labels)?.0)
        });
        check(&[&[n, c], &[n, c]], |g, x| g.mse_loss(x[0], x[1]));
    }

    #[test]
    fn losses_with_options([n, c] in prop::array::uniform2(2_usize..6), smooth: bool, mixed: bool, weighted: bool, ignoring: bool) {
        check(&[&[n, c]], |g, x| {
            let labels = g.input("labels", &[n], DType::U32)?;
            let mut given = |name: &str, shape: &[usize]| {
                let x = g.input(name, shape, DType::F32)?;
                g.sigmoid(x)
            };
            let [lambda, weights, targets] = [given("lambda", &[1])?, given("weights", &[c])?, given("targets", &[n, c])?];
            let mix = if mixed { Some((g.input("partner", &[n], DType::U32)?, lambda)) } else { None };
            let label_smoothing = if smooth { 0.25 } else { 0.0 };
            let ignore_index = ignoring.then_some(0);
            let weights = weighted.then_some(weights);
            let options = CrossEntropyOptions { label_smoothing, ignore_index, mix, weights };
            let (loss, _) = g.cross_entropy_with(x[0], labels, options)?;
            let (other, _) = g.bce_with_logits(x[0], targets, weights)?;
            g.add(loss, other)
        });
    }
}

#[test]
fn repetition_and_reshaping() {
    check(&[&[2, 1, 3]], |g, x| g.broadcast(x[0], &[4, 2, 5, 3]));
    check(&[&[]], |g, x| g.broadcast(x[0], &[2, 3]));
    check(&[&[2, 3, 4]], |g, x| g.reshape(x[0], &[6, 4]));
    check(&[&[2, 3, 4]], |g, x| g.flatten(x[0], 1));
    check(&[&[2, 3, 4]], |g, x| g.permute(x[0], &[2, 0, 1]));
}

#[test]
fn joining_cutting_and_padding() {
    check(&[&[2, 3, 4], &[2, 1, 4], &[2, 2, 4]], |g, x| g.concat(x, 1));
    check(&[&[2, 3]], |g, x| g.concat(&[x[0], x[0]], 0));
    for axis in 0..3 {
        check(&[&[3, 4, 5]], |g, x| g.slice(x[0], axis, 1, 2));
    }
    check(&[&[2, 3, 4]], |g, x| g.pad(x[0], Pad { rows: [1, 2], columns: [0, 3], value: 5.0 }));
    check(&[&[2, 3, 4]], |g, x| g.pad(x[0], Pad { rows: [-1, 2], columns: [2, -2], value: 5.0 }));
    check(&[&[2, 3, 4]], |g, x| g.edge_pad(x[0], [2, 1], [0, 3], PadMode::Reflect));
    check(&[&[2, 3, 4]], |g, x| g.edge_pad(x[0], [0, 5], [4, 1], PadMode::Replicate));
}

#[test]
fn values_with_several_readers() {
    check(&[&[5]], |g, x| g.mul(x[0], x[0]));
    check(&[&[2, 3], &[3]], |g, x| {
        let (a, b) = (g.tanh(x[0])?, g.sigmoid(x[0])?);
        let (c, d) = (g.mul(a, x[1])?, g.sub(b, x[1])?);
        let e = g.mul(c, d)?;
        let f = g.add(e, a)?;
        g.mul(f, e)
    });
    check(&[&[3, 3]], |g, x| g.matmul(x[0], x[0], true, false));
    check(&[&[1, 2, 4, 4], &[2, 2, 3, 3], &[2]], |g, x| {
        let conv = Conv2d { padding: [1, 1], ..Conv2d::default() };
        let y = g.conv2d(x[0], x[1], Some(x[2]), conv.clone())?;
        let y = g.tanh(y)?;
        let y = g.conv2d(y, x[1], Some(x[2]), conv)?;
        let y = g.add(x[0], y)?;
        g.tanh(y)
    });
}

#[test]
fn a_small_network() {
    check(&[&[2, 1, 8, 8], &[3, 1, 3, 3], &[3], &[5, 27], &[5]], |g, x| {
        let labels = g.input("labels", &[2], DType::U32)?;
        let y = g.conv2d(x[0], x[1], Some(x[2]), Conv2d::default())?;
        let y = g.tanh(y)?;
        let y = g.pool2d(y, Pool2d::average([2, 2]))?;
        let y = g.flatten(y, 1)?;
        let y = g.linear(y, x[3], Some(x[4]))?;
        let y = g.softmax(y, 1)?;
        let (loss, _) = g.cross_entropy(y, labels)?;
        let decay = g.mul(x[3], x[3])?;
        let decay = g.mean(decay, &[0, 1], false)?;
        g.add(loss, decay)
    });
}
