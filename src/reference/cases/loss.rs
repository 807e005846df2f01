//! Softmax along any axis, cross-entropy, mean squared error, and batches of a data set.

use super::{Case, Sketch, case};
use crate::Result;
use crate::graph::{CrossEntropyOptions, DType, Gather, Unary, Value};

const LINES: [(&[usize], usize); 10] = [
    (&[1], 0),
    (&[67], 0),
    (&[3, 10], 1),
    (&[10, 3], 0),
    (&[257, 2], 1),
    (&[3, 1000], 1),
    (&[1025, 3], 0),
    (&[2, 5, 3], 1),
    (&[2, 7, 3, 5], 0),
    (&[2, 7, 3, 5], 3),
];

pub(super) fn list() -> Vec<Result<Case>> {
    let softmax = LINES.into_iter().flat_map(|(shape, axis)| [softmax(false, shape, axis), softmax(true, shape, axis)]);
    let sizes = [1, 3, 257].into_iter().flat_map(|batch| [2, 10, 1000].map(|classes| cross_entropy(batch, classes)));
    let mse = [&[1][..], &[7, 13], &[3, 2, 5, 4], &[4099]].map(|shape| {
        case(format!("mse_loss {shape:?}"), |g| {
            let (a, b) = (g.tensor(shape)?, g.tensor(shape)?);
            g.mse_loss(a, b)
        })
    });
    softmax.chain(sizes).chain([cross_entropy(1, 1)]).chain(mse).chain(options()).chain(others()).collect()
}

fn softmax(log: bool, shape: &[usize], axis: usize) -> Result<Case> {
    case(format!("{}softmax {shape:?} along {axis}", if log { "log_" } else { "" }), |g| {
        let x = g.tensor(shape)?;
        if log { g.log_softmax(x, axis) } else { g.softmax(x, axis) }
    })
}

fn cross_entropy(batch: usize, classes: usize) -> Result<Case> {
    case(format!("cross_entropy of {batch} rows in {classes} classes"), |g| {
        let logits = g.tensor(&[batch, classes])?;
        let labels = g.input("labels", &[batch], DType::U32)?;
        Ok(g.cross_entropy(logits, labels)?.0)
    })
}

/// Numbers between 0.27 and 0.73 without a gradient: weights, shares, targets.
fn between(g: &mut Sketch, name: &str, shape: &[usize]) -> Result<Value> {
    let x = g.input(name, shape, DType::F32)?;
    g.sigmoid(x)
}

/// Which of smoothing, mixing, weights and ignoring; each with the others, in awkward sizes.
fn options() -> Vec<Result<Case>> {
    let cross_entropy = |choice: usize| {
        let [batch, classes] = [[3, 10], [67, 5], [1, 7], [130, 3]][choice % 4];
        let [smooth, mixed, weighted, ignoring] = [1, 2, 4, 8].map(|bit| choice & bit != 0);
        let names = [(smooth, "smoothed "), (mixed, "mixed "), (weighted, "weighted "), (ignoring, "ignoring ")];
        let names: String = names.into_iter().filter_map(|(on, name)| on.then_some(name)).collect();
        case(format!("{names}cross_entropy of {batch} rows in {classes} classes"), |g| {
            let logits = g.tensor(&[batch, classes])?;
            let labels = g.input("labels", &[batch], DType::U32)?;
            let mix = match mixed {
                true => Some((g.input("partner", &[batch], DType::U32)?, between(g, "lambda", &[1])?)),
                false => None,
            };
            let weights = if weighted { Some(between(g, "weights", &[classes])?) } else { None };
            let label_smoothing = if smooth { 0.1 } else { 0.0 };
            // The only row of a batch is not to be left out.
            let ignore_index = ignoring.then_some(if batch == 1 { 9 } else { 1 });
            let (loss, hits) = g.cross_entropy_with(
                logits,
                labels,
                CrossEntropyOptions { label_smoothing, ignore_index, mix, weights },
            )?;
            let hits = g.mean(hits, &[0], false)?;
            let hits = g.unary(hits, Unary::Scale(0.01))?;
            g.add(loss, hits)
        })
    };
    let bce = |batch: usize, classes: usize, weighted: bool| {
        let weights = if weighted { "weighted " } else { "" };
        case(format!("{weights}bce_with_logits of {batch} rows in {classes} classes"), |g| {
            let logits = g.tensor(&[batch, classes])?;
            let targets = between(g, "targets", &[batch, classes])?;
            let weights = if weighted { Some(between(g, "weights", &[classes])?) } else { None };
            let (loss, hits) = g.bce_with_logits(logits, targets, weights)?;
            let hits = g.mean(hits, &[0], false)?;
            let hits = g.unary(hits, Unary::Scale(0.01))?;
            g.add(loss, hits)
        })
    };
    let sizes = [(1, 1), (3, 10), (257, 2), (67, 33)].into_iter();
    (1..16).map(cross_entropy).chain(sizes.flat_map(|(n, c)| [bce(n, c, false), bce(n, c, true)])).collect()
}

