//! Random shapes on the adapter against the reference, and reductions long enough to run into every driver's limits.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::sync::LazyLock;
use wgrad::gpu::Gpu;
use wgrad::graph::{Conv2d, DType, Graph, Pool2d, Value};
use wgrad::plan::{Algorithm, Half};
use wgrad::reference::cases::Case;
use wgrad::selftest::check;

static GPU: LazyLock<Gpu> = LazyLock::new(|| Gpu::new().expect("an adapter"));

/// Every case may mean a new pipeline, which a CPU driver compiles for up to half a second: few cases, wide ranges.
fn runner() -> TestRunner {
    TestRunner::new(Config { cases: 16, failure_persistence: None, ..Config::default() })
}

/// Result and gradients of `build` agree with the reference, in 32 bits and in 16 where the adapter stores these.
fn agrees(
    name: String,
    algorithm: Option<Algorithm>,
    build: impl FnOnce(&mut Graph) -> wgrad::Result<(Value, Vec<Value>)>,
) -> Result<(), TestCaseError> {
    let fail = |error: wgrad::Error| TestCaseError::fail(format!("{name}: {error}"));
    let mut graph = Graph::new();
    let (output, wrt) = build(&mut graph).map_err(fail)?;
    let case = Case { name: name.clone(), graph, output, wrt, algorithm };
    for half in [Half::Never, Half::Everything] {
        if half == Half::Never || GPU.target().half {
            let check = pollster::block_on(check(&GPU, &case, half)).map_err(fail)?;
            prop_assert!(check.passed(), "{check:?}");
        }
    }
    Ok(())
}

#[test]
fn convolutions_in_the_fewest_multiplications() {
    let sizes = (1..5_usize, 1..40_usize, 1..70_usize, 1..20_usize, 1..20_usize, 0..4_usize);
    let strategy = (sizes, any::<bool>())
        .prop_filter("the kernel fits", |((_, _, _, h, w, padding), _)| 3 <= h + 2 * padding && 3 <= w + 2 * padding);
    runner()
        .run(&strategy, |((n, c, k, h, w, padding), large)| {
            let tile = if large { 4 } else { 2 };
            let name = format!("n {n} c {c} k {k} {h}x{w}, 3x3 padding {padding}, F({tile}x{tile})");
            agrees(name, Some(Algorithm::Winograd(tile)), |g| {
                let x = g.input("x", &[n, c, h, w], DType::F32)?;
                let weight = g.input("weight", &[k, c, 3, 3], DType::F32)?;
                let b = g.input("bias", &[k], DType::F32)?;
                let conv = Conv2d { padding: [padding; 2], ..Conv2d::default() };
                Ok((g.conv2d(x, weight, Some(b), conv)?, vec![x, weight, b]))
            })
        })
        .unwrap();
}

#[test]
fn convolutions_by_columns() {
    let sizes = (1..6_usize, 1..24_usize, 1..40_usize, 1..20_usize, 1..20_usize);
    let window = (1..6_usize, 1..6_usize, 1..4_usize, 1..3_usize, 0..3_usize);
    let strategy = (sizes, window).prop_filter("the kernel fits", |((_, _, _, h, w), (r, s, _, d, p))| {
        (r - 1) * d < h + 2 * p && (s - 1) * d < w + 2 * p
    });
    runner()
        .run(&strategy, |((n, c, k, h, w), (r, s, stride, dilation, padding))| {
            // Multiples of four make vectors, and gradients by the weights that products can compute.
            let (c, w) = if (n + h) % 2 == 0 { (c.next_multiple_of(8), w.next_multiple_of(4)) } else { (c, w) };
            let name =
                format!("n {n} c {c} k {k} {h}x{w}, {r}x{s} stride {stride} dilation {dilation} padding {padding}");
            agrees(name, Some(Algorithm::Columns), |g| {
                let x = g.input("x", &[n, c, h, w], DType::F32)?;
                let weight = g.input("weight", &[k, c, r, s], DType::F32)?;
                let b = g.input("bias", &[k], DType::F32)?;
                let conv = Conv2d { stride: [stride; 2], padding: [padding; 2], dilation: [dilation; 2], groups: 1 };
                Ok((g.conv2d(x, weight, Some(b), conv)?, vec![x, weight, b]))
            })
        })
        .unwrap();
}