fn others() -> [Result<Case>; 18] {
    [
        case("softmax of large logits", |g| {
            let x = g.tensor(&[5, 7])?;
            let hundreds = g.constant(300.0, &[])?;
            let x = g.mul(x, hundreds)?;
            g.softmax(x, 1)
        }),
        case("cross_entropy of large logits, part of a sum", |g| {
            let (x, labels) = (g.tensor(&[6, 9])?, g.input("labels", &[6], DType::U32)?);
            let hundreds = g.constant(300.0, &[])?;
            let logits = g.mul(x, hundreds)?;
            let (loss, _) = g.cross_entropy(logits, labels)?;
            let decay = g.mse_loss(x, logits)?;
            g.add(loss, decay)
        }),
        case("bce_with_logits of large logits", |g| {
            let (x, targets) = (g.tensor(&[6, 9])?, between(g, "targets", &[6, 9])?);
            let hundreds = g.constant(300.0, &[])?;
            let logits = g.mul(x, hundreds)?;
            Ok(g.bce_with_logits(logits, targets, None)?.0)
        }),
        case("two losses of one network, in parts", |g| {
            let (x, labels) = (g.tensor(&[9, 5])?, g.input("labels", &[9], DType::U32)?);
            let weight = g.tensor(&[5, 5])?;
            let (main, _) = g.cross_entropy(x, labels)?;
            let logits = g.linear(x, weight, None)?;
            let (auxiliary, _) = g.cross_entropy(logits, labels)?;
            let auxiliary = g.unary(auxiliary, Unary::Scale(0.3))?;
            g.add(main, auxiliary)
        }),
        gather([23, 3, 5, 7], 9),
        gather([4, 1, 1, 1], 4),
        gather([23, 3, 6, 10], 9),
        gather([11, 1, 2, 2], 5),
        augmented([23, 3, 8, 7], 9, "crop:4", 0),
        augmented([23, 1, 8, 7], 23, "flip", 0),
        augmented([70, 3, 9, 6], 67, "cutout:5", 0),
        augmented([23, 4, 5, 7], 9, "color:0.4:0.3", 0),
        augmented([23, 3, 8, 7], 9, "color:3:2", 0),
        augmented([23, 2, 5, 7], 9, "mixup:0.4", 0),
        augmented([70, 3, 8, 8], 67, "crop:2,flip,color:0.2:0.2,cutout:4,mixup:1", 0),
        augmented([70, 3, 8, 8], 67, "crop:2,flip,color:0.2:0.2,cutout:4,mixup:1", 1),
        augmented([70, 3, 8, 8], 67, "crop:2,flip,color:0.2:0.2,cutout:4,mixup:1", 2),
        augmented([70, 3, 8, 8], 67, "crop:2,flip,color:0.2:0.2,cutout:4,mixup:1", 3),
    ]
}

/// Result `index` of a batch under random changes: images, labels, partners' labels, weight.
fn augmented(images: [usize; 4], batch: usize, text: &str, index: usize) -> Result<Case> {
    case(format!("gather {batch} of {images:?}, {text}, result {index}"), |g| {
        let channels = images[1];
        let (labels, order) = (&images[..1], &images[..1]);
        let images = g.input("images", &images, DType::U8)?;
        let (labels, order) = (g.input("labels", labels, DType::U32)?, g.input("order", order, DType::U32)?);
        let plain = Gather::plain(batch, &[0.5, 0.4, 0.3, 0.6][..channels], &[0.25, 0.2, 0.3, 0.5][..channels]);
        // A seed with two words.
        let gather = Gather { augment: text.parse()?, seed: 0x1234_5678_9abc_def0, ..plain };
        let batch = g.gather_mixed(images, labels, order, gather)?;
        let (partners, weight) = batch.mix.unwrap_or((batch.x, batch.x));
        Ok([batch.x, batch.labels, partners, weight][index])
    })
}

fn gather(images: [usize; 4], batch: usize) -> Result<Case> {
    case(format!("gather {batch} of {images:?}"), |g| {
        let channels = images[1];
        let (labels, order) = (&images[..1], &images[..1]);
        let images = g.input("images", &images, DType::U8)?;
        let (labels, order) = (g.input("labels", labels, DType::U32)?, g.input("order", order, DType::U32)?);
        let (mean, std) = ([0.5, 0.4, 0.3][..channels].to_vec(), [0.25, 0.2, 0.3][..channels].to_vec());
        Ok(g.gather(images, labels, order, Gather::plain(batch, &mean, &std))?.0)
    })
}