#[test]
fn convolutions() {
    let sizes = (1..4_usize, 1..4_usize, 1..6_usize, 1..20_usize, 1..16_usize, 1..16_usize);
    let window = (1..6_usize, 1..6_usize, 1..4_usize, 1..3_usize, 0..3_usize, any::<bool>());
    let strategy = (sizes, window).prop_filter("the kernel fits", |((_, _, _, _, h, w), (r, s, _, d, p, _))| {
        (r - 1) * d < h + 2 * p && (s - 1) * d < w + 2 * p
    });
    runner()
        .run(&strategy, |((n, groups, c, k, h, w), (r, s, stride, dilation, padding, bias))| {
            let name = format!("n {n} groups {groups} c {c} k {k} {h}x{w}, {r}x{s} stride {stride} dilation {dilation} padding {padding}");
            agrees(name, None, |g| {
                let x = g.input("x", &[n, groups * c, h, w], DType::F32)?;
                let weight = g.input("weight", &[groups * k, c, r, s], DType::F32)?;
                let b = g.input("bias", &[groups * k], DType::F32)?;
                let conv = Conv2d { stride: [stride; 2], padding: [padding; 2], dilation: [dilation; 2], groups };
                let y = g.conv2d(x, weight, bias.then_some(b), conv)?;
                Ok((y, if bias { vec![x, weight, b] } else { vec![x, weight] }))
            })
        })
        .unwrap();
}

#[test]
fn pools() {
    let strategy = (1..5_usize, 1..14_usize, 1..14_usize, 1..5_usize, 1..5_usize, 1..4_usize, any::<[bool; 3]>());
    let strategy = strategy.prop_filter("the kernel fits", |(_, h, w, r, s, _, _)| r <= h && s <= w);
    runner()
        .run(&strategy, |(n, h, w, r, s, stride, [average, ceil_mode, padded])| {
            let padding = if padded { [r / 2, s / 2] } else { [0; 2] };
            let pool = Pool2d {
                average,
                kernel: [r, s],
                stride: [stride; 2],
                padding,
                ceil_mode,
                count_include_pad: n % 2 == 0,
            };
            agrees(format!("{n} {h}x{w} {pool:?}"), None, |g| {
                let x = g.input("x", &[n, 3, h, w], DType::F32)?;
                Ok((g.pool2d(x, pool)?, vec![x]))
            })
        })
        .unwrap();
}

#[test]
fn matmuls() {
    let strategy = (1..140_usize, 1..140_usize, 1..140_usize, any::<[bool; 2]>());
    runner()
        .run(&strategy, |(m, n, k, [ta, tb])| {
            agrees(format!("m {m} n {n} k {k} {ta} {tb}"), None, |g| {
                let a = g.input("a", &if ta { [k, m] } else { [m, k] }, DType::F32)?;
                let b = g.input("b", &if tb { [n, k] } else { [k, n] }, DType::F32)?;
                Ok((g.matmul(a, b, ta, tb)?, vec![a, b]))
            })
        })
        .unwrap();
}

#[test]
fn batches_of_matmuls() {
    let extents = (1..70_usize, 1..70_usize, 1..70_usize);
    let strategy = (prop::collection::vec(1..5_usize, 1..3), extents, any::<[bool; 2]>(), 0..3, any::<bool>());
    runner()
        .run(&strategy, |(batch, (m, n, k), [ta, tb], one, fours)| {
            let [m, n, k] = [m, n, k].map(|extent| if fours { extent.next_multiple_of(4) } else { extent });
            agrees(format!("{batch:?} of m {m} n {n} k {k} {ta} {tb}, one of operand {one}"), None, |g| {
                let of = |matrix: [usize; 2], one| if one { matrix.into() } else { [&batch[..], &matrix].concat() };
                let a = g.input("a", &of(if ta { [k, m] } else { [m, k] }, one == 1), DType::F32)?;
                let b = g.input("b", &of(if tb { [n, k] } else { [k, n] }, one == 2), DType::F32)?;
                Ok((g.matmul(a, b, ta, tb)?, vec![a, b]))
            })
        })
        .unwrap();
}

/// Some CPU drivers end every loop after 65,535 iterations without a word; these sums have more than ten million terms.
#[test]
fn reductions_of_ten_million() {
    const SIDE: usize = 3_300;
    agrees("weight gradient".into(), None, |g| {
        let x = g.input("x", &[1, 1, SIDE, SIDE], DType::F32)?;
        let weight = g.input("weight", &[1, 1, 1, 1], DType::F32)?;
        Ok((g.conv2d(x, weight, None, Conv2d::default())?, vec![weight]))
    })
    .unwrap();
    agrees("sum".into(), None, |g| {
        let x = g.input("x", &[SIDE, SIDE], DType::F32)?;
        Ok((g.sum(x, &[0, 1], false)?, vec![]))
    })
    .unwrap();
    agrees("layer of many inputs".into(), None, |g| {
        let x = g.input("x", &[2, 300_001], DType::F32)?;
        let (weight, bias) = (g.input("w", &[3, 300_001], DType::F32)?, g.input("bias", &[3], DType::F32)?);
        Ok((g.linear(x, weight, Some(bias))?, vec![]))
    })
    .unwrap();
    agrees("inner product".into(), None, |g| {
        let a = g.input("a", &[1, SIDE * SIDE], DType::F32)?;
        let b = g.input("b", &[SIDE * SIDE, 1], DType::F32)?;
        Ok((g.matmul(a, b, false, false)?, vec![]))
    })
    .unwrap();
}
